"""How many files with a known charset are decoded to the right text.

    python benchmarks/charsets.py FOLDER

FOLDER has a folder per charset (`KOI8-R`, `windows-1251-bulgarian`, ...), as chardet's tests have. The right text is
what the WHATWG Encoding Standard makes of that label: browsers read Shift_JIS as Windows-31J, GB2312 as GB18030. Files
whose label Python cannot decode, or that their own label does not fit, are left out.
"""

from __future__ import annotations

import argparse
import codecs
from pathlib import Path

from pipeline.text.charset import decode

WHATWG = {
    "gb2312": "gb18030", "shift_jis": "cp932", "tis-620": "cp874", "euc-kr": "cp949", "iso-8859-1": "cp1252",
    "iso-8859-9": "cp1254", "big5": "big5hkscs",
}  # fmt: skip


def codec_of(folder: str) -> str | None:
    """The codec for a folder's name, with or without a language at its end."""
    name = folder.lower()
    for candidate in (name, name.rpartition("-")[0]):
        candidate = WHATWG.get(candidate, candidate)
        try:
            return codecs.lookup(candidate).name
        except LookupError:
            continue
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    right, wrong = 0, []
    for path in sorted(p for p in folder.glob("*/*") if p.is_file()):
        codec = codec_of(path.parent.name)
        body = path.read_bytes()
        try:
            truth = body.decode(codec or "")
        except (LookupError, UnicodeDecodeError):
            print(f"left out  {path.parent.name}/{path.name}")
            continue
        found = decode(body)
        if found.text.removeprefix("\ufeff") == truth.removeprefix("\ufeff"):
            right += 1
        else:
            wrong.append(f"wrong     {path.parent.name}/{path.name}: read as {found.charset}")
    print("\n".join(wrong))
    print(f"{right} of {right + len(wrong)} files ({right / max(right + len(wrong), 1):.1%}) decode to the right text")


if __name__ == "__main__":
    main()

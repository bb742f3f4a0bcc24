"""Where a large file is cut into parts: at records of WARC files, row groups of Parquet, lines of JSONL.

A damaged file is cut where it can be read; its damage is told when the parts are read.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.ingest import parquet
from pipeline.ingest.lines import line_packing, lines
from pipeline.ingest.packed import mapped
from pipeline.ingest.warc import offsets


def cuts(path: Path, kind: str, step: int) -> list[int]:
    """Positions that cut a file into parts of about `step` bytes on disk: WARC byte offsets, Parquet row groups, JSONL byte offsets
    or, of a compressed file, numbers of lines.

    Args:
        kind: "warc", "jsonl" or "parquet".

    Raises: OSError if the file cannot be read.
    """
    if kind == "parquet":
        return parquet.cuts(path, step)
    return _warc_cuts(path, step) if kind == "warc" else _line_cuts(path, step)


def _warc_cuts(path: Path, step: int) -> list[int]:
    found: list[int] = []
    for offset in offsets(path):
        if offset >= (len(found) + 1) * step:
            found.append(offset)
    return found


def _line_cuts(path: Path, step: int) -> list[int]:
    with mapped(path) as view:
        size = len(view)
        if not line_packing(view):
            found: list[int] = []
            for at in range(step, size, step):
                cut = view.find(b"\n", at) + 1
                if 0 < cut < size and (not found or cut > found[-1]):
                    found.append(cut)
            return found
    # every part reads past the lines of those before
    count = 0
    for line in lines(path, max_bytes=1 << 20):
        count = line.position + 1
    parts = min(-(-size // step), max(count, 1))
    return [count * i // parts for i in range(1, parts)]

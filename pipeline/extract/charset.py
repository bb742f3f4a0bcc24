"""Bytes to text: byte-order mark, then UTF-8, then what was declared, then what the bytes look like.

UTF-8 is tried before the declaration because text of any other charset is hardly ever valid UTF-8, while pages that
declare another charset and are UTF-8 are common. A declared charset counts only if it decodes every byte.
Labels follow the WHATWG Encoding Standard (iso-8859-1 means windows-1252, gb2312 means gb18030), through w3lib.
"""

from __future__ import annotations

from dataclasses import dataclass

from charset_normalizer import from_bytes
from w3lib.encoding import html_body_declared_encoding, http_content_type_encoding, read_bom, resolve_encoding

DETECT_BYTES = 65_536  # detection looks at so many bytes; decoding uses all


@dataclass(frozen=True)
class Decoded:
    text: str
    charset: str
    declared: str | None
    replaced: int  # characters that had to be replaced by U+FFFD


def decode(body: bytes, content_type: str = "") -> Decoded:
    """Decode a page. Never raises: what no charset fits is decoded with replacement characters, and counted."""
    header = http_content_type_encoding(content_type) if content_type else None
    declared = header or html_body_declared_encoding(body[:4096])
    bom, _ = read_bom(body)
    candidates = [bom, "utf-8", declared and resolve_encoding(declared)]
    for name in candidates:
        if name:
            try:
                return Decoded(body.decode(name).removeprefix("\ufeff"), name, declared, 0)
            except (UnicodeDecodeError, LookupError):
                continue
    best = from_bytes(body[:DETECT_BYTES]).best()
    name = best.encoding if best else (declared and resolve_encoding(declared)) or "cp1252"
    text = body.decode(name, errors="replace")
    return Decoded(text, name, declared, text.count("\ufffd"))

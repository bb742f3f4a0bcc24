"""Bytes to UTF-8: byte-order mark, then the zero bytes of UTF-16 and UTF-32 and the escapes of ISO-2022, then UTF-8, then
what was declared, then what the bytes look like.

UTF-8 is tried before the declaration because text of any other charset is hardly ever valid UTF-8, while pages that
declare another charset and are UTF-8 are common. A declared charset counts only if it decodes every byte.
Labels follow the WHATWG Encoding Standard (iso-8859-1 means windows-1252, gb2312 means gb18030), through w3lib.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
from charset_normalizer import from_bytes
from w3lib.encoding import html_body_declared_encoding, http_content_type_encoding, read_bom, resolve_encoding

DETECT_BYTES = 65_536  # detection looks at so many bytes; decoding uses all
# Detection chooses among the legacy encodings of the WHATWG Encoding Standard: what else exists is not on the web.
WEB_CHARSETS = [
    "big5hkscs", "euc_jp", "euc_kr", "cp949", "gb18030", "cp932", "koi8_r", "koi8_u", "cp866", "cp874", "cp1250",
    "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "iso8859_2", "iso8859_3",
    "iso8859_4", "iso8859_5", "iso8859_6", "iso8859_7", "iso8859_8", "iso8859_13", "iso8859_14", "iso8859_15",
    "iso8859_16", "mac_roman", "mac_cyrillic",
]  # fmt: skip
# A declared charset counts if it is one of the standard's: Python knows names that are none of the web's (idna, undefined).
_DECODABLE = frozenset(
    codecs.lookup(name).name
    for name in (*WEB_CHARSETS, "utf-8", "utf-16", "utf-16-le", "utf-16-be", "iso2022_jp", "iso8859_10")
)
# Seven-bit charsets announce themselves with escape sequences (RFC 1468, RFC 1557), and would pass for ASCII.
_ESCAPES = ((b"\x1b$B", "iso2022_jp"), (b"\x1b$@", "iso2022_jp"), (b"\x1b(J", "iso2022_jp"), (b"\x1b$)C", "iso2022_kr"))


@dataclass(frozen=True)
class Decoded:
    """A page in UTF-8.

    Attributes:
        utf8: the whole text, without a byte-order mark; always valid.
        charset: what the bytes were decoded with.
        declared: the charset that the header or the page names.
        replaced: characters that had to be replaced by U+FFFD.
    """

    utf8: bytes
    charset: str
    declared: str | None
    replaced: int

    @cached_property
    def text(self) -> str:
        return self.utf8.decode("utf-8")


def decode(body: bytes, content_type: str = "") -> Decoded:
    """Decode a page. Never raises: what no charset fits is decoded with replacement characters, and counted."""
    header = http_content_type_encoding(content_type) if content_type else None
    declared = header or html_body_declared_encoding(body[:4096])
    bom, mark = read_bom(body)
    named = web_charset(declared) if declared else None
    candidates = [bom, wide_charset(body), seven_bit_charset(body), "utf-8", named]
    for name in candidates:
        if name == "utf-8":  # most pages: nothing to convert, and nothing to copy
            plain = body[len(mark) :] if bom == "utf-8" and mark else body
            if is_utf8(plain):
                return Decoded(plain, name, declared, 0)
        elif name:
            try:
                text = body.decode(name).removeprefix("\ufeff")
            except (UnicodeDecodeError, LookupError):
                continue
            return Decoded(text.encode("utf-8", "replace"), name, declared, 0)
    best = from_bytes(body[:DETECT_BYTES], cp_isolation=WEB_CHARSETS).best()
    name = best.encoding if best else named or "cp1252"
    text = body.decode(name, errors="replace")
    return Decoded(text.encode("utf-8", "replace"), name, declared, text.count("\ufffd"))


def web_charset(label: str) -> str | None:
    """Python's name of the encoding that a label means on the web; None if the WHATWG Encoding Standard does not have it."""
    try:
        found = resolve_encoding(label)
    except ValueError:  # of a label with a zero byte
        return None
    return found if found in _DECODABLE else None


def is_utf8(body: bytes) -> bool:
    """Whether bytes are valid UTF-8; Arrow's check passes over them several times faster than decoding."""
    if len(body) >= 1 << 31:
        return False
    offsets = pa.py_buffer(len(body).to_bytes(4, "little").rjust(8, b"\0"))
    try:
        pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(body)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def is_binary(body: bytes) -> bool:
    """Whether the beginning has zero bytes that no charset explains."""
    bom, _ = read_bom(body)
    return b"\0" in body[:1024] and bom is None and wide_charset(body) is None


def wide_charset(body: bytes) -> str | None:
    """UTF-16 or UTF-32 without a byte-order mark, told by where its zero bytes lie; None for anything else."""
    head = body[: 4096 - 4096 % 4]
    if len(head) < 4 or b"\0" not in head:
        return None
    head = head[: len(head) - len(head) % 4]
    zeros = [head[i::4].count(0) / (len(head) // 4) for i in range(4)]
    full, none = [z > 0.9 for z in zeros], [z < 0.1 for z in zeros]
    if full == [True, True, True, False]:
        return "utf-32-be"
    if full == [False, True, True, True]:
        return "utf-32-le"
    if min(zeros[0], zeros[2]) > 0.4 and none[1] and none[3]:
        return "utf-16-be"
    if min(zeros[1], zeros[3]) > 0.4 and none[0] and none[2]:
        return "utf-16-le"
    return None


def seven_bit_charset(body: bytes) -> str | None:
    """ISO-2022-JP or ISO-2022-KR, told by their escape sequences; None where a byte has its eighth bit set."""
    if b"\x1b" not in body or not body.isascii():
        return None
    return next((name for escape, name in _ESCAPES if escape in body), None)

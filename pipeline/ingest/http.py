"""HTTP answers as archives hold them, and their bodies by what the bytes are.

Headers often lie about the body: archives keep `Content-Encoding: gzip` over a body that was unpacked when it was stored, or
`Transfer-Encoding: chunked` over one that was joined. So a coding is undone where the bytes have its form, and else left alone.

Sources: RFC 9112 (messages, chunks), RFC 9110 section 8.4 (codings), RFC 1950-1952 (zlib, deflate, gzip), RFC 7932 (brotli),
RFC 8878 (zstd).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import brotli
from zlib_ng import zlib_ng as zlib

from pipeline.ingest.packed import GZIP, ZSTD, DamagedMember, InflateError, ZstdFrame

Headers = list[tuple[str, str]]
MAX_HEADERS_BYTES = 1 << 20
MAX_CODINGS = 5  # that are undone, one after the other
_STATUS = re.compile(rb"\s*(?:HTTP/\d(?:\.\d)?|ICY)[ \t]+(\d{1,9})(?!\d)", re.I)
_HEADERS_END = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"^([^\s:][^:\r\n]*):([^\r\n]*)", re.M)
_FOLDED = re.compile(rb"\r?\n[ \t]+")
_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")
_NEWLINE = re.compile(rb"\r?\n")


@dataclass
class Answer:
    """An HTTP answer.

    Attributes:
        status: None if there is no status line.
        body: decoded, at most as many bytes as were asked for.
        cut: why the body is not whole: "" for a whole one, "length" if it is longer, "encoding" if its coding breaks off.
    """

    status: int | None = None
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    cut: str = ""

    def header(self, name: str) -> str:
        """All values of a header, joined; `name` in lower case."""
        return ", ".join(v for k, v in self.headers if k.lower() == name)


def parse_answer(block: bytes | memoryview, *, max_bytes: int) -> Answer | None:
    """An HTTP answer from the bytes that went over the wire; None if they are none."""
    line = _STATUS.match(block)
    if line is None:
        return None
    found = _HEADERS_END.search(block, line.end(), line.end() + MAX_HEADERS_BYTES)
    head = bytes(block[line.end() : found.start() if found else len(block)])
    answer = Answer(int(line[1]), fields_of(head))
    coded = bytes(block[found.end() :]) if found else b""
    if "chunked" in answer.header("transfer-encoding").lower():
        coded = joined_chunks(coded)
    answer.body, answer.cut = decoded(coded, answer.header("content-encoding"), max_bytes=max_bytes)
    return answer


def fields_of(head: bytes) -> Headers:
    """Names and values of a header of HTTP, or of a WARC record, in their order; a folded line is one."""
    if b"\n " in head or b"\n\t" in head:
        head = _FOLDED.sub(b" ", head)
    return [(_text(k.rstrip(b" \t")), _text(v.strip(b" \t"))) for k, v in _FIELD.findall(head)]


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def joined_chunks(body: bytes) -> bytes:
    """The content of a chunked body; a body that is not chunked as it is, one that breaks off as far as it goes."""
    parts: list[bytes] = []
    at = 0
    while size := _CHUNK.match(body, at):
        length = int(size[1], 16)
        stop = size.end() + length
        parts.append(body[size.end() : stop])
        if not length or stop >= len(body):
            return b"".join(parts)
        newline = _NEWLINE.match(body, stop)
        if newline is None:
            break
        at = newline.end()
    return body if not parts or at == 0 else b"".join(parts)


def decoded(body: bytes, coding: str, *, max_bytes: int) -> tuple[bytes, str]:
    """A body without its codings, and why it is not whole (see `Answer.cut`).

    Args:
        coding: the value of Content-Encoding. gzip and zstd are known by their first bytes, whatever it says; deflate and
            brotli have none, so they are tried where it names them.
        max_bytes: no more than this and one byte is unpacked.
    """
    named = [c.strip().lower() for c in coding.split(",")]
    for at in range(MAX_CODINGS):
        name = named[-1 - at] if at < len(named) else ""
        found = _undone(body, name, max_bytes + 1)
        if found is None:
            if at >= len(named) - 1:
                break
            continue
        body, cut = found
        if cut or len(body) > max_bytes:
            return body[:max_bytes], "length" if len(body) > max_bytes else cut
    return (body, "") if len(body) <= max_bytes else (body[:max_bytes], "length")


def _undone(body: bytes, name: str, limit: int) -> tuple[bytes, str] | None:
    """A body with one coding undone and whether it broke off; None if its bytes have no coding's form."""
    if body.startswith(GZIP):
        return _inflated(body, 31, limit) or (b"", "encoding")
    if body.startswith(ZSTD):
        return _zstd(body, limit)
    if name in ("deflate", "x-deflate"):
        found = _inflated(body, 15, limit) or _inflated(body, -15, limit)
    elif name in ("br", "x-br"):
        found = _brotli(body, limit)
    else:
        return None
    # plain text may happen to look like these two; what is compressed is hardly ever UTF-8
    return None if found is not None and _is_text(body) else found


def _is_text(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _inflated(body: bytes, window: int, limit: int) -> tuple[bytes, str] | None:
    parts: list[bytes] = []
    size = 0
    while body and size < limit:
        inflate = zlib.decompressobj(window)
        try:
            got = inflate.decompress(body, limit - size)
        except InflateError:
            got = _before_error(body, window, limit - size)
            return (b"".join([*parts, got]), "encoding") if got or parts else None
        parts.append(got)
        size += len(got)
        if not inflate.eof:
            return b"".join(parts), "encoding" if size < limit else ""
        body = inflate.unused_data if window == 31 and inflate.unused_data.startswith(GZIP) else b""
    return b"".join(parts), ""


def _before_error(body: bytes, window: int, limit: int) -> bytes:
    """What inflates before the bytes are wrong, in pieces, so that little is lost. A wrong checksum loses nothing."""
    inflate = zlib.decompressobj(window)
    got = bytearray()
    try:
        for at in range(0, len(body), 256):
            got += inflate.decompress(inflate.unconsumed_tail + body[at : at + 256], max(limit - len(got), 1))
            if len(got) >= limit:
                break
    except InflateError:
        pass  # the error that brought us here
    return bytes(got) if len(got) > 1 else b""


def _zstd(body: bytes, limit: int) -> tuple[bytes, str]:
    parts: list[bytes] = []
    size = at = 0
    while size < limit and body.startswith(ZSTD, at):
        frame = ZstdFrame(body, at)
        try:
            while size < limit and (got := frame.read(limit - size)):
                parts.append(got)
                size += len(got)
        except DamagedMember:
            return b"".join(parts), "encoding"
        at = frame.end
    return b"".join(parts), ""


def _brotli(body: bytes, limit: int) -> tuple[bytes, str] | None:
    """Undone where all of it makes sense, or breaks off at its end."""
    unpack = brotli.Decompressor()
    try:
        got = unpack.process(body, output_buffer_limit=limit)
        while len(got) < limit and not unpack.can_accept_more_data():
            more = unpack.process(b"", output_buffer_limit=limit - len(got))
            if not more:
                break
            got += more
    except brotli.error:
        return None
    if not got:
        return None
    return got, "" if unpack.is_finished() or len(got) >= limit else "encoding"

"""A body without its content encoding, by what its bytes are: a header that lies costs no page.

A declared coding is undone where the bytes bear it and passed over where they don't; gzip and zstd, which begin with a
mark, are undone also where nothing declares them. A damaged stream gives what can be had of it. Nothing grows beyond a
bound, however little of it is there.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import brotli
import zstandard

CHUNK = 1 << 16
MAX_LAYERS = 4  # of codings over each other; two happen, by servers behind servers
MAX_WINDOW = 1 << 27  # of zstd: RFC 8878 wants 8 MiB from everybody; its tools take 128 MiB
DAMAGED = (EOFError, zlib.error, brotli.error, zstandard.ZstdError)


class Bomb(Exception):
    """More bytes than are wanted."""


@dataclass(frozen=True)
class Coding:
    """How a content encoding is undone.

    Attributes:
        bears: whether a body begins as this coding does; None for a coding without a mark.
        pieces: the body decoded, piece by piece. Raises one of DAMAGED, EOFError for a stream that is cut.
    """

    bears: Callable[[bytes], bool] | None
    pieces: Callable[[bytes], Iterator[bytes]]


def plain(body: bytes, declared: Iterable[bytes], *, max_bytes: int, cut: bool = False) -> bytes:
    """The body as it was before it was encoded.

    Args:
        declared: values of Content-Encoding headers, in their order.
        max_bytes: what may come out; 0 for no limit.
        cut: return the first `max_bytes` of a larger one.

    Raises: Bomb for a larger one, unless `cut`.
    """
    names = [name.strip().lower() for value in declared for name in value.split(b",")]
    layers = [CODINGS[name] for name in reversed(names) if name in CODINGS][:MAX_LAYERS]
    for number in range(MAX_LAYERS):
        said = layers[number] if number < len(layers) else None
        coding = said or next((c for c in (GZIP, ZSTD) if c.bears and c.bears(body)), None)
        if coding is None:  # nothing is declared any more, and nothing shows
            break
        if coding.bears is not None and not coding.bears(body):
            continue
        data, whole, over = _collected(coding.pieces(body), max_bytes)
        if over:
            if not cut:
                raise Bomb(f"more than {max_bytes:,} bytes")
            return data[:max_bytes]
        if whole or (data and (coding.bears is not None or body.lstrip()[:1] != b"<")):
            body = data
        elif said is None:
            break
    return body


def _collected(pieces: Iterator[bytes], max_bytes: int) -> tuple[bytes, bool, bool]:
    """What came; whether the stream came to its end; whether it is more than may be."""
    parts: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            parts.append(piece)
            size += len(piece)
            if 0 < max_bytes < size:
                return b"".join(parts), False, True
    except DAMAGED:
        return b"".join(parts), False, False
    return b"".join(parts), True, False


def _inflated(inflate: zlib._Decompress, body: bytes) -> Iterator[bytes]:
    while body and not inflate.eof:
        yield inflate.decompress(body, CHUNK)
        body = inflate.unconsumed_tail
    if not inflate.eof:
        raise EOFError


def _is_gzip(body: bytes) -> bool:
    return body.startswith(b"\x1f\x8b\x08")


def _ungzip(body: bytes) -> Iterator[bytes]:
    while _is_gzip(body):  # several members are one text; what stands behind them is none
        inflate = zlib.decompressobj(31)
        yield from _inflated(inflate, body)
        body = inflate.unused_data


def _is_zlib(body: bytes) -> bool:
    return len(body) >= 2 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0  # RFC 1950, 2.2


def _inflate(body: bytes) -> Iterator[bytes]:
    """The zlib format, which is meant, or the bare one, which some servers send."""
    return _inflated(zlib.decompressobj(15 if _is_zlib(body) else -15), body)


def _unbrotli(body: bytes) -> Iterator[bytes]:
    stream = brotli.Decompressor()
    piece = stream.process(body, output_buffer_limit=CHUNK)
    while piece:
        yield piece
        piece = b"" if stream.is_finished() else stream.process(b"", output_buffer_limit=CHUNK)
    if not stream.is_finished():
        raise EOFError


def _is_zstd(body: bytes) -> bool:
    return body.startswith(b"\x28\xb5\x2f\xfd")


def _unzstd(body: bytes) -> Iterator[bytes]:
    unpack = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
    with unpack.stream_reader(io.BytesIO(body), read_across_frames=True) as stream:
        while piece := stream.read(CHUNK):
            yield piece


GZIP, ZSTD = Coding(_is_gzip, _ungzip), Coding(_is_zstd, _unzstd)
CODINGS = {
    b"gzip": GZIP,
    b"x-gzip": GZIP,
    b"deflate": Coding(None, _inflate),
    b"br": Coding(None, _unbrotli),
    b"zstd": ZSTD,
}

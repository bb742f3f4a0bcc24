"""What earlier runs of a crawl left in its WARC files: damage is cut out, and each answer is found again by its place.

Every record is a gzip member of its own with a checksum, so a member is whole or it is not. Bodies stay in their files
until they are asked for.
"""

from __future__ import annotations

import itertools
import mmap
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from crawler.warc import OPEN
from pipeline.core.files import atomic

MAGIC = b"\x1f\x8b\x08"
CHUNK = 1 << 18


@dataclass(frozen=True)
class Stored:
    """A response in a WARC file.

    Attributes:
        file, offset: its final name, and where its record begins.
        path: the file as it is named now.
        retry_after: that header of a server that wants to be left alone.
        truncated: why the body is not whole; "" where it is.
    """

    file: str
    offset: int
    path: Path
    url: str
    status: int
    retry_after: bytes | None = None
    truncated: str = ""

    def read(self) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """HTTP headers and body, as they were received."""
        path = self.path if self.path.exists() else self.path.with_name(self.file)  # it was closed since
        with open(path, "rb") as f:
            f.seek(self.offset)
            inflate = zlib.decompressobj(31)
            parts = []
            while not inflate.eof and (piece := f.read(CHUNK)):
                parts.append(inflate.decompress(piece))
        _, _, block = b"".join(parts).partition(b"\r\n\r\n")
        head, _, body = block.removesuffix(b"\r\n\r\n").partition(b"\r\n\r\n")
        return _fields(head), body


@dataclass(frozen=True)
class _Member:
    start: int
    end: int
    head: dict[bytes, bytes] = field(default_factory=dict)
    block: bytes = b""

    @property
    def kind(self) -> bytes:
        return self.head.get(b"warc-type", b"")


def mend(folder: Path) -> list[Stored]:
    """Every response that earlier runs of this crawl wrote whole, in their order.

    What is not whole is cut out of its file: the end that a killed process left, or a record damaged since. Of a pair
    both go; the crawl asks again for what is not there.
    """
    found: list[Stored] = []
    if not folder.is_dir():
        return found
    for path in sorted(p for p in folder.iterdir() if p.name.removesuffix(OPEN).endswith(".warc.gz")):
        size = path.stat().st_size
        kept: list[tuple[int, int]] = []
        responses: list[Stored] = []
        place = 0
        for group in _groups(path):
            start, end = group[0].start, group[-1].end
            if group[0].kind == b"response":
                responses.append(_stored(path, place, group[0]))
            kept.append((start, end))
            place += end - start
        if place == 0:
            path.unlink()
        elif place < size:
            _keep(path, kept)
        found += responses
    return found


def _groups(path: Path) -> Iterator[tuple[_Member, ...]]:
    """Whole pairs of a response and its request, and whole records of other kinds."""
    response: _Member | None = None
    for member in _members(path):
        if member.kind == b"response":
            response = member
        elif member.kind != b"request":
            response = None
            yield (member,)
        elif response is not None and response.end == member.start:
            yield response, member
            response = None


def _members(path: Path) -> Iterator[_Member]:
    """The gzip members of a file that are whole and hold a whole WARC record."""
    if path.stat().st_size == 0:
        return
    with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(MAGIC)
        while at >= 0:
            member = _member(data, at)
            if member is not None:
                yield member
            at = data.find(MAGIC, at + 1 if member is None else member.end)


def _member(data: mmap.mmap, start: int) -> _Member | None:
    inflate = zlib.decompressobj(31)
    parts: list[bytes] = []
    at = start
    try:
        while not inflate.eof and at < len(data):
            parts.append(inflate.decompress(data[at : at + CHUNK]))
            at += CHUNK
    except zlib.error:
        return None
    if not inflate.eof:
        return None
    end = min(at, len(data)) - len(inflate.unused_data)
    head, _, block = b"".join(parts).partition(b"\r\n\r\n")
    if not head.startswith(b"WARC/") or not block.endswith(b"\r\n\r\n"):
        return None
    return _Member(start, end, {k.lower(): v for k, v in _fields(head)}, block)


def _fields(head: bytes) -> list[tuple[bytes, bytes]]:
    """Header fields behind a first line."""
    lines = [line.partition(b": ") for line in head.split(b"\r\n")[1:]]
    return [(name, value) for name, colon, value in lines if colon]


def _stored(path: Path, offset: int, member: _Member) -> Stored:
    head = member.block.partition(b"\r\n\r\n")[0]
    words = head.split(b"\r\n", 1)[0].split(b" ", 2)
    http = {name.lower(): value for name, value in _fields(head)}
    return Stored(
        path.name.removesuffix(OPEN),
        offset,
        path,
        member.head.get(b"warc-target-uri", b"").decode("utf-8", "replace"),
        int(words[1]),
        http.get(b"retry-after"),
        member.head.get(b"warc-truncated", b"").decode("ascii", "replace"),
    )


def _keep(path: Path, ranges: list[tuple[int, int]]) -> None:
    """Leave only these bytes of a file."""
    end = ranges[-1][1]
    if ranges[0][0] == 0 and all(a[1] == b[0] for a, b in itertools.pairwise(ranges)):
        with open(path, "rb+") as f:  # all damage is at the end
            f.truncate(end)
            os.fsync(f.fileno())
        return
    with atomic(path) as tmp, open(path, "rb") as source, open(tmp, "wb") as target:
        for start, stop in ranges:
            source.seek(start)
            while start < stop:
                piece = source.read(min(CHUNK, stop - start))
                target.write(piece)
                start += len(piece)

"""Members of compressed files: gzip members and zstd frames, opened one at a time, each read no further than is asked for.

A damaged file still gives every byte that decompresses: what comes out of a member before its damage is read, and reading goes
on at the next place where a member starts.

Sources: RFC 1952 (gzip), RFC 8878 (zstd frames, skippable frames), IIPC "WARC compression with zstd" (a dictionary in a first
skippable frame of type 0x184D2A5D).
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import zstandard
from zlib_ng import zlib_ng as zlib

GZIP = b"\x1f\x8b\x08"
ZSTD = b"\x28\xb5\x2f\xfd"
DICTIONARY = b"\x5d\x2a\x4d\x18"
READ = 1 << 16  # bytes of a file that are decompressed at a time
PROBE = 512  # decompressed bytes that show what a member holds
PROBE_READ = 1 << 12  # bytes of a gzip member in which they are
MAX_BLOCK = (1 << 17) + 64  # bytes of a zstd frame that the first of them may take: a block and the header
REACH = 1 << 14  # bytes that are read behind a damage before it shows
_CHECKSUM = 4  # the flag in a frame's descriptor that says that four bytes of checksum end it
WINDOW = 1 << 27  # bytes that a zstd frame may ask for as its window: zstd's own limit unless told otherwise

InflateError: type[Exception] = zlib.error  # type: ignore[assignment]  # (the stubs have it as a value)

View = mmap.mmap | bytes


class DamagedMember(Exception):
    """A member cannot be read any further; all that came before was given out.

    Attributes:
        corrupt: all was read, and its checksum says that some of it is wrong.
    """

    @property
    def corrupt(self) -> bool:
        return any(word in str(self) for word in ("data check", "length check", "checksum"))  # zlib's and zstd's words


class Member(Protocol):
    """A member that is being read.

    Attributes:
        end: offset in the file behind what was consumed so far; behind the member once it is `done`.
        done: whether all of it was read and its checksum was right.
    """

    end: int
    done: bool

    def read(self, limit: int) -> bytes:
        """At most `limit` bytes more, b"" at the end. Raises: DamagedMember after all that can be read was."""
        ...


@contextmanager
def mapped(path: Path) -> Iterator[View]:
    """A file as one sequence of bytes that is read where it is looked at. Raises: OSError."""
    with open(path, "rb") as f:
        if not f.seek(0, io.SEEK_END):
            yield b""
            return
        with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as view:
            yield view


def packing(view: View) -> str:
    """How a file is compressed, by its first bytes: "gzip", "zstd" or ""."""
    head = bytes(view[:4])
    if head.startswith(GZIP):
        return "gzip"
    return "zstd" if head == ZSTD or _skippable(head) else ""


def damaged_packing(view: View, wanted: Callable[[bytes], bool], plain: int) -> str:
    """How a file is compressed whose first bytes are no member's: "gzip" or "zstd" if further on one starts as wanted, else "".

    Args:
        plain: where what is wanted starts in the file as it is: a member behind that is part of it.
    """
    for kind in ("gzip", "zstd"):
        if Members(view, kind).next(0, wanted) < plain:
            return kind
    return ""


class GzipMember:
    """A gzip member of `view` that starts at `at`."""

    def __init__(self, view: View, at: int) -> None:
        self.end, self.done = at, False
        self._view = view
        self._inflate = zlib.decompressobj(31)
        self._damage = ""

    def read(self, limit: int) -> bytes:
        if self._damage:
            raise DamagedMember(self._damage)
        while not self.done:
            piece = self._view[self.end : self.end + READ]
            before = self._inflate.copy()  # type: ignore[attr-defined]  # (it is there, and not in the stubs)
            try:
                got = self._inflate.decompress(piece, limit)
            except InflateError as error:
                self._inflate = before
                return self._hurt(str(error), self._last_bytes(piece, limit))
            self.done = self._inflate.eof  # then both of these hold what follows
            self.end += len(piece) - len(self._inflate.unused_data if self.done else self._inflate.unconsumed_tail)
            if got:
                return got
            if not piece:
                return self._hurt("it ends in the middle of a gzip member", b"")
        return b""

    def _last_bytes(self, piece: bytes, limit: int) -> bytes:
        """What decompresses of a piece in which an error lies."""
        got = bytearray()
        try:
            for i in range(len(piece)):
                got += self._inflate.decompress(self._inflate.unconsumed_tail + piece[i : i + 1], limit - len(got))
                if len(got) >= limit:
                    break
                self.end += 1
        except InflateError:
            pass  # the very error that brought us here
        return bytes(got)

    def _hurt(self, damage: str, got: bytes) -> bytes:
        self._damage = damage
        if got:
            return got
        raise DamagedMember(damage)


class _Part:
    """A part of a view as zstd reads it: nothing of it is copied before it is asked for.

    Args:
        flags: another byte in place of the frame's descriptor.
    """

    def __init__(self, view: View, start: int, stop: int, flags: int | None = None) -> None:
        self._view, self._start, self._stop, self._flags = view, start, stop, flags
        self.at = start

    def read(self, size: int = READ) -> bytes:
        stop = min(self.at + size, self._stop)
        got = bytes(self._view[self.at : stop])
        if self._flags is not None and self.at == self._start and len(got) > 4:
            got = got[:4] + bytes([self._flags]) + got[5:]
        self.at = stop
        return got

    def without_checksum(self) -> _Part:
        """The same frame, from its start, as one that has no checksum."""
        flags = self._view[self._start + 4] if self._flags is None and self._stop - self._start > 4 else 0
        if not flags & _CHECKSUM:
            return _Part(self._view, self._start, self._stop, self._flags)
        return _Part(self._view, self._start, self._stop - 4, flags & ~_CHECKSUM)


class ZstdFrame:
    """A zstd frame of `view` that starts at `at`; a skippable one reads as nothing."""

    def __init__(self, view: View, at: int, dictionary: zstandard.ZstdCompressionDict | None = None) -> None:
        self.end, self.done = at, False
        length, whole = _frame_length(view, at)
        self._damage = "" if whole else "it ends in the middle of a zstd frame, or what follows is none"
        self._stop = at + length
        self._step = READ
        self._given = 0
        if whole and _skippable(bytes(view[at : at + 4])):
            self.end, self.done = self._stop, True
            return
        self._source = _Part(view, at, self._stop)
        self._dictionary = dictionary
        self._reader = self._open()

    def _open(self) -> zstandard.ZstdDecompressionReader:
        unpack = zstandard.ZstdDecompressor(dict_data=self._dictionary, max_window_size=WINDOW)
        return unpack.stream_reader(self._source, read_size=READ)  # type: ignore[arg-type]

    def read(self, limit: int) -> bytes:
        while not self.done:
            try:
                got = self._reader.read(min(limit, self._step))
            except zstandard.ZstdError as error:
                if self._step == 1:
                    self.end = max(self.end, self._source.at - READ)
                    raise DamagedMember(self._damage or str(error)) from error
                # what was unpacked before the error is lost with it: once more, in smaller steps, without the checksum
                self._step //= 256
                self._damage = self._damage or str(error)
                self._source = self._source.without_checksum()
                self._reader = self._open()
                self._pass(self._given)
                continue
            self._given += len(got)
            if got:
                return got
            if self._damage:
                raise DamagedMember(self._damage)
            self.end, self.done = self._stop, True
        return b""

    def _pass(self, length: int) -> None:
        """Read what was given out already."""
        while length:
            length -= len(self._reader.read(min(length, READ)))


def _skippable(head: bytes) -> bool:
    return len(head) == 4 and head[0] & 0xF0 == 0x50 and head[1:] == b"\x2a\x4d\x18"


def _frame_length(view: View, at: int) -> tuple[int, bool]:
    """Bytes of the frame at `at`, by walking over its blocks (RFC 8878, 3.1.1), and whether they are all there."""
    size = len(view)
    if _skippable(bytes(view[at : at + 4])):
        length = 8 + int.from_bytes(view[at + 4 : at + 8], "little")
        return min(length, size - at), at + length <= size
    if bytes(view[at : at + 4]) != ZSTD or at + 5 > size:
        return size - at, False
    flags = view[at + 4]
    single = flags >> 5 & 1
    position = at + 5 + (1 - single) + (0, 1, 2, 4)[flags & 3] + (single, 2, 4, 8)[flags >> 6]
    last = 0
    while not last:
        if position + 3 > size:
            return size - at, False
        block = int.from_bytes(view[position : position + 3], "little")
        last, kind = block & 1, block >> 1 & 3
        position += 3 + (1 if kind == 1 else block >> 3)
        if kind == 3:
            return min(position, size) - at, False
    position += 4 * (flags >> 2 & 1)
    return min(position, size) - at, position <= size


class Members:
    """The members of a compressed file."""

    def __init__(self, view: View, kind: str) -> None:
        self.view, self.kind = view, kind
        self._magic = GZIP if kind == "gzip" else ZSTD
        self._dictionary = _dictionary(view) if kind == "zstd" else None

    def starts(self, at: int) -> bool:
        """Whether the first bytes of a member lie here."""
        head = bytes(self.view[at : at + 4])
        return head.startswith(self._magic) or (self.kind == "zstd" and _skippable(head))

    def open(self, at: int) -> Member:
        return GzipMember(self.view, at) if self.kind == "gzip" else ZstdFrame(self.view, at, self._dictionary)

    def next(self, at: int, wanted: Callable[[bytes], bool]) -> int:
        """The next place at or after `at` where a member starts whose first bytes (PROBE) are as wanted; the end of the file
        if there is none. (The bytes that a member starts with also occur by chance.)"""
        while (at := self.view.find(self._magic, at)) >= 0:
            if wanted(self._probe(at)):
                return at
            at += 1
        return len(self.view)

    def after_damage(self, start: int, reached: int, wanted: Callable[[bytes], bool]) -> int:
        """Where the next member starts behind one that is damaged. Damage shows a little late: it may seem to reach into the next.

        Args:
            start, reached: where the damaged one starts, and how far it was read.
        """
        return self.next(max(start + 1, reached - REACH), wanted)

    def _probe(self, at: int) -> bytes:
        """What a member starts with, if one starts here; of a place where none does little is read to see that."""
        try:
            if self.kind == "gzip":
                return zlib.decompressobj(31).decompress(self.view[at : at + PROBE_READ], PROBE)
            unpack = zstandard.ZstdDecompressor(dict_data=self._dictionary, max_window_size=WINDOW)
            part = _Part(self.view, at, min(at + MAX_BLOCK, len(self.view)))
            return unpack.stream_reader(part, read_size=PROBE).read(PROBE)  # type: ignore[arg-type]
        except (InflateError, zstandard.ZstdError):
            return b""


def _dictionary(view: View) -> zstandard.ZstdCompressionDict | None:
    """The dictionary that a file brings along in its first frame."""
    if view[:4] != DICTIONARY:
        return None
    length, whole = _frame_length(view, 0)
    data = bytes(view[8:length])
    if not whole:
        return None
    if data[:4] == ZSTD:
        with zstandard.ZstdDecompressor(max_window_size=WINDOW).stream_reader(io.BytesIO(data)) as reader:
            try:
                data = reader.read(WINDOW)
            except zstandard.ZstdError:
                return None
    found = zstandard.ZstdCompressionDict(data)
    try:
        zstandard.ZstdDecompressor(dict_data=found)
    except zstandard.ZstdError:  # damaged: what it was used for cannot be read
        return None
    return found

"""Lines of text files, compressed or not. What decompresses of a damaged file is read, and the damage told with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.ingest.packed import PROBE, DamagedMember, Members, View, damaged_packing, mapped, packing

CHUNK = 1 << 20
MAX_WASTE_BYTES = 1 << 31  # of blanks and over-long lines that a member may unpack to; then the next one is read
_INK = re.compile(rb"[^ \t\r\n][^\n]*")


@dataclass(frozen=True)
class Line:
    """A line without its end.

    Attributes:
        position: byte offset in a plain file, number of the line in a compressed one.
        text: b"" if it is longer than was asked for. length: its bytes.
        cut: whether it breaks off at a damage, which comes next.
    """

    position: int
    text: bytes
    length: int
    cut: bool = False


@dataclass(frozen=True)
class Damage:
    """Bytes that could not be read.

    Attributes:
        position: as of a line; a number of its own.
        offset, lost: in the file.
    """

    position: int
    offset: int
    lost: int
    problem: str


@dataclass
class Enough:
    """Whether so much of a member is blanks and over-long lines that it is read no further."""

    said: bool = False


def lines(path: Path, start: int = 0, end: int | None = None, *, max_bytes: int) -> Iterator[Line | Damage]:
    """The lines of a file that are not blank, with positions in [start, end). A last line needs no end.

    Args:
        start, end: positions: byte offsets of plain files, numbers of lines of compressed ones.
        max_bytes: a longer line is passed over and comes without its text.

    Raises: OSError if the file cannot be read.
    """
    with mapped(path) as view:
        kind = line_packing(view)
        if not kind:
            chunks = (bytes(view[at : at + CHUNK]) for at in range(start, len(view), CHUNK))
            found = _cut(chunks, start, max_bytes, counted=False)
        else:
            enough = Enough()
            found = _cut(_unpacked(Members(view, kind), enough), 0, max_bytes, counted=True, enough=enough)
        for one in found:
            if end is not None and one.position >= end:
                return
            if one.position >= start:
                yield one


def line_packing(view: View) -> str:
    """How a file of lines is compressed: "gzip", "zstd" or ""."""
    return packing(view) or ("" if _is_text(bytes(view[:PROBE])) else damaged_packing(view, _is_text, len(view)))


def _unpacked(members: Members, enough: Enough) -> Iterator[bytes | Damage]:
    """What the members hold, one after the other; of one of which there is enough no more."""
    at = 0
    while at < len(members.view):
        problem = ""
        if members.starts(at):
            member = members.open(at)
            try:
                while not enough.said and (got := member.read(CHUNK)):
                    yield got
            except DamagedMember as damage:
                problem = str(damage)
            reached = member.end
            if enough.said and not member.done:
                following = members.next(reached, _is_text)
                problem = f"more than {MAX_WASTE_BYTES:,} bytes of blanks and over-long lines"
                yield Damage(0, reached, following - reached, problem)
                at, problem = following, ""
                enough.said = False
                continue
            enough.said = False
        else:
            problem, reached = "no compressed data", at
        if problem:
            following = members.after_damage(at, reached, _is_text)
            yield Damage(0, min(reached, following), max(following - reached, 0), problem)
            reached = following
        at = reached


def _is_text(head: bytes) -> bool:
    """Whether a member that starts like this may hold text: UTF-8, but for a last character that is not whole."""
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4
    return bool(head)


def _cut(
    chunks: Iterator[bytes | Damage], at: int, max_bytes: int, *, counted: bool, enough: Enough | None = None
) -> Iterator[Line | Damage]:
    """Lines out of chunks.

    Args:
        at: position of the first line.
        counted: positions are numbers of lines, else offsets.
        enough: is told when a member holds too much that is no line.
    """
    rest = b""  # of a line that has no end yet, and starts at `at`
    passed = 0  # bytes before `rest` of an over-long line that were let go
    waste = 0
    for chunk in chunks:
        if isinstance(chunk, Damage):
            if passed or rest.strip():
                yield replace(_line(at, rest, passed, max_bytes), cut=True)
                at += 1
            rest, passed = b"", 0
            yield replace(chunk, position=at)
            at += 1
            continue
        text = rest + chunk
        whole = text.rfind(b"\n") + 1
        if whole and passed:  # the over-long line ends here
            end = text.find(b"\n")
            yield Line(at, b"", passed + end)
            at += 1 if counted else passed + end + 1
            text, whole, passed = text[end + 1 :], whole - end - 1, 0
        read = 0
        for ink in _INK.finditer(text, 0, whole):
            start = text.rfind(b"\n", read, ink.start()) + 1 or read
            before = text.count(b"\n", read, start) if counted else start - read
            waste += start - read
            at += before
            yield _line(at, text[start : ink.end()], 0, max_bytes)
            at += 1 if counted else ink.end() + 1 - start
            read = ink.end() + 1
            waste += (ink.end() - start) * (ink.end() - start > max_bytes)
        if read < whole:  # blank lines
            at += text.count(b"\n", read, whole) if counted else whole - read
            waste += whole - read
        rest = text[whole:]
        if passed or len(rest) > max_bytes or (rest and rest.isspace()):
            blank = not passed and rest.isspace()
            waste += len(rest)
            if not blank:
                passed += len(rest)
            elif not counted:
                at += len(rest)
            rest = b""
        if waste > MAX_WASTE_BYTES and enough is not None:
            enough.said, waste = True, 0
    if passed or rest.strip():
        yield _line(at, rest, passed, max_bytes)


def _line(position: int, text: bytes, passed: int, max_bytes: int) -> Line:
    length = passed + len(text)
    return Line(position, b"" if length > max_bytes else text, length)

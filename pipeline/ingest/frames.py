"""Where the records of a WARC file begin and end. Framing beats declared lengths.

A record ends where its Content-Length says if what follows there is the end of a record: a blank line, the next record, the end of
the file. If not, the length is wrong, and reading goes on at the next place where a record starts: the next member of a compressed
file that opens one, or the next line `WARC/1.` with a header below. Every byte of the file belongs to one piece, a record or a gap.

Source: WARC 1.1 (ISO 28500:2017), sections 4 and 5, annex D (a member for each record, which is usual and not required).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.ingest.packed import Members, damaged_packing, mapped, packing
from pipeline.ingest.unpacked import MAX_WASTE_BYTES, Plain, Text, Unpacked

MAX_HEAD_BYTES = 1 << 18  # a record's header
KEPT_BYTES = 1 << 22  # text that was read is given back in such amounts
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_START = re.compile(rb"WARC/\d\.\d+[ \t]*\r?\n[!-9;-~]+[ \t]*:")
_BLANK = re.compile(rb"[\r\n]*")
_LENGTH = re.compile(rb"^Content-Length[ \t]*:([^\r\n]*)", re.I | re.M)
_START_BYTES = 256  # of a record are enough to tell that one starts


@dataclass
class Piece:
    """A record, or bytes that are none.

    Attributes:
        offset: in the file; of a compressed file that of the member in which it starts.
        inside: how many records start in that member before it.
        size: bytes of the file that are accounted to it. Pieces of one member share its bytes: the last one has them.
        head: the header, from `WARC/` to the blank line; b"" for a gap.
        block: what follows it; b"" if there is more of it than was asked for.
        length: bytes of the block.
        problem: what is wrong with it; such a record has no block.
        exact: whether it is a record that starts where its member does, so that the file can be cut there.
    """

    offset: int
    inside: int = 0
    size: int = 0
    head: bytes = b""
    block: bytes | memoryview = b""
    length: int = 0
    problem: str = ""
    exact: bool = False


def pieces(path: Path, start: int = 0, end: int | None = None, *, max_block: int) -> Iterator[Piece]:
    """Records and gaps that begin in bytes [start, end) of a WARC file, in order; `start` is the offset of a record, or 0.

    Args:
        max_block: a longer block is passed over; its piece says its length.

    Raises: OSError if the file cannot be read.
    """
    with mapped(path) as view:
        kind = packing(view)
        if not kind and view[:5] != b"WARC/":
            plain = _START.search(view)
            kind = damaged_packing(view, _opens, plain.start() if plain else len(view))
        size = len(view) if end is None else min(end, len(view))
        if not kind:
            yield from _account(_framed(Plain(view, start), size, max_block), start, size)
            return
        members = Members(view, kind)
        yield from _account(_runs(members, start, size, max_block), start, size)


def _runs(members: Members, start: int, end: int, max_block: int) -> Iterator[Piece]:
    """The pieces of one stretch of whole members after the other."""
    at = start
    while at < end:
        text = Unpacked(members, at)
        last: Piece | None = None
        for piece in _framed(text, end, max_block):
            if last is not None:
                yield last
            last = piece
        if text.problem:
            where = text.place(text.at)
            read = text.stop()
            at = members.next(read, _opens) if text.wasted else members.after_damage(where, read, _opens)
            if last is not None and last.offset == where and (last.problem or text.corrupt or text.wasted):
                if last.problem or text.corrupt:  # the damage lies in it
                    last.problem = f"{last.problem}: {text.problem}" if last.problem else text.problem
                    last.block = b""
                yield last
            else:
                if last is not None:
                    yield last
                if where < end:
                    yield Piece(where, problem=text.problem)
        else:
            if last is not None:
                yield last
            return


def _opens(head: bytes) -> bool:
    """Whether a member that starts like this opens a record."""
    return head.startswith(b"WARC/")


def _account(found: Iterator[Piece], start: int, end: int) -> Iterator[Piece]:
    """Each piece with its bytes of the file: up to where the next one starts."""
    last: Piece | None = None
    for piece in found:
        if last is None:
            if piece.offset > start:  # blank lines before the first record
                piece.size = piece.offset - start
        else:
            last.size += piece.offset - last.offset
            piece.inside = last.inside + 1 if piece.offset == last.offset and piece.head else 0
            yield last
        last = piece
    if last is not None:
        last.size += end - last.offset
        yield last
    elif end > start:
        yield Piece(start, size=end - start, problem="nothing but blank lines")


def _framed(text: Text, end: int, max_block: int) -> Iterator[Piece]:
    """Pieces of a text up to the first that starts at or behind offset `end` of the file."""
    while True:
        if text.at > KEPT_BYTES:
            text.forget()
        _skip_blank(text)
        if text.at >= len(text.text) or text.place(text.at) >= end:
            return
        _load(text, _START_BYTES)
        if _START.match(text.text, text.at):
            yield _record(text, max_block)
        else:
            yield _no_record(text, 1)


def _no_record(text: Text, surely: int) -> Piece:
    """What lies between here and the next record, of which `surely` bytes are no start of one."""
    piece = Piece(text.place(text.at))
    text.at += surely
    piece.length = surely + _pass_over(text)
    piece.problem = f"no WARC record: {piece.length:,} bytes passed over"
    return piece


def _skip_blank(text: Text) -> None:
    """Go on to what is no line end; the memory of what was read is given back."""
    while True:
        blank = _BLANK.match(text.text, text.at)
        assert blank is not None
        text.at = blank.end()
        if text.at < len(text.text):
            return
        text.forget()
        if not text.more():
            return


def _load(text: Text, length: int) -> None:
    """Have `length` bytes from where the text stands, or all that there are."""
    while len(text.text) - text.at < length and text.more():
        pass


def _record(text: Text, max_block: int) -> Piece:
    """The record that starts here; a gap if its header has no end."""
    head_end = _HEAD_END.search(text.text, text.at, text.at + MAX_HEAD_BYTES)
    while head_end is None and len(text.text) - text.at < MAX_HEAD_BYTES:
        searched = max(len(text.text) - 3, text.at)
        if not text.more():
            break
        head_end = _HEAD_END.search(text.text, searched, text.at + MAX_HEAD_BYTES)
    piece = Piece(text.place(text.at), exact=text.exact(text.at))
    if head_end is None:
        if len(text.text) - text.at >= MAX_HEAD_BYTES:
            return _no_record(text, MAX_HEAD_BYTES // 2)
        piece.head, piece.problem = bytes(text.text[text.at :]), "record ends in its header"
        text.at = len(text.text)
        return piece
    piece.head = bytes(text.text[text.at : head_end.end()])
    text.at = head_end.end()
    declared = _declared(piece.head)
    if isinstance(declared, str):
        passed = _pass_over(text)
        piece.length, piece.problem = passed, f"Content-Length: {declared}; {passed:,} bytes passed over"
        return piece
    piece.length = declared
    if declared > max_block:
        _long_block(text, piece)
    else:
        _block(text, piece)
    return piece


def _declared(head: bytes) -> int | str:
    """The length that a header declares, or what it says instead. The same one twice is one."""
    values = {v.strip() for found in _LENGTH.findall(head) for v in found.split(b",")}
    if len(values) == 1 and (value := next(iter(values))).isdigit() and len(value) < 19:
        return int(value)
    return b", ".join(sorted(values)).decode("utf-8", "replace")[:100] or "none"


def _block(text: Text, piece: Piece) -> None:
    """Take a block of a size that may be held, if it ends where it should."""
    length = piece.length
    seen = text.at
    while (opened := text.opened(seen, text.at + length)) is None and len(text.text) - text.at < length + 4:
        seen = max(
            text.at, len(text.text)
        )  # a member that opens a record, where this one should go on, is still to come
        if not text.more():
            break
    stop = text.at + length
    if opened is None and stop <= len(text.text) and _ends_well(text, text.at, stop):
        whole = text.text
        piece.block = memoryview(whole)[text.at : stop] if isinstance(whole, bytes) else bytes(whole[text.at : stop])
        text.at = stop
        return
    _wrong(text, piece, opened)


def _ends_well(text: Text, start: int, at: int) -> bool:
    """Whether a block that starts at `start` ends here: in front of a blank line, the next record, a member or the end.

    A blank line before something else may also be one in a record that was swallowed: then a record starts in between.
    """
    tail = bytes(text.text[at : at + 4])
    if not tail:
        return True
    if tail.startswith((b"\r\n\r\n", b"\n\n", b"\n\r\n")):
        ended = _BLANK.match(text.text, at)
        after = ended.end() if ended is not None else at
        follows = bytes(text.text[after : after + 5])
        return not follows or follows == b"WARC/" or _START.search(text.text, start, at) is None
    if text.opened(at, at + 1) is not None or not tail.strip(b"\r\n"):
        return True
    while len(text.text) < at + _START_BYTES and text.more():
        pass
    return any(_START.match(text.text, at + i) for i in range(5))


def _wrong(text: Text, piece: Piece, opened: int | None) -> None:
    """A block that does not end where it should: pass over it to the next record."""
    declared = piece.length
    if opened is not None:
        held = opened - text.at
        text.at = opened
    else:
        held = _pass_over(text)
    piece.length = held
    how = "ends after" if held < declared else "goes on for"
    piece.problem = f"record {how} {held:,} of {declared:,} bytes"


def _long_block(text: Text, piece: Piece) -> None:
    """Pass over a block that is too long to be held."""
    declared = piece.length
    if isinstance(text, Plain):
        stop = text.at + declared
        if stop <= len(text.text) and _ends_well(text, text.at, stop):
            text.at = stop
        else:
            _wrong(text, piece, None)
    elif not piece.exact:  # it ends where the next record starts: there is no second look at it
        _wrong(text, piece, None)
        if declared <= piece.length <= declared + 8:  # with the blank line behind it
            piece.length, piece.problem = declared, ""
    elif not _skipped(text, declared) and not text.wasted:
        text.rewind(piece.offset)
        _load(text, len(piece.head))
        text.at = len(piece.head)
        _wrong(text, piece, None)


def _skipped(text: Unpacked, length: int) -> bool:
    """Go on by the length of a block; whether it ends where it should, and no member on the way opens a record."""
    left = length
    while True:
        here = min(left, len(text.text) - text.at)
        if text.opened(text.at, text.at + here) is not None:
            return False
        text.at += here
        left -= here
        if not left:
            _load(text, 4)
            return _ends_well(text, text.at, text.at)
        text.forget()
        if length - left > MAX_WASTE_BYTES:
            text.give_up("in one record")
        if not text.more():
            return False


def _pass_over(text: Text) -> int:
    """Go to the next place where a record starts, which may be here; returns how many bytes lie before it."""
    passed = 0
    while True:
        end = len(text.text)
        found = _START.search(text.text, text.at)
        opened = text.opened(text.at, end)
        places = [p for p in (found.start() if found else None, opened) if p is not None]
        if places:
            passed += min(places) - text.at
            text.at = min(places)
            return passed
        keep = min(_START_BYTES, end - text.at) if isinstance(text, Unpacked) else 0
        passed += end - keep - text.at
        text.at = end - keep
        text.forget()
        if passed > MAX_WASTE_BYTES and isinstance(text, Unpacked):
            text.give_up("that are no record")
        if not text.more():
            passed += len(text.text) - text.at
            text.at = len(text.text)
            return passed

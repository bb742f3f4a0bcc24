"""The text of a page as it is written, block by block: white space folded, references decoded, places in the source kept.

The block being written is a *draft*, an int64 row: the columns of a block, and after them the draft's own (D).
"""

from __future__ import annotations

from typing import NamedTuple

from pipeline.extract.fast.kernels import tags as T
from pipeline.extract.fast.kernels.compiling import part
from pipeline.extract.fast.kernels.elements import N_BLOCK_COLUMNS, B
from pipeline.extract.fast.kernels.markup import AMPERSAND, CARRIAGE_RETURN, LESS, LINE_FEED, SPACE, TAB, is_space
from pipeline.extract.fast.kernels.references import put_reference

_DOLLAR = ord("$")
_TWO_BYTES, _NO_BREAK_SPACE, _SOFT_HYPHEN = (
    0xC2,
    0xA0,
    0xAD,
)  # first byte in UTF-8 of both characters, and their second ones


class DraftColumns(NamedTuple):
    """Columns of a draft after those of a block."""

    at: int  # end of the text written so far
    is_open: int  # 1 from a block's first character on
    space: int  # 1 if white space was read since the last character
    breaks: int  # <br> since the last character


D = DraftColumns(*range(N_BLOCK_COLUMNS, N_BLOCK_COLUMNS + 4))
N_DRAFT_COLUMNS = N_BLOCK_COLUMNS + len(D)


@part
def put_text(buf, i, end, flags, element, out, draft, references):
    """Write the text buf[i:end] between two tags.

    Args:
        flags: of the element that it stands in; element: row of its block-level element.
        out: bytes of all text; draft: the block being written.
    """
    pre = (flags & T.PRE) != 0
    before = draft[D.at]
    o, start, source_end = before, draft[B.start], draft[B.source_end]
    is_open, space, breaks = draft[D.is_open] != 0, draft[D.space] != 0, draft[D.breaks] != 0
    while i < end:
        c = buf[i]
        wide = c == _TWO_BYTES and i + 1 < end
        if is_space(c) or (wide and buf[i + 1] == _NO_BREAK_SPACE):
            if pre and (is_open or (c != CARRIAGE_RETURN and c != LINE_FEED)):
                if not is_open:
                    is_open, space, start = True, False, o
                    draft[B.start], draft[B.source], draft[B.element] = o, i, element
                if c != CARRIAGE_RETURN:
                    out[o] = SPACE if wide else c
                    o += 1
            else:
                space = True
            i += 2 if wide else 1
            continue
        if not is_open:
            is_open, start = True, o
            draft[B.start], draft[B.source], draft[B.element] = o, i, element
        elif breaks:
            out[o] = LINE_FEED
            o += 1
        elif space and o > start and out[o - 1] != LINE_FEED:
            out[o] = SPACE
            o += 1
        space, breaks = False, False
        if c == AMPERSAND:
            after, written = put_reference(buf, i, end, out, o, references)
            if after == i:
                out[o] = AMPERSAND
                o += 1
                i += 1
            else:
                i = after
                c2 = written - o == 2 and out[o] == _TWO_BYTES
                if (c2 and out[o + 1] == _NO_BREAK_SPACE) or (written - o == 1 and is_space(out[o]) and not pre):
                    space = True
                elif not (c2 and out[o + 1] == _SOFT_HYPHEN):  # which is no text
                    o = written
        elif wide and buf[i + 1] == _SOFT_HYPHEN:
            i += 2
        elif c == 0:
            i += 1
        else:
            out[o] = c
            o += 1
            i += 1
        source_end = i
    draft[D.at], draft[D.is_open], draft[D.space], draft[D.breaks] = o, is_open, space, breaks
    draft[B.source_end] = source_end
    if flags & T.A:
        draft[B.link_bytes] += o - before
    if flags & T.BOLD:
        draft[B.bold_bytes] += o - before
    if flags & T.CODE:
        draft[B.code_bytes] += o - before


@part
def _begin(out, draft, source, element):
    """Begin a block at a character that is no ordinary text, or put the space that is due before it."""
    o = draft[D.at]
    if not draft[D.is_open]:
        draft[D.is_open] = 1
        draft[B.start], draft[B.source], draft[B.element] = o, source, element
    elif draft[D.space] and o > draft[B.start]:
        out[o] = SPACE
        o += 1
    draft[D.space] = 0
    return o


@part
def put_less(i, element, out, draft):
    """Write the '<' at i, which opens nothing and so is text."""
    o = _begin(out, draft, i, element)
    out[o] = LESS
    draft[D.at], draft[B.source_end] = o + 1, i + 1


@part
def put_tex(buf, tag_at, start, end, element, out, draft, references):
    """Write buf[start:end], the TeX of the formula whose tag is at `tag_at`, between dollar signs."""
    o = _begin(out, draft, tag_at, element)
    out[o] = _DOLLAR
    o += 1
    i = start
    while i < end:
        if buf[i] == AMPERSAND:
            after, written = put_reference(buf, i, end, out, o, references)
            if after > i:
                i, o = after, written
                continue
        out[o] = SPACE if is_space(buf[i]) else buf[i]
        o += 1
        i += 1
    out[o] = _DOLLAR
    draft[D.at], draft[B.source_end] = o + 1, end


@part
def break_line(flags, out, draft):
    """A <br>; `flags` of the element that it stands in. Returns whether it ends the block, as the second in a row does."""
    if not draft[D.is_open]:
        return False
    if draft[D.breaks] == 0 and flags & T.PRE:
        out[draft[D.at]] = LINE_FEED
        draft[D.at] += 1
        return False
    draft[D.breaks] += 1
    return draft[D.breaks] > 1


@part
def end_block(out, draft, blocks, n_blocks):
    """Write the draft, less white space at its end, to row n_blocks unless it is empty; begin another. Returns the rows."""
    if draft[D.is_open]:
        start, end = draft[B.start], draft[D.at]
        while end > start and (out[end - 1] == SPACE or out[end - 1] == LINE_FEED or out[end - 1] == TAB):
            end -= 1
        if end > start:
            draft[B.end] = end
            for k in range(N_BLOCK_COLUMNS):
                blocks[n_blocks, k] = draft[k]
            n_blocks += 1
        draft[D.at] = end
        draft[D.is_open] = 0
        draft[B.link_bytes], draft[B.bold_bytes], draft[B.code_bytes] = 0, 0, 0
    draft[B.n_links], draft[B.n_tags], draft[D.space], draft[D.breaks] = 0, 0, 0, 0
    return n_blocks

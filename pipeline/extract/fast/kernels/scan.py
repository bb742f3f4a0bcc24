"""The HTML scanner: bytes in, elements and blocks of text out, in one pass and bounded time.

It follows the HTML standard where that decides which text belongs together (implied end tags, raw text elements,
character references, comments), and leaves out what only a renderer needs (the adoption agency, foster parenting). A
block is a run of text between block-level boundaries, white space folded, its place in the source kept.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.extract.fast.kernels import tags as T
from pipeline.extract.fast.kernels.attributes import JSON_SCRIPT, TEX_SCRIPT, read_attributes
from pipeline.extract.fast.kernels.compiling import part
from pipeline.extract.fast.kernels.elements import MARK, N_BLOCK_COLUMNS, B, E, M, add_element, element_table, grown
from pipeline.extract.fast.kernels.markup import (
    LESS,
    SLASH,
    comment_end,
    is_letter,
    raw_end,
    tag_end,
    tag_name,
    tex_of_math,
)
from pipeline.extract.fast.kernels.nesting import height_after_end, height_after_start
from pipeline.extract.fast.kernels.text import N_DRAFT_COLUMNS, D, break_line, end_block, put_less, put_tex, put_text
from pipeline.text.kernels.bytes import find_byte
from pipeline.text.kernels.tables import find_number

_HTML, _BODY, _P, _BR, _A = (T.TAG[n] for n in ("html", "body", "p", "br", "a"))
_TD, _TH, _TR, _TABLE, _LI = (T.TAG[n] for n in ("td", "th", "tr", "table", "li"))
_META, _LINK, _TIME, _TITLE = (T.TAG[n] for n in ("meta", "link", "time", "title"))
_MATH, _PLAINTEXT = T.TAG["math"], T.TAG["plaintext"]

OK, TOO_MANY_ELEMENTS = 0, 1


@part
def _enter_table(el, row, tag):
    """An element becomes the cell, row or item of what is in it; a table in a cell begins anew."""
    if tag in (_TD, _TH):
        el[row, E.cell] = row
    elif tag == _TR:
        el[row, E.row] = row
    elif tag == _TABLE:
        el[row, E.cell], el[row, E.row] = -1, -1
    elif tag == _LI:
        el[row, E.item] = row


@part
def _stays_open(tag, prop, flags, closes_itself, open_tags):
    """Whether what follows a start tag stands in its element."""
    if prop & (T.VOID | T.RAW) or tag == _HTML or (tag == _BODY and open_tags[_BODY] > 0):
        return False
    return not (closes_itself and (tag == 0 or flags & T.SKIP))


@part
def _mark_of(tag, script, in_link):
    """What kind of mark an element is, -1 if it is none."""
    if tag == _META:
        return MARK.meta
    if tag == _LINK:
        return MARK.link
    if tag == _TIME:
        return MARK.time
    if tag == _HTML:
        return MARK.html
    if tag == _TITLE and not in_link:
        return MARK.title
    return MARK.json if script == JSON_SCRIPT else -1


@part
def _set_mark(marks, row, mark, tag_at, content, content_end):
    """A tag that metadata are read from; for titles and JSON what is in it."""
    inner = mark == MARK.title or mark == MARK.json
    marks[row, M.kind], marks[row, M.start], marks[row, M.end] = mark, content if inner else tag_at, content_end


@part
def _put_formula(buf, el, row, script, tex, tex_end, tag_at, content, content_end, out, draft, references):
    """The TeX of a formula in place of its element: from an attribute, a script, or what is in the element."""
    if script == TEX_SCRIPT:
        tex, tex_end = content, content_end
    elif tex == tex_end:
        tex, tex_end = tex_of_math(buf, content, len(buf))
    if tex_end > tex:
        put_tex(buf, tag_at, tex, tex_end, el[el[row, E.parent], E.block], out, draft, references)
        el[row, E.flags] |= T.SKIP


@njit(cache=True)
def scan(buf, max_elements, tables):
    """Scan a page.

    Args:
        buf: UTF-8 bytes.
        max_elements: a page with more start tags is not scanned to its end.
        tables: of `tags.tables`.

    Returns: (status, elements int32, tokens uint32, blocks int64, text uint8, marks int64); columns E, B, M of `elements`.
    """
    n = len(buf)
    status = OK
    tag_table, tag_numbers = tables.tags
    gives, props, references = tables.gives, tables.props, tables.references
    kinds, closes, respects = tables.kinds, tables.closes, tables.respects
    attributes, roles = tables.attributes, tables.roles
    el, n_el = element_table(buf, max_elements, _HTML), 1
    tokens, n_tokens = np.empty(n, np.uint32), 0  # no byte of a page gives more than one
    blocks, n_blocks = np.zeros((256, N_BLOCK_COLUMNS), np.int64), 0
    marks, n_marks = np.zeros((64, len(M)), np.int64), 0
    out = np.empty(n + n // 4 + 64, np.uint8)
    draft = np.zeros(N_DRAFT_COLUMNS, np.int64)
    stack, top = np.zeros(len(el), np.int32), 0
    open_tags = np.zeros(len(props), np.int32)
    i = 0
    while i < n:
        around = stack[top]
        if buf[i] != LESS or i + 1 >= n:
            after = find_byte(buf, i + 1, n, LESS)
            if not el[around, E.flags] & T.SKIP:
                put_text(buf, i, after, el[around, E.flags], el[around, E.block], out, draft, references)
            i = after
            continue
        after = comment_end(buf, i, n)
        if after > i:
            i = after
            continue
        is_end = buf[i + 1] == SLASH
        name_at = i + 2 if is_end else i + 1
        if name_at >= n or not is_letter(buf[name_at]):
            if not el[around, E.flags] & T.SKIP:
                put_less(i, el[around, E.block], out, draft)
            i += 1
            continue
        j, name, dash = tag_name(buf, name_at, n)
        tag = max(find_number(tag_table, tag_numbers, name), np.int32(0))
        prop = props[tag] if tag else np.int32(T.BLOCK if dash else 0)
        ends_block = (prop & T.BLOCK) != 0
        height, opened = top, -1  # of the stack after this tag; the element that is put on it then
        if is_end:
            i = min(tag_end(buf, j, n) + 1, n)
            if tag in (_HTML, _BODY):
                ends_block = False
            elif open_tags[tag] > 0:
                height = height_after_end(el, stack, top, tag, prop, kinds)
        else:
            if n_el >= len(el):
                status = TOO_MANY_ELEMENTS
                break
            height = height_after_start(el, stack, top, open_tags, tag, prop, kinds, closes, respects)
            flags = el[stack[height], E.flags] | gives[tag]
            if tag == _BODY:
                flags, height = flags & ~T.SKIP, 0
            parent = stack[height]
            first_token, attributes_at = n_tokens, j
            j, own_flags, n_tokens, script, tex, tex_end = read_attributes(
                buf, j, n, tag, attributes, roles, tokens, n_tokens
            )
            if j >= n:
                break  # the input ends inside this tag, which therefore is none
            flags |= own_flags
            row, n_el = n_el, n_el + 1
            add_element(el, row, parent, tag, flags, first_token, n_tokens)
            if ends_block:
                el[row, E.block] = row
            _enter_table(el, row, tag)
            tag_at, content, i = i, j + 1, j + 1
            if _stays_open(tag, prop, flags, buf[j - 1] == SLASH and j > attributes_at, open_tags):
                opened = row
            content_end = content
            if prop & T.RAW:
                content_end = n if tag == _PLAINTEXT else raw_end(buf, content, n, name)
                i = min(tag_end(buf, content_end, n) + 1, n)
            mark = _mark_of(tag, script, el[parent, E.flags] & T.A)
            if mark >= 0:
                if n_marks == len(marks):
                    marks = grown(marks)
                _set_mark(marks, n_marks, mark, tag_at, content, content_end)
                n_marks += 1
            if (tag == _MATH or script == TEX_SCRIPT) and not flags & T.SKIP:
                _put_formula(buf, el, row, script, tex, tex_end, tag_at, content, content_end, out, draft, references)
            if draft[D.is_open]:
                draft[B.n_tags] += 1
            if tag == _A and (draft[D.is_open] or opened >= 0):  # a link that begins before a block's text counts too
                draft[B.n_links] += 1
        if tag == _BR:
            ends_block = break_line(el[around, E.flags], out, draft)
        if ends_block:
            if n_blocks == len(blocks):
                blocks = grown(blocks)
            n_blocks = end_block(out, draft, blocks, n_blocks)
        while top > height:
            open_tags[el[stack[top], E.tag]] -= 1
            top -= 1
        if opened >= 0:
            top += 1
            stack[top] = opened
            open_tags[tag] += 1
    if n_blocks == len(blocks):
        blocks = grown(blocks)
    n_blocks = end_block(out, draft, blocks, n_blocks)
    return (
        status,
        el[:n_el].copy(),
        tokens[:n_tokens].copy(),
        blocks[:n_blocks].copy(),
        out[: draft[D.at]].copy(),
        marks[:n_marks].copy(),
    )

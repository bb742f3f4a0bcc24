"""The tables that a scanned page is made of: elements, blocks of text, marks. Their columns have names here and nowhere else.

A table is a NumPy array with a row per thing; a class lists its columns, an instance of it numbers them, so that `el[e, E.parent]`
reads as what it means and costs what a number costs. Elements are int32: children have larger rows than their parents. Blocks
and marks are int64: they hold places in the page.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from pipeline.extract.fast.kernels.compiling import part
from pipeline.extract.fast.kernels.markup import LESS


class ElementColumns(NamedTuple):
    """Columns of the table of elements."""

    tag: int  # its place in tags.NAMES, 0 for a name that is not there
    parent: int  # row of the element around it, -1 for the first one
    block: int  # row of the nearest block-level element, this one included
    depth: int  # elements around it
    flags: int  # what it stands in, this element included: flags of `tags`
    first_token: int  # its names are tokens[first_token : first_token + n_tokens]
    n_tokens: int
    cell: int  # row of the nearest td or th of the same table, this one included; -1 if there is none
    row: int  # the same for tr
    item: int  # the same for li


class BlockColumns(NamedTuple):
    """Columns of the table of blocks."""

    start: int  # its text is text[start:end]
    end: int
    element: int  # row of the block-level element that it began in
    source: int  # it comes from page[source:source_end]
    source_end: int
    link_bytes: int  # bytes of its text that stand in links
    bold_bytes: int  # ... in b or strong
    n_links: int  # start tags of links in it
    code_bytes: int  # bytes of its text that stand in code, samp or kbd
    n_tags: int  # start tags in it


class MarkColumns(NamedTuple):
    """Columns of the table of marks: places that facts about the page are read from."""

    kind: int
    start: int  # bytes of the page: the tag itself, or the content of title and JSON-LD
    end: int


class MarkKinds(NamedTuple):
    """What a mark is on."""

    meta: int
    link: int
    title: int
    json: int  # a script with JSON-LD
    time: int
    html: int


E = ElementColumns(*range(10))
B = BlockColumns(*range(10))
M = MarkColumns(*range(3))
MARK = MarkKinds(*range(6))
N_BLOCK_COLUMNS = len(B)


@njit(cache=True)
def element_table(page, max_elements, root_tag):
    """Table with a row for every start tag of a page (a '<' each, at most `max_elements`), the first one filled in."""
    room = 2
    for byte in page:
        if byte == LESS:
            room += 1
    el = np.zeros((min(room, max_elements), len(E)), np.int32)
    el[0, E.tag], el[0, E.parent] = root_tag, -1
    el[0, E.cell], el[0, E.row], el[0, E.item] = -1, -1, -1
    return el


@part
def add_element(el, row, parent, tag, flags, first_token, token_end):
    """Fill in a row; its block, cell, row and item are its parent's until it is set as one itself."""
    el[row, E.tag], el[row, E.parent], el[row, E.depth] = tag, parent, el[parent, E.depth] + 1
    el[row, E.flags], el[row, E.block] = flags, el[parent, E.block]
    el[row, E.first_token], el[row, E.n_tokens] = first_token, token_end - first_token
    el[row, E.cell], el[row, E.row], el[row, E.item] = el[parent, E.cell], el[parent, E.row], el[parent, E.item]


@njit(cache=True)
def grown(table):
    """A table of twice the rows, those that there were copied."""
    more = np.zeros((2 * len(table), table.shape[1]), table.dtype)
    more[: len(table)] = table
    return more

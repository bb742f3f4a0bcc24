"""What features compare a block with: sums over elements, the main element, groups of blocks alike, copies, windows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from pipeline.extract.fast.kernels import tags as T
from pipeline.extract.fast.kernels.compiling import part
from pipeline.extract.fast.kernels.elements import B, E
from pipeline.extract.fast.kernels.statistics import S
from pipeline.extract.fast.kernels.words import mix

FIRST_TEXT_LEVELS = 12  # elements around a block whose first text it can be
MAIN_SHARE = 0.6  # of the mass of an element that a child has to hold to be followed
GROUP_LEVELS = 3  # elements whose names tell groups apart


class SumColumns(NamedTuple):
    """Sums over the blocks of an element."""

    units: int
    link_units: int
    blocks: int
    p_units: int
    terminal: int
    path: int  # units * path score
    mass: int  # units outside links * how likely they look like content
    text: int  # units * text score


class GroupSumColumns(NamedTuple):
    """Sums over a group of blocks."""

    blocks: int
    units: int
    link_units: int
    path: int
    text: int
    place: int


class WindowColumns(NamedTuple):
    """Sums over the blocks before a block; the difference of two rows is that of the blocks between."""

    units: int
    path: int
    text: int
    link_units: int


SUM = SumColumns(*range(8))
GROUP_SUM = GroupSumColumns(*range(6))
WINDOW = WindowColumns(*range(4))


@njit(cache=True)
def sums_of_elements(el, blocks, stats, path, text):
    """float64 (n, 8), columns SUM, over all blocks in each element and the elements in it."""
    sums = np.zeros((len(el), len(SUM)), np.float64)
    for b in range(len(blocks)):
        e = blocks[b, B.element]
        u, link = stats[b, S.units], stats[b, S.link]
        s = sums[e]
        s[SUM.units] += u
        s[SUM.link_units] += u * link
        s[SUM.blocks] += 1
        s[SUM.p_units] += u if el[e, E.flags] & T.PARAGRAPH else 0.0
        s[SUM.terminal] += stats[b, S.terminal]
        s[SUM.path] += u * path[b]
        s[SUM.mass] += u * (1.0 - link) / (1.0 + np.exp(-(path[b] + text[b])))
        s[SUM.text] += u * text[b]
    for e in range(len(el) - 1, 0, -1):
        parent = el[e, E.parent]
        for k in range(len(SUM)):
            sums[parent, k] += sums[e, k]
    return sums


@njit(cache=True)
def first_texts(el, blocks, text):
    """Text score of the first block of each element, float64 (n,)."""
    first = np.zeros(len(el), np.float64)
    for b in range(len(blocks) - 1, -1, -1):
        up = blocks[b, B.element]
        for _ in range(FIRST_TEXT_LEVELS):
            first[up] = text[b]
            up = el[up, E.parent]
            if up < 0:
                break
    return first


@njit(cache=True)
def main_element(el, sums):
    """(row of the main element, bool (n,) what is inside): down from the root while one child holds most of the mass."""
    n = len(el)
    best = np.full(n, -1, np.int32)
    for e in range(1, n):
        parent = el[e, E.parent]
        if best[parent] < 0 or sums[e, SUM.mass] > sums[best[parent], SUM.mass]:
            best[parent] = e
    main = np.int32(0)
    while (
        best[main] > 0
        and sums[best[main], SUM.mass] > MAIN_SHARE * sums[main, SUM.mass]
        and sums[best[main], SUM.blocks] > 1
    ):
        main = best[main]
    inside = np.zeros(n, np.bool_)
    inside[main] = True
    for e in range(main + 1, n):
        inside[e] = inside[el[e, E.parent]]
    return main, inside


@part
def _group_key(el, tokens, e):
    """Hash of the tag and the first name of an element and of those around it."""
    key = np.uint64(el[e, E.tag] + 1)
    up = e
    for _ in range(GROUP_LEVELS):
        if el[up, E.n_tokens] > 0:
            key = mix(key, np.uint64(tokens[el[up, E.first_token]]))
        up = el[up, E.parent]
        if up < 0:
            break
        key = mix(key, np.uint64(el[up, E.tag] + 1))
    return key | np.uint64(1)


@part
def _table_size(m):
    size = 16
    while size < 3 * m:
        size *= 2
    return size


@njit(cache=True)
def groups_of_blocks(el, tokens, blocks, stats, path, text):
    """Groups of blocks alike in place: (int32 (m,) each block's group, float64 (groups, 6) sums, columns GROUP_SUM)."""
    m = len(blocks)
    size = _table_size(m)
    keys, numbers = np.zeros(size, np.uint64), np.full(size, -1, np.int32)
    group = np.zeros(m, np.int32)
    sums = np.zeros((m, len(GROUP_SUM)), np.float64)
    n = 0
    for b in range(m):
        key = _group_key(el, tokens, blocks[b, B.element])
        at = np.int64(key >> np.uint64(32)) % size
        while numbers[at] >= 0 and keys[at] != key:
            at = (at + 1) % size
        if numbers[at] < 0:
            numbers[at], keys[at] = n, key
            n += 1
        group[b] = numbers[at]
        u = stats[b, S.units]
        s = sums[group[b]]
        s[GROUP_SUM.blocks] += 1
        s[GROUP_SUM.units] += u
        s[GROUP_SUM.link_units] += u * stats[b, S.link]
        s[GROUP_SUM.path] += path[b]
        s[GROUP_SUM.text] += text[b]
        s[GROUP_SUM.place] += b
    return group, sums[:n]


@njit(cache=True)
def copies_of_blocks(stats):
    """Blocks of the same words: (int32 (m,) how many there are of each, int32 (m,) how many of them come before it)."""
    m = len(stats)
    size = _table_size(m)
    keys, firsts = np.zeros(size, np.float64), np.full(size, -1, np.int32)
    first, copies, number = np.zeros(m, np.int32), np.zeros(m, np.int32), np.zeros(m, np.int32)
    for b in range(m):
        key = stats[b, S.hash]
        at = np.int64(key) % size
        while firsts[at] >= 0 and keys[at] != key:
            at = (at + 1) % size
        if firsts[at] < 0:
            firsts[at], keys[at] = b, key
        first[b] = firsts[at]
        number[b] = copies[first[b]]
        copies[first[b]] += 1
    return copies[first], number


@njit(cache=True)
def window_sums(stats, path, text):
    """float64 (m + 1, 4), columns WINDOW: row b sums the blocks before b."""
    m = len(stats)
    before = np.zeros((m + 1, len(WINDOW)), np.float64)
    for b in range(m):
        u = stats[b, S.units]
        before[b + 1, WINDOW.units] = before[b, WINDOW.units] + u
        before[b + 1, WINDOW.path] = before[b, WINDOW.path] + u * path[b]
        before[b + 1, WINDOW.text] = before[b, WINDOW.text] + u * text[b]
        before[b + 1, WINDOW.link_units] = before[b, WINDOW.link_units] + u * stats[b, S.link]
    return before

"""From features to text: boosted trees, the choice of blocks, and the joined text with the source ranges it took."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.extract.fast.kernels import tags as T
from pipeline.extract.fast.kernels.compiling import part
from pipeline.extract.fast.kernels.elements import B, E

CAUTION = 0.85
COPY_UNITS = 8.0

_LI, _UL, _OL, _DT, _DD = (T.TAG[n] for n in ("li", "ul", "ol", "dt", "dd"))


@njit(cache=True)
def trees(x, roots, feature, threshold, child, value, depth):
    """Sum of the leaves that each row reaches.

    All rows take one step at a time, `depth` steps in all, so that no branch depends on data: a leaf is its own child.

    Args:
        x: float32 (m, features).
        roots: first node of each tree.
        feature, threshold: of each node; go right where x > threshold. A leaf has an infinite threshold.
        child: left child of each node, the right one follows it; value: of each leaf.
        depth: of the deepest leaf.

    Returns: float64 (m,), to be read as log-odds.
    """
    m = len(x)
    out = np.zeros(m, np.float64)
    node = np.empty(m, np.int32)
    for r in range(len(roots)):
        node[:] = roots[r]
        for _ in range(depth):
            for i in range(m):
                k = node[i]
                node[i] = child[k] + np.int32(x[i, feature[k]] > threshold[k])
        for i in range(m):
            out[i] += value[node[i]]
    return out


@njit(cache=True)
def choose(units, odds, bias, hashes):
    """The blocks whose expected F1 is best: the longest prefix by probability that maximises it.

    With weights u and probabilities p, taking a set S gives an expected F1 of 2 * sum(u p over S) /
    (sum(u over S) + sum(u p over all)); the best S is a prefix in the order of p. The sum over all counts CAUTION
    times: blocks of a page are right or wrong together, so the plain formula takes a little too much.

    Args:
        units: words of each block.
        odds: log-odds of each block.
        bias: added to all log-odds.
        hashes: of each block's words. Of equal blocks of at least COPY_UNITS words (a page's mobile and desktop
            versions) only the one with the best odds can be taken, the first of several.

    Returns: (bool (m,), expected F1).
    """
    m = len(odds)
    chosen = np.zeros(m, np.bool_)
    if m == 0:
        return chosen, 0.0
    p = 1.0 / (1.0 + np.exp(-(odds + bias)))
    u = np.maximum(units, 0.3)
    by_hash = np.argsort(hashes, kind="mergesort")
    best_copy = by_hash[0]
    for k in range(1, m):
        i = by_hash[k]
        if hashes[i] != hashes[best_copy] or units[i] < COPY_UNITS:
            best_copy = i
        elif odds[i] > odds[best_copy]:
            p[best_copy] = 0.0
            best_copy = i
        else:
            p[i] = 0.0
    total = np.sum(u * p)
    order = np.argsort(-p, kind="mergesort")
    hit, size, best, best_k, expected = 0.0, 0.0, -1.0, 0, 0.0
    for k in range(m):
        i = order[k]
        hit += u[i] * p[i]
        size += u[i]
        f1 = 2.0 * hit / (size + CAUTION * total)
        if f1 > best:
            best, best_k, expected = f1, k, 2.0 * hit / (size + total)
    for k in range(best_k + 1):
        chosen[order[k]] = p[order[k]] > 0.0
    return chosen, expected


@part
def _list_depth(el, item):
    depth = 0
    up = el[item, E.parent]
    for _ in range(40):
        if up < 0:
            break
        tag = el[up, E.tag]
        if tag in (_UL, _OL):
            depth += 1
        up = el[up, E.parent]
    return max(depth, 1)


@part
def _put(out, at, c):
    out[at] = c
    return at + 1


@njit(cache=True)
def join(el, blocks, text, chosen):
    """The text of the chosen blocks: paragraphs apart by a blank line, list items and table rows by a line.

    A list item begins with "- ", indented by the depth of its list; the cells of a row are joined by " | ";
    preformatted text keeps its lines and indentation.

    Returns: (UTF-8 bytes uint8, source ranges int64 (k, 2)) with ranges of neighbouring blocks merged.
    """
    m = len(blocks)
    size = 64
    for b in range(m):
        if chosen[b]:
            size += blocks[b, B.end] - blocks[b, B.start] + 96
    out = np.empty(size, np.uint8)
    ranges = np.zeros((m + 1, 2), np.int64)
    o, n_ranges = 0, 0
    previous, previous_b = -1, -2
    for b in range(m):
        if not chosen[b]:
            continue
        e = blocks[b, B.element]
        cell, row, item = el[e, E.cell], el[e, E.row], el[e, E.item]
        new_item = item >= 0 and (previous < 0 or el[previous, E.item] != item)
        if previous >= 0:
            p_cell, p_row, p_item = el[previous, E.cell], el[previous, E.row], el[previous, E.item]
            both_cells = cell == e and p_cell == previous
            lines = 2
            if both_cells and row >= 0 and row == p_row:
                lines = 0
            elif (
                (both_cells and row >= 0 and p_row >= 0 and el[row, E.parent] == el[p_row, E.parent])
                or (item >= 0 and p_item >= 0)
                or (el[e, E.tag] in (_DT, _DD) and el[previous, E.tag] in (_DT, _DD))
                or (e == previous and el[e, E.flags] & T.PRE)
            ):
                lines = 1
            if lines == 0:
                o = _put(out, _put(out, _put(out, o, 32), 124), 32)
            for _ in range(lines):
                o = _put(out, o, 10)
        if new_item:
            for _ in range(2 * (min(_list_depth(el, item), 9) - 1)):
                o = _put(out, o, 32)
            o = _put(out, _put(out, o, 45), 32)
        start, end = blocks[b, B.start], blocks[b, B.end]
        out[o : o + end - start] = text[start:end]
        o += end - start
        if previous_b == b - 1 and n_ranges:
            ranges[n_ranges - 1, 1] = blocks[b, B.source_end]
        else:
            ranges[n_ranges, 0], ranges[n_ranges, 1] = blocks[b, B.source], blocks[b, B.source_end]
            n_ranges += 1
        previous, previous_b = e, b
    return out[:o].copy(), ranges[:n_ranges].copy()

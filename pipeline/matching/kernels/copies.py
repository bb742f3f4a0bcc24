"""Groups of documents that share keys, and the choice of what to drop in them. Documents are ranks: 0 is kept first."""

from __future__ import annotations

import numpy as np
from numba import njit

NOBODY = np.uint32(0xFFFFFFFF)


@njit(cache=True)
def linked_pairs(high, low, rank, kept):
    """Pairs of a document and one before it that may be its copy, for every key that two have.

    In a run of equal keys each document is paired with the first one and with the one just before it.

    Args:
        high: uint64, ascending. low: uint64, further bits of the keys, or empty.
        rank: uint32, document of each key.
        kept: uint32; for documents that are decided already (ranks below len(kept)) who stands for them, NOBODY where
            nobody does. They come first in rank, and are never the later one of a pair.

    Returns: uint64, later << 32 | earlier, in any order, pairs may repeat.
    """
    out = np.empty(1024, np.uint64)
    n = 0
    i = 0
    while i < len(high):
        j = i + 1
        while j < len(high) and high[j] == high[i]:
            j += 1
        if j - i > 1:
            ranks = rank[i:j].copy()
            lows = np.zeros(0, np.uint64)
            if len(low):
                order = np.argsort(ranks, kind="mergesort")
                ranks = ranks[order]
                lows = low[i:j][order]
                order = np.argsort(lows, kind="mergesort")
                ranks, lows = ranks[order], lows[order]
            else:
                ranks.sort()
            if n + 2 * (j - i) > len(out):
                grown = np.empty(2 * max(len(out), n + 2 * (j - i)), np.uint64)
                grown[:n] = out[:n]
                out = grown
            first = 0
            for k in range(1, len(ranks)):
                if len(lows) and lows[k] != lows[k - 1]:
                    first = k
                if k == first or ranks[k] < len(kept):
                    continue
                later = np.uint64(ranks[k]) << np.uint64(32)
                best = kept[ranks[first]] if ranks[first] < len(kept) else ranks[first]
                before = kept[ranks[k - 1]] if ranks[k - 1] < len(kept) else ranks[k - 1]
                if best != NOBODY and best != ranks[k]:
                    out[n] = later | np.uint64(best)
                    n += 1
                if before != NOBODY and before != best and before != ranks[k]:
                    out[n] = later | np.uint64(before)
                    n += 1
        i = j
    return out[:n]


@njit(cache=True)
def _root(parent, x):
    while parent[x] != x:
        parent[x] = parent[parent[x]]
        x = parent[x]
    return x


@njit(cache=True)
def join(parent, pairs):
    """Union-find over pairs (later << 32 | earlier); the root of a group is its first document."""
    for p in pairs:
        a, b = _root(parent, np.int64(p >> np.uint64(32))), _root(parent, np.int64(p & np.uint64(0xFFFFFFFF)))
        if a < b:
            parent[b] = a
        elif b < a:
            parent[a] = b


@njit(cache=True)
def fill_buckets(parent, size, room):
    """Bucket of every document of a group with two or more, -1 for the others: groups are never cut, and a bucket takes
    further ones, in the order of their first documents, until its sizes reach `room`."""
    n = len(parent)
    weight = np.zeros(n, np.int64)
    for x in range(n):
        weight[_root(parent, x)] += size[x]
    bucket = np.full(n, -1, np.int32)
    several = np.zeros(n, np.bool_)
    for x in range(n):
        root = parent[x] if parent[parent[x]] == parent[x] else _root(parent, x)
        if root != x:
            several[root] = True
    now, filled = 0, 0
    for x in range(n):
        if not several[x] or _root(parent, x) != x:
            continue
        if filled and filled + weight[x] > room:
            now += 1
            filled = 0
        bucket[x] = now
        filled += weight[x]
    for x in range(n):
        root = _root(parent, x)
        if root != x:
            bucket[x] = bucket[root]
    return bucket


@njit(cache=True)
def shared(a, b):
    """Common values of two ascending arrays of distinct ones."""
    i = j = both = 0
    while i < len(a) and j < len(b):
        x, y = a[i], b[j]
        both += x == y
        i += x <= y
        j += y <= x
    return both


@njit(cache=True)
def decide(first, pairs_to, offsets, values, min_jaccard, min_containment):
    """Who is kept for whom, among documents numbered in the order of rank.

    A document is dropped when one that is kept resembles it: |A ∩ B| / |A ∪ B| >= min_jaccard, or, where min_containment
    is above 0, |A ∩ B| / |A| >= min_containment with A the document to drop. Of several keepers the most similar one is
    named, the first of equals.

    Args:
        first, pairs_to: the candidates of document d, all before it, are pairs_to[first[d]:first[d + 1]], ascending.
        offsets, values: feature sets, ascending; empty arrays where sharing a key is proof enough.

    Returns: (keeper, itself where kept; Jaccard; containment; pairs that held; pairs that did not).
    """
    n = len(first) - 1
    keeper = np.arange(n)
    jaccards = np.zeros(n)
    contained = np.zeros(n)
    held = refused = 0
    for d in range(n):
        found = np.empty(first[d + 1] - first[d], np.int64)
        for i in range(len(found)):
            found[i] = keeper[pairs_to[first[d] + i]]
        found.sort()
        best = -1
        for i in range(len(found)):
            other = found[i]
            if i and other == found[i - 1]:
                continue
            one = whole = 1.0
            if len(offsets):
                a, b = values[offsets[d] : offsets[d + 1]], values[offsets[other] : offsets[other + 1]]
                both = shared(a, b)
                either = len(a) + len(b) - both
                one = both / either if either else 0.0
                whole = both / len(a) if len(a) else 0.0
            if one < min_jaccard and (min_containment <= 0.0 or whole < min_containment):
                refused += 1
                continue
            held += 1
            if best < 0 or one > jaccards[d]:
                best, jaccards[d], contained[d] = other, one, whole
        if best >= 0:
            keeper[d] = best
    return keeper, jaccards, contained, held, refused

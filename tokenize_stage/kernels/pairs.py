"""Pairs of tokens while merges are chosen: a record for each, and a heap of those that may come next.

A record has four numbers: the pair's key (left id << 32 | right id), how often it occurs, and two that `bpe_train` works with:
the last word in which it was met, and in how many. An entry of the heap has the count that was true when it was made, the key, the
words in which the pair is looked for (a list in a pool), and the number of the record.
"""

from __future__ import annotations

import numpy as np
from numba import njit

U1, U32 = np.uint64(1), np.uint64(32)
A = np.uint64(0x9E3779B97F4A7C15)
# Columns of a pair's record, and of an entry of the heap
KEY, TOTAL, LAST, MET, RECORD_COLUMNS = range(5)
COUNT, PAIR_KEY, LIST, PAIR, HEAP_COLUMNS = range(5)
SIZE_BITS = 30  # of a list's length; above them where it begins
SIZE_MASK = (1 << SIZE_BITS) - 1


@njit(cache=True, inline="always")
def pair_key(left, right):
    return (np.int64(left) << 32) | np.int64(right)


@njit(cache=True, inline="always")
def spread(key):
    h = np.uint64(key) * A
    return h ^ (h >> U32)


# Not a table of `pipeline.text.kernels.tables`: a slot holds the number alone and the key lies in the record, which every caller
# reads next. There are millions of pairs, and slots that grow with them: twelve bytes instead of four would miss the cache more.
@njit(cache=True, inline="always")
def find_pair(key, slots, pairs):
    """(slot, number) of a pair, number -1 where it is new; `slots` has room."""
    mask = np.uint64(len(slots) - 1)
    s = spread(key) & mask
    while slots[s] >= 0:
        if pairs[slots[s], KEY] == key:
            return s, slots[s]
        s = (s + U1) & mask
    return s, np.int32(-1)


@njit(cache=True)
def add_pair(key, s, slots, pairs, n):
    """A new pair in slot s, with number n; returns (slots, pairs), either grown."""
    if n == len(pairs):
        pairs = longer_rows(pairs, n + n // 2)
    pairs[n, KEY], pairs[n, TOTAL], pairs[n, LAST], pairs[n, MET] = key, 0, -1, 0
    slots[s] = n
    if 2 * (n + 1) > len(slots):
        more_slots = np.full(2 * len(slots), -1, np.int32)
        mask = np.uint64(len(more_slots) - 1)
        for i in range(n + 1):
            s = spread(pairs[i, KEY]) & mask
            while more_slots[s] >= 0:
                s = (s + U1) & mask
            more_slots[s] = i
        slots = more_slots
    return slots, pairs


@njit(cache=True)
def longer(array, size):
    out = np.empty(size, array.dtype)
    out[: len(array)] = array
    return out


@njit(cache=True)
def longer_rows(table, rows):
    """The same in more rows."""
    out = np.empty((rows, table.shape[1]), table.dtype)
    out[: len(table)] = table
    return out


@njit(cache=True, inline="always")
def _before(heap, a, b):
    return heap[a, COUNT] > heap[b, COUNT] or (
        heap[a, COUNT] == heap[b, COUNT] and heap[a, PAIR_KEY] < heap[b, PAIR_KEY]
    )


@njit(cache=True)
def sift_up(heap, i):
    """The most frequent pair stands first, of equal ones that with the smaller ids."""
    count, key, words, pair = heap[i, 0], heap[i, 1], heap[i, 2], heap[i, 3]
    while i:
        up = (i - 1) >> 1
        if heap[up, COUNT] > count or (heap[up, COUNT] == count and heap[up, PAIR_KEY] < key):
            break
        heap[i, 0], heap[i, 1], heap[i, 2], heap[i, 3] = heap[up, 0], heap[up, 1], heap[up, 2], heap[up, 3]
        i = up
    heap[i, 0], heap[i, 1], heap[i, 2], heap[i, 3] = count, key, words, pair


@njit(cache=True)
def sift_down(heap, n):
    count, key, words, pair = heap[0, 0], heap[0, 1], heap[0, 2], heap[0, 3]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= n:
            break
        if child + 1 < n and _before(heap, child + 1, child):
            child += 1
        if heap[child, COUNT] < count or (heap[child, COUNT] == count and heap[child, PAIR_KEY] > key):
            break
        heap[i, 0], heap[i, 1], heap[i, 2], heap[i, 3] = heap[child, 0], heap[child, 1], heap[child, 2], heap[child, 3]
        i = child
    heap[i, 0], heap[i, 1], heap[i, 2], heap[i, 3] = count, key, words, pair


@njit(cache=True)
def compact(heap, n, pool):
    """The lists of all entries in a pool without the holes that finished ones left; a ninth of it is free."""
    total = 0
    for i in range(n):
        total += heap[i, LIST] & SIZE_MASK
    out = np.empty(total + total // 8 + 1024, np.int32)
    at = 0
    for i in range(n):
        begin, size = heap[i, LIST] >> SIZE_BITS, heap[i, LIST] & SIZE_MASK
        out[at : at + size] = pool[begin : begin + size]
        heap[i, LIST] = (at << SIZE_BITS) | size
        at += size
    return out, at

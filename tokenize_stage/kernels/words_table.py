"""A table of byte strings, for counting pre-tokens and for remembering how they were encoded.

A string is known by 128 bits: its bytes and their number where it has at most 15 of them, else a hash, marked as one (two
long strings are taken for one with probability 2^-120). Slots have four numbers: the key and two values. Tables grow at
half their room; a key's second number is never 0, which marks an empty slot.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.kernels.bytes import load8

SHORT = 15  # bytes of the longest string that is its own key
U0, U1, U8, U16, U56 = (np.uint64(n) for n in (0, 1, 8, 16, 56))
U3, U32 = np.uint64(3), np.uint64(32)
A, B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
BY_SIZE = np.uint64(36)  # where the size begins in the second value of a long string
PLACE = np.uint64((1 << 36) - 1)
LONG = np.uint64(0xFF) << np.uint64(56)
NOT_HERE = np.uint64(0xFFFFFFFFFFFFFFFF)


@njit(cache=True, inline="always")
def _mask(n):
    """The lowest n bytes set, n < 8."""
    return (U1 << (n << U3)) - U1


@njit(cache=True)
def _slow_key(data, i, n):
    """As `key_of`, byte by byte: at the end of a buffer, and for long strings."""
    lo, hi = U0, U0
    if n <= np.uint64(SHORT):
        for k in range(n):
            byte = np.uint64(data[i + np.uint64(k)])
            if k < 8:
                lo |= byte << np.uint64(8 * k)
            else:
                hi |= byte << np.uint64(8 * (k - 8))
        return lo, hi | (n << U56)
    lo, hi = n * A, n ^ B
    k, end = i, i + n
    while k + U8 <= end:
        block = load8(data, k)
        lo = (lo ^ block) * A
        lo ^= lo >> U32
        hi = (hi + block) * B
        hi ^= hi >> np.uint64(29)
        k += U8
    rest = U0
    while k < end:
        rest = (rest << U8) | np.uint64(data[k])
        k += U1
    lo = (lo ^ rest) * A
    hi = (hi + rest) * B
    hi ^= lo >> U32
    return lo ^ (lo >> U32), hi | LONG


@njit(cache=True, inline="always")
def key_of(data, i, n, room):
    """The key (two uint64) of the n bytes at i; `room` = len(data) as uint64."""
    if n > np.uint64(SHORT) or i + U16 > room:
        return _slow_key(data, i, n)
    lo = load8(data, i)
    if n < U8:
        return lo & _mask(n), n << U56
    return lo, (load8(data, i + U8) & _mask(n - U8)) | (n << U56)


@njit(cache=True, inline="always")
def slot_of(lo, hi, mask):
    """Where the search for a key begins."""
    h = (lo ^ (hi * B)) * A
    return (h ^ (h >> U32)) & mask


@njit(cache=True)
def look_up(table, data, at, ends, n, found):
    """Slots of n strings, the first of which begins at `at`, into `found` (uint64); NOT_HERE where the first slot that a
    string may have is not its own. These reads do not wait for one another, as those of one search after the other would."""
    mask, room = np.uint64(len(table) - 1), np.uint64(len(data))
    for k in range(n):
        end = ends[k]
        lo, hi = key_of(data, at, end - at, room)
        s = slot_of(lo, hi, mask)
        found[k] = s if table[s, 0] == lo and table[s, 1] == hi else NOT_HERE
        at = end


@njit(cache=True)
def new_table(slots):
    """Room for half so many keys; `slots` is a power of two."""
    return np.zeros((slots, 4), np.uint64)


@njit(cache=True)
def grown(table):
    """The same in twice the room."""
    out = np.zeros((2 * len(table), 4), np.uint64)
    mask = np.uint64(len(out) - 1)
    for i in range(len(table)):
        if table[i, 1]:
            s = slot_of(table[i, 0], table[i, 1], mask)
            while out[s, 1]:
                s = (s + U1) & mask
            out[s] = table[i]
    return out


@njit(cache=True)
def add_word(table, used, pool, pool_size, data, i, n, count):
    """Add `count` to the n bytes at i; returns (table, used, pool, pool_size), any of them grown.

    Values: the count, and for a long string where its bytes begin in `pool`, its number of bytes above bit 36.
    """
    lo, hi = key_of(data, i, n, np.uint64(len(data)))
    mask = np.uint64(len(table) - 1)
    s = slot_of(lo, hi, mask)
    while table[s, 1]:
        if table[s, 0] == lo and table[s, 1] == hi:
            table[s, 2] += np.uint64(count)
            return table, used, pool, pool_size
        s = (s + U1) & mask
    table[s, 0], table[s, 1], table[s, 2] = lo, hi, np.uint64(count)
    if n > np.uint64(SHORT):
        if pool_size + np.int64(n) > len(pool):
            more = np.empty(2 * len(pool) + np.int64(n), np.uint8)
            more[:pool_size] = pool[:pool_size]
            pool = more
        for k in range(np.int64(n)):
            pool[pool_size + k] = data[i + np.uint64(k)]
        table[s, 3] = np.uint64(pool_size) | (n << BY_SIZE)
        pool_size += np.int64(n)
    used += 1
    if 2 * used > len(table):
        table = grown(table)
    return table, used, pool, pool_size


@njit(cache=True)
def add_words(flat, offsets, counts, table, used, pool, pool_size):
    """Add words (flat[offsets[i]:offsets[i + 1]], counts[i]) that were counted elsewhere."""
    for w in range(len(counts)):
        at = np.uint64(offsets[w])
        n = np.uint64(offsets[w + 1]) - at
        table, used, pool, pool_size = add_word(table, used, pool, pool_size, flat, at, n, counts[w])
    return table, used, pool, pool_size


@njit(cache=True)
def words_of_table(table, used, pool):
    """(bytes one after the other, offsets, counts) of all words, in the order of their slots."""
    offsets = np.zeros(used + 1, np.int64)
    counts = np.empty(used, np.int64)
    total = np.int64(0)
    for s in range(len(table)):
        if table[s, 1]:
            size = table[s, 1] >> U56
            total += np.int64(size) if size <= np.uint64(SHORT) else np.int64(table[s, 3] >> BY_SIZE)
    flat = np.empty(total, np.uint8)
    w = 0
    at = np.int64(0)
    for s in range(len(table)):
        if not table[s, 1]:
            continue
        size = table[s, 1] >> U56
        if size <= np.uint64(SHORT):
            for k in range(np.int64(size)):
                word = table[s, 0] if k < 8 else table[s, 1]
                flat[at + k] = np.uint8((word >> np.uint64(8 * (k & 7))) & np.uint64(0xFF))
            at += np.int64(size)
        else:
            n, begin = np.int64(table[s, 3] >> BY_SIZE), np.int64(table[s, 3] & PLACE)
            flat[at : at + n] = pool[begin : begin + n]
            at += n
        counts[w] = np.int64(table[s, 2])
        w += 1
        offsets[w] = at
    return flat, offsets, counts

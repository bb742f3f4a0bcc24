"""What encoding remembers: the ids of pre-tokens met before.

A slot has two numbers. The key is a pre-token of at most seven bytes itself, with its length in the last byte, or a longer one's
63-bit hash (a million different ones share one with probability 5e-8). The value holds up to three ids of 20 bits, or where more
of them begin in a pool.

Not a table of `pipeline.text.kernels.tables`: key and value lie side by side, so that four slots fit into a line of the cache,
which is what encoding waits for.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.kernels.bytes import load8

U0, U1, U3, U7, U8, U16, U32, U56 = (np.uint64(n) for n in (0, 1, 3, 7, 8, 16, 32, 56))
U4, U24, U44 = (np.uint64(n) for n in (4, 24, 44))
ID = np.uint64(0xFFFFF)
LONG = np.uint64(1) << np.uint64(63)  # marks the key of more than seven bytes
IN_POOL = np.uint64(4)  # in the three lowest bits of a value, instead of a number of ids from 1 to 3
POOL_PLACE = np.uint64((1 << 40) - 1)
A, B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
# Columns of a slot
KEY, VALUE, SLOT_COLUMNS = range(3)


@njit(cache=True)
def _rare_key(data, i, n):
    """As `key_of`: of few bytes at the end of a buffer, or of more than 16."""
    if n <= U7:
        key = n << U56
        for k in range(n):
            key |= np.uint64(data[i + np.uint64(k)]) << np.uint64(8 * k)
        return key
    h = n * B
    k, end = i, i + n
    while k + U8 <= end:
        h = (h ^ load8(data, k)) * A
        h ^= h >> U32
        k += U8
    h = (h ^ load8(data, end - U8)) * B  # overlaps what came before: no byte is left out
    return (h ^ (h >> U32)) | LONG


@njit(cache=True, inline="always")
def key_of(data, i, n, room):
    """The key of the n bytes at i; `room` = len(data) as uint64."""
    if n <= U7:
        if i + U8 <= room:
            return (load8(data, i) & ((U1 << (n << U3)) - U1)) | (n << U56)
    elif n <= U16:
        h = ((n * B) ^ load8(data, i)) * A
        h ^= h >> U32
        h = (h ^ load8(data, i + n - U8)) * B
        return (h ^ (h >> U32)) | LONG
    return _rare_key(data, i, n)


@njit(cache=True, inline="always")
def slot_of(key, mask):
    h = key * A
    return (h ^ (h >> U32)) & mask


@njit(cache=True)
def grown(table):
    """The same memory in twice the room."""
    out = np.zeros((2 * len(table), SLOT_COLUMNS), np.uint64)
    mask = np.uint64(len(out) - 1)
    for i in range(len(table)):
        if table[i, VALUE]:
            s = slot_of(table[i, KEY], mask)
            while out[s, VALUE]:
                s = (s + U1) & mask
            out[s, KEY], out[s, VALUE] = table[i, KEY], table[i, VALUE]
    return out


@njit(cache=True)
def remember(table, s, key, ids, n, pool, pool_size):
    """Fill slot s with ids[:n]; returns (pool, pool_size)."""
    if n <= 3:
        value = np.uint64(n) | (np.uint64(ids[0]) << U4)
        if n > 1:
            value |= np.uint64(ids[1]) << U24
        if n > 2:
            value |= np.uint64(ids[2]) << U44
    else:
        if pool_size + n > len(pool):
            more = np.empty(2 * (len(pool) + n), np.uint32)
            more[:pool_size] = pool[:pool_size]
            pool = more
        for k in range(n):
            pool[pool_size + k] = ids[k]
        value = IN_POOL | (np.uint64(pool_size) << U4) | (np.uint64(n) << U44)
        pool_size += n
    table[s, KEY], table[s, VALUE] = key, value
    return pool, pool_size


@njit(cache=True)
def recall(table, hot, data, at, ends, n, keys, found):
    """Keys of n pre-tokens, the first of which begins at `at`, and values where the first slot that one may have is its own,
    else 0.

    `hot` is a small memory that holds, in each slot, the pre-token that was met last of those that fall there: the common ones
    are found in it, near the processor. Reads do not wait for one another, as those of one search after the other would.
    """
    mask, near, room = np.uint64(len(table) - 1), np.uint64(len(hot) - 1), np.uint64(len(data))
    for k in range(n):
        end = ends[k]
        key = key_of(data, at, end - at, room)
        keys[k] = key
        h = key * A
        h ^= h >> U32
        s = h & near
        if hot[s, KEY] == key:
            found[k] = hot[s, VALUE]
        else:
            h &= mask
            value = table[h, VALUE] if table[h, KEY] == key else U0
            found[k] = value
            if value:
                hot[s, KEY], hot[s, VALUE] = key, value
        at = end


@njit(cache=True)
def new_memory(words, offsets, ids, known):
    """(table, used, pool, pool_size) that already has some pre-tokens.

    Args:
        words, offsets: their bytes. ids: int64, one for each: a tokenizer that takes a pre-token whole if it has it.
        known: how many of them.
    """
    table, used = np.zeros((1 << 16, SLOT_COLUMNS), np.uint64), 0
    pool, pool_size = np.empty(1 << 12, np.uint32), 0
    room = np.uint64(len(words))
    one = np.empty(1, np.int64)
    for w in range(known):
        at = np.uint64(offsets[w])
        key = key_of(words, at, np.uint64(offsets[w + 1]) - at, room)
        mask = np.uint64(len(table) - 1)
        s = slot_of(key, mask)
        while table[s, VALUE] and table[s, KEY] != key:
            s = (s + U1) & mask
        if table[s, VALUE]:
            continue
        one[0] = ids[w]
        pool, pool_size = remember(table, s, key, one, 1, pool, pool_size)
        used += 1
        if 3 * used > 2 * len(table):
            table = grown(table)
    return table, used, pool, pool_size

"""Merging the bytes of one pre-token by the ranks of a tokenizer's merges."""

from __future__ import annotations

import numpy as np
from numba import njit

U1, U20, U24, U32, U44 = (np.uint64(n) for n in (1, 20, 24, 32, 44))
A = np.uint64(0x9E3779B97F4A7C15)
EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
U_RANK = np.uint64(0xFFFFFF)
NO_RANK = np.int64(1) << 24
LEAST_NONE = NO_RANK << 7
LAST = np.int64(1) << 40  # of a place without a pair
LINEAR = 128  # bytes up to which the least rank is looked for among all places; 7 bits
MAX_IDS, MAX_MERGES = 1 << 20, 1 << 24
# Columns of a tokenizer's merges, in the order of rank
LEFT, RIGHT, MADE = range(3)


@njit(cache=True)
def pair_table(merges):
    """An open-addressing table of merges, uint64: left id << 44 | right id << 24 | rank, EMPTY where there is none.

    Not a table of `pipeline.text.kernels.tables`: pair and rank fit into one number, and so a look-up reads one cache line.

    Args:
        merges: int64 (n, 3), columns LEFT, RIGHT, MADE, in the order of rank; n < 2^24, ids < 2^20.
    """
    room = 1 << 10
    while room < 2 * len(merges):
        room *= 2
    table = np.full(room, EMPTY, np.uint64)
    mask = np.uint64(room - 1)
    for rank in range(len(merges)):
        key = (np.uint64(merges[rank, LEFT]) << U20) | np.uint64(merges[rank, RIGHT])
        h = key * A
        s = (h ^ (h >> U32)) & mask
        while table[s] != EMPTY and table[s] >> U24 != key:
            s = (s + U1) & mask
        table[s] = (key << U24) | np.uint64(rank)  # of a pair listed twice the last counts
    return table


@njit(cache=True, inline="always")
def _rank_of(left, right, pairs):
    """Rank of a pair, NO_RANK if it is not merged."""
    mask = np.uint64(len(pairs) - 1)
    key = (np.uint64(left) << U20) | np.uint64(right)
    h = key * A
    s = (h ^ (h >> U32)) & mask
    while pairs[s] >> U24 != key and pairs[s] != EMPTY:
        s = (s + U1) & mask
    return np.int64(pairs[s] & U_RANK) if pairs[s] != EMPTY else NO_RANK


@njit(cache=True)
def byte_pairs(byte_ids, pairs):
    """Ranks of every two bytes, int32 (65536,): most look-ups are these."""
    out = np.empty(1 << 16, np.int32)
    for a in range(256):
        for b in range(256):
            out[(a << 8) | b] = _rank_of(byte_ids[a], byte_ids[b], pairs)
    return out


@njit(cache=True)
def _close_up(ids, n, after):
    """Move the ids that are left of a linked list of n to the front; returns how many there are."""
    left = k = 0
    while k < n:
        ids[left] = ids[k]
        left += 1
        k = after[k]
    return left


@njit(cache=True)
def merge_short(data, i, n, ids, work, byte_ids, two_bytes, pairs, made):
    """Ids of the n <= LINEAR bytes at i, into `ids`: the least rank is merged first, of equal ones the leftmost; returns how
    many there are.

    Args:
        work: int64 (3, LINEAR): rank << 7 | place of the pair that begins at a place; the places after and before it.
        made: the new id of every rank.
    """
    ranks, after, before = work[0], work[1], work[2]
    for k in range(n):
        ids[k] = byte_ids[data[i + np.uint64(k)]]
        after[k], before[k] = k + 1, k - 1
    for k in range(n - 1):
        two = (np.int64(data[i + np.uint64(k)]) << 8) | np.int64(data[i + np.uint64(k + 1)])
        ranks[k] = (np.int64(two_bytes[two]) << 7) | k
    ranks[n - 1] = LAST
    while True:
        least = LAST
        for k in range(n):
            least = min(least, ranks[k])
        if least >= LEAST_NONE:
            break
        at = least & 127
        ids[at] = made[least >> 7]
        gone = after[at]
        ranks[gone] = LAST
        nxt = after[gone]
        after[at] = nxt
        if nxt < n:
            before[nxt] = at
            ranks[at] = (_rank_of(ids[at], ids[nxt], pairs) << 7) | at
        else:
            ranks[at] = LAST
        p = before[at]
        if p >= 0:
            ranks[p] = (_rank_of(ids[p], ids[at], pairs) << 7) | p
    return _close_up(ids, n, after)


@njit(cache=True)
def merge_long(ids, n, pairs, made):
    """The same, for ids[:n] in place, in O(n log n): a heap of (rank, place) over a linked list."""
    after = np.arange(1, n + 1)
    before = np.arange(-1, n - 1)
    heap = np.empty(2 * n + 16, np.int64)  # rank << 32 | place
    size = 0
    for k in range(n - 1):
        rank = _rank_of(ids[k], ids[k + 1], pairs)
        if rank < NO_RANK:
            size = _push(heap, size, (rank << 32) | k)
    while size:
        top = heap[0]
        size -= 1
        if size:
            _settle(heap, size, heap[size])
        k = top & 0xFFFFFFFF
        nxt = after[k]
        if ids[k] < 0 or nxt >= n or _rank_of(ids[k], ids[nxt], pairs) != top >> 32:
            continue
        ids[k] = made[top >> 32]
        ids[nxt] = -1
        after[k] = after[nxt]
        if size + 2 > len(heap):
            heap = np.concatenate((heap, np.empty(size, np.int64)))
        if after[k] < n:
            before[after[k]] = k
            rank = _rank_of(ids[k], ids[after[k]], pairs)
            if rank < NO_RANK:
                size = _push(heap, size, (rank << 32) | k)
        if before[k] >= 0:
            rank = _rank_of(ids[before[k]], ids[k], pairs)
            if rank < NO_RANK:
                size = _push(heap, size, (rank << 32) | before[k])
    return _close_up(ids, n, after)


@njit(cache=True)
def _push(heap, size, value):
    i = size
    while i and heap[(i - 1) >> 1] > value:
        heap[i] = heap[(i - 1) >> 1]
        i = (i - 1) >> 1
    heap[i] = value
    return size + 1


@njit(cache=True)
def _settle(heap, size, value):
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = value

"""Byte-pair encoding of texts: pre-tokens from a table of those met before, merged anew where one is not there.

A slot of the table (see `words_table`) holds the key of a pre-token, and in its two values the number of its ids with the
first four of them (28 bits each), or above four where they begin in a pool.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.core.kernels.pretokens import PIECES, split_some
from pipeline.core.kernels.words_table import grown, key_of, new_table, slot_of

U0, U1, U4, U8, U32 = np.uint64(0), np.uint64(1), np.uint64(4), np.uint64(8), np.uint64(32)
FULL = np.uint64(0xFFFFFFFFFFFFFFFF)
U20, U24, U28, U36 = np.uint64(20), np.uint64(24), np.uint64(28), np.uint64(36)
ID = np.uint64(0xFFFFFFF)
A = np.uint64(0x9E3779B97F4A7C15)
EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
U_RANK = np.uint64(0xFFFFFF)
NO_RANK = np.int64(1) << 24
LEAST_NONE = NO_RANK << 7
LAST = np.int64(1) << 40  # of a place without a pair
LINEAR = 128  # bytes up to which the least rank is looked for among all places; 7 bits
HOT = 1 << 14  # slots of the small table in front: 512 KiB
SLACK = 4  # ids that may be written behind the last one
MAX_IDS, MAX_MERGES = 1 << 20, 1 << 24


@njit(cache=True)
def pair_table(merges):  # type: ignore[no-untyped-def]
    """An open-addressing table of merges, uint64: left id << 44 | right id << 24 | rank, EMPTY where there is none.

    Args:
        merges: int64 (n, 3): left, right, new id, in the order of rank; n < 2^24, ids < 2^20.
    """
    room = 1 << 10
    while room < 2 * len(merges):
        room *= 2
    table = np.full(room, EMPTY, np.uint64)
    mask = np.uint64(room - 1)
    for rank in range(len(merges)):
        key = (np.uint64(merges[rank, 0]) << U20) | np.uint64(merges[rank, 1])
        h = key * A
        s = (h ^ (h >> U32)) & mask
        while table[s] != EMPTY and table[s] >> U24 != key:
            s = (s + U1) & mask
        table[s] = (key << U24) | np.uint64(rank)  # of a pair listed twice the last counts
    return table


@njit(cache=True, inline="always")
def _rank_of(left, right, pairs):  # type: ignore[no-untyped-def]
    """Rank of a pair, NO_RANK if it is not merged."""
    mask = np.uint64(len(pairs) - 1)
    key = (np.uint64(left) << U20) | np.uint64(right)
    h = key * A
    s = (h ^ (h >> U32)) & mask
    while pairs[s] >> U24 != key and pairs[s] != EMPTY:
        s = (s + U1) & mask
    return np.int64(pairs[s] & U_RANK) if pairs[s] != EMPTY else NO_RANK


@njit(cache=True)
def byte_pairs(byte_ids, pairs):  # type: ignore[no-untyped-def]
    """Ranks of every two bytes, int32 (65536,): most look-ups are these."""
    out = np.empty(1 << 16, np.int32)
    for a in range(256):
        for b in range(256):
            out[(a << 8) | b] = _rank_of(byte_ids[a], byte_ids[b], pairs)
    return out


@njit(cache=True)
def _merge_short(data, i, n, ids, work, byte_ids, two_bytes, pairs, made):  # type: ignore[no-untyped-def]
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
    left = k = 0
    while k < n:
        ids[left] = ids[k]
        left += 1
        k = after[k]
    return left


@njit(cache=True)
def _merge_long(ids, n, pairs, made):  # type: ignore[no-untyped-def]
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
    left = k = 0
    while k < n:
        ids[left] = ids[k]
        left += 1
        k = after[k]
    return left


@njit(cache=True)
def _push(heap, size, value):  # type: ignore[no-untyped-def]
    i = size
    while i and heap[(i - 1) >> 1] > value:
        heap[i] = heap[(i - 1) >> 1]
        i = (i - 1) >> 1
    heap[i] = value
    return size + 1


@njit(cache=True)
def _settle(heap, size, value):  # type: ignore[no-untyped-def]
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


@njit(cache=True)
def _remember(table, s, lo, hi, ids, n, pool, pool_size):  # type: ignore[no-untyped-def]
    """Fill slot s with ids[:n]; returns (pool, pool_size)."""
    first = second = np.uint64(0)
    if n <= 4:
        first = np.uint64(ids[0]) << U8
        if n > 1:
            first |= np.uint64(ids[1]) << U36
        if n > 2:
            second = np.uint64(ids[2])
        if n > 3:
            second |= np.uint64(ids[3]) << U28
        first |= np.uint64(n)
    else:
        if pool_size + n > len(pool):
            more = np.empty(2 * (len(pool) + n), np.uint32)
            more[:pool_size] = pool[:pool_size]
            pool = more
        for k in range(n):
            pool[pool_size + k] = ids[k]
        first = np.uint64(255) | (np.uint64(n) << U8)
        second = np.uint64(pool_size)
        pool_size += n
    table[s, 0], table[s, 1], table[s, 2], table[s, 3] = lo, hi, first, second
    return pool, pool_size


@njit(cache=True)
def _recall(table, hot, data, at, ends, n, first, second):  # type: ignore[no-untyped-def]
    """Values of n pre-tokens, the first of which begins at `at`, where the first slot that it may have is its own; else 0.

    `hot` is a small table that holds, in each slot, the pre-token that was met last of those that fall there: the common ones
    are found in it, near the processor. Reads do not wait for one another, as those of one search after the other would.
    """
    mask, near, room = np.uint64(len(table) - 1), np.uint64(len(hot) - 1), np.uint64(len(data))
    for k in range(n):
        end = ends[k]
        lo, hi = key_of(data, at, end - at, room)
        s = slot_of(lo, hi, FULL)
        h = s & near
        if hot[h, 0] == lo and hot[h, 1] == hi:
            first[k], second[k] = hot[h, 2], hot[h, 3]
        else:
            s &= mask
            if table[s, 0] == lo and table[s, 1] == hi:
                one, two = table[s, 2], table[s, 3]
                hot[h, 0], hot[h, 1], hot[h, 2], hot[h, 3] = lo, hi, one, two
                first[k], second[k] = one, two
            else:
                first[k] = U0
        at = end


@njit(cache=True)
def encode(  # type: ignore[no-untyped-def]
    data, offsets, classes, rule, byte_ids, two_bytes, pairs, made, table, used, pool, pool_size, most, out
):
    """Ids of all texts.

    Args:
        data, offsets: texts, UTF-8 (other bytes are encoded too). classes, rule: see `pretokens`.
        byte_ids: int64 (256,), id of every byte. two_bytes, pairs: from `byte_pairs`, `pair_table`. made: int32, the new
            id of every merge.
        table, used, pool, pool_size: what is remembered, as `new_memory` and earlier calls gave it.
        most: slots that are filled at most; pre-tokens met later are merged each time.
        out: uint16 or uint32, SLACK longer than `data`.

    Returns: (ends of the texts' ids in `out`, int64; table, used, pool, pool_size).
    """
    n_docs = len(offsets) - 1
    ends = np.empty(n_docs, np.int64)
    room = np.uint64(len(data))
    o = np.uint64(0)
    mask = np.uint64(len(table) - 1)
    pieces = np.empty(PIECES, np.uint64)
    firsts, seconds = np.empty(PIECES, np.uint64), np.empty(PIECES, np.uint64)
    hot = np.zeros((HOT, 4), np.uint64)
    ids, work = np.empty(LINEAR, np.int64), np.empty((3, LINEAR), np.int64)
    for d in range(n_docs):
        place, end = np.uint64(offsets[d]), np.uint64(offsets[d + 1])
        while place < end:
            i = place
            n_pieces, place = split_some(data, place, end, classes, rule, pieces)
            _recall(table, hot, data, i, pieces, n_pieces, firsts, seconds)
            for p in range(n_pieces):
                j = pieces[p]
                first, second = firsts[p], seconds[p]
                count = first & np.uint64(255)
                if count - U1 < U4:  # always four, of which `count` count: no branch to guess
                    out[o] = (first >> U8) & ID
                    out[o + U1] = (first >> U36) & ID
                    out[o + np.uint64(2)] = second & ID
                    out[o + np.uint64(3)] = (second >> U28) & ID
                    o += count
                    i = j
                    continue
                lo, hi = key_of(data, i, j - i, room)
                s = slot_of(lo, hi, mask)
                while table[s, 1] and (table[s, 0] != lo or table[s, 1] != hi):
                    s = (s + U1) & mask
                if not table[s, 1]:
                    n = np.int64(j - i)
                    if n > len(ids):
                        ids = np.empty(2 * n, np.int64)
                    if n <= LINEAR:
                        n = _merge_short(data, i, n, ids, work, byte_ids, two_bytes, pairs, made)
                    else:
                        for k in range(n):
                            ids[k] = byte_ids[data[i + np.uint64(k)]]
                        n = _merge_long(ids, n, pairs, made)
                    for k in range(n):
                        out[o + np.uint64(k)] = ids[k]
                    o += np.uint64(n)
                    if used < most:
                        pool, pool_size = _remember(table, s, lo, hi, ids, n, pool, pool_size)
                        used += 1
                        if 2 * used > len(table):
                            table = grown(table)
                            mask = np.uint64(len(table) - 1)
                else:
                    first, second = table[s, 2], table[s, 3]
                    count = first & np.uint64(255)
                    if count <= U4:
                        out[o] = (first >> U8) & ID
                        out[o + U1] = (first >> U36) & ID
                        out[o + np.uint64(2)] = second & ID
                        out[o + np.uint64(3)] = (second >> U28) & ID
                    else:
                        count = first >> U8
                        for k in range(count):
                            out[o + np.uint64(k)] = pool[second + np.uint64(k)]
                    o += count
                i = j
        ends[d] = np.int64(o)
    return ends, table, used, pool, pool_size


@njit(cache=True)
def new_memory(words, offsets, ids, known):  # type: ignore[no-untyped-def]
    """(table, used, pool, pool_size) that already has some pre-tokens.

    Args:
        words, offsets: their bytes. ids: int64, one for each: a tokenizer that takes a pre-token whole if it has it.
        known: how many of them.
    """
    table, used = new_table(1 << 16), 0
    pool, pool_size = np.empty(1 << 12, np.uint32), 0
    room = np.uint64(len(words))
    one = np.empty(1, np.int64)
    for w in range(known):
        at = np.uint64(offsets[w])
        lo, hi = key_of(words, at, np.uint64(offsets[w + 1]) - at, room)
        mask = np.uint64(len(table) - 1)
        s = slot_of(lo, hi, mask)
        while table[s, 1] and (table[s, 0] != lo or table[s, 1] != hi):
            s = (s + U1) & mask
        if table[s, 1]:
            continue
        one[0] = ids[w]
        pool, pool_size = _remember(table, s, lo, hi, one, 1, pool, pool_size)
        used += 1
        if 2 * used > len(table):
            table = grown(table)
    return table, used, pool, pool_size


@njit(cache=True)
def decode(ids, spelled, offsets):  # type: ignore[no-untyped-def]
    """The bytes of ids: token t is spelled[offsets[t]:offsets[t + 1]]."""
    total = 0
    for t in ids:
        total += offsets[np.int64(t) + 1] - offsets[np.int64(t)]
    out = np.empty(total, np.uint8)
    at = 0
    for t in ids:
        for k in range(offsets[np.int64(t)], offsets[np.int64(t) + 1]):
            out[at] = spelled[k]
            at += 1
    return out

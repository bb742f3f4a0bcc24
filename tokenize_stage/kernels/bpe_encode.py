"""Byte-pair encoding of texts: pre-tokens from a table of those met before, merged anew where one is not there.

A slot of the memory has two numbers. The key is a pre-token of at most seven bytes itself, with its length in the last byte,
or a longer one's 63-bit hash (a million different ones share one with probability 5e-8). The value holds up to three ids of 20
bits, or where more of them begin in a pool. Four slots fit into a line of the cache, which is what encoding waits for.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.kernels.bytes import load8
from tokenize_stage.kernels.pretokens import PIECES, split_some

U0, U1, U3, U7, U8, U16, U32, U56 = (np.uint64(n) for n in (0, 1, 3, 7, 8, 16, 32, 56))
U4, U20, U24, U44 = (np.uint64(n) for n in (4, 20, 24, 44))
ID = np.uint64(0xFFFFF)
LONG = np.uint64(1) << np.uint64(63)  # marks the key of more than seven bytes
IN_POOL = np.uint64(4)  # in the three lowest bits of a value, instead of a number of ids from 1 to 3
A, B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
U_RANK = np.uint64(0xFFFFFF)
NO_RANK = np.int64(1) << 24
LEAST_NONE = NO_RANK << 7
LAST = np.int64(1) << 40  # of a place without a pair
LINEAR = 128  # bytes up to which the least rank is looked for among all places; 7 bits
LONGEST = np.uint64(1 << 12)  # bytes of a pre-token that is remembered
HOT = 1 << 14  # slots of the small table in front: 256 KiB
POOL_PLACE = np.uint64((1 << 40) - 1)
SLACK = 3  # ids that may be written behind the last one
MAX_IDS, MAX_MERGES = 1 << 20, 1 << 24


@njit(cache=True)
def pair_table(merges):
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
def _merge_short(data, i, n, ids, work, byte_ids, two_bytes, pairs, made):
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
def _merge_long(ids, n, pairs, made):
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


@njit(cache=True)
def _rare_key(data, i, n):
    """As `_key`: of few bytes at the end of a buffer, or of more than 16."""
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
def _key(data, i, n, room):
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
def _slot(key, mask):
    h = key * A
    return (h ^ (h >> U32)) & mask


@njit(cache=True)
def _grown(table):
    """The same memory in twice the room."""
    out = np.zeros((2 * len(table), 2), np.uint64)
    mask = np.uint64(len(out) - 1)
    for i in range(len(table)):
        if table[i, 1]:
            s = _slot(table[i, 0], mask)
            while out[s, 1]:
                s = (s + U1) & mask
            out[s, 0], out[s, 1] = table[i, 0], table[i, 1]
    return out


@njit(cache=True)
def _remember(table, s, key, ids, n, pool, pool_size):
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
    table[s, 0], table[s, 1] = key, value
    return pool, pool_size


@njit(cache=True)
def _recall(table, hot, data, at, ends, n, keys, found):
    """Keys of n pre-tokens, the first of which begins at `at`, and values where the first slot that one may have is its own,
    else 0.

    `hot` is a small memory that holds, in each slot, the pre-token that was met last of those that fall there: the common ones
    are found in it, near the processor. Reads do not wait for one another, as those of one search after the other would.
    """
    mask, near, room = np.uint64(len(table) - 1), np.uint64(len(hot) - 1), np.uint64(len(data))
    for k in range(n):
        end = ends[k]
        key = _key(data, at, end - at, room)
        keys[k] = key
        h = key * A
        h ^= h >> U32
        s = h & near
        if hot[s, 0] == key:
            found[k] = hot[s, 1]
        else:
            h &= mask
            value = table[h, 1] if table[h, 0] == key else U0
            found[k] = value
            if value:
                hot[s, 0], hot[s, 1] = key, value
        at = end


@njit(cache=True)
def encode(data, offsets, classes, rule, byte_ids, two_bytes, pairs, made, table, used, pool, pool_size, most, out):
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
    o = np.uint64(0)
    mask = np.uint64(len(table) - 1)
    pieces = np.empty(PIECES, np.uint64)
    word_keys, found = np.empty(PIECES, np.uint64), np.empty(PIECES, np.uint64)
    hot = np.zeros((HOT, 2), np.uint64)
    ids, work = np.empty(LINEAR, np.int64), np.empty((3, LINEAR), np.int64)
    for d in range(n_docs):
        place, end = np.uint64(offsets[d]), np.uint64(offsets[d + 1])
        while place < end:
            i = place
            n_pieces, place = split_some(data, place, end, classes, rule, pieces)
            _recall(table, hot, data, i, pieces, n_pieces, word_keys, found)
            for p in range(n_pieces):
                j = pieces[p]
                value = found[p]
                count = value & U7
                if count - U1 < U3:  # always three, of which `count` count: no branch to guess
                    out[o] = (value >> U4) & ID
                    out[o + U1] = (value >> U24) & ID
                    out[o + U1 + U1] = value >> U44
                    o += count
                    i = j
                    continue
                s = _slot(word_keys[p], mask)
                while table[s, 1] and table[s, 0] != word_keys[p]:
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
                    if used < most and j - i <= LONGEST:
                        pool, pool_size = _remember(table, s, word_keys[p], ids, n, pool, pool_size)
                        used += 1
                        if 3 * used > 2 * len(table):
                            table = _grown(table)
                            mask = np.uint64(len(table) - 1)
                else:
                    value = table[s, 1]
                    count = value & U7
                    if count == IN_POOL:
                        count, begin = value >> U44, (value >> U4) & POOL_PLACE
                        for k in range(count):
                            out[o + np.uint64(k)] = pool[begin + np.uint64(k)]
                    else:
                        out[o] = (value >> U4) & ID
                        out[o + U1] = (value >> U24) & ID
                        out[o + U1 + U1] = value >> U44
                    o += count
                i = j
        ends[d] = np.int64(o)
    return ends, table, used, pool, pool_size


@njit(cache=True)
def new_memory(words, offsets, ids, known):
    """(table, used, pool, pool_size) that already has some pre-tokens.

    Args:
        words, offsets: their bytes. ids: int64, one for each: a tokenizer that takes a pre-token whole if it has it.
        known: how many of them.
    """
    table, used = np.zeros((1 << 16, 2), np.uint64), 0
    pool, pool_size = np.empty(1 << 12, np.uint32), 0
    room = np.uint64(len(words))
    one = np.empty(1, np.int64)
    for w in range(known):
        at = np.uint64(offsets[w])
        key = _key(words, at, np.uint64(offsets[w + 1]) - at, room)
        mask = np.uint64(len(table) - 1)
        s = _slot(key, mask)
        while table[s, 1] and table[s, 0] != key:
            s = (s + U1) & mask
        if table[s, 1]:
            continue
        one[0] = ids[w]
        pool, pool_size = _remember(table, s, key, one, 1, pool, pool_size)
        used += 1
        if 3 * used > 2 * len(table):
            table = _grown(table)
    return table, used, pool, pool_size


@njit(cache=True)
def decode(ids, spelled, offsets):
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

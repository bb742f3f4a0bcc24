"""Byte-pair encoding of texts: pre-tokens from a memory of those met before, merged anew where one is not there."""

from __future__ import annotations

import numpy as np
from numba import njit

from tokenize_stage.kernels.memory import (
    ID,
    IN_POOL,
    KEY,
    POOL_PLACE,
    SLOT_COLUMNS,
    U1,
    U3,
    U4,
    U7,
    U24,
    U44,
    VALUE,
    grown,
    recall,
    remember,
    slot_of,
)
from tokenize_stage.kernels.merging import LINEAR, merge_long, merge_short
from tokenize_stage.kernels.pretokens import PIECES, split_some

LONGEST = np.uint64(1 << 12)  # bytes of a pre-token that is remembered
HOT = 1 << 14  # slots of the small table in front: 256 KiB
SLACK = 3  # ids that may be written behind the last one


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
    hot = np.zeros((HOT, SLOT_COLUMNS), np.uint64)
    ids, work = np.empty(LINEAR, np.int64), np.empty((3, LINEAR), np.int64)
    for d in range(n_docs):
        place, end = np.uint64(offsets[d]), np.uint64(offsets[d + 1])
        while place < end:
            i = place
            n_pieces, place = split_some(data, place, end, classes, rule, pieces)
            recall(table, hot, data, i, pieces, n_pieces, word_keys, found)
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
                s = slot_of(word_keys[p], mask)
                while table[s, VALUE] and table[s, KEY] != word_keys[p]:
                    s = (s + U1) & mask
                if not table[s, VALUE]:
                    n = np.int64(j - i)
                    if n > len(ids):
                        ids = np.empty(2 * n, np.int64)
                    if n <= LINEAR:
                        n = merge_short(data, i, n, ids, work, byte_ids, two_bytes, pairs, made)
                    else:
                        for k in range(n):
                            ids[k] = byte_ids[data[i + np.uint64(k)]]
                        n = merge_long(ids, n, pairs, made)
                    for k in range(n):
                        out[o + np.uint64(k)] = ids[k]
                    o += np.uint64(n)
                    if used < most and j - i <= LONGEST:
                        pool, pool_size = remember(table, s, word_keys[p], ids, n, pool, pool_size)
                        used += 1
                        if 3 * used > 2 * len(table):
                            table = grown(table)
                            mask = np.uint64(len(table) - 1)
                else:
                    value = table[s, VALUE]
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

"""Byte-pair encoding: counting pre-tokens, and choosing merges (Gage 1994; Sennrich, Haddow and Birch 2016).

The choice follows the trainer of Hugging Face's `tokenizers` step by step, so that vocabulary and merges are the same, also
their order: always the most frequent pair, of equal ones that with the smaller ids. What it does in corner cases is
followed too: a pair is looked up only in the words that are on its entry's list, and a token that two merges spell alike is
one token.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tokenize_stage.kernels.pretokens import PIECES, split_some
from tokenize_stage.kernels.words_table import NOT_HERE, add_word, look_up

U1, U32 = np.uint64(1), np.uint64(32)
A = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True)
def count_pretokens(data, offsets, classes, rule, table, used, pool, pool_size):
    """Count the pre-tokens of all texts into a table of `words_table`; returns it as `add_word` does."""
    ends, found = np.empty(PIECES, np.uint64), np.empty(PIECES, np.uint64)
    for d in range(len(offsets) - 1):
        i, end = np.uint64(offsets[d]), np.uint64(offsets[d + 1])
        while i < end:
            at = i
            n, i = split_some(data, i, end, classes, rule, ends)
            room = len(table)
            look_up(table, data, at, ends, n, found)
            for k in range(n):
                if found[k] != NOT_HERE and room == len(table):
                    table[found[k], 2] += U1
                else:
                    table, used, pool, pool_size = add_word(table, used, pool, pool_size, data, at, ends[k] - at, 1)
                at = ends[k]
    return table, used, pool, pool_size


# Columns of a pair's record, and of an entry of the heap
KEY, TOTAL, LAST, MET = range(4)
COUNT, PAIR_KEY, LIST, PAIR = range(4)
SIZE_BITS = 30  # of a list's length; above them where it begins
SIZE_MASK = (1 << SIZE_BITS) - 1


@njit(cache=True, inline="always")
def _spread(key):
    h = np.uint64(key) * A
    return h ^ (h >> U32)


@njit(cache=True, inline="always")
def _find(key, slots, pairs):
    """(slot, number) of a pair, number -1 where it is new; `slots` has room."""
    mask = np.uint64(len(slots) - 1)
    s = _spread(key) & mask
    while slots[s] >= 0:
        if pairs[slots[s], KEY] == key:
            return s, slots[s]
        s = (s + U1) & mask
    return s, np.int32(-1)


@njit(cache=True)
def _add_pair(key, s, slots, pairs, n):
    """A new pair in slot s, with number n; returns (slots, pairs), either grown."""
    if n == len(pairs):
        more = np.empty((n + n // 2, 4), np.int64)
        more[:n] = pairs
        pairs = more
    pairs[n, KEY], pairs[n, TOTAL], pairs[n, LAST], pairs[n, MET] = key, 0, -1, 0
    slots[s] = n
    if 2 * (n + 1) > len(slots):
        more_slots = np.full(2 * len(slots), -1, np.int32)
        mask = np.uint64(len(more_slots) - 1)
        for i in range(n + 1):
            s = _spread(pairs[i, KEY]) & mask
            while more_slots[s] >= 0:
                s = (s + U1) & mask
            more_slots[s] = i
        slots = more_slots
    return slots, pairs


@njit(cache=True)
def _longer(array, size):
    out = np.empty(size, array.dtype)
    out[: len(array)] = array
    return out


@njit(cache=True, inline="always")
def _before(heap, a, b):
    return heap[a, COUNT] > heap[b, COUNT] or (
        heap[a, COUNT] == heap[b, COUNT] and heap[a, PAIR_KEY] < heap[b, PAIR_KEY]
    )


@njit(cache=True)
def _sift_up(heap, i):
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
def _sift_down(heap, n):
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
def _compact(heap, n, pool):
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


@njit(cache=True)
def train_merges(symbols, starts, counts, spelled, n_tokens, wanted, min_frequency):
    """Merges until there are `wanted` tokens.

    Args:
        symbols: ids of the words' bytes, one word after the other; merged in place. starts: int64, first symbol of each
            word and one past the last. counts: int64.
        spelled: uint64, two numbers for each of the first `n_tokens` tokens that tell its spelling apart, from
            `spelling_of` and its length in bytes.
        min_frequency: of a pair that may be merged.

    Returns: int64 (merges, 3): left, right, and the id of the new token.
    """
    n_words = len(counts)
    sizes = np.empty(n_words, np.int32)
    slots = np.full(1 << 16, -1, np.int32)
    pairs = np.empty((1 << 15, 4), np.int64)
    n_pairs = 0
    total = 0
    for w in range(n_words):
        sizes[w] = starts[w + 1] - starts[w]
        for k in range(starts[w], starts[w + 1] - 1):
            key = (np.int64(symbols[k]) << 32) | np.int64(symbols[k + 1])
            s, p = _find(key, slots, pairs)
            if p < 0:
                p = n_pairs
                slots, pairs = _add_pair(key, s, slots, pairs, n_pairs)
                n_pairs += 1
            pairs[p, TOTAL] += counts[w]
            if pairs[p, LAST] != w:
                pairs[p, LAST] = w
                pairs[p, MET] += 1
                total += 1
    pool = np.empty(total + 1024, np.int32)
    heap = np.empty((n_pairs + n_pairs // 2 + 1024, 4), np.int64)
    at = np.int64(0)
    for p in range(n_pairs):
        heap[p, COUNT], heap[p, PAIR_KEY], heap[p, LIST], heap[p, PAIR] = (
            pairs[p, TOTAL],
            pairs[p, KEY],
            at << SIZE_BITS,
            p,
        )
        at += pairs[p, MET]
        pairs[p, LAST], pairs[p, MET] = -1, 0
    for w in range(n_words):
        for k in range(starts[w], starts[w + 1] - 1):
            _, p = _find((np.int64(symbols[k]) << 32) | np.int64(symbols[k + 1]), slots, pairs)
            if pairs[p, LAST] != w:
                pairs[p, LAST] = w
                pool[(heap[p, LIST] >> SIZE_BITS) + (heap[p, LIST] & SIZE_MASK)] = w
                heap[p, LIST] += 1
    n_heap = n_pairs
    for p in range(n_pairs):
        pairs[p, LAST] = -1
        _sift_up(heap, p)
    pool_used = at
    merges = np.empty((max(wanted - n_tokens, 0), 3), np.int64)
    n_merges = 0
    names = _longer(spelled.ravel(), 2 * (max(wanted, n_tokens) + 1)).reshape(-1, 2)
    named = np.full(1 << 16, -1, np.int32)  # spelling -> token
    while len(named) < 4 * max(wanted, n_tokens):
        named = np.full(2 * len(named), -1, np.int32)
    for t in range(n_tokens):
        _name(named, names, t)
    fresh = np.empty((1024, 2), np.int32)  # (pair, word) of what a merge made
    touched = np.empty(1024, np.int32)
    while n_tokens < wanted and n_heap:
        count, p, words = heap[0, COUNT], heap[0, PAIR], heap[0, LIST]
        if count != pairs[p, TOTAL]:
            heap[0, COUNT] = pairs[p, TOTAL]
            _sift_down(heap, n_heap)
            continue
        if count < 1 or count < min_frequency:
            break
        n_heap -= 1
        if n_heap:
            heap[0] = heap[n_heap]
            _sift_down(heap, n_heap)
        left, right = pairs[p, KEY] >> 32, pairs[p, KEY] & 0xFFFFFFFF
        names[n_tokens, 0] = join_spelling(names[left, 0], names[right, 0], names[right, 1])
        names[n_tokens, 1] = names[left, 1] + names[right, 1]
        made = _name(named, names, n_tokens)
        if made == n_tokens:
            n_tokens += 1
        if n_merges == len(merges):
            longer = np.empty((2 * n_merges + 16, 3), np.int64)
            longer[:n_merges] = merges
            merges = longer
        merges[n_merges, 0], merges[n_merges, 1], merges[n_merges, 2] = left, right, made
        n_merges += 1
        n_fresh = n_touched = 0
        begin = words >> SIZE_BITS
        for x in range(begin, begin + (words & SIZE_MASK)):
            word = np.int64(pool[x])
            first, n = starts[word], np.int64(sizes[word])
            count = counts[word]
            i = o = np.int64(0)
            while i < n:
                a = symbols[first + i]
                if a != left or i + 1 >= n or symbols[first + i + 1] != right:
                    symbols[first + o] = a
                    o += 1
                    i += 1
                    continue
                for side in range(2):
                    if side == 0:
                        if o == 0:
                            continue
                        beside = np.int64(symbols[first + o - 1])
                        gone, come = (beside << 32) | left, (beside << 32) | made
                    else:
                        if i + 2 >= n:
                            continue
                        beside = np.int64(symbols[first + i + 2])
                        gone, come = (right << 32) | beside, (made << 32) | beside
                    s, q = _find(gone, slots, pairs)
                    if q >= 0:
                        pairs[q, TOTAL] -= count
                    s, q = _find(come, slots, pairs)
                    if q < 0:
                        q = n_pairs
                        slots, pairs = _add_pair(come, s, slots, pairs, n_pairs)
                        n_pairs += 1
                    pairs[q, TOTAL] += count
                    if pairs[q, LAST] == word:
                        continue
                    pairs[q, LAST] = word
                    if pairs[q, MET] == 0:
                        if n_touched == len(touched):
                            touched = _longer(touched, 2 * n_touched)
                        touched[n_touched] = q
                        n_touched += 1
                    pairs[q, MET] += 1
                    if n_fresh == len(fresh):
                        fresh = _longer(fresh.ravel(), 4 * n_fresh).reshape(-1, 2)
                    fresh[n_fresh, 0], fresh[n_fresh, 1] = q, word
                    n_fresh += 1
                symbols[first + o] = made
                o += 1
                i += 2
            sizes[word] = o
        if pool_used + n_fresh > len(pool):
            pool, pool_used = _compact(heap, n_heap, pool)
            if pool_used + n_fresh > len(pool):
                pool = _longer(pool, pool_used + n_fresh + len(pool) // 8)
        if n_heap + n_touched > len(heap):
            taller = np.empty((n_heap + n_touched + len(heap) // 4, 4), np.int64)
            taller[:n_heap] = heap[:n_heap]
            heap = taller
        at = pool_used
        for x in range(n_touched):  # behind the heap first, then into it
            q = np.int64(touched[x])
            e = n_heap + x
            heap[e, COUNT], heap[e, PAIR_KEY], heap[e, LIST], heap[e, PAIR] = (
                pairs[q, TOTAL],
                pairs[q, KEY],
                at << SIZE_BITS,
                q,
            )
            at += pairs[q, MET]
            pairs[q, MET] = e
        for x in range(n_fresh):
            e = pairs[fresh[x, 0], MET]
            pool[(heap[e, LIST] >> SIZE_BITS) + (heap[e, LIST] & SIZE_MASK)] = fresh[x, 1]
            heap[e, LIST] += 1
        pool_used = at
        kept = n_heap
        for x in range(n_touched):
            q = np.int64(touched[x])
            pairs[q, MET], pairs[q, LAST] = 0, -1
            if pairs[q, TOTAL] > 0:
                heap[kept] = heap[n_heap + x]
                _sift_up(heap, kept)
                kept += 1
        n_heap = kept
    return merges[:n_merges]


@njit(cache=True)
def _name(named, names, t):
    """The token that is spelt as token t, t itself where it is the first."""
    mask = np.uint64(len(named) - 1)
    s = _spread(names[t, 0]) & mask
    while named[s] >= 0:
        other = named[s]
        if names[other, 0] == names[t, 0] and names[other, 1] == names[t, 1]:
            return np.int64(other)
        s = (s + U1) & mask
    named[s] = t
    return np.int64(t)


PRIME = np.uint64(0x9FB21C651E98DF25)  # odd: a spelling is a polynomial in it, so that two join in O(log length)


@njit(cache=True)
def join_spelling(left, right, right_size):
    """The number of a spelling made of two: left * PRIME^right_size + right, modulo 2^64."""
    power, base, n = U1, PRIME, right_size
    while n:
        if n & U1:
            power *= base
        base *= base
        n >>= U1
    return left * power + right


@njit(cache=True)
def spelling_of(byte):
    """The number of one byte's spelling."""
    h = (np.uint64(byte) + U1) * A
    h = (h ^ (h >> U32)) * np.uint64(0xD6E8FEB86659FD93)
    return h ^ (h >> U32)

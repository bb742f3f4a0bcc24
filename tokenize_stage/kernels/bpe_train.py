"""Byte-pair encoding: counting pre-tokens, and choosing merges (Gage 1994; Sennrich, Haddow and Birch 2016).

The choice follows the trainer of Hugging Face's `tokenizers` step by step, so that vocabulary and merges are the same, also
their order: always the most frequent pair, of equal ones that with the smaller ids. What it does in corner cases is
followed too: a pair is looked up only in the words that are on its entry's list, and a token that two merges spell alike is
one token.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tokenize_stage.kernels.pairs import (
    COUNT,
    HEAP_COLUMNS,
    KEY,
    LAST,
    LIST,
    MET,
    PAIR,
    PAIR_KEY,
    RECORD_COLUMNS,
    SIZE_BITS,
    SIZE_MASK,
    TOTAL,
    U1,
    add_pair,
    compact,
    find_pair,
    longer,
    longer_rows,
    pair_key,
    sift_down,
    sift_up,
)
from tokenize_stage.kernels.pretokens import PIECES, split_some
from tokenize_stage.kernels.spelling import join_spelling, name_table, token_spelt_as
from tokenize_stage.kernels.words_table import NOT_HERE, add_word, look_up


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


# Columns of a merge
LEFT, RIGHT, MADE, MERGE_COLUMNS = range(4)
# Columns of `fresh`: a pair that a merge made, and a word in which it did
FRESH_PAIR, FRESH_WORD, FRESH_COLUMNS = range(3)


@njit(cache=True)
def train_merges(symbols, starts, counts, spelled, n_tokens, wanted, min_frequency):
    """Merges until there are `wanted` tokens.

    Args:
        symbols: ids of the words' bytes, one word after the other; merged in place. starts: int64, first symbol of each
            word and one past the last. counts: int64.
        spelled: uint64, two numbers for each of the first `n_tokens` tokens that tell its spelling apart, from
            `spelling_of` and its length in bytes.
        min_frequency: of a pair that may be merged.

    Returns: int64 (merges, 3), columns LEFT, RIGHT and MADE: two tokens, and the new one.
    """
    sizes = np.diff(starts).astype(np.int32)
    slots, pairs, n_pairs, total = _count_pairs(symbols, starts, counts)
    heap, pool, pool_used = _first_heap(symbols, starts, slots, pairs, n_pairs, total)
    n_heap = n_pairs
    merges = np.empty((max(wanted - n_tokens, 0), MERGE_COLUMNS), np.int64)
    n_merges = 0
    names = longer_rows(spelled, max(wanted, n_tokens) + 1)
    named = name_table(names, n_tokens, wanted)
    fresh = np.empty((1024, FRESH_COLUMNS), np.int32)
    touched = np.empty(1024, np.int32)
    while n_tokens < wanted and n_heap:
        count, p, words = heap[0, COUNT], heap[0, PAIR], heap[0, LIST]
        if count != pairs[p, TOTAL]:
            heap[0, COUNT] = pairs[p, TOTAL]
            sift_down(heap, n_heap)
            continue
        if count < 1 or count < min_frequency:
            break
        n_heap -= 1
        if n_heap:
            heap[0] = heap[n_heap]
            sift_down(heap, n_heap)
        left, right = pairs[p, KEY] >> 32, pairs[p, KEY] & 0xFFFFFFFF
        names[n_tokens, 0] = join_spelling(names[left, 0], names[right, 0], names[right, 1])
        names[n_tokens, 1] = names[left, 1] + names[right, 1]
        made = token_spelt_as(named, names, n_tokens)
        if made == n_tokens:
            n_tokens += 1
        if n_merges == len(merges):
            merges = longer_rows(merges, 2 * n_merges + 16)
        merges[n_merges, LEFT], merges[n_merges, RIGHT], merges[n_merges, MADE] = left, right, made
        n_merges += 1
        begin = words >> SIZE_BITS
        slots, pairs, n_pairs, touched, n_touched, fresh, n_fresh = _merge_in_words(
            pool[begin : begin + (words & SIZE_MASK)],
            left, right, made, symbols, starts, sizes, counts, slots, pairs, n_pairs, touched, fresh,
        )  # fmt: skip
        if pool_used + n_fresh > len(pool):
            pool, pool_used = compact(heap, n_heap, pool)
            if pool_used + n_fresh > len(pool):
                pool = longer(pool, pool_used + n_fresh + len(pool) // 8)
        if n_heap + n_touched > len(heap):
            heap = longer_rows(heap, n_heap + n_touched + len(heap) // 4)
        n_heap, pool_used = _enter(touched[:n_touched], fresh[:n_fresh], pairs, heap, n_heap, pool, pool_used)
    return merges[:n_merges]


@njit(cache=True)
def _count_pairs(symbols, starts, counts):
    """The pairs of all words: (slots, records, how many pairs, sum over them of the words that have them)."""
    slots = np.full(1 << 16, -1, np.int32)
    pairs = np.empty((1 << 15, RECORD_COLUMNS), np.int64)
    n_pairs = 0
    total = 0
    for w in range(len(counts)):
        for k in range(starts[w], starts[w + 1] - 1):
            key = pair_key(symbols[k], symbols[k + 1])
            s, p = find_pair(key, slots, pairs)
            if p < 0:
                p = n_pairs
                slots, pairs = add_pair(key, s, slots, pairs, n_pairs)
                n_pairs += 1
            pairs[p, TOTAL] += counts[w]
            if pairs[p, LAST] != w:
                pairs[p, LAST] = w
                pairs[p, MET] += 1
                total += 1
    return slots, pairs, n_pairs, total


@njit(cache=True)
def _first_heap(symbols, starts, slots, pairs, n_pairs, total):
    """(heap, pool, how much of it is used): every pair with the list of its words."""
    pool = np.empty(total + 1024, np.int32)
    heap = np.empty((n_pairs + n_pairs // 2 + 1024, HEAP_COLUMNS), np.int64)
    at = np.int64(0)
    for p in range(n_pairs):
        _open_entry(heap, p, pairs, p, at)
        at += pairs[p, MET]
        pairs[p, LAST], pairs[p, MET] = -1, 0
    for w in range(len(starts) - 1):
        for k in range(starts[w], starts[w + 1] - 1):
            _, p = find_pair(pair_key(symbols[k], symbols[k + 1]), slots, pairs)
            if pairs[p, LAST] != w:
                pairs[p, LAST] = w
                _append(heap, p, pool, w)
    for p in range(n_pairs):
        pairs[p, LAST] = -1
        sift_up(heap, p)
    return heap, pool, at


@njit(cache=True, inline="always")
def _open_entry(heap, e, pairs, p, at):
    """Make entry e that of pair p, with an empty list that begins at `at`."""
    heap[e, COUNT], heap[e, PAIR_KEY] = pairs[p, TOTAL], pairs[p, KEY]
    heap[e, LIST], heap[e, PAIR] = at << SIZE_BITS, p


@njit(cache=True, inline="always")
def _append(heap, e, pool, word):
    """Put a word behind the list of entry e; there is room."""
    pool[(heap[e, LIST] >> SIZE_BITS) + (heap[e, LIST] & SIZE_MASK)] = word
    heap[e, LIST] += 1


@njit(cache=True)
def _merge_in_words(words, left, right, made, symbols, starts, sizes, counts, slots, pairs, n_pairs, touched, fresh):
    """Merge a pair in the given words, and count what that takes away and makes.

    Returns: (slots, pairs, n_pairs, touched, how many, fresh, how many): `touched` are the pairs that were made, each once, `fresh`
    rows of such a pair and a word in which it was made.
    """
    n_touched = n_fresh = 0
    for x in range(len(words)):
        word = np.int64(words[x])
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
                    gone, come = pair_key(beside, left), pair_key(beside, made)
                else:
                    if i + 2 >= n:
                        continue
                    beside = np.int64(symbols[first + i + 2])
                    gone, come = pair_key(right, beside), pair_key(made, beside)
                s, q = find_pair(gone, slots, pairs)
                if q >= 0:
                    pairs[q, TOTAL] -= count
                s, q = find_pair(come, slots, pairs)
                if q < 0:
                    q = n_pairs
                    slots, pairs = add_pair(come, s, slots, pairs, n_pairs)
                    n_pairs += 1
                pairs[q, TOTAL] += count
                if pairs[q, LAST] == word:
                    continue
                pairs[q, LAST] = word
                if pairs[q, MET] == 0:
                    if n_touched == len(touched):
                        touched = longer(touched, 2 * n_touched)
                    touched[n_touched] = q
                    n_touched += 1
                pairs[q, MET] += 1
                if n_fresh == len(fresh):
                    fresh = longer_rows(fresh, 2 * n_fresh)
                fresh[n_fresh, FRESH_PAIR], fresh[n_fresh, FRESH_WORD] = q, word
                n_fresh += 1
            symbols[first + o] = made
            o += 1
            i += 2
        sizes[word] = o
    return slots, pairs, n_pairs, touched, n_touched, fresh, n_fresh


@njit(cache=True)
def _enter(touched, fresh, pairs, heap, n_heap, pool, pool_used):
    """Put pairs that a merge made into the heap, each with its words; returns (entries of the heap, how much of the pool is used).

    Heap and pool have room.
    """
    at = pool_used
    for x in range(len(touched)):  # behind the heap first, then into it
        q = np.int64(touched[x])
        _open_entry(heap, n_heap + x, pairs, q, at)
        at += pairs[q, MET]
        pairs[q, MET] = n_heap + x
    for x in range(len(fresh)):
        _append(heap, pairs[fresh[x, FRESH_PAIR], MET], pool, fresh[x, FRESH_WORD])
    kept = n_heap
    for x in range(len(touched)):
        q = np.int64(touched[x])
        pairs[q, MET], pairs[q, LAST] = 0, -1
        if pairs[q, TOTAL] > 0:
            heap[kept] = heap[n_heap + x]
            sift_up(heap, kept)
            kept += 1
    return kept, at

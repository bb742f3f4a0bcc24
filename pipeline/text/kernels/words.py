"""What is counted over the words of a batch: lengths, kinds, words and phrases of lists.

Two words are taken for equal when their hashes are: with 10^6 different words in a text the chance of any error is 3 in
10^8.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.kernels.bytes import FNV_OFFSET, FNV_PRIME, finish
from pipeline.text.kernels.split import ALL_UPPER, HAS_ALPHA, HAS_NON_SYMBOL

LONGEST = 1024  # words of more characters count as this long for the median


# Columns of `word_counts`
N_WORDS, SUM_CHARS, MAX_CHARS, MEDIAN_CHARS, N_ALPHA, N_PLAIN, SUM_PLAIN_CHARS, N_UPPER, WORD_COLUMNS = range(9)


@njit(cache=True)
def word_counts(first, chars, attrs):
    """One row per text: words, their characters (sum, longest, median), words with a letter, words that are not all
    symbols and their characters, words in capitals."""
    n_docs = len(first) - 1
    out = np.zeros((n_docs, WORD_COLUMNS))
    lengths = np.zeros(LONGEST + 1, np.int64)
    for d in range(n_docs):
        lo, hi = first[d], first[d + 1]
        longest = 0
        for i in range(lo, hi):
            c = chars[i]
            longest = max(longest, c)
            lengths[min(c, LONGEST)] += 1
            out[d, SUM_CHARS] += c
            a = attrs[i]
            if a & HAS_ALPHA:
                out[d, N_ALPHA] += 1
            if a & HAS_NON_SYMBOL:
                out[d, N_PLAIN] += 1
                out[d, SUM_PLAIN_CHARS] += c
            if a & ALL_UPPER:
                out[d, N_UPPER] += 1
        out[d, N_WORDS] = hi - lo
        out[d, MAX_CHARS] = longest
        seen, low, high = 0, -1, -1
        for c in range(min(longest, LONGEST) + 1):
            seen += lengths[c]
            if low < 0 and 2 * seen >= hi - lo and seen > 0:
                low = c
            if high < 0 and 2 * seen > hi - lo:
                high = c
            lengths[c] = 0
        out[d, MEDIAN_CHARS] = (low + high) / 2 if hi > lo else 0.0
    return out


@njit(cache=True)
def listed_words(first, hashes, table):
    """(different words, words) of each text that are in a table of `make_table`."""
    n_docs = len(first) - 1
    out = np.zeros((n_docs, 2))
    mask = len(table) - 1
    mark = np.full(len(table), -1, np.int64)
    for d in range(n_docs):
        for i in range(first[d], first[d + 1]):
            h = hashes[i]
            slot = np.int64(h) & mask
            while table[slot] != 0:
                if table[slot] == h:
                    out[d, 1] += 1
                    if mark[slot] != d:
                        mark[slot] = d
                        out[d, 0] += 1
                    break
                slot = (slot + 1) & mask
    return out


@njit(cache=True)
def make_table(hashes):
    """An open-addressing table of 64-bit hashes; 0 marks an empty place."""
    room = 8
    while room < 4 * len(hashes) + 1:
        room *= 2
    table = np.zeros(room, np.uint64)
    for h in hashes:
        slot = np.int64(h) & (room - 1)
        while table[slot] != 0 and table[slot] != h:
            slot = (slot + 1) & (room - 1)
        table[slot] = h
    return table


@njit(cache=True)
def phrase_hits(first, hashes, beginnings, phrases, longest):
    """Words of each text that belong to a listed phrase, the longest phrase first, none counted twice; and phrases.

    Args:
        beginnings: table of the first words of phrases. phrases: table of `phrase_hash` of all words. longest: words.
    """
    n_docs = len(first) - 1
    out = np.zeros((n_docs, 2))
    for d in range(n_docs):
        i, end = first[d], first[d + 1]
        while i < end:
            length = 0
            if in_table(beginnings, hashes[i]):
                h = FNV_OFFSET
                for n in range(1, min(longest, end - i) + 1):
                    h = (h ^ hashes[i + n - 1]) * FNV_PRIME
                    if in_table(phrases, finish(h)):
                        length = n
            out[d, 0] += length
            out[d, 1] += length > 0
            i += max(length, 1)
    return out


@njit(cache=True)
def in_table(table, h):
    """Whether a hash is in a table of `make_table`."""
    mask = len(table) - 1
    slot = np.int64(h) & mask
    while table[slot] != 0:
        if table[slot] == h:
            return True
        slot = (slot + 1) & mask
    return False


@njit(cache=True)
def phrase_hash(hashes):
    """One hash for a sequence of word hashes."""
    h = FNV_OFFSET
    for word in hashes:
        h = (h ^ word) * FNV_PRIME
    return finish(h)

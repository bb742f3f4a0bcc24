"""What is counted over the words of a batch: lengths, kinds, words and phrases of lists.

Two words are taken for equal when their hashes are: with 10^6 different words in a text the chance of any error is 3 in
10^8.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.kernels.bytes import FNV_OFFSET, FNV_PRIME, finish
from pipeline.text.kernels.split import ALL_UPPER, HAS_ALPHA, HAS_NON_SYMBOL
from pipeline.text.kernels.tables import find_number, place_of

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


# Columns of `listed_words`
LISTED_KINDS, LISTED_WORDS, LISTED_COLUMNS = range(3)


@njit(cache=True)
def listed_words(first, hashes, keys, numbers):
    """Different words, and words, of each text that are in a table of `number_table`; one row per text."""
    n_docs = len(first) - 1
    out = np.zeros((n_docs, LISTED_COLUMNS))
    seen_in = np.full(len(keys), -1, np.int64)  # the last text that had the word of a place
    for d in range(n_docs):
        for i in range(first[d], first[d + 1]):
            place = place_of(keys, numbers, hashes[i], hashes[i])
            if numbers[place] < 0:
                continue
            out[d, LISTED_WORDS] += 1
            if seen_in[place] != d:
                seen_in[place] = d
                out[d, LISTED_KINDS] += 1
    return out


# Columns of `phrase_hits`
PHRASE_WORDS, PHRASES, PHRASE_COLUMNS = range(3)


@njit(cache=True)
def phrase_hits(first, hashes, beginnings, phrases, longest):
    """Words of each text that belong to a listed phrase, the longest phrase first, none counted twice; and phrases; one row
    per text.

    Args:
        beginnings: (keys, numbers), a table of the first words of phrases. phrases: the same of `phrase_hash` of all words.
        longest: words of the longest phrase.
    """
    n_docs = len(first) - 1
    out = np.zeros((n_docs, PHRASE_COLUMNS))
    begin_keys, begin_numbers = beginnings
    phrase_keys, phrase_numbers = phrases
    for d in range(n_docs):
        i, end = first[d], first[d + 1]
        while i < end:
            length = 0
            if find_number(begin_keys, begin_numbers, hashes[i]) >= 0:
                h = FNV_OFFSET
                for n in range(1, min(longest, end - i) + 1):
                    h = (h ^ hashes[i + n - 1]) * FNV_PRIME
                    if find_number(phrase_keys, phrase_numbers, finish(h)) >= 0:
                        length = n
            out[d, PHRASE_WORDS] += length
            out[d, PHRASES] += length > 0
            i += max(length, 1)
    return out


@njit(cache=True)
def phrase_hash(hashes):
    """One hash for a sequence of word hashes."""
    h = FNV_OFFSET
    for word in hashes:
        h = (h ^ word) * FNV_PRIME
    return finish(h)

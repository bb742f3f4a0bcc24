"""Runs of words: hashes of all of them, those on a list (decontamination), those that occur again (exact substrings)."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.kernels.bytes import finish
from pipeline.text.kernels.tables import find_number

FACTOR = np.uint64(0x9E3779B97F4A7C15)
OTHER = np.uint64(0xD6E8FEB86659FD93)  # a second polynomial
ONE = np.uint64(1)


@njit(cache=True)
def gram_hashes(hashes, n):
    """Hash of every run of n words: a polynomial in the words' hashes, rolled along."""
    count = len(hashes) - n + 1
    out = np.empty(max(count, 0), np.uint64)
    if count <= 0:
        return out
    top = ONE
    for _ in range(n - 1):
        top *= FACTOR
    h = np.uint64(0)
    for i in range(n):
        h = h * FACTOR + hashes[i]
    out[0] = finish(h) ^ np.uint64(n)
    for i in range(1, count):
        h = (h - hashes[i - 1] * top) * FACTOR + hashes[i + n - 1]
        out[i] = finish(h) ^ np.uint64(n)
    return out


@njit(cache=True)
def gram_filter(keys):
    """One bit for 2^20 values of a hash: nearly all n-grams of a text end here."""
    bits = np.zeros(1 << 17, np.uint8)
    for key in keys:
        place = np.int64(key >> np.uint64(44))
        bits[place >> 3] |= np.uint8(1 << (place & 7))
    return bits


@njit(cache=True)
def listed_grams(first, hashes, lengths, table, numbers, bits):
    """Rows of (text, word, length, number) for every n-gram of a listed length that is on the list; by text, length
    and word."""
    out = np.empty((64, 4), np.int64)
    m = 0
    for d in range(len(first) - 1):
        words = hashes[first[d] : first[d + 1]]
        for n in lengths:
            grams = gram_hashes(words, n)
            for i in range(len(grams)):
                place = np.int64(grams[i] >> np.uint64(44))
                if not (bits[place >> 3] >> (place & 7)) & 1:
                    continue
                number = find_number(table, numbers, grams[i])
                if number < 0:
                    continue
                if m == len(out):
                    grown = np.empty((2 * m, 4), np.int64)
                    grown[:m] = out
                    out = grown
                out[m, 0], out[m, 1], out[m, 2], out[m, 3] = d, i, n, number
                m += 1
    return out[:m]


@njit(cache=True)
def window_hashes(first, hashes, size):
    """Every run of `size` tokens of every text: (text, token at which it begins, 64 bits of its hash, 32 bits more)."""
    n = 0
    for d in range(len(first) - 1):
        n += max(first[d + 1] - first[d] - size + 1, 0)
    text, at = np.empty(n, np.int32), np.empty(n, np.int32)
    high, more = np.empty(n, np.uint64), np.empty(n, np.uint32)
    top = ONE
    for _ in range(size - 1):
        top *= OTHER
    n = 0
    for d in range(len(first) - 1):
        words = hashes[first[d] : first[d + 1]]
        grams = gram_hashes(words, size)
        h = np.uint64(0)
        for i in range(len(grams)):
            if i == 0:
                for j in range(size):
                    h = h * OTHER + words[j]
            else:
                h = (h - words[i - 1] * top) * OTHER + words[i + size - 1]
            text[n], at[n], high[n] = d, i, grams[i]
            more[n] = np.uint32(finish(h) >> np.uint64(32))
            n += 1
    return text, at, high, more


@njit(cache=True)
def repeated_windows(high, more, rank, at):
    """Places of the windows that occur more than once, and whether each is the first of its kind (by rank, then `at`).

    Args:
        high: uint64, ascending. more: uint32, further bits. rank: uint32, of the document. at: int32, place in it.
    """
    place = np.empty(1024, np.int64)
    is_first = np.empty(1024, np.bool_)
    n = 0
    i = 0
    while i < len(high):
        j = i + 1
        while j < len(high) and high[j] == high[i]:
            j += 1
        if j - i > 1:
            order = np.argsort(at[i:j], kind="mergesort")
            order = order[np.argsort(rank[i:j][order], kind="mergesort")]
            order = order[np.argsort(more[i:j][order], kind="mergesort")]
            if n + j - i > len(place):
                room = 2 * (n + j - i)
                place2, is_first2 = np.empty(room, np.int64), np.empty(room, np.bool_)
                place2[:n], is_first2[:n] = place[:n], is_first[:n]
                place, is_first = place2, is_first2
            for k in range(len(order)):
                here = i + order[k]
                same_before = k > 0 and more[i + order[k - 1]] == more[here]
                same_after = k + 1 < len(order) and more[i + order[k + 1]] == more[here]
                if same_before or same_after:
                    place[n], is_first[n] = here, not same_before
                    n += 1
        i = j
    return place[:n], is_first[:n]


@njit(cache=True)
def shingles(words, size):
    """Hashes of all runs of `size` words, in order; a shorter text is one shingle of all its words."""
    return gram_hashes(words, min(size, len(words))) if len(words) else np.empty(0, np.uint64)

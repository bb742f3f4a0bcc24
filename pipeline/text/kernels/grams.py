"""Runs of words: hashes of all of them, and those on a list (decontamination)."""

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


# Columns of `listed_grams`
GRAM_TEXT, GRAM_WORD, GRAM_LENGTH, GRAM_NUMBER, GRAM_COLUMNS = range(5)


@njit(cache=True)
def listed_grams(first, hashes, lengths, keys, numbers, bits):
    """A row for every n-gram of a listed length that is on the list: text, word in it, words, number; by text, length and
    word."""
    out = np.empty((64, GRAM_COLUMNS), np.int64)
    m = 0
    for d in range(len(first) - 1):
        words = hashes[first[d] : first[d + 1]]
        for n in lengths:
            grams = gram_hashes(words, n)
            for i in range(len(grams)):
                place = np.int64(grams[i] >> np.uint64(44))
                if not (bits[place >> 3] >> (place & 7)) & 1:
                    continue
                number = find_number(keys, numbers, grams[i])
                if number < 0:
                    continue
                if m == len(out):
                    grown = np.empty((2 * m, GRAM_COLUMNS), np.int64)
                    grown[:m] = out
                    out = grown
                out[m, GRAM_TEXT], out[m, GRAM_WORD], out[m, GRAM_LENGTH], out[m, GRAM_NUMBER] = d, i, n, number
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
def shingles(words, size):
    """Hashes of all runs of `size` words, in order; a shorter text is one shingle of all its words."""
    return gram_hashes(words, min(size, len(words))) if len(words) else np.empty(0, np.uint64)

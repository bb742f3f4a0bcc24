"""Word n-grams that are on a list: for decontamination."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.core.kernels.bytes import finish
from pipeline.core.kernels.tables import find_number

FACTOR = np.uint64(0x9E3779B97F4A7C15)
ONE = np.uint64(1)


@njit(cache=True)
def gram_hashes(hashes, n):  # type: ignore[no-untyped-def]
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
def gram_filter(keys):  # type: ignore[no-untyped-def]
    """One bit for 2^20 values of a hash: nearly all n-grams of a text end here."""
    bits = np.zeros(1 << 17, np.uint8)
    for key in keys:
        place = np.int64(key >> np.uint64(44))
        bits[place >> 3] |= np.uint8(1 << (place & 7))
    return bits


@njit(cache=True)
def listed_grams(first, hashes, lengths, table, numbers, bits):  # type: ignore[no-untyped-def]
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

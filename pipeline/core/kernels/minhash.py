"""Shingle sets of texts, their MinHash signatures and the keys of LSH bands (Broder 1997)."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.core.kernels.grams import FACTOR, gram_hashes
from pipeline.core.kernels.words import finish

LOW = np.uint64(0xFFFFFFFF)


@njit(cache=True)
def shingles(words, size):  # type: ignore[no-untyped-def]
    """Hashes of all runs of `size` words, in order; a shorter text is one shingle of all its words."""
    return gram_hashes(words, min(size, len(words))) if len(words) else np.empty(0, np.uint64)


@njit(cache=True)
def signatures(first, hashes, size, factors, addends):  # type: ignore[no-untyped-def]
    """(texts, permutations) uint32: the least of factor * x + addend (mod 2^32) over the shingles x of each text.

    Args:
        first, hashes: words of the texts, see `pipeline.core.batch.Words`.
        size: words per shingle. factors: odd, uint32. addends: uint32.
    """
    n_docs = len(first) - 1
    n = len(factors)
    out = np.empty((n_docs, n), np.uint32)
    for d in range(n_docs):
        least = out[d]
        least[:] = np.uint32(0xFFFFFFFF)
        for h in shingles(hashes[first[d] : first[d + 1]], size):
            x = np.uint32(h >> np.uint64(32))
            for p in range(n):
                least[p] = min(least[p], np.uint32(factors[p] * x + addends[p]))
    return out


@njit(cache=True)
def band_keys(signature, bands, rows):  # type: ignore[no-untyped-def]
    """(texts, bands, 2) uint64: 128 bits from the rows of each band and its number."""
    n_docs = len(signature)
    out = np.empty((n_docs, bands, 2), np.uint64)
    for d in range(n_docs):
        for b in range(bands):
            one = np.uint64(b + 1) * FACTOR
            two = ~one
            for r in range(b * rows, (b + 1) * rows):
                value = np.uint64(signature[d, r])
                one = finish((one ^ value) * FACTOR)
                two = finish(two + (value << np.uint64(32)) * FACTOR + value)
            out[d, b, 0], out[d, b, 1] = one, two
    return out


@njit(cache=True)
def shingle_sets(first, hashes, size):  # type: ignore[no-untyped-def]
    """(offsets, values): the distinct shingles of each text as 32-bit hashes, ascending."""
    n_docs = len(first) - 1
    offsets = np.zeros(n_docs + 1, np.int64)
    values = np.empty(len(hashes), np.uint32)
    n = 0
    for d in range(n_docs):
        found = shingles(hashes[first[d] : first[d + 1]], size)
        part = np.empty(len(found), np.uint32)
        for i in range(len(found)):
            part[i] = np.uint32(found[i] >> np.uint64(32))
        part.sort()
        for i in range(len(part)):
            if i == 0 or part[i] != part[i - 1]:
                values[n] = part[i]
                n += 1
        offsets[d + 1] = n
    return offsets, values[:n]

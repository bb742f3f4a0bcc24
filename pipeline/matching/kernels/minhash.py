"""Shingle sets of texts, their MinHash signatures and the keys of LSH bands (Broder 1997)."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.kernels.bytes import finish
from pipeline.text.kernels.grams import FACTOR, shingles

LEAST = np.uint32(0xFFFFFFFF)  # of no shingles


@njit(cache=True)
def signatures(first, hashes, size, factors, addends):
    """(texts, permutations) uint32: the least of factor * x + addend (mod 2^32) over the shingles x of each text.

    Args:
        first, hashes: words of the texts, see `pipeline.text.batch.Words`.
        size: words per shingle. factors: odd, uint32. addends: uint32.
    """
    n_docs = len(first) - 1
    n = len(factors)
    out = np.empty((n_docs, n), np.uint32)
    x = np.empty(0, np.uint32)
    for d in range(n_docs):
        found = shingles(hashes[first[d] : first[d + 1]], size)
        count = len(found)
        if count > len(x):
            x = np.empty(2 * count, np.uint32)
        for i in range(count):
            x[i] = np.uint32(found[i] >> np.uint64(32))
        for p in range(n):  # one permutation after the other: the compiler takes eight shingles at a time
            factor, addend, least = factors[p], addends[p], LEAST
            for i in range(count):
                least = min(least, np.uint32(factor * x[i] + addend))
            out[d, p] = least
    return out


@njit(cache=True)
def band_keys(signature, bands, rows):
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
def sort32(values):
    """The values ascending: three passes of eleven bits for longer arrays, `sort` for short ones."""
    n = len(values)
    if n < 256:
        values.sort()
        return values
    counts = np.zeros((3, 2048), np.int64)
    for v in values:
        counts[0, v & np.uint32(0x7FF)] += 1
        counts[1, (v >> np.uint32(11)) & np.uint32(0x7FF)] += 1
        counts[2, v >> np.uint32(22)] += 1
    other = np.empty(n, np.uint32)
    for p in range(3):
        at = 0
        for k in range(2048):
            here = counts[p, k]
            counts[p, k] = at
            at += here
        shift = np.uint32(11 * p)
        for v in values:
            k = (v >> shift) & np.uint32(0x7FF)
            other[counts[p, k]] = v
            counts[p, k] += 1
        values, other = other, values
    return values


@njit(cache=True)
def shingle_sets(first, hashes, size):
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
        part = sort32(part)
        for i in range(len(part)):
            if i == 0 or part[i] != part[i - 1]:
                values[n] = part[i]
                n += 1
        offsets[d + 1] = n
    return offsets, values[:n]

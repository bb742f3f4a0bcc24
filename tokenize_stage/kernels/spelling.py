"""Spellings of tokens as numbers: two tokens that merges spell alike are one.

A spelling is 64 bits and its length in bytes; bytes are digits of a polynomial, so that the spellings of two tokens join without a
look at their bytes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tokenize_stage.kernels.pairs import U1, U32, A, spread

PRIME = np.uint64(0x9FB21C651E98DF25)  # odd: a spelling is a polynomial in it, so that two join in O(log length)


@njit(cache=True)
def name_table(names, n_tokens, wanted):
    """Slots for as many tokens as are wanted, with those that are there already: what `token_spelt_as` looks into.

    Not a table of `pipeline.text.kernels.tables`: a key has two numbers, and lies in `names`.
    """
    named = np.full(1 << 16, -1, np.int32)
    while len(named) < 4 * max(wanted, n_tokens):
        named = np.full(2 * len(named), -1, np.int32)
    for t in range(n_tokens):
        token_spelt_as(named, names, t)
    return named


@njit(cache=True)
def token_spelt_as(named, names, t):
    """The token that is spelt as token t, t itself where it is the first."""
    mask = np.uint64(len(named) - 1)
    s = spread(names[t, 0]) & mask
    while named[s] >= 0:
        other = named[s]
        if names[other, 0] == names[t, 0] and names[other, 1] == names[t, 1]:
            return np.int64(other)
        s = (s + U1) & mask
    named[s] = t
    return np.int64(t)


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

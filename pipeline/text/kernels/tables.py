"""The open-addressing table of kernels: 64-bit keys, spread evenly already, and a number for each.

A table is two arrays of equal length, a power of two: `keys`, uint64, and `numbers`, int32, -1 where a place is empty (then the
key there means nothing). The search goes on from place to place, which are near in memory; most tables are at most half full, so
it ends soon. Where it does not, somebody chose words whose hashes end alike: then it goes on in steps that the other half of the
hash says, so that time stays in proportion. A set is a table whose numbers nobody asks for. Who counts as it goes allocates the
arrays, asks `place_of`, and fills what it found empty.

Three tables of tokens are their own, each for a reason told there: pairs of trained merges, the pre-tokens that encoding
remembers, counted byte strings.
"""

from __future__ import annotations

import numpy as np
from numba import njit

EMPTY = np.int32(-1)
ONE = np.uint64(1)
LEAST_ROOM = 16
NEAR = 16  # places that are tried one after the other


@njit(cache=True, inline="always")
def place_of(keys, numbers, key, spread):
    """The place of a key in a table, or the empty one where it belongs; `spread` is its evenly spread 64 bits, the key itself
    where that is."""
    mask = np.uint64(len(numbers) - 1)
    place = np.uint64(spread) & mask
    step = ONE
    tried = 0
    while numbers[place] >= 0 and keys[place] != key:
        tried += 1
        if tried == NEAR:
            step = (np.uint64(spread) >> np.uint64(32)) | ONE  # odd, so that it comes to every place
        place = (place + step) & mask
    return place


@njit(cache=True)
def room_for(n, times):
    """Places of a table for n keys that has at least `times` as many: a power of two."""
    room = LEAST_ROOM
    while room < times * n:
        room *= 2
    return room


@njit(cache=True)
def number_table(given, times=3):
    """(keys, numbers): every key with its number in the order given, of equal ones that of the first. `times`: places for each."""
    room = room_for(len(given), times)
    keys = np.zeros(room, np.uint64)
    numbers = np.full(room, EMPTY, np.int32)
    for n in range(len(given)):
        place = place_of(keys, numbers, given[n], given[n])
        if numbers[place] < 0:
            keys[place] = given[n]
            numbers[place] = n
    return keys, numbers


@njit(cache=True)
def find_number(keys, numbers, key):
    """Number of a key in a table of `number_table`, -1 if it is not there."""
    return numbers[place_of(keys, numbers, key, key)]

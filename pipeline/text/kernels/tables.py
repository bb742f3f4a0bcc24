"""Open-addressing tables over 64-bit hashes: sets, and numbers of keys. Keys have to be spread evenly already."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def number_table(keys):
    """(table, numbers) for distinct keys, numbered in their order; number -1 marks an empty place."""
    room = 16
    while room < 3 * len(keys):
        room *= 2
    table = np.zeros(room, np.uint64)
    numbers = np.full(room, -1, np.int32)
    for n in range(len(keys)):
        slot = np.int64(keys[n]) & (room - 1)
        while numbers[slot] >= 0:
            slot = (slot + 1) & (room - 1)
        table[slot] = keys[n]
        numbers[slot] = n
    return table, numbers


@njit(cache=True)
def find_number(table, numbers, key):
    """Number of a key in a table of `number_table`, -1 if it is not there."""
    mask = len(table) - 1
    slot = np.int64(key) & mask
    while numbers[slot] >= 0:
        if table[slot] == key:
            return numbers[slot]
        slot = (slot + 1) & mask
    return np.int32(-1)

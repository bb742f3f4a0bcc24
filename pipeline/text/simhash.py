"""SimHash of texts, and which of many are near one: for matches, and for the crawler's eye on hosts that repeat themselves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from pipeline.text.batch import TextBatch, Words

MAX_DISTANCE = 3  # bits of 64 (Manku et al. 2007, section 4.1, for web pages)
BLOCKS = 6  # of 11 or 10 bits: two values at most 3 bits apart agree in at least 3 of them (section 3.1)


def simhashes(words: Words, *, shingle_words: int) -> npt.NDArray[np.uint64]:
    """One value per text of a batch."""
    from pipeline.text.kernels import simhash as k

    made: npt.NDArray[np.uint64] = k.simhashes(words.first, words.hashes, shingle_words)
    return made


def simhash(text: str, *, shingle_words: int = 3) -> int:
    """The value of one text."""
    return int(simhashes(TextBatch([text]).words, shingle_words=shingle_words)[0])


def near(value: int, others: Sequence[int], max_distance: int = MAX_DISTANCE) -> bool:
    """Whether one of `others` differs from `value` in at most `max_distance` bits."""
    known = np.array(others, np.uint64)
    return bool((np.bitwise_count(known ^ np.uint64(value)) <= max_distance).any())


def block_keys(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """(values, 20, 2): 128-bit keys, one for each choice of three blocks; values within MAX_DISTANCE share one.

    The first number is spread evenly over 64 bits and depends on the choice, the second is the bits themselves.
    """
    edges = np.linspace(0, 64, BLOCKS + 1).round().astype(int).tolist()
    masks = [sum(1 << b for b in range(lo, hi)) for lo, hi in pairwise(edges)]
    choices = [sum(c) for c in combinations(masks, BLOCKS - MAX_DISTANCE)]
    keys = np.empty((len(values), len(choices), 2), np.uint64)
    for i, mask in enumerate(choices):
        bits = values & np.uint64(mask)
        mixed = (bits + np.uint64(i + 1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
        keys[:, i, 0] = mixed ^ (mixed >> np.uint64(32))
        keys[:, i, 1] = bits
    return keys

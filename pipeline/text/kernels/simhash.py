"""SimHash: 64 bits of a text of which few differ between near copies (Charikar 2002; Manku, Jain and Das Sarma 2007)."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.kernels.bytes import finish
from pipeline.text.kernels.grams import FACTOR, shingles


@njit(cache=True)
def simhashes(first, hashes, size):
    """One uint64 per text: bit b is set where more shingles have it than not; 0 for a text without words.

    Args:
        first, hashes: words of the texts, see `pipeline.text.batch.Words`.
        size: words per shingle.
    """
    n_docs = len(first) - 1
    out = np.zeros(n_docs, np.uint64)
    votes = np.empty(64, np.int64)
    for d in range(n_docs):
        votes[:] = 0
        for x in shingles(hashes[first[d] : first[d + 1]], size):
            h = finish(x * FACTOR)
            for b in range(64):
                votes[b] += np.int64((h >> np.uint64(b)) & np.uint64(1)) * 2 - 1
        made = np.uint64(0)
        for b in range(64):
            if votes[b] > 0:
                made |= np.uint64(1) << np.uint64(b)
        out[d] = made
    return out

"""Queries of an n-gram language model: back-off along levels of hash tables."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.kernels.bytes import MIX, finish
from pipeline.text.kernels.tables import find_number

MAX_ORDER = 6
# Columns of `score`
LOG_P, SCORED_WORDS, SCORE_COLUMNS = range(3)


@njit(cache=True)
def spread(keys):
    """Keys of a level as its table has them: every key another number, evenly spread."""
    out = np.empty(len(keys), np.uint64)
    for i in range(len(keys)):
        out[i] = finish(keys[i] * MIX)
    return out


@njit(cache=True)
def score(first, words, tables, indices, log_p, backoff, order, bos):
    """Sum of log10 p, and words, one row per sentence; each word list ends with the end mark, which counts as a word.

    Args:
        first, words: ids of the words of each sentence, behind an unwritten begin mark.
        tables, indices, log_p, backoff: one array for each order from 1 on; order 1 is indexed by word id.
    """
    n = len(first) - 1
    out = np.zeros((n, SCORE_COLUMNS))
    context = np.full(MAX_ORDER + 1, -1, np.int64)  # context[k]: the k-gram that ends before the word
    after = np.full(MAX_ORDER + 1, -1, np.int64)
    for s in range(n):
        context[:] = -1
        context[1] = bos
        for i in range(first[s], first[s + 1]):
            word = words[i]
            after[:] = -1
            after[1] = word
            longest = 1
            for k in range(2, order + 1):
                if context[k - 1] < 0:
                    break
                key = (np.uint64(context[k - 1]) << np.uint64(32)) | np.uint64(word)
                after[k] = find_number(tables[k - 1], indices[k - 1], finish(key * MIX))
                if after[k] >= 0:
                    longest = k
            total = np.float64(log_p[longest - 1][after[longest]])
            for k in range(longest, order):
                if context[k] >= 0:
                    total += backoff[k - 1][context[k]]
            out[s, LOG_P] += total
            out[s, SCORED_WORDS] += 1
            for k in range(1, order):
                context[k] = after[k]
    return out

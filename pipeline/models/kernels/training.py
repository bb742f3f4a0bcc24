"""Training of a linear classifier over fastText's features."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pipeline.models.kernels.features import END_OF_SENTENCE, ngram_rows, word_hash, word_key, word_rows
from pipeline.text.kernels.bytes import code_at
from pipeline.text.kernels.chars import K_SPACE, TABLE_SIZE
from pipeline.text.kernels.tables import find_number


@njit(cache=True)
def feature_rows(data, offsets, spaces, vocabulary, subword, eos):
    """(rows, starts) of all features of every text, in fastText's order; of
    text d they are rows[starts[d]:starts[d + 1]]."""
    keys, numbers, n_words = vocabulary
    _, maxn, _, word_ngrams, _, _ = subword
    n_docs = len(offsets) - 1
    starts = np.zeros(n_docs + 1, np.int64)
    out = np.empty(1 << 16, np.int32)
    n = 0
    for d in range(n_docs):
        i, end = offsets[d], offsets[d + 1]
        hashes = np.empty((end - i) // 2 + 3, np.uint32)
        n_hashes = 0
        room = n + (end - i + 4) * (max(maxn, 0) + word_ngrams + 3) + 16
        if room > len(out):
            grown = np.empty(2 * room, np.int32)
            grown[:n] = out[:n]
            out = grown
        while i < end:
            code, width = code_at(data, i)
            if code == 0 or (code < TABLE_SIZE and spaces[code] & K_SPACE):
                i += width
                continue
            start = i
            while i < end:
                code, width = code_at(data, i)
                if code == 0 or (code < TABLE_SIZE and spaces[code] & K_SPACE):
                    break
                i += width
            word = find_number(keys, numbers, word_key(data, start, i))
            if word < n_words:
                n += word_rows(data, start, i, word, eos, subword, n_words, out, n)
                hashes[n_hashes] = word_hash(data, start, i)
                n_hashes += 1
        if eos >= 0:
            out[n] = eos
            n += 1
        hashes[n_hashes] = word_hash(END_OF_SENTENCE, 0, len(END_OF_SENTENCE))
        n_hashes += 1
        n += ngram_rows(hashes, n_hashes, subword, n_words, out, n)
        starts[d + 1] = n
    return out[:n], starts


@njit(cache=True)
def train_linear(rows, starts, order, labels, importance, weights, squares, rate, decay):
    """One epoch of logistic regression on the mean of a text's weights, by Adagrad (Duchi et al. 2011), texts in the
    given order; changes weights in place. p(positive) = sigmoid(2 * mean), as a softmax over (mean, -mean) gives."""
    loss = 0.0
    for d in order:
        lo, hi = starts[d], starts[d + 1]
        if lo == hi:
            continue
        z = 0.0
        for r in range(lo, hi):
            z += weights[rows[r]]
        z /= hi - lo
        p = 1.0 / (1.0 + math.exp(-2.0 * z))
        loss += importance[d] * abs(p - labels[d])
        g0 = importance[d] * (p - labels[d]) * 2.0 / (hi - lo)
        for r in range(lo, hi):
            k = rows[r]
            g = g0 + decay * weights[k]
            squares[k] += g * g
            weights[k] -= rate * g / math.sqrt(squares[k] + 1e-12)
    return loss

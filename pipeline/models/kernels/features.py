"""What fastText sees in a text: words, subwords and word n-grams as rows of a model's matrix.

Follows fastText 0.9 (Bojanowski et al. 2017) operation by operation. Texts are UTF-8 in one buffer with offsets; white space of
any kind, line breaks too, separates words, and every text ends with the end-of-sentence word, as when the bindings get one line.

Three tuples stand for a model: `vocabulary` (keys, numbers, words), its words and behind them its labels as `number_table` gives
them under `word_key`; `subword` (minn, maxn, bucket, word_ngrams, bits, pruned), lengths of subwords in characters and of word
n-grams in words, buckets, and which of these a pruned model kept.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.kernels.bytes import FNV_OFFSET, FNV_PRIME, finish

BASIS = np.uint32(2166136261)
PRIME = np.uint32(16777619)
NGRAM_FACTOR = np.uint64(116049371)
LESS = np.int64(60)  # '<', begins a word
MORE = np.int64(62)  # '>', ends a word
LABEL_PREFIX = np.frombuffer(b"__label__", np.uint8)
END_OF_SENTENCE = np.frombuffer(b"</s>", np.uint8)


@njit(cache=True, inline="always")
def _step(h, byte):
    """One byte of FNV-1a in 32 bits, the byte sign-extended as fastText does."""
    wide = np.uint32(byte) if byte < 128 else np.uint32(byte) | np.uint32(0xFFFFFF00)
    return np.uint32((h ^ wide) * PRIME)


@njit(cache=True, inline="always")
def _bucket_of(h, bucket, inverse):
    """h % bucket for a 32-bit h, by a multiplication."""
    q = np.int64(np.float64(h) * inverse)
    r = np.int64(h) - q * bucket
    if r < 0:
        r += bucket
    elif r >= bucket:
        r -= bucket
    return r


@njit(cache=True)
def word_key(data, lo, hi):
    """64-bit hash of a word's bytes, under which the vocabulary is looked up."""
    h = FNV_OFFSET
    for i in range(lo, hi):
        h = (h ^ np.uint64(data[i])) * FNV_PRIME
    return finish(h)


@njit(cache=True, inline="always")
def _row_of(bucket_id, n_words, bits, pruned):
    """Matrix row of a bucket, -1 if it was pruned."""
    if len(pruned) == 0:
        return n_words + bucket_id
    if not (bits[bucket_id >> 3] >> (bucket_id & 7)) & 1:
        return np.int64(-1)
    return n_words + pruned[bucket_id]


@njit(cache=True)
def word_rows(data, start, end, word, eos, subword, n_words, out, at):
    """Write the matrix rows of the word data[start:end] into out[at:]; returns how many, -1 if there is no room."""
    minn, maxn, bucket, _, bits, pruned = subword
    if at + 1 + (end - start + 2) * max(maxn, 0) > len(out):
        return -1
    inverse = 1.0 / bucket if bucket else 0.0
    n_rows = 0
    if word >= 0:
        out[at] = word
        n_rows = 1
    if word == eos and eos >= 0:
        return n_rows
    if maxn <= 0:
        return n_rows
    # subwords of '<' + word + '>'; place start - 1 stands for '<', place `end` for '>'
    first = start - 1
    while first <= end:
        if start <= first < end and data[first] & 0xC0 == 0x80:
            first += 1
            continue
        h = BASIS
        j = first
        n = 1
        while j <= end and n <= maxn:
            if j < start:
                h = _step(h, LESS)
            elif j == end:
                h = _step(h, MORE)
            else:
                h = _step(h, np.int64(data[j]))
            j += 1
            while start < j < end and data[j] & 0xC0 == 0x80:
                h = _step(h, np.int64(data[j]))
                j += 1
            if n >= minn and not (n == 1 and (first == start - 1 or j == end + 1)):
                row = _row_of(_bucket_of(h, bucket, inverse), n_words, bits, pruned)
                if row >= 0:
                    out[at + n_rows] = row
                    n_rows += 1
            n += 1
        first += 1
    return n_rows


@njit(cache=True)
def ngram_rows(hashes, n, subword, n_words, out, at):
    """Write the matrix rows of the n-grams of n words, given by fastText's hashes, into out[at:]; returns how many."""
    _, _, bucket, word_ngrams, bits, pruned = subword
    n_rows = 0
    for a in range(n):
        h = np.uint64(np.int64(np.int32(hashes[a])))
        for b in range(a + 1, min(n, a + word_ngrams)):
            h = h * NGRAM_FACTOR + np.uint64(np.int64(np.int32(hashes[b])))
            row = _row_of(np.int64(h % np.uint64(bucket)), n_words, bits, pruned)
            if row >= 0:
                out[at + n_rows] = row
                n_rows += 1
    return n_rows


@njit(cache=True)
def word_hash(data, start, end):
    """fastText's hash of a word."""
    h = BASIS
    for i in range(start, end):
        h = _step(h, np.int64(data[i]))
    return h


@njit(cache=True)
def is_label(data, start, end):
    if end - start < len(LABEL_PREFIX):
        return False
    same = True
    for k in range(len(LABEL_PREFIX)):
        same &= data[start + np.uint64(k)] == LABEL_PREFIX[k]
    return same


@njit(cache=True)
def join_words(data, first, start, size):
    """The words of every text with one blank between them: (buffer, offsets)."""
    n_docs = len(first) - 1
    offsets = np.zeros(n_docs + 1, np.int64)
    out = np.empty(size.sum() + len(size), np.uint8)
    n = 0
    for d in range(n_docs):
        for w in range(first[d], first[d + 1]):
            if w > first[d]:
                out[n] = 32
                n += 1
            for k in range(size[w]):
                out[n] = data[start[w] + k]
                n += 1
        offsets[d + 1] = n
    return out[:n], offsets

"""fastText inference: the mean of a text's features, and the best label.

Follows fastText 0.9 (Joulin et al. 2016) operation by operation in float32, so that labels are the same as those of the bindings.
Features are those of `features`, which also says what the tuples that stand for a model are.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pipeline.models.kernels.features import END_OF_SENTENCE, is_label, ngram_rows, word_hash, word_rows
from pipeline.text.kernels.bytes import FNV_OFFSET, FNV_PRIME, code_at, finish
from pipeline.text.kernels.chars import K_SPACE, TABLE_SIZE
from pipeline.text.kernels.tables import EMPTY, find_number, place_of

HIERARCHICAL, SOFTMAX = 1, 3  # other losses take a sigmoid of each label
MEMO = 1 << 16  # words whose rows are remembered; the table is emptied when it is three quarters full
POOL = 1 << 20  # rows in it


@njit(cache=True)
def make_memo():
    """Rows of words that were seen: text repeats its words, and their n-grams need not be hashed again."""
    keys = np.zeros(MEMO, np.uint64)
    starts = np.zeros(MEMO, np.int32)
    counts = np.full(MEMO, EMPTY, np.int32)  # rows of a word; the numbers of the table
    pool = np.empty(POOL, np.int32)
    hashes = np.empty(MEMO, np.int64)  # fastText's hash of the word, -1 for a label
    used = np.zeros(2, np.int64)  # words, rows
    sums = np.zeros(MEMO, np.float32)  # of a word's rows, for models of one dimension
    return keys, starts, counts, hashes, pool, used, sums


@njit(cache=True)
def make_scratch(offsets, word_ngrams):
    """Room for the word hashes and the n-gram rows of the longest text."""
    words = 1
    if word_ngrams > 1:
        for d in range(len(offsets) - 1):
            words = max(words, (offsets[d + 1] - offsets[d]) // 2 + 3)
    return np.empty(words, np.uint32), np.empty(words * max(word_ngrams - 1, 1), np.int32)


@njit(cache=True)
def _add_long_word(data, start, end, word, vocabulary, subword, matrix, eos, hidden):
    """Add the rows of a word of a hundred thousand characters and more, too many to remember; returns how many."""
    rows = np.empty(1 + (np.int64(end - start) + 2) * max(subword[1], 1), np.int32)
    n_rows = word_rows(data, np.int64(start), np.int64(end), word, eos, subword, vocabulary[2], rows, 0)
    for r in range(n_rows):
        for k in range(len(hidden)):
            hidden[k] += matrix[rows[r], k]
    return n_rows


@njit(cache=True)
def _hidden(data, lo, hi, spaces, vocabulary, subword, matrix, eos, hidden, scratch, memo):
    """Mean of the rows of all features of data[lo:hi]; returns how many there are."""
    keys, numbers, n_words = vocabulary
    _, maxn, _, word_ngrams, _, _ = subword
    memo_keys, memo_starts, memo_counts, memo_hashes, pool, used, sums = memo
    hashes, grams = scratch
    dim = len(hidden)
    hidden[:] = 0
    features = 0
    n_hashes = 0
    ended = False
    i = np.uint64(lo)
    end = np.uint64(hi)
    one = np.uint64(1)
    space = np.uint8(K_SPACE)
    while True:
        while i < end:  # white space
            byte = data[i]
            if byte < 0x80:
                if byte != 0 and not spaces[byte] & space:
                    break
                i += one
            else:
                code, width = code_at(data, i)
                if code >= TABLE_SIZE or not spaces[code] & space:
                    break
                i += np.uint64(width)
        if i >= end:
            break
        start = i
        h64 = FNV_OFFSET
        while i < end:
            byte = data[i]
            if byte < 0x80:
                if byte == 0 or spaces[byte] & space:
                    break
            elif byte >= 0xC0:
                code, _ = code_at(data, i)
                if code < TABLE_SIZE and spaces[code] & space:
                    break
            h64 = (h64 ^ np.uint64(byte)) * FNV_PRIME
            i += one
        key = finish(h64)
        slot = np.int64(place_of(memo_keys, memo_counts, key, key))
        if memo_counts[slot] < 0:
            word = find_number(keys, numbers, key)
            label = word >= n_words
            if word < 0:
                label = is_label(data, start, i)
            length = np.int64(i - start)
            if 4 * used[0] > 3 * MEMO or used[1] + 1 + (length + 2) * max(maxn, 1) > POOL:
                memo_counts[:] = EMPTY
                used[:] = 0
                slot = np.int64(place_of(memo_keys, memo_counts, key, key))
            n_rows = 0
            if not label:
                n_rows = word_rows(data, np.int64(start), np.int64(i), word, eos, subword, n_words, pool, used[1])
                if n_rows < 0:
                    features += _add_long_word(data, start, i, word, vocabulary, subword, matrix, eos, hidden)
                    if word_ngrams > 1:
                        hashes[n_hashes] = word_hash(data, start, i)
                        n_hashes += 1
                    continue
            memo_keys[slot] = key
            memo_starts[slot] = used[1]
            memo_counts[slot] = n_rows
            memo_hashes[slot] = np.int64(word_hash(data, start, i)) if word_ngrams > 1 and not label else np.int64(-1)
            used[0] += 1
            used[1] += n_rows
            sums[slot] = 0
            for r in range(memo_starts[slot], memo_starts[slot] + n_rows):
                sums[slot] += matrix[pool[r], 0]
        first_row = memo_starts[slot]
        n_rows = memo_counts[slot]
        if dim == 1:
            hidden[0] += sums[slot]
        else:
            for r in range(first_row, first_row + n_rows):
                row = pool[r]
                for k in range(dim):
                    hidden[k] += matrix[row, k]
        features += n_rows
        if word_ngrams > 1 and memo_hashes[slot] >= 0:
            hashes[n_hashes] = memo_hashes[slot]
            n_hashes += 1
        if eos >= 0 and n_rows == 1 and pool[first_row] == eos:
            ended = True  # the text spells the end-of-sentence word: fastText reads no further
            break
    if eos >= 0 and not ended:
        for k in range(dim):
            hidden[k] += matrix[eos, k]
        features += 1
    if word_ngrams > 1:
        if not ended:
            hashes[n_hashes] = word_hash(END_OF_SENTENCE, 0, len(END_OF_SENTENCE))
            n_hashes += 1
        n_grams = ngram_rows(hashes, n_hashes, subword, n_words, grams, 0)
        for r in range(n_grams):
            for k in range(dim):
                hidden[k] += matrix[grams[r], k]
        features += n_grams
    if features:
        scale = np.float32(1.0 / features)
        for k in range(dim):
            hidden[k] *= scale
    return features


@njit(cache=True)
def _dot(matrix, row, hidden):
    total = np.float32(0)
    for k in range(len(hidden)):
        total += matrix[row, k] * hidden[k]
    return total


@njit(cache=True)
def _log(x):
    return np.float32(math.log(np.float64(x) + 1e-5))


@njit(cache=True)
def _best_leaf(left, right, output, hidden, nodes, scores):
    """(label, log probability) of the best leaf of the Huffman tree, -1 if none reaches log(1e-5)."""
    n_labels = (len(left) + 1) // 2
    best = -1
    best_score = np.float32(0)
    floor = _log(np.float32(0))
    nodes[0], scores[0] = len(left) - 1, 0
    depth = 1
    while depth:
        depth -= 1
        node, score = nodes[depth], scores[depth]
        if score < floor or (best >= 0 and score < best_score):
            continue
        if node < n_labels:
            if best < 0 or score >= best_score:
                best, best_score = node, score
            continue
        f = _dot(output, node - n_labels, hidden)
        f = np.float32(1.0 / (1.0 + np.float64(np.exp(np.float32(-f)))))
        # the left branch is taken first: it is pushed last
        nodes[depth], scores[depth] = right[node], np.float32(score + _log(f))
        nodes[depth + 1], scores[depth + 1] = left[node], np.float32(score + _log(np.float32(1.0 - np.float64(f))))
        depth += 2
    return best, best_score


@njit(cache=True)
def predict(data, offsets, spaces, vocabulary, subword, matrix, eos, loss, left, right, output):
    """(best label, its probability) of each text; label -1 where nothing is known about a text."""
    n_docs = len(offsets) - 1
    labels = np.full(n_docs, -1, np.int64)
    found = np.zeros(n_docs)
    hidden = np.zeros(matrix.shape[1], np.float32)
    n_labels = (len(left) + 1) // 2 if loss == HIERARCHICAL else len(output)
    nodes = np.empty(2 * n_labels + 2, np.int64)
    scores = np.empty(2 * n_labels + 2, np.float32)
    scratch = make_scratch(offsets, subword[3])
    memo = make_memo()
    for d in range(n_docs):
        n = _hidden(data, offsets[d], offsets[d + 1], spaces, vocabulary, subword, matrix, eos, hidden, scratch, memo)
        if n == 0:
            continue
        if loss == HIERARCHICAL:
            labels[d], score = _best_leaf(left, right, output, hidden, nodes, scores)
            found[d] = min(math.exp(score), 1.0) if labels[d] >= 0 else 0.0
            continue
        p = _label_scores(output, hidden, loss)
        best = 0
        for k in range(1, len(p)):
            if p[k] > p[best]:
                best = k
        labels[d], found[d] = best, min(math.exp(_log(p[best])), 1.0)
    return labels, found


@njit(cache=True)
def _label_scores(output, hidden, loss):
    """Probability of every label by softmax, or by a sigmoid each."""
    p = np.empty(len(output), np.float32)
    for k in range(len(output)):
        p[k] = _dot(output, k, hidden)
    if loss == SOFTMAX:
        top = p.max()
        total = np.float32(0)
        for k in range(len(p)):
            p[k] = np.exp(np.float32(p[k] - top))
            total += p[k]
        for k in range(len(p)):
            p[k] /= total
    else:
        for k in range(len(p)):
            p[k] = np.float32(1.0 / (1.0 + np.float64(np.exp(np.float32(-p[k])))))
    return p


@njit(cache=True)
def probabilities(data, offsets, spaces, vocabulary, subword, matrix, eos, loss, output):
    """(texts, labels) probabilities of all labels; a row of zeros where nothing is known about a text."""
    n_docs = len(offsets) - 1
    out = np.zeros((n_docs, len(output)))
    hidden = np.zeros(matrix.shape[1], np.float32)
    scratch = make_scratch(offsets, subword[3])
    memo = make_memo()
    for d in range(n_docs):
        if _hidden(data, offsets[d], offsets[d + 1], spaces, vocabulary, subword, matrix, eos, hidden, scratch, memo):
            out[d] = _label_scores(output, hidden, loss)
    return out


@njit(cache=True)
def dequantise(codes, centroids, norms, rows, dim, parts, width, last):
    """Rows of a product-quantised matrix as float32: norm * centroid."""
    out = np.empty((rows, dim), np.float32)
    for r in range(rows):
        for m in range(parts):
            d = last if m == parts - 1 else width
            code = np.int64(codes[r * parts + m])
            base = (
                m * 256 * width + code * last if m == parts - 1 else (m * 256 + code) * width
            )  # 256 centroids for each part
            for k in range(d):
                out[r, m * width + k] = norms[r] * centroids[base + k]
    return out

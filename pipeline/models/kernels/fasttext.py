"""fastText inference: features of a text (words, subwords, word n-grams), their mean, and the best label.

Follows fastText 0.9 (Joulin et al. 2016; Bojanowski et al. 2017) operation by operation in float32, so that labels are
the same as those of the bindings. Texts are UTF-8 in one buffer with offsets; white space of any kind, line breaks too,
separates words, and every text ends with the end-of-sentence word, as when the bindings get one line.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pipeline.text.chars import K_SPACE, TABLE_SIZE
from pipeline.text.kernels.bytes import FNV_OFFSET, FNV_PRIME, code_at, finish
from pipeline.text.kernels.tables import find_number

BASIS = np.uint32(2166136261)
PRIME = np.uint32(16777619)
NGRAM_FACTOR = np.uint64(116049371)
LESS = np.int64(60)  # '<', begins a word
MORE = np.int64(62)  # '>', ends a word
LABEL_PREFIX = np.frombuffer(b"__label__", np.uint8)
END_OF_SENTENCE = np.frombuffer(b"</s>", np.uint8)
HIERARCHICAL, SOFTMAX = 1, 3  # other losses take a sigmoid of each label


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


MEMO = 1 << 16  # words whose rows are remembered; the table is emptied when it is three quarters full
POOL = 1 << 20  # rows in it


@njit(cache=True)
def make_memo():
    """Rows of words that were seen: text repeats its words, and their n-grams need not be hashed again."""
    keys = np.zeros(MEMO, np.uint64)
    starts = np.zeros(MEMO, np.int32)
    counts = np.full(MEMO, -1, np.int32)
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
def _word_rows(data, start, end, word, eos, subword, n_words, out, at):
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
def _hidden(data, lo, hi, spaces, vocabulary, subword, matrix, eos, hidden, scratch, memo):
    """Mean of the rows of all features of data[lo:hi]; returns how many there are."""
    keys, ids, n_words = vocabulary
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
        slot = np.int64(key) & (MEMO - 1)
        while memo_counts[slot] >= 0 and memo_keys[slot] != key:
            slot = (slot + 1) & (MEMO - 1)
        if memo_counts[slot] < 0:
            word = find_number(keys, ids, key)
            label = word >= n_words
            if word < 0:
                label = _is_label(data, start, i)
            length = np.int64(i - start)
            if 4 * used[0] > 3 * MEMO or used[1] + 1 + (length + 2) * max(maxn, 1) > POOL:
                memo_counts[:] = -1
                used[:] = 0
                slot = np.int64(key) & (MEMO - 1)
            n_rows = 0
            if not label:
                n_rows = _word_rows(data, np.int64(start), np.int64(i), word, eos, subword, n_words, pool, used[1])
                if n_rows < 0:  # a word of a hundred thousand characters and more: rows of its own
                    rows = np.empty(1 + (length + 2) * max(maxn, 1), np.int32)
                    n_rows = _word_rows(data, np.int64(start), np.int64(i), word, eos, subword, n_words, rows, 0)
                    for r in range(n_rows):
                        for k in range(dim):
                            hidden[k] += matrix[rows[r], k]
                    features += n_rows
                    if word_ngrams > 1:
                        hashes[n_hashes] = _word_hash(data, start, i)
                        n_hashes += 1
                    continue
            memo_keys[slot] = key
            memo_starts[slot] = used[1]
            memo_counts[slot] = n_rows
            memo_hashes[slot] = np.int64(_word_hash(data, start, i)) if word_ngrams > 1 and not label else np.int64(-1)
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
            hashes[n_hashes] = _word_hash(END_OF_SENTENCE, 0, len(END_OF_SENTENCE))
            n_hashes += 1
        n_grams = _ngram_rows(hashes, n_hashes, subword, n_words, grams, 0)
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
def _ngram_rows(hashes, n, subword, n_words, out, at):
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
def _word_hash(data, start, end):
    """fastText's hash of a word."""
    h = BASIS
    for i in range(start, end):
        h = _step(h, np.int64(data[i]))
    return h


@njit(cache=True)
def _is_label(data, start, end):
    if end - start < len(LABEL_PREFIX):
        return False
    same = True
    for k in range(len(LABEL_PREFIX)):
        same &= data[start + np.uint64(k)] == LABEL_PREFIX[k]
    return same


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


@njit(cache=True)
def feature_rows(data, offsets, spaces, vocabulary, subword, eos):
    """(rows, offsets) of all features of every text, in fastText's order."""
    keys, ids, n_words = vocabulary
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
            word = find_number(keys, ids, word_key(data, start, i))
            if word < n_words:
                n += _word_rows(data, start, i, word, eos, subword, n_words, out, n)
                hashes[n_hashes] = _word_hash(data, start, i)
                n_hashes += 1
        if eos >= 0:
            out[n] = eos
            n += 1
        hashes[n_hashes] = _word_hash(END_OF_SENTENCE, 0, len(END_OF_SENTENCE))
        n_hashes += 1
        n += _ngram_rows(hashes, n_hashes, subword, n_words, out, n)
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

"""Scores of blocks by linear models over hashed tokens: one of the names that they stand in (path), one of their words (text)."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.extract.fast.kernels import tags as T
from pipeline.extract.fast.kernels.elements import B, E
from pipeline.extract.fast.kernels.words import mix

PATH_BITS = 18  # of an index into the tables of path weights
MAX_NEAR_NAMES = 3  # names of an element that are also taken together with its parent's first one
# Salts that keep kinds of path tokens apart.
_TAG, _NAME, _PARENT, _ABOVE, _NEAR = (np.uint64(n) for n in (7, 3, 1000, 2000, 5000))
_HTML, _BODY = T.TAG["html"], T.TAG["body"]


@njit(cache=True)
def path_tokens(el, tokens):
    """Indices into the path tables for every element: its names, its tag, and its tag with those above.

    Returns: (indices int32, offsets int32 (n + 1)); html and body have none.
    """
    n = len(el)
    offsets = np.zeros(n + 1, np.int32)
    out = np.zeros(2 * len(tokens) + 3 * n, np.int32)
    mask = np.uint64((1 << PATH_BITS) - 1)
    at = 0
    for e in range(n):
        tag = el[e, E.tag]
        if tag != _HTML and tag != _BODY and e:
            parent = el[e, E.parent]
            own, near = np.uint64(tag + 1), np.uint64(el[parent, E.tag] + 1)
            above = el[parent, E.parent]
            far = np.uint64(el[above, E.tag] + 1) if above >= 0 else np.uint64(0)
            out[at] = np.int32(mix(own, _TAG) & mask)
            out[at + 1] = np.int32(mix(own, near + _PARENT) & mask)
            out[at + 2] = np.int32(mix(mix(own, near), far + _ABOVE) & mask)
            at += 3
            first = el[e, E.first_token]
            if el[parent, E.n_tokens] > 0:
                near = np.uint64(tokens[el[parent, E.first_token]])
            for k in range(first, first + el[e, E.n_tokens]):
                name = np.uint64(tokens[k])
                out[at] = np.int32(mix(name, _NAME) & mask)
                at += 1
                if k < first + MAX_NEAR_NAMES:
                    out[at] = np.int32(mix(name, near + _NEAR) & mask)
                    at += 1
        offsets[e + 1] = at
    return out[:at].copy(), offsets


@njit(cache=True)
def path_scores(el, blocks, indices, offsets, own, above, scale):
    """Path score of every block: names of its element and the parent by table `own`, those further up by `above`.

    Args:
        own, above: int8 weights (2**PATH_BITS,), to be multiplied by `scale`.

    Returns: float64 (m,).
    """
    n = len(el)
    near, far = np.zeros(n, np.float64), np.zeros(n, np.float64)
    for e in range(1, n):
        a, b = 0, 0
        for k in range(offsets[e], offsets[e + 1]):
            a += own[indices[k]]
            b += above[indices[k]]
        near[e] = a * scale
        far[e] = far[el[e, E.parent]] + b * scale
    scores = np.zeros(len(blocks), np.float64)
    for i in range(len(blocks)):
        e = blocks[i, B.element]
        parent = el[e, E.parent]
        value = near[e]
        if parent > 0:
            value += near[parent]
            above_it = el[parent, E.parent]
            if above_it > 0:
                value += far[above_it]
        scores[i] = value
    return scores


@njit(cache=True)
def text_scores(indices, offsets, weights, scale):
    """Text score of every block: sum of the weights of its tokens / sqrt(number of tokens). float64 (m,)."""
    m = len(offsets) - 1
    scores = np.zeros(m, np.float64)
    for b in range(m):
        total = 0
        for k in range(offsets[b], offsets[b + 1]):
            total += weights[indices[k]]
        n = offsets[b + 1] - offsets[b]
        scores[b] = total * scale / np.sqrt(n) if n else 0.0
    return scores

"""Logistic regression over hashed tokens, for training the path and text scores. Sparse Adagrad, in a fixed order."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.extract.fast.kernels.elements import B, E


@njit(cache=True)
def train_text(pages, order, weights, squares, rate, decay):
    """One epoch over pages of (indices, offsets, labels, importance), in the given order; updates weights in place."""
    loss = 0.0
    for p in order:
        indices, offsets, labels, importance = pages[p]
        for b in range(len(labels)):
            n = offsets[b + 1] - offsets[b]
            if n == 0 or importance[b] == 0:
                continue
            scale = 1.0 / np.sqrt(n)
            z = 0.0
            for k in range(offsets[b], offsets[b + 1]):
                z += weights[indices[k]]
            z *= scale
            y = 1.0 / (1.0 + np.exp(-z))
            g0 = (y - labels[b]) * importance[b] * scale
            loss += importance[b] * abs(y - labels[b])
            for k in range(offsets[b], offsets[b + 1]):
                i = indices[k]
                g = g0 + decay * weights[i]
                squares[i] += g * g
                weights[i] -= rate * g / np.sqrt(squares[i] + 1e-6)
    return loss


@njit(cache=True)
def train_paths(pages, order, own, above, own_squares, above_squares, rate, decay):
    """One epoch over pages of (elements, blocks, indices, offsets, labels, importance); updates both tables in place.

    The score is that of `path_scores`: names of a block's element and its parent by `own`, those further up by `above`.
    """
    loss = 0.0
    for p in order:
        el, blocks, indices, offsets, labels, importance = pages[p]
        for b in range(len(labels)):
            if importance[b] == 0:
                continue
            e = blocks[b, B.element]
            z = 0.0
            up, level = e, 0
            while up > 0:
                for k in range(offsets[up], offsets[up + 1]):
                    z += own[indices[k]] if level < 2 else above[indices[k]]
                up = el[up, E.parent]
                level += 1
            y = 1.0 / (1.0 + np.exp(-z))
            g0 = (y - labels[b]) * importance[b]
            loss += importance[b] * abs(y - labels[b])
            up, level = e, 0
            while up > 0:
                for k in range(offsets[up], offsets[up + 1]):
                    i = indices[k]
                    if level < 2:
                        g = g0 + decay * own[i]
                        own_squares[i] += g * g
                        own[i] -= rate * g / np.sqrt(own_squares[i] + 1e-6)
                    else:
                        g = g0 + decay * above[i]
                        above_squares[i] += g * g
                        above[i] -= rate * g / np.sqrt(above_squares[i] + 1e-6)
                up = el[up, E.parent]
                level += 1
    return loss

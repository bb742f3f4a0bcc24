"""Bits per byte on token shards, and the unigram baseline that every model has to beat.

Bits per byte = sum of -log2 p(token) / sum of UTF-8 bytes those tokens stand for. End-of-text tokens stand for no
bytes and are left out of both sums; so is the first token of each row, which nothing predicts. Rows are scored on
their own: the context of a token starts at its row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from pipeline.core.dataset import Dataset
from tokenize_stage.reader import TokenShards
from train.model import Decoder


@dataclass(frozen=True)
class Score:
    """Natural-log likelihood summed over scored tokens, and the bytes they stand for."""

    nats: float
    tokens: int
    bytes: int

    @property
    def bits_per_byte(self) -> float:
        return self.nats / math.log(2) / max(self.bytes, 1)

    @property
    def loss(self) -> float:
        """Nats per token."""
        return self.nats / max(self.tokens, 1)


def validation_rows(dataset: Dataset, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `limit` rows (0: all) of the validation split in a fixed shuffled order: ids and valid lengths."""
    shards = TokenShards(dataset, "validation", seed=0)
    return shards.take(0, min(limit, shards.rows) if limit else shards.rows)


@torch.no_grad()
def score_model(
    model: Decoder, ids: np.ndarray, valid: np.ndarray, lengths: np.ndarray, *, batch_rows: int = 8
) -> Score:
    """Score rows with a model.

    Args:
        ids: token ids, shape (rows, row_tokens).
        valid: real tokens per row, shape (rows,).
        lengths: bytes per token id, shape (vocab_size,); 0 for special tokens.
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    nats, tokens, size = 0.0, 0, 0
    for i in range(0, len(ids), batch_rows):
        block = ids[i : i + batch_rows]
        mask = _scored(block, valid[i : i + batch_rows], lengths)
        x = torch.from_numpy(block).to(device)
        logits = model(x[:, :-1]).float()
        each = F.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten(), reduction="none").view(len(block), -1)
        nats += float((each.double() * torch.from_numpy(mask).to(device)).sum())
        tokens += int(mask.sum())
        size += int(lengths[block[:, 1:]][mask].sum())
    model.train(was_training)
    return Score(nats, tokens, size)


def score_unigram(train: TokenShards, ids: np.ndarray, valid: np.ndarray, lengths: np.ndarray) -> Score:
    """Score the same tokens with their frequencies in the train split, add-one smoothed."""
    counts = np.ones(len(lengths), np.float64)
    for start in range(0, train.rows, 512):
        rows, real = train.read(list(range(start, min(start + 512, train.rows))))
        inside = np.arange(rows.shape[1])[None, :] < real[:, None]
        counts += np.bincount(rows[inside], minlength=len(lengths))
    counts[lengths == 0] = 0.0  # special tokens are not scored, so they get no share either
    with np.errstate(divide="ignore"):
        nll = -np.log(counts / counts.sum())
    mask = _scored(ids, valid, lengths)
    targets = ids[:, 1:][mask]
    return Score(float(nll[targets].sum()), len(targets), int(lengths[targets].sum()))


def _scored(ids: np.ndarray, valid: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Which targets count: real tokens that stand for bytes; shape (rows, row_tokens - 1)."""
    inside = np.arange(1, ids.shape[1])[None, :] < valid[:, None]
    mask: np.ndarray = inside & (lengths[ids[:, 1:]] > 0)
    return mask

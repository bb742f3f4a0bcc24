"""Token shards for torch's DataLoader. Needs torch; everything else here does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import IterableDataset, get_worker_info

from pipeline.core.dataset import open_dataset
from tokenize_stage.reader import TokenShards


class TokenDataset(IterableDataset[dict[str, torch.Tensor]]):
    """Batches of token rows; give it to `DataLoader(dataset, batch_size=None, num_workers=...)`.

    An item is {"input_ids": (B, row_tokens) int64, "n_tokens": (B,) int32, "position": () int64}. Store the `position` of the
    last batch you trained on; `TokenDataset(..., position=...)` goes on behind it, with any number of ranks and workers.
    With several workers the DataLoader takes batches from them in turn, and they come in the order of one worker.

    Args:
        path: a tokenize step.
        split: "train", "validation" or "test".
        batch_rows: rows of a batch, on each rank.
        position: rows of the sequence that are done, on all ranks together.
        epochs: end after so many; None goes on without end.
    """

    def __init__(
        self,
        path: Path,
        split: str,
        batch_rows: int,
        *,
        seed: int = 0,
        window: int = 64,
        position: int = 0,
        rank: int = 0,
        world: int = 1,
        epochs: int | None = None,
    ) -> None:
        super().__init__()
        self.path, self.split, self.batch_rows = path, split, batch_rows
        self.seed, self.window, self.position = seed, window, position
        self.rank, self.world, self.epochs = rank, world, epochs

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        shards = TokenShards(open_dataset(self.path), self.split, seed=self.seed, window=self.window)
        worker = get_worker_info()
        workers, mine = (worker.num_workers, worker.id) if worker is not None else (1, 0)
        step = self.world * self.batch_rows
        last = None if self.epochs is None else self.epochs * shards.rows
        position = self.position + mine * step
        while last is None or position < last:
            parts = shards.batches(
                self.batch_rows, position=position, rank=self.rank, world=self.world, epochs=self.epochs
            )
            batch = next(parts)
            yield {
                "input_ids": torch.from_numpy(batch.ids),
                "n_tokens": torch.from_numpy(batch.n_tokens.copy()),
                "position": torch.tensor(batch.position),
            }
            position += workers * step

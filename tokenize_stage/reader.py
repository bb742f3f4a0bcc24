"""Reading token shards: an endless, shuffled sequence of rows that is a pure function of the seed.

Row `i` of the sequence belongs to epoch `i // rows`; within an epoch every row comes exactly once. So a position is
one number, and any number of readers can each take their part of it. Shuffling is by row group: the groups are put in
random order, and rows are shuffled inside windows of `window` groups, so a reader holds that many groups in memory.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from pipeline.core.dataset import Dataset
from pipeline.core.errors import DataError


@dataclass
class TokenShards:
    """Rows of one split of a tokenize step.

    Args:
        dataset: the step.
        split: "train" or "validation".
        seed: of the shuffle.
        window: row groups that are mixed with each other, and kept in memory.
    """

    dataset: Dataset
    split: str
    seed: int = 0
    window: int = 64
    _cache: OrderedDict[int, tuple[npt.NDArray[Any], npt.NDArray[np.int32]]] = field(default_factory=OrderedDict)
    _epoch: tuple[int, npt.NDArray[np.int64]] | None = None

    def __post_init__(self) -> None:
        if self.dataset.manifest.get("kind") != "tokens":
            raise DataError(f"{self.dataset.dir}: holds {self.dataset.manifest.get('kind')}, not token shards.")

    @cached_property
    def groups(self) -> list[tuple[Path, int, int, int]]:
        """(file, row group, first row, rows) in file order."""
        found, first = [], 0
        for path in self.dataset.files(self.split):
            meta = pq.read_metadata(path)
            for g in range(meta.num_row_groups):
                n = meta.row_group(g).num_rows
                if n:
                    found.append((path, g, first, n))
                first += n
        return found

    @property
    def rows(self) -> int:
        return int(self.dataset.counts[f"{self.split}_rows"])

    @property
    def row_tokens(self) -> int:
        return int(self.dataset.manifest["row_tokens"])

    def order(self, epoch: int) -> npt.NDArray[np.int64]:
        """Row numbers of one epoch, shuffled."""
        if self._epoch is None or self._epoch[0] != epoch:
            rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, epoch])))
            shuffled = [self.groups[i] for i in rng.permutation(len(self.groups))]
            parts = []
            for i in range(0, len(shuffled), self.window):
                rows = np.concatenate([np.arange(f, f + n) for _, _, f, n in shuffled[i : i + self.window]])
                parts.append(rng.permutation(rows))
            self._epoch = (epoch, np.concatenate(parts) if parts else np.zeros(0, np.int64))
        return self._epoch[1]

    def take(self, start: int, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Rows [start, start + count) of the endless shuffled sequence.

        Returns: ids of shape (count, row_tokens), and the number of real tokens in each row, shape (count,).
        """
        if not self.rows:
            raise DataError(f"{self.dataset.dir}: the {self.split} split is empty.")
        wanted = [int(self.order(i // self.rows)[i % self.rows]) for i in range(start, start + count)]
        return self.read(wanted)

    def read(self, rows: list[int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Rows by number, in file order numbering; shapes as for `take`."""
        firsts = [g[2] for g in self.groups]
        ids = np.empty((len(rows), self.row_tokens), np.int64)
        valid = np.empty(len(rows), np.int32)
        for at, row in enumerate(rows):
            g = int(np.searchsorted(firsts, row, side="right")) - 1
            tokens, n_tokens = self._group(g)
            ids[at] = tokens[row - firsts[g]]
            valid[at] = n_tokens[row - firsts[g]]
        return ids, valid

    def _group(self, index: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        path, group, _, n = self.groups[index]
        with pq.ParquetFile(path) as f:
            table = f.read_row_group(group, columns=["tokens", "n_tokens"])
            dtype = np.dtype((f.schema_arrow.metadata or {})[b"winnow.dtype"].decode())
        column = table.column("tokens").combine_chunks()
        flat = np.frombuffer(column.buffers()[1], dtype=dtype, count=n * self.row_tokens)
        made = (flat.reshape(n, self.row_tokens), table.column("n_tokens").to_numpy())
        self._cache[index] = made
        while len(self._cache) > self.window + 1:
            self._cache.popitem(last=False)
        return made

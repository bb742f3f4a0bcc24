"""Reading token shards: an endless, shuffled sequence of rows that is a pure function of the seed.

Row `i` of the sequence belongs to epoch `i // rows`; within an epoch every row comes exactly once. So a position is one
number, and any number of readers can each take their part of it, also another number than before. Shuffling is by row group:
the groups are put in random order, and rows are shuffled inside windows of `window` groups.

Tokens are plain in the file, so rows are taken from the mapped file and widened in one pass; nothing is decoded and nothing
is held. A file that some other tool wrote anew is read through Parquet.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.dataset import Dataset
from pipeline.core.errors import DataError, UsageError

Tokens = npt.NDArray[Any]
HEADER_BYTES = 1_000  # of a page, at most


class Group(NamedTuple):
    """One row group: its file, number there, first row of the split, rows, and the byte at which its tokens begin, -1 where
    they do not lie plain in one page."""

    path: Path
    number: int
    first: int
    rows: int
    at: int


class Batch(NamedTuple):
    """Rows of the sequence.

    Attributes:
        ids: (rows, row_tokens) int64.
        n_tokens: real tokens of each row, (rows,) int32; behind them is padding.
        position: of the first row behind the whole step, all ranks' rows counted: what `state` holds after it.
    """

    ids: Tokens
    n_tokens: npt.NDArray[np.int32]
    position: int


@dataclass
class TokenShards:
    """Rows of one split of a tokenize step.

    Args:
        dataset: the step.
        split: "train", "validation" or "test".
        seed: of the shuffle.
        window: row groups whose rows are mixed with each other.
    """

    dataset: Dataset
    split: str
    seed: int = 0
    window: int = 64
    _epoch: tuple[int, npt.NDArray[np.int64]] | None = None
    _maps: dict[int, Tokens] = field(default_factory=dict)
    _decoded: OrderedDict[int, Tokens] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        if self.dataset.manifest.get("kind") != "tokens":
            raise DataError(f"{self.dataset.dir}: holds {self.dataset.manifest.get('kind')}, not token shards.")

    @cached_property
    def groups(self) -> list[Group]:
        """Row groups in file order."""
        found, first = [], 0
        for path in self.dataset.files(self.split):
            meta = pq.read_metadata(path)
            for g in range(meta.num_row_groups):
                n = meta.row_group(g).num_rows
                if n:
                    found.append(Group(path, g, first, n, self._plain_at(meta.row_group(g))))
                first += n
        return found

    def _plain_at(self, group: Any) -> int:
        """Where the tokens of a row group begin: its chunk ends with the values if it is one plain page of required values."""
        chunk = group.column(0)
        size = group.num_rows * self.row_tokens * self.dtype.itemsize
        header = chunk.total_compressed_size - size
        plain = chunk.path_in_schema == "tokens" and chunk.compression == "UNCOMPRESSED"
        if not plain or chunk.has_dictionary_page or not 0 < header < HEADER_BYTES:
            return -1
        return int(chunk.data_page_offset + header)

    @cached_property
    def _firsts(self) -> npt.NDArray[np.int64]:
        return np.array([g.first for g in self.groups], np.int64)

    @cached_property
    def _n_tokens(self) -> npt.NDArray[np.int32]:
        """Real tokens of every row."""
        parts = [pq.read_table(p, columns=["n_tokens"])["n_tokens"].to_numpy() for p in self.dataset.files(self.split)]
        return np.concatenate(parts) if parts else np.zeros(0, np.int32)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Of the ids in the files."""
        found: np.dtype[Any] = np.dtype(self.dataset.manifest["dtype"])
        return found

    @property
    def rows(self) -> int:
        return int(self.dataset.counts.get(f"{self.split}_rows", 0))

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
                rows = np.concatenate([np.arange(g.first, g.first + g.rows) for g in shuffled[i : i + self.window]])
                parts.append(rng.permutation(rows))
            self._epoch = (epoch, np.concatenate(parts) if parts else np.zeros(0, np.int64))
        return self._epoch[1]

    def numbers(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """Row numbers of [start, start + count) of the endless shuffled sequence. Raises: DataError if there is no row."""
        if not self.rows:
            raise DataError(f"{self.dataset.dir}: the {self.split} split is empty.")
        parts, at = [], start
        while at < start + count:
            epoch, inside = divmod(at, self.rows)
            parts.append(self.order(epoch)[inside : inside + start + count - at])
            at += len(parts[-1])
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def take(self, start: int, count: int) -> tuple[Tokens, npt.NDArray[np.int32]]:
        """Rows [start, start + count) of the sequence.

        Returns: ids of shape (count, row_tokens), and the number of real tokens in each row, shape (count,).
        """
        return self.read(self.numbers(start, count))

    def read(
        self, rows: npt.NDArray[np.int64] | list[int], out: Tokens | None = None
    ) -> tuple[Tokens, npt.NDArray[np.int32]]:
        """Rows by number, in file order numbering; shapes as for `take`.

        Args:
            out: filled and returned if given, (rows, row_tokens); int64 by default.
        """
        from tokenize_stage.kernels.packing import take_rows

        wanted = np.asarray(rows, np.int64)
        ids = np.empty((len(wanted), self.row_tokens), np.int64) if out is None else out
        of = self._firsts.searchsorted(wanted, side="right") - 1
        sources, at, width = self._places
        source = sources[of]
        begin = at[of] + (wanted - self._firsts[of]) * width
        left = np.arange(len(wanted))
        while len(left):  # one file after the other; most often there is one
            number = int(source[left[0]])
            same = source[left] == number
            mine = left if same.all() else left[same]
            left = left[~same]
            if number >= 0:
                take_rows(self._mapped(number), begin[mine], mine, ids)
                continue
            for g in dict.fromkeys(of[mine].tolist()):  # not plain: through Parquet
                here = mine[of[mine] == g]
                take_rows(self._decoded_group(g), (wanted[here] - self._firsts[g]) * width, here, ids)
        return ids, self._n_tokens[wanted]

    @cached_property
    def _places(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
        """Of each group: number of the file and alignment it is mapped with (-1: not plain), and where its tokens begin there,
        in tokens; tokens of a row."""
        size = self.dtype.itemsize
        files = {p: i for i, p in enumerate(self.dataset.files(self.split))}
        number = [files[g.path] * size + g.at % size if g.at >= 0 else -1 for g in self.groups]
        return np.array(number, np.int64), np.array([g.at // size for g in self.groups], np.int64), self.row_tokens

    def _mapped(self, number: int) -> Tokens:
        """A file's bytes as tokens, from byte `number % itemsize` on: pages begin anywhere."""
        if number not in self._maps:
            file, shift = divmod(number, self.dtype.itemsize)
            raw = np.memmap(self.dataset.files(self.split)[file], np.uint8, "r")[shift:]
            self._maps[number] = np.asarray(raw[: len(raw) // self.dtype.itemsize * self.dtype.itemsize]).view(
                self.dtype
            )
        return self._maps[number]

    def _decoded_group(self, index: int) -> Tokens:
        """The tokens of a group, one row after the other, read through Parquet."""
        group = self.groups[index]
        if index not in self._decoded:
            with pq.ParquetFile(group.path) as f:
                column = f.read_row_group(group.number, columns=["tokens"]).column("tokens").combine_chunks()
            self._decoded[index] = np.frombuffer(column.buffers()[1], self.dtype, group.rows * self.row_tokens)
            while len(self._decoded) > self.window + 1:
                self._decoded.popitem(last=False)
        return self._decoded[index]

    def batches(
        self, batch_rows: int, *, position: int = 0, rank: int = 0, world: int = 1, epochs: int | None = None
    ) -> Iterator[Batch]:
        """The rows of one rank from a position on, a batch for every step.

        In a step the ranks take `batch_rows` rows each, one behind the other in the sequence, so the position after it is
        `world * batch_rows` further. Whoever goes on from there with another `world` misses nothing and reads nothing twice.

        Args:
            position: rows of the sequence that are done.
            epochs: end where so many are complete; the last step may be smaller. None goes on without end.

        Raises: UsageError for a rank that is none; DataError if the split is empty.
        """
        if not 0 <= rank < world or batch_rows < 1 or position < 0:
            raise UsageError(f"rank {rank} of {world}, {batch_rows} rows from {position}: no such part of the rows.")
        last = None if epochs is None else epochs * self.rows
        while last is None or position < last:
            step = world * batch_rows if last is None else min(world * batch_rows, last - position)
            start = min(rank * batch_rows, step)
            mine = min(batch_rows, step - start)
            ids, real = self.take(position + start, mine)
            position += step
            yield Batch(ids, real, position)

    def documents(self, start: int, count: int) -> list[list[dict[str, Any]]]:
        """What is in rows [start, start + count) of the sequence: for each row its parts as {"doc_id", "source", "start",
        "end", "first_token"}."""
        numbers = self.numbers(start, count)
        of = np.searchsorted(self._firsts, numbers, side="right") - 1
        columns = ["n_tokens", "doc_ids", "doc_starts", "doc_tokens", "doc_sources"]
        tables: dict[int, pa.Table] = {}
        found = []
        for row, g in zip(numbers.tolist(), of.tolist(), strict=True):
            if g not in tables:
                with pq.ParquetFile(self.groups[g].path) as f:
                    tables[g] = f.read_row_group(self.groups[g].number, columns=columns)
            found.append(parts_of_row(tables[g].slice(row - int(self._firsts[g]), 1).to_pylist()[0]))
        return found


def parts_of_row(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The documents of one row of a token shard, and where each lies in it."""
    ends = [*row["doc_starts"][1:], row["n_tokens"]]
    sources = row.get("doc_sources") or [None] * len(ends)
    return [
        {"doc_id": d, "source": source, "start": s, "end": e, "first_token": t}
        for d, source, s, e, t in zip(row["doc_ids"], sources, row["doc_starts"], ends, row["doc_tokens"], strict=True)
    ]

"""Windows that occur more than once: for edits that remove exact substrings which the corpus has elsewhere.

A run of at least N tokens occurs twice exactly if each of its windows of N tokens does, so no suffix array is needed:

    found    windows are cut into ranges by the first bits of their hash; in each range equal ones are found by sorting
    repeats  the windows that occur more than once, by shard, document and position

Two different windows are taken for equal with probability 2^-96. On disk a token takes 20 bytes while this runs; memory
is that of one range or shard, and of sorts that spill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.bench import Bench
from pipeline.core.dataset import Source
from pipeline.core.definitions import WindowEdit
from pipeline.core.documents import Doc
from pipeline.core.files import atomic, parquet_options, write_parquet
from pipeline.core.ranges import rows_between
from pipeline.core.registry import Call
from pipeline.core.step import Inputs, ShardFiles, ShardResult, Task
from pipeline.core.watch import calling
from pipeline.matching.keep import Keep
from pipeline.matching.kernels.windows import repeated_windows
from pipeline.matching.pairs import RankArgs, key_range, range_bits, rank_documents
from pipeline.matching.question import BATCH_ROWS, Corpus, Outputs, Reply
from pipeline.matching.tables import distinct, sorter

VERSION = 1
WINDOWS = pa.schema([("high", pa.uint64()), ("more", pa.uint32()), ("doc", pa.int32()), ("at", pa.int32())])
WINDOW_TYPES = (np.uint64, np.uint32, np.int32, np.int32)
WINDOW_ROWS = 65_536  # rows of a row group of windows: a shard has a hundred times as many as of other keys
REPEATS = pa.schema([("shard", pa.int32()), ("doc", pa.int32()), ("at", pa.int32()), ("first", pa.bool_())])
Found = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]  # positions of windows: of later copies, of first ones


@dataclass(frozen=True)
class FoundWindows:
    """The repeated windows of a shard by doc_id."""

    by_document: dict[bytes, Found]

    def params(self, doc_id: bytes) -> dict[str, object]:
        """`found`: positions in a document of windows that occur earlier, and of those that are the first of their kind."""
        return {"found": self.by_document.get(doc_id)}


@dataclass(frozen=True)
class RepeatedWindows:
    """The question of an edit with windows: which of them occur more than once, and which is the first in the order of `keep`?"""

    call: Call
    keep: Keep
    folder: str = "repeats"

    @property
    def name(self) -> str:
        return self.call.name

    @property
    def edit(self) -> WindowEdit:
        found = self.call.edit
        assert isinstance(found, WindowEdit)
        return found

    def state(self, docs: Sequence[Doc]) -> list[tuple[str, pa.Array]]:
        return self.keep.columns(docs, self.name)

    def write(self, docs: Sequence[Doc], part: ShardFiles) -> Outputs:
        """`keys`: (high, more, doc, at) of every window, by high."""
        edit, parts = self.edit, []
        for start in range(0, len(docs), BATCH_ROWS):
            part_docs = docs[start : start + BATCH_ROWS]
            with calling("edit", self.name, len(part_docs)):
                places, at, high, more = edit.windows(part_docs, **self.call.params)
                found = (high, more, places + start, at)
                parts.append([np.asarray(c).astype(t, copy=False) for c, t in zip(found, WINDOW_TYPES, strict=True)])
        columns = (
            [np.concatenate(c) for c in zip(*parts, strict=True)] if parts else [np.zeros(0, t) for t in WINDOW_TYPES]
        )
        order = np.argsort(columns[0], kind="stable")
        table = pa.table([pa.array(c[order]) for c in columns], schema=WINDOWS)
        path = part.file("keys")
        write_parquet(path, table, row_group_rows=WINDOW_ROWS, packed=False)
        return {path: table.num_rows}

    def reduce(self, corpus: Corpus, bench: Bench) -> Reply:
        """(doc, at, first) for each window of a shard that occurs again: place of the document in `state`, position in it, and
        whether it is the first of its kind in the order of `keep`."""
        asked = corpus.asked
        params = {"edit": dict(self.call.identity), "keep": list(self.keep.items)}
        rank = Task(0, {"state": asked.every("state")}, RankArgs(self.keep.order_by(), 0, bench.memory))
        ranked = bench.step(f"{self.name}-ranks", params, VERSION, [asked], [rank], rank_documents)
        inputs: Inputs = {"keys": asked.every("keys"), "ranks": ranked.every("ranks")}
        bits = range_bits(asked.rows("keys"))
        tasks = [Task(r, inputs, RepeatArgs(bits)) for r in range(1 << bits)]
        found = bench.step(f"{self.name}-found", params, VERSION, [asked], tasks, repeat_range)
        inputs = {"found": found.every("found"), "state": asked.every("state")}  # also whose shards there are
        route = Task(0, inputs, RouteArgs(tuple(asked.shards()), bench.memory))
        repeats = bench.step(f"{self.name}-repeats", params, VERSION, [found], [route], route_repeats)
        return Reply(repeats, {}, ranked)

    def read(self, answers: Source, ids: Sequence[bytes]) -> FoundWindows:
        table = pq.read_table(answers.path)
        doc, at, first = (table[n].to_numpy() for n in ("doc", "at", "first"))
        bounds = np.flatnonzero(np.diff(doc, prepend=-1, append=-1)).tolist() if len(doc) else [0]
        return FoundWindows({ids[doc[a]]: (at[a:b][~first[a:b]], at[a:b][first[a:b]]) for a, b in pairwise(bounds)})


@dataclass(frozen=True)
class RepeatArgs:
    bits: int  # the first bits of a window's hash number its range


def repeat_range(task: Task[RepeatArgs]) -> ShardResult:
    """`found/<range>`: the windows of one range that occur more than once. Inputs: keys and ranks of every shard."""
    args = task.args
    low, high = key_range(task.shard, args.bits)
    parts = [[np.zeros(0, np.uint64), *(np.zeros(0, t) for t in (np.uint32, np.int32, np.int32, np.int32, np.uint32))]]
    for keys, ranks in zip(task.all("keys"), task.all("ranks"), strict=True):
        of = None
        for table in rows_between(keys.path, "high", low, high, WINDOWS.names):
            if len(table):
                columns = [table[name].to_numpy() for name in WINDOWS.names]
                if of is None:
                    of = pq.read_table(ranks.path, columns=["rank"])["rank"].to_numpy()
                parts.append([*columns, np.full(len(table), keys.shard, np.int32), of[columns[2]]])
    hashes, more, doc, at, shard_of, rank = (np.concatenate(c) for c in zip(*parts, strict=True))
    total = len(hashes)
    del parts
    order = np.argsort(hashes)
    hashes = hashes[order]
    # only neighbours that are equal go on: most windows are alone
    equal = np.flatnonzero(hashes[1:] == hashes[:-1])
    chosen = distinct(np.concatenate([equal, equal + 1]))
    order, hashes = order[chosen], hashes[chosen]
    more, doc, at, shard_of, rank = more[order], doc[order], at[order], shard_of[order], rank[order]
    place, first = repeated_windows(hashes, more, rank, at)
    table = pa.table([pa.array(c) for c in (shard_of[place], doc[place], at[place], first)], schema=REPEATS)
    path = task.file("found")
    write_parquet(path, table)
    return ShardResult({path: len(table)}, {"windows": total, "repeats": len(table)})


@dataclass(frozen=True)
class RouteArgs:
    shards: tuple[int, ...]
    memory: int | None


def route_repeats(task: Task[RouteArgs]) -> ShardResult:
    """`repeats/<shard>`: the repeated windows of a shard by document and position. Inputs: found of all ranges."""
    outputs: Outputs = {}
    schema = pa.schema(list(REPEATS)[1:])
    with sorter(task.out, task.args.memory) as connection:
        query = 'SELECT * FROM read_parquet($files) ORDER BY shard, doc, "at"'
        batches = iter(
            connection.sql(query, params={"files": [str(s.path) for s in task.all("found")]}).to_arrow_reader(65_536)
        )
        rest = REPEATS.empty_table()
        for shard in task.args.shards:
            path = task.other("repeats", shard)
            rows = 0
            with atomic(path) as tmp, pq.ParquetWriter(tmp, schema, **parquet_options()) as writer:
                while True:
                    here = int(np.searchsorted(rest["shard"].to_numpy(), shard, side="right"))
                    if here:
                        writer.write_table(rest.slice(0, here).select(schema.names))
                    rows += here
                    rest = rest.slice(here)
                    batch = next(batches, None) if not len(rest) else None
                    if batch is None:
                        break
                    rest = pa.table(batch).cast(REPEATS)
            outputs[path] = rows
    return ShardResult(outputs, {"repeats": sum(n or 0 for n in outputs.values())})

"""Windows that occur more than once: for edits that remove exact substrings which the corpus has elsewhere.

A run of at least N tokens occurs twice exactly if each of its windows of N tokens does, so no suffix array is needed:

    repeats  windows are cut into ranges by the first bits of their hash; in each range equal ones are found by sorting
    drops    the windows that occur more than once, by shard, document and position

Two different windows are taken for equal with probability 2^-96. On disk a token takes 20 bytes while this runs; memory
is that of one range or shard, and of sorts that spill.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.dataset import Dataset
from pipeline.core.executor import Executor
from pipeline.core.files import atomic, parquet_options, write_parquet
from pipeline.core.ranges import rows_between
from pipeline.core.step import Plan, Progress, ShardResult, Task, Workspace, run_step
from pipeline.curate.gates import Curation, Gate
from pipeline.curate.passes import WINDOWS
from pipeline.matching.pairs import RankArgs, key_range, key_rows, range_bits, rank_documents
from pipeline.matching.tables import distinct, sorter
from pipeline.text.kernels.grams import repeated_windows

VERSION = 1
REPEATS = pa.schema([("shard", pa.int32()), ("doc", pa.int32()), ("at", pa.int32()), ("first", pa.bool_())])


@dataclass(frozen=True)
class RepeatArgs:
    bits: int
    shards: tuple[int, ...]  # the inputs are the windows of each, then the ranks of each


def find_repeats(
    gate: Gate,
    curation: Curation,
    previous: Dataset,
    space: Workspace,
    executor: Executor,
    *,
    memory: int | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The windows of an edit that occur more than once.

    Args:
        previous: the pass before, with `keys` (high, more, doc, at) and `state`.

    Returns: a dataset whose `drops/<shard>` has (doc, at, first) for each such window of the shard: place of the document in
    `state`, position in it, and whether it is the first of its kind in the order of `keep`.
    """
    params = {"edit": dict(gate.identity), "keep": list(curation.keep)}
    shards = tuple(previous.shards())
    upstream = {previous.step: previous.key}
    plan = Plan(f"{gate.name}-ranks", params, VERSION, upstream=upstream)
    states = tuple(previous.source(f"state/{i:05d}.parquet") for i in shards)
    task = Task(plan.name, 0, states, space.dir(plan), RankArgs(curation.keep, 0, shards, memory))
    ranked = run_step(plan, space.dir(plan), [task], rank_documents, executor, progress=progress)
    inputs = tuple(d.source(f"{f}/{i:05d}.parquet") for d, f in ((previous, "keys"), (ranked, "ranks")) for i in shards)
    bits = range_bits(key_rows(previous))
    plan = Plan(f"{gate.name}-repeats", params, VERSION, upstream=upstream)
    args = RepeatArgs(bits, shards)
    tasks = [Task(plan.name, r, inputs, space.dir(plan), args) for r in range(1 << bits)]
    repeats = run_step(plan, space.dir(plan), tasks, repeat_range, executor, progress=progress)
    ranges = tuple(repeats.source(f"repeats/{r:05d}.parquet") for r in range(1 << bits))
    plan = Plan(f"{gate.name}-drops", params, VERSION, upstream={repeats.step: repeats.key})
    task = Task(plan.name, 0, ranges, space.dir(plan), (shards, memory))
    return run_step(plan, space.dir(plan), [task], route_repeats, executor, progress=progress)


def repeat_range(task: Task) -> ShardResult:
    """`repeats/<range>`: the windows of one range that occur more than once."""
    args: RepeatArgs = task.args
    low, high = key_range(task.shard, args.bits)
    n = len(args.shards)
    parts = [[np.zeros(0, np.uint64), *(np.zeros(0, t) for t in (np.uint32, np.int32, np.int32, np.int32, np.uint32))]]
    for shard, keys, ranks in zip(args.shards, task.inputs[:n], task.inputs[n:], strict=True):
        of = None
        for table in rows_between(keys.path, "high", low, high, WINDOWS.names):
            if len(table):
                columns = [table[name].to_numpy() for name in WINDOWS.names]
                if of is None:
                    of = pq.read_table(ranks.path, columns=["rank"])["rank"].to_numpy()
                parts.append([*columns, np.full(len(table), shard, np.int32), of[columns[2]]])
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
    path = task.file("repeats")
    write_parquet(path, table)
    return ShardResult({path: len(table)}, {"windows": total, "repeats": len(table)})


def route_repeats(task: Task) -> ShardResult:
    """`drops/<shard>`: the repeated windows of a shard by document and position."""
    shards, memory = task.args
    outputs: dict[Path, int | None] = {}
    schema = pa.schema(list(REPEATS)[1:])
    with sorter(task.out, memory) as connection:
        query = 'SELECT * FROM read_parquet($files) ORDER BY shard, doc, "at"'
        batches = iter(
            connection.sql(query, params={"files": [str(s.path) for s in task.inputs]}).to_arrow_reader(65_536)
        )
        rest = REPEATS.empty_table()
        for shard in shards:
            path = task.out / "drops" / f"{shard:05d}.parquet"
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

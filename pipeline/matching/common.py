"""How common keys are: for edits that know the corpus, such as those that remove lines which several documents have.

    common  keys are cut into ranges by their first bits; each range adds up the counts of all shards on its own
    drops   what a shard needs to know: those of its keys that are common, and which of its documents keep theirs

Counts of documents are added up over all shards, so that neither their order nor their number matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.dataset import Dataset, Source
from pipeline.core.executor import Executor
from pipeline.core.files import write_parquet
from pipeline.core.ranges import rows_between
from pipeline.core.sql import database
from pipeline.core.step import Plan, Progress, ShardResult, Task, Workspace, run_step
from pipeline.curate.gates import Curation, Gate
from pipeline.curate.passes import COMMON, COUNTED, SORTED_ROWS
from pipeline.matching.pairs import RankArgs, key_range, key_rows, range_bits, rank_documents

VERSION = 2


@dataclass(frozen=True)
class CountArgs:
    bits: int
    shards: int  # the inputs are: keys of each shard, groups of each, then ranks of each where one copy stays
    keep_one: bool
    min_documents: int
    min_share: float


def count_common(
    gate: Gate,
    curation: Curation,
    previous: Dataset,
    space: Workspace,
    executor: Executor,
    *,
    memory: int | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The keys of an edit that at least `min_documents`, and `min_share` of all documents of their group, have.

    Args:
        previous: the pass before, with `keys` (high, low, group, documents, best) and `groups`.

    Returns: a dataset whose `drops/<shard>` names those keys of the shard, and for an edit that keeps one copy the document
    that has it.
    """
    params = {"edit": dict(gate.identity), **({"keep": list(curation.keep)} if gate.edit.keep_one else {})}
    shards = tuple(previous.shards())
    keys = tuple(previous.source(f"keys/{i:05d}.parquet") for i in shards)
    groups = tuple(previous.source(f"groups/{i:05d}.parquet") for i in shards)
    upstream = {previous.step: previous.key}
    ranks: tuple[Source, ...] = ()
    if gate.edit.keep_one:
        plan = Plan(f"{gate.name}-ranks", params, VERSION, upstream=upstream)
        states = tuple(previous.source(f"state/{i:05d}.parquet") for i in shards)
        args = RankArgs(curation.keep, 0, shards, memory)
        task = Task(plan.name, 0, states, space.dir(plan), args)
        ranked = run_step(plan, space.dir(plan), [task], rank_documents, executor, progress=progress)
        ranks = tuple(ranked.source(f"ranks/{i:05d}.parquet") for i in shards)
    bits = range_bits(key_rows(previous))
    plan = Plan(f"{gate.name}-common", params, VERSION, upstream=upstream)
    bounds = (int(gate.params["min_documents"]), float(gate.params["min_share"]))
    count = CountArgs(bits, len(shards), gate.edit.keep_one, *bounds)
    tasks = [Task(plan.name, r, (*keys, *groups, *ranks), space.dir(plan), count) for r in range(1 << bits)]
    common = run_step(plan, space.dir(plan), tasks, count_range, executor, progress=progress)
    ranges = tuple(common.source(f"common/{r:05d}.parquet") for r in range(1 << bits))
    plan = Plan(f"{gate.name}-drops", params, VERSION, upstream={common.step: common.key})
    tasks = [Task(plan.name, i, (k, *ranges), space.dir(plan), bits) for i, k in zip(shards, keys, strict=True)]
    return run_step(plan, space.dir(plan), tasks, select_common, executor, progress=progress)


def count_range(task: Task) -> ShardResult:
    """`common/<range>`: the common keys of one range, ascending."""
    args: CountArgs = task.args
    keys, groups = task.inputs[: args.shards], task.inputs[args.shards : 2 * args.shards]
    ranks = task.inputs[2 * args.shards :]
    low, high = key_range(task.shard, args.bits)
    parts = [
        COUNTED.empty_table()
        .append_column("shard", pa.array([], pa.int32()))
        .append_column("rank", pa.array([], pa.uint32()))
    ]
    for i, source in enumerate(keys):
        for table in rows_between(source.path, "high", low, high, COUNTED.names):
            best = table["best"].to_numpy()
            of = pq.read_table(ranks[i].path, columns=["rank"])["rank"].to_numpy()[best] if ranks else best * 0
            parts.append(
                table.append_column(
                    "shard", pa.array(np.full(len(table), _shard(source.path), np.int32))
                ).append_column("rank", pa.array(of.astype(np.uint32)))
            )
    counted = pa.concat_tables(parts)
    with database(threads=1) as connection:
        connection.register("counted", counted)
        connection.register("sizes", pa.concat_tables([pq.read_table(s.path) for s in groups]))
        query = """
            WITH total AS (SELECT "group", sum(documents) AS size FROM sizes GROUP BY "group"),
            summed AS (
                SELECT "group", high, low, sum(documents) AS n, arg_min(shard, rank) AS shard, arg_min(best, rank) AS best
                FROM counted GROUP BY "group", high, low)
            SELECT high, low, shard::INTEGER AS shard, best::INTEGER AS best FROM summed JOIN total USING ("group")
            WHERE n >= ? AND n >= ? * size ORDER BY high, low"""
        table = connection.sql(query, params=[args.min_documents, args.min_share]).to_arrow_table()
    if not args.keep_one:
        nobody = pa.array(np.full(len(table), -1, np.int32))
        table = table.set_column(2, "shard", nobody).set_column(3, "best", nobody)
    path = task.file("common")
    write_parquet(path, table.cast(COMMON), row_group_rows=SORTED_ROWS, packed=False)
    return ShardResult({path: len(table)}, {"keys": len(counted), "common": len(table)})


def _shard(path: Path) -> int:
    return int(path.stem)


def select_common(task: Task) -> ShardResult:
    """`drops/<shard>`: the common keys of a shard with the place of the document that keeps its copy, -1 for none here.

    Inputs: keys of the shard, common keys of every range.
    """
    parts = [COMMON.empty_table().drop_columns(["shard"])]
    for number, source in enumerate(task.inputs[1:]):
        low, high = key_range(number, task.args)
        mine = list(rows_between(task.inputs[0].path, "high", low, high, ["high", "low"]))
        if not mine or not sum(map(len, mine)):
            continue
        with database(threads=1) as connection:
            connection.register("mine", pa.concat_tables(mine))
            connection.register("common", pq.read_table(source.path))
            found = connection.sql(
                "SELECT high, low, CASE WHEN shard = ? THEN best ELSE -1 END::INTEGER AS best FROM common "
                "SEMI JOIN mine USING (high, low) ORDER BY high, low",
                params=[task.shard],
            ).to_arrow_table()
        parts.append(found.cast(parts[0].schema))
    table = pa.concat_tables(parts)
    path = task.file("drops")
    write_parquet(path, table, packed=False)
    return ShardResult({path: len(table)}, {"common": len(table)})

"""Copies, written once for every match: candidates, verification, the choice of what to keep.

Keys are partitioned by their first byte; each partition is reduced on its own (`edges`), then one task decides
(`drops`). In a group of documents that share a key, the best one (by the recipe's `keep`) is linked to every other, and
each to the one before it. A document is dropped only if its *verified* similarity to a document that is kept reaches
the match's bound: there is no transitive closure that nobody checked, so a chain of resembling texts cannot empty a
source. Everything depends on the order `keep` + doc_id and on nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.core.dataset import Dataset
from pipeline.core.errors import DataError
from pipeline.core.executor import Executor
from pipeline.core.files import write_parquet
from pipeline.core.schema import DOC_ID, Doc, docs_of
from pipeline.core.step import Plan, Progress, ShardResult, Task, Workspace, run_step
from pipeline.curate.gates import Curation, Gate
from pipeline.curate.passes import DROPS, keep_columns

VERSION = 1
PARTITIONS = 16


@dataclass(frozen=True)
class ReduceArgs:
    keep: tuple[str, ...]
    partition: int


@dataclass(frozen=True)
class DecideArgs:
    curation: Curation
    gate: Gate
    edges: int  # how many of the inputs are edges; then follow states and data, shard by shard


def match_copies(
    gate: Gate,
    curation: Curation,
    documents: Dataset,
    previous: Dataset,
    space: Workspace,
    executor: Executor,
    *,
    progress: Progress | None = None,
) -> Dataset:
    """Find the copies among the documents that a pass left in.

    Args:
        documents: the input of curation, with the texts.
        previous: the pass before, with `keys` and `state`.

    Returns: a dataset whose `drops` file names every dropped copy, the document kept for it, and their similarity.
    """
    params = {"match": dict(gate.identity), "keep": list(curation.keep)}
    plan = Plan(f"{gate.name}-edges", params, version=VERSION, upstream={previous.step: previous.key})
    folder = space.dir(plan)
    keys = tuple(previous.source(f"keys/{i:05d}.parquet") for i in previous.shards())
    tasks = [Task(plan.name, p, keys, folder, ReduceArgs(curation.keep, p)) for p in range(PARTITIONS)]
    edges = run_step(plan, folder, tasks, reduce_partition, executor, progress=progress)
    decide = Plan(f"{gate.name}-drops", params, version=VERSION, upstream={edges.step: edges.key})
    folder = space.dir(decide)
    inputs = tuple(edges.source(f"edges/{p:05d}.parquet") for p in range(PARTITIONS))
    texts = tuple(
        source
        for i in previous.shards()
        for source in (previous.source(f"state/{i:05d}.parquet"), documents.source(f"data/{i:05d}.parquet"))
    )
    task = Task(decide.name, 0, inputs + texts, folder, DecideArgs(curation, gate, len(inputs)))
    return run_step(decide, folder, [task], decide_copies, executor, progress=progress)


def reduce_partition(task: Task) -> ShardResult:
    """Edges of one partition of the keys: (document, candidate that precedes it), and each document's keep fields."""
    args: ReduceArgs = task.args
    columns = [n for n, _ in keep_columns(args.keep)]
    low = bytes([args.partition * 256 // PARTITIONS]) + bytes(15)
    high = bytes([(args.partition + 1) * 256 // PARTITIONS - 1]) + b"\xff" * 15
    parts = [pq.read_table(s.path, filters=[("key", ">=", low), ("key", "<=", high)]) for s in task.inputs]
    keys = pa.concat_tables(parts)
    twice = _groups_with_two(keys)
    order = ", ".join([*(_order(k) for k in args.keep), "doc_id"])
    listed = "".join(f', "{n}"' for n in columns)
    connection = duckdb.connect(config={"threads": 1})
    try:
        connection.register("keys", twice)
        query = f"""
            WITH ranked AS (
                SELECT *, first_value(doc_id) OVER w AS best, lag(doc_id) OVER w AS before
                FROM keys WINDOW w AS (PARTITION BY key ORDER BY {order})),
            linked AS (
                SELECT doc_id, best AS candidate{listed} FROM ranked WHERE best <> doc_id
                UNION SELECT doc_id, before{listed} FROM ranked WHERE before IS NOT NULL
                UNION SELECT doc_id, NULL{listed} FROM ranked)
            SELECT * FROM linked ORDER BY doc_id, candidate NULLS FIRST"""
        result = connection.sql(query).to_arrow_table()
    finally:
        connection.close()
    types = dict(keep_columns(args.keep))
    schema = pa.schema([("doc_id", DOC_ID), ("candidate", DOC_ID), *((n, types[n]) for n in columns)])
    table = result.cast(schema)
    path = task.file("edges")
    write_parquet(path, table)
    return ShardResult({path: table.num_rows}, {"keys": keys.num_rows, "edges": table.num_rows})


def _groups_with_two(keys: pa.Table) -> pa.Table:
    """Rows whose key occurs at least twice: most keys are alone, and need no sorting."""
    if keys.num_rows == 0:
        return keys
    counts = keys.group_by("key").aggregate([("doc_id", "count")])
    many = counts.filter(pc.greater(counts["doc_id_count"], 1)).column("key")
    return keys.filter(pc.is_in(keys["key"], many.combine_chunks()))


def _order(item: str) -> str:
    name = item.removeprefix("-")
    return f'"{name}" {"DESC" if item.startswith("-") else "ASC"} NULLS LAST'


def decide_copies(task: Task) -> ShardResult:
    """Verify candidates in keep order and name what is dropped, for what, and how similar it is."""
    args: DecideArgs = task.args
    args.curation.load()
    table = pa.concat_tables([pq.read_table(s.path) for s in task.inputs[: args.edges]])
    candidates: dict[bytes, set[bytes]] = {}
    for doc_id, other in zip(table["doc_id"].to_pylist(), table["candidate"].to_pylist(), strict=True):
        candidates.setdefault(doc_id, set())
        if other is not None:
            candidates[doc_id].add(other)
    ordered = _in_keep_order(table, args.curation.keep)
    verified = rejected = 0
    kept_for: dict[bytes, bytes] = {}
    drops: list[dict[str, Any]] = []
    definition = args.gate.match
    texts = _texts(task, args, set(candidates)) if definition.similarity and candidates else {}
    bound = float(args.gate.params.get("min_similarity", 1.0))
    for doc_id in ordered:
        keepers = sorted({kept_for.get(c, c) for c in candidates[doc_id]} - {doc_id})
        best: tuple[float, bytes] | None = None
        for keeper in keepers:
            score = 1.0
            if definition.similarity:
                score = definition.similarity(texts[doc_id], texts[keeper], **args.gate.params)
                if score < bound:
                    rejected += 1
                    continue
                verified += 1
            if best is None or score > best[0]:
                best = (score, keeper)
        if best is not None:
            kept_for[doc_id] = best[1]
            drops.append({"doc_id": doc_id, "kept_doc_id": best[1], "similarity": best[0]})
    drops.sort(key=lambda d: bytes(d["doc_id"]))
    path = task.file("drops")
    write_parquet(path, pa.Table.from_pylist(drops, DROPS))
    counts = {
        "candidates": len(candidates),
        "copies": len(drops),
        "verified_pairs": verified,
        "rejected_pairs": rejected,
    }
    return ShardResult({path: len(drops)}, counts)


def _in_keep_order(table: pa.Table, keep: Sequence[str]) -> list[bytes]:
    """Distinct documents, the one to keep first."""
    if table.num_rows == 0:
        return []
    names = [k.removeprefix("-") for k in keep]
    unique = table.select(["doc_id", *names]).group_by("doc_id").aggregate([(n, "min") for n in names])
    connection = duckdb.connect(config={"threads": 1})
    try:
        connection.register("docs", unique.rename_columns([c.removesuffix("_min") for c in unique.column_names]))
        order = ", ".join([*(_order(k) for k in keep), "doc_id"])
        ordered = connection.sql(f"SELECT doc_id FROM docs ORDER BY {order}").to_arrow_table()
    finally:
        connection.close()
    return [bytes(b) for b in ordered["doc_id"].to_pylist()]


def _texts(task: Task, args: DecideArgs, wanted: set[bytes]) -> dict[bytes, Doc]:
    """The documents that have to be compared, with the text that the pass before left them."""
    found: dict[bytes, Doc] = {}
    rest = task.inputs[args.edges :]
    for state, data in zip(rest[0::2], rest[1::2], strict=True):
        rows = {r["row"]: r for r in pq.read_table(state.path).to_pylist() if r["doc_id"] in wanted}
        if not rows:
            continue
        at = 0
        with pq.ParquetFile(Path(data.path)) as f:
            for batch in f.iter_batches(columns=["doc_id", "url", "host", "text"]):
                for i, doc in enumerate(docs_of(pa.table(batch)), at):
                    if i in rows:
                        if doc.doc_id in found:
                            raise DataError(f"doc_id {doc.doc_id.hex()} occurs twice: one capture was read twice.")
                        text = rows[i]["text"]
                        found[doc.doc_id] = doc if text is None else doc.with_text(text)
                at += batch.num_rows
    return found

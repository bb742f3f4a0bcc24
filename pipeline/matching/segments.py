"""Segments of an index: written from what a match has seen, and read for the candidates of a later match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.core.bench import Bench, keys_of, step_dir
from pipeline.core.errors import DataError
from pipeline.core.files import atomic, parquet_options, write_parquet
from pipeline.core.registry import Call
from pipeline.core.step import Plan, ShardResult, Task
from pipeline.matching.index import DOCS, Known, Segment
from pipeline.matching.question import SORTED_ROWS, Corpus, Outputs, Reply
from pipeline.matching.sets import FEATURES, SET_ROWS, TEXTS, compares_by, docs_at, features_of, set_schema
from pipeline.matching.tables import sorter

VERSION = 1


@dataclass(frozen=True)
class KnownArgs:
    call: Call


def known_sets(task: Task[KnownArgs]) -> ShardResult:
    """`sets/<segment>`: the candidates of a segment with what they are compared by, by bucket and rank.

    Inputs: members, docs, sets.
    """
    match = task.args.call.match
    members = pq.read_table(task.one("members").path)
    schema = set_schema(match)
    place = members["place"].to_numpy()
    columns: dict[str, Any] = {
        "bucket": members["bucket"],
        "rank": members["rank"],
        "shard": pa.array(np.full(len(members), -1, np.int32)),
        "doc_id": pq.read_table(task.one("docs").path, columns=["doc_id"])["doc_id"].take(pa.array(place)),
    }
    names = schema.names[len(columns) :]
    if names and len(members):
        parts = [t for s in task.all("sets") for t in _rows_of(s.path, place, names)]
        found = pa.concat_tables(parts)
        where = np.full(int(place.max()) + 1, -1, np.int64)
        where[found["doc"].to_numpy()] = np.arange(len(found))
        if (where[place] < 0).any():
            raise DataError("index: a document that stands for others has no set; the index is damaged.")
        columns |= {n: found[n].take(pa.array(where[place])) for n in names}
    table = pa.table(columns, schema=schema) if len(members) else schema.empty_table()
    path = task.file("sets")
    write_parquet(path, table, row_group_rows=SET_ROWS, packed=compares_by(match) != "features")
    return ShardResult({path: len(table)}, {"sets": len(table)})


def _rows_of(path: Path, wanted: npt.NDArray[np.int32], names: Sequence[str]) -> list[pa.Table]:
    """Rows of a `sets` file whose `doc` is wanted; row groups without one are not read."""
    values = pa.array(np.unique(wanted).astype(np.uint32))
    found = []
    with pq.ParquetFile(path) as f:
        for group in range(f.metadata.num_row_groups):
            here = pc.is_in(f.read_row_group(group, columns=["doc"])["doc"], values)
            if pc.any(here).as_py():
                found.append(f.read_row_group(group, columns=["doc", *names]).filter(here))
    return found


@dataclass(frozen=True)
class PartArgs:
    call: Call
    first: int  # number of the segment's first document


def write_part(task: Task[PartArgs]) -> ShardResult:
    """Keys, sets and documents of one shard. Inputs: state, data, keys, ranks, copies."""
    args = task.args
    data_file = task.one("data").path
    rank = pq.read_table(task.one("ranks").path, columns=["rank"])["rank"].to_numpy()
    place = (rank - args.first).astype(np.int32)
    keys = pq.read_table(task.one("keys").path)
    keys = keys.set_column(keys.schema.get_field_index("doc"), "doc", pa.array(place[keys["doc"].to_numpy()]))
    state = pq.read_table(task.one("state").path, columns=["doc_id", "row", "text", "bytes"])
    copies = pq.read_table(task.one("copies").path)
    kept = rank.copy()
    gone = np.zeros(len(rank), np.bool_)
    if len(copies):
        where = pc.index_in(copies["doc_id"], state["doc_id"].combine_chunks()).to_numpy()
        kept[where] = copies["kept_rank"].to_numpy()
        gone[where] = True
    staying = np.flatnonzero(~gone)
    staying = staying[np.argsort(rank[staying])]
    rows = state["row"].to_numpy()
    columns: dict[str, Any] = {"doc": pa.array(place[staying].astype(np.uint32))}
    by = compares_by(args.call.match)
    schema = pa.schema([("doc", pa.uint32()), *({"features": [FEATURES], "text": TEXTS, "": []}[by])])
    if by:
        docs = docs_at(data_file, rows[staying], state["text"].take(pa.array(staying)).to_pylist())
        if by == "features":
            columns["features"] = features_of(args.call, docs)
        else:
            columns |= {n: pa.array([getattr(d, n) for d in docs], t) for n, t in TEXTS}
    urls = pq.read_table(data_file, columns=["url"])["url"].take(pa.array(rows))
    parts: dict[str, tuple[pa.Table, dict[str, Any]]] = {
        "keys": (keys, {"row_group_rows": SORTED_ROWS, "packed": False}),
        "sets": (pa.table(columns, schema=schema), {"row_group_rows": SET_ROWS}),
        "rows": (
            pa.table(
                {"rank": pa.array(rank), "doc_id": state["doc_id"], "url": urls, "bytes": state["bytes"], "kept": kept}
            ),
            {},
        ),
    }
    outputs: Outputs = {}
    for folder, (table, how) in parts.items():
        write_parquet(task.file(folder), table, **how)
        outputs[task.file(folder)] = len(table)
    return ShardResult(outputs, {"documents": len(rank), "kept": len(staying)})


@dataclass(frozen=True)
class SortArgs:
    memory: int | None


def sort_docs(task: Task[SortArgs]) -> ShardResult:
    """`docs/00000`: the documents of a segment in the order of rank. Inputs: rows of all shards."""
    path = task.file("docs")
    n = 0
    with sorter(task.out, task.args.memory) as connection, atomic(path) as tmp:
        query = f"SELECT {', '.join(DOCS.names)} FROM read_parquet($files) ORDER BY rank"
        found = connection.sql(query, params={"files": [str(s.path) for s in task.all("rows")]})
        with pq.ParquetWriter(tmp, DOCS, **parquet_options()) as writer:
            for batch in found.to_arrow_reader(65_536):
                writer.write_table(pa.table(batch).cast(DOCS))
                n += len(batch)
    return ShardResult({path: n}, {"documents": n})


def add_segment(path: Path, call: Call, corpus: Corpus, reply: Reply, known: Known, bench: Bench) -> Segment:
    """What a match has seen, as a further segment of the index at `path`.

    Args:
        corpus, reply: what it was asked about, and what it found.
        known: the segments that are there.
    """
    asked, copies, ranks = corpus.asked, reply.answers, reply.ranks
    assert ranks is not None
    name = f"{call.name}-{len(known.segments):05d}"
    tasks = [
        Task(
            i,
            {
                "state": (asked.shard("state", i),),
                "data": (corpus.documents.shard("data", i),),
                "keys": (asked.shard("keys", i),),
                "ranks": (ranks.shard("ranks", i),),
                "copies": (copies.shard("copies", i),),
            },
            PartArgs(call, known.documents),
        )
        for i in asked.shards()
    ]
    plan = Plan(f"{call.name}-parts", {"match": dict(call.identity)}, VERSION, upstream=keys_of([copies]))
    parts = in_index(bench, path, f"{name}-parts", plan).run(plan, tasks, write_part)
    plan = Plan(f"{call.name}-docs", {}, VERSION, upstream=keys_of([parts]))
    sorting = Task(0, {"rows": parts.every("rows")}, SortArgs(bench.memory))
    return Segment(parts, in_index(bench, path, f"{name}-docs", plan).run(plan, [sorting], sort_docs))


def in_index(bench: Bench, path: Path, name: str, plan: Plan) -> Bench:
    """The bench with a step's folder in an index: its name there tells the segment."""
    return replace(bench, root=path, fixed={plan.name: step_dir(path, name, plan.key)})

"""From groups to drops: what pairs are compared by, who is dropped for whom, and the way back to the shards.

sets       the features (shingles) of every candidate, or its text where a match compares texts itself
decisions  one bucket at a time: in the order of rank, a document is dropped for one that is kept and resembles it
drops      the same rows by shard
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.dataset import Source
from pipeline.core.files import TMP_PREFIX, write_parquet
from pipeline.core.ranges import rows_between
from pipeline.core.registry import MatchDef
from pipeline.core.schema import DOC_ID, Doc, docs_of
from pipeline.core.step import ShardResult, Task
from pipeline.curate.gates import Curation, Gate
from pipeline.curate.passes import DROPS, SORTED_ROWS
from pipeline.matching.kernels import copies as k
from pipeline.matching.tables import distinct, sorter

BATCH = 1_000
SET_ROWS = 256  # sets of a row group
IN_MEMORY = 1 << 28  # bytes of sets of one bucket; a single group that has more is read through a mapped file
IDS = [("bucket", pa.int32()), ("rank", pa.uint32()), ("shard", pa.int32()), ("doc_id", DOC_ID)]
FEATURES = pa.field("features", pa.large_list(pa.uint32()))
TEXTS = [("url", pa.string()), ("host", pa.string()), ("text", pa.string())]
DECIDED = pa.schema([("shard", pa.int32()), *DROPS])  # ranks: see `pairs`


@dataclass(frozen=True)
class SetArgs:
    curation: Curation
    gate: Gate


def compares_by(match: MatchDef) -> str:
    """Column by which the pairs of a match are compared: "features", "text", or "" where a shared key is proof."""
    return "features" if match.features else "text" if match.similarity else ""


def set_schema(match: MatchDef) -> pa.Schema:
    columns = {"features": [FEATURES], "text": TEXTS, "": []}
    return pa.schema([*IDS, *columns[compares_by(match)]])


def write_sets(task: Task) -> ShardResult:
    """`sets/<shard>`: every candidate of a shard with what it is compared by, by bucket and rank.

    Inputs: members, state, data of the shard.
    """
    args: SetArgs = task.args
    args.curation.load()
    schema = set_schema(args.gate.match)
    members = pq.read_table(task.inputs[0].path)
    place = members["place"].to_numpy()
    state = pq.read_table(task.inputs[1].path, columns=["doc_id", "row", "text"])
    if len(members):
        state = state.take(pa.array(place))
    columns: dict[str, Any] = {
        "bucket": members["bucket"],
        "rank": members["rank"],
        "shard": pa.array(np.full(len(members), task.shard, np.int32)),
        "doc_id": state["doc_id"] if len(members) else pa.array([], DOC_ID),
    }
    if compares_by(args.gate.match) and len(members):
        docs = docs_at(task.inputs[2].path, state["row"].to_numpy(), state["text"].to_pylist())
        if args.gate.match.features:
            columns["features"] = features_of(args.gate, docs)
        else:
            columns |= {n: pa.array([getattr(d, n) for d in docs], t) for n, t in TEXTS}
    table = pa.table(columns, schema=schema) if len(members) else schema.empty_table()
    path = task.file("sets")
    write_parquet(path, table, row_group_rows=SET_ROWS, packed=compares_by(args.gate.match) != "features")
    return ShardResult({path: len(table)}, {"sets": len(table)})


def features_of(gate: Gate, docs: list[Doc]) -> pa.ChunkedArray:
    """The feature sets of documents as a column."""
    assert gate.match.features is not None
    parts = []
    for at in range(0, len(docs), BATCH):
        offsets, values = gate.match.features(docs[at : at + BATCH], **gate.params)
        parts.append(pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values)))
    return pa.chunked_array(parts, FEATURES.type)


def docs_at(path: Path, rows: npt.NDArray[np.int64], texts: list[str | None]) -> list[Doc]:
    """The documents in these rows of a shard, in this order, with the text that the pass before left them."""
    order = np.argsort(rows, kind="stable")
    found: list[Doc | None] = [None] * len(rows)
    at = taken = 0
    with pq.ParquetFile(path) as f:
        for group in range(f.num_row_groups):
            size = f.metadata.row_group(group).num_rows
            upto = int(np.searchsorted(rows[order], at + size))
            wanted = order[taken:upto]
            if len(wanted):
                table = f.read_row_group(group, columns=["doc_id", "url", "host", "text"])
                for place, doc in zip(wanted, docs_of(table.take(pa.array(rows[wanted] - at))), strict=True):
                    text = texts[place]
                    found[place] = doc if text is None else doc.with_text(text)
            at, taken = at + size, upto
    return [d for d in found if d is not None]


@dataclass(frozen=True)
class DecideArgs:
    curation: Curation
    gate: Gate
    linked: int  # how many of the inputs are pairs; then follow sets


def decide_bucket(task: Task) -> ShardResult:
    """`decisions/<bucket>`: what is dropped in the groups of one bucket, for what, and how similar it is."""
    args: DecideArgs = task.args
    args.curation.load()
    bucket = task.shard
    pairs = [
        t
        for s in task.inputs[: args.linked]
        for t in rows_between(s.path, "bucket", bucket, bucket, ["later", "earlier"])
    ]
    packed = distinct(
        np.concatenate(
            [t["later"].to_numpy().astype(np.uint64) << np.uint64(32) | t["earlier"].to_numpy() for t in pairs]
        )
    )
    sources = task.inputs[args.linked :]
    ids = pa.concat_tables(
        [t for s in sources for t in rows_between(s.path, "bucket", bucket, bucket, ["rank", "shard", "doc_id"])]
    )
    ranks = ids["rank"].to_numpy()
    order = np.argsort(ranks, kind="stable")
    ranks = ranks[order]
    later = np.searchsorted(ranks, (packed >> np.uint64(32)).astype(np.uint32))
    earlier = np.searchsorted(ranks, packed.astype(np.uint32))
    first = np.searchsorted(later, np.arange(len(ranks) + 1))
    gate = args.gate
    if compares_by(gate.match) == "text":
        keeper, jaccards, contained, held, refused = _by_text(gate, sources, bucket, order, first, earlier)
    else:
        offsets, values, spill = _sets(task, sources, bucket, order, gate)
        keeper, jaccards, contained, held, refused = k.decide(
            first, earlier, offsets, values, _bound(gate), float(gate.params.get("min_containment", 0.0))
        )
        if spill is not None:
            del values
            spill.unlink()
    gone = np.flatnonzero(keeper != np.arange(len(keeper)))
    ids = ids.take(pa.array(order))
    table = pa.table(
        {
            "shard": ids["shard"].take(pa.array(gone)),
            "doc_id": ids["doc_id"].take(pa.array(gone)),
            "kept_doc_id": ids["doc_id"].take(pa.array(keeper[gone])),
            "similarity": pa.array(jaccards[gone]),
            "containment": pa.array(contained[gone]),
            "kept_rank": pa.array(ranks[keeper[gone]]),
        },
        schema=DECIDED,
    )
    path = task.file("decisions")
    write_parquet(path, table)
    counts = {"copies": len(table), "verified_pairs": int(held), "rejected_pairs": int(refused)}
    return ShardResult({path: len(table)}, counts)


def _bound(gate: Gate) -> float:
    return float(gate.params.get("min_similarity", 1.0))


def _sets(
    task: Task, sources: tuple[Source, ...], bucket: int, order: npt.NDArray[np.int64], gate: Gate
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], Path | None]:
    """(offsets, values) of the bucket's sets in the order of rank; a large group's values lie in a mapped file, which is
    named too."""
    if not compares_by(gate.match):
        return np.zeros(0, np.int64), np.zeros(0, np.uint32), None
    columns = ["bucket", "features"]
    lengths = [np.zeros(0, np.int64)]
    for source in sources:
        for t in rows_between(source.path, "bucket", bucket, bucket, columns):
            lengths += [np.diff(c.offsets.to_numpy()) for c in t["features"].chunks]
    sizes = np.concatenate(lengths)
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes[order], out=offsets[1:])
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    spill = None
    if offsets[-1] * 4 > IN_MEMORY:
        spill = task.out / f"{TMP_PREFIX}{task.shard:05d}.sets"
        task.out.mkdir(parents=True, exist_ok=True)
        values: npt.NDArray[np.uint32] = np.memmap(spill, np.uint32, "w+", shape=(int(offsets[-1]),))
    else:
        values = np.empty(offsets[-1], np.uint32)
    at = 0
    for source in sources:
        for t in rows_between(source.path, "bucket", bucket, bucket, columns):
            for chunk in t["features"].chunks:
                bounds, flat = chunk.offsets.to_numpy(), chunk.values.to_numpy()
                for i in range(len(chunk)):
                    to = offsets[place[at]]
                    values[to : to + bounds[i + 1] - bounds[i]] = flat[bounds[i] : bounds[i + 1]]
                    at += 1
    return offsets, values, spill


def _by_text(
    gate: Gate,
    sources: tuple[Source, ...],
    bucket: int,
    order: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    earlier: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64], int, int]:
    """As `kernels.copies.decide`, with a plug-in's own similarity of two documents."""
    columns = ["doc_id", *(n for n, _ in TEXTS)]
    table = pa.concat_tables([t for s in sources for t in rows_between(s.path, "bucket", bucket, bucket, columns)])
    docs = docs_of(table.take(pa.array(order)))
    similarity = gate.match.similarity
    assert similarity is not None
    keeper = np.arange(len(docs))
    scores = np.zeros(len(docs))
    held = refused = 0
    for d in range(len(docs)):
        best = -1
        for other in np.unique(keeper[earlier[first[d] : first[d + 1]]]).tolist():
            score = float(similarity(docs[d], docs[other], **gate.params))
            if score < _bound(gate):
                refused += 1
                continue
            held += 1
            if best < 0 or score > scores[d]:
                best, scores[d] = other, score
        if best >= 0:
            keeper[d] = best
    return keeper, scores, np.zeros(len(docs)), held, refused


@dataclass(frozen=True)
class RouteArgs:
    shards: tuple[int, ...]
    memory: int | None


def route_drops(task: Task) -> ShardResult:
    """`drops/<shard>`: the dropped documents of a shard, by doc_id."""
    args: RouteArgs = task.args
    files = [str(s.path) for s in task.inputs]
    outputs: dict[Path, int | None] = {}
    with sorter(task.out, args.memory) as connection:
        query = "SELECT * FROM read_parquet($files) ORDER BY shard, doc_id"
        batches = connection.sql(query, params={"files": files}).to_arrow_reader(65_536) if files else ()
        waiting = iter(batches)
        rest = DECIDED.empty_table()
        for shard in args.shards:
            path = task.out / "drops" / f"{shard:05d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            parts = []
            while True:
                here = int(np.searchsorted(rest["shard"].to_numpy(), shard, side="right"))
                parts.append(rest.slice(0, here))
                rest = rest.slice(here)
                if len(rest):
                    break
                batch = next(waiting, None)
                if batch is None:
                    break
                rest = pa.table(batch).cast(DECIDED)
            mine = pa.concat_tables(parts).select(DROPS.names).cast(DROPS)
            write_parquet(path, mine, row_group_rows=SORTED_ROWS)
            outputs[path] = len(mine)
    return ShardResult(outputs, {"drops": sum(n or 0 for n in outputs.values())})

"""From groups to drops: who is dropped for whom, and the way back to the shards.

decisions  one bucket at a time: in the order of rank, a document is dropped for one that is kept and resembles it
copies     the same rows by shard
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.core.dataset import Source
from pipeline.core.documents import docs_of
from pipeline.core.errors import DefinitionError
from pipeline.core.files import TMP_PREFIX, write_parquet
from pipeline.core.ranges import rows_between
from pipeline.core.registry import Call
from pipeline.core.schema import DOC_ID
from pipeline.core.step import ShardResult, Task
from pipeline.core.watch import calling
from pipeline.matching.kernels import copies as k
from pipeline.matching.question import SORTED_ROWS, Outputs
from pipeline.matching.sets import TEXTS, compares_by
from pipeline.matching.tables import distinct, sorter

IN_MEMORY = 1 << 28  # bytes of sets of one bucket; a single group that has more is read through a mapped file
COPIES = pa.schema(
    [
        pa.field("doc_id", DOC_ID, nullable=False),
        pa.field("kept_doc_id", DOC_ID, nullable=False),
        ("similarity", pa.float64()),  # |A ∩ B| / |A ∪ B| of what the match compares
        ("containment", pa.float64()),  # |A ∩ B| / |A|, A the dropped document
        ("kept_rank", pa.uint32()),
    ]
)
DECIDED = pa.schema([("shard", pa.int32()), *COPIES])  # ranks: see `pairs`


@dataclass(frozen=True)
class DecideArgs:
    call: Call


def decide_bucket(task: Task[DecideArgs]) -> ShardResult:
    """`decisions/<bucket>`: what is dropped in the groups of one bucket, for what, and how similar it is.

    Inputs: linked (pairs of all ranges), sets.
    """
    bucket, call = task.shard, task.args.call
    pairs = [
        t for s in task.all("linked") for t in rows_between(s.path, "bucket", bucket, bucket, ["later", "earlier"])
    ]
    packed = distinct(
        np.concatenate(
            [t["later"].to_numpy().astype(np.uint64) << np.uint64(32) | t["earlier"].to_numpy() for t in pairs]
        )
    )
    sources = task.all("sets")
    ids = pa.concat_tables(
        [t for s in sources for t in rows_between(s.path, "bucket", bucket, bucket, ["rank", "shard", "doc_id"])]
    )
    ranks = ids["rank"].to_numpy()
    order = np.argsort(ranks, kind="stable")
    ranks = ranks[order]
    later = np.searchsorted(ranks, (packed >> np.uint64(32)).astype(np.uint32))
    earlier = np.searchsorted(ranks, packed.astype(np.uint32))
    first = np.searchsorted(later, np.arange(len(ranks) + 1))
    errors: list[str] = []
    if compares_by(call.match) == "text":
        keeper, jaccards, contained, held, refused, errors = _by_text(call, sources, bucket, order, first, earlier)
    else:
        offsets, values, spill = _sets(task, order)
        keeper, jaccards, contained, held, refused = k.decide(
            first, earlier, offsets, values, _bound(call), float(call.params.get("min_containment", 0.0))
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
    return ShardResult({path: len(table)}, counts, errors)


def _bound(call: Call) -> float:
    return float(call.params.get("min_similarity", 1.0))


def _sets(
    task: Task[DecideArgs], order: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], Path | None]:
    """(offsets, values) of the bucket's sets in the order of rank; a large group's values lie in a mapped file, which is
    named too."""
    sources, bucket = task.all("sets"), task.shard
    if not compares_by(task.args.call.match):
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
        spill = task.out / f"{TMP_PREFIX}{task.shard}.sets"
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
    call: Call,
    sources: Sequence[Source],
    bucket: int,
    order: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    earlier: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64], int, int, list[str]]:
    """As `kernels.copies.decide`, with a plug-in's own similarity of two documents. A pair on which it fails counts as refused and
    is a recorded error."""
    columns = ["doc_id", *(n for n, _ in TEXTS)]
    table = pa.concat_tables([t for s in sources for t in rows_between(s.path, "bucket", bucket, bucket, columns)])
    docs = docs_of(table.take(pa.array(order)))
    similarity = call.match.similarity
    assert similarity is not None
    keeper = np.arange(len(docs))
    scores = np.zeros(len(docs))
    held = refused = 0
    errors: list[str] = []
    for d in range(len(docs)):
        best = -1
        for other in np.unique(keeper[earlier[first[d] : first[d + 1]]]).tolist():
            try:
                with calling("match", call.name, 2):
                    score = float(similarity(docs[d], docs[other], **call.params))
            except DefinitionError as error:
                errors.append(f"documents {docs[d].doc_id.hex()} and {docs[other].doc_id.hex()}: {error}")
                score = math.nan
            if not score >= _bound(call):
                refused += 1
                continue
            held += 1
            if best < 0 or score > scores[d]:
                best, scores[d] = other, score
        if best >= 0:
            keeper[d] = best
    return keeper, scores, np.zeros(len(docs)), held, refused, errors


@dataclass(frozen=True)
class RouteArgs:
    shards: tuple[int, ...]
    memory: int | None


def route_copies(task: Task[RouteArgs]) -> ShardResult:
    """`copies/<shard>`: the dropped documents of a shard, by doc_id. Inputs: decisions of all buckets."""
    args = task.args
    files = [str(s.path) for s in task.all("decisions")]
    outputs: Outputs = {}
    with sorter(task.out, args.memory) as connection:
        query = "SELECT * FROM read_parquet($files) ORDER BY shard, doc_id"
        batches = connection.sql(query, params={"files": files}).to_arrow_reader(65_536) if files else ()
        waiting = iter(batches)
        rest = DECIDED.empty_table()
        for shard in args.shards:
            path = task.other("copies", shard)
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
            mine = pa.concat_tables(parts).select(COPIES.names).cast(COPIES)
            write_parquet(path, mine, row_group_rows=SORTED_ROWS)
            outputs[path] = len(mine)
    return ShardResult(outputs, {"copies": sum(n or 0 for n in outputs.values())})

"""What pairs are compared by: the features (shingles) of every candidate, or its text where a match compares texts itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.definitions import MatchDef
from pipeline.core.documents import Doc, docs_of
from pipeline.core.files import write_parquet
from pipeline.core.registry import Call
from pipeline.core.schema import DOC_ID
from pipeline.core.step import ShardResult, Task
from pipeline.core.watch import calling
from pipeline.matching.question import BATCH_ROWS

SET_ROWS = 256  # sets of a row group
IDS = [("bucket", pa.int32()), ("rank", pa.uint32()), ("shard", pa.int32()), ("doc_id", DOC_ID)]
FEATURES = pa.field("features", pa.large_list(pa.uint32()))
TEXTS = [("url", pa.string()), ("host", pa.string()), ("text", pa.string())]


def compares_by(match: MatchDef) -> str:
    """Column by which the pairs of a match are compared: "features", "text", or "" where a shared key is proof."""
    return "features" if match.features else "text" if match.similarity else ""


def set_schema(match: MatchDef) -> pa.Schema:
    columns = {"features": [FEATURES], "text": TEXTS, "": []}
    return pa.schema([*IDS, *columns[compares_by(match)]])


@dataclass(frozen=True)
class SetArgs:
    call: Call


def write_sets(task: Task[SetArgs]) -> ShardResult:
    """`sets/<shard>`: every candidate of a shard with what it is compared by, by bucket and rank.

    Inputs: members, state, data of the shard.
    """
    call = task.args.call
    schema, by = set_schema(call.match), compares_by(call.match)
    members = pq.read_table(task.one("members").path)
    place = members["place"].to_numpy()
    state = pq.read_table(task.one("state").path, columns=["doc_id", "row", "text"])
    if len(members):
        state = state.take(pa.array(place))
    columns: dict[str, Any] = {
        "bucket": members["bucket"],
        "rank": members["rank"],
        "shard": pa.array(np.full(len(members), task.shard, np.int32)),
        "doc_id": state["doc_id"] if len(members) else pa.array([], DOC_ID),
    }
    if by and len(members):
        docs = docs_at(task.one("data").path, state["row"].to_numpy(), state["text"].to_pylist())
        if by == "features":
            columns["features"] = features_of(call, docs)
        else:
            columns |= {n: pa.array([getattr(d, n) for d in docs], t) for n, t in TEXTS}
    table = pa.table(columns, schema=schema) if len(members) else schema.empty_table()
    path = task.file("sets")
    write_parquet(path, table, row_group_rows=SET_ROWS, packed=by != "features")
    return ShardResult({path: len(table)}, {"sets": len(table)})


def features_of(call: Call, docs: Sequence[Doc]) -> pa.ChunkedArray:
    """The feature sets of documents as a column."""
    features = call.match.features
    assert features is not None
    parts = []
    for at in range(0, len(docs), BATCH_ROWS):
        part = docs[at : at + BATCH_ROWS]
        with calling("match", call.name, len(part)):
            offsets, values = features(part, **call.params)
            if len(offsets) != len(part) + 1:
                raise ValueError(f"{len(offsets):,} offsets of features for {len(part):,} documents")
            parts.append(pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(values, pa.uint32())))
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

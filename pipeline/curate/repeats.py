"""Documents that have the doc_id of an earlier one: a capture that was read twice, or two that a tool gave one identity.

Everything that is known of a document is kept by its doc_id, so only the first, in the order of shards and rows, can go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset, Source
from pipeline.core.documents import Doc
from pipeline.core.files import write_parquet
from pipeline.core.schema import decision, doc_id_of_row
from pipeline.core.step import ShardResult, Task
from pipeline.matching.question import Outputs
from pipeline.matching.tables import sorter

VERSION = 1
GATE, REASON = "doc_id", "duplicate_id"
FOLDER = "repeated"


@dataclass(frozen=True)
class RepeatArgs:
    memory: int | None


def find_repeats(documents: Dataset, bench: Bench) -> Dataset:
    """`repeated/<shard>`, for shards that have any: the rows whose doc_id an earlier row has."""
    task = Task(0, {"data": documents.every("data")}, RepeatArgs(bench.memory))
    return bench.scratch.step("repeats", {}, VERSION, [documents], [task], repeated_rows)


def repeated_rows(task: Task[RepeatArgs]) -> ShardResult:
    """The one task of `find_repeats`. Inputs: data of all shards."""
    sources = task.all("data")
    if not sources:
        return ShardResult({}, {"repeated": 0})
    files = [str(s.path) for s in sources]
    with sorter(task.out, task.args.memory) as connection:
        connection.register("files", pa.table({"filename": files, "shard": [s.shard for s in sources]}))
        found = connection.sql(
            """WITH ids AS (
                SELECT doc_id, filename, file_row_number AS row
                FROM read_parquet($files, filename = true, file_row_number = true)),
            twice AS (SELECT doc_id FROM ids GROUP BY doc_id HAVING count(*) > 1),
            placed AS (SELECT doc_id, shard, row FROM ids SEMI JOIN twice USING (doc_id) JOIN files USING (filename)),
            counted AS (SELECT shard, row, row_number() OVER (PARTITION BY doc_id ORDER BY shard, row) AS n FROM placed)
            SELECT shard, row FROM counted WHERE n > 1 ORDER BY shard, row""",
            params={"files": files},
        ).to_arrow_table()
    shards, rows = found["shard"].to_numpy(), found["row"].to_numpy()
    outputs: Outputs = {}
    for shard in np.unique(shards).tolist():
        path = task.other(FOLDER, shard)
        mine = rows[shards == shard]
        write_parquet(path, pa.table({"row": pa.array(mine, pa.int64())}))
        outputs[path] = len(mine)
    return ShardResult(outputs, {"repeated": len(found)})


def repeats_of(repeats: Dataset, shard: int) -> tuple[Source, ...]:
    """The file of a shard, as an input of its task; none where nothing is repeated."""
    return tuple(s for s in repeats.every(FOLDER) if s.shard == shard)


def read_repeats(sources: tuple[Source, ...]) -> frozenset[int]:
    """The rows in such files."""
    return frozenset(row for s in sources for row in pq.read_table(s.path)["row"].to_pylist())


def dropped_repeat(doc: Doc, shard: int, row: int) -> dict[str, Any]:
    """The decision on a repeated document. Its own doc_id is the other one's, so that of its place stands there."""
    note = f"an earlier document has its doc_id, {doc.doc_id.hex()}"
    own = doc_id_of_row(f"{doc.doc_id.hex()} in shard {shard}", row)
    return decision(doc, GATE, [REASON], kept=doc.doc_id, note=note) | {"doc_id": own}

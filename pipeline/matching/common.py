"""How common keys are: for edits that know the corpus, such as those that remove what every page of a host repeats.

Counts of documents are added up over all shards, so that neither their order nor their number matters.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.dataset import Dataset
from pipeline.core.executor import Executor
from pipeline.core.files import write_parquet
from pipeline.core.schema import DOC_ID
from pipeline.core.step import Plan, Progress, ShardResult, Task, Workspace, run_step
from pipeline.curate.gates import Gate

VERSION = 1
COMMON = pa.schema([pa.field("key", DOC_ID, nullable=False), ("documents", pa.int64()), ("of", pa.int64())])


def count_common(
    gate: Gate, previous: Dataset, space: Workspace, executor: Executor, *, progress: Progress | None = None
) -> Dataset:
    """The keys of an edit that at least `min_documents`, and `min_share` of all documents of their group, have.

    Args:
        previous: the pass before, with `keys` (group, key, documents).

    Returns: a dataset whose `common` file names each such key, how many documents have it, and of how many.
    """
    plan = Plan(f"{gate.name}-common", dict(gate.identity), VERSION, upstream={previous.step: previous.key})
    inputs = tuple(previous.source(f"keys/{i:05d}.parquet") for i in previous.shards())
    bounds = (int(gate.params["min_documents"]), float(gate.params["min_share"]))
    task = Task(plan.name, 0, inputs, space.dir(plan), bounds)
    return run_step(plan, space.dir(plan), [task], reduce_counts, executor, progress=progress)


def reduce_counts(task: Task) -> ShardResult:
    """One file of common keys, sorted."""
    min_documents, min_share = task.args
    counted = pa.concat_tables([pq.read_table(s.path) for s in task.inputs])
    connection = duckdb.connect(config={"threads": 1})
    try:
        connection.register("counted", counted)
        query = """
            WITH summed AS (SELECT "group", key, sum(documents) AS n FROM counted GROUP BY "group", key),
            sizes AS (SELECT "group", n AS size FROM summed WHERE key IS NULL)
            SELECT key, n::BIGINT AS documents, size::BIGINT AS "of" FROM summed JOIN sizes USING ("group")
            WHERE key IS NOT NULL AND n >= ? AND n >= ? * size ORDER BY key"""
        table = connection.sql(query, params=[min_documents, min_share]).to_arrow_table().cast(COMMON)
    finally:
        connection.close()
    path = task.file("common")
    write_parquet(path, table)
    return ShardResult({path: table.num_rows}, {"keys": counted.num_rows, "common": table.num_rows})

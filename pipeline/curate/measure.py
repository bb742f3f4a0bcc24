"""Signals alone: every one of every text, without decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset
from pipeline.core.documents import docs_of
from pipeline.core.files import write_parquet
from pipeline.core.registry import REGISTRY, measure
from pipeline.core.schema import DOC_ID
from pipeline.core.step import ShardResult, Task
from pipeline.curate.gates import Curation
from pipeline.curate.passes import head_columns, signal_columns
from pipeline.curate.step import VERSION, identity, plugin_files, shown_params
from pipeline.matching.question import BATCH_ROWS


@dataclass(frozen=True)
class MeasureArgs:
    curation: Curation
    names: tuple[str, ...]


def measure_signals(curation: Curation, names: Sequence[str], documents: Dataset, bench: Bench) -> Dataset:
    """Every named signal of every document, no decisions: `signals/<n>` with one row per document."""
    shown = identity(replace(curation, gates=()), ())
    params = {**shown, "names": list(names), "params": shown_params(curation)}
    args = MeasureArgs(curation, tuple(names))
    tasks = [Task(i, {"data": (documents.shard("data", i),)}, args) for i in documents.shards()]
    return bench.step(
        "signals", params, VERSION, [documents], tasks, signals_shard,
        files=plugin_files(curation), extra={"kind": "signals"},
    )  # fmt: skip


def signals_shard(task: Task[MeasureArgs]) -> ShardResult:
    """One shard of `measure_signals`. Inputs: data."""
    curation = task.args.curation
    curation.load()
    definitions = {curation.signal(n).names[0]: curation.signal(n) for n in task.args.names}
    parts = []
    with pq.ParquetFile(task.one("data").path) as f:
        for batch in f.iter_batches(batch_size=BATCH_ROWS):
            docs = docs_of(batch)
            for first, found in definitions.items():
                measure(found, docs, curation.signal_params[first])
            columns = head_columns(docs)
            for found in definitions.values():
                columns |= signal_columns(found, docs)
            parts.append(pa.table(columns))
    table = pa.concat_tables(parts) if parts else pa.table({"doc_id": pa.array([], DOC_ID)})
    path = task.file("signals")
    write_parquet(path, table)
    counts = {"rows_in": table.num_rows, "rows_out": table.num_rows, "dropped": {}}
    return ShardResult({path: table.num_rows}, counts)


def all_signals() -> list[str]:
    """Names of all registered signals that need no parameter, in the order of registration."""
    return [name for name, found in REGISTRY.signals.items() if not found.requires]

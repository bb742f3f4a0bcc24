"""Signals alone: every one of every text, without decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset
from pipeline.core.definitions import SignalDef
from pipeline.core.documents import Documents, docs_of
from pipeline.core.errors import DefinitionError, StepError
from pipeline.core.files import write_parquet
from pipeline.core.registry import REGISTRY, is_plugin, measure
from pipeline.core.schema import DOC_ID
from pipeline.core.step import ShardResult, Task
from pipeline.curate.gates import Curation
from pipeline.curate.net import ALL_FAIL
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
    """One shard of `measure_signals`. Inputs: data. Where a signal fails, it has no value, and the error is recorded."""
    curation = task.args.curation
    curation.load()
    definitions = {curation.signal(n).names[0]: curation.signal(n) for n in task.args.names}
    parts = []
    errors: list[str] = []
    with pq.ParquetFile(task.one("data").path) as f:
        for batch in f.iter_batches(batch_size=BATCH_ROWS):
            docs = docs_of(batch)
            for first, found in definitions.items():
                failed = _measure(found, docs, curation.signal_params[first])
                if len(failed) == len(docs) >= ALL_FAIL and is_plugin(found):
                    raise StepError(f"{failed[0]}; and so on for all {len(docs):,} documents of a batch.")
                errors += failed
            columns = head_columns(docs)
            for found in definitions.values():
                columns |= signal_columns(found, docs)
            parts.append(pa.table(columns))
    table = pa.concat_tables(parts) if parts else pa.table({"doc_id": pa.array([], DOC_ID)})
    path = task.file("signals")
    write_parquet(path, table)
    counts = {"rows_in": table.num_rows, "rows_out": table.num_rows, "dropped": {}}
    return ShardResult({path: table.num_rows}, counts, errors)


def _measure(found: SignalDef, docs: Documents, params: Mapping[str, Any]) -> list[str]:
    """Measure a signal on documents; a line for each on which it fails, found by halves."""
    try:
        measure(found, docs, params)
    except DefinitionError as error:
        if len(docs) == 1:
            return [f"{docs[0].url or docs[0].doc_id.hex()}: {error}"]
        half = len(docs) // 2
        return _measure(found, docs[:half], params) + _measure(found, docs[half:], params)
    return []


def all_signals() -> list[str]:
    """Names of all registered signals that need no parameter, in the order of registration."""
    return [name for name, found in REGISTRY.signals.items() if not found.requires]

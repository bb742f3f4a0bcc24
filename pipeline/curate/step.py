"""The curate step: passes and matches in turn, then one dataset with everything on record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.dataset import Dataset
from pipeline.core.executor import Executor
from pipeline.core.files import write_parquet
from pipeline.core.registry import REGISTRY, measure
from pipeline.core.schema import DOC_ID, docs_of
from pipeline.core.step import Plan, Progress, ShardResult, Task, Workspace, run_step
from pipeline.curate.gates import Curation, Gate, content_of
from pipeline.curate.passes import PassArgs, pass_shard
from pipeline.matching.common import count_common
from pipeline.matching.engine import Matched, match_copies
from pipeline.matching.guard import check_losses
from pipeline.matching.index import Known, open_index
from pipeline.matching.spans import find_repeats

VERSION = 3


def identity(curation: Curation, gates: tuple[Gate, ...]) -> dict[str, Any]:
    """What decides the output of these gates; models and lists count by content, not by path."""
    used = {curation.signal_def(s).names[0] for g in gates if g.rules for s in g.rules.signals}
    signals = {}
    for name, params in curation.signal_params.items():
        if name in used:
            found = curation.signal_def(name)
            shown = {k: content_of(v, curation.files) if k in found.files else v for k, v in params.items()}
            signals[name] = {"version": found.version, "params": shown}
    return {
        "gates": [dict(g.identity) for g in gates],
        "signals": signals,
        "keep": list(curation.keep),
        "source_priority": list(curation.source_priority),
        "measure_dropped": curation.measure_dropped,
    }


@dataclass(frozen=True)
class MatchRun:
    """One match of a curation: the pass before it, what it was compared with, and what it found."""

    gate: Gate
    previous: Dataset
    known: Known
    matched: Matched


def curate(
    curation: Curation,
    documents: Dataset,
    space: Workspace,
    executor: Executor,
    *,
    work: Workspace,
    memory: int | None = None,
    progress: Progress | None = None,
    told: list[MatchRun] | None = None,
) -> Dataset:
    """Run all gates over a dataset of documents.

    Args:
        curation: checked gates, from `pipeline.curate.gates.build`.
        documents: output of the extract step.
        work: where passes and matches lie; a later change of a late gate finds the earlier ones done.
        memory: bytes that sorting may take before it spills.
        told: receives every match that was made.

    Returns: a dataset with data, signals, decisions and edits, in the shards of the input.
    """
    plugins = {k: v for k, v in curation.files.items() if k.startswith("plugin ")}
    passes: list[Dataset] = []
    upstream: Dataset = documents
    previous: Gate | None = None
    matches: dict[str, Any] = {}
    segment: list[Gate] = []
    cutting = [g for g in curation.gates if g.kind == "match"]
    known = open_index(curation.index, cutting) if curation.index else {}
    for i, gate in enumerate(curation.gates):
        if not gate.cuts:
            segment.append(gate)
            continue
        done = curation.gates[: i + 1]
        plan = Plan(f"pass{len(passes) + 1}", identity(curation, done), VERSION, plugins, {upstream.step: upstream.key})
        args = PassArgs(curation, tuple(segment), gate, previous)
        tasks = _tasks(plan, work.dir(plan), documents, passes, upstream if previous else None, args)
        made = run_step(plan, work.dir(plan), tasks, pass_shard, executor, progress=progress)
        passes.append(made)
        if gate.kind == "match":
            earlier = known.get(gate.name, Known())
            matched = match_copies(
                gate, curation, documents, made, work, executor, known=earlier, memory=memory, progress=progress
            )
            upstream, segment = matched.drops, []
            check_losses(gate.name, curation, documents, made, upstream, memory)
            matches[gate.name] = matched.counts
            if told is not None:
                told.append(MatchRun(gate, made, earlier, matched))
        elif gate.edit.windows:
            upstream = find_repeats(gate, curation, made, work, executor, memory=memory, progress=progress)
            segment = [gate]
        else:
            upstream = count_common(gate, curation, made, work, executor, memory=memory, progress=progress)
            segment = [gate]
        previous = gate
    plan = Plan("curate", identity(curation, curation.gates), VERSION, plugins, {documents.step: documents.key})
    args = PassArgs(curation, tuple(segment), None, previous, carried=len(passes))
    tasks = _tasks(plan, space.dir(plan), documents, passes, upstream if previous else None, args)
    extra = {
        "kind": "documents",
        "gates": [g.name for g in curation.gates],
        "matches": matches,
        **({"index": str(curation.index)} if curation.index else {}),
    }
    return run_step(plan, space.dir(plan), tasks, pass_shard, executor, progress=progress, extra=extra)


def _tasks(
    plan: Plan, folder: Path, documents: Dataset, passes: list[Dataset], found: Dataset | None, args: PassArgs
) -> list[Task]:
    """A task per shard; `found` is what the gate that cut last has made of it: copies to drop, or common keys."""
    tasks = []
    for i in documents.shards():
        inputs = [documents.source(f"data/{i:05d}.parquet")]
        if found is not None:
            inputs += [passes[-1].source(f"state/{i:05d}.parquet"), found.source(f"drops/{i:05d}.parquet")]
        if args.carried:
            for done in passes:
                inputs += [done.source(f"{kind}/{i:05d}.parquet") for kind in ("signals", "decisions", "edits")]
        tasks.append(Task(plan.name, i, tuple(inputs), folder, args))
    return tasks


def measure_signals(
    curation: Curation,
    names: list[str],
    documents: Dataset,
    space: Workspace,
    executor: Executor,
    *,
    progress: Progress | None = None,
) -> Dataset:
    """Every named signal of every document, no decisions: `signals/<n>` with one row per document."""
    shown = identity(replace(curation, gates=()), ())
    plan = Plan(
        "signals",
        {**shown, "names": names, "params": _shown_params(curation)},
        VERSION,
        {k: v for k, v in curation.files.items() if k.startswith("plugin ")},
        {documents.step: documents.key},
    )
    tasks = [
        Task("signals", i, (documents.source(f"data/{i:05d}.parquet"),), space.dir(plan), (curation, tuple(names)))
        for i in documents.shards()
    ]
    return run_step(plan, space.dir(plan), tasks, signals_shard, executor, progress=progress, extra={"kind": "signals"})


def _shown_params(curation: Curation) -> Mapping[str, Any]:
    return {
        first: {
            k: content_of(v, curation.files) if k in curation.signal_def(first).files else v for k, v in params.items()
        }
        for first, params in curation.signal_params.items()
    }


def signals_shard(task: Task) -> ShardResult:
    """One shard of `measure_signals`."""
    curation, names = task.args
    curation.load()
    definitions = {curation.signal_def(n).names[0]: curation.signal_def(n) for n in names}
    parts = []
    with pq.ParquetFile(task.inputs[0].path) as f:
        for batch in f.iter_batches(batch_size=1_000):
            docs = docs_of(batch)
            for first, found in definitions.items():
                measure(found, docs, dict(curation.signal_params[first]))
            columns = {
                "doc_id": pa.array([d.doc_id for d in docs], DOC_ID),
                "url": pa.array([d.url for d in docs], pa.string()),
                "host": pa.array([d.host for d in docs], pa.string()),
                "bytes": pa.array([d.text_bytes for d in docs], pa.int64()),
            }
            for found in definitions.values():
                for n in found.names:
                    kind = pa.string() if n in found.text else pa.float64()
                    columns[n] = pa.array([d.signals[n] for d in docs], kind)
            parts.append(pa.table(columns))
    table = pa.concat_tables(parts) if parts else pa.table({"doc_id": pa.array([], DOC_ID)})
    path = task.file("signals")
    write_parquet(path, table)
    counts = {"rows_in": table.num_rows, "rows_out": table.num_rows, "dropped": {}}
    return ShardResult({path: table.num_rows}, counts)


def all_signals() -> list[str]:
    """Names of all registered signals that need no parameter, in the order of registration."""
    return [name for name, found in REGISTRY.signals.items() if not found.requires]

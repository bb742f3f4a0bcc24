"""One pass over one shard: the gates between two questions, fused.

What a pass writes (`<n>` is the shard): `signals/<n>` for every document it saw, `decisions/<n>`, `edits/<n>`; then, if a
question follows, `state/<n>` (who is still in, with the text where an edit changed it, and what `keep` goes by) and the
question's own files; after the last question `data/<n>`, with the sidecars of all passes joined.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.definitions import SignalDef
from pipeline.core.documents import Doc, docs_of
from pipeline.core.errors import StepError
from pipeline.core.events import nobody
from pipeline.core.files import write_parquet
from pipeline.core.schema import DECISION, DOC_ID, DOCUMENT, EDIT
from pipeline.core.step import ShardResult, Task
from pipeline.curate.child import Child
from pipeline.curate.crowd import Record
from pipeline.curate.gates import Answers, Curation, Gate
from pipeline.curate.limit import watched
from pipeline.curate.net import Batch, Net, Through
from pipeline.curate.repeats import dropped_repeat, read_repeats
from pipeline.matching.question import BATCH_ROWS, Left, Outputs, Question, read_state, write_state

SIDECARS = ("signals", "decisions", "edits")


@dataclass(frozen=True)
class PassArgs:
    """What a pass does.

    Attributes:
        gates: in order; where an earlier pass asked for the first one, its answers are an input.
        asks: the question that is put after this pass; None in the last one.
    """

    curation: Curation
    gates: tuple[Gate, ...]
    asks: Question[object] | None


def pass_shard(task: Task[PassArgs]) -> ShardResult:
    """Run one pass over one shard.

    Inputs: data; in the first pass repeats, in others state and answers of the question before; in the last pass signals,
    decisions and edits of the earlier ones.
    """
    args = task.args
    record = Record()
    left = _left(task)
    net = Net(through(task), partial(_child, task), careful=_died_here(task))
    try:
        with watched(args.curation.document_s):
            for batch in _batches(task, left, record):
                record.add(net.take(batch))
            asked: Outputs = net.write(record, task) if args.asks is not None else {}
    finally:
        net.close()
        _busy(task).unlink(missing_ok=True)
    by_gate = Counter(d["gate"] for d in record.decisions)
    counts: dict[str, Any] = {
        "rows_in": _rows(task),
        "rows_out": len(record.alive),
        "dropped": dict(by_gate),
        "text_bytes": sum(d.text_bytes for d in record.alive),
    }
    sidecars = {
        "signals": _signal_table(record.measured, args),
        "decisions": pa.Table.from_pylist(record.decisions, DECISION),
        "edits": pa.Table.from_pylist(record.edits, EDIT),
    }
    outputs: Outputs = {}
    if args.asks is not None:
        outputs |= write_state(args.asks, record.alive, record.rows, record.changed, task) | asked
    else:
        sidecars = {name: _join(name, task, table) for name, table in sidecars.items()}
        data = _survivors(record)
        write_parquet(task.file("data"), data, row_group_rows=BATCH_ROWS)
        outputs[task.file("data")] = data.num_rows
        counts["dropped"] = dict(sorted(Counter(sidecars["decisions"]["gate"].to_pylist()).items()))
        counts["rows_in"] = pq.read_metadata(task.one("data").path).num_rows
        counts["edits"] = dict(sorted(Counter(sidecars["edits"]["kind"].to_pylist()).items()))
    for folder, table in sidecars.items():
        write_parquet(task.file(folder), table)
        outputs[task.file(folder)] = table.num_rows
    return ShardResult(outputs, counts)


def through(task: Task[PassArgs]) -> Through:
    """The gates of a pass over a shard, ready."""
    args = task.args
    args.curation.load()
    left = _left(task)
    answers = Answers(task.one("answers"), [d.doc_id for d in left.values()]) if left is not None else None
    runs = tuple(g.ready(args.curation, answers if i == 0 else None) for i, g in enumerate(args.gates))
    return Through(args.gates, runs, args.asks, args.curation.measure_dropped)


def _child(task: Task[PassArgs]) -> Child:
    return Child(partial(through, replace(task, told=nobody)), task.args.curation.document_s)


def _left(task: Task[PassArgs]) -> dict[int, Left] | None:
    """The documents that the pass before left, by row; None in the first pass."""
    return {d.row: d for d in read_state(task.one("state").path)} if task.all("state") else None


def _busy(task: Task[PassArgs]) -> Path:
    return task.out / f".busy-{task.shard:05d}"


def _died_here(task: Task[PassArgs]) -> bool:
    """Whether a process ended in the middle of this shard; from now on this one would be it."""
    path = _busy(task)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("x").close()
    except FileExistsError:
        return True
    return False


def _rows(task: Task[PassArgs]) -> int:
    """Documents that come into this pass."""
    source = task.one("state") if task.all("state") else task.one("data")
    return int(pq.read_metadata(source.path).num_rows)


def _batches(task: Task[PassArgs], left: dict[int, Left] | None, record: Record) -> Iterator[Batch]:
    """Batches of the documents that are still in."""
    at = 0
    again = read_repeats(task.all("repeats")) if left is None else frozenset()
    with pq.ParquetFile(task.one("data").path) as f:
        for table in f.iter_batches(batch_size=BATCH_ROWS):
            if task.args.asks is None:
                record.batches.append(table)
            places: Sequence[int] = range(len(table))
            if left is not None:
                places = [p for p in places if at + p in left]
            elif again:
                docs = docs_of(table)
                record.decisions += [dropped_repeat(docs[p], task.shard, at + p) for p in places if at + p in again]
                places = [p for p in places if at + p not in again]
            yield Batch(table, places, [at + p for p in places], left)
            at += len(table)


def signal_columns(found: SignalDef, docs: Sequence[Doc]) -> dict[str, pa.Array]:
    """The values of a definition's signals, null where nothing was measured."""
    return {
        n: pa.array([d.signals.get(n) for d in docs], pa.string() if n in found.text else pa.float64())
        for n in found.names
    }


def head_columns(docs: Sequence[Doc]) -> dict[str, pa.Array]:
    """What a table of signals begins with."""
    return {
        "doc_id": pa.array([d.doc_id for d in docs], DOC_ID),
        "url": pa.array([d.url for d in docs], pa.string()),
        "host": pa.array([d.host for d in docs], pa.string()),
        "bytes": pa.array([d.text_bytes for d in docs], pa.int64()),
    }


def _signal_table(docs: Sequence[Doc], args: PassArgs) -> pa.Table:
    """One row per document that the pass saw, a column per signal of its gates."""
    columns = head_columns(docs)
    for gate in args.gates:
        for name in gate.signals:
            if name not in columns:
                columns |= signal_columns(args.curation.signal(name), docs)
    return pa.table(columns)


def _join(name: str, task: Task[PassArgs], last: pa.Table) -> pa.Table:
    """A sidecar of all passes: signals side by side, in input order; the others one after the other."""
    tables = [*(pq.read_table(s.path) for s in task.all(name)), last]
    if name != "signals":
        return pa.concat_tables(tables)
    merged = tables[0]
    index = {d: i for i, d in enumerate(merged.column("doc_id").to_pylist())}
    if len(index) != merged.num_rows:
        raise StepError("two documents of this shard have the same doc_id.")
    for later in tables[1:]:
        place = {d: i for i, d in enumerate(later.column("doc_id").to_pylist())}
        take = pa.array([place.get(d) for d in index], pa.int64())
        for column in later.column_names:
            if column not in merged.column_names:
                merged = merged.append_column(column, later.column(column).take(take))
    return merged


def _survivors(record: Record) -> pa.Table:
    """The documents that are left, with the texts that edits made of them and the languages that were measured."""
    table = pa.Table.from_batches(record.batches, None if record.batches else DOCUMENT)
    keep = np.zeros(len(table), np.bool_)
    keep[record.rows] = True
    table = table.filter(pa.array(keep)) if not keep.all() else table
    columns: dict[str, list[str | None] | list[float | None] | list[str]] = {
        "language": [d.language for d in record.alive],
        "language_score": [d.language_score for d in record.alive],
    }
    if record.changed:
        columns["text"] = [d.text for d in record.alive]
    for name, values in columns.items():
        at = DOCUMENT.get_field_index(name)
        table = table.set_column(at, DOCUMENT.field(name), pa.array(values, DOCUMENT.field(name).type))
    return table.cast(DOCUMENT)

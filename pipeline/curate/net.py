"""A net around one document: what fails on it is one recorded drop, and its neighbours go on.

A batch goes through the gates of a pass as one. Where a definition raises, the batch is cut into halves, and these again, until
the document is found; the others leave the same as without it. Where a call takes too long, the batch is finished document by
document in a child that can be killed; there a shard begins whose process died the last time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from pipeline.core.dataset import shard_file
from pipeline.core.documents import Doc, Documents, docs_of
from pipeline.core.errors import DefinitionError, StepError, WinnowError
from pipeline.core.registry import REGISTRY, is_plugin
from pipeline.core.schema import decision
from pipeline.core.step import ShardFiles
from pipeline.core.watch import began, note_of
from pipeline.curate.crowd import Crowd, Record
from pipeline.curate.gates import Gate, Run
from pipeline.curate.limit import TooSlow
from pipeline.matching.question import Left, Outputs, Question

ALL_FAIL = 5  # documents of a batch, all of which a plug-in fails on: then the plug-in is wrong, not the documents
SLOW, CRASHED = "too_slow", "crashed"


class Stopped(Exception):
    """What did not go through.

    Attributes:
        gate: where. reason: of the drop. note: which definition, and what it did. name: of the definition, "" for none.
    """

    def __init__(self, gate: str, reason: str, note: str, name: str = "") -> None:
        super().__init__(gate, reason, note, name)
        self.gate, self.reason, self.note, self.name = gate, reason, note, name


def why(gate: str, error: BaseException) -> Stopped:
    """An error at a gate as the drop that it becomes."""
    if isinstance(error, Stopped):
        return error
    if isinstance(error, TooSlow):
        return Stopped(gate, SLOW, f"{error.kind} '{error.name}': more than {error.seconds:.1f} s", error.name)
    if isinstance(error, DefinitionError):
        return Stopped(gate, f"{error.kind}_failed", str(error), error.name)
    return Stopped(gate, "gate_failed", note_of(error))


def about_all(error: BaseException) -> bool:
    """Whether it is for the user and no single document's: a wrong parameter, a model that is not there, a full disk."""
    return isinstance(error, WinnowError | OSError) and not isinstance(error, DefinitionError)


@dataclass(frozen=True)
class Batch:
    """Documents that are still in, to be made anew as often as they are needed.

    Attributes:
        table: of the input. places: rows of the table. rows: the same in the shard. left: as the pass before left them.
    """

    table: pa.RecordBatch
    places: Sequence[int]
    rows: Sequence[int]
    left: dict[int, Left] | None

    def part(self, low: int, high: int) -> Batch:
        """Some of them, in a table of their own."""
        rows = self.rows[low:high]
        left = {r: self.left[r] for r in rows} if self.left is not None else None
        return Batch(self.table.take(pa.array(self.places[low:high], pa.int64())), range(len(rows)), rows, left)

    def crowd(self, record: Record) -> Crowd:
        docs = docs_of(self.table)
        if len(self.places) < len(docs):
            docs = Documents(docs[p] for p in self.places)
        if self.left is not None:
            docs = Documents(_restored(d, self.left[r], record) for r, d in zip(self.rows, docs, strict=True))
        return Crowd(self.rows, docs)


def _restored(doc: Doc, left: Left, record: Record) -> Doc:
    """A document as the pass before left it."""
    if left.text is not None:
        doc = doc.with_text(left.text)
        record.changed.add(doc.doc_id)
    doc.language, doc.language_score = left.language, left.language_score
    return doc


@dataclass(frozen=True)
class Scratch:
    """Where a question writes for nobody: to see whether it can."""

    folder: Path
    shard: int = 0

    def file(self, folder: str, suffix: str = ".parquet") -> Path:
        return shard_file(self.folder / folder, self.shard, suffix)


class Child(Protocol):
    """The same gates in a process of their own."""

    def take(self, batch: Batch) -> Record: ...
    def probe(self, docs: Sequence[Doc]) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Through:
    """The gates of a pass, ready.

    Attributes:
        gates, runs: in order. asks: the question behind them. measure_dropped: see `Curation`.
    """

    gates: tuple[Gate, ...]
    runs: tuple[Run, ...]
    asks: Question[object] | None
    measure_dropped: bool

    def take(self, batch: Batch) -> Record:
        """Documents through all gates; one alone that fails is dropped. Raises: Stopped if one of several fails; WinnowError."""
        record = Record()
        crowd = batch.crowd(record)
        for gate, run in zip(self.gates, self.runs, strict=True):
            began("gate", gate.name, 0)
            try:
                run(crowd, record)
            except (Exception, TooSlow) as error:
                if about_all(error):
                    raise
                if len(batch.rows) > 1:
                    raise why(gate.name, error) from error
                _drop(crowd, record, why(gate.name, error))
                break
            if not self.measure_dropped:
                record.measured += crowd.forget_dropped()
        return _leave(crowd, record)

    def probe(self, docs: Sequence[Doc]) -> None:
        """See whether the question can be written for documents. Raises: Stopped if it fails for one; WinnowError."""
        if self.asks is None or not docs:
            return
        began("gate", self.asks.name, 0)
        with tempfile.TemporaryDirectory() as folder:
            try:
                self.asks.write(docs, Scratch(Path(folder)))
            except (Exception, TooSlow) as error:
                if about_all(error):
                    raise
                raise why(self.asks.name, error) from error


def _drop(crowd: Crowd, record: Record, stopped: Stopped) -> None:
    """Drop the only document of a crowd, unless it is out already and was only measured on."""
    record.failed.append(stopped.name)
    for row, doc in list(crowd.alive.items()):
        record.decisions.append(decision(doc, stopped.gate, [stopped.reason], note=stopped.note))
        crowd.drop(row)


def _leave(crowd: Crowd, record: Record) -> Record:
    record.measured += crowd.everyone
    record.alive += crowd.alive.values()
    record.rows += crowd.alive
    return record


class Net:
    """Takes batches through the gates of one pass over one shard, whatever they do.

    Args:
        through: the gates.
        child: starts a child that has the same, for documents that may take it down.
        careful: whether everything runs there: the process died in this shard before.
    """

    def __init__(self, through: Through, child: Callable[[], Child], *, careful: bool) -> None:
        self.through, self._start, self.careful = through, child, careful
        self._child: Child | None = None

    def close(self) -> None:
        if self._child is not None:
            self._child.close()

    def take(self, batch: Batch) -> Record:
        """Documents through all gates, and far enough for the question behind them to be written.

        Raises: StepError where a plug-in fails on every document of a batch of many; other WinnowErrors that are about all.
        """
        record = self._parts(batch, self.careful)
        names = set(record.failed)
        if len(batch.rows) == len(record.failed) >= ALL_FAIL and len(names) == 1 and _of_plugin(*names):
            first = next(iter(record.decisions), {})
            raise StepError(f"{first.get('note')}; and so on for all {len(batch.rows):,} documents of a batch.")
        return record

    def write(self, record: Record, part: ShardFiles) -> Outputs:
        """The shard's part of the question; documents on which that fails are dropped from the record first."""
        asks = self.through.asks
        assert asks is not None
        try:
            return asks.write(record.alive, part)
        except (Exception, TooSlow) as error:
            if about_all(error):
                raise
            careful = isinstance(error, TooSlow)
        bad = dict(self._fails(record.alive, 0, careful))
        for place, stopped in bad.items():
            record.decisions.append(decision(record.alive[place], stopped.gate, [stopped.reason], note=stopped.note))
        record.rows = [r for i, r in enumerate(record.rows) if i not in bad]
        record.alive = [d for i, d in enumerate(record.alive) if i not in bad]
        return asks.write(record.alive, part)

    def _parts(self, batch: Batch, careful: bool) -> Record:
        try:
            return self._ask(batch, careful)
        except Stopped as stopped:
            careful = careful or stopped.reason in (SLOW, CRASHED)
            if len(batch.rows) == 1:  # a child died of it, or the question cannot be written for it
                record = Record()
                crowd = batch.crowd(record)
                _drop(crowd, record, stopped)
                return _leave(crowd, record)
            record = Record()
            for low, high in _cuts(len(batch.rows), careful):
                record.add(self._parts(batch.part(low, high), careful))
            return record

    def _ask(self, batch: Batch, careful: bool) -> Record:
        if not careful:
            return self.through.take(batch)
        if self._child is None:
            self._child = self._start()
        return self._child.take(batch)

    def _fails(self, docs: Sequence[Doc], at: int, careful: bool) -> Iterator[tuple[int, Stopped]]:
        """(place, what happens) of the documents for which the question cannot be written."""
        try:
            if careful:
                self._child = self._child or self._start()
                self._child.probe(docs)
            else:
                self.through.probe(docs)
        except Stopped as stopped:
            if len(docs) == 1:
                yield at, stopped
                return
            careful = careful or stopped.reason in (SLOW, CRASHED)
            for low, high in _cuts(len(docs), careful):
                yield from self._fails(docs[low:high], at + low, careful)


def _cuts(n: int, careful: bool) -> list[tuple[int, int]]:
    """How documents are taken apart: halves where an error comes at once, one by one where each takes its time or a process."""
    size = 1 if careful else n // 2
    edges = [*range(0, n, size), n] if careful else [0, size, n]
    return list(pairwise(edges))


def _of_plugin(name: str) -> bool:
    found = REGISTRY.signals.get(name) or REGISTRY.edits.get(name) or REGISTRY.matches.get(name)
    return found is not None and is_plugin(found)

"""The documents of one batch on their way through the gates, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipeline.core.documents import Doc, Documents
from pipeline.core.spans import Span


class Crowd:
    """Documents by their row in the shard.

    Attributes:
        alive: still in. dropped: out, but measured on, so that later signals are known for them.
    """

    def __init__(self, rows: Sequence[int], docs: Documents) -> None:
        self.alive: dict[int, Doc] = dict(zip(rows, docs, strict=True))
        self.dropped: dict[int, Doc] = {}
        self._everyone: Documents | None = docs

    @property
    def everyone(self) -> Documents:
        """All that are measured on, in the order of rows, whoever was dropped: the same object, with its words split once, as
        long as no text has changed."""
        if self._everyone is None:
            both = {**self.alive, **self.dropped}
            self._everyone = Documents(both[row] for row in sorted(both))
        return self._everyone

    def drop(self, row: int) -> None:
        self.dropped[row] = self.alive.pop(row)

    def leave(self, row: int) -> None:
        """Take a document out without measuring it any further."""
        del self.alive[row]
        self._everyone = None

    def change(self, row: int, doc: Doc) -> None:
        """Put another text's document into a row."""
        (self.alive if row in self.alive else self.dropped)[row] = doc
        self._everyone = None

    def forget_dropped(self) -> Iterator[Doc]:
        """Measure no further on those that were dropped; yields them."""
        if self.dropped:
            yield from self.dropped.values()
            self.dropped = {}
            self._everyone = None


@dataclass
class Record:
    """What one pass over one shard leaves.

    Attributes:
        alive, rows: documents that are in at the end, and their rows.
        changed: doc_ids of those whose text is another than in the input.
        decisions, edits: rows of the sidecars. measured: documents with their signals.
        batches: of the input, kept by the last pass. failed: names of definitions, one for each document they failed on.
    """

    alive: list[Doc] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    changed: set[bytes] = field(default_factory=set)
    decisions: list[Mapping[str, Any]] = field(default_factory=list)
    edits: list[Mapping[str, Any]] = field(default_factory=list)
    measured: list[Doc] = field(default_factory=list)
    batches: list[pa.RecordBatch] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def add(self, other: Record) -> None:
        """What further documents leave, behind these."""
        for name in ("alive", "rows", "decisions", "edits", "measured", "batches", "failed"):
            getattr(self, name).extend(getattr(other, name))
        self.changed |= other.changed

    def edited(self, doc: Doc, gate: str, spans: Sequence[Span]) -> None:
        """A document that is still in has another text."""
        self.changed.add(doc.doc_id)
        for s in spans:
            self.edits.append(
                {
                    "doc_id": doc.doc_id, "gate": gate, "kind": s.kind,
                    "start": s.start, "end": s.end, "replacement": s.replacement,
                }
            )  # fmt: skip

"""Which of several copies stays: the order that `[curate] keep` gives documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import pyarrow as pa

from pipeline.core.documents import Doc
from pipeline.core.errors import StepError

FIELDS = ("text_bytes", "capture_time", "date", "url", "source", "source_offset", "source_priority")
_TYPES = {
    "capture_time": pa.timestamp("us", tz="UTC"), "text_bytes": pa.int64(), "source_offset": pa.int64(),
    "source_priority": pa.int64(), "date": pa.string(), "url": pa.string(), "source": pa.string(),
}  # fmt: skip


@dataclass(frozen=True)
class Keep:
    """The order of `keep`.

    Attributes:
        items: fields and signals, the first that differs decides; a leading '-' prefers the larger value. Ties go to the
            smallest doc_id, unknown values come last.
        source_priority: patterns of input files or hosts, for the field of that name.
    """

    items: tuple[str, ...]
    source_priority: tuple[str, ...] = ()

    def columns(self, docs: Sequence[Doc], gate: str) -> list[tuple[str, pa.Array]]:
        """The columns of `state` by which the best copy is chosen. Raises: StepError for a signal that is not measured yet."""
        names = [item.removeprefix("-") for item in self.items]
        return [(_column(n), pa.array(self._values(n, docs, gate), _TYPES.get(n, pa.float64()))) for n in names]

    def order_by(self) -> str:
        """The order as SQL over the columns of `state`."""
        items = [
            f'"{_column(item.removeprefix("-"))}" {"DESC" if item.startswith("-") else "ASC"} NULLS LAST'
            for item in self.items
        ]
        return ", ".join([*items, "doc_id"])

    def places(self, docs: Sequence[Doc], gate: str) -> list[int]:
        """Places of documents in this order. Raises: StepError for a signal that is not measured yet."""
        places = sorted(range(len(docs)), key=lambda i: docs[i].doc_id)
        for item in reversed(self.items):
            values = self._values(item.removeprefix("-"), docs, gate)
            unknown = [i for i in places if values[i] is None]
            places = [i for i in places if values[i] is not None]
            places.sort(key=values.__getitem__, reverse=item.startswith("-"))
            places += unknown
        return places

    def _values(self, name: str, docs: Sequence[Doc], gate: str) -> list[Any]:
        if name == "source_priority":
            return [self._priority(d) for d in docs]
        if name in FIELDS:
            return [getattr(d, name) for d in docs]
        if docs and name not in docs[0].signals:
            raise StepError(f"curate.keep: signal '{name}' is not measured before '{gate}'.")
        return [d.signals[name] for d in docs]

    def _priority(self, doc: Doc) -> int:
        """Place of the first pattern that the document's input file or host fits; behind all of them where none does."""
        fits = (i for i, p in enumerate(self.source_priority) if fnmatchcase(doc.source, p) or fnmatchcase(doc.host, p))
        return next(fits, len(self.source_priority))


def _column(name: str) -> str:
    return f"keep.{name}"

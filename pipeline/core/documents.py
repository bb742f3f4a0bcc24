"""Documents in memory: one at a time for rules, edits and plug-ins, and together, with their texts in one buffer, for kernels.

A document from a table reads each of its fields there when it is first asked for: most gates look at few of them, and kernels
read texts where they lie (`Documents.texts`), so that hardly a text ever becomes a Python string.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.text.batch import TextBatch, words_of

_FIRST_S, _END_S = -62_135_596_800, 253_402_300_800  # seconds of the years 1 to 9999, the last one excluded
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}


def known_times(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """A column of times in microseconds, null where one lies outside the years 1 to 9999, which Python cannot name; any other
    column as it is."""
    if not pa.types.is_timestamp(column.type):
        return column
    unit = column.type.unit
    if unit in _PER_SECOND:  # nanoseconds reach from 1677 to 2262
        number = column.cast(pa.int64())
        fits = pc.and_(
            pc.greater_equal(number, _FIRST_S * _PER_SECOND[unit]), pc.less(number, _END_S * _PER_SECOND[unit])
        )
        column = pc.if_else(fits, column, pa.scalar(None, column.type))
    return column.cast(pa.timestamp("us", column.type.tz), safe=False)


class DocTable:
    """A table of documents whose columns become Python values when one of them is asked for."""

    def __init__(self, table: pa.Table | pa.RecordBatch) -> None:
        self._table = table
        self._columns: dict[str, list[Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"_table": self._table, "_columns": {}}

    @cached_property
    def texts(self) -> TextBatch:
        return TextBatch.of_column(self._table.column("text"))

    def value(self, name: str, row: int) -> Any:
        """A field of the document in a row; None where the table lacks the column."""
        if name not in self._columns:
            there = name in self._table.column_names
            self._columns[name] = (
                known_times(self._table.column(name)).to_pylist() if there else [None] * len(self._table)
            )
        return self._columns[name][row]


Place = tuple[DocTable, int]  # a table and a row there


class Doc:
    """One document as a signal, an edit or a match sees it. Derived views are computed once and shared.

    Attributes:
        doc_id: 16 bytes. text: may be replaced; `with_text` gives a copy with another one.
        url, host, source: empty where unknown. rights: opt-out signals seen on the capture.
        language, language_score, n_links, capture_time, date, title, extract_confidence: None where unknown.
        truncated: why the capture is not whole; None where it is.
        signals: what was measured so far.
    """

    def __init__(self, doc_id: bytes, text: str, **facts: Any) -> None:
        """Args: facts: values of the other attributes. Raises: TypeError for one that a document does not have."""
        for name in facts:
            if name not in FACTS and name != "signals":
                raise TypeError(f"a document has no '{name}'")
        self.place: Place | None = None
        self._text: str | None = text
        self._own = True  # whether the text is another than the one at `place`
        self.signals: dict[str, float | str | None] = facts.pop("signals", {})
        self.__dict__.update(facts, doc_id=doc_id)

    @classmethod
    def at(cls, table: DocTable, row: int) -> Doc:
        """The document in a row of a table."""
        made = cls.__new__(cls)
        made.place, made._text, made._own = (table, row), None, False
        made.signals = {}
        return made

    def _fact(self, name: str) -> Any:
        return self.place[0].value(name, self.place[1]) if self.place is not None else None

    @cached_property
    def doc_id(self) -> bytes:
        value: bytes = self._fact("doc_id")
        return value

    @property
    def text(self) -> str:
        if self._text is None:
            assert self.place is not None
            self._text = self.place[0].texts.text(self.place[1])
        return self._text

    @text.setter
    def text(self, text: str) -> None:
        self._text, self._own = text, True
        for view in VIEWS:
            self.__dict__.pop(view, None)

    @cached_property
    def url(self) -> str:
        return self._fact("url") or ""

    @cached_property
    def host(self) -> str:
        return self._fact("host") or ""

    @cached_property
    def language(self) -> str | None:
        value: str | None = self._fact("language")
        return value

    @cached_property
    def language_score(self) -> float | None:
        value: float | None = self._fact("language_score")
        return value

    @cached_property
    def rights(self) -> Sequence[str]:
        return self._fact("rights") or ()

    @cached_property
    def n_links(self) -> int | None:
        value: int | None = self._fact("n_links")
        return value

    @cached_property
    def capture_time(self) -> datetime | None:
        value: datetime | None = self._fact("capture_time")
        return value

    @cached_property
    def date(self) -> str | None:
        value: str | None = self._fact("date")
        return value

    @cached_property
    def truncated(self) -> str | None:
        value: str | None = self._fact("truncated")
        return value

    @cached_property
    def title(self) -> str | None:
        value: str | None = self._fact("title")
        return value

    @cached_property
    def extract_confidence(self) -> float | None:
        value: float | None = self._fact("extract_confidence")
        return value

    @cached_property
    def source(self) -> str:
        return self._fact("source") or ""

    @cached_property
    def source_offset(self) -> int:
        return self._fact("source_offset") or 0

    @property
    def text_place(self) -> Place | None:
        """The table that has this document's text, and its row there; None where the text is another one."""
        return None if self._own else self.place

    @cached_property
    def words(self) -> list[str]:
        """Runs of letters, digits and marks, as `pipeline.text.batch.TextBatch.words` splits them."""
        return words_of(self.text)

    @cached_property
    def lower_words(self) -> list[str]:
        return [w.lower() for w in self.words]

    @cached_property
    def lines(self) -> list[str]:
        """Lines with something on them, stripped."""
        return [s for line in self.text.splitlines() if (s := line.strip())]

    @cached_property
    def paragraphs(self) -> list[str]:
        """Parts between blank lines, stripped, empty ones left out."""
        return [s for part in re.split(r"\n\s*\n", self.text) if (s := part.strip())]

    @cached_property
    def text_bytes(self) -> int:
        place = self.text_place
        return len(self.text.encode("utf-8", "replace")) if place is None else place[0].texts.size(place[1])

    def with_text(self, text: str) -> Doc:
        """The same capture with another text; views and the language are those of the new object."""
        facts = {name: getattr(self, name) for name in FACTS}
        return Doc(self.doc_id, text, **facts, signals=dict(self.signals))


FACTS = (
    "url", "host", "language", "language_score", "rights", "n_links", "capture_time", "date", "title",
    "extract_confidence", "source", "source_offset", "truncated",
)  # fmt: skip
VIEWS = ("words", "lower_words", "lines", "paragraphs", "text_bytes")  # what is derived from the text


class Documents(Sequence[Doc]):
    """Documents that are measured together: a sequence, with the texts in one buffer and what was split there."""

    def __init__(self, docs: Iterable[Doc] = ()) -> None:
        self._docs = list(docs)

    @overload
    def __getitem__(self, at: int) -> Doc: ...
    @overload
    def __getitem__(self, at: slice) -> Documents: ...
    def __getitem__(self, at: int | slice) -> Doc | Documents:
        return Documents(self._docs[at]) if isinstance(at, slice) else self._docs[at]

    def __len__(self) -> int:
        return len(self._docs)

    def __iter__(self) -> Iterator[Doc]:
        return iter(self._docs)

    @cached_property
    def texts(self) -> TextBatch:
        """The texts, in the buffer in which they lie already where they have one in common."""
        held = [d.text_place for d in self._docs]
        first = held[0] if held else None
        if first is None or any(at is None or at[0] is not first[0] for at in held):
            return TextBatch([d.text for d in self._docs])
        source = first[0].texts
        rows = np.array([at[1] for at in held if at is not None])
        if len(rows) == len(source.offsets) - 1 and (np.diff(rows) == 1).all():
            return source
        return source.take(rows)


def texts_of(docs: Sequence[Doc]) -> TextBatch:
    """The texts of documents as kernels see them; shared by all who ask for those of the same `Documents`."""
    return (docs if isinstance(docs, Documents) else Documents(docs)).texts


def docs_of(table: pa.Table | pa.RecordBatch) -> Documents:
    """The rows of a table with (some of) the DOCUMENT columns as documents."""
    held = DocTable(table)
    return Documents(Doc.at(held, row) for row in range(len(table)))

"""What a document is, on disk and in memory, and the schema of the sidecars that account for it.

Schemas are fixed here and never inferred from data, so that a first row without a title cannot fix a type.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from pipeline.text.batch import TextBatch

DOC_ID = pa.binary(16)

DOCUMENT = pa.schema(
    [
        pa.field("doc_id", DOC_ID, nullable=False),  # 16 bytes, from the identity of the capture
        ("url", pa.string()),
        ("host", pa.string()),
        pa.field("text", pa.string(), nullable=False),
        ("title", pa.string()),
        ("date", pa.string()),  # publication date, ISO 8601, as the page states it
        ("n_links", pa.int32()),
        ("capture_time", pa.timestamp("us", tz="UTC")),
        ("source", pa.string()),  # input file, relative to the input root
        ("source_offset", pa.int64()),  # byte offset of the WARC record, or row number in JSONL and Parquet
        ("http_status", pa.int16()),
        ("content_type", pa.string()),
        ("charset_declared", pa.string()),
        ("charset", pa.string()),  # the charset that the text was decoded with
        ("extractor", pa.string()),  # the engine; "trafilatura after fast: REASON" where it had to step in
        ("extract_confidence", pa.float32()),  # expected F1 of the choice of blocks, where the engine gives one
        (
            "source_ranges",
            pa.list_(pa.int64()),
        ),  # start, end, start, end...: bytes of the page, in UTF-8, that were taken
        ("author", pa.string()),
        ("language_declared", pa.string()),  # lang attribute, a BCP 47 tag
        ("canonical_url", pa.string()),
        ("licence", pa.string()),  # address of a licence that the page links to or states in JSON-LD
        pa.field("rights", pa.list_(pa.string())),  # opt-out signals seen on the capture, for example "noai"
        ("language", pa.string()),
        ("language_score", pa.float32()),
        ("metadata", pa.string()),  # further columns of JSONL and Parquet input, as one JSON object
    ]
)

VALUE = pa.struct(
    [
        ("reason", pa.string()),
        ("signal", pa.string()),
        ("value", pa.float64()),
        ("text_value", pa.string()),  # for a signal that is a name, not a number (language)
        ("min", pa.float64()),
        ("max", pa.float64()),
    ]
)

DECISION = pa.schema(
    [
        pa.field("doc_id", DOC_ID, nullable=False),
        ("url", pa.string()),
        ("host", pa.string()),
        pa.field("gate", pa.string(), nullable=False),
        pa.field("reasons", pa.list_(pa.string()), nullable=False),  # every failing rule of that gate
        ("values", pa.list_(VALUE)),
        ("text_bytes", pa.int64()),  # UTF-8 bytes of the text that was dropped; 0 before there is a text
        ("sample", pa.string()),  # the first characters of what was dropped, for the report
        ("kept_doc_id", DOC_ID),  # for a copy: the document kept in its place
        ("similarity", pa.float64()),
        ("note", pa.string()),
        ("source", pa.string()),
        ("source_offset", pa.int64()),
    ]
)

EDIT = pa.schema(
    [
        pa.field("doc_id", DOC_ID, nullable=False),
        pa.field("gate", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),  # characters, in the text before this gate's edits
        pa.field("end", pa.int64(), nullable=False),
        pa.field("replacement", pa.string(), nullable=False),  # never the removed text
    ]
)

SAMPLE_CHARS = 400


def doc_id_of_record(record_id: str) -> bytes:
    """16 bytes from a WARC-Record-ID: the bytes of its UUID, else a BLAKE2b-128 hash of the header value."""
    match = re.fullmatch(r"<?urn:uuid:([0-9a-fA-F-]{36})>?", record_id.strip())
    if match:
        return uuid.UUID(match[1]).bytes
    return hashlib.blake2b(record_id.strip().encode(), digest_size=16).digest()


def doc_id_of_row(source: str, row: int) -> bytes:
    """16 bytes from a source file's name (relative to its input root) and a row number or byte offset."""
    return hashlib.blake2b(f"{source}\0{row}".encode(), digest_size=16).digest()


def _none() -> Any:
    return None


@dataclass
class Doc:
    """One document as a signal, an edit or a match sees it. Derived views are computed once and shared.

    Defaults come from factories, so that the class has no attributes of these names and a field that an instance lacks
    reaches `__getattr__`.
    """

    doc_id: bytes
    text: str
    url: str = field(default_factory=str)
    host: str = field(default_factory=str)
    language: str | None = field(default_factory=_none)
    language_score: float | None = field(default_factory=_none)
    rights: Sequence[str] = field(default_factory=tuple)
    n_links: int | None = field(default_factory=_none)
    capture_time: datetime | None = field(default_factory=_none)
    date: str | None = field(default_factory=_none)
    title: str | None = field(default_factory=_none)
    extract_confidence: float | None = field(default_factory=_none)
    source: str = field(default_factory=str)
    source_offset: int = field(default_factory=int)
    signals: dict[str, float | str | None] = field(default_factory=dict)
    # its table, and its row there
    backing: tuple[Backing, int] | None = field(default=None, repr=False, compare=False)

    def __getattr__(self, name: str) -> Any:
        """A field of a document from `docs_of`, made when it is first asked for."""
        backing = self.__dict__.get("backing")
        if backing is None or name not in _DOC_FIELDS:
            raise AttributeError(f"'Doc' object has no attribute '{name}'", name=name, obj=self)
        value = self.__dict__[name] = {} if name == "signals" else backing[0].value(name, backing[1])
        if name == "text":
            self.__dict__["_read"] = value
        return value

    @property
    def text_place(self) -> tuple[Backing, int] | None:
        """The table that has this document's text, and its row there; None where the text is another (a plug-in's copy)."""
        fields = self.__dict__
        unchanged = "text" not in fields or fields["text"] is fields.get("_read")
        return fields.get("backing") if unchanged else None

    @cached_property
    def words(self) -> list[str]:
        """Runs of letters, digits and marks, as `pipeline.text.batch.TextBatch.words` splits them."""
        from pipeline.text.batch import words_of

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
        return len(self.text.encode()) if place is None else place[0].texts.size(place[1])

    def with_text(self, text: str) -> Doc:
        """The same capture with another text; views and the language are those of the new object."""
        return Doc(
            **{k: getattr(self, k) for k in _DOC_FIELDS if k not in ("text", "signals", "backing")},
            text=text,
            signals=dict(self.signals),
        )


_DOC_FIELDS = tuple(Doc.__dataclass_fields__)


class Backing:
    """A table of documents whose columns become Python values when one of them is asked for."""

    def __init__(self, table: pa.Table | pa.RecordBatch) -> None:
        self._table = table
        self._columns: dict[str, list[Any]] = {}

    @cached_property
    def texts(self) -> TextBatch:
        from pipeline.text.batch import TextBatch

        return TextBatch.of_column(self._table.column("text"))

    def value(self, name: str, row: int) -> Any:
        """A field of the document in a row; what the table lacks, or has as null, is as a new Doc has it."""
        if name == "text":
            return self.texts.text(row)
        if name not in self._columns:
            empty = _EMPTY.get(name)
            there = name in self._table.column_names
            values = self._table.column(name).to_pylist() if there else [None] * len(self._table)
            self._columns[name] = values if empty is None else [empty if v is None else v for v in values]
        return self._columns[name][row]


_EMPTY: dict[str, Any] = {"url": "", "host": "", "rights": (), "source": "", "source_offset": 0}


def docs_of(table: pa.Table | pa.RecordBatch) -> list[Doc]:
    """The rows of a table with (some of) the DOCUMENT columns as Doc objects.

    Values stay in the table until somebody asks for them; texts are read there by kernels (`TextBatch.of`).
    """
    backing = Backing(table)
    docs = []
    for row in range(len(table)):
        doc = Doc.__new__(Doc)
        doc.backing = (backing, row)
        docs.append(doc)
    return docs


def decision(
    doc: Doc,
    gate: str,
    reasons: Sequence[str],
    *,
    values: Sequence[dict[str, Any]] = (),
    kept: bytes | None = None,
    similarity: float | None = None,
    note: str | None = None,
) -> dict[str, Any]:
    """One row of the DECISION schema."""
    return {
        "doc_id": doc.doc_id,
        "url": doc.url,
        "host": doc.host,
        "gate": gate,
        "reasons": list(reasons),
        "values": [{"text_value": None, **v} for v in values],
        "text_bytes": doc.text_bytes,
        "sample": doc.text[:SAMPLE_CHARS],
        "kept_doc_id": kept,
        "similarity": similarity,
        "note": note,
        "source": doc.source,
        "source_offset": doc.source_offset,
    }

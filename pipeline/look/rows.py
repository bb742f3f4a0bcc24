"""Rows of a run's tables as objects: the fetch log, what is known of a document, decisions and edits.

Their fields are those of `crawler`'s fetch log and of DOCUMENT, DECISION and EDIT in `pipeline.core.schema`, and `shard`, the
number of the file that a row lies in. Identities of documents are written as 32 hex digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, TypeVar

from pipeline.core.answers import ABSENT

T = TypeVar("T")


@dataclass(frozen=True)
class Fetch:
    """The fate of a URL in the crawl.

    Attributes:
        outcome: `fetched`, or why it was not. note: what else there is to say about that.
        status: HTTP status of the answer. depth: links from a seed. referrer: the page with the link.
        warc_file, warc_offset: where the capture lies, the offset in bytes. bytes: length of the body.
    """

    url: str
    host: str | None
    outcome: str
    note: str | None
    status: int | None
    depth: int | None
    referrer: str | None
    time: datetime | None
    warc_file: str | None
    warc_offset: int | None
    bytes: int | None
    shard: int


@dataclass(frozen=True)
class Facts:
    """What extraction knows of a document beside its text; the fields are explained in `pipeline.core.schema`."""

    url: str | None
    host: str | None
    title: str | None
    date: str | None
    n_links: int | None
    capture_time: datetime | None
    source: str | None
    source_offset: int | None
    http_status: int | None
    truncated: str | None
    content_type: str | None
    charset_declared: str | None
    charset: str | None
    extractor: str | None
    extract_confidence: float | None
    source_ranges: tuple[int, ...] | None
    author: str | None
    language_declared: str | None
    canonical_url: str | None
    licence: str | None
    rights: tuple[str, ...] | None
    metadata: str | None
    shard: int


@dataclass(frozen=True)
class FailedRule:
    """A value that a rule did not let pass, and its bounds, which are inclusive. `text_value` is that of a signal that is
    a name."""

    reason: str
    signal: str
    value: float | None
    text_value: str | None
    min: float | None
    max: float | None


@dataclass(frozen=True)
class Decision:
    """A document that was dropped.

    Attributes:
        reasons: every failing rule of the gate. values: what those rules saw.
        text_bytes: UTF-8 bytes of the text that was dropped. sample: its first characters.
        kept_doc_id, similarity: of a copy, the document kept in its place. kept_url: its address, if that is known.
    """

    doc_id: str
    url: str | None
    host: str | None
    gate: str
    reasons: tuple[str, ...]
    values: tuple[FailedRule, ...] | None
    text_bytes: int | None
    sample: str | None
    kept_doc_id: str | None
    similarity: float | None
    note: str | None
    source: str | None
    source_offset: int | None
    shard: int | None  # None where the rows of all shards were read as one table
    kept_url: str | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True)
class Edit:
    """A part of a text that was replaced: characters [start, end) of the text before the gate's edits."""

    doc_id: str
    gate: str
    kind: str
    start: int
    end: int
    replacement: str
    shard: int


def of_row(kind: type[T], row: Mapping[str, Any]) -> T:
    """A row of a table as one of these; columns that it has no field for are left out, those that the table lacks are None.

    Args:
        row: values as pyarrow gives them: the border between files and typed answers.
    """
    return kind(**{f.name: _value(row.get(f.name)) for f in fields(kind)})  # type: ignore[arg-type]


def decision_of(row: Mapping[str, Any], kept_url: str | None = None) -> Decision:
    """A row of `decisions/`."""
    values = None if row["values"] is None else tuple(of_row(FailedRule, v) for v in row["values"])
    return of_row(Decision, {**row, "values": values, "kept_url": kept_url})


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return tuple(value) if isinstance(value, list) else value

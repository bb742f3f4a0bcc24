"""What a document is on disk, and the schema of the sidecars that account for it.

Schemas are fixed here and never inferred from data, so that a first row without a title cannot fix a type.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from pipeline.core.documents import Doc as Doc  # where plug-ins look for it

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
        ("truncated", pa.string()),  # why the capture is not whole: WARC-Truncated, or "encoding"
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


_UUID = re.compile(r"<?urn:uuid:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})>?", re.I)


def doc_id_of_record(record_id: str) -> bytes:
    """16 bytes from a WARC-Record-ID: the bytes of its UUID, else a BLAKE2b-128 hash of the header value."""
    match = _UUID.fullmatch(record_id.strip())
    if match:
        return uuid.UUID(match[1]).bytes
    return hashlib.blake2b(record_id.strip().encode("utf-8", "surrogatepass"), digest_size=16).digest()


def doc_id_of_row(source: str, row: int) -> bytes:
    """16 bytes from a source file's name (relative to its input root) and a row number or byte offset."""
    return hashlib.blake2b(f"{source}\0{row}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


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

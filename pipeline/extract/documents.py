"""Captures and rows to documents, each with the reason if it goes no further. One row of the DOCUMENT schema for every record."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from pipeline.core.dataset import Source
from pipeline.core.schema import DOCUMENT, doc_id_of_record, doc_id_of_row
from pipeline.extract.config import ExtractConfig
from pipeline.extract.fast.engine import FastExtractor, FastPage
from pipeline.extract.rights import meta_rights, opt_out_tokens
from pipeline.extract.worker import ExtractWorker
from pipeline.ingest.rows import jsonl_rows, parquet_rows
from pipeline.ingest.warc import Capture, captures
from pipeline.text.charset import decode, is_binary

HTML_TYPES = ("text/html", "application/xhtml+xml")
Row = dict[str, Any]  # columns of DOCUMENT by name, as pyarrow takes them
_LINK = re.compile(r"<a\b[^>]*\bhref\s*=", re.I)
_METADATA = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=str)
_NOTHING: Row = dict.fromkeys(DOCUMENT.names)


@dataclass(frozen=True)
class Dropped:
    """Why a document goes no further: the gate, the reason, and more about it for people."""

    gate: str
    reason: str
    note: str | None = None


@dataclass(frozen=True)
class Engines:
    """What turns HTML into text: `fast` where it is asked for, `worker` for what that leaves and where it is not."""

    worker: ExtractWorker
    fast: FastExtractor | None


def read_documents(source: Source, config: ExtractConfig, engines: Engines) -> Iterator[tuple[Row, Dropped | None]]:
    """Every record of a source, in its order: the document as far as it came, and why it was dropped, if it was."""
    if source.kind == "warc":
        for capture in captures(source.path, source.start, source.end, max_bytes=config.max_page_bytes):
            yield _from_capture(capture, source, engines)
    elif source.kind == "jsonl":
        for position, row in jsonl_rows(source, max_bytes=config.max_page_bytes):
            yield _from_row(row, position, source, config)
    else:
        for position, item in parquet_rows(source):
            yield _from_row(item, position, source, config)


def _blank(source: Source, offset: int, url: str = "") -> Row:
    row = _NOTHING.copy()
    row.update(
        doc_id=doc_id_of_row(source.name, offset),
        text="",
        source=source.name,
        source_offset=offset,
        rights=[],
    )
    _set_url(row, url)
    return row


def _set_url(row: Row, url: str) -> None:
    row["url"] = url or None
    if not url:
        row["host"] = ""
        return
    try:
        row["host"] = urlsplit(url).hostname or ""
    except ValueError:
        row["host"] = ""


def _from_capture(capture: Capture, source: Source, engines: Engines) -> tuple[Row, Dropped | None]:
    row = _blank(source, capture.offset, capture.url)
    if capture.record_id:
        row["doc_id"] = doc_id_of_record(capture.record_id)
    media = capture.content_type.split(";")[0].strip().lower()
    row.update(capture_time=capture.time, http_status=capture.status, content_type=media or None)
    dropped = _without_text(capture, media)
    if dropped is not None:
        return row, dropped
    decoded = decode(capture.body, capture.content_type)
    row.update(charset=decoded.charset, charset_declared=decoded.declared)
    header_rights = [_header(capture, "x-robots-tag")] if _header(capture, "x-robots-tag") else []
    if capture.conversion or media == "text/plain":
        row.update(text=decoded.text.strip(), extractor="plain", rights=_rights(header_rights, ()))
        return row, None if row["text"] else Dropped("extract", "empty_text")
    name = "trafilatura"
    if engines.fast is not None:
        page = engines.fast.extract(decoded.utf8, capture.url)
        if page.limit is None:
            row.update(_fast_row(page), rights=_rights(header_rights, page.metadata.robots))
            return row, None if row["text"] else Dropped("extract", "empty_text")
        name = f"trafilatura after fast: {page.limit}"
    outcome = engines.worker.extract(decoded.text, capture.url)
    row.update(
        text=_clean(outcome.text),
        title=outcome.title,
        date=outcome.date,
        n_links=len(_LINK.findall(decoded.text)),
        extractor=name,
        rights=_rights(header_rights, meta_rights(decoded.text)),
    )
    if outcome.failure:
        return row, Dropped("extract", outcome.failure, outcome.note)
    return row, None if row["text"] else Dropped("extract", "empty_text")


def _without_text(capture: Capture, media: str) -> Dropped | None:
    """Why a capture holds no text to look for; None if it may."""
    if capture.broken:
        return Dropped("ingest", "broken_record", capture.broken)
    if capture.too_large:
        return Dropped("ingest", "page_too_large", f"{capture.too_large:,} bytes")
    if capture.status is not None and 300 <= capture.status < 400:
        return Dropped("ingest", "http_redirect", f"HTTP {capture.status} to {_header(capture, 'location')}")
    if capture.status is not None and capture.status != 200:
        return Dropped("ingest", "http_error", f"HTTP {capture.status}")
    if urlsplit(capture.url).path == "/robots.txt":
        return Dropped("ingest", "robots_file")
    if not capture.conversion and not capture.body.strip():
        return Dropped("ingest", "empty_body")
    if not capture.conversion and media not in (*HTML_TYPES, "text/plain", ""):
        return Dropped("ingest", "not_text", media)
    if is_binary(capture.body):
        return Dropped("ingest", "not_text", "binary content")
    return None


def _fast_row(page: FastPage) -> Row:
    facts = page.metadata
    return {
        "text": _clean(page.text),
        "title": facts.title,
        "date": facts.date,
        "author": facts.author,
        "language_declared": facts.language,
        "canonical_url": facts.canonical_url,
        "licence": facts.licence,
        "n_links": page.n_links,
        "extractor": "fast",
        "extract_confidence": page.confidence,
        "source_ranges": page.ranges.ravel().tolist(),
    }


def _header(capture: Capture, name: str) -> str:
    return ", ".join(v for k, v in capture.headers if k.lower() == name)


def _rights(headers: Sequence[str], meta: Sequence[str]) -> list[str]:
    return sorted({t for directives in (*headers, *meta) for t in opt_out_tokens(directives)})


def _clean(text: str) -> str:
    """Text that can be stored: lone surrogates have no UTF-8 form, and NUL has no place in a text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", "").strip() if "\0" in text else text.strip()


def _from_row(
    item: dict[str, Any] | str, position: int, source: Source, config: ExtractConfig
) -> tuple[Row, Dropped | None]:
    row = _blank(source, position)
    if isinstance(item, str):
        return row, Dropped("ingest", "broken_record", item)
    url = item.get(config.url_column)
    _set_url(row, str(url) if url else "")
    if config.id_column and item.get(config.id_column) is not None:
        row["doc_id"] = doc_id_of_record(str(item[config.id_column]))
    text = item.get(config.text_column)
    if not isinstance(text, str):
        return row, Dropped("ingest", "no_text", f"no text in column '{config.text_column}'")
    row["text"] = _clean(text)
    row["extractor"] = "given"
    row["title"] = item["title"] if isinstance(item.get("title"), str) else None
    row["date"] = str(item["date"]) if item.get("date") else None
    row["capture_time"] = _as_time(item.get("date"))
    used = {config.text_column, config.url_column, "title", "date"}
    rest = {k: v for k, v in item.items() if k not in used}
    row["metadata"] = _METADATA.encode(rest) if rest else None
    if 4 * len(row["text"]) > config.max_page_bytes and len(row["text"].encode()) > config.max_page_bytes:
        return row, Dropped("ingest", "page_too_large", f"{len(row['text'].encode()):,} bytes")
    return row, None if row["text"] else Dropped("ingest", "empty_text")


def _as_time(value: Any) -> datetime | None:
    if not value:
        return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    try:
        made = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return made if made.tzinfo else made.replace(tzinfo=UTC)

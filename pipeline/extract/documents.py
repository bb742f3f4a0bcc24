"""Captures and rows to documents, each with the reason if it goes no further. One row of the DOCUMENT schema for every record."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.core.dataset import Source
from pipeline.core.schema import DOCUMENT, doc_id_of_record, doc_id_of_row
from pipeline.extract.config import ExtractConfig
from pipeline.extract.fast.engine import FastExtractor, FastPage
from pipeline.extract.rights import meta_rights, opt_out_tokens
from pipeline.extract.worker import ExtractWorker
from pipeline.ingest.rows import Broken, rows_of
from pipeline.ingest.warc import Capture, Original, Tally, captures, parse_time
from pipeline.text.charset import decode, is_binary
from pipeline.text.urls import host_of

HTML_TYPES = ("text/html", "application/xhtml+xml")
Row = dict[str, Any]  # columns of DOCUMENT by name, as pyarrow takes them
_LINK = re.compile(r"<a\b[^<>]*?\bhref\s*=", re.I)
_ROBOTS = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#]*/robots\.txt(?:[?#]|$)", re.I)
MAX_STATUS = 999
MAX_NOTE_CHARS = 300
_NOTHING: Row = dict.fromkeys(DOCUMENT.names)


@dataclass(frozen=True)
class Dropped:
    """Why a document goes no further: the gate, the reason, and more about it for people.

    Attributes:
        damage: whether a place in the file is meant that cannot be read, and not just this record.
        original: doc_id of the capture that has the content of a revisit.
    """

    gate: str
    reason: str
    note: str | None = None
    damage: bool = False
    original: bytes | None = None


@dataclass(frozen=True)
class Engines:
    """What turns HTML into text: `fast` where it is asked for, `worker` for what that leaves and where it is not."""

    worker: ExtractWorker
    fast: FastExtractor | None


@dataclass(slots=True)  # one for every record: frozen costs twice as much
class Outcome:
    """What became of a record: the document as far as it came, and why it was dropped, if it was.

    Attributes:
        capture: of a WARC file, the record itself.
    """

    row: Row
    dropped: Dropped | None
    capture: Capture | None = None


def read_documents(source: Source, config: ExtractConfig, engines: Engines, tally: Tally) -> Iterator[Outcome]:
    """The outcome of every record of a source, in its order.

    One bad record is one outcome, whatever goes wrong with it. `tally` gets the books of WARC files, and the bytes lost in others.

    Raises: OSError if the file cannot be read at all.
    """
    if source.kind == "warc":
        for capture in captures(source.path, source.start, source.end, max_bytes=config.max_page_bytes, tally=tally):
            try:
                yield Outcome(*_from_capture(capture, source, engines), capture)
            except Exception as error:  # noqa: BLE001 - whatever one page does to us, it is the page's outcome
                yield Outcome(_capture_row(capture, source), _failed(error), capture)
        return
    for position, item in rows_of(source, max_bytes=config.max_page_bytes):
        if isinstance(item, Broken):
            tally.gaps += item.damage
            tally.gap_bytes += item.lost
            yield Outcome(_blank(source, position), Dropped("ingest", "broken_record", item.problem, item.damage))
            continue
        try:
            yield Outcome(*_from_row(item, position, source, config))
        except Exception as error:  # noqa: BLE001 - as above
            yield Outcome(_blank(source, position), _failed(error))


def _failed(error: Exception) -> Dropped:
    return Dropped("extract", "extract_error", f"{type(error).__name__}: {error}"[:MAX_NOTE_CHARS])


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
    row["url"], row["host"] = url or None, host_of(url)


def _capture_row(capture: Capture, source: Source) -> Row:
    """What is known of a capture before its body is looked at."""
    row = _blank(source, capture.offset, capture.url)
    if capture.record_id:
        row["doc_id"] = doc_id_of_record(capture.record_id)
    elif capture.inside:  # several records share the offset
        row["doc_id"] = doc_id_of_row(f"{source.name}\0{capture.inside}", capture.offset)
    status = capture.status if capture.status is not None and capture.status <= MAX_STATUS else None
    row.update(
        capture_time=capture.time,
        http_status=status,
        content_type=_media(capture) or None,
        truncated=capture.truncated or None,
    )
    return row


def _media(capture: Capture) -> str:
    return capture.content_type.split(";")[0].strip().lower()


def _from_capture(capture: Capture, source: Source, engines: Engines) -> tuple[Row, Dropped | None]:
    row, media = _capture_row(capture, source), _media(capture)
    dropped = _without_text(capture, media)
    if dropped is not None:
        return row, dropped
    decoded = decode(capture.body, capture.content_type)
    row.update(charset=decoded.charset, charset_declared=decoded.declared)
    header_rights = [_header(capture, "x-robots-tag")] if _header(capture, "x-robots-tag") else []
    if media == "text/plain" or (capture.conversion and not media):
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
        return Dropped("ingest", "broken_record", capture.broken, damage=bool(capture.lost))
    if capture.original is not None:
        return _revisit(capture.original)
    if capture.too_large:
        return Dropped("ingest", "page_too_large", f"{capture.too_large:,} bytes")
    if capture.status is not None and 300 <= capture.status < 400:
        return Dropped("ingest", "http_redirect", f"HTTP {capture.status} to {_header(capture, 'location')}")
    if capture.status is not None and capture.status != 200:
        return Dropped("ingest", "http_error", f"HTTP {capture.status}")
    if not capture.conversion and _ROBOTS.match(capture.url):
        return Dropped("ingest", "robots_file")
    if not capture.conversion and not capture.body.strip():
        return Dropped("ingest", "empty_body")
    if media not in (*HTML_TYPES, "text/plain", ""):
        return Dropped("ingest", "not_text", media)
    if is_binary(capture.body):
        return Dropped("ingest", "not_text", "binary content")
    return None


def _revisit(original: Original) -> Dropped:
    """A revisit has no content of its own. Which capture has it is looked up when all captures are known."""
    what = [original.record_id, original.url, original.time.isoformat() if original.time else ""]
    found = doc_id_of_record(original.record_id) if original.record_id else None
    return Dropped(
        "ingest",
        "revisit",
        f"the content is that of {' '.join(filter(None, what)) or 'a capture it does not name'}",
        original=found,
    )


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


def _from_row(item: Row, position: int, source: Source, config: ExtractConfig) -> tuple[Row, Dropped | None]:
    row = _blank(source, position)
    url = item.get(config.url_column)
    _set_url(row, str(url) if url else "")
    if config.id_column and item.get(config.id_column) is not None:
        row["doc_id"] = doc_id_of_record(str(item[config.id_column]))
    text = item.get(config.text_column)
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            return row, Dropped("ingest", "no_text", f"column '{config.text_column}' is not UTF-8 (byte {error.start})")
    if not isinstance(text, str):
        return row, Dropped("ingest", "no_text", f"no text in column '{config.text_column}'")
    row["text"] = _clean(text)
    row["extractor"] = "given"
    row["title"] = item["title"] if isinstance(item.get("title"), str) else None
    row["date"] = str(item["date"]) if item.get("date") else None
    row["capture_time"] = _as_time(item.get("date"))
    used = {config.text_column, config.url_column, "title", "date"}
    rest = {k: v for k, v in item.items() if k not in used}
    row["metadata"] = _encoded(rest) if rest else None
    if 4 * len(row["text"]) > config.max_page_bytes and len(row["text"].encode()) > config.max_page_bytes:
        return row, Dropped("ingest", "page_too_large", f"{len(row['text'].encode()):,} bytes")
    return row, None if row["text"] else Dropped("ingest", "empty_text")


def _encoded(values: Row) -> str:
    """Further columns as one JSON object: bytes as text where they are UTF-8, else in hex; numbers that JSON lacks as null."""
    try:
        return _METADATA.encode(values)
    except (ValueError, TypeError):  # NaN and infinities; names that are no text
        return _METADATA.encode(_plain(values))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _as_text(value: object) -> str:
    """A value that JSON has no form for."""
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.hex()


_METADATA = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False, default=_as_text)


def _as_time(value: Any) -> datetime | None:
    """A time in UTC, None for what is none or lies beyond the years 1 to 9999 there."""
    if isinstance(value, datetime):
        try:
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
        except OverflowError:
            return None
    return parse_time(str(value)) if value else None

"""The extract step: captures and rows in, documents and recorded decisions out."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from pipeline.core.dataset import Dataset, Source, is_dataset
from pipeline.core.errors import UsageError
from pipeline.core.executor import Executor
from pipeline.core.files import LEVEL, write_parquet
from pipeline.core.schema import DECISION, DOCUMENT, Doc, decision, doc_id_of_record, doc_id_of_row
from pipeline.core.step import Plan, Progress, ShardResult, Task, Workspace, claim, run_step
from pipeline.extract.charset import decode, is_binary
from pipeline.extract.fast.engine import VERSION as FAST_VERSION
from pipeline.extract.fast.engine import FastExtractor, FastPage, compile_kernels
from pipeline.extract.fast.model import BUNDLED, identity, load_cached
from pipeline.extract.rights import meta_rights, opt_out_tokens
from pipeline.extract.worker import ExtractWorker
from pipeline.ingest.plan import find_inputs, plan_shards
from pipeline.ingest.rows import jsonl_rows, parquet_rows
from pipeline.ingest.warc import Capture, captures
from pipeline.text.batch import TextBatch

VERSION = 2
HTML_TYPES = ("text/html", "application/xhtml+xml")
EXTRACTORS = ("fast", "trafilatura")
_LINK = re.compile(r"<a\b[^>]*\bhref\s*=", re.I)


@dataclass(frozen=True)
class ExtractConfig:
    """`[extract]`: what is read, and how pages become text.

    Attributes:
        inputs: files, folders or glob patterns, instead of a crawl; relative to the recipe.
        extractor: engine for HTML: "fast" (compiled, with a learned model; what breaks its limits goes to trafilatura)
            or "trafilatura".
        model: file of another model for "fast", from `winnow extractor train`; relative to the recipe.
        max_page_bytes: a longer body (after decompression) or line is dropped as page_too_large.
        max_cpu_s: CPU seconds that trafilatura may take for one page.
        max_memory_mb: address space of its process.
        shard_bytes: inputs are split and joined to about this size on disk.
        text_column: column of JSONL and Parquet rows that holds the text.
        url_column: column with the URL, where rows have one.
        id_column: column that names a row for good; without it a document is known by file and row number.
    """

    inputs: list[str] = field(default_factory=list)
    extractor: str = "fast"
    model: str = ""
    max_page_bytes: int = 10_000_000
    max_cpu_s: float = 20.0
    max_memory_mb: int = 4_096
    shard_bytes: int = 16_000_000
    text_column: str = "text"
    url_column: str = "url"
    id_column: str = ""


def extract(
    config: ExtractConfig,
    space: Workspace,
    executor: Executor,
    *,
    inputs: Sequence[str | Path],
    base: Path = Path(),
    upstream: dict[str, str] | None = None,
    level: int = LEVEL,
    progress: Progress | None = None,
) -> Dataset:
    """Turn input files into a dataset of documents.

    Args:
        inputs: files, folders or globs; relative ones start at `base`.
        upstream: keys of the steps that made the inputs.
        level: of zstd; a lower one for what is only read once.

    Raises: UsageError for inputs that cannot be read; StepError if a shard fails.
    """
    if config.extractor not in EXTRACTORS:
        raise UsageError(f"extract.extractor: no extractor '{config.extractor}'. winnow has: {', '.join(EXTRACTORS)}.")
    params = {k: v for k, v in vars(config).items() if k not in ("inputs", "model")}
    if not upstream:
        params["inputs"] = sorted(config.inputs)
    config = replace(config, model=str(base / config.model) if config.model else str(BUNDLED))
    plan = Plan("extract", {**params, "engine": _engine(config)}, version=VERSION, upstream=upstream or {})
    folder = space.dir(plan)
    files = find_inputs(inputs, base)
    claim(plan, folder)
    shards, left_out = plan_shards(files, folder, config.shard_bytes)
    if config.extractor == "fast" and not is_dataset(folder):
        compile_kernels()
    tasks = [Task("extract", i, tuple(parts), folder, (config, level)) for i, parts in enumerate(shards)]
    extra = {"left_out": left_out, "kind": "documents"}
    return run_step(plan, folder, tasks, extract_shard, executor, progress=progress, extra=extra)


def _engine(config: ExtractConfig) -> dict[str, str]:
    """Versions of whatever decides the text."""
    engine = {"trafilatura": importlib.metadata.version("trafilatura")}  # the fallback of "fast", too
    if config.extractor == "fast":
        load_cached(config.model)  # a broken model file should not be found by the workers
        engine |= {"fast": str(FAST_VERSION), "model": identity(Path(config.model))}
    return engine


def extract_shard(task: Task) -> ShardResult:
    """Documents and decisions of one shard, in input order."""
    config: ExtractConfig
    config, level = task.args
    documents: list[dict[str, Any]] = []
    decisions: list[dict[str, Any]] = []
    errors: list[str] = []
    fast = FastExtractor(Path(config.model)) if config.extractor == "fast" else None
    with ExtractWorker(
        "trafilatura", max_cpu_s=config.max_cpu_s, max_memory_bytes=config.max_memory_mb << 20
    ) as worker:
        for source in task.inputs:
            for row, dropped in _read(source, config, worker, fast):
                if dropped is None:
                    documents.append(row)
                else:
                    decisions.append(_decide(row, *dropped))
                    if dropped[1] == "broken_record":
                        errors.append(f"{source.name} at {row['source_offset']}: {dropped[2]}")
    table = pa.table([pa.array([d[f.name] for d in documents], f.type) for f in DOCUMENT], schema=DOCUMENT)
    data, sidecar = task.file("data"), task.file("decisions")
    write_parquet(data, table, row_group_rows=1_000, level=level)
    write_parquet(sidecar, pa.Table.from_pylist(decisions, DECISION))
    dropped_by_gate: dict[str, int] = {}
    for d in decisions:
        dropped_by_gate[d["gate"]] = dropped_by_gate.get(d["gate"], 0) + 1
    counts = {
        "rows_in": len(documents) + len(decisions),
        "rows_out": len(documents),
        "dropped": dropped_by_gate,
        "text_bytes": TextBatch.of_column(table["text"]).data.nbytes,
    }
    return ShardResult({data: len(documents), sidecar: len(decisions)}, counts, errors)


Dropped = tuple[str, str, str | None]  # gate, reason, note


def _read(
    source: Source, config: ExtractConfig, worker: ExtractWorker, fast: FastExtractor | None
) -> Iterator[tuple[dict[str, Any], Dropped | None]]:
    if source.kind == "warc":
        for capture in captures(source.path, source.start, source.end, max_bytes=config.max_page_bytes):
            yield _from_capture(capture, source, worker, fast)
    elif source.kind == "jsonl":
        for position, row in jsonl_rows(source, max_bytes=config.max_page_bytes):
            yield _from_row(row, position, source, config)
    else:
        for position, item in parquet_rows(source):
            yield _from_row(item, position, source, config)


_NOTHING: dict[str, Any] = dict.fromkeys(DOCUMENT.names)


def _blank(source: Source, offset: int, url: str = "") -> dict[str, Any]:
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


def _set_url(row: dict[str, Any], url: str) -> None:
    row["url"] = url or None
    if not url:
        row["host"] = ""
        return
    try:
        row["host"] = urlsplit(url).hostname or ""
    except ValueError:
        row["host"] = ""


def _from_capture(
    capture: Capture, source: Source, worker: ExtractWorker, fast: FastExtractor | None
) -> tuple[dict[str, Any], Dropped | None]:
    row = _blank(source, capture.offset, capture.url)
    if capture.record_id:
        row["doc_id"] = doc_id_of_record(capture.record_id)
    media = capture.content_type.split(";")[0].strip().lower()
    row.update(capture_time=capture.time, http_status=capture.status, content_type=media or None)
    if capture.broken:
        return row, ("ingest", "broken_record", capture.broken)
    if capture.too_large:
        return row, ("ingest", "page_too_large", f"{capture.too_large:,} bytes")
    if capture.status is not None and 300 <= capture.status < 400:
        return row, ("ingest", "http_redirect", f"HTTP {capture.status} to {_header(capture, 'location')}")
    if capture.status is not None and capture.status != 200:
        return row, ("ingest", "http_error", f"HTTP {capture.status}")
    if urlsplit(capture.url).path == "/robots.txt":
        return row, ("ingest", "robots_file", None)
    if not capture.conversion and not capture.body.strip():
        return row, ("ingest", "empty_body", None)
    if not capture.conversion and media not in (*HTML_TYPES, "text/plain", ""):
        return row, ("ingest", "not_text", media)
    if is_binary(capture.body):
        return row, ("ingest", "not_text", "binary content")
    decoded = decode(capture.body, capture.content_type)
    row.update(charset=decoded.charset, charset_declared=decoded.declared)
    header_rights = [_header(capture, "x-robots-tag")] if _header(capture, "x-robots-tag") else []
    if capture.conversion or media == "text/plain":
        row.update(text=decoded.text.strip(), extractor="plain", rights=_rights(header_rights, ()))
        return row, None if row["text"] else ("extract", "empty_text", None)
    name = "trafilatura"
    if fast is not None:
        page = fast.extract(decoded.utf8, capture.url)
        if page.limit is None:
            row.update(_fast_row(page), rights=_rights(header_rights, page.metadata.robots))
            return row, None if row["text"] else ("extract", "empty_text", None)
        name = f"trafilatura after fast: {page.limit}"
    outcome = worker.extract(decoded.text, capture.url)
    row.update(
        text=_clean(outcome.text),
        title=outcome.title,
        date=outcome.date,
        n_links=len(_LINK.findall(decoded.text)),
        extractor=name,
        rights=_rights(header_rights, meta_rights(decoded.text)),
    )
    if outcome.failure:
        return row, ("extract", outcome.failure, outcome.note)
    return row, None if row["text"] else ("extract", "empty_text", None)


def _fast_row(page: FastPage) -> dict[str, Any]:
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
) -> tuple[dict[str, Any], Dropped | None]:
    row = _blank(source, position)
    if isinstance(item, str):
        return row, ("ingest", "broken_record", item)
    url = item.get(config.url_column)
    _set_url(row, str(url) if url else "")
    if config.id_column and item.get(config.id_column) is not None:
        row["doc_id"] = doc_id_of_record(str(item[config.id_column]))
    text = item.get(config.text_column)
    if not isinstance(text, str):
        return row, ("ingest", "no_text", f"no text in column '{config.text_column}'")
    row["text"] = _clean(text)
    row["extractor"] = "given"
    row["title"] = item["title"] if isinstance(item.get("title"), str) else None
    row["date"] = str(item["date"]) if item.get("date") else None
    row["capture_time"] = _as_time(item.get("date"))
    used = {config.text_column, config.url_column, "title", "date"}
    rest = {k: v for k, v in item.items() if k not in used}
    row["metadata"] = _METADATA.encode(rest) if rest else None
    if 4 * len(row["text"]) > config.max_page_bytes and len(row["text"].encode()) > config.max_page_bytes:
        return row, ("ingest", "page_too_large", f"{len(row['text'].encode()):,} bytes")
    return row, None if row["text"] else ("ingest", "empty_text", None)


_METADATA = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=str)


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


def _decide(row: dict[str, Any], gate: str, reason: str, note: str | None) -> dict[str, Any]:
    doc = Doc(
        row["doc_id"], row["text"] or "", url=row["url"] or "", host=row["host"] or "",
        source=row["source"], source_offset=row["source_offset"],
    )  # fmt: skip
    return decision(doc, gate, [reason], note=note)

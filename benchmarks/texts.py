"""Texts for the benchmarks, from what a user has: Parquet, JSONL, folders or tar files of HTML pages."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.extract.fast.engine import FastExtractor
from pipeline.ingest.plan import open_stream
from pipeline.text.charset import decode

TEXT_FIELDS = ("text", "main_content", "content")


def load_texts(paths: list[Path], limit: int | None = None) -> list[str]:
    """Texts of all files in order: a `text` column or field, else pages extracted by the fast engine. Empty ones are
    left out. `limit` counts texts."""
    found: list[str] = []
    for path in paths:
        for text in _texts(path):
            if text.strip():
                found.append(text)
            if limit is not None and len(found) >= limit:
                return found
    return found


def _texts(path: Path) -> Iterator[str]:
    if path.is_dir():
        for each in sorted(p for p in path.rglob("*") if p.is_file()):
            if each.name.endswith((".html", ".html.gz", ".htm", ".parquet", ".tar.zst", ".tar")):
                yield from _texts(each)
    elif path.suffix == ".parquet":
        for batch in pq.ParquetFile(path).iter_batches(columns=["text"]):
            yield from (t for t in batch.column(0).to_pylist() if t)
    elif ".jsonl" in path.name:
        for line in io.TextIOWrapper(io.BytesIO(_bytes(path)), "utf-8"):
            row = json.loads(line)
            yield next((row[f] for f in TEXT_FIELDS if row.get(f)), "")
    elif ".tar" in path.name:
        with tarfile.open(fileobj=io.BytesIO(_bytes(path))) as tar:
            for member in tar:
                taken = tar.extractfile(member) if member.name.endswith((".html", ".htm")) else None
                if taken is not None:
                    yield _page(taken.read(), member.name)
    elif ".html" in path.name or ".htm" in path.name:
        yield _page(_bytes(path), path.name)
    else:
        yield _bytes(path).decode("utf-8", "replace")


_extractor: FastExtractor | None = None


def _page(raw: bytes, name: str) -> str:
    global _extractor
    _extractor = _extractor or FastExtractor()
    return _extractor.extract(decode(raw).utf8, f"https://{name}").text


def _bytes(path: Path) -> bytes:
    with open_stream(path) as f:
        return f.read()

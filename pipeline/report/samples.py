"""Samples of what was kept and of what was dropped. Which ones is fixed, so that a report of the same run shows the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa

from pipeline.core.dataset import Dataset
from pipeline.look.rows import Decision, decision_of
from pipeline.look.run import Run, table_of

SAMPLES_PER_REASON = 2
KEPT_SAMPLES = 6
SAMPLE_CHARS = 400

Row = TypeVar("Row", bound=Mapping[str, Any])


@dataclass(frozen=True)
class KeptSample:
    """A kept document and the beginning of its text."""

    url: str | None
    title: str | None
    text: str


def kept_samples(run: Run) -> list[KeptSample]:
    """Some documents of the curated data, or of the extracted ones where nothing is curated."""
    step = run.get("curate") or run.get("extract")
    table = table_of(step, "data", ["doc_id", "url", "title"])
    if step is None or not table.num_rows:
        return []
    chosen = _pick(table.to_pylist(), KEPT_SAMPLES)
    texts = _texts(step, {c["doc_id"] for c in chosen})
    return [KeptSample(c["url"], c["title"], texts[c["doc_id"]][:SAMPLE_CHARS]) for c in chosen]


def dropped_samples(run: Run) -> list[Decision]:
    """Some documents for every first reason of every gate, with the values that decided."""
    samples = []
    for stage in ("extract", "curate"):
        step = run.get(stage)
        if step is None:
            continue
        table = table_of(step, "decisions")
        kept_urls = _kept_urls(run, table)
        by_reason: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in table.to_pylist():
            by_reason.setdefault((row["gate"], row["reasons"][0] if row["reasons"] else ""), []).append(row)
        for rows in by_reason.values():
            samples += [decision_of(r, kept_urls.get(r["kept_doc_id"])) for r in _pick(rows, SAMPLES_PER_REASON)]
    return samples


def _pick(rows: Sequence[Row], count: int) -> list[Row]:
    """A fixed pseudo-random choice."""
    return sorted(rows, key=lambda r: hashlib.blake2b(r["doc_id"], digest_size=8).digest())[:count]


def _texts(step: Dataset, wanted: set[bytes]) -> dict[bytes, str]:
    found: dict[bytes, str] = {}
    for batch in step.batches("data", ["doc_id", "text"]):
        for doc_id, text in zip(batch["doc_id"].to_pylist(), batch["text"].to_pylist(), strict=True):
            if doc_id in wanted:
                found[doc_id] = text
    return found


def _kept_urls(run: Run, decisions: pa.Table) -> dict[bytes, str]:
    wanted = {d for d in decisions["kept_doc_id"].to_pylist() if d}
    if not wanted:
        return {}
    table = table_of(run.get("curate"), "signals", ["doc_id", "url"])
    return {d: u for d, u in zip(table["doc_id"].to_pylist(), table["url"].to_pylist(), strict=True) if d in wanted}

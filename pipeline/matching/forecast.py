"""What a match will cost, from a sample of the documents: time, memory, disk."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.dataset import Dataset
from pipeline.core.documents import Doc, docs_of
from pipeline.core.registry import Call
from pipeline.matching.copies import keys_of
from pipeline.matching.pairs import BUCKET_BYTES, RANGE_KEYS
from pipeline.matching.sets import features_of

SAMPLE = 2_000  # documents
WORKER_BASE = 230 << 20  # bytes of a process that has everything imported and no task
# Bytes on disk for a key of a verified match (8 of the hash, 4 of the document) and of another one (16 + 4); for a rank
# and its size; seconds for a key on its way through ranges, groups and decisions, measured by benchmarks/dedup.py.
KEY_BYTES, EXACT_KEY_BYTES, RANK_BYTES = 12, 20, 12
KEY_S = 3e-7
DOCUMENT_S = 5e-6  # sorting, ranks
PASS_S = 6e-5  # reading a document and writing its state and sidecars


class Seconds(NamedTuple):
    """If nothing is a copy, and if everything is."""

    least: float
    most: float


class DiskBytes(NamedTuple):
    """If nothing is a copy, and if everything is."""

    least: int
    most: int


@dataclass(frozen=True)
class MatchForecast:
    """What one match will cost: keys of all documents, time with the workers, disk while it runs."""

    gate: str
    keys: int
    seconds: Seconds
    disk_bytes: DiskBytes


@dataclass(frozen=True)
class Forecast:
    """What the matches of a curation will cost.

    Attributes:
        documents, text_bytes: of the dataset. sampled: documents that were measured.
        memory_bytes: of all processes together, at most.
    """

    documents: int
    text_bytes: int
    sampled: int
    workers: int
    matches: tuple[MatchForecast, ...]
    seconds: Seconds
    disk_bytes: DiskBytes
    memory_bytes: int


def forecast(matches: Sequence[Call], documents: Dataset, workers: int) -> Forecast:
    """Time, memory and disk for matches over a dataset.

    The cost of keys and sets is measured on documents spread over all shards; counts and bytes come from the files'
    metadata. How many documents are copies is not known before: sets are forecast for between none and all of them.
    """
    total, text_bytes, sample = _look(documents)
    rows = tuple(_one(call, sample, total, text_bytes, workers) for call in matches)
    largest = max(pq.read_metadata(path).num_rows for path in documents.files("data"))
    shard_text = text_bytes * largest // max(total, 1)
    task = max(
        10 * shard_text,
        40 * min(RANGE_KEYS, max((r.keys for r in rows), default=0)),
        3 * min(BUCKET_BYTES, text_bytes),
    )
    return Forecast(
        documents=total,
        text_bytes=text_bytes,
        sampled=len(sample),
        workers=workers,
        matches=rows,
        seconds=Seconds(round(sum(r.seconds.least for r in rows), 1), round(sum(r.seconds.most for r in rows), 1)),
        disk_bytes=DiskBytes(sum(r.disk_bytes.least for r in rows), sum(r.disk_bytes.most for r in rows)),
        memory_bytes=WORKER_BASE * (workers + 1 if workers > 1 else 1) + max(task * workers, 24 * total),
    )


def _look(documents: Dataset) -> tuple[int, int, list[Doc]]:
    """(documents, bytes of their texts, documents spread over the shards)."""
    files = documents.files("data")
    total = text = 0
    for path in files:
        meta = pq.read_metadata(path)
        column = next(i for i in range(meta.num_columns) if meta.schema.column(i).path == "text")
        for g in range(meta.num_row_groups):
            text += meta.row_group(g).column(column).total_uncompressed_size
        total += meta.num_rows
    sample: list[Doc] = []
    chosen = files[:: max(len(files) // 20, 1)]
    for path in chosen:
        with pq.ParquetFile(path) as f:
            groups = f.metadata.num_row_groups
            for g in sorted({0, groups // 2} if groups else set()):
                table = f.read_row_group(g, columns=["doc_id", "url", "host", "text", "source"])
                room = SAMPLE // len(chosen) // 2 + 1
                step = max(len(table) // room, 1)
                sample += docs_of(table.take(pa.array(np.arange(0, len(table), step))))
    return total, text, sample


def _one(call: Call, sample: list[Doc], total: int, text_bytes: int, workers: int) -> MatchForecast:
    share = total / max(len(sample), 1)
    keys_of(call, sample[:10])
    began = time.process_time()
    places, _ = keys_of(call, sample)
    key_s = (time.process_time() - began) * share
    keys = round(len(places) * share)
    sets_s, set_bytes = 0.0, 0
    if call.match.features:
        features_of(call, sample[:10])
        began = time.process_time()
        found = features_of(call, sample)
        sets_s = (time.process_time() - began) * share
        set_bytes = round(found.nbytes * share)
    elif call.match.similarity:
        set_bytes = text_bytes
    exact = not (call.match.features or call.match.similarity)
    disk = round(keys * (EXACT_KEY_BYTES if exact else KEY_BYTES) + total * RANK_BYTES)
    least = (key_s + total * (PASS_S + DOCUMENT_S) + keys * KEY_S) / workers
    seconds = Seconds(round(least, 1), round(least + 2 * sets_s / workers, 1))
    return MatchForecast(call.name, keys, seconds, DiskBytes(disk, disk + set_bytes))

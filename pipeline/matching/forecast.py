"""What a match will cost, from a sample of the documents: time, memory, disk."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.dataset import Dataset
from pipeline.core.schema import Doc, docs_of
from pipeline.curate.gates import Curation, Gate
from pipeline.matching.pairs import BUCKET_BYTES, RANGE_KEYS

SAMPLE = 2_000  # documents
WORKER_BASE = 230 << 20  # bytes of a process that has everything imported and no task
# Bytes on disk for a key of a verified match (8 of the hash, 4 of the document) and of another one (16 + 4); for a rank
# and its size; seconds for a key on its way through ranges, groups and decisions, measured by benchmarks/dedup.py.
KEY_BYTES, EXACT_KEY_BYTES, RANK_BYTES = 12, 20, 12
KEY_S = 3e-7
DOCUMENT_S = 5e-6  # sorting, ranks
PASS_S = 6e-5  # reading a document and writing its state and sidecars


def forecast(curation: Curation, documents: Dataset, workers: int) -> dict[str, Any]:
    """Time, memory and disk for the matches of a curation over a dataset.

    The cost of keys and sets is measured on documents spread over all shards; counts and bytes come from the files'
    metadata. How many documents are copies is not known before: sets are forecast for between none and all of them.

    Returns: {"documents", "text_bytes", "sampled", "matches": [{"gate", "keys", "seconds": [least, most],
        "disk_bytes": [least, most]}], "seconds", "disk_bytes", "memory_bytes", "workers"}.
    """
    total, text_bytes, sample = _look(documents)
    rows = [_one(gate, sample, total, text_bytes, workers) for gate in curation.gates if gate.kind == "match"]
    largest = max(documents.manifest["files"][n]["rows"] for n in documents.manifest["files"] if n.startswith("data/"))
    shard_text = text_bytes * largest // max(total, 1)
    task = max(
        10 * shard_text,
        40 * min(RANGE_KEYS, max((r["keys"] for r in rows), default=0)),
        3 * min(BUCKET_BYTES, text_bytes),
    )
    return {
        "documents": total,
        "text_bytes": text_bytes,
        "sampled": len(sample),
        "workers": workers,
        "matches": rows,
        "seconds": [round(sum(r["seconds"][i] for r in rows), 1) for i in (0, 1)],
        "disk_bytes": [sum(r["disk_bytes"][i] for r in rows) for i in (0, 1)],
        "memory_bytes": WORKER_BASE * (workers + 1 if workers > 1 else 1) + max(task * workers, 24 * total),
    }


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


def _one(gate: Gate, sample: list[Doc], total: int, text_bytes: int, workers: int) -> dict[str, Any]:
    from pipeline.curate.passes import keys_of
    from pipeline.matching.verify import features_of

    share = total / max(len(sample), 1)
    keys_of(gate, sample[:10])
    began = time.process_time()
    places, _ = keys_of(gate, sample)
    key_s = (time.process_time() - began) * share
    keys = round(len(places) * share)
    sets_s, set_bytes = 0.0, 0
    if gate.match.features:
        features_of(gate, sample[:10])
        began = time.process_time()
        found = features_of(gate, sample)
        sets_s = (time.process_time() - began) * share
        set_bytes = round(found.nbytes * share)
    elif gate.match.similarity:
        set_bytes = text_bytes
    exact = not (gate.match.features or gate.match.similarity)
    disk = round(keys * (EXACT_KEY_BYTES if exact else KEY_BYTES) + total * RANK_BYTES)
    least = (key_s + total * (PASS_S + DOCUMENT_S) + keys * KEY_S) / workers
    return {
        "gate": gate.name,
        "keys": keys,
        "seconds": [round(least, 1), round(least + 2 * sets_s / workers, 1)],
        "disk_bytes": [disk, disk + set_bytes],
    }

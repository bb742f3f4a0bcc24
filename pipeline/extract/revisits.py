"""Revisits: captures that an archive stored without their content, because an earlier one has it. Which one is looked up over all
inputs, when all captures are known: a revisit names it by its record, by URL and time, or by the digest of the content.

Source: WARC 1.1 (ISO 28500:2017), section 6.7, and the profiles identical-payload-digest and server-not-modified.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset
from pipeline.core.files import write_parquet
from pipeline.core.schema import DOC_ID, doc_id_of_record
from pipeline.core.step import ShardResult, Task
from pipeline.ingest.warc import Capture

VERSION = 1
KEY = pa.binary(8)  # of a URL and a time, or of a digest
# A row for every capture of a WARC file. A revisit has the keys of what it refers to.
CAPTURE = pa.schema(
    [
        pa.field("doc_id", DOC_ID, nullable=False),
        pa.field("revisit", pa.bool_(), nullable=False),
        ("original", DOC_ID),  # of a revisit: the record that it names
        ("place", KEY),
        ("digest", KEY),
    ]
)
REVISIT = pa.schema(
    [
        pa.field("doc_id", DOC_ID, nullable=False),
        ("original", DOC_ID),  # null where none of the inputs has it
        ("found_by", pa.string()),  # record, place (URL and time) or digest
    ]
)


def capture_row(doc_id: bytes, capture: Capture) -> dict[str, Any]:
    """A row of CAPTURE."""
    original = capture.original
    url, time = (original.url, original.time) if original is not None else (capture.url, capture.time)
    return {
        "doc_id": doc_id,
        "revisit": original is not None,
        "original": doc_id_of_record(original.record_id) if original is not None and original.record_id else None,
        "place": _place(url, time),
        "digest": _key(capture.digest),
    }


def _place(url: str, time: datetime | None) -> bytes | None:
    return _key(f"{url}\0{time.isoformat()}") if url and time else None


def _key(text: str) -> bytes | None:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() if text else None


@dataclass(frozen=True)
class NoArgs:
    """Resolving takes no parameters."""


def resolve(extracted: Dataset, bench: Bench) -> Dataset | None:
    """Find the original of each revisit among all captures of a finished extract step; None if it has no revisits.

    Returns: a step with a row of REVISIT for every revisit in `revisits/00000`, counts `resolved` and `unresolved`.
    """
    if not extracted.counts.get("records", {}).get("revisit"):
        return None
    task = Task(0, {"captures": extracted.every("captures")}, NoArgs())
    return bench.step("revisits", {}, VERSION, [extracted], [task], resolve_all, extra={"kind": "revisits"})


def resolve_all(task: Task[NoArgs]) -> ShardResult:
    """Of several captures with one key the first counts, in the order of shards."""
    revisits: list[Mapping[str, Any]] = []
    wanted: dict[str, set[bytes]] = {"original": set(), "place": set(), "digest": set()}
    for source in task.all("captures"):
        table = pq.read_table(source.path)
        for row in table.filter(table["revisit"]).to_pylist():
            revisits.append(row)
            for name, keys in wanted.items():
                if row[name] is not None:
                    keys.add(row[name])
    found: dict[str, dict[bytes, bytes]] = {"original": {}, "place": {}, "digest": {}}
    for source in task.all("captures"):
        for batch in pq.ParquetFile(source.path).iter_batches():
            for row in batch.to_pylist():
                if row["revisit"]:
                    continue
                for name, key in (("original", "doc_id"), ("place", "place"), ("digest", "digest")):
                    if row[key] in wanted[name]:
                        found[name].setdefault(row[key], row["doc_id"])
    rows = []
    for row in revisits:
        by = next((name for name in wanted if row[name] in found[name]), None)
        original = found[by][row[by]] if by else None
        rows.append({"doc_id": row["doc_id"], "original": original, "found_by": "record" if by == "original" else by})
    path = task.file("revisits")
    write_parquet(path, pa.Table.from_pylist(rows, REVISIT))
    resolved = sum(r["original"] is not None for r in rows)
    return ShardResult({path: len(rows)}, {"resolved": resolved, "unresolved": len(rows) - resolved})

"""Which capture has the content of a revisit, as the extract step looked it up over all inputs."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from pipeline.core.bench import WORK
from pipeline.core.dataset import Dataset, is_dataset, open_dataset
from pipeline.look.rows import Decision
from pipeline.look.run import Run, rows_where

REVISIT = "revisit"


def resolved(run: Run, extract: Dataset, key: pa.Scalar, found: Decision) -> Decision:
    """A decision on a revisit with the capture that has its content, if one of the inputs does."""
    if REVISIT not in found.reasons:
        return found
    for folder in sorted(run.root.glob(f"{WORK}/revisits-*")):
        step = open_dataset(folder) if is_dataset(folder) else None
        if step is None or step.manifest["lineage"]["upstream"] != {extract.step: extract.key}:
            continue
        for row in rows_where(step, "revisits", "doc_id", key):
            if row["original"] is None:
                return replace(found, kept_doc_id=None, note=f"{found.note}, which is not among the inputs")
            return replace(found, kept_doc_id=row["original"].hex(), kept_url=_url(extract, row["original"]))
    return found


def _url(extract: Dataset, doc_id: bytes) -> str | None:
    """The address of a capture, whether it became a document or was dropped."""
    for folder in ("data", "decisions"):
        for row in rows_where(extract, folder, "doc_id", pa.scalar(doc_id, pa.binary(16)), ["url"]):
            url: str | None = row["url"]
            return url
    return None

"""A glance into any file or step: what it is, how much, and some of it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.dataset import Source, is_dataset, open_dataset
from pipeline.core.errors import UsageError
from pipeline.core.files import read_json
from pipeline.ingest.plan import kind_of
from pipeline.ingest.rows import jsonl_rows
from pipeline.ingest.warc import captures
from pipeline.look.tokens import look_at_shard


def inspect(path: Path, *, rows: int = 5, tokenizer: Path | None = None) -> dict[str, Any]:
    """Facts and the first rows of a step, run, Parquet, WARC, JSONL or JSON file.

    Args:
        rows: how many to show.
        tokenizer: decodes token shards; found by itself inside a run.

    Raises: UsageError for what is none of these.
    """
    if is_dataset(path):
        step = open_dataset(path)
        keep = ("step", "key", "kind", "counts", "lineage", "errors")
        return {"kind": "step", **{k: step.manifest.get(k) for k in keep}, "files": len(step.manifest["files"])}
    if (path / "run.json").is_file():
        return {"kind": "run", **read_json(path / "run.json")}
    if not path.is_file():
        raise UsageError(f"{path}: no such file, step or run.")
    if path.suffix == ".parquet":
        return _parquet(path, rows, tokenizer)
    if path.suffix == ".json":
        return {"kind": "json", "value": read_json(path)}
    kind = kind_of(path)
    if kind == "warc":
        shown = [
            {
                "offset": c.offset, "url": c.url, "status": c.status, "type": c.content_type,
                "bytes": len(c.body), "time": str(c.time or ""), "broken": c.broken or None,
            }
            for c in islice(captures(path, max_bytes=50_000_000), rows)
        ]  # fmt: skip
        return {"kind": "warc", "bytes": path.stat().st_size, "rows": shown}
    if kind == "jsonl":
        lines = [{"position": p, "row": r} for p, r in islice(jsonl_rows(Source(path, ""), max_bytes=50_000_000), rows)]
        return {"kind": "jsonl", "bytes": path.stat().st_size, "rows": lines}
    raise UsageError(f"{path}: winnow does not know this kind of file.")


def _parquet(path: Path, rows: int, tokenizer: Path | None) -> dict[str, Any]:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UsageError(f"{path}: {error}") from error
    with file:
        metadata = {k.decode(): v.decode() for k, v in (file.schema_arrow.metadata or {}).items() if b"winnow" in k}
        if "winnow.dtype" in metadata:
            return look_at_shard(path, rows=rows, tokenizer=tokenizer)
        first = next(file.iter_batches(batch_size=rows), None) if rows else None
        facts = {
            "kind": "parquet",
            "bytes": path.stat().st_size,
            "num_rows": file.metadata.num_rows,
            "row_groups": file.metadata.num_row_groups,
            "columns": {f.name: str(f.type) for f in file.schema_arrow},
            "metadata": metadata,
        }
    items = first.to_pylist() if first is not None else []
    facts["rows"] = [{k: v.hex() if isinstance(v, bytes) else v for k, v in row.items()} for row in items]
    return facts

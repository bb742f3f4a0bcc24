"""Looking into token shards: what is in a file, in a row, in the batch of a training step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.core.dataset import Dataset, is_dataset, open_dataset
from pipeline.core.errors import UsageError
from pipeline.core.files import sha256_file
from pipeline.look.run import Run, open_run

FREQUENT = 20


def tokenizer_of(path: Path, given: Path | None, digest: str) -> Path | None:
    """The tokenizer.json that made a token shard: the one given, or one of the run around it with that sha256.

    Raises: UsageError if the one given is another.
    """
    if given is not None:
        if sha256_file(given) != digest:
            raise UsageError(f"{given}: not the tokenizer that made {path} (its sha256 begins with {digest[:12]}).")
        return given
    for run in path.resolve().parents:
        if (run / "run.json").is_file():
            files = sorted(run.glob("tokenizer-*/tokenizer/00000.json"))
            return next((f for f in files if sha256_file(f) == digest), None)
    return None


def look_at_shard(path: Path, *, rows: int = 5, tokenizer: Path | None = None) -> dict[str, Any]:
    """Facts about one file of token rows, and its first rows token by token.

    Returns: {"kind": "tokens", "num_rows", "row_groups", "bytes", "bytes_per_token", "sha256", "sha256_of_manifest", "metadata",
        "tokens", "padding", "documents", "pieces", "cut_documents", "piece_tokens": percentiles, "sources": [{"source",
        "tokens"}], "frequent": [{"id", "token", "count"}], "unused": entries that the file has not, "rows": see below}. A row
        is {"n_tokens", "documents": [{"doc_id", "source", "start", "end", "first_token", "pieces": texts of its tokens}]}.
    Raises: UsageError for a file that is no token shard.
    """
    from tokenize_stage.reader import parts_of_row
    from tokenize_stage.vocabulary import load_tokenizer, spellings

    with pq.ParquetFile(path) as f:
        metadata = {k.decode(): v.decode() for k, v in (f.schema_arrow.metadata or {}).items() if b"winnow" in k}
        if "winnow.dtype" not in metadata:
            raise UsageError(f"{path}: no token shard.")
        groups, n_rows = f.metadata.num_row_groups, f.metadata.num_rows
        names = [n for n in ("n_tokens", "doc_ids", "doc_starts", "doc_sources") if n in f.schema_arrow.names]
        table = f.read(columns=names)
        size, width = int(metadata["winnow.vocab_size"]), int(metadata["winnow.row_tokens"])
        counts = np.zeros(size, np.int64)
        for batch in f.iter_batches(batch_size=256, columns=["tokens", "n_tokens"]):
            ids, real = _ids(batch.column("tokens"), metadata), np.asarray(batch.column("n_tokens"))
            counts += np.bincount(ids[np.arange(width)[None, :] < real[:, None]], minlength=size)
        first = next(f.iter_batches(batch_size=rows), None) if rows and n_rows else None
    found = tokenizer_of(path, tokenizer, metadata["winnow.tokenizer_sha256"])
    words = spellings(load_tokenizer(found)) if found else None
    real, starts = np.asarray(table["n_tokens"]), table["doc_starts"].combine_chunks()
    flat = np.asarray(starts.values) if len(starts) else np.zeros(0, np.int64)
    offsets = np.asarray(starts.offsets) if len(starts) else np.zeros(1, np.int64)
    ends = np.append(flat[1:], 0)
    ends[offsets[1:] - 1] = real
    lengths = ends - flat
    doc_ids = table["doc_ids"].combine_chunks().values if len(table) else pa.array([])
    pieces = pc.value_counts(doc_ids) if len(doc_ids) else None
    step = path.resolve().parent.parent
    listed = open_dataset(step).manifest["files"].get(f"{path.parent.name}/{path.name}", {}) if is_dataset(step) else {}
    return {
        "kind": "tokens",
        "bytes": path.stat().st_size,
        "num_rows": n_rows,
        "row_groups": groups,
        "metadata": metadata,
        "sha256": sha256_file(path),
        "sha256_of_manifest": listed.get("sha256"),
        "tokens": int(real.sum()),
        "padding": int(n_rows * width - real.sum()),
        "bytes_per_token": round(path.stat().st_size / max(int(real.sum()), 1), 3),
        "documents": len(pieces) if pieces is not None else 0,
        "pieces": len(lengths),
        "cut_documents": int(np.count_nonzero(np.asarray(pieces.field("counts")) > 1)) if pieces is not None else 0,
        "piece_tokens": {str(p): int(np.percentile(lengths, p)) for p in (0, 10, 50, 90, 100)} if len(lengths) else {},
        "sources": _by_source(table, lengths),
        "frequent": [
            {"id": int(i), "token": _shown(words, int(i)), "count": int(counts[i])}
            for i in np.argsort(-counts, kind="stable")[:FREQUENT]
            if counts[i]
        ],
        "unused": int(np.count_nonzero(counts == 0)),
        "rows": [] if first is None else [
            {
                "n_tokens": row["n_tokens"],
                "documents": [
                    {
                        **part,
                        "doc_id": part["doc_id"].hex(),
                        "pieces": [_shown(words, int(t)) for t in ids[part["start"] : part["end"]]],
                    }
                    for part in parts_of_row(row)
                ],
            }
            for row, ids in zip(first.to_pylist(), _ids(first.column("tokens"), metadata), strict=True)
        ],
    }  # fmt: skip


def _ids(column: Any, metadata: dict[str, str]) -> Any:
    width = int(metadata["winnow.row_tokens"])
    dtype = np.dtype(metadata["winnow.dtype"])
    at = column.offset * width
    return np.frombuffer(column.buffers()[1], dtype)[at : at + len(column) * width].reshape(-1, width)


def _shown(words: list[bytes] | None, token: int) -> str:
    """A token as text; bytes that are no whole characters as they are written in Python."""
    if words is None:
        return str(token)
    if not words[token]:
        return f"<{token}>"
    try:
        return words[token].decode()
    except UnicodeDecodeError:
        return repr(words[token])[2:-1]


def _by_source(table: Any, lengths: Any) -> list[dict[str, Any]]:
    if "doc_sources" not in table.column_names or not len(lengths):
        return []
    names = table["doc_sources"].combine_chunks().values
    grouped = pa.table({"source": names, "tokens": pa.array(lengths)}).group_by("source").aggregate([("tokens", "sum")])
    rows = [{"source": r["source"], "tokens": r["tokens_sum"]} for r in grouped.to_pylist()]
    return sorted(rows, key=lambda r: (-r["tokens"], r["source"] or ""))[:FREQUENT]


def batch_of_step(path: Path, step: int, *, batch_rows: int = 0, world: int = 1) -> dict[str, Any]:
    """The documents in the batch of a training step.

    Args:
        path: a run, or a tokenize step.
        step: 1 for the first one.
        batch_rows: rows of a step on each rank; by default what the run's model was trained with.
        world: ranks.

    Returns: {"step", "position", "rows": [[{"doc_id", "url", "source", "start", "end", "first_token"}]]}.
    Raises: UsageError for a step below 1, or where nothing says how many rows a step has.
    """
    from tokenize_stage.reader import TokenShards

    run: Run | None = open_run(path) if (path / "run.json").is_file() else None
    tokens = run.need("tokenize") if run else open_dataset(path)
    trained = run.get("train") if run else None
    config = trained.params if trained else {}
    rows = batch_rows or int(config.get("batch_rows", 0))
    if step < 1 or rows < 1:
        raise UsageError(f"{path}: step {step} with {rows} rows a step: give --step 1 or more, and --batch-rows.")
    shards = TokenShards(tokens, "train", seed=int(config.get("seed", 0)))
    start = (step - 1) * rows * world
    found = shards.documents(start, rows * world)
    urls = _urls(run, {p["doc_id"] for row in found for p in row}) if run else {}
    return {
        "step": step,
        "position": start,
        "rows": [[{**p, "doc_id": p["doc_id"].hex(), "url": urls.get(p["doc_id"])} for p in row] for row in found],
    }


def _urls(run: Run, wanted: set[bytes]) -> dict[bytes, str | None]:
    documents: Dataset | None = run.get("curate")
    found: dict[bytes, str | None] = {}
    for path in documents.files("data") if documents else []:
        table = pq.read_table(path, columns=["doc_id", "url"])
        mine = table.filter(pc.is_in(table["doc_id"], pa.array(sorted(wanted), table["doc_id"].type)))
        found |= dict(zip(mine["doc_id"].to_pylist(), mine["url"].to_pylist(), strict=True))
    return found

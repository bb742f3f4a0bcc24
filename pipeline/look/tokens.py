"""Looking into token shards: what is in a file, in a row, in the batch of a training step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.core.dataset import Dataset, is_dataset, open_dataset
from pipeline.core.errors import UsageError
from pipeline.core.files import sha256_file
from pipeline.look.run import Run, open_run

if TYPE_CHECKING:
    from tokenize_stage.reader import Tokens

FREQUENT = 20
MAX_VOCABULARY = 1 << 32
PERCENTILES = (0, 10, 50, 90, 100)


@dataclass(frozen=True)
class SourceTokens:
    """Tokens of the documents of one source."""

    source: str | None
    tokens: int


@dataclass(frozen=True)
class TokenCount:
    """How often an entry occurs in a file; `token` is its text, or its id where no tokenizer is at hand."""

    id: int
    token: str
    count: int


@dataclass(frozen=True)
class Piece:
    """Tokens [start, end) of a row hold a document from its token `first_token` on; `pieces` are their texts."""

    doc_id: str
    source: str | None
    start: int
    end: int
    first_token: int
    pieces: tuple[str, ...]


@dataclass(frozen=True)
class TokenRow:
    """A row, without its padding."""

    n_tokens: int
    documents: tuple[Piece, ...]


@dataclass(frozen=True)
class ShardGlance:
    """One file of token rows.

    Attributes:
        metadata: what winnow wrote into the file. sha256_of_manifest: None outside its step.
        tokens, padding: of all rows. documents: in the file, in `pieces` parts; `cut_documents` lie in more than one.
        piece_tokens: lengths of the parts by percentile. sources: those with most tokens. frequent: entries, the most
            frequent first. unused: entries that the file has not.
        rows: the first ones, token by token.
    """

    kind: Literal["tokens"] = field(default="tokens", init=False)
    bytes: int
    num_rows: int
    row_groups: int
    metadata: dict[str, str]
    sha256: str
    sha256_of_manifest: str | None
    tokens: int
    padding: int
    bytes_per_token: float
    documents: int
    pieces: int
    cut_documents: int
    piece_tokens: dict[str, int]
    sources: tuple[SourceTokens, ...]
    frequent: tuple[TokenCount, ...]
    unused: int
    rows: tuple[TokenRow, ...]


@dataclass(frozen=True)
class BatchPart:
    """A document in a row of a batch: its tokens from `first_token` on lie in [start, end)."""

    doc_id: str
    source: str | None
    start: int
    end: int
    first_token: int
    url: str | None


@dataclass(frozen=True)
class StepBatch:
    """The batch of a training step: `position` is its first row in the endless sequence of rows."""

    step: int
    position: int
    rows: tuple[tuple[BatchPart, ...], ...]


def tokenizer_of(path: Path, given: Path | None, digest: str) -> Path | None:
    """The tokenizer.json that made a token shard: the one given, or that of the run around it if it has this sha256.

    Raises: UsageError if the one given is another.
    """
    from tokenize_stage.vocabulary import tokenizer_file

    if given is not None:
        if sha256_file(given) != digest:
            raise UsageError(f"{given}: not the tokenizer that made {path} (its sha256 begins with {digest[:12]}).")
        return given
    around = next((p for p in path.resolve().parents if (p / "run.json").is_file()), None)
    step = open_run(around).get("tokenizer") if around else None
    if step is None or sha256_file(tokenizer_file(step)) != digest:
        return None
    return tokenizer_file(step)


def look_at_shard(path: Path, *, rows: int = 5, tokenizer: Path | None = None) -> ShardGlance:
    """Facts about one file of token rows, and its first rows token by token.

    Raises: UsageError for a file that is no token shard.
    """
    from tokenize_stage.vocabulary import load_tokenizer, spellings

    with open(path, "rb") as stream, pq.ParquetFile(stream) as f:
        metadata = _shard_metadata(path, f.schema_arrow)
        groups, n_rows = f.metadata.num_row_groups, f.metadata.num_rows
        names = [n for n in ("n_tokens", "doc_ids", "doc_starts", "doc_sources") if n in f.schema_arrow.names]
        table = f.read(columns=names)
        counts = _token_counts(f, metadata)
        first = next(f.iter_batches(batch_size=rows, use_threads=False), None) if rows and n_rows else None
    found = tokenizer_of(path, tokenizer, metadata["winnow.tokenizer_sha256"])
    words = spellings(load_tokenizer(found)) if found else None
    lengths = _piece_lengths(table)
    doc_ids = table["doc_ids"].combine_chunks().values if len(table) else pa.array([])
    parts = np.asarray(pc.value_counts(doc_ids).field("counts")) if len(doc_ids) else np.zeros(0, np.int64)
    step = path.resolve().parent.parent
    listed = open_dataset(step).manifest["files"].get(f"{path.parent.name}/{path.name}", {}) if is_dataset(step) else {}
    size, tokens = path.stat().st_size, int(np.asarray(table["n_tokens"]).sum())
    often = [int(i) for i in np.argsort(-counts, kind="stable")[:FREQUENT] if counts[i]]
    return ShardGlance(
        bytes=size,
        num_rows=n_rows,
        row_groups=groups,
        metadata=metadata,
        sha256=sha256_file(path),
        sha256_of_manifest=listed.get("sha256"),
        tokens=tokens,
        padding=n_rows * int(metadata["winnow.row_tokens"]) - tokens,
        bytes_per_token=round(size / max(tokens, 1), 3),
        documents=len(parts),
        pieces=len(lengths),
        cut_documents=int(np.count_nonzero(parts > 1)),
        piece_tokens={str(p): int(np.percentile(lengths, p)) for p in PERCENTILES} if len(lengths) else {},
        sources=_by_source(table, lengths),
        frequent=tuple(TokenCount(i, _shown(words, i), int(counts[i])) for i in often),
        unused=int(np.count_nonzero(counts == 0)),
        rows=_first_rows(first, metadata, words) if first is not None else (),
    )


def _shard_metadata(path: Path, schema: pa.Schema) -> dict[str, str]:
    """What winnow wrote into a shard. Raises: UsageError if the file is no token shard, or not a whole one."""
    from tokenize_stage.rows import row_schema

    pairs = (schema.metadata or {}).items()
    metadata = {k.decode("utf-8", "replace"): v.decode("utf-8", "replace") for k, v in pairs if b"winnow" in k}
    if "winnow.dtype" not in metadata:
        raise UsageError(f"{path}: no token shard.")
    try:
        width, size, dtype = (metadata[f"winnow.{name}"] for name in ("row_tokens", "vocab_size", "dtype"))
        named = metadata["winnow.tokenizer_sha256"]
        made = row_schema(int(width), np.dtype(dtype).itemsize, {})
        if not (0 < int(size) <= MAX_VOCABULARY and named and np.dtype(dtype).kind == "u"):
            raise ValueError("a vocabulary of no size")
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(f"{path}: its metadata is not that of a token shard ({error}).") from error
    for column in made:
        if column.name not in schema.names and column.name == "doc_sources":
            continue
        if schema.names.count(column.name) != 1 or schema.field(column.name).type != column.type:
            raise UsageError(f"{path}: column '{column.name}' is not that of a token shard.")
    return metadata


def _token_counts(f: pq.ParquetFile, metadata: Mapping[str, str]) -> npt.NDArray[np.int64]:
    """How often each entry occurs, padding left out."""
    size, width = int(metadata["winnow.vocab_size"]), int(metadata["winnow.row_tokens"])
    counts = np.zeros(size, np.int64)
    for batch in f.iter_batches(batch_size=256, columns=["tokens", "n_tokens"]):
        ids, real = _ids(batch.column("tokens"), metadata), np.asarray(batch.column("n_tokens"))
        counts += np.bincount(ids[np.arange(width)[None, :] < real[:, None]], minlength=size)
    return counts


def _piece_lengths(table: pa.Table) -> npt.NDArray[np.int64]:
    """Tokens of every part of a document, row by row: from where it starts to the next one's start or the row's end."""
    real, starts = np.asarray(table["n_tokens"]), table["doc_starts"].combine_chunks()
    flat = np.asarray(starts.values) if len(starts) else np.zeros(0, np.int64)
    offsets = np.asarray(starts.offsets) if len(starts) else np.zeros(1, np.int64)
    ends = np.append(flat[1:], 0)
    ends[offsets[1:] - 1] = real
    found: npt.NDArray[np.int64] = ends - flat
    return found


def _first_rows(
    first: pa.RecordBatch, metadata: Mapping[str, str], words: Sequence[bytes] | None
) -> tuple[TokenRow, ...]:
    from tokenize_stage.reader import parts_of_row

    return tuple(
        TokenRow(
            row["n_tokens"],
            tuple(
                Piece(
                    part["doc_id"].hex(), part["source"], part["start"], part["end"], part["first_token"],
                    tuple(_shown(words, int(t)) for t in ids[part["start"] : part["end"]]),
                )
                for part in parts_of_row(row)
            ),
        )
        for row, ids in zip(first.to_pylist(), _ids(first.column("tokens"), metadata), strict=True)
    )  # fmt: skip


def _ids(column: pa.Array, metadata: Mapping[str, str]) -> Tokens:
    """(rows, row_tokens) of a batch."""
    width = int(metadata["winnow.row_tokens"])
    dtype = np.dtype(metadata["winnow.dtype"])
    at = column.offset * width
    return np.frombuffer(column.buffers()[1], dtype)[at : at + len(column) * width].reshape(-1, width)


def _shown(words: Sequence[bytes] | None, token: int) -> str:
    """A token as text; bytes that are no whole characters as they are written in Python."""
    if words is None:
        return str(token)
    if not words[token]:
        return f"<{token}>"
    try:
        return words[token].decode()
    except UnicodeDecodeError:
        return repr(words[token])[2:-1]


def _by_source(table: pa.Table, lengths: npt.NDArray[np.int64]) -> tuple[SourceTokens, ...]:
    if "doc_sources" not in table.column_names or not len(lengths):
        return ()
    names = table["doc_sources"].combine_chunks().values
    grouped = pa.table({"source": names, "tokens": pa.array(lengths)}).group_by("source").aggregate([("tokens", "sum")])
    rows = [SourceTokens(r["source"], r["tokens_sum"]) for r in grouped.to_pylist()]
    return tuple(sorted(rows, key=lambda r: (-r.tokens, r.source or ""))[:FREQUENT])


def batch_of_step(path: Path, step: int, *, batch_rows: int = 0, world: int = 1) -> StepBatch:
    """The documents in the batch of a training step.

    Args:
        path: a run, or a tokenize step.
        step: 1 for the first one.
        batch_rows: rows of a step on each rank; by default what the run's model was trained with.
        world: ranks.

    Raises: UsageError for a step below 1, or where nothing says how many rows a step has.
    """
    from tokenize_stage.reader import TokenShards

    run: Run | None = open_run(path) if (path / "run.json").is_file() else None
    tokens = run.need("tokenize") if run else open_dataset(path)
    trained = run.get("train") if run else None
    config: Mapping[str, Any] = trained.params if trained else {}  # as JSON
    rows = batch_rows or int(config.get("batch_rows", 0))
    if step < 1 or rows < 1:
        raise UsageError(f"{path}: step {step} with {rows} rows a step: give --step 1 or more, and --batch-rows.")
    shards = TokenShards(tokens, "train", seed=int(config.get("seed", 0)))
    start = (step - 1) * rows * world
    found = shards.documents(start, rows * world)
    urls = _urls(run, {p["doc_id"] for row in found for p in row}) if run else {}
    return StepBatch(
        step,
        start,
        tuple(
            tuple(BatchPart(**{**p, "doc_id": p["doc_id"].hex(), "url": urls.get(p["doc_id"])}) for p in row)
            for row in found
        ),
    )


def _urls(run: Run, wanted: set[bytes]) -> dict[bytes, str | None]:
    documents: Dataset | None = run.get("curate")
    found: dict[bytes, str | None] = {}
    for path in documents.files("data") if documents else []:
        table = pq.read_table(path, columns=["doc_id", "url"])
        mine = table.filter(pc.is_in(table["doc_id"], pa.array(sorted(wanted), table["doc_id"].type)))
        found |= dict(zip(mine["doc_id"].to_pylist(), mine["url"].to_pylist(), strict=True))
    return found

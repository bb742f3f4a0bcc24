"""Text → token shards: encode, pack, write with provenance.

A row is `row_tokens` ids in little-endian uint16 (uint32 for vocabularies over 65,536), stored as fixed-size binary:
Parquet has no 16-bit physical type, so a list column would take twice the space and ten times the time. Beside the
tokens stand the documents in the row: where each begins in the row, and at which of its own tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.dataset import Dataset, Source
from pipeline.core.errors import BooksError, StepError
from pipeline.core.executor import Executor
from pipeline.core.files import sha256_file, write_parquet
from pipeline.core.schema import DOC_ID
from pipeline.core.step import Plan, Progress, ShardResult, Task, Workspace, run_step
from tokenize_stage.bpe import end_of_text, load_tokenizer, token_bytes
from tokenize_stage.config import TokenizeConfig

VERSION = 1
SPLITS = ("train", "validation")
ROW_GROUP_ROWS = 256
Ids = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class PackedRow:
    """`tokens` has `row_tokens` ids; those from `n_tokens` on are padding. Parts: (doc_id, start in row, doc token)."""

    tokens: Ids
    n_tokens: int
    parts: tuple[tuple[bytes, int, int], ...]


def pack(docs: Iterable[tuple[bytes, Ids]], *, row_tokens: int, eos: int) -> Iterator[PackedRow]:
    """Join documents end to end and cut the stream into equal rows.

    Every token lands in exactly one row, in order; the last row is padded with `eos`.

    Args:
        docs: (doc_id, token ids without eos), one 1-D array per document, all of one dtype.
        row_tokens: row length in tokens = context length + 1.
        eos: id written after every document.

    Raises: ValueError if row_tokens < 2 (no input/target pair).
    Source: Brown et al. 2020 (GPT-3), section 2.2.
    """
    if row_tokens < 2:
        raise ValueError(f"row_tokens is {row_tokens}; a row needs at least an input and a target")
    row: Ids | None = None
    fill = 0
    parts: list[tuple[bytes, int, int]] = []
    for doc_id, ids in docs:
        whole = np.append(ids, np.asarray(eos, dtype=ids.dtype))
        at = 0
        while at < len(whole):
            if row is None:
                row, fill, parts = np.full(row_tokens, eos, dtype=ids.dtype), 0, []
            take = min(len(whole) - at, row_tokens - fill)
            row[fill : fill + take] = whole[at : at + take]
            parts.append((doc_id, fill, at))
            fill += take
            at += take
            if fill == row_tokens:
                yield PackedRow(row, fill, tuple(parts))
                row = None
    if row is not None:
        yield PackedRow(row, fill, tuple(parts))


def row_schema(row_tokens: int, itemsize: int, metadata: dict[str, str]) -> pa.Schema:
    """Schema of a token shard."""
    return pa.schema(
        [
            pa.field("tokens", pa.binary(row_tokens * itemsize), nullable=False),
            pa.field("n_tokens", pa.int32(), nullable=False),
            ("doc_ids", pa.list_(DOC_ID)),
            ("doc_starts", pa.list_(pa.int32())),  # where each document's part begins in the row
            ("doc_tokens", pa.list_(pa.int32())),  # which token of the document that is
        ],
        metadata=metadata,
    )


def tokenize(
    config: TokenizeConfig,
    documents: Dataset,
    tokenizer: Path,
    space: Workspace,
    executor: Executor,
    *,
    progress: Progress | None = None,
) -> Dataset:
    """Encode and pack a dataset into `train/` and `validation/` token shards.

    Raises: StepError if a split comes out empty; DataError if the tokenizer lacks the end-of-text token.
    """
    digest = sha256_file(tokenizer)
    model = load_tokenizer(tokenizer)
    params = {k: v for k, v in asdict(config).items() if k not in ("vocab_size", "min_frequency")}
    plan = Plan("tokenize", params, VERSION, {"tokenizer": digest}, {documents.step: documents.key})
    folder = space.dir(plan)
    source = Source(tokenizer, digest, "tokenizer.json")
    tasks = [
        Task("tokenize", i, (documents.source(f"data/{i:05d}.parquet"), source), folder, config)
        for i in documents.shards()
    ]
    extra = {
        "kind": "tokens",
        "row_tokens": config.row_tokens,
        "vocab_size": model.get_vocab_size(),
        "eos_id": end_of_text(model),
        "tokenizer_sha256": digest,
        "documents": str(documents.dir.name),
    }
    made = run_step(plan, folder, tasks, tokenize_shard, executor, progress=progress, extra=extra)
    for split in SPLITS:
        if not made.counts.get(f"{split}_rows"):
            raise StepError(
                f"tokenize: the {split} split is empty ({made.counts['rows_in']:,} documents in). Choose another "
                "tokenize.validation_fraction, or split_by = 'document' if there are few hosts."
            )
    return made


def tokenize_shard(task: Task) -> ShardResult:
    """One shard of documents as one token shard per split."""
    config: TokenizeConfig = task.args
    tokenizer = load_tokenizer(task.inputs[1].path)
    eos = end_of_text(tokenizer)
    size = tokenizer.get_vocab_size()
    dtype = np.dtype("<u2" if size <= 65_536 else "<u4")
    lengths = np.asarray(token_bytes(tokenizer))
    counts: dict[str, Any] = {"rows_in": 0, "dropped": {}}
    metadata = {
        "winnow.format": "tokens-1",
        "winnow.dtype": dtype.str,
        "winnow.row_tokens": str(config.row_tokens),
        "winnow.vocab_size": str(size),
        "winnow.eos_id": str(eos),
        "winnow.tokenizer_sha256": task.inputs[1].sha256,
        "winnow.seed": str(config.seed),
    }
    schema = row_schema(config.row_tokens, dtype.itemsize, metadata)
    packers = {s: _Packer(config.row_tokens, eos) for s in SPLITS}
    with pq.ParquetFile(task.inputs[0].path) as f:
        for batch in f.iter_batches(batch_size=256, columns=["doc_id", "host", "text"]):
            rows = batch.to_pylist()
            encoded = tokenizer.encode_batch_fast([r["text"] for r in rows], add_special_tokens=False)
            for row, encoding in zip(rows, encoded, strict=True):
                split = config.split_of(row["doc_id"], row["host"] or "")
                ids = np.asarray(encoding.ids, dtype=dtype)
                packers[split].add(row["doc_id"], ids)
                counts["rows_in"] += 1
                for name, n in (("documents", 1), ("tokens", len(ids) + 1), ("bytes", int(lengths[ids].sum()))):
                    counts[f"{split}_{name}"] = counts.get(f"{split}_{name}", 0) + n
    outputs: dict[Path, int | None] = {}
    for split, packer in packers.items():
        packed = packer.rows()
        if sum(r.n_tokens for r in packed) != counts.get(f"{split}_tokens", 0):
            raise BooksError(f"{split}: tokens don't balance: {counts.get(f'{split}_tokens', 0)} in.")
        table = pa.table(
            [
                pa.array([r.tokens.tobytes() for r in packed], schema.field("tokens").type),
                pa.array([r.n_tokens for r in packed], pa.int32()),
                pa.array([[p[0] for p in r.parts] for r in packed], pa.list_(DOC_ID)),
                pa.array([[p[1] for p in r.parts] for r in packed], pa.list_(pa.int32())),
                pa.array([[p[2] for p in r.parts] for r in packed], pa.list_(pa.int32())),
            ],
            schema=schema,
        )
        path = task.file(split)
        write_parquet(path, table, row_group_rows=ROW_GROUP_ROWS)
        outputs[path] = len(packed)
        counts[f"{split}_rows"] = len(packed)
        counts[f"{split}_padding"] = sum(config.row_tokens - r.n_tokens for r in packed)
    counts["rows_out"] = sum(counts.get(f"{s}_documents", 0) for s in SPLITS)
    return ShardResult(outputs, counts)


class _Packer:
    def __init__(self, row_tokens: int, eos: int) -> None:
        self._docs: list[tuple[bytes, Ids]] = []
        self._row_tokens, self._eos = row_tokens, eos

    def add(self, doc_id: bytes, ids: Ids) -> None:
        self._docs.append((doc_id, ids))

    def rows(self) -> list[PackedRow]:
        return list(pack(self._docs, row_tokens=self._row_tokens, eos=self._eos))

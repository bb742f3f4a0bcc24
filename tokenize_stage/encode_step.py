"""The encode step: each shard of documents as ids in one flat file, with a row for every document beside them.

ids/<n>        ids of all texts one after the other, without document ends
documents/<n>  DOCUMENTS: a row for each text, in its order
groups/<n>     GROUPS: train tokens by source and host, for the mixture
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset, Source
from pipeline.core.files import atomic, write_parquet
from pipeline.core.schema import DOC_ID
from pipeline.core.step import ShardResult, Task
from pipeline.text.batch import TextBatch
from tokenize_stage.config import SPLITS, TokenizeConfig
from tokenize_stage.encode import Encoder, Ids, choose_encoder, encoder_of
from tokenize_stage.mix import Group
from tokenize_stage.vocabulary import end_of_text, facts_of, load_tokenizer

VERSION = 2
BATCH_ROWS = 1_000
SAMPLE_CHARS = 100_000  # that encoders are compared on, besides what one more batch has
DECIDES = ("split_by", "validation_fraction", "test_fraction", "seed", "mix_by")  # parameters that the step depends on
FACTS = (
    "dtype",
    "vocab_size",
    "eos_id",
    "tokenizer_sha256",
    "engine",
    "engine_note",
)  # in the manifest, for later steps
DOCUMENTS = pa.schema(
    [
        pa.field("doc_id", DOC_ID, nullable=False),
        ("split", pa.int8()),  # place in SPLITS
        ("source", pa.string()),  # what `mix_by` says
        ("host", pa.string()),
        ("tokens", pa.int64()),  # without the end of the document
        ("bytes", pa.int64()),  # UTF-8, that its tokens stand for: all of its text but for [UNK]
    ]
)
GROUPS = pa.schema([("source", pa.string()), ("host", pa.string()), ("tokens", pa.int64())])


@dataclass(frozen=True)
class EncodeArgs:
    """`engine` is the name of an encoder: every shard takes the one that was compared with `tokenizers` beforehand."""

    config: TokenizeConfig
    engine: str


def encode(config: TokenizeConfig, documents: Dataset, tokenizer: Source, bench: Bench) -> Dataset:
    """Encode every document.

    Raises: DataError if the tokenizer lacks an end-of-text token.
    """
    known = facts_of(tokenizer.path)
    if known.eos < 0:
        end_of_text(load_tokenizer(tokenizer.path))  # says what is missing
    encoder, why = choose_encoder(tokenizer.path, _samples(documents))
    args = EncodeArgs(config, encoder.name)
    tasks = [
        Task(i, {"data": (documents.shard("data", i),), "tokenizer": (tokenizer,)}, args) for i in documents.shards()
    ]
    extra = {
        "kind": "encoded",
        "dtype": encoder.dtype.str,
        "vocab_size": known.size,
        "eos_id": known.eos,
        "tokenizer_sha256": tokenizer.sha256,
        "engine": encoder.name,
        **({"engine_note": why} if why else {}),
    }
    params = {k: getattr(config, k) for k in DECIDES}
    files = {"tokenizer": tokenizer.sha256}
    return bench.step("encode", params, VERSION, [documents], tasks, encode_shard, files=files, extra=extra)


def _samples(documents: Dataset) -> list[str]:
    """Some texts from shards all over the dataset, for comparing encoders."""
    shards = documents.files("data")
    found: list[str] = []
    for path in shards[:: max(len(shards) // 32, 1)]:
        with pq.ParquetFile(path) as f:
            batch = next(f.iter_batches(batch_size=8, columns=["text"]), None)
        found += [t[:20_000] for t in batch.column(0).to_pylist()] if batch is not None else []
        if sum(map(len, found)) > SAMPLE_CHARS:
            break
    return found


def encode_shard(task: Task[EncodeArgs]) -> ShardResult:
    """Ids, documents and groups of one shard."""
    config, tokenizer = task.args.config, task.one("tokenizer").path
    encoder = encoder_of(tokenizer, task.args.engine)
    lengths = facts_of(tokenizer).lengths
    columns = list(dict.fromkeys(["doc_id", "host", "text", config.mix_by]))
    path, table = task.file("ids", ".bin"), task.file("documents")
    counts: dict[str, int] = {"tokens": 0}
    groups: dict[Group, int] = {}
    parts = []
    with atomic(path) as tmp, open(tmp, "wb") as out, pq.ParquetFile(task.one("data").path) as f:
        for batch in f.iter_batches(batch_size=BATCH_ROWS, columns=columns):
            texts = TextBatch.of_column(batch.column("text"))
            ids, ends = encoder.encode(texts)
            out.write(ids.tobytes())
            tokens = np.diff(ends, prepend=0)
            hosts = [h or "" for h in batch.column("host").to_pylist()]
            doc_ids = batch.column("doc_id")
            splits = np.array(
                [SPLITS.index(config.split_of(i, h)) for i, h in zip(doc_ids.to_pylist(), hosts, strict=True)], np.int8
            )
            sources = [s or "" for s in batch.column(config.mix_by).to_pylist()]
            sizes = np.diff(texts.offsets)
            known = _known_bytes(encoder, ids, ends, sizes, lengths)
            parts.append(
                pa.table(
                    [doc_ids.cast(DOC_ID), pa.array(splits), pa.array(sources), pa.array(hosts), tokens, known],
                    schema=DOCUMENTS,
                )
            )
            for number in np.unique(splits).tolist():
                inside = splits == number
                for name, n in (
                    ("documents", inside.sum()), ("tokens", tokens[inside].sum() + inside.sum()),
                    ("bytes", known[inside].sum()), ("text_bytes", sizes[inside].sum()),
                ):  # fmt: skip
                    counts[f"{SPLITS[number]}_{name}"] = counts.get(f"{SPLITS[number]}_{name}", 0) + int(n)
            counts["tokens"] += len(ids)
            for s, h, number, n in zip(sources, hosts, splits.tolist(), tokens.tolist(), strict=True):
                if number == 0:
                    groups[(s, h)] = groups.get((s, h), 0) + n + 1
    made = pa.concat_tables(parts) if parts else DOCUMENTS.empty_table()
    write_parquet(table, made)
    shares = _table_of_groups(groups)
    write_parquet(task.file("groups"), shares)
    books: dict[str, Any] = {"rows_in": len(made), "rows_out": len(made), "dropped": {}, **counts}
    return ShardResult({path: None, table: len(made), task.file("groups"): len(shares)}, books)


def _known_bytes(
    encoder: Encoder,
    ids: Ids,
    ends: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Bytes of each text that its tokens stand for."""
    if encoder.name == "kernel":
        return sizes
    tokens = np.diff(ends, prepend=0)  # of a tokenizer that may have [UNK]: what that stands for is not known
    spelt = np.append(lengths[ids], 0)
    known: npt.NDArray[np.int64] = np.add.reduceat(spelt, np.minimum(ends - tokens, len(spelt) - 1)) * (tokens > 0)
    return known


def _table_of_groups(groups: Mapping[Group, int]) -> pa.Table:
    ordered = sorted(groups.items())
    columns = [[s for (s, _), _ in ordered], [h for (_, h), _ in ordered], [n for _, n in ordered]]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, GROUPS, strict=True)], schema=GROUPS)


def train_tokens(encoded: Dataset) -> dict[Group, int]:
    """Train tokens of each (source, host), each of its documents counted once."""
    found: dict[Group, int] = {}
    for path in encoded.files("groups"):
        for row in pq.read_table(path).to_pylist():
            key = (row["source"], row["host"])
            found[key] = found.get(key, 0) + row["tokens"]
    return found


def ids_as_numbers(column: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """16-byte ids as (n, 2) uint64."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not len(whole):
        return np.zeros((0, 2), np.uint64)
    raw = np.frombuffer(whole.buffers()[1], np.uint8)[16 * whole.offset : 16 * (whole.offset + len(whole))]
    return raw.view("<u8").reshape(-1, 2)

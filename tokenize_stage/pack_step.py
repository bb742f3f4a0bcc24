"""The tokenize step: each output file's documents, packed into rows, the rows shuffled, with what is in them beside.

    train/<n>, validation/<n>, test/<n>  as `tokenize_stage.rows` has them; files are numbered from one split to the next

A row is `row_tokens` ids in little-endian uint16 (uint32 for vocabularies over 65,536), stored as fixed-size binary: Parquet
has no 16-bit physical type, so a list column would take twice the space and ten times the time. Beside the tokens stand the
documents in the row: where each begins in the row, at which of its own tokens, and its source.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.core.bench import Bench, keys_of
from pipeline.core.dataset import Dataset, Source
from pipeline.core.errors import BooksError
from pipeline.core.step import Plan, ShardResult, Task
from tokenize_stage.config import SPLITS, TokenizeConfig
from tokenize_stage.encode import dtype_of
from tokenize_stage.encode_step import FACTS
from tokenize_stage.gather import EncodedShard, gather
from tokenize_stage.pack import pack
from tokenize_stage.route_step import Routing, params_of_rows
from tokenize_stage.rows import rows_table, write_rows
from tokenize_stage.vocabulary import facts_of

VERSION = 2
LISTED = 1_000  # (source, host) pairs of the mixture in the manifest


@dataclass(frozen=True)
class PackArgs:
    config: TokenizeConfig
    split: str


def pack_files(
    config: TokenizeConfig,
    routing: Routing,
    documents: Dataset,
    encoded: Dataset,
    routed: Dataset,
    tokenizer: Source,
    bench: Bench,
) -> Dataset:
    """Pack all documents into rows, a task for each output file."""
    plan = Plan("tokenize", params_of_rows(config), VERSION, {"tokenizer": tokenizer.sha256}, keys_of([documents]))
    inputs = {
        "routes": routed.every("routes"),
        "documents": encoded.every("documents"),
        "ids": encoded.every("ids"),
        "tokenizer": (tokenizer,),
    }
    splits = [s for s, n in zip(SPLITS, routing.files, strict=True) for _ in range(n)]
    tasks = [Task(file, inputs, PackArgs(config, split)) for file, split in enumerate(splits)]
    folder = bench.dir(plan)
    extra = {
        "kind": "tokens",
        "row_tokens": config.row_tokens,
        **{k: encoded.manifest[k] for k in FACTS if k in encoded.manifest},
        "documents": documents.dir.name,
        "encoded": os.path.relpath(encoded.dir, folder),
        "routed": os.path.relpath(routed.dir, folder),
        "mixture": [{"source": s, "host": h, "epochs": round(e, 6)} for (s, h), e in routing.rates[:LISTED]],
    }
    return bench.run(plan, tasks, pack_file, [documents, encoded, routed], extra=extra)


def pack_file(task: Task[PackArgs]) -> ShardResult:
    """`<split>/<n>`: the documents that are routed to one file, packed into rows in random order."""
    args, config, tokenizer = task.args, task.args.config, task.one("tokenizer")
    known = facts_of(tokenizer.path)
    dtype = dtype_of(known.size)
    found = gather(_shards_of(task), task.shard, dtype)
    packed = pack(found.lengths, row_tokens=config.row_tokens, how=config.packing)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([config.seed, task.shard])))
    order = rng.permutation(packed.rows)
    rows = packed.fill(found.ids, found.first, known.eos, order)
    metadata = {
        "winnow.format": "tokens-2",
        "winnow.dtype": dtype.str,
        "winnow.row_tokens": str(config.row_tokens),
        "winnow.vocab_size": str(known.size),
        "winnow.eos_id": str(known.eos),
        "winnow.tokenizer_sha256": tokenizer.sha256,
        "winnow.packing": config.packing,
        "winnow.split": args.split,
        "winnow.seed": str(config.seed),
    }
    table = rows_table(rows, packed, found.doc_ids, found.sources, order, metadata)
    path = task.file(args.split)
    write_rows(path, table)
    totals = {
        "documents": len(found.lengths),
        "tokens": int(found.lengths.sum()),
        "bytes": found.bytes,
        **packed.counts,
    }
    real = int(np.asarray(table["n_tokens"]).sum())
    if real != totals["tokens"]:
        raise BooksError(f"{args.split}: tokens don't balance: {totals['tokens']:,} in, {real:,} in rows.")
    return ShardResult({path: packed.rows}, {f"{args.split}_{k}": v for k, v in totals.items()})


def _shards_of(task: Task[PackArgs]) -> Iterator[EncodedShard]:
    for sources in zip(task.all("routes"), task.all("documents"), task.all("ids"), strict=True):
        yield EncodedShard(*(s.path for s in sources))

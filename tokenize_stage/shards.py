"""Text → token shards: encode, mix and shuffle, pack, write with provenance. Two passes over the tokens.

    encode    each shard of documents: ids of all texts in one flat file, and a row for every document
    route     how often each document comes, and into which output file: by a hash of its id, so that documents of all
              shards meet; only numbers, no tokens
    tokenize  each output file: its documents from all shards in the order of their hash, packed, rows shuffled

A row is `row_tokens` ids in little-endian uint16 (uint32 for vocabularies over 65,536), stored as fixed-size binary: Parquet
has no 16-bit physical type, so a list column would take twice the space and ten times the time. Beside the tokens stand the
documents in the row: where each begins in the row, at which of its own tokens, and its source.

Which file a document goes to, the order there and that of the rows depend on the seed and on doc_ids alone, never on how
the input is cut into shards or on workers. Memory is that of one output file, `shard_bytes` of text.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.dataset import Dataset, Source, is_dataset, open_dataset
from pipeline.core.errors import BooksError, StepError, UsageError
from pipeline.core.executor import Executor
from pipeline.core.files import atomic, sha256_file, write_parquet
from pipeline.core.ranges import rows_between
from pipeline.core.schema import DOC_ID
from pipeline.core.step import Plan, Progress, ShardResult, Task, Workspace, run_step
from pipeline.text.batch import TextBatch
from tokenize_stage.config import SPLITS, TokenizeConfig
from tokenize_stage.encode import choose_encoder, dtype_of, encoder_of
from tokenize_stage.mix import Group, epochs, times
from tokenize_stage.pack import pack
from tokenize_stage.rows import rows_table, write_rows
from tokenize_stage.vocabulary import end_of_text, facts_of, load_tokenizer

VERSION = 2
BATCH_ROWS = 1_000
SAMPLE_CHARS = 100_000  # that encoders are compared on, besides what one more batch has
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
ROUTES = pa.schema([("file", pa.int32()), ("order", pa.uint64()), ("place", pa.int32()), ("copy", pa.int32())])


@dataclass(frozen=True)
class EncodeArgs:
    config: TokenizeConfig
    engine: str


@dataclass(frozen=True)
class RouteArgs:
    config: TokenizeConfig
    files: tuple[int, ...]  # of each split
    rates: tuple[tuple[Group, float], ...]


@dataclass(frozen=True)
class PackArgs:
    config: TokenizeConfig
    file: int  # in the numbering of routes
    split: str
    shards: tuple[int, ...]  # the inputs are routes, documents and ids of each of these, then the tokenizer


def tokenize(
    config: TokenizeConfig,
    documents: Dataset,
    tokenizer: Path,
    space: Workspace,
    executor: Executor,
    *,
    work: Workspace | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Encode, mix, shuffle and pack a dataset into token shards, a folder per split.

    Args:
        work: where the encoded documents lie; beside the result by default. `winnow export` reads them too.

    Raises: StepError if the train or the validation split comes out empty; DataError if the tokenizer lacks an
        end-of-text token; RecipeError if a weight fits no source.
    """
    work = work or space
    digest = sha256_file(tokenizer)
    known = facts_of(tokenizer)
    eos, size = known.eos, known.size
    if eos < 0:
        end_of_text(load_tokenizer(tokenizer))  # says what is missing
    encoder, why = choose_encoder(tokenizer, _samples(documents))
    split = {k: getattr(config, k) for k in ("split_by", "validation_fraction", "test_fraction", "seed", "mix_by")}
    plan = Plan("encode", split, VERSION, {"tokenizer": digest}, {documents.step: documents.key})
    folder = work.dir(plan)
    source = Source(tokenizer, digest, "tokenizer.json")
    args = EncodeArgs(config, encoder.name)
    tasks = [
        Task(plan.name, i, (documents.source(f"data/{i:05d}.parquet"), source), folder, args)
        for i in documents.shards()
    ]
    engine = {"engine": encoder.name, **({"engine_note": why} if why else {})}
    facts = {"dtype": encoder.dtype.str, "vocab_size": size, "eos_id": eos, "tokenizer_sha256": digest}
    extra = {"kind": "encoded", **facts, **engine}
    encoded = run_step(plan, folder, tasks, encode_shard, executor, progress=progress, extra=extra)

    params = {k: v for k, v in asdict(config).items() if k not in _NOT_OURS}
    shards = tuple(encoded.shards())
    upstream = {encoded.step: encoded.key}
    files = tuple(_files_of(encoded.counts, s, config) for s in SPLITS)
    rates: dict[Group, float] = epochs(config, _sizes(encoded)) if config.mixes else {}
    plan = Plan("route", {**params, "files": list(files)}, VERSION, upstream=upstream)
    folder = work.dir(plan)
    route = RouteArgs(config, files, tuple(sorted(rates.items())))
    tasks = [Task(plan.name, i, (encoded.source(f"documents/{i:05d}.parquet"),), folder, route) for i in shards]
    routed = run_step(plan, folder, tasks, route_shard, executor, progress=progress)

    plan = Plan("tokenize", params, VERSION, {"tokenizer": digest}, {documents.step: documents.key})
    folder = space.dir(plan)
    inputs = (
        *(routed.source(f"routes/{i:05d}.parquet") for i in shards),
        *(encoded.source(f"documents/{i:05d}.parquet") for i in shards),
        *(encoded.source(f"ids/{i:05d}.bin") for i in shards),
        source,
    )
    tasks = []
    for number, n in enumerate(files):
        for _ in range(n):
            tasks.append(
                Task(plan.name, len(tasks), inputs, folder, PackArgs(config, len(tasks), SPLITS[number], shards))
            )
    extra = {
        "kind": "tokens",
        "row_tokens": config.row_tokens,
        **facts,
        **engine,
        "documents": documents.dir.name,
        "encoded": os.path.relpath(encoded.dir, folder),
        "routed": os.path.relpath(routed.dir, folder),
        "mixture": [
            {"source": s, "host": h, "epochs": round(e, 6)} for (s, h), e in sorted(rates.items())
        ][:1_000],
    }  # fmt: skip
    made = run_step(plan, folder, tasks, pack_file, executor, progress=progress, extra=extra)
    for name in ("train", "validation"):
        if not made.counts.get(f"{name}_rows"):
            raise StepError(
                f"tokenize: the {name} split is empty ({encoded.counts['rows_in']:,} documents in). Choose another "
                "tokenize.validation_fraction, or split_by = 'document' if there are few hosts."
            )
    return made


_NOT_OURS = ("tokenizer", "kind", "split", "special_tokens", "vocab_size", "min_frequency")


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


def encode_shard(task: Task) -> ShardResult:
    """`ids/<n>.bin`: ids of all texts one after the other, without document ends; `documents/<n>`: a row for each."""
    args: EncodeArgs = task.args
    config = args.config
    encoder = encoder_of(task.inputs[1].path, args.engine)
    lengths = facts_of(task.inputs[1].path).lengths
    columns = list(dict.fromkeys(["doc_id", "host", "text", config.mix_by]))
    path, table = task.file("ids", ".bin"), task.file("documents")
    counts: dict[str, Any] = {"rows_in": 0, "rows_out": 0, "dropped": {}, "tokens": 0}
    groups: dict[Group, int] = {}
    parts = []
    with atomic(path) as tmp, open(tmp, "wb") as out, pq.ParquetFile(task.inputs[0].path) as f:
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
            known = sizes
            if encoder.name != "kernel":  # a tokenizer that may have [UNK]: what that stands for is not known
                spelt = np.append(lengths[ids], 0)
                known = np.add.reduceat(spelt, np.minimum(ends - tokens, len(spelt) - 1)) * (tokens > 0)
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
            counts["rows_in"] += len(hosts)
            counts["tokens"] += len(ids)
            for s, h, number, n in zip(sources, hosts, splits.tolist(), tokens.tolist(), strict=True):
                if number == 0:
                    groups[(s, h)] = groups.get((s, h), 0) + n + 1
    counts["rows_out"] = counts["rows_in"]
    made = pa.concat_tables(parts) if parts else DOCUMENTS.empty_table()
    write_parquet(table, made)
    ordered = sorted(groups.items())
    shares = pa.table(
        {
            "source": pa.array([s for (s, _), _ in ordered], pa.string()),
            "host": pa.array([h for (_, h), _ in ordered], pa.string()),
            "tokens": pa.array([n for _, n in ordered], pa.int64()),
        }
    )
    write_parquet(task.file("groups"), shares)
    return ShardResult({path: None, table: len(made), task.file("groups"): len(shares)}, counts)


def _files_of(counts: dict[str, Any], split: str, config: TokenizeConfig) -> int:
    """How many output files a split gets; the mixture may fill them unevenly."""
    size = counts.get(f"{split}_text_bytes", 0)
    return -(-size // config.shard_bytes) if size else int(split != "test")


def _sizes(encoded: Dataset) -> dict[Group, int]:
    """Train tokens of each (source, host)."""
    found: dict[Group, int] = {}
    for path in encoded.files("groups"):
        for row in pq.read_table(path).to_pylist():
            key = (row["source"], row["host"])
            found[key] = found.get(key, 0) + row["tokens"]
    return found


def _mixed(doc_ids: npt.NDArray[np.uint64], salt: int) -> npt.NDArray[np.uint64]:
    """A hash of documents by their ids, shape (n, 2) uint64, and a number (splitmix64, Steele et al. 2014)."""
    h = np.full(len(doc_ids), np.uint64(salt & (2**64 - 1)))
    for part in (doc_ids[:, 0], doc_ids[:, 1]):
        h = (h ^ part) + np.uint64(0x9E3779B97F4A7C15)
        h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        h ^= h >> np.uint64(31)
    return h


def ids_as_numbers(column: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """16-byte ids as (n, 2) uint64."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not len(whole):
        return np.zeros((0, 2), np.uint64)
    raw = np.frombuffer(whole.buffers()[1], np.uint8)[16 * whole.offset : 16 * (whole.offset + len(whole))]
    return raw.view("<u8").reshape(-1, 2)


def route_shard(task: Task) -> ShardResult:
    """`routes/<n>`: into which output file each document goes, how often, and its number in the order there."""
    args: RouteArgs = task.args
    config = args.config
    table = pq.read_table(task.inputs[0].path)
    numbers, splits = ids_as_numbers(table["doc_id"]), table["split"].to_numpy()
    often = np.ones(len(table), np.int64)
    if args.rates:
        rates = dict(args.rates)
        pairs = list(zip(table["source"].to_pylist(), table["host"].to_pylist(), strict=True))
        rate = np.array([rates.get(p, 1.0) if s == 0 else 1.0 for p, s in zip(pairs, splits.tolist(), strict=True)])
        chance = _mixed(numbers, 2 * config.seed + 1) / 2.0**64
        for value in np.unique(rate).tolist():
            inside = (rate == value) & (splits == 0)
            often[inside] = times(value, chance[inside])
    place = np.repeat(np.arange(len(table)), often)
    copy = np.arange(len(place)) - np.repeat(np.cumsum(often) - often, often)
    order = np.zeros(len(place), np.uint64)
    for c in range(int(copy.max(initial=-1)) + 1):
        mine = copy == c
        order[mine] = _mixed(numbers[place[mine]], (2 * config.seed + 2 * c * 0x632BE59BD9B4E019) & (2**64 - 1))
    starts = np.cumsum([0, *args.files])[:-1]
    files = np.array(args.files)[splits[place]]
    file = starts[splits[place]] + _place_of(order, files)
    by = np.lexsort((copy, place, file))
    columns = [file[by].astype(np.int32), order[by], place[by].astype(np.int32), copy[by].astype(np.int32)]
    path = task.file("routes")
    write_parquet(path, pa.table([pa.array(c) for c in columns], schema=ROUTES), row_group_rows=8_192)
    counts = {
        "documents": len(table),
        "routed": len(place),
        "left_out": int((often == 0).sum()),
        "copies": int((copy > 0).sum()),
    }
    return ShardResult({path: len(place)}, counts)


def _place_of(order: npt.NDArray[np.uint64], files: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """A file of each document's split, by the upper bits of its number."""
    found: npt.NDArray[np.int64] = ((order >> np.uint64(32)) * files.astype(np.uint64) >> np.uint64(32)).astype(
        np.int64
    )
    return found


@dataclass(frozen=True)
class Gathered:
    """The documents of one output file in their order.

    Attributes:
        ids: of all documents, without their ends. first, lengths: where each begins in `ids`, and its tokens with its end.
        doc_ids: (n, 2) uint64. sources: of each. bytes: of their texts.
    """

    ids: npt.NDArray[np.unsignedinteger[Any]]
    first: npt.NDArray[np.int64]  # of each document in `ids`
    lengths: npt.NDArray[np.int64]  # with its end
    doc_ids: npt.NDArray[np.uint64]
    sources: pa.Array
    bytes: int


def pack_file(task: Task) -> ShardResult:
    """`<split>/<n>`: the documents that are routed to one file, packed into rows in random order."""
    args: PackArgs = task.args
    config, tokenizer = args.config, task.inputs[-1]
    known = facts_of(tokenizer.path)
    dtype = dtype_of(known.size)
    n, paths = len(args.shards), [s.path for s in task.inputs]
    found = _gather(paths[:n], paths[n : 2 * n], paths[2 * n : 3 * n], args.file, dtype)
    packed = pack(found.lengths, row_tokens=config.row_tokens, how=config.packing)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([config.seed, args.file])))
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
    path = task.out / args.split / f"{args.file:05d}.parquet"
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


def _gather(
    routes: Sequence[Path], documents: Sequence[Path], ids: Sequence[Path], file: int, dtype: np.dtype[Any]
) -> Gathered:
    """What is routed to one file, from every shard."""
    flats, counts, orders, copies, doc_ids, sources = [], [], [], [], [], []
    size = 0
    for route, document, tokens_at in zip(routes, documents, ids, strict=True):
        mine = list(rows_between(route, "file", file, file, ROUTES.names))
        routed = pa.concat_tables(mine) if mine else ROUTES.empty_table()
        if not len(routed):
            continue
        place = routed["place"].to_numpy()
        table = pq.read_table(document)
        tokens = table["tokens"].to_numpy()
        ends = np.cumsum(tokens)
        flat = np.memmap(tokens_at, dtype, "r") if tokens_at.stat().st_size else np.empty(0, dtype)
        spans = zip((ends - tokens)[place].tolist(), ends[place].tolist(), strict=True)
        flats += [np.asarray(flat[a:b]) for a, b in spans]
        counts.append(tokens[place])
        orders.append(routed["order"].to_numpy())
        copies.append(routed["copy"].to_numpy())
        taking = pa.array(place)
        doc_ids.append(ids_as_numbers(table["doc_id"].take(taking)))
        sources.append(table["source"].take(taking).combine_chunks())
        size += int(table["bytes"].to_numpy()[place].sum())
    if not flats:
        nothing = np.zeros(0, np.int64)
        return Gathered(np.empty(0, dtype), nothing, nothing, np.zeros((0, 2), np.uint64), pa.array([], pa.string()), 0)
    lengths = np.concatenate(counts)
    numbers = np.concatenate(doc_ids)
    by = np.lexsort((np.concatenate(copies), numbers[:, 1], numbers[:, 0], np.concatenate(orders)))
    return Gathered(
        np.concatenate(flats),
        (np.cumsum(lengths) - lengths)[by],
        lengths[by] + 1,
        numbers[by],
        pa.concat_arrays(sources).take(pa.array(by)),
        size,
    )


def documents_of(tokens: Dataset, split: str) -> Iterator[Gathered]:
    """The documents of a split, uncut, in the order and as often as they are in the token shards; file by file.

    Raises: UsageError if what they were packed from is not there any more.
    """
    folders = [tokens.dir / tokens.manifest[name] for name in ("encoded", "routed")]
    for folder in folders:
        if not is_dataset(folder):
            raise UsageError(
                f"{folder}: the encoded documents are gone; `winnow tokenize` (or `winnow run --only tokenize`) makes them anew."
            )
    encoded, routed = map(open_dataset, folders)
    dtype = np.dtype(tokens.manifest["dtype"])
    routes, documents, ids = routed.files("routes"), encoded.files("documents"), encoded.files("ids")
    for path in tokens.files(split):
        yield _gather(routes, documents, ids, int(path.stem), dtype)

"""Token shards in the formats of other trainers.

    nanogpt    train.bin, val.bin, test.bin: uint16 ids of all documents, an end of text behind each
    megatron   <split>.bin with ids and <split>.idx with the length and place of every document
    datatrove  <split>.ds with ids, .ds.index with the document ends, .ds.metadata
    hf         data/<split>-00000-of-00001.parquet with rows as lists, README.md with the YAML that `datasets` reads
    mds        MosaicML streaming, through its own library: a row as "tokens"
    litdata    Lightning's litdata, through its own library: ids for its TokensLoader

An export is a step like any other: it has a manifest, goes on after a kill, and what is damaged in it is written again.
The first three have whole documents, in the shuffled order and as often as the mixture has them; the others have rows.
"""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset, Source
from pipeline.core.errors import UsageError
from pipeline.core.files import atomic, parquet_options, write_bytes
from pipeline.core.step import ShardResult, Task
from tokenize_stage.config import SPLITS
from tokenize_stage.gather import Gathered, documents_of, packed_from

VERSION = 1
Ids = npt.NDArray[Any]
ROWS_PER_FILE = 1_000_000
MEGATRON_TYPES = {2: (8, "<u2"), 4: (4, "<i4")}  # code and type by size: indexed_dataset.py, DType


@dataclass(frozen=True)
class ExportArgs:
    tokens: Dataset
    form: str


def export(tokens: Dataset, form: str, out: Path, bench: Bench | None = None) -> dict[str, Any]:
    """Write a tokenize step in another format. What is written already is found.

    Args:
        form: one of FORMATS.
        out: a folder that is empty, not there, or holds this export.
        bench: with `out` as the place of the step "export"; one of its own by default.

    Returns: {"format", "files", "documents" or "rows", "tokens"}.
    Raises: UsageError for an unknown format, a folder with something else in it, a library that is not installed, or a
        vocabulary that the format cannot hold; DamagedInput if the tokens are not what their manifest says.
    """
    if tokens.manifest.get("kind") != "tokens":
        raise UsageError(f"{tokens.dir}: holds {tokens.manifest.get('kind')}, not token shards.")
    if form not in FORMATS:
        raise UsageError(f"no format '{form}'. winnow writes: {', '.join(FORMATS)}.")
    inputs: dict[str, tuple[Source, ...]] = {"rows": tuple(s for split in SPLITS for s in tokens.every(split))}
    if form in OF_DOCUMENTS:
        encoded, routed = packed_from(tokens)
        inputs |= {
            "routes": routed.every("routes"),
            "documents": encoded.every("documents"),
            "ids": encoded.every("ids"),
        }
    if form in CHECKS:
        CHECKS[form](tokens)
    bench = bench or Bench(out, fixed={"export": out})
    task = Task(0, inputs, ExportArgs(tokens, form))
    made = bench.step("export", {"format": form}, VERSION, [tokens], [task], export_tokens, extra={"kind": "export"})
    counts = {k: v for k, v in made.counts.items() if k in ("documents", "rows", "tokens")}
    return {"format": form, "files": sorted(made.file_hashes), **counts}


def export_tokens(task: Task[ExportArgs]) -> ShardResult:
    """All files of an export. What an attempt before left goes first: libraries add to it otherwise."""
    tokens, form, out = task.args.tokens, task.args.form, task.out
    for name in (*SPLITS, "data"):
        shutil.rmtree(out / name, ignore_errors=True)
    counts = FORMATS[form](tokens, out)
    own = [p for p in out.iterdir() if p.name.startswith((*SPLITS, "val.bin", "data", "README.md"))]
    files = [p for top in own for p in ([top] if top.is_file() else top.rglob("*")) if p.is_file()]
    return ShardResult(dict.fromkeys(sorted(files)), dict(counts))


def _with_ends(found: Gathered, eos: int) -> Ids:
    """Ids of all documents of a file in their order, each with its end."""
    ends = np.cumsum(found.lengths)
    ids = np.full(int(ends[-1]) if len(ends) else 0, eos, found.ids.dtype)
    for at, end, first in zip((ends - found.lengths).tolist(), ends.tolist(), found.first.tolist(), strict=True):
        ids[at : end - 1] = found.ids[first : first + end - at - 1]
    return ids


def _documents(tokens: Dataset, split: str) -> Iterator[tuple[Ids, npt.NDArray[np.int64]]]:
    """(ids with document ends, lengths of the documents) of every file."""
    eos = int(tokens.manifest["eos_id"])
    for found in documents_of(tokens, split):
        yield _with_ends(found, eos), found.lengths


def _used(tokens: Dataset) -> list[str]:
    return [s for s in SPLITS if tokens.counts.get(f"{s}_rows")]


def _fits_nanogpt(tokens: Dataset) -> None:
    if np.dtype(tokens.manifest["dtype"]).itemsize != 2:
        raise UsageError("nanogpt: its files have 16 bits a token; this vocabulary has more than 65,536 entries.")


def _nanogpt(tokens: Dataset, out: Path) -> dict[str, int]:
    counts = {"documents": 0, "tokens": 0}
    for split in _used(tokens):
        with _binary(out / {"validation": "val.bin"}.get(split, f"{split}.bin")) as f:
            for ids, lengths in _documents(tokens, split):
                f.write(ids.tobytes())
                counts["documents"] += len(lengths)
                counts["tokens"] += len(ids)
    return counts


@contextmanager
def _binary(path: Path) -> Iterator[BinaryIO]:
    """A file under a temporary name until it is whole."""
    with atomic(path) as tmp, open(tmp, "wb") as f:
        yield f


def _megatron(tokens: Dataset, out: Path) -> dict[str, int]:
    """Source: NVIDIA/Megatron-LM, megatron/core/datasets/indexed_dataset.py."""
    code, dtype = MEGATRON_TYPES[np.dtype(tokens.manifest["dtype"]).itemsize]
    counts = {"documents": 0, "tokens": 0}
    for split in _used(tokens):
        parts = []
        with _binary(out / f"{split}.bin") as f:
            for ids, lengths in _documents(tokens, split):
                f.write(ids.astype(dtype).tobytes())
                parts.append(lengths)
        sizes = np.concatenate(parts)
        places = (np.cumsum(sizes) - sizes) * np.dtype(dtype).itemsize
        with _binary(out / f"{split}.idx") as f:
            f.write(b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, code, len(sizes), len(sizes) + 1))
            f.write(sizes.astype("<i4").tobytes() + places.astype("<i8").tobytes())
            f.write(np.arange(len(sizes) + 1, dtype="<i8").tobytes())
        counts["documents"] += len(sizes)
        counts["tokens"] += int(sizes.sum())
    return counts


def _datatrove(tokens: Dataset, out: Path) -> dict[str, int]:
    """Source: huggingface/datatrove, pipeline/tokens/tokenizer.py: ids, ends as uint64, and three lines of facts."""
    size = np.dtype(tokens.manifest["dtype"]).itemsize
    counts = {"documents": 0, "tokens": 0}
    for split in _used(tokens):
        total = 0
        with _binary(out / f"{split}.ds") as f, _binary(out / f"{split}.ds.index") as index:
            for ids, lengths in _documents(tokens, split):
                f.write(ids.tobytes())
                index.write((np.cumsum(lengths) + total).astype("<u8").tobytes())
                counts["documents"] += len(lengths)
                total += len(ids)
        name = f"winnow-{tokens.manifest['tokenizer_sha256'][:8]}"
        write_bytes(out / f"{split}.ds.metadata", f"{name}|{size}\n{total}\n{total:,} T".encode())
        counts["tokens"] += total
    return counts


def _row_batches(tokens: Dataset, split: str) -> Iterator[tuple[Ids, Ids]]:
    """(ids (rows, row_tokens), real tokens) in file order."""
    from tokenize_stage.reader import TokenShards

    shards = TokenShards(tokens, split)
    for group in shards.groups:
        rows = np.arange(group.first, group.first + group.rows)
        yield shards.read(rows, np.empty((group.rows, shards.row_tokens), shards.dtype.newbyteorder("=")))


def _hf(tokens: Dataset, out: Path) -> dict[str, int]:
    schema = pa.schema([("input_ids", pa.list_(pa.int32())), ("n_tokens", pa.int32())])
    counts = {"rows": 0, "tokens": 0}
    width = int(tokens.manifest["row_tokens"])
    for split in _used(tokens):
        rows = int(tokens.counts[f"{split}_rows"])
        files = -(-rows // ROWS_PER_FILE)
        batches = _row_batches(tokens, split)
        for number in range(files):
            path, written = out / "data" / f"{split}-{number:05d}-of-{files:05d}.parquet", 0
            with atomic(path) as tmp, pq.ParquetWriter(tmp, schema, **parquet_options()) as writer:
                for ids, real in batches:
                    offsets = pa.array(np.arange(len(ids) + 1, dtype=np.int32) * width)
                    lists = pa.ListArray.from_arrays(offsets, pa.array(ids.ravel().astype(np.int32)))
                    writer.write_table(pa.table([lists, pa.array(real)], schema=schema))
                    written += len(ids)
                    counts["tokens"] += int(real.sum())
                    if written >= ROWS_PER_FILE:
                        break
            counts["rows"] += written
    write_bytes(out / "README.md", _card(tokens).encode())
    return counts


def _card(tokens: Dataset) -> str:
    """A dataset card whose YAML names the files of each split."""
    files = "".join(f"  - split: {s}\n    path: data/{s}-*.parquet\n" for s in _used(tokens))
    facts = json.dumps({k: tokens.manifest[k] for k in ("row_tokens", "vocab_size", "eos_id", "tokenizer_sha256")})
    return (
        f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n\n# Token rows\n\nPacked by winnow: {facts}. "
        "`input_ids` has the ids of a row, the last of them padding from `n_tokens` on.\n"
    )


def _needs(module: str, form: str) -> Callable[[Dataset], None]:
    def check(_: Dataset) -> None:
        if find_spec(module) is None:
            raise UsageError(f"{form}: needs the library: pip install 'winnow-lm[{form}]'.")

    return check


def _mds(tokens: Dataset, out: Path) -> dict[str, int]:
    from streaming import MDSWriter

    kind = {2: "uint16", 4: "uint32"}[np.dtype(tokens.manifest["dtype"]).itemsize]
    columns = {"tokens": f"ndarray:{kind}:{tokens.manifest['row_tokens']}", "n_tokens": "int"}
    counts = {"rows": 0, "tokens": 0}
    for split in _used(tokens):
        with MDSWriter(out=str(out / split), columns=columns) as writer:
            for ids, real in _row_batches(tokens, split):
                for row, n in zip(ids, real.tolist(), strict=True):
                    writer.write({"tokens": row, "n_tokens": n})
                    counts["tokens"] += n
                counts["rows"] += len(ids)
    return counts


def _litdata(tokens: Dataset, out: Path) -> dict[str, int]:
    import torch
    from litdata import TokensLoader
    from litdata.streaming.writer import BinaryWriter

    counts = {"rows": 0, "tokens": 0}
    width = int(tokens.manifest["row_tokens"])
    for split in _used(tokens):
        writer = BinaryWriter(
            str(out / split),
            chunk_bytes="64MB",
            item_loader=TokensLoader(block_size=width),
            follow_tensor_dimension=False,
        )
        index = 0
        for ids, real in _row_batches(tokens, split):
            for row in ids:
                writer[index] = torch.from_numpy(row.astype(np.int32))
                index += 1
            counts["tokens"] += int(real.sum())
        writer.done()
        writer.merge()
        counts["rows"] += index
    return counts


FORMATS: dict[str, Callable[[Dataset, Path], dict[str, int]]] = {
    "nanogpt": _nanogpt,
    "megatron": _megatron,
    "datatrove": _datatrove,
    "hf": _hf,
    "mds": _mds,
    "litdata": _litdata,
}
OF_DOCUMENTS = ("nanogpt", "megatron", "datatrove")
CHECKS: dict[str, Callable[[Dataset], None]] = {
    "nanogpt": _fits_nanogpt,
    "mds": _needs("streaming", "mds"),
    "litdata": _needs("litdata", "litdata"),
}

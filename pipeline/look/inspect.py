"""A glance into any file or step: what it is, how much, and some of it. Files may be damaged, or not what their name says."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from pipeline.core.answers import Json
from pipeline.core.dataset import MANIFEST, Source, is_dataset, open_dataset
from pipeline.core.errors import DataError, UsageError, WinnowError
from pipeline.ingest.parquet import values
from pipeline.ingest.plan import kind_of
from pipeline.ingest.rows import Broken, jsonl_rows
from pipeline.ingest.warc import captures
from pipeline.look.tokens import ShardGlance, look_at_shard
from pipeline.run.run import RUN, read_run

MAX_RECORD_BYTES = 50_000_000
MAX_JSON_BYTES = 200_000_000
MAX_PROBLEM_CHARS = 300
OPEN = ".open"  # behind the name of a WARC file that a crawl is writing
# What reading a file of any content may raise, when the file is to blame.
UNREADABLE = (
    pa.ArrowException,
    OSError,
    EOFError,
    ValueError,
    OverflowError,
    RecursionError,
    zlib.error,
    zstandard.ZstdError,
)
# A value of a file that anybody may have written, as pyarrow gives it or as JSON; bytes of a column as hex digits.
Cell: TypeAlias = object
Row: TypeAlias = dict[str, Cell]


@dataclass(frozen=True)
class StepGlance:
    """A sealed step, from its manifest. `kind` is that of its data; `files` how many it has."""

    kind: str | None
    step: str
    key: str
    counts: Json
    lineage: Json
    errors: tuple[str, ...] | None
    files: int


@dataclass(frozen=True)
class RunGlance:
    """A run directory: its recipe's name, and the folder of each stage."""

    kind: Literal["run"] = field(default="run", init=False)
    recipe: str
    steps: dict[str, str]


@dataclass(frozen=True)
class JsonGlance:
    """A JSON file."""

    kind: Literal["json"] = field(default="json", init=False)
    value: Json


@dataclass(frozen=True)
class ParquetGlance:
    """A Parquet file: the type of each column, what winnow wrote into its metadata, and its first rows."""

    kind: Literal["parquet"] = field(default="parquet", init=False)
    bytes: int
    num_rows: int
    row_groups: int
    columns: dict[str, str]
    metadata: dict[str, str]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class WarcRecord:
    """A capture: `bytes` is the length of its body as stored, `broken` says what is wrong with the record."""

    offset: int
    url: str | None
    status: int | None
    type: str | None
    bytes: int
    time: str
    broken: str | None


@dataclass(frozen=True)
class WarcGlance:
    """A WARC file and its first captures."""

    kind: Literal["warc"] = field(default="warc", init=False)
    bytes: int
    rows: tuple[WarcRecord, ...]


@dataclass(frozen=True)
class JsonlLine:
    """A line, and where it begins: the byte in a plain file, the number of the line in a compressed one. A line that is no
    object is a text that says what is wrong."""

    position: int
    row: Json


@dataclass(frozen=True)
class JsonlGlance:
    """A JSONL file and its first lines."""

    kind: Literal["jsonl"] = field(default="jsonl", init=False)
    bytes: int
    rows: tuple[JsonlLine, ...]


Glance: TypeAlias = StepGlance | RunGlance | JsonGlance | ParquetGlance | ShardGlance | WarcGlance | JsonlGlance


def inspect(path: Path, *, rows: int = 5, tokenizer: Path | None = None) -> Glance:
    """Facts and the first rows of a step, run, Parquet, WARC, JSONL or JSON file.

    Args:
        rows: how many to show.
        tokenizer: decodes token shards; found by itself inside a run.

    Raises: UsageError for what is none of these; DataError, in one sentence, for what cannot be read as what it is called.
    """
    try:
        if path.is_dir():
            return _folder(path)
        return _file(path, max(rows, 0), tokenizer)
    except WinnowError:
        raise
    except UNREADABLE as error:
        raise DataError(f"{path}: cannot be read: {_said(error)}.") from error


def _said(error: BaseException) -> str:
    """What an error says, on one line of a bounded length."""
    text = (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
    shown = " ".join(text.split()).rstrip(".")
    return shown if len(shown) <= MAX_PROBLEM_CHARS else shown[:MAX_PROBLEM_CHARS] + "…"


def _folder(path: Path) -> Glance:
    if is_dataset(path):
        return _step(path)
    if (path / RUN).is_file():
        listed = read_run(path)
        return RunGlance(listed.recipe, listed.steps)
    if (path / "step.json").is_file():
        raise UsageError(f"{path}: an unfinished step: the command that began it goes on with it.")
    raise UsageError(f"{path}: a folder, but no run (run.json) and no finished step (manifest.json).")


def _step(path: Path) -> StepGlance:
    m = open_dataset(path).manifest
    kind, step, key, errors = m.get("kind"), m["step"], m["key"], m.get("errors")
    shapes = (
        (kind, str | None), (step, str), (key, str), (m["counts"], dict), (m["lineage"], dict), (m["files"], dict),
        (errors, list | None),
    )  # fmt: skip
    if not all(isinstance(value, shape) for value, shape in shapes):
        raise DataError(f"{path / MANIFEST}: damaged (an entry is not of its type).")
    listed = None if errors is None else tuple(map(str, errors))
    return StepGlance(kind, step, key, m["counts"], m["lineage"], listed, len(m["files"]))


def _file(path: Path, rows: int, tokenizer: Path | None) -> Glance:
    if not path.exists():
        raise UsageError(f"{path}: no such file, step or run.")
    if not path.is_file():
        raise UsageError(f"{path}: neither a file nor a folder (a device, a pipe or a socket).")
    if path.suffix == ".parquet":
        return _parquet(path, rows, tokenizer)
    size = path.stat().st_size
    if path.suffix == ".json":
        if size > MAX_JSON_BYTES:
            raise UsageError(f"{path}: {size:,} bytes are too many for one JSON value.")
        return JsonGlance(json.loads(path.read_bytes()))
    kind = kind_of(path.with_name(path.name.removesuffix(OPEN)))
    if kind == "warc":
        return WarcGlance(size, _records(path, rows))
    if kind == "jsonl":
        lines = islice(jsonl_rows(Source(path, ""), max_bytes=MAX_RECORD_BYTES), rows)
        return JsonlGlance(size, tuple(JsonlLine(p, r.problem if isinstance(r, Broken) else r) for p, r in lines))
    raise UsageError(f"{path}: winnow does not know this kind of file.")


def _records(path: Path, rows: int) -> tuple[WarcRecord, ...]:
    return tuple(
        WarcRecord(c.offset, c.url, c.status, c.content_type, len(c.body), str(c.time or ""), c.broken or None)
        for c in islice(captures(path, max_bytes=MAX_RECORD_BYTES), rows)
    )


def _parquet(path: Path, rows: int, tokenizer: Path | None) -> ParquetGlance | ShardGlance:
    with pq.ParquetFile(_place(path), page_checksum_verification=True) as file:
        pairs = (file.schema_arrow.metadata or {}).items()
        metadata = {_text(k): _text(v) for k, v in pairs if b"winnow" in k}
        if "winnow.dtype" in metadata:
            return look_at_shard(path, rows=rows, tokenizer=tokenizer)
        first = next(file.iter_batches(batch_size=rows, use_threads=False), None) if rows else None
        names = _distinct(file.schema_arrow.names)
        return ParquetGlance(
            bytes=path.stat().st_size,
            num_rows=file.metadata.num_rows,
            row_groups=file.metadata.num_row_groups,
            columns=dict(zip(names, map(str, file.schema_arrow.types), strict=True)),
            metadata=metadata,
            rows=_rows(names, first) if first is not None else (),
        )


def _place(path: Path) -> str | pa.BufferReader:
    """A file as pyarrow takes it: by a path, if that is UTF-8. (A Python file it reads in threads that may outlive us.)"""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return pa.BufferReader(path.read_bytes())
    return str(path)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _distinct(names: Sequence[str]) -> list[str]:
    """Names of columns; of those that are the same, the second one is `NAME (2)`."""
    return [n if n not in names[:i] else f"{n} ({names[:i].count(n) + 1})" for i, n in enumerate(names)]


def _rows(names: Sequence[str], batch: pa.RecordBatch) -> tuple[Row, ...]:
    columns = [[_cell(value) for value in values(column)] for column in batch.columns]
    return tuple(dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))


def _cell(value: Cell) -> Cell:
    return value.hex() if isinstance(value, bytes) else value

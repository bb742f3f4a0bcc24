"""A glance into any file or step: what it is, how much, and some of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.answers import Json
from pipeline.core.dataset import Source, is_dataset, open_dataset
from pipeline.core.errors import UsageError
from pipeline.core.files import read_json
from pipeline.ingest.plan import kind_of
from pipeline.ingest.rows import Broken, jsonl_rows
from pipeline.ingest.warc import captures
from pipeline.look.tokens import ShardGlance, look_at_shard

MAX_RECORD_BYTES = 50_000_000
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

    Raises: UsageError for what is none of these.
    """
    if is_dataset(path):
        m = open_dataset(path).manifest
        errors = None if m.get("errors") is None else tuple(m["errors"])
        return StepGlance(m.get("kind"), m["step"], m["key"], m["counts"], m["lineage"], errors, len(m["files"]))
    if (path / "run.json").is_file():
        found = read_json(path / "run.json")
        return RunGlance(found["recipe"], found["steps"])
    if not path.is_file():
        raise UsageError(f"{path}: no such file, step or run.")
    if path.suffix == ".parquet":
        return _parquet(path, rows, tokenizer)
    if path.suffix == ".json":
        return JsonGlance(read_json(path))
    kind = kind_of(path)
    if kind == "warc":
        return WarcGlance(path.stat().st_size, _records(path, rows))
    if kind == "jsonl":
        lines = islice(jsonl_rows(Source(path, ""), max_bytes=MAX_RECORD_BYTES), rows)
        return JsonlGlance(
            path.stat().st_size, tuple(JsonlLine(p, r.problem if isinstance(r, Broken) else r) for p, r in lines)
        )
    raise UsageError(f"{path}: winnow does not know this kind of file.")


def _records(path: Path, rows: int) -> tuple[WarcRecord, ...]:
    return tuple(
        WarcRecord(c.offset, c.url, c.status, c.content_type, len(c.body), str(c.time or ""), c.broken or None)
        for c in islice(captures(path, max_bytes=MAX_RECORD_BYTES), rows)
    )


def _parquet(path: Path, rows: int, tokenizer: Path | None) -> ParquetGlance | ShardGlance:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UsageError(f"{path}: {error}") from error
    with file:
        metadata = {k.decode(): v.decode() for k, v in (file.schema_arrow.metadata or {}).items() if b"winnow" in k}
        if "winnow.dtype" in metadata:
            return look_at_shard(path, rows=rows, tokenizer=tokenizer)
        first = next(file.iter_batches(batch_size=rows, use_threads=False), None) if rows else None
        return ParquetGlance(
            bytes=path.stat().st_size,
            num_rows=file.metadata.num_rows,
            row_groups=file.metadata.num_row_groups,
            columns={f.name: str(f.type) for f in file.schema_arrow},
            metadata=metadata,
            rows=tuple(_row(r) for r in first.to_pylist()) if first is not None else (),
        )


def _row(values: Mapping[str, Any]) -> Row:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}

"""A dataset: a directory of immutable files with a manifest that was written last."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.errors import DataError
from pipeline.core.files import read_sealed, short_hash

MANIFEST = "manifest.json"
_SHARD = re.compile(r"(\d{5})(\.[a-z0-9]+)?")


def shard_file(folder: Path | str, number: int, suffix: str = ".parquet") -> Path:
    """The file of one shard in a sub-folder of a dataset."""
    return Path(folder) / f"{number:05d}{suffix}"


def shard_of(path: Path) -> int | None:
    """The shard that a file belongs to; None for a file that is named otherwise."""
    found = _SHARD.fullmatch(path.name)
    return int(found[1]) if found else None


@dataclass(frozen=True)
class Source:
    """A file, or a part of one, that a task reads. `sha256` is that of the whole file."""

    path: Path
    sha256: str
    name: str = ""  # relative to the input root; part of a document's identity
    start: int = 0
    end: int | None = None
    kind: str = ""

    @property
    def shard(self) -> int:
        """The shard of the dataset that the file belongs to. Raises: ValueError for a file that is no shard's."""
        number = shard_of(self.path)
        if number is None:
            raise ValueError(f"{self.path}: not the file of a shard")
        return number

    def identity(self) -> list[Any]:
        """What a shard record keeps of it: no absolute path, so a moved run is still finished."""
        return [self.name or self.path.name, self.sha256, self.start, self.end]


@dataclass(frozen=True)
class Dataset:
    """A sealed step. Open one with `open_dataset`."""

    dir: Path
    manifest: dict[str, Any]

    @property
    def key(self) -> str:
        return str(self.manifest["key"])

    @property
    def step(self) -> str:
        return str(self.manifest["step"])

    @property
    def counts(self) -> dict[str, Any]:
        return dict(self.manifest["counts"])

    @property
    def params(self) -> dict[str, Any]:
        return dict(self.manifest["lineage"]["params"])

    @cached_property
    def file_hashes(self) -> dict[str, str]:
        return {name: f["sha256"] for name, f in self.manifest["files"].items()}

    @cached_property
    def content(self) -> str:
        """A hash of the content of all its files, by name."""
        return short_hash(self.file_hashes, 64)

    def content_of_shards(self) -> dict[str, str]:
        """A hash of the content of each shard's files, by its number."""
        found: dict[str, dict[str, str]] = {}
        for name, sha256 in self.file_hashes.items():
            number = shard_of(Path(name))
            found.setdefault(name if number is None else str(number), {})[name] = sha256
        return {shard: short_hash(files, 16) for shard, files in sorted(found.items())}

    def files(self, folder: str) -> list[Path]:
        """Files of one sub-folder in shard order."""
        return [self.dir / n for n in sorted(self.manifest["files"]) if n.startswith(folder + "/")]

    def shards(self) -> list[int]:
        return sorted(int(s) for s in self.manifest["shards"])

    def shard(self, folder: str, number: int, suffix: str = ".parquet") -> Source:
        """One shard's file of a sub-folder as the input of a task. Raises: KeyError if there is none."""
        return self.source(shard_file(folder, number, suffix).as_posix())

    def every(self, folder: str) -> tuple[Source, ...]:
        """All files of a sub-folder in shard order."""
        return tuple(self.source(n) for n in sorted(self.manifest["files"]) if n.startswith(folder + "/"))

    def rows(self, folder: str) -> int:
        """Rows of all files of a sub-folder."""
        return sum(f["rows"] or 0 for n, f in self.manifest["files"].items() if n.startswith(folder + "/"))

    def source(self, relative: str) -> Source:
        """One of its files as the input of a task."""
        return Source(self.dir / relative, self.manifest["files"][relative]["sha256"], name=relative)

    def table(self, folder: str, columns: list[str] | None = None) -> pa.Table:
        """All rows of one sub-folder in shard order. For what fits in memory: decisions, signals, small data."""
        parts = [pq.read_table(path, columns=columns) for path in self.files(folder)]
        return pa.concat_tables(parts) if parts else pa.table({})

    def batches(self, folder: str, columns: list[str] | None = None, rows: int = 1_000) -> Iterator[pa.RecordBatch]:
        for path in self.files(folder):
            with pq.ParquetFile(path) as f:
                yield from f.iter_batches(batch_size=rows, columns=columns)


def is_dataset(path: Path) -> bool:
    return (path / MANIFEST).is_file()


def open_dataset(path: Path) -> Dataset:
    """Open a sealed step. Raises: DataError if it was never finished or its manifest is damaged."""
    if not is_dataset(path):
        state = "not finished: it has no manifest.json" if path.is_dir() else "no such directory"
        raise DataError(f"{path}: {state}.")
    try:
        manifest = read_sealed(path / MANIFEST)
        for field in ("step", "key", "files", "counts", "shards", "lineage"):
            manifest[field]
    except (ValueError, KeyError, OSError) as error:
        raise DataError(f"{path / MANIFEST}: damaged ({error}).") from error
    return Dataset(path, manifest)

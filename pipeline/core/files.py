"""Writing files so that a crash at any moment leaves either the old file, the new file or a stray temporary.

Every file that winnow writes goes through `atomic`: temporary name in the same folder, fsync, rename, fsync of the
folder. A temporary file is named `.tmp-<pid>-<name>`, so two processes never share one, and `sweep` removes what a
killed run left behind.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TMP_PREFIX = ".tmp-"
LEVEL = 3  # of zstd, for what stays
SCRATCH_LEVEL = 1  # for what is read once or twice: half the time, a fifth more space


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f"{TMP_PREFIX}{os.getpid()}-{path.name}")
    try:
        yield tmp
        with open(tmp, "rb+") as f:
            os.fsync(f.fileno())
        os.replace(tmp, path)
    except BaseException:
        tmp.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_bytes(path: Path, data: bytes) -> None:
    with atomic(path) as tmp:
        tmp.write_bytes(data)


def canonical_json(value: Any, *, indent: int | None = None) -> str:
    """JSON with sorted keys: equal values give equal bytes. Raises TypeError for what JSON cannot hold."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=indent, allow_nan=False)


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, (canonical_json(value, indent=1) + "\n").encode())


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def write_parquet(
    path: Path, table: pa.Table, *, row_group_rows: int = 65_536, packed: bool = True, level: int = LEVEL
) -> None:
    """Write one Parquet file, page index on: byte-identical for identical tables.

    Args:
        packed: zstd and dictionaries; False for columns of hashes, which nothing makes smaller.
        level: of zstd.
    """
    options = parquet_options(packed=packed, level=level)
    with atomic(path) as tmp, pq.ParquetWriter(tmp, table.schema, **options) as writer:
        writer.write_table(table, row_group_size=row_group_rows)


def parquet_options(*, packed: bool = True, level: int = LEVEL) -> dict[str, Any]:
    """How winnow writes Parquet, for `pyarrow.parquet.ParquetWriter`."""
    how = (
        {"compression": "zstd", "compression_level": level}
        if packed
        else {"compression": "none", "use_dictionary": False}
    )
    return {**how, "write_page_index": True}


def sha256_file(path: Path) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def short_hash(value: Any, length: int = 8) -> str:
    """The first `length` hex digits of the sha256 of a JSON value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def sweep(folder: Path) -> int:
    """Remove temporary files that killed processes left under `folder`; returns how many.

    A temporary file of a process that is still alive is left alone.
    """
    removed = 0
    for path in folder.rglob(f"{TMP_PREFIX}*"):
        pid = path.name.removeprefix(TMP_PREFIX).split("-", 1)[0]
        if pid.isdigit() and int(pid) != os.getpid() and not _still_writes(int(pid), path):
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def _still_writes(pid: int, path: Path) -> bool:
    """Whether the process that began a file is alive: not ended, no zombie, no later process with the same number."""
    try:
        os.kill(pid, 0)
        written = path.stat().st_mtime
    except (ProcessLookupError, FileNotFoundError):
        return False
    except PermissionError:
        return True
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return True  # no /proc here: the number is all there is
    started = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return fields[0] not in ("Z", "X") and started < written + 1

"""Writing files so that a crash at any moment leaves either the old file, the new file or a stray temporary.

Every file that winnow writes goes through `atomic`: temporary name in the same folder, fsync, rename, fsync of the
folder. Where there is no room, nothing half written stays. A temporary file is named `.tmp-<pid>-<name>`, so two processes
never share one, and `sweep` removes what a killed run left behind.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.errors import DiskFull

TMP_PREFIX = ".tmp-"
SEAL = "sha256"
LEVEL = 3  # of zstd, for what stays
SCRATCH_LEVEL = 1  # for what is read once or twice: half the time, a fifth more space


# No space, over a quota, over the limit of a file's size.
FULL = {errno.ENOSPC: "no space left", errno.EDQUOT: "the quota is used up", errno.EFBIG: "the file grew too large"}


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends without an error.

    Raises: DiskFull if the block fails for want of space.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f"{TMP_PREFIX}{os.getpid()}-{path.name}")
    try:
        yield tmp
        with open(tmp, "rb+") as f:
            os.fsync(f.fileno())
        os.replace(tmp, path)
    except BaseException as error:
        tmp.unlink(missing_ok=True)
        if isinstance(error, Exception) and (full := disk_full(error, path)) is not None:
            raise full from error
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def disk_full(error: Exception, path: Path) -> DiskFull | None:
    """The error that says so where another one, of whatever library, was raised for want of space; None if it was not.

    Args:
        path: the file, or the folder, that was written.
    """
    if isinstance(error, DiskFull):
        return error
    why, cause = _why_full(error), error.__cause__ or error.__context__
    if why is None:
        return disk_full(cause, path) if isinstance(cause, Exception) else None
    place = next((p for p in (path, *path.parents) if p.exists()), Path("."))
    free = shutil.disk_usage(place).free
    return DiskFull(f"{path}: {why} ({free / 1e6:,.1f} MB free there). With room again the same command goes on.")


def _why_full(error: Exception) -> str | None:
    number = error.errno if isinstance(error, OSError) else None
    text = str(error)  # libraries in other languages have only this: "No space left on device (os error 28)"
    return FULL.get(number or 0) or next((why for n, why in FULL.items() if os.strerror(n) in text), None)


def write_bytes(path: Path, data: bytes) -> None:
    with atomic(path) as tmp:
        tmp.write_bytes(data)


def canonical_json(value: Any, *, indent: int | None = None) -> str:
    """JSON with sorted keys: equal values give equal bytes. Raises TypeError for what JSON cannot hold."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=indent, allow_nan=False)


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, _json_bytes(value))


def _json_bytes(value: Any) -> bytes:
    # what UTF-8 has no form for is a lone surrogate (of a file name, say), and its escape is one of JSON's as well
    return (canonical_json(value, indent=1) + "\n").encode("utf-8", "backslashreplace")


def write_sealed(path: Path, value: dict[str, Any]) -> None:
    """`write_json` of an object with the sha256 of the rest in it, for `read_sealed`."""
    write_json(path, {**value, SEAL: short_hash(value, 64)})


def read_sealed(path: Path) -> dict[str, Any]:
    """The object that `write_sealed` wrote. Raises: ValueError if a byte of the file is another; OSError."""
    data = path.read_bytes()
    value = json.loads(data.decode())
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    if SEAL not in value:
        raise ValueError("no sha256 of its own in it: it was changed, or is an earlier winnow's")
    if _json_bytes(value) != data or value.pop(SEAL, None) != short_hash(value, 64):
        raise ValueError("it was changed: its sha256 does not fit")
    return value


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
    return hashlib.sha256(canonical_json(value).encode("utf-8", "backslashreplace")).hexdigest()[:length]


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

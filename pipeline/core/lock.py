"""One lock for each result, whoever writes it.

A lock is a `flock` on a file: it goes with the processes that hold it, however they end. The file lies in the folder of the
result (or beside it, if the result is a file), names the process that took it, and is removed when it is given back. Processes
that write for the holder get the lock as well (`held`), so it is free only when the last of them is gone.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pipeline.core.errors import UsageError

NAME = ".lock"
ENDING_S = 20.0  # how long the children of a holder that was killed may take to end
POLL_S = 0.05

_HELD: dict[Path, IO[str]] = {}  # by lock file, of this process


@contextmanager
def lock(result: Path, *, file: bool = False) -> Iterator[None]:
    """Hold a result for writing. What this process holds already it may take again.

    Args:
        result: a folder, which is made if it is not there, or a file.
        file: whether it is a file.

    Raises: UsageError if another process holds it, naming that.
    """
    path = lock_file(result, file=file)
    if path in _HELD:
        yield
        return
    new = not file and not result.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    taken = _HELD[path] = _take(path, result)
    try:
        yield
    finally:
        del _HELD[path]
        path.unlink(missing_ok=True)
        fcntl.flock(taken, fcntl.LOCK_UN)  # for those, too, that were given it
        taken.close()
        if new and result.is_dir() and not any(result.iterdir()):
            result.rmdir()  # nothing came of it


def lock_file(result: Path, *, file: bool = False) -> Path:
    """Where the lock of a result lies."""
    place = result.parent.resolve() / result.name if result.name else result.resolve()
    return place.with_name(f".{place.name}{NAME}") if file else place / NAME


def held() -> list[int]:
    """File descriptors of all locks that this process holds, for a process that writes on its behalf."""
    return [f.fileno() for f in _HELD.values()]


def _take(path: Path, result: Path) -> IO[str]:
    patience = time.monotonic() + ENDING_S
    while True:
        f = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - held by the caller
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            f.seek(0)
            pid, host, since = ([*f.read().split("\n"), "", ""])[:3]
            f.close()
            if time.monotonic() > patience or (pid and not _ended(pid, host)):
                who = f"process {pid} on {host}, since {since}" if pid else "it does not say which"
                raise UsageError(f"{result}: another winnow is working on this result ({who}).") from error
            time.sleep(POLL_S)  # it was killed, and its children are about to end; or it has just taken the lock
            continue
        if _is_at(f, path):
            try:
                f.truncate(0)
                f.write(f"{os.getpid()}\n{socket.gethostname()}\n{time.strftime('%Y-%m-%d %H:%M:%S')}\n")
                f.flush()
            except OSError as error:
                error.filename = str(path)  # a write does not say where
                raise
            return f
        f.close()  # its holder removed it between our two calls


def _is_at(f: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(f.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _ended(pid: str, host: str) -> bool:
    """Whether a process of this machine is gone."""
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] in ("Z", "X")
    except OSError:
        return False

"""The crawling process and its owner: how it is started, that it ends with its parent, that a folder has only one."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import stat
import sys
import sysconfig
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pipeline.core.errors import UsageError
from pipeline.core.executor import killed_with_parent

STDIN = 0
LOCK = ".crawling"
WAIT_S = 10.0  # for a process that is about to end: its parent is gone, and the kernel has yet to reap it


def command(folder: Path) -> list[str]:
    """What starts a crawl of `folder`. `-P`: nothing is imported from the working folder, whatever stands there."""
    return [sys.executable, "-P", "-m", "crawler.worker", str(folder), str(os.getpid())]


def environment(*, proxy: str = "") -> dict[str, str]:
    """The environment of a crawling process: the caller's, but the working folder is no place for modules.

    The folder that holds this package comes first, so that a checkout works as well as an installation, and so that no
    folder of the user's PYTHONPATH can put another `crawler` before it. An empty entry there means the working folder.
    """
    own = str(Path(__file__).resolve().parents[1])
    given = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    installed = own in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))  # there it is found anyway
    entries = given if installed else [own, *given]
    made = {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(entries)}
    if proxy:  # Scrapy takes it from here for every request, robots.txt included
        made |= {"http_proxy": proxy, "https_proxy": proxy, "no_proxy": ""}
    return made


def end_with_parent(parent: int | None) -> None:
    """End this process when the one that started it is gone, however that ended.

    Then nobody waits for this crawl, and a second one may soon go on with its files. All that was fetched is written
    already; a record that is not whole yet is cut off by the next run. On Linux the kernel kills us, whatever we are
    doing; elsewhere, and in any case, a thread waits for the end of standard input: the parent holds the other end of
    that pipe and never writes to it. Started by hand, with no pipe and no `parent`, the process lives on its own.

    Args:
        parent: the process that must be alive: it may have ended before the kernel was asked to watch it.
    """
    if parent is not None and sys.platform == "linux":
        # The signal comes when the thread that started us ends; that is the one that reads what we print.
        killed_with_parent()
        if os.getppid() != parent:
            os._exit(1)
    if stat.S_ISFIFO(os.fstat(STDIN).st_mode):
        threading.Thread(target=_end_after_stdin, daemon=True).start()


def _end_after_stdin() -> None:
    while os.read(STDIN, 1):  # not sys.stdin: a thread that holds its lock would trouble the interpreter's own end
        pass
    os._exit(1)


def hold(folder: Path, *, wait_s: float = WAIT_S) -> int:
    """Hold a folder for the life of this process: two crawls that write the same WARC file would spoil it.

    The lock is the kernel's (flock), so it goes with the process, however that ends.

    Returns: the file descriptor that bears the lock; it is closed with the process.
    Raises: UsageError naming the holder, if one is still there after `wait_s` seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                holder = _holder(os.pread(file, 4_096, 0))
                os.close(file)
                raise UsageError(f"{folder}: another winnow is working on this result{holder}.") from error
        time.sleep(0.05)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    os.ftruncate(file, 0)
    os.pwrite(file, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now}).encode(), 0)
    return file


def _holder(note: bytes) -> str:
    try:
        said = json.loads(note)
    except ValueError:  # it has only just begun
        return ""
    if not isinstance(said, Mapping):
        return ""
    return f" (process {said.get('pid')} on {said.get('host')}, since {said.get('since')})"

"""What a command knows of the content of files, so that it reads back what it must and hashes nothing twice."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from pipeline.core.errors import UsageError
from pipeline.core.files import sha256_file

Check = Literal["read", "all", "off"]
CHECKS: tuple[Check, ...] = ("read", "all", "off")
Stamp = tuple[int, int, int, int]


class Hashes:
    """The sha256 of files, each one found once while the file stays as it is.

    Args:
        check: "read": what a step reads is hashed first, and what is finished when it was touched since; "all": what is
            finished is hashed as well; "off": sizes and hashes are believed.
        workers: threads that hash.
    """

    def __init__(self, check: Check = "read", workers: int = 1) -> None:
        self.check = check
        self.workers = workers
        self._known: dict[str, tuple[Stamp, str]] = {}

    def of(self, path: Path) -> str:
        """The sha256 of a file. Raises: OSError."""
        before = _stamp(path)
        known = self._known.get(str(path))
        if known is not None and known[0] == before:
            return known[1]
        found = sha256_file(path)
        if _stamp(path) == before:
            self._known[str(path)] = (before, found)
        return found

    def note(self, path: Path, sha256: str) -> None:
        """What a task of this command found."""
        self._known[str(path)] = (_stamp(path), sha256)

    def knows(self, path: Path, sha256: str) -> bool:
        """Whether this command has found that hash, and the file is as it was then."""
        known = self._known.get(str(path))
        try:
            return known is not None and known == (_stamp(path), sha256)
        except OSError:
            return False

    def differ(self, files: Iterable[tuple[Path, str]]) -> list[Path]:
        """Those files whose sha256 is another, or that cannot be read."""
        listed = list(files)
        with ThreadPoolExecutor(max(self.workers, 1)) as threads:
            fits = list(threads.map(self._fits, *zip(*listed, strict=True))) if listed else []
        return [path for (path, _), fit in zip(listed, fits, strict=True) if not fit]

    def _fits(self, path: Path, sha256: str) -> bool:
        try:
            return self.of(path) == sha256
        except OSError:
            return False


def check_named(name: str) -> Check:
    """One of CHECKS. Raises: UsageError."""
    for check in CHECKS:
        if check == name:
            return check
    raise UsageError(f"--check {name}: no such check. winnow has: {', '.join(CHECKS)}.")


def _stamp(path: Path) -> Stamp:
    stat = os.stat(path)
    # the time of the inode's last change cannot be set back, as that of the content can
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino

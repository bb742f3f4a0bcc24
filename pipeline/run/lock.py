"""One winnow at a time in a run directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.errors import UsageError


@contextmanager
def lock(root: Path) -> Iterator[None]:
    """Hold a run directory; the lock goes with the process, however it ends. Raises: UsageError if another holds it."""
    root.mkdir(parents=True, exist_ok=True)
    with open(root / ".lock", "w") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"{root}: another winnow is working on this run.") from error
        f.write(str(os.getpid()))
        f.flush()
        yield

"""Nothing of ours is imported from the folder that the user happens to stand in.

`python -m` and `python -c` look there first, so a `json.py` or a `train.py` of the user's would take the place of Python's or
ours, in the command and, by the same way, in each process that it starts. Plug-ins are loaded by their path and need no search.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]  # where our packages lie
SAFE = "PYTHONSAFEPATH"


def leave_working_folder() -> None:
    """Take the working folder out of Python's search, unless `PYTHONPATH` names it or our own packages lie in it."""
    here = Path.cwd().resolve()
    meant = {Path(p).resolve() for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p}
    if here not in meant and here != HOME:
        sys.path[:] = [p for p in sys.path if p and Path(p).resolve() != here]


@contextmanager
def safe_children() -> Iterator[None]:
    """Python processes that are started meanwhile do not search their working folder."""
    before = os.environ.get(SAFE)
    os.environ[SAFE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAFE]
        else:
            os.environ[SAFE] = before

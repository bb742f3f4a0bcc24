"""How kernels are compiled and cached. A kernel is a loop over bytes and arrays, written in numba and called a page or a batch at
a time; kernels lie in the folder `kernels` of the room that uses them, those that several rooms use in `pipeline/text/kernels`.

They take and return NumPy arrays, never Python objects; they are compiled once and cached on disk; fastmath is off, so that
results do not depend on the CPU. `NUMBA_BOUNDSCHECK=1` in the tests checks every index.

numba knows that a cached kernel is out of date by its own file alone, and kernels call one another across files. So the cache
lies in a folder named by a hash of all of them: after an update everything is compiled anew, and nothing stale is ever run.
Every kernel folder imports this module before it compiles anything.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import numba

_HERE = Path(__file__).parent
_TOP = _HERE.parents[2]
_FOLDER = "compiled-"


def kernel_sources() -> list[Path]:
    """Every file that is compiled into kernels: the kernel folders of all rooms."""
    rooms = ("pipeline/**/kernels/*.py", "tokenize_stage/kernels/*.py")
    return sorted(path for room in rooms for path in _TOP.glob(room))


def _digest() -> str:
    found = hashlib.sha256()
    for path in kernel_sources():
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


def _set_cache() -> Path | None:
    """Point numba to the folder of these sources; None where nothing can be written there, and numba finds a place itself."""
    base = Path(os.environ.get("NUMBA_CACHE_DIR") or _HERE / "__pycache__")
    folder = base / f"{_FOLDER}{_digest()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    numba.config.CACHE_DIR = str(folder)
    return folder


CACHE = _set_cache()


def remove_old_caches() -> int:
    """Remove what earlier sources were compiled to; returns how many folders that were."""
    if CACHE is None:
        return 0
    old = [p for p in CACHE.parent.glob(f"{_FOLDER}*") if p != CACHE]
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    return len(old)

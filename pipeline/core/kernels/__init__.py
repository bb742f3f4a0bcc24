"""Compiled kernels: loops over bytes and arrays, written in numba and called a page or a batch at a time.

All kernels live here. They take and return NumPy arrays, never Python objects; they are compiled once and cached on
disk; fastmath is off, so that results do not depend on the CPU. `NUMBA_BOUNDSCHECK=1` in the tests checks every index.

numba knows that a cached kernel is out of date by its own file alone, and kernels call one another across files. So the cache
lies in a folder named by a hash of all of them: after an update everything is compiled anew, and nothing stale is ever run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import numba

_HERE = Path(__file__).parent
_FOLDER = "compiled-"


def _digest() -> str:
    """Of every source that is compiled into kernels."""
    found = hashlib.sha256()
    for path in (*sorted(_HERE.glob("*.py")), _HERE.parent / "chars.py"):
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

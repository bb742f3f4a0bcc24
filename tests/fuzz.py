"""Fuzz tests: hypothesis throws anything at what reads text from outside, with kernels that check every index.

A test says `@fuzz` above its `@given`. The suite runs all of them in one child with bounds checks (`tests/test_fuzz.py`), a few
examples each; `make fuzz` runs them longer, and `pytest -m fuzz` in this process, as the kernels are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

F = TypeVar("F", bound=Callable[..., Any])

SUITE_EXAMPLES = 40
EXAMPLES = int(os.environ.get("WINNOW_FUZZ_EXAMPLES", SUITE_EXAMPLES))
TOP = Path(__file__).parents[1]
CHECKED = {  # kernels compiled with bounds checks lie beside the others, or numba would take one for the other
    "NUMBA_BOUNDSCHECK": "1",
    "NUMBA_CACHE_DIR": str(TOP / ".pytest_cache" / "numba-with-bounds-checks"),
}


def fuzz(test: F) -> F:
    """Mark a hypothesis test as a fuzz test: `WINNOW_FUZZ_EXAMPLES` examples, no deadline."""
    slow = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
    marked: F = pytest.mark.fuzz(settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=slow)(test))
    return marked

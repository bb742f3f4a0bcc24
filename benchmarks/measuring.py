"""How the benchmarks measure: CPU seconds, peak memory, and the machine that they name. Standard library alone, so that peers'
environments can use it too."""

from __future__ import annotations

import os
import platform
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
RUNS = 3  # the median counts


def cpu(work: Callable[[], T]) -> tuple[float, T]:
    """CPU seconds of this process, and what `work` returned."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def median_cpu(work: Callable[[], T], runs: int = RUNS) -> tuple[float, T]:
    """The same, median of some runs; a warm-up is the caller's affair."""
    seconds, result = cpu(work)
    times = [seconds]
    for _ in range(runs - 1):
        seconds, result = cpu(work)
        times.append(seconds)
    return statistics.median(times), result


def megabytes_of(texts: list[str]) -> float:
    """10^6 bytes of UTF-8."""
    return sum(len(t.encode()) for t in texts) / 1e6


def machine() -> str:
    """The processor, the cores that this process may use, and the Python."""
    facts = Path("/proc/cpuinfo")
    named = re.findall(r"^model name\s*: (.+)$", facts.read_text(), re.MULTILINE) if facts.is_file() else []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{named[0] if named else platform.machine()}, {cores} cores, Python {platform.python_version()}"


def peak_bytes() -> int:
    """Most memory that this process has had. (`ru_maxrss` begins with that of the process that started it.)"""
    return _status("VmHWM")


def forget_peak() -> int:
    """Count the peak from now on; returns the memory in use."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> int:
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(name))
    return int(line.split()[1]) * 1024

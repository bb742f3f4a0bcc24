"""What a command may take of the machine, and when a run counts as failed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.core.errors import UsageError
from pipeline.core.executor import default_workers

MAIN_BYTES = 300 << 20  # the main process, with what it imports
WORKER_BYTES = 600 << 20  # a worker with its largest task (shards, ranges and buckets have sizes that inputs decide)


@dataclass(frozen=True)
class LimitsConfig:
    """`[limits]`: when a run counts as failed, and what one document may cost.

    Attributes:
        max_errors: recorded errors (broken records) above which `winnow run` ends with exit code 3; -1 for no limit.
        document_s: CPU seconds that a signal, an edit or a match may take for one document (a wait: ten times as long), and
            for each further one of a batch a hundredth of that; what takes longer is dropped as `too_slow`. 0 for no limit.
    """

    max_errors: int = -1
    document_s: float = 30.0


@dataclass(frozen=True)
class Limits:
    """How much of the machine a command may take. No result depends on it.

    Attributes:
        workers: processes.
        memory: bytes for all of them together; None for no limit.
    """

    workers: int
    memory: int | None = None

    @property
    def sorting(self) -> int | None:
        """Bytes for a sort, which runs while the workers wait."""
        return None if self.memory is None else (self.memory - MAIN_BYTES) // 2


def limits(workers: int | None, max_memory: str = "") -> Limits:
    """From the options of a command. Raises: UsageError for a size that is none, or too small for one worker."""
    wanted = default_workers() if workers is None else max(workers, 1)
    if not max_memory:
        return Limits(wanted)
    size = parse_bytes(max_memory)
    if size < MAIN_BYTES + WORKER_BYTES:
        raise UsageError(f"--max-memory {max_memory}: at least {(MAIN_BYTES + WORKER_BYTES) >> 20} MiB are needed.")
    return Limits(min(wanted, (size - MAIN_BYTES) // WORKER_BYTES), size)


def parse_bytes(text: str) -> int:
    """`4GiB`, `500M`, `1.5G` or a plain number as bytes; K, M, G, T are powers of 1,024. Raises: UsageError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", text, re.IGNORECASE)
    if not found:
        raise UsageError(f"--max-memory {text}: write a number with K, M, G or T, such as 4GiB.")
    return int(float(found[1]) * 1024 ** " kmgt".index(found[2].lower() or " "))

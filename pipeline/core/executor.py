"""Where tasks run: in this process, in a local pool, or (the seam) anywhere that can run a function on a record.

`Executor.run(fn, tasks)` yields one result per task, in the order of the tasks. A task is a few paths in, files out;
the result is a small record, so bulk data never crosses the engine. `fn` must be importable and tasks must pickle,
which is all that Ray Core tasks ask for as well.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, TypeVar

from pipeline.core.errors import StepError

T = TypeVar("T")
R = TypeVar("R")


class Executor(Protocol):
    def run(self, fn: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]: ...


class SerialExecutor:
    """Every task in this process, one after the other."""

    def run(self, fn: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
        return map(fn, tasks)


class PoolExecutor:
    """A spawn pool on this machine, kept from step to step.

    A worker that is killed (out of memory, by hand) breaks the pool: it is made anew and the tasks that were not
    finished run again, each one at most `max_kills` times.
    """

    def __init__(self, workers: int, *, max_kills: int = 2) -> None:
        self.workers = workers
        self.max_kills = max_kills
        self._pool: ProcessPoolExecutor | None = None

    def _start(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.workers, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare_worker
            )
        return self._pool

    def run(self, fn: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
        """Yield results in task order. Raises: StepError if a task kills its worker again and again."""
        kills = 0
        window = 4 * self.workers
        pending: dict[int, Future[R]] = {}
        position = 0
        while position < len(tasks):
            try:
                for i in range(position, min(position + window, len(tasks))):
                    if i not in pending:
                        pending[i] = self._start().submit(fn, tasks[i])
                result = pending[position].result()
            except BrokenProcessPool as error:
                self.close()
                pending = {i: f for i, f in pending.items() if f.done() and f.exception() is None}
                kills += 1
                if kills > self.max_kills:
                    raise StepError(
                        f"a worker process was killed {kills} times, last while task {position} was waited for. "
                        "The machine is probably out of memory: use fewer --workers or smaller shards."
                    ) from error
                continue
            del pending[position]
            position += 1
            yield result

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def make_executor(workers: int) -> SerialExecutor | PoolExecutor:
    return SerialExecutor() if workers <= 1 else PoolExecutor(workers)


def default_workers() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _prepare_worker() -> None:
    """Ctrl-C is the main process's affair, and a worker must not outlive it, even after kill -9."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    exit_with_parent()


def exit_with_parent() -> None:
    """End this process as soon as the process that started it is gone."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch(sentinel: Any) -> None:
        multiprocessing.connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()

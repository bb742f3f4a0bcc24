"""Where tasks run: in this process, in a local pool, or (the seam) anywhere that can run a function on a record.

`Executor.run(fn, tasks, told)` yields one result per task, in the order of the tasks. A task is a few paths in, files out;
the result is a small record, so bulk data never crosses the engine. `fn(task, tell)` must be importable and tasks must pickle,
which is all that Ray Core tasks ask for as well. What a task tells on its way is an event: the executor carries it to `told`
before the task's result comes.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from typing import Protocol, TypeVar

from pipeline.core.errors import StepError
from pipeline.core.events import Event, Listener, nobody
from pipeline.core.imports import safe_children
from pipeline.core.lock import held
from pipeline.text import gate

T = TypeVar("T")
R = TypeVar("R")
PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>
POLL_S = 0.2  # how often a pool looks for events while it waits for a result


class Executor(Protocol):
    """Attributes: workers: how many tasks run at a time."""

    workers: int

    def run(self, fn: Callable[[T, Listener], R], tasks: Sequence[T], told: Listener = nobody) -> Iterator[R]: ...

    def close(self, *, now: bool = False) -> None:
        """Give everything back; `now` ends running tasks instead of waiting for them."""
        ...


class SerialExecutor:
    """Every task in this process, one after the other."""

    workers = 1

    def run(self, fn: Callable[[T, Listener], R], tasks: Sequence[T], told: Listener = nobody) -> Iterator[R]:
        return (fn(task, told) for task in tasks)

    def close(self, *, now: bool = False) -> None:
        """There is nothing to give back."""


class _Channel:
    """What joins the main process and the workers of one pool: events come back, and when `stop` is closed they end.

    A worker writes an event before its task goes on, so all that a task has told is there when its result is. An event is small
    enough (`pipeline.core.step.MAX_NOTE_CHARS`) that the kernel writes it whole or not at all, even if the worker is killed.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.events: SimpleQueue[Event] = context.SimpleQueue()
        self.ended, self.stop = context.Pipe(duplex=False)
        self.locks = [Connection(os.dup(fd)) for fd in held()]  # a connection only because those can be sent

    def drain(self, told: Listener) -> None:
        while not self.events.empty():
            told(self.events.get())

    def close(self) -> None:
        self.stop.close()
        self.ended.close()
        self.events.close()
        for lock in self.locks:
            lock.close()


class PoolExecutor:
    """A spawn pool on this machine, kept from step to step.

    A worker that is killed (out of memory, by hand) breaks the pool: it is made anew and the tasks that were not
    finished run again, at most `max_kills` times until another one is finished.
    """

    def __init__(self, workers: int, *, max_kills: int = 2) -> None:
        self.workers = workers
        self.max_kills = max_kills
        self._pool: ProcessPoolExecutor | None = None
        self._channel: _Channel | None = None

    def _start(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._channel = channel = _Channel()
            self._pool = ProcessPoolExecutor(
                self.workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_prepare_worker,
                initargs=(channel.events, channel.ended, channel.locks),
            )
        return self._pool

    def run(self, fn: Callable[[T, Listener], R], tasks: Sequence[T], told: Listener = nobody) -> Iterator[R]:
        """Yield results in task order. Raises: StepError if a task kills its worker again and again."""
        kills = 0
        window = 4 * self.workers
        pending: dict[int, Future[R]] = {}
        position = 0
        while position < len(tasks):
            try:
                for i in range(position, min(position + window, len(tasks))):
                    if i not in pending:
                        with safe_children():
                            pending[i] = self._start().submit(_call, fn, tasks[i])
                result = self._wait(pending[position], told)
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
            except KeyboardInterrupt:
                self.close(now=True)
                raise
            del pending[position]
            position += 1
            kills = 0
            yield result

    def _wait(self, future: Future[R], told: Listener) -> R:
        while True:
            try:
                return future.result(POLL_S)
            except TimeoutError:
                if future.done():
                    return future.result()  # or raises what the task raised
            finally:
                if self._channel is not None:
                    self._channel.drain(told)

    def close(self, *, now: bool = False) -> None:
        pool, channel = self._pool, self._channel
        self._pool = self._channel = None
        if channel is not None and now:
            channel.stop.close()
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
        if channel is not None:
            channel.close()


def make_executor(workers: int, *, apart: bool = False) -> Executor:
    """Args: apart: no task runs in this process, not even with one worker: what it runs may take the process down."""
    return SerialExecutor() if workers <= 1 and not apart else PoolExecutor(max(workers, 1))


def default_workers() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_tell: Listener = nobody  # of this worker process: set once, when the pool starts it
_locks: list[Connection] = []  # that its parent holds: they are free when the last worker is gone, too


def _call(fn: Callable[[T, Listener], R], task: T) -> R:
    return fn(task, _tell)


def _prepare_worker(events: SimpleQueue[Event], ended: Connection, locks: list[Connection]) -> None:
    """Ctrl-C is the main process's affair, and a worker must not outlive it, even after kill -9."""
    global _tell
    _locks.extend(locks)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _tell = events.put
    gate.install()
    exit_with_parent(ended)


def killed_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends, whatever it is busy with. Only Linux can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def exit_with_parent(ended: Connection | None = None) -> None:
    """End this process as soon as the process that started it is gone, or the other end of `ended` is closed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    killed_with_parent()
    sentinels: list[int | Connection] = [parent.sentinel, *([ended] if ended is not None else [])]

    def watch() -> None:
        multiprocessing.connection.wait(sentinels)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

"""Extraction in a child process that can be killed, because HTML parsers can hang, crash or eat all memory.

The limit is CPU time, so a slow or busy machine does not change the outcome: the child arms ITIMER_PROF before each
page, and the kernel kills it even inside C code. A wall-clock limit of ten times that is the backstop. The child
also limits its own address space and exits when its parent is gone.
"""

from __future__ import annotations

import multiprocessing
import resource
import signal
from multiprocessing.connection import Connection
from typing import Any

from pipeline.core.executor import exit_with_parent
from pipeline.core.imports import safe_children
from pipeline.extract.outcome import Extracted
from pipeline.text import gate

WALL_FACTOR = 10


class ExtractWorker:
    """A child process that extracts one page at a time. Use as a context manager.

    Args:
        engine: name of an extractor in `pipeline.extract.engines`.
        max_cpu_s: CPU seconds that one page may cost.
        max_memory_bytes: address space of the child.
    """

    def __init__(self, engine: str, *, max_cpu_s: float, max_memory_bytes: int) -> None:
        self.engine = engine
        self.args = (engine, max_cpu_s, max_memory_bytes)
        self._process: Any = None
        self._pipe: Connection | None = None

    def __enter__(self) -> ExtractWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def extract(self, html: str, url: str) -> Extracted:
        """Extract one page; whatever happens to the child, an outcome comes back."""
        if self._process is None or not self._process.is_alive():
            self._start()
        assert self._pipe is not None
        try:
            self._pipe.send((html, url))
            if not self._pipe.poll(self.args[1] * WALL_FACTOR + 30):
                return self._lost("extract_timeout", f"no answer in {self.args[1] * WALL_FACTOR + 30:.0f} s")
            outcome: Extracted = self._pipe.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._process.join(10)
            code = self._process.exitcode
            if code in (-signal.SIGPROF, -signal.SIGXCPU):
                return self._lost("extract_timeout", f"more than {self.args[1]:g} s of CPU time")
            name = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
            return self._lost("extract_crash", f"extractor ended: {name}")
        return outcome

    def _lost(self, failure: str, note: str) -> Extracted:
        self._stop()
        return Extracted(failure=failure, note=note)

    def _start(self) -> None:
        self._stop()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, *self.args))
        with safe_children():
            self._process.start()
        theirs.close()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None


def _serve(pipe: Connection, engine: str, max_cpu_s: float, max_memory_bytes: int) -> None:
    from pipeline.extract.engines import ENGINES

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    exit_with_parent()
    gate.install()  # parsers log the addresses of pages
    resource.setrlimit(resource.RLIMIT_AS, (max_memory_bytes, max_memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    run = ENGINES[engine]
    while True:
        try:
            html, url = pipe.recv()
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_PROF, max_cpu_s)
        try:
            outcome = run(html, url)
        except MemoryError:
            outcome = Extracted(failure="extract_crash", note="out of memory")
        except Exception as error:  # noqa: BLE001 - a parser may raise anything; the page's outcome says so
            outcome = Extracted(failure="extract_error", note=f"{type(error).__name__}: {error}"[:300])
        signal.setitimer(signal.ITIMER_PROF, 0)
        pipe.send(outcome)

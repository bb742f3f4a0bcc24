"""The gates of a pass in a child process that can be killed: for documents on which a call hangs, takes all memory, or takes the
process down.

The limit is CPU time, so a busy machine does not change the outcome: the child arms ITIMER_PROF before each call, and the kernel
kills it even inside compiled code. A wall-clock limit of ten times that is for calls that wait. Which call it was lies in memory
that both processes see.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from pipeline.core.documents import Doc
from pipeline.core.errors import WinnowError
from pipeline.core.executor import exit_with_parent
from pipeline.core.imports import safe_children
from pipeline.core.watch import set_watcher
from pipeline.curate.crowd import Record
from pipeline.curate.limit import WALL_FACTOR, allowed
from pipeline.curate.net import CRASHED, SLOW, Batch, Stopped, Through

MAX_MEMORY_SHARE = 0.5  # of the machine's memory, as address space of a child
LEAST_MEMORY_BYTES = 6 << 30
START_S = 120
POLL_S = 0.1
NAME_BYTES = 400


class _Place:
    """What a child is at: gate, kind and name of the definition, the number of the call and of its documents."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.text = context.RawArray("c", NAME_BYTES)
        self.call = context.RawArray("q", 2)

    def set(self, parts: Sequence[str], documents: int) -> None:
        self.text.value = "\0".join(parts).encode("utf-8", "replace")[: NAME_BYTES - 1].replace(b"\0", b"\1")
        self.call[0] += 1
        self.call[1] = documents

    def get(self) -> list[str]:
        return [*self.text.value.decode("utf-8", "replace").split("\1"), "", "", ""][:3]


class Child:
    """A process that has the gates of one pass over one shard.

    Args:
        make: importable and picklable: makes the gates there.
        document_s: CPU seconds that a call may take for one document; 0 for no limit.
    """

    def __init__(self, make: Callable[[], Through], document_s: float) -> None:
        self.make, self.document_s = make, document_s
        self._process: Any = None
        self._pipe: Connection | None = None
        self._place = _Place()

    def take(self, batch: Batch) -> Record:
        """As `Through.take`, and the question is tried on what is left. Raises: Stopped, also when the child died."""
        record: Record = self._ask("take", batch.part(0, len(batch.rows)))
        return record

    def probe(self, docs: Sequence[Doc]) -> None:
        """As `Through.probe`."""
        self._ask("probe", list(docs))

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None

    def _ask(self, what: str, argument: object) -> Any:
        if self._process is None or not self._process.is_alive():
            self._start()
        assert self._pipe is not None
        try:
            self._pipe.send((what, argument))
            self._wait()
            kind, answer = self._pipe.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise self._died() from None
        if kind == "stopped":
            raise Stopped(*answer)
        if kind == "error":
            raise answer
        return answer

    def _wait(self) -> None:
        """Until there is an answer, or the child is gone. Raises: Stopped for a call that waits for too long."""
        assert self._pipe is not None
        number, since = -1, time.monotonic()
        while not self._pipe.poll(POLL_S):
            if self._place.call[0] != number:
                number, since = self._place.call[0], time.monotonic()
            limit = WALL_FACTOR * allowed(self.document_s, self._place.call[1])
            if self.document_s > 0 and self._place.call[1] and time.monotonic() - since > limit:
                gate, kind, name = self._place.get()
                self.close()
                raise Stopped(gate, SLOW, f"{kind} '{name}': no answer in {limit:.0f} s", name)

    def _died(self) -> Stopped:
        self._process.join(10)
        code = self._process.exitcode
        gate, kind, name = self._place.get()
        documents = max(self._place.call[1], 1)
        self.close()
        if code == -signal.SIGPROF:
            return Stopped(
                gate, SLOW, f"{kind} '{name}': more than {allowed(self.document_s, documents):g} s of CPU time", name
            )
        how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return Stopped(gate, CRASHED, f"{kind} '{name}': the process ended ({how})", name)

    def _start(self) -> None:
        self.close()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, self.make, self.document_s, self._place.text, self._place.call)
        self._process = context.Process(target=_serve, args=arguments)
        with safe_children():
            self._process.start()
        theirs.close()
        if not self._pipe.poll(START_S):
            raise self._died()
        self._pipe.recv()


def _serve(pipe: Connection, make: Callable[[], Through], document_s: float, text: Any, call: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    exit_with_parent()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    most = max(int(memory * MAX_MEMORY_SHARE), LEAST_MEMORY_BYTES)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    place = _Place.__new__(_Place)
    place.text, place.call = text, call
    gate = ""

    def watch(kind: str, name: str, documents: int) -> None:
        nonlocal gate
        if kind == "gate":
            gate, documents = name, 0
        place.set([gate, kind, name], documents)
        signal.setitimer(signal.ITIMER_PROF, allowed(document_s, documents) if documents and document_s > 0 else 0)

    through = make()
    set_watcher(watch)
    pipe.send(("ready", None))
    while True:
        try:
            what, argument = pipe.recv()
        except EOFError:
            return
        try:
            if what == "take":
                record = through.take(argument)
                through.probe(record.alive)
                answer: tuple[str, Any] = ("done", record)
            else:
                through.probe(argument)
                answer = ("done", None)
        except Stopped as stopped:
            answer = ("stopped", stopped.args)
        except WinnowError as error:
            answer = ("error", error)
        signal.setitimer(signal.ITIMER_PROF, 0)
        place.set([gate, "gate", gate], 0)
        pipe.send(answer)

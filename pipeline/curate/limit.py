"""Time that one call of a definition may take, watched from inside of a process that goes on afterwards.

Nothing is armed for a call. A timer ticks once in a while of CPU time, and looks whether the call that runs is still the one
that ran a tick ago: so a busy machine changes nothing, and calls cost nothing. A call that stays away from the interpreter (a
loop in compiled code) cannot be told to stop; then the kernel ends the process, and who runs the shard again does it with care
(`pipeline.curate.child`).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.core.watch import Interrupted, nobody, set_watcher

WALL_FACTOR = 10  # wall-clock seconds for each CPU second: for a call that waits
TICKS = 5  # in the time of one document
STUCK_FACTOR = 3  # times what a call may take, until the process ends that gives no sign


class TooSlow(Interrupted):
    """The call that runs took too long."""

    def __init__(self, kind: str, name: str, seconds: float) -> None:
        super().__init__(kind, name, seconds)
        self.kind, self.name, self.seconds = kind, name, seconds


def allowed(document_s: float, documents: int) -> float:
    """CPU seconds for a call on so many documents: those of one document, and for a batch a hundredth for each further one."""
    return document_s * (1 + (documents - 1) / 100)


class _Clock:
    def __init__(self, document_s: float) -> None:
        self.document_s = document_s
        self.tick_s = document_s / TICKS
        self.call: tuple[str, str, int] = ("", "", 0)
        self.number = 0
        self.seen = {
            signal.SIGPROF: (0, 0),
            signal.SIGALRM: (0, 0),
        }  # number of the call, and ticks since it was first seen

    def began(self, kind: str, name: str, documents: int) -> None:
        self.call = (kind, name, documents)
        self.number += 1

    def tick(self, which: int, _frame: Any) -> None:
        kind, name, documents = self.call
        number, ticks = self.seen[signal.Signals(which)]
        ticks = ticks + 1 if number == self.number else 0
        self.seen[signal.Signals(which)] = (self.number, ticks)
        limit = allowed(self.document_s, documents)
        if which == signal.SIGPROF:
            signal.setitimer(signal.ITIMER_VIRTUAL, STUCK_FACTOR * limit if documents else 0)
        if documents and ticks * self.tick_s > limit:
            raise TooSlow(kind, name, ticks * self.tick_s)


@contextmanager
def watched(document_s: float) -> Iterator[None]:
    """Raise TooSlow in what runs here when a call takes longer than `allowed`; 0 for no limit. Only in a main thread, which is
    where tasks run."""
    if document_s <= 0 or threading.current_thread() is not threading.main_thread():
        yield
        return
    clock = _Clock(document_s)
    before = {which: signal.signal(which, clock.tick) for which in (signal.SIGPROF, signal.SIGALRM)}
    set_watcher(clock.began)
    for which in before:
        signal.siginterrupt(which, False)
    signal.setitimer(signal.ITIMER_PROF, clock.tick_s, clock.tick_s)
    signal.setitimer(signal.ITIMER_REAL, clock.tick_s * WALL_FACTOR, clock.tick_s * WALL_FACTOR)
    try:
        yield
    finally:
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL, signal.ITIMER_VIRTUAL):
            signal.setitimer(timer, 0)
        set_watcher(nobody)
        for which, handler in before.items():
            signal.signal(which, handler)

"""Progress on stderr: a bar with rate and ETA on a terminal, one log line per step elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

NOTEWORTHY_S = 1.0  # a step without rows that took less has no line of its own


class Bars:
    """Shows the shards of one step at a time."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.live = sys.stderr.isatty() and not quiet
        self.quiet = quiet
        self._bar: Any = None
        self._task: Any = None
        self._began = 0.0
        self._step = ""
        self._rows = 0

    def start(self, step: str, total: int, done: int) -> None:
        self._step, self._began, self._rows = step, time.monotonic(), 0
        if self.live:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description:<18}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(), console=Console(stderr=True), transient=True,
            )  # fmt: skip
            self._bar.start()
            self._task = self._bar.add_task(step, total=total, completed=done, rate="")

    def advance(self, record: dict[str, Any]) -> None:
        self._rows += record["counts"].get("rows_in", 0)
        if self._bar is not None:
            rate = self._rows / max(time.monotonic() - self._began, 1e-6)
            self._bar.update(self._task, advance=1, rate=f"{rate:,.0f} rows/s" if self._rows else "")

    def finish(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        took = time.monotonic() - self._began
        if self._rows or took >= NOTEWORTHY_S:
            rows = f", {self._rows:,} rows" if self._rows else ""
            self.say(f"  {self._step:<16} {took:6.1f} s{rows}")

    def say(self, text: str) -> None:
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """A line that is overwritten by the next one; on a terminal only."""
        if self.live:
            print(f"\r\x1b[K  {text}", end="", file=sys.stderr, flush=True)

"""Progress on stderr: a bar with rate and ETA on a terminal, one log line per step elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.cli.show import terminal
from pipeline.core.events import Event, Fact, Said, ShardDone, StepEnded, StepStarted, TaskNote
from pipeline.text import gate
from pipeline.text.visible import padded, visible

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

NOTEWORTHY_S = 1.0  # a step without rows that took less has no line of its own


class Bars:
    """Hears the events of a command and shows one step at a time. Called in the main thread only."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.live = sys.stderr.isatty() and not quiet
        self.quiet = quiet
        self._bar: tuple[Progress, TaskID] | None = None
        self._began = 0.0
        self._rows = 0
        self._noted = False  # whether the step tells how far it is itself

    def __call__(self, event: Event) -> None:
        match event:
            case StepStarted():
                self._start(event)
            case ShardDone():
                self._advance(event)
            case StepEnded():
                self._finish(event)
            case TaskNote():
                self._note(event)
            case Said():
                self._say(event.step, event.text)

    def _start(self, event: StepStarted) -> None:
        self._began, self._rows, self._noted = time.monotonic(), 0, False
        if self.live:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            bar = Progress(
                TextColumn("{task.description:<18}", markup=False), BarColumn(), MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
                console=Console(file=terminal.beneath(sys.stderr)), transient=True,
            )  # fmt: skip
            bar.start()
            gate.install()  # in front of what the bar puts in place of stdout and stderr
            self._bar = bar, bar.add_task(visible(event.step), total=event.shards, completed=event.done, rate="")

    def _advance(self, event: ShardDone) -> None:
        self._rows += event.rows
        if self._bar is not None:
            bar, task = self._bar
            rate = self._rows / max(time.monotonic() - self._began, 1e-6)
            bar.update(task, advance=1, rate=f"{rate:,.0f} rows/s" if self._rows else "")

    def _finish(self, event: StepEnded) -> None:
        self._stop_bar()
        if self._noted:
            self._over("")
            return
        took = time.monotonic() - self._began
        if self._rows or took >= NOTEWORTHY_S:
            rows = f", {self._rows:,} rows" if self._rows else ""
            self._say(event.step, f"{took:6.1f} s{rows}")

    def _note(self, event: TaskNote) -> None:
        self._noted = True
        self._stop_bar()  # what the step tells says more
        self._over(f"{event.step}: {note(event.step, event.facts)}")
        score = event.facts.get("validation_bits_per_byte")
        if score is not None:
            self._over("")
            self._say(event.step, f"step {event.facts['step']:,}: {score:.3f} bits/byte on validation rows")

    def _stop_bar(self) -> None:
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None

    def _say(self, step: str, text: str) -> None:
        if not self.quiet:
            print(f"  {padded(step, 16)} {visible(text)}", file=sys.stderr, flush=True)

    def _over(self, text: str) -> None:
        """A line that is overwritten by the next one; on a terminal only."""
        if self.live:
            terminal.overwrite(text)


def note(step: str, facts: Mapping[str, Fact]) -> str:
    """How far a task is, for people."""
    if step == "crawl":
        return f"{facts['pages']:,} pages, {facts['known']:,} URLs known"
    if step == "train":
        rate = f"{facts['tokens_per_s']:,.0f} tokens/s"
        return f"step {facts['step']:,}/{facts['steps']:,}, loss {facts['loss']:.3f}, {rate}"
    return ", ".join(
        f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}" for name, value in facts.items()
    )

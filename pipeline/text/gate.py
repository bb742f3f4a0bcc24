"""The gate to the terminal: whatever a process writes to stdout or stderr goes through it, whoever writes.

Printing, usage errors, warnings, log lines of libraries and tracebacks all end in `sys.stdout` and `sys.stderr`; these are replaced
by streams that write escaped what would steer a terminal (`pipeline.text.visible`). The command and each process that it starts
put it up. Line ends stay: a value that must not break its line is made visible where it is put into one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from pipeline.text.visible import visible


class Shown:
    """A text stream whose writes are made visible. It has no `buffer`, so that nobody finds a way around it."""

    def __init__(self, beneath: TextIO) -> None:
        self.beneath = beneath
        if getattr(beneath, "errors", "") in ("strict", "surrogateescape"):
            reconfigure = getattr(beneath, "reconfigure", None)  # an ASCII terminal gets escapes, and no error
            if reconfigure is not None:
                reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        self.beneath.write(visible(text, keep="\n"))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name in ("buffer", "detach"):
            raise AttributeError(name)
        return getattr(self.beneath, name)


def install() -> None:
    """Put the gate in front of stdout and stderr; where it stands, nothing changes."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Shown):
            setattr(sys, name, Shown(stream))


@contextmanager
def gate() -> Iterator[None]:
    """The gate for as long as a block runs, for a command inside another program."""
    before = sys.stdout, sys.stderr
    install()
    try:
        yield
    finally:
        if not isinstance(before[0], Shown):
            sys.stdout = before[0]
        if not isinstance(before[1], Shown):
            sys.stderr = before[1]

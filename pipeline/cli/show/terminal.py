"""The gate to the terminal: whatever a command writes to stdout or stderr goes through it, whoever writes.

Printing, usage errors, warnings, log lines and tracebacks all end in `sys.stdout` and `sys.stderr`; these are replaced by
streams that write escaped what would steer a terminal (`pipeline.text.visible`). Line ends stay: a value that must not break
its line is made visible where it is put into one. Colours and the moving cursor are ours alone and have functions of their
own here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from pipeline.text.visible import visible

_COLOUR = re.compile(r"(\x1b\[[\d;]*m)")
_BACK = "\r\x1b[K"  # to the begin of the line, and clear it


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


def beneath(stream: TextIO) -> TextIO:
    """The stream behind the gate, for who draws on a terminal and makes everything visible first."""
    return cast(Shown, stream).beneath if isinstance(stream, Shown) else stream


def print_coloured(line: str) -> None:
    """Print a line with our colours in it; between them it is made visible like every other."""
    parts = _COLOUR.split(line)
    shown = "".join(part if n % 2 else visible(part) for n, part in enumerate(parts))
    sys.stdout.flush()
    beneath(sys.stdout).write(shown + "\n")


def overwrite(line: str) -> None:
    """A line on stderr that the next one takes the place of; "" clears it. For a terminal only."""
    stream = beneath(sys.stderr)
    stream.write(f"{_BACK}  {visible(line)}" if line else _BACK)
    stream.flush()

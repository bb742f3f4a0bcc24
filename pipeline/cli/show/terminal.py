"""What alone may steer the terminal: our colours, and the line that is written over. Everything else goes through the gate
(`pipeline.text.gate`)."""

from __future__ import annotations

import re
import sys
from typing import TextIO

from pipeline.text.gate import Shown
from pipeline.text.visible import visible

_COLOUR = re.compile(r"(\x1b\[[\d;]*m)")
_BACK = "\r\x1b[K"  # to the begin of the line, and clear it


def beneath(stream: TextIO) -> TextIO:
    """The stream behind the gate, for who draws on a terminal and makes everything visible first."""
    return stream.beneath if isinstance(stream, Shown) else stream


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

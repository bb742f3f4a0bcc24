"""Small pieces of text that terminal and pages share."""

from __future__ import annotations

from pipeline.look.stats import Gaps


def mib(size: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"


def bar(share: float, width: int = 40) -> str:
    return "█" * max(round(share * width), 1 if share > 0 else 0)


def gaps_line(gaps: Gaps) -> str:
    """How much of the inputs could not be read, in a sentence without its full stop."""
    of = "" if gaps.of_bytes is None else f" of {gaps.of_bytes:,}"
    places = "1 place" if gaps.places == 1 else f"{gaps.places:,} places"
    return f"bytes: {gaps.bytes:,}{of} could not be read in {places}"

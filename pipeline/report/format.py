"""Small pieces of text that terminal and pages share."""

from __future__ import annotations


def mib(size: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"


def bar(share: float, width: int = 40) -> str:
    return "█" * max(round(share * width), 1 if share > 0 else 0)

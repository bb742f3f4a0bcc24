"""Small pieces of terminal text."""

from __future__ import annotations


def plain(text: str) -> str:
    """Text from the web without control characters, so that it cannot steer a terminal."""
    return "".join(c if c.isprintable() or c == " " else " " for c in text)


def mib(n: int) -> str:
    """A number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n < 1024 or unit == "GiB":
            return f"{n:,.0f} {unit}" if unit == "B" else f"{n:,.1f} {unit}"
        n /= 1024  # type: ignore[assignment]
    return str(n)


def bar(share: float, width: int = 40) -> str:
    return "█" * max(round(share * width), 1 if share > 0 else 0)

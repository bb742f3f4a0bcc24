"""What an engine makes of one page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Extracted:
    """The outcome for one page. `failure` is None, "extract_timeout", "extract_crash" or "extract_error"."""

    text: str = ""
    title: str | None = None
    date: str | None = None
    failure: str | None = None
    note: str | None = None

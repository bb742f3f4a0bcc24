"""Signals that restate what is known about a capture, so that rules can use it."""

from __future__ import annotations

from pipeline.core.documents import Doc
from pipeline.core.registry import signal


@signal("opt_out_count")
def opt_out_count(doc: Doc) -> int:
    """Opt-out signals seen on the capture (noai and its like)."""
    return len(doc.rights)


@signal("text_bytes")
def text_bytes(doc: Doc) -> int:
    """UTF-8 bytes of the text."""
    return doc.text_bytes


@signal("link_count")
def link_count(doc: Doc) -> float | None:
    """Links on the page; nothing where the input was not HTML."""
    return doc.n_links


@signal("extract_confidence")
def extract_confidence(doc: Doc) -> float | None:
    """Expected F1 of the extraction, in [0, 1]; nothing where the engine gives none."""
    return doc.extract_confidence


@signal("truncated")
def truncated(doc: Doc) -> int:
    """1 where the capture is not whole: its archive says so, or its coding breaks off; else 0."""
    return int(doc.truncated is not None)

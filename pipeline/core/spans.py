"""Spans: the parts of a text that an edit replaces or removes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple


class Span(NamedTuple):
    """Characters [start, end) of a text to replace; an empty replacement removes them."""

    start: int
    end: int
    kind: str
    replacement: str = ""


def apply_spans(text: str, spans: Iterable[Span]) -> tuple[str, list[Span]]:
    """Replace spans; returns the new text and the spans that were applied, in order.

    Of two spans that overlap the earlier one wins, the longer one at an equal start.
    Raises: ValueError if a span lies outside the text.
    """
    applied: list[Span] = []
    parts: list[str] = []
    at = 0
    ordered = list(spans)
    if any(a.end > b.start for a, b in pairwise(ordered)):
        ordered.sort(key=lambda s: (s.start, -s.end, s.kind))
    for span in ordered:
        if not 0 <= span.start <= span.end <= len(text):
            raise ValueError(f"span {span.start}:{span.end} lies outside a text of {len(text)} characters")
        if span.start < at or span.start == span.end:
            continue
        parts += (text[at : span.start], span.replacement)
        at = span.end
        applied.append(span)
    if not applied:
        return text, []
    return "".join([*parts, text[at:]]), applied

"""Host templates: lines that many pages of one host repeat, and that extraction has left in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline.core.registry import Span, common_key, edit
from pipeline.core.schema import Doc

_LINE = re.compile(r"[^\n]*\S[^\n]*\n?")


def _lines(doc: Doc) -> Iterator[tuple[int, int, bytes]]:
    for m in _LINE.finditer(doc.text):
        yield m.start(), m.end(), " ".join(m[0].split()).encode()


def host_lines(doc: Doc, **_: Any) -> Iterator[tuple[bytes, bytes]]:
    """Every line of a document, white space folded, in the group of its host; nothing where the host is unknown."""
    if doc.host:
        for _start, _end, line in _lines(doc):
            yield doc.host.encode(), line


@edit("host_templates", keys=host_lines)
def host_templates(
    doc: Doc, *, min_documents: int = 10, min_share: float = 0.2, common: frozenset[bytes] = frozenset()
) -> Iterator[Span]:
    """Remove the lines that at least min_documents pages, and min_share of all pages, of the document's host have.

    Args:
        min_documents: pages of the host with the line, counted before this gate.
        min_share: the same as a share of the host's pages.
        common: those lines, from the engine.
    """
    if not common:
        return
    host = doc.host.encode()
    for start, end, line in _lines(doc):
        if common_key(host, line) in common:
            yield Span(start, end, "template")

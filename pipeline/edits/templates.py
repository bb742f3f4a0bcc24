"""Lines that many documents repeat: of one host (templates that extraction has left in), or of the whole corpus."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

from pipeline.core.documents import Doc
from pipeline.core.registry import common_key, edit
from pipeline.core.spans import Span

_BETWEEN = re.compile(
    r"\n(?=[^\S\n]*(?:\n|\Z))\s*"
)  # paragraphs: a line end before a blank line, and all white space from there


def _lines(doc: Doc) -> Iterator[tuple[int, int, bytes]]:
    """Lines with something on them, with their line ends; white space folded."""
    at, size = 0, len(doc.text)
    for line in doc.text.split("\n"):
        words = line.split()
        end = min(at + len(line) + 1, size)
        if words:
            yield at, end, _folded(words)
        at = end


def _paragraphs(doc: Doc) -> Iterator[tuple[int, int, bytes]]:
    """Parts between blank lines, with the white space after them."""
    text = doc.text
    blank = len(text) - len(text.lstrip())
    at = text.rfind("\n", 0, blank) + 1
    for end in [*(m.end() for m in _BETWEEN.finditer(text, blank)), len(text)]:
        words = text[at:end].split()
        if words:
            yield at, end, _folded(words)
        at = end


def _folded(words: list[str]) -> bytes:
    return " ".join(words).encode("utf-8", "replace")


def host_lines(doc: Doc, **_: Any) -> Iterator[tuple[bytes, bytes]]:
    """Every line of a document, white space folded, in the group of its host; nothing where the host is unknown."""
    if doc.host:
        for _start, _end, line in _lines(doc):
            yield doc.host.encode("utf-8", "replace"), line


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
    host = doc.host.encode("utf-8", "replace")
    for start, end, line in _lines(doc):
        if common_key(host, line) in common:
            yield Span(start, end, "template")


def corpus_lines(doc: Doc, *, min_chars: int, **_: Any) -> Iterator[tuple[bytes, bytes]]:
    """Every line of at least `min_chars` characters, white space folded, in one group for all documents."""
    for _start, _end, line in _lines(doc):
        if len(line.decode()) >= min_chars:
            yield b"", line


@edit("repeated_lines", keys=corpus_lines)
def repeated_lines(
    doc: Doc,
    *,
    min_documents: int = 7,
    min_share: float = 0.0,
    min_chars: int = 20,
    common: frozenset[bytes] = frozenset(),
) -> Iterator[Span]:
    """Remove the lines that at least min_documents documents of the corpus have, whatever their hosts, every copy of them
    (Llama 3, Grattafiori et al. 2024, section 3.1.1: lines that occur more than six times in 30 M documents go).

    Args:
        min_documents: documents with the line, counted before this gate.
        min_share: the same as a share of all documents.
        min_chars: shorter lines stay: they are too often the same by chance.
        common: those lines, from the engine.
    """
    if not common:
        return
    for start, end, line in _lines(doc):
        if len(line.decode()) >= min_chars and common_key(b"", line) in common:
            yield Span(start, end, "repeated_line")


def _parts(doc: Doc, unit: str) -> Iterator[tuple[int, int, bytes]]:
    return _paragraphs(doc) if unit == "paragraph" else _lines(doc)


def shared_parts(doc: Doc, *, unit: str, scope: str, min_chars: int, **_: Any) -> Iterator[tuple[bytes, bytes]]:
    """Every line or paragraph of at least `min_chars` characters, white space folded; in the group of the document's host,
    or in one for all."""
    group = doc.host.encode("utf-8", "replace") if scope == "host" else b""
    if scope == "host" and not doc.host:
        return
    for _start, _end, part in _parts(doc, unit):
        if len(part.decode()) >= min_chars:
            yield group, part


@edit("shared_text", keys=shared_parts, keep_one=True)
def shared_text(
    doc: Doc,
    *,
    unit: Literal["line", "paragraph"] = "paragraph",
    scope: Literal["corpus", "host"] = "corpus",
    min_documents: int = 2,
    min_share: float = 0.0,
    min_chars: int = 60,
    common: frozenset[bytes] = frozenset(),
) -> Iterator[Span]:
    """Remove the lines or paragraphs that another document has too; one copy stays, in the document that `[curate] keep`
    prefers (paragraphs as in Dolma, Soldaini et al. 2024, section 4).

    Args:
        unit: lines, or paragraphs (parts between blank lines).
        scope: compare with all documents, or with those of the same host.
        min_documents: documents with the part, counted before this gate.
        min_share: the same as a share of all documents of the scope.
        min_chars: shorter parts stay: they are too often the same by chance.
        common: those parts, from the engine, without the ones that this document keeps.
    """
    if not common:
        return
    group = doc.host.encode("utf-8", "replace") if scope == "host" else b""
    for start, end, part in _parts(doc, unit):
        if len(part.decode()) >= min_chars and common_key(group, part) in common:
            yield Span(start, end, f"shared_{unit}")

"""Statistics found by expressions: addresses, boilerplate phrases, unfinished sentences, RefinedWeb's odd lines."""

from __future__ import annotations

import re

from pipeline.core.documents import Doc
from pipeline.core.registry import signal
from pipeline.edits.lines import odd_line

_URL = re.compile(r"https?://[^\s<>\"']+")
_SENTENCE = re.compile(r"[^\s].*?(?:[.!?。！？…]+[\"')\]”’»]*(?=\s|$)|$)", re.MULTILINE)
_END = re.compile(r"[.!?。！？…][\"')\]”’»]*$")
# Phrases of site furniture; those of C4's policy rule and of NeMo Curator's boilerplate filter among them.
BOILERPLATE = (
    "terms of use", "terms of service", "privacy policy", "cookie policy", "uses cookies", "use of cookies",
    "use cookies", "all rights reserved", "terms and conditions", "powered by", "javascript", "sign up for our",
    "subscribe to our", "copyright ©", "accept cookies",
)  # fmt: skip


@signal("url_char_frac")
def url_chars(doc: Doc) -> float:
    """Share of characters inside web addresses that are spelled out."""
    if "://" not in doc.text:
        return 0.0
    return sum(len(m[0]) for m in _URL.finditer(doc.text)) / max(len(doc.text), 1)


@signal("boilerplate_paragraph_frac")
def boilerplate(doc: Doc) -> float:
    """Share of paragraphs that contain a phrase of site furniture ("terms of use", "uses cookies"...)."""
    found = [any(p in text for p in BOILERPLATE) for text in (p.lower() for p in doc.paragraphs)]
    return sum(found) / max(len(found), 1)


@signal("unterminated_sentence_frac")
def unterminated_sentences(doc: Doc) -> float:
    """Share of sentences (cut at end marks and line breaks) that end without an end mark."""
    sentences = [m[0].rstrip() for line in doc.lines for m in _SENTENCE.finditer(line)]
    return sum(not _END.search(s) for s in sentences) / max(len(sentences), 1)


@signal("refinedweb_removed_word_frac")
def refinedweb_removed_words(doc: Doc) -> float:
    """Share of words (split at white space) that RefinedWeb's line corrections, the edit `refinedweb_lines`, remove."""
    removed = total = 0
    for line in doc.text.split("\n"):
        n = len(line.split())
        total += n
        if n and odd_line(line):
            removed += n
    return removed / max(total, 1)

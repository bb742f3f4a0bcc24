"""Word-list signals: how much of a text is on a list of flagged words."""

from __future__ import annotations

from pipeline.core.batch import TextBatch, list_phrases
from pipeline.core.kernels import words as k
from pipeline.core.registry import signal
from pipeline.core.schema import Doc
from pipeline.signals.text import Columns, share, word_table


@signal("toxic_word_frac", "toxic_word_count", batch=True, version=2, files=("words",))
def toxic_words(docs: list[Doc], *, words: str = "toxic_en") -> Columns:
    """Share and number of words that are on the list or part of a listed phrase.

    Args:
        words: a list, by name (`toxic_en` ships with winnow) or path; one word or phrase a line.
    """
    batch = TextBatch.of(docs)
    w, listed = batch.words, list_phrases(words)
    found = k.phrase_hits(w.first, w.hashes, listed.beginnings, listed.whole, listed.longest)
    return share(found[:, 0], word_table(batch)[:, k.N_WORDS]), found[:, 0]

"""Distributions of signals."""

from __future__ import annotations

from pipeline.look.run import Run
from pipeline.look.stats import NameHistogram, NumberHistogram, histogram


def test_histogram_counts_every_document(finished: Run) -> None:
    found = histogram(finished, "word_count")
    assert isinstance(found, NumberHistogram)
    assert sum(found.kept) == finished.need("curate").counts["rows_out"]
    assert sum(found.kept) + sum(found.dropped) == finished.need("curate").counts["rows_in"]
    languages = histogram(finished, "language")
    assert isinstance(languages, NameHistogram)
    assert {v.name for v in languages.values} >= {"en", "de"}

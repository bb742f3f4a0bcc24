"""Cuts what a text shares with evaluation sets, instead of dropping the whole document."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.core.documents import Doc
from pipeline.core.registry import edit
from pipeline.core.spans import Span
from pipeline.decontaminate.sets import build_index
from pipeline.text.batch import TextBatch


@edit("cut_contamination", files=("sets",), requires=("sets",))
def cut_contamination(doc: Doc, *, sets: tuple[str, ...] = (), ngram: int = 13) -> Iterator[Span]:
    """Remove the words of n-grams that an evaluation set has; the span's kind names the first item.

    Args:
        sets: evaluation sets: JSONL or Parquet files or folders of them.
        ngram: words that must agree.
    """
    index = build_index(tuple(sets), ngram)
    batch = TextBatch([doc.text])
    rows = index.matches(batch)
    if not len(rows):
        return
    w, raw = batch.words, batch.data.tobytes()
    spans: list[tuple[int, int, int]] = []
    for _, at, n, gram in sorted(rows.tolist(), key=lambda r: (r[1], -r[2])):
        end = at + n
        if spans and at <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]), spans[-1][2])
        else:
            spans.append((at, end, gram))
    chars = done = 0
    for at, end, gram in spans:
        low, high = int(w.start[at]), int(w.start[end - 1] + w.size[end - 1])
        start = chars + len(raw[done:low].decode())
        chars, done = start + len(raw[low:high].decode()), high
        yield Span(start, chars, index.items_of([gram])[0])

"""Statistics of lines and paragraphs. A line counts when something is on it; lines are stripped."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.core.documents import Doc, texts_of
from pipeline.core.registry import signal
from pipeline.signals.text import Columns, share
from pipeline.text.batch import TextBatch
from pipeline.text.kernels import lines as k


def line_table(batch: TextBatch) -> npt.NDArray[np.float64]:
    """(texts, columns of `line_counts`)."""
    table: npt.NDArray[np.float64] = batch.once(
        "lines", lambda: k.line_counts(batch.data, batch.offsets, batch.flags, k.BULLETS)
    )
    return table


@signal(
    "line_count", "bullet_line_frac", "ellipsis_line_frac", "terminal_line_frac", "mean_line_chars", "max_line_chars",
    "long_line_count",
    batch=True, version=2,
)  # fmt: skip
def lines(docs: list[Doc]) -> Columns:
    """Lines; the share that starts with a bullet, ends with an ellipsis, ends with a mark that ends a sentence; their
    mean and longest length in characters; lines of 200 characters or more (mC4's paragraphs)."""
    t = line_table(texts_of(docs))
    n = t[:, k.LINES]
    return (
        n,
        share(t[:, k.BULLET_LINES], n),
        share(t[:, k.ELLIPSIS_LINES], n),
        share(t[:, k.TERMINAL_LINES], n),
        share(t[:, k.LINE_CHARS], n),
        t[:, k.LONGEST_LINE],
        t[:, k.LONG_LINES],
    )


@signal("dup_line_frac", "dup_line_char_frac", "dup_paragraph_frac", "dup_paragraph_char_frac", batch=True, version=2)
def duplicate_lines(docs: list[Doc]) -> Columns:
    """Share of lines that repeat an earlier line, the same by characters, and both for paragraphs (parts between blank
    lines). The first copy does not count as a duplicate."""
    t = line_table(texts_of(docs))
    return (
        share(t[:, k.DUP_LINES], t[:, k.LINES]),
        share(t[:, k.DUP_LINE_CHARS], t[:, k.LINE_CHARS]),
        share(t[:, k.DUP_PARAS], t[:, k.PARAS]),
        share(t[:, k.DUP_PARA_CHARS], t[:, k.PARA_CHARS]),
    )


@signal("repeated_line_frac", batch=True)
def repeated_lines(docs: list[Doc]) -> npt.NDArray[np.float64]:
    """Share of lines that occur more than once, every copy counted, the first too (as Dolma counts)."""
    batch = texts_of(docs)
    found: npt.NDArray[np.float64] = k.repeated_lines(batch.data, batch.offsets, batch.flags)
    return share(found[:, k.REPEATED_LINES], found[:, k.ALL_LINES])

"""Exact substrings that the corpus has elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.core.definitions import Windows
from pipeline.core.documents import Doc, texts_of
from pipeline.core.registry import edit
from pipeline.core.spans import Span
from pipeline.text.batch import TextBatch


def token_windows(docs: Sequence[Doc], *, min_tokens: int) -> Windows:
    """Every run of `min_tokens` tokens: place of the document, first token, hash in two parts."""
    from pipeline.text.kernels.grams import window_hashes

    tokens = texts_of(docs).pieces
    found: Windows = window_hashes(tokens.first, tokens.hashes, min_tokens)
    return found


@edit("exact_substrings", windows=token_windows)
def exact_substrings(
    doc: Doc, *, min_tokens: int = 50, found: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]] | None = None
) -> Iterator[Span]:
    """Remove every run of at least min_tokens tokens that occurs elsewhere in the corpus, or earlier in the same text; the
    first copy, in the order of `[curate] keep`, stays whole (Lee et al. 2022, "Deduplicating Training Data Makes Language
    Models Better", who take 50 tokens).

    Tokens are words and single marks, compared with their case; white space between them does not count. Spans begin and end
    at tokens, so no character is ever cut.

    Args:
        min_tokens: length of the shortest run that counts, in tokens.
        found: first tokens of the windows that occur earlier, and of those that occur again but not earlier; from the engine.
    """
    if found is None or not len(found[0]):
        return
    batch = TextBatch([doc.text])
    tokens, raw = batch.pieces, batch.data.tobytes()
    gone = _covered(found[0], min_tokens, len(tokens.start)) & ~_covered(found[1], min_tokens, len(tokens.start))
    edges = np.flatnonzero(np.diff(gone.astype(np.int8), prepend=0, append=0))
    chars = at = 0
    for first, past in zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True):
        low, high = int(tokens.start[first]), int(tokens.start[past - 1] + tokens.size[past - 1])
        start = chars + len(raw[at:low].decode())
        end = start + len(raw[low:high].decode())
        chars, at = end, high
        if start == 0 or doc.text[start - 1].isspace():  # the white space after it goes with it
            while end < len(doc.text) and doc.text[end].isspace():
                end += 1
        yield Span(start, end, "substring")


def _covered(firsts: npt.NDArray[np.int32], length: int, tokens: int) -> npt.NDArray[np.bool_]:
    """Which tokens lie in a window that begins at one of `firsts`."""
    change = np.zeros(tokens + 1, np.int64)
    np.add.at(change, firsts, 1)
    np.add.at(change, firsts + length, -1)
    covered: npt.NDArray[np.bool_] = np.cumsum(change[:-1]) > 0
    return covered

"""One page through the fast extractor: scan, measure, score, choose, join."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.extract.fast.facts import page_facts
from pipeline.extract.fast.kernels import features as F
from pipeline.extract.fast.kernels import select as K
from pipeline.extract.fast.kernels.elements import MARK, B, E
from pipeline.extract.fast.kernels.scan import OK, scan
from pipeline.extract.fast.kernels.scores import path_scores, path_tokens, text_scores
from pipeline.extract.fast.kernels.statistics import S, text_statistics
from pipeline.extract.fast.kernels.tags import TAG, tables
from pipeline.extract.fast.metadata import Metadata, read
from pipeline.extract.fast.model import BUNDLED, FastModel, ScoreTables, load_cached

VERSION = 1  # raised when the same page and model give another text
MAX_ELEMENTS, MAX_BLOCKS = 200_000, 50_000
_A = TAG["a"]


@dataclass(frozen=True)
class Measured:
    """A scanned page, before any weights: what training keeps of it.

    Attributes:
        el, tokens, blocks, text: as `kernels.scan` gives them; their columns are named in `kernels.elements`.
        stats, text_tokens, text_offsets, path_tokens, path_offsets: as `kernels.statistics` and
            `kernels.scores` give them.
        facts: float32, as `page_facts` gives them.
        marks: (kind, bytes) of the tags that metadata are read from.
    """

    el: npt.NDArray[np.int32]
    tokens: npt.NDArray[np.uint32]
    blocks: npt.NDArray[np.int64]
    text: npt.NDArray[np.uint8]
    stats: npt.NDArray[np.float64]
    text_tokens: npt.NDArray[np.int32]
    text_offsets: npt.NDArray[np.int32]
    path_tokens: npt.NDArray[np.int32]
    path_offsets: npt.NDArray[np.int32]
    facts: npt.NDArray[np.float32]
    marks: list[tuple[int, bytes]]

    @property
    def units(self) -> npt.NDArray[np.float64]:
        """Words of every block."""
        return self.stats[:, S.units]

    def block_texts(self) -> list[str]:
        whole = self.text.tobytes()
        return [whole[b[B.start] : b[B.end]].decode("utf-8", "replace") for b in self.blocks]


@dataclass(frozen=True)
class FastPage:
    """The outcome for one page.

    Attributes:
        text: the content; empty where nothing was found or `limit` is set.
        confidence: expected F1 of the choice, in [0, 1].
        ranges: int64 (k, 2), the bytes [start, end) of the page in UTF-8 that the text was taken from.
        limit: why the page was left to another engine ("too_many_elements", "too_many_blocks"), or None.
    """

    text: str
    confidence: float
    ranges: npt.NDArray[np.int64]
    metadata: Metadata
    n_links: int
    limit: str | None = None


def measure(page: bytes, url: str = "") -> Measured | str:
    """Scan a page of UTF-8 bytes; a string names the limit that it breaks."""
    buf = np.frombuffer(page, np.uint8)
    status, el, tokens, blocks, text, marks = scan(buf, MAX_ELEMENTS, tables())
    if status != OK:
        return "too_many_elements"
    if len(blocks) > MAX_BLOCKS:
        return "too_many_blocks"
    marked = [(kind, page[start:end]) for kind, start, end in marks.tolist()]
    title = next((raw for kind, raw in marked if kind == MARK.title), b"")
    stats, text_tokens, text_offsets = text_statistics(blocks, text, np.frombuffer(title, np.uint8))
    path_indices, path_offsets = path_tokens(el, tokens)
    return Measured(
        el, tokens, blocks, text, stats, text_tokens, text_offsets, path_indices, path_offsets,
        page_facts(marked, url), marked,
    )  # fmt: skip


def features(page: Measured, scores: ScoreTables) -> npt.NDArray[np.float32]:
    """float32 (blocks, N_FEATURES) of a page under a model's score tables."""
    path = path_scores(
        page.el, page.blocks, page.path_tokens, page.path_offsets, scores.own, scores.above, scores.path_scale
    )
    text = text_scores(page.text_tokens, page.text_offsets, scores.text, scores.text_scale)
    found: npt.NDArray[np.float32] = F.features(page.el, page.tokens, page.blocks, page.stats, path, text, page.facts)
    return found


def choose(page: Measured, model: FastModel) -> tuple[npt.NDArray[np.bool_], float]:
    """The blocks of a page that a model takes (bool, a value per block), and their expected F1."""
    x, trees = features(page, model.scores), model.trees
    odds = K.trees(x, trees.roots, trees.feature, trees.threshold, trees.child, trees.value, trees.depth)
    chosen, confidence = K.choose(page.units, odds, model.bias, page.stats[:, S.hash])
    return chosen, float(confidence)


class FastExtractor:
    """Extracts pages with one model. Holds no state between pages: a page's outcome depends on that page alone."""

    def __init__(self, model: Path = BUNDLED) -> None:
        self.model = load_cached(str(model))

    def extract(self, page: bytes, url: str = "") -> FastPage:
        """Extract the content of one page.

        Args:
            page: the page in UTF-8.
            url: its address; helps to tell what kind of page it is, and to complete relative addresses.
        """
        measured = measure(page, url)
        if isinstance(measured, str):
            return _left(measured)
        try:
            return self._extract(measured, url)
        except (ArithmeticError, LookupError, ValueError, TypeError) as error:  # another engine gets its chance
            return _left(f"{type(error).__name__}: {error}"[:200])

    def _extract(self, measured: Measured, url: str) -> FastPage:
        chosen, confidence = choose(measured, self.model)
        text, ranges = K.join(measured.el, measured.blocks, measured.text, chosen)
        return FastPage(
            text.tobytes().decode("utf-8", "replace").strip(),
            confidence,
            ranges,
            read(measured.marks, url),
            int(np.count_nonzero(measured.el[:, E.tag] == _A)),
        )


def compile_kernels() -> float:
    """Compile what is not compiled yet, so that workers find it on disk; returns the seconds that took."""
    began = time.monotonic()
    FastExtractor().extract(b"<title>a</title><p class=b>c <a href=d>e</a></p><table><tr><td>f</table>", "http://g.h/")
    return time.monotonic() - began


def _left(reason: str) -> FastPage:
    return FastPage("", 0.0, np.zeros((0, 2), np.int64), Metadata(), 0, limit=reason)

"""One page through the fast extractor: scan, measure, score, choose, join."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.extract.fast.facts import page_facts
from pipeline.extract.fast.kernels import blocks as B
from pipeline.extract.fast.kernels import html as K
from pipeline.extract.fast.kernels import select as S
from pipeline.extract.fast.kernels.tags import TAG, tables
from pipeline.extract.fast.metadata import Metadata, read
from pipeline.extract.fast.model import BUNDLED, FastModel, load_cached

VERSION = 1  # raised when the same page and model give another text
MAX_ELEMENTS, MAX_BLOCKS = 200_000, 50_000
_A = TAG["a"]


@dataclass(frozen=True)
class Measured:
    """A scanned page, before any weights: what training keeps of it.

    Attributes:
        el, tokens, blocks, text: as `pipeline.extract.fast.kernels.html.scan` gives them.
        stats, text_tokens, text_offsets, path_tokens, path_offsets: as the kernels of `blocks` give them.
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
        return self.stats[:, B.S_UNITS]

    def block_texts(self) -> list[str]:
        whole = self.text.tobytes()
        return [whole[b[B.B_START] : b[B.B_END]].decode("utf-8", "replace") for b in self.blocks]


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
    status, el, tokens, blocks, text, marks = K.scan(buf, MAX_ELEMENTS, *tables())
    if status != K.OK:
        return "too_many_elements"
    if len(blocks) > MAX_BLOCKS:
        return "too_many_blocks"
    marked = [(kind, page[start:end]) for kind, start, end in marks.tolist()]
    title = next((raw for kind, raw in marked if kind == K.M_TITLE), b"")
    stats, text_tokens, text_offsets = B.text_statistics(blocks, text, np.frombuffer(title, np.uint8))
    path_tokens, path_offsets = B.path_tokens(el, tokens)
    return Measured(
        el, tokens, blocks, text, stats, text_tokens, text_offsets, path_tokens, path_offsets,
        page_facts(marked, url), marked,
    )  # fmt: skip


def features(page: Measured, model: FastModel | Any) -> npt.NDArray[np.float32]:
    """float32 (blocks, N_FEATURES) of a page under a model's score tables."""
    path = B.path_scores(
        page.el, page.blocks, page.path_tokens, page.path_offsets, model.own, model.above, model.path_scale
    )
    text = B.text_scores(page.text_tokens, page.text_offsets, model.text, model.text_scale)
    found: npt.NDArray[np.float32] = B.features(page.el, page.tokens, page.blocks, page.stats, path, text, page.facts)
    return found


def choose(page: Measured, model: FastModel) -> tuple[npt.NDArray[np.bool_], float]:
    """The blocks of a page that a model takes (bool, a value per block), and their expected F1."""
    x = features(page, model)
    odds = S.trees(x, model.roots, model.feature, model.threshold, model.child, model.value, model.depth)
    chosen, confidence = S.choose(page.units, odds, model.bias, page.stats[:, B.S_HASH])
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
        text, ranges = S.join(measured.el, measured.blocks, measured.text, chosen)
        return FastPage(
            text.tobytes().decode("utf-8", "replace").strip(),
            confidence,
            ranges,
            read(measured.marks, url),
            int(np.count_nonzero(measured.el[:, K.E_TAG] == _A)),
        )


def compile_kernels() -> float:
    """Compile what is not compiled yet, so that workers find it on disk; returns the seconds that took."""
    began = time.monotonic()
    FastExtractor().extract(b"<title>a</title><p class=b>c <a href=d>e</a></p><table><tr><td>f</table>", "http://g.h/")
    return time.monotonic() - began


def _left(reason: str) -> FastPage:
    return FastPage("", 0.0, np.zeros((0, 2), np.int64), Metadata(), 0, limit=reason)

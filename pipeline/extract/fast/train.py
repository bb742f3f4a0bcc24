"""Training of the fast extractor's model, and its honest score: out of fold, with folds by registered domain.

Two layouts of data are read. *Reference texts* (WCXB): `html/ID.html.gz` and `ground-truth.jsonl.gz` with `file_id`,
`url`, `page_type`, `main_content`. *Snippets* (trafilatura's evaluation): `html/ID.html.gz` and `pages.jsonl` with `id`,
`url`, `with` and `without`; their blocks are labelled by trafilatura's own text, at half weight, and by the snippets, at
twice the weight.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from courlan import extract_domain

from pipeline.core.errors import UsageError
from pipeline.extract.fast.engine import Measured, choose, features, measure
from pipeline.extract.fast.kernels import linear as L
from pipeline.extract.fast.kernels import select as S
from pipeline.extract.fast.kernels.scores import PATH_BITS
from pipeline.extract.fast.kernels.statistics import TEXT_BITS
from pipeline.extract.fast.labels import block_labels, word_f1
from pipeline.extract.fast.model import FastModel, ScoreTables, Trees
from pipeline.text.charset import decode

FOLDS = 5
EPOCHS = 5
TEXT_RATE, TEXT_DECAY, PATH_RATE, PATH_DECAY = 0.15, 1e-2, 0.01, 1e-3
TREES, DEPTH = 120, 6
SNIPPET_WEIGHT, SNIPPET_BOOST, EMPTY_WEIGHT = 0.5, 4.0, 0.3
PARAMS = {
    "objective": "cross_entropy",
    "num_leaves": 15,
    "max_depth": DEPTH,
    "learning_rate": 0.1,
    "min_data_in_leaf": 60,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 5,
    "max_bin": 127,
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 2,
    "verbose": -1,
}
Say = Callable[[str], None]


@dataclass
class Page:
    """A labelled page.

    Attributes:
        labels: float32, share of each block's words that belong to the content.
        weight: float64, of each block in training.
        truth: the reference text; None where only snippets are known.
    """

    id: str
    url: str
    kind: str
    measured: Measured
    texts: list[str]
    labels: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float64]
    fold: int
    truth: str | None = None
    with_: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)


def load_pages(folder: Path, say: Say = print) -> list[Page]:
    """Read and label a folder of either layout. Raises: UsageError if it has neither."""
    if (folder / "ground-truth.jsonl.gz").is_file():
        with gzip.open(folder / "ground-truth.jsonl.gz", "rt", encoding="utf-8") as f:
            rows = [json.loads(line) for line in f]
        pages = [p for r in rows if (p := _reference_page(folder, r))]
    elif (folder / "pages.jsonl").is_file():
        lines = (folder / "pages.jsonl").read_text("utf-8").splitlines()
        pages = [p for line in lines if (p := _snippet_page(folder, json.loads(line)))]
    else:
        raise UsageError(f"{folder}: neither ground-truth.jsonl.gz nor pages.jsonl is here.")
    say(f"{folder}: {len(pages):,} pages, {sum(len(p.texts) for p in pages):,} blocks")
    return pages


def read_page(folder: Path, name: str) -> bytes:
    """The raw bytes of html/NAME.html.gz."""
    with gzip.open(folder / "html" / f"{name}.html.gz") as f:
        return f.read()


def _measure(folder: Path, name: str, url: str) -> Measured | None:
    found = measure(decode(read_page(folder, name)).utf8, url)
    return None if isinstance(found, str) else found


def _fold(url: str, name: str) -> int:
    domain = extract_domain(url, fast=True) or name
    return int.from_bytes(hashlib.blake2b(domain.encode(), digest_size=4).digest(), "little") % FOLDS


def _weights(measured: Measured) -> npt.NDArray[np.float64]:
    """By the root of a block's words; a page counts by the root of its number of blocks."""
    root = np.sqrt(measured.units + 1.0)
    return np.asarray(root / max(root.sum(), 1e-9) * np.sqrt(max(len(root), 1)) * 2, np.float64)


def _reference_page(folder: Path, row: dict[str, Any]) -> Page | None:
    url, truth = row.get("url") or "", row.get("main_content") or ""
    measured = _measure(folder, row["file_id"], url)
    if measured is None:
        return None
    texts = measured.block_texts()
    weight = _weights(measured) * (1.0 if truth else EMPTY_WEIGHT)
    labels, fold = block_labels(texts, truth), _fold(url, row["file_id"])
    return Page(row["file_id"], url, row["page_type"], measured, texts, labels, weight, fold, truth)


def _snippet_page(folder: Path, row: dict[str, Any]) -> Page | None:
    import trafilatura

    url = row.get("url") or ""
    measured = _measure(folder, row["id"], url)
    if measured is None:
        return None
    texts = measured.block_texts()
    truth = trafilatura.extract(read_page(folder, row["id"]), include_comments=False) or ""
    labels, weight = block_labels(texts, truth), _weights(measured) * SNIPPET_WEIGHT
    wanted, unwanted = ([" ".join(s.split()) for s in row[k]] for k in ("with", "without"))
    for i, text in enumerate(texts):
        folded = " ".join(text.split())
        if any(s in folded for s in wanted):
            labels[i], weight[i] = 1.0, weight[i] * SNIPPET_BOOST
        elif any(s in folded for s in unwanted):
            labels[i], weight[i] = 0.0, weight[i] * SNIPPET_BOOST
    return Page(row["id"], url, "snippets", measured, texts, labels, weight, _fold(url, row["id"]), None,
                row["with"], row["without"])  # fmt: skip


def train_tables(pages: Sequence[Page]) -> ScoreTables:
    """Logistic regression on names and words, quantised to int8."""
    from numba.typed import List

    used = [p for p in pages if p.texts]
    text, paths = List(), List()
    for p in used:
        m = p.measured
        text.append((m.text_tokens, m.text_offsets, p.labels, p.weight))
        paths.append((m.el, m.blocks, m.path_tokens, m.path_offsets, p.labels, p.weight))
    rng = np.random.default_rng(0)
    words, words_squared = np.zeros(1 << TEXT_BITS), np.zeros(1 << TEXT_BITS)
    own, above, own_squared, above_squared = (np.zeros(1 << PATH_BITS) for _ in range(4))
    for epoch in range(EPOCHS):
        order = rng.permutation(len(used))
        L.train_text(text, order, words, words_squared, TEXT_RATE / (1 + epoch), TEXT_DECAY)
        L.train_paths(paths, order, own, above, own_squared, above_squared, PATH_RATE / (1 + epoch), PATH_DECAY)
    path_scale, text_scale = _scale(np.concatenate([own, above])), _scale(words)
    return ScoreTables(
        _quantise(own, path_scale), _quantise(above, path_scale), _quantise(words, text_scale), path_scale, text_scale
    )


def _scale(weights: npt.NDArray[np.float64]) -> float:
    """The largest weights, one in a thousand, are cut off: the rest keeps more of its 8 bits."""
    used = np.abs(weights[weights != 0])
    return float(np.quantile(used, 0.999) / 127) if len(used) else 1.0


def _quantise(weights: npt.NDArray[np.float64], scale: float) -> npt.NDArray[np.int8]:
    return np.clip(np.round(weights / scale), -127, 127).astype(np.int8)


def train_trees(x: npt.NDArray[np.float32], pages: Sequence[Page]) -> Trees:
    """Boosted trees on features. Raises: UsageError if LightGBM is not installed."""
    try:
        import lightgbm
    except ModuleNotFoundError as error:
        raise UsageError(
            "training the extractor needs the extra 'extractor': pip install 'winnow-lm[extractor]'."
        ) from error
    data = lightgbm.Dataset(
        x, np.concatenate([p.labels for p in pages]), weight=np.concatenate([p.weight for p in pages])
    )
    return flatten(lightgbm.train(PARAMS, data, TREES).dump_model())


def flatten(dump: dict[str, Any]) -> Trees:
    """The trees of a LightGBM model, given as its JSON, as arrays; a right child follows its left one."""
    roots: list[int] = []
    nodes: list[tuple[int, float, int, float]] = []  # feature, threshold, left child, value

    def place(at: int, node: dict[str, Any]) -> None:
        if "split_feature" not in node:
            nodes[at] = (0, np.inf, at, node["leaf_value"])  # a leaf is its own child
            return
        left = len(nodes)
        nodes.extend([(0, 0.0, 0, 0.0)] * 2)
        # x is float32: x <= t exactly when x <= the largest float32 that is not above t
        limit = np.float32(node["threshold"])
        if float(limit) > node["threshold"]:
            limit = np.nextafter(limit, np.float32(-np.inf))
        nodes[at] = (node["split_feature"], float(limit), left, 0.0)
        place(left, node["left_child"])
        place(left + 1, node["right_child"])

    for tree in dump["tree_info"]:
        roots.append(len(nodes))
        nodes.append((0, 0.0, 0, 0.0))
        place(roots[-1], tree["tree_structure"])
    feature, threshold, child, value = zip(*nodes, strict=True)
    return Trees(
        roots=np.array(roots, np.int32),
        feature=np.array(feature, np.int16),
        threshold=np.array(threshold, np.float32),
        child=np.array(child, np.int32),
        value=np.array(value, np.float32),
        depth=DEPTH,
    )


def train(pages: Sequence[Page], held_out: int | None = None) -> FastModel:
    """A model from all pages, or from those outside one fold.

    The trees see scores of tables that were trained without the page's own fold, as they will on new pages.
    """
    pages = [p for p in pages if p.fold != held_out and p.texts]
    inner = {f: train_tables([p for p in pages if p.fold != f]) for f in sorted({p.fold for p in pages})}
    x = np.concatenate([features(p.measured, inner[p.fold]) for p in pages])
    return FastModel(train_tables(pages), train_trees(x, pages))


@dataclass
class Scores:
    """F1 by page type for pages with a reference text, and of the snippets of the others."""

    words: dict[str, list[float]] = field(default_factory=dict)
    kept: int = 0
    wanted: int = 0
    wrong: int = 0

    def add(self, page: Page, text: str) -> None:
        if page.truth is not None:
            self.words.setdefault(page.kind, []).append(word_f1(text, page.truth))
        self.kept += sum(s in text for s in page.with_)
        self.wanted += len(page.with_)
        self.wrong += sum(s in text for s in page.without)

    def summary(self) -> dict[str, float]:
        """Macro averages, rounded to four digits."""
        every = [v for values in self.words.values() for v in values]
        found = {"word F1": float(np.mean(every))} if every else {}
        found |= {f"word F1, {kind}": float(np.mean(v)) for kind, v in sorted(self.words.items())}
        if self.wanted:
            precision, recall = self.kept / max(self.kept + self.wrong, 1), self.kept / self.wanted
            found["snippet F1"] = 2 * precision * recall / max(precision + recall, 1e-9)
            found |= {"snippet precision": precision, "snippet recall": recall}
        return {k: round(v, 4) for k, v in found.items()}


def text_of(page: Page, model: FastModel) -> str:
    """What a model extracts from a page."""
    m = page.measured
    chosen, _ = choose(m, model)
    text, _ = S.join(m.el, m.blocks, m.text, chosen)
    return str(text.tobytes().decode("utf-8", "replace").strip())


def out_of_fold(pages: Sequence[Page], say: Say = print) -> Scores:
    """Scores of every page under a model that saw no page of its registered domain."""
    scores = Scores()
    for fold in range(FOLDS):
        model = train(pages, held_out=fold)
        for page in pages:
            if page.fold == fold:
                scores.add(page, text_of(page, model))
        say(f"fold {fold + 1} of {FOLDS}: {json.dumps(scores.summary())}")
    return scores

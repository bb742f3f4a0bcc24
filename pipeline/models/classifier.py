"""Training of linear text classifiers in the fastText format, and what they score on texts held out.

Features are fastText's (words, character n-grams, word n-grams; Joulin et al. 2016), the model is one weight per
feature: a fastText model of one dimension whose two outputs are +1 and -1. That is logistic regression, which has one
optimum, needs no quantisation to be small, and trains to the same bytes every time. (The trainer of fasttext 0.9.3
stops with "Encountered NaN" on some inputs, depending on what lies in memory.)
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from pipeline.core.answers import ABSENT, as_json
from pipeline.core.errors import DataError
from pipeline.core.files import write_bytes
from pipeline.ingest.plan import open_stream
from pipeline.models.fasttext import MAGIC
from pipeline.text.batch import TextBatch
from pipeline.text.kernels.chars import kind_table

_MAYBE_NOISE = re.compile(r"[@&]|://|\[U")
POSITIVE, NEGATIVE = "positive", "negative"
_NOISE = re.compile(r"https?://\S+|(?<!\w)@\w+|\[(?:USER|URL)\]|&#?\w+;")
HELD_OUT = 10  # one text in so many is held out, by the hash of its words


@dataclass(frozen=True)
class Example:
    """A text, whether it is positive, and the set that it comes from."""

    text: str
    positive: bool
    source: str = ""


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        words: most frequent words with a weight of their own. min_count: occurrences that they need.
        minn, maxn: characters of subwords. word_ngrams: words of word n-grams.
        buckets: weights that subwords and word n-grams share by hash.
        epochs, rate, decay: of Adagrad; decay is the L2 penalty. seed: order of the texts.
    """

    words: int = 20_000
    min_count: int = 3
    minn: int = 3
    maxn: int = 5
    word_ngrams: int = 2
    buckets: int = 150_000
    epochs: int = 10
    rate: float = 2.0
    decay: float = 1e-5
    seed: int = 1


def normalise(texts: Sequence[str]) -> TextBatch:
    """Texts as classifiers see them: lower case, words only, without addresses and @names."""
    from pipeline.models.kernels.features import join_words

    batch = TextBatch([(_NOISE.sub(" ", t) if _MAYBE_NOISE.search(t) else t).lower() for t in texts])
    w = batch.words
    data, offsets = join_words(batch.data, w.first, w.start, w.size)
    return TextBatch.raw(data, offsets)


def is_held_out(text: str) -> bool:
    """Whether a text is for measuring, not for training."""
    words = " ".join(re.findall(r"\w+", text.lower()))
    return hashlib.blake2b(words.encode(), digest_size=8).digest()[0] % HELD_OUT == 0


def train(examples: Sequence[Example], out: Path, settings: Settings | None = None) -> None:
    """Train on all examples and write a fastText model file with the labels `positive` and `negative`.

    Both classes of every source weigh the same, so that a large or lopsided set does not decide alone.
    Raises: DataError if a class is empty.
    """
    from pipeline.models.kernels.features import word_key
    from pipeline.models.kernels.training import feature_rows, train_linear
    from pipeline.text.kernels.tables import number_table

    s = settings or Settings()
    labels = np.array([e.positive for e in examples], np.float64)
    if not 0 < labels.sum() < len(labels):
        raise DataError("a classifier needs positive and negative texts.")
    batch = normalise([e.text for e in examples])
    counts = Counter(w for a, b in zip(batch.offsets[:-1], batch.offsets[1:], strict=True)
                     for w in batch.data[a:b].tobytes().decode("utf-8", "replace").split())  # fmt: skip
    frequent = sorted((w for w, n in counts.items() if n >= s.min_count), key=lambda w: (-counts[w], w))[: s.words]
    words = ["</s>", *frequent]
    keys = np.array([word_key(np.frombuffer(w.encode(), np.uint8), 0, len(w.encode())) for w in words], np.uint64)
    vocabulary = (*number_table(keys), len(words))
    subword = (s.minn, s.maxn, s.buckets, s.word_ngrams, np.zeros(0, np.uint8), np.zeros(0, np.int32))
    rows, starts = feature_rows(batch.data, batch.offsets, kind_table(), vocabulary, subword, 0)
    importance = _importance(examples)
    weights = np.zeros(len(words) + s.buckets)
    squares = np.zeros(len(weights))
    rng = np.random.default_rng(s.seed)
    for epoch in range(s.epochs):
        order = rng.permutation(len(examples))
        rate = s.rate * (1 - epoch / s.epochs)
        train_linear(rows, starts, order, labels, importance, weights, squares, rate, s.decay)
    write_bytes(out, _model_file(s, words, counts, weights.astype("<f4"), labels))


def _importance(examples: Sequence[Example]) -> npt.NDArray[np.float64]:
    """Weight of each example: within a source, both classes count the same; sources count by the root of their size."""
    groups = Counter((e.source, e.positive) for e in examples)
    sources = Counter(e.source for e in examples)
    raw: npt.NDArray[np.float64] = np.array(
        [np.sqrt(sources[e.source]) / groups[e.source, e.positive] for e in examples]
    )
    return raw / float(raw.mean())


def _model_file(
    s: Settings,
    words: Sequence[str],
    counts: Counter[str],
    weights: npt.NDArray[np.float32],
    labels: npt.NDArray[np.float64],
) -> bytes:
    parts = [
        struct.pack("<ii", MAGIC, 12),
        # dim, ws, epoch, minCount, neg, wordNgrams, loss (softmax), model (supervised), bucket, minn, maxn, lrUpdateRate
        struct.pack("<12id", 1, 5, s.epochs, s.min_count, 5, s.word_ngrams, 3, 3, s.buckets, s.minn, s.maxn, 100, 0.0),
        struct.pack("<iiiqq", len(words) + 2, len(words), 2, sum(counts.values()), -1),
    ]
    for word in words:
        parts.append(word.encode() + b"\0" + struct.pack("<qb", counts.get(word, len(labels)), 0))
    for name, count in ((POSITIVE, labels.sum()), (NEGATIVE, len(labels) - labels.sum())):
        parts.append(f"__label__{name}".encode() + b"\0" + struct.pack("<qb", int(count), 1))
    parts.append(struct.pack("<?qq", False, len(weights), 1) + weights.tobytes())
    parts.append(struct.pack("<?qq", False, 2, 1) + np.array([1, -1], "<f4").tobytes())
    return b"".join(parts)


def scores(model: Path, texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """Probability that each text is positive."""
    from pipeline.models.fasttext import FastText

    loaded = FastText(model)
    found: npt.NDArray[np.float64] = loaded.probabilities(normalise(texts))[:, loaded.labels.index(POSITIVE)]
    return found


def auc(positive: npt.NDArray[np.bool_], values: npt.NDArray[np.float64]) -> float:
    """Area under the ROC curve, ties counted half; nan without both classes."""
    n = int(positive.sum())
    if n in (0, len(positive)):
        return float("nan")
    _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[inverse]
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * (len(positive) - n)))


THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class AtThreshold:
    """Texts called positive at or above a threshold; `called` is their share of all."""

    threshold: float
    precision: float
    recall: float
    f1: float
    called: float


@dataclass(frozen=True)
class Scores:
    """What a classifier scores on texts.

    Attributes:
        positive: how many of the texts are. auc_by_source: nan for a source with one class.
        trained_on, settings: of a model that was just trained.
    """

    texts: int
    positive: int
    auc: float
    auc_by_source: dict[str, float]
    thresholds: tuple[AtThreshold, ...]
    trained_on: int | None = field(default=None, metadata=ABSENT)
    settings: Settings | None = field(default=None, metadata=ABSENT)


def measure(model: Path, examples: Sequence[Example]) -> Scores:
    """AUC over all and per source; precision, recall, F1 and the share called positive for each threshold."""
    positive = np.array([e.positive for e in examples], bool)
    values = scores(model, [e.text for e in examples])
    sources = np.array([e.source for e in examples])
    table = []
    for t in THRESHOLDS:
        called = values >= t
        hits = int((called & positive).sum())
        precision, recall = hits / max(int(called.sum()), 1), hits / max(int(positive.sum()), 1)
        f1 = 2 * precision * recall / max(precision + recall, 1e-12)
        table.append(AtThreshold(t, precision, recall, f1, called=float(called.mean())))
    return Scores(
        texts=len(examples),
        positive=int(positive.sum()),
        auc=auc(positive, values),
        auc_by_source={str(s): auc(positive[sources == s], values[sources == s]) for s in sorted(set(sources))},
        thresholds=tuple(table),
    )


def read_examples(paths: Sequence[Path], positive: bool) -> list[Example]:
    """Texts of JSONL (.gz, .zst), Parquet (a `text` column or field) or plain files (one text a line).

    Raises: DataError for a file that cannot be read or has no text.
    """
    found: list[Example] = []
    for path in paths:
        texts = read_texts(path)
        if not texts:
            raise DataError(f"{path}: no text in it.")
        found += [Example(t, positive, path.stem) for t in texts]
    return found


def read_texts(path: Path) -> list[str]:
    """Texts of JSONL, Parquet or a plain file (a text a line). Raises: DataError for a file that cannot be read."""
    try:
        if path.suffix == ".parquet":
            column = pq.read_table(path, columns=["text"]).column("text").to_pylist()
            return [t for t in column if t and t.strip()]
        with open_stream(path) as f:
            raw = f.read()
        lines = [line for line in raw.decode("utf-8", "replace").split("\n") if line.strip()]
        if ".jsonl" in path.name:
            lines = [str(json.loads(line)["text"]) for line in lines]
        return lines
    except (OSError, EOFError, ValueError, KeyError, TypeError, pa.ArrowException, zstandard.ZstdError) as error:
        raise DataError(f"{path}: {error!r}: expected JSONL or Parquet with a `text`, or a text a line.") from error


def train_and_measure(
    examples: Sequence[Example], out: Path, *, name: str, about: str = "", settings: Settings | None = None
) -> Scores:
    """Train on all but a tenth, measure on that tenth; write the model, `NAME.json` (scores) and `NAME.md` (model card).

    The written model is the measured one: the held-out texts are not trained on.
    Raises: DataError if a class is empty on either side.
    """
    training = [e for e in examples if not is_held_out(e.text)]
    held = [e for e in examples if is_held_out(e.text)]
    if len({e.positive for e in held}) < 2:
        raise DataError(f"{len(held)} of {len(examples)} texts are held out and have one class only: give more texts.")
    train(training, out, settings)
    found = replace(measure(out, held), trained_on=len(training), settings=settings or Settings())
    write_bytes(out.with_suffix(".json"), (json.dumps(as_json(found), indent=2) + "\n").encode())
    write_bytes(out.with_suffix(".md"), model_card(name, about, examples, found, out).encode())
    return found


def model_card(name: str, about: str, examples: Sequence[Example], found: Scores, path: Path) -> str:
    """What the model is, what it was trained on and what it scores, as Markdown."""
    counts = Counter((e.source, e.positive) for e in examples)
    sources = sorted({e.source for e in examples})
    lines = [
        f"# {name}", "",
        f"A linear text classifier in the fastText format ({path.stat().st_size:,} bytes), labels `{POSITIVE}` and "
        f"`{NEGATIVE}`. It reads lower-cased words; probabilities are not calibrated for your texts: look at "
        "`winnow stats --signal` and samples near a threshold before you set one.", "",
        *([about, ""] if about else []),
        "## Texts", "", "| set | positive | negative | AUC on its held-out tenth |", "| --- | ---: | ---: | ---: |",
        *(f"| {s} | {counts[s, True]:,} | {counts[s, False]:,} | {_shown(found.auc_by_source.get(s))} |" for s in sources),
        "", f"## Held-out tenth: {found.texts:,} texts, AUC {found.auc:.3f}", "",
        "| threshold | precision | recall | F1 | called positive |", "| ---: | ---: | ---: | ---: | ---: |",
        *(f"| {t.threshold} | {t.precision:.3f} | {t.recall:.3f} | {t.f1:.3f} | {t.called:.3f} |" for t in found.thresholds),
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "one class" if value is None or np.isnan(value) else f"{value:.3f}"

"""N-gram language models with modified Kneser-Ney smoothing, trained in memory and stored as one file.

Chen and Goodman 1998, section 4.2.1: interpolated, three discounts for each order, continuation counts below the
highest order. Texts are read as lines of words (`pipeline.text.batch`), case folded and digits as 0 (as CCNet does,
Wenzek et al. 2020), punctuation left out; a line is a sentence.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import DataError
from pipeline.core.files import write_bytes
from pipeline.text.batch import TextBatch
from pipeline.text.kernels.chars import DIGIT, char_tables, kind_table

UNKNOWN, BEGIN, END = 0, 1, 2  # word ids
FIRST_WORD = 3
FORMAT = 2


@cache
def _fold() -> npt.NDArray[np.uint32]:
    flags, fold = char_tables()
    table = fold.copy()
    table[(flags & DIGIT) > 0] = ord("0")
    table.setflags(write=False)
    return table


def _line_hashes(texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """(first word of each line, word hashes, lines of each text) over all lines with a word."""
    from pipeline.text.kernels.split import split

    lines = [[line for line in t.split("\n") if line.strip()] for t in texts]
    batch = TextBatch([line for each in lines for line in each])
    first, _, _, _, hashes, _ = split(batch.data, batch.offsets, kind_table(), _fold(), batch.cuts(), False)
    return first, hashes, np.array([len(each) for each in lines], np.int64)


@dataclass(frozen=True)
class NgramModel:
    """A model ready to score.

    Attributes:
        order: longest n-gram, in words.
        vocabulary: hashes of words, ascending; word i of it has id FIRST_WORD + i.
        keys: for orders from 2: (index of the first n-1 words at the order before) << 32 | word id; ascending.
        log_p, backoff: log10, for each order.
        cuts: perplexities that bound head from middle and middle from tail, or two nans.
    """

    order: int
    vocabulary: npt.NDArray[np.uint64]
    keys: tuple[npt.NDArray[np.uint64], ...]
    log_p: tuple[npt.NDArray[np.float32], ...]
    backoff: tuple[npt.NDArray[np.float32], ...]
    cuts: tuple[float, float]
    tables: tuple[Any, ...]
    indices: tuple[Any, ...]

    def perplexity(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """10 ** -(mean log10 p of words and line ends) of each text; nan for a text without words."""
        from pipeline.models.kernels.ngram_lm import LOG_P, SCORED_WORDS, score

        first, words, lines = self._ids(texts)
        rows = score(first, words, self.tables, self.indices, self.log_p, self.backoff, self.order, BEGIN)
        owner = np.repeat(np.arange(len(texts)), lines)
        spoken = rows[:, SCORED_WORDS] > 1  # lines of more than the end mark
        count = np.bincount(owner, np.where(spoken, rows[:, SCORED_WORDS], 0), len(texts))
        total = np.bincount(owner, np.where(spoken, rows[:, LOG_P], 0), len(texts))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(count > 0, 10.0 ** np.minimum(-total / count, 300), np.nan)

    def _ids(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        first, hashes, lines = _line_hashes(texts)
        return *_with_ends(first, _word_ids(self.vocabulary, hashes)), lines


def _word_ids(vocabulary: npt.NDArray[np.uint64], hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    place = np.minimum(np.searchsorted(vocabulary, hashes), max(len(vocabulary) - 1, 0))
    known = vocabulary[place] == hashes if len(vocabulary) else np.zeros(len(hashes), bool)
    return np.where(known, place + FIRST_WORD, UNKNOWN)


def _with_ends(
    first: npt.NDArray[np.int64], ids: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The same sentences with an end mark behind each."""
    n = len(first) - 1
    places = np.arange(len(ids)) + np.repeat(np.arange(n), np.diff(first))
    out = np.full(len(ids) + n, END, np.int64)
    out[places] = ids
    return first + np.arange(n + 1), out


def train_ngram_model(
    texts: Sequence[str], *, order: int = 3, words: int = 100_000, min_count: int = 2, cut_on: Sequence[str] = ()
) -> bytes:
    """Train a model; returns the content of its file.

    Args:
        order: longest n-gram in words, 2 to 6.
        words: size of the vocabulary, most frequent first; others are the unknown word.
        min_count: occurrences that a word needs.
        cut_on: texts of the kind to be bucketed (web pages): the terciles of their perplexity become the cut points.

    Raises: DataError if the texts have no words; ValueError for an order out of range.
    """
    if not 2 <= order <= 6:
        raise ValueError(f"order {order}: expected 2 to 6")
    first, hashes, _ = _line_hashes(texts)
    distinct, counts = np.unique(hashes, return_counts=True)
    if not len(distinct):
        raise DataError("a language model needs texts with words.")
    chosen = np.lexsort((distinct, -counts))[:words]
    vocabulary = np.sort(distinct[chosen][counts[chosen] >= min_count])
    keys, log_p, backoff = _estimate(*_with_ends(first, _word_ids(vocabulary, hashes)), order, len(vocabulary))
    model = _ready(order, vocabulary, keys, log_p, backoff, (np.nan, np.nan))
    cuts = np.array([np.nan, np.nan])
    if len(cut_on):
        values = model.perplexity(cut_on)
        cuts = np.quantile(values[np.isfinite(values)], [1 / 3, 2 / 3])
    arrays: dict[str, Any] = {"format": np.array([FORMAT, order]), "vocabulary": vocabulary, "cuts": cuts}
    for n in range(order):
        arrays[f"log_p{n + 1}"], arrays[f"backoff{n + 1}"] = log_p[n], backoff[n]
        if n:
            arrays[f"keys{n + 1}"] = keys[n]
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def save_ngram_model(content: bytes, path: Path) -> None:
    write_bytes(path, content)


def _estimate(
    first: npt.NDArray[np.int64], words: npt.NDArray[np.int64], order: int, n_vocabulary: int
) -> tuple[list[npt.NDArray[np.uint64]], list[npt.NDArray[np.float32]], list[npt.NDArray[np.float32]]]:
    """Keys, log10 probabilities and log10 back-off weights of each order."""
    n = len(first) - 1
    # sentences with their begin mark in one row; `since` counts words since the begin mark
    places = np.arange(len(words)) + np.repeat(np.arange(1, n + 1), np.diff(first))
    row = np.full(len(words) + n, BEGIN, np.int64)
    row[places] = words
    starts = first[:-1] + np.arange(n)
    since = np.arange(len(row)) - np.repeat(starts, np.diff(np.append(starts, len(row))))
    size = n_vocabulary + FIRST_WORD
    ends = [row]  # ends[k]: index at order k + 1 of the n-gram that ends at each place, -1 where there is none
    keys: list[npt.NDArray[np.uint64]] = [np.arange(size, dtype=np.uint64)]
    raw = [np.bincount(row, minlength=size).astype(np.float64)]
    suffix: list[npt.NDArray[np.int64]] = [np.zeros(size, np.int64)]
    begins = [np.arange(size) == BEGIN]
    prefix: list[npt.NDArray[np.int64]] = [np.zeros(size, np.int64)]
    for k in range(1, order):
        valid = np.flatnonzero(since >= k)
        before = ends[k - 1][valid - 1]
        flat = (before.astype(np.uint64) << np.uint64(32)) | row[valid].astype(np.uint64)
        level, where, inverse, count = np.unique(flat, return_index=True, return_inverse=True, return_counts=True)
        end = np.full(len(row), -1, np.int64)
        end[valid] = inverse
        ends.append(end)
        keys.append(level)
        raw.append(count.astype(np.float64))
        suffix.append(ends[k - 1][valid[where]])
        prefix.append((level >> np.uint64(32)).astype(np.int64))
        begins.append(begins[k - 1][prefix[k]])
    adjusted = []
    for k in range(order):
        if k == order - 1:
            adjusted.append(raw[k])
        else:  # how many different words stand in front; n-grams at the beginning of a line keep their counts
            continuation = np.bincount(suffix[k + 1], minlength=len(keys[k])).astype(np.float64)
            adjusted.append(np.where(begins[k], raw[k], continuation))
    adjusted[0][BEGIN] = 0  # never predicted
    probability: list[npt.NDArray[np.float64]] = []
    weight: list[npt.NDArray[np.float64]] = [np.ones(len(k)) for k in keys]
    for k in range(order):
        counts = adjusted[k]
        d = _discounts(counts)
        taken = d[np.minimum(counts, 3).astype(np.int64)]
        groups = 1 if k == 0 else len(keys[k - 1])
        total = np.bincount(prefix[k], counts, groups)
        left = np.bincount(prefix[k], taken, groups)
        with np.errstate(divide="ignore", invalid="ignore"):
            gamma = np.where(total > 0, left / total, 1.0)
            own = np.where(total[prefix[k]] > 0, (counts - taken) / total[prefix[k]], 0.0)
        if k == 0:
            lower = np.full(len(counts), 1.0 / (len(counts) - 1))  # uniform over all but the begin mark
        else:
            weight[k - 1] = gamma
            lower = probability[k - 1][suffix[k]]
        probability.append(own + (gamma[0] if k == 0 else gamma[prefix[k]]) * lower)
    probability[0][BEGIN] = 1.0
    with np.errstate(divide="ignore"):
        log_p = [np.log10(p).astype(np.float32) for p in probability]
        backoff = [np.log10(np.maximum(w, 1e-30)).astype(np.float32) for w in weight]
    return keys, log_p, backoff


def _discounts(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """D0 = 0, D1, D2, D3+ from the counts of counts (Chen and Goodman 1998, eq. 26); 0.5, 1, 1.5 where those are
    missing, as KenLM falls back to."""
    n = [float((counts == i).sum()) for i in range(1, 5)]
    if min(n) == 0:
        return np.array([0.0, 0.5, 1.0, 1.5])
    y = n[0] / (n[0] + 2 * n[1])
    d = [i - (i + 1) * y * n[i] / n[i - 1] for i in range(1, 4)]
    if not all(0 <= d[i] <= i + 1 for i in range(3)):
        return np.array([0.0, 0.5, 1.0, 1.5])
    return np.array([0.0, *d])


def _ready(order: int, vocabulary: Any, keys: Any, log_p: Any, backoff: Any, cuts: tuple[float, float]) -> NgramModel:
    from pipeline.models.kernels.ngram_lm import spread
    from pipeline.text.kernels.tables import number_table

    made = [number_table(spread(np.ascontiguousarray(k))) for k in keys]
    return NgramModel(
        order, vocabulary, tuple(keys), tuple(log_p), tuple(backoff), cuts,
        tuple(t for t, _ in made), tuple(i for _, i in made),
    )  # fmt: skip


@cache
def load_ngram_model(path: str) -> NgramModel:
    """A model from its file, loaded once per process. Raises: DataError for another kind of file."""
    try:
        with np.load(path, allow_pickle=False) as f:
            version, order = f["format"].tolist()
            if version != FORMAT:
                raise DataError(f"{path}: a language model of format {version}; this winnow reads {FORMAT}.")
            vocabulary = f["vocabulary"]
            keys = [
                np.arange(len(vocabulary) + FIRST_WORD, dtype=np.uint64),
                *(f[f"keys{n}"] for n in range(2, order + 1)),
            ]
            log_p = [f[f"log_p{n}"] for n in range(1, order + 1)]
            backoff = [f[f"backoff{n}"] for n in range(1, order + 1)]
            cuts = f["cuts"].tolist()
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(f"{path}: not a language model of winnow ({error}).") from error
    return _ready(order, vocabulary, keys, log_p, backoff, (cuts[0], cuts[1]))

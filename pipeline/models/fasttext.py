"""fastText models (.bin and .ftz) read into arrays, and predictions on batches of texts.

The file format is that of fastText 0.9.2 (version 12). `pipeline.models.classifier` writes it.
"""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import DataError
from pipeline.text.batch import TextBatch
from pipeline.text.kernels.chars import kind_table

MAGIC = 793712314
VERSIONS = (11, 12)
SUPERVISED = 3
ARGS = ("dim", "ws", "epoch", "min_count", "neg", "word_ngrams", "loss", "model", "bucket", "minn", "maxn", "rate")


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.raw = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.empty(0, np.uint8)
        self.at = 0

    def numbers(self, form: str) -> tuple[Any, ...]:
        size = struct.calcsize("<" + form)
        if self.at + size > len(self.raw):
            raise DataError(f"{self.path}: the fastText model ends too early.")
        values = struct.unpack("<" + form, self.raw[self.at : self.at + size].tobytes())
        self.at += size
        return values

    def array(self, dtype: Any, count: int) -> npt.NDArray[Any]:
        size = np.dtype(dtype).itemsize * count
        if count < 0 or self.at + size > len(self.raw):
            raise DataError(f"{self.path}: the fastText model ends too early.")
        found = np.frombuffer(self.raw[self.at : self.at + size], dtype, count)
        self.at += size
        return found

    def entry(self) -> tuple[bytes, int, int]:
        chunk = self.raw[self.at : self.at + 4096].tobytes()
        end = chunk.find(b"\0")
        if end < 0:
            raise DataError(f"{self.path}: not a fastText model: a word of more than 4,096 bytes.")
        self.at += end + 1
        count, kind = self.numbers("qb")
        return chunk[:end], count, kind

    def quantiser(self) -> tuple[int, int, int, int, npt.NDArray[np.float32]]:
        dim, parts, width, last = self.numbers("iiii")
        return dim, parts, width, last, self.array("<f4", dim * 256)

    def matrix(self, quantised: bool) -> npt.NDArray[np.float32]:
        from pipeline.models.kernels.fasttext import dequantise

        if not quantised:
            rows, columns = self.numbers("qq")
            dense: npt.NDArray[np.float32] = self.array("<f4", rows * columns).reshape(rows, columns)
            return dense
        (with_norms,) = self.numbers("?")
        rows, _columns, size = self.numbers("qqi")
        codes = self.array(np.uint8, size)
        dim, parts, width, last, centroids = self.quantiser()
        norms = np.ones(rows, np.float32)
        if with_norms:
            norm_codes = self.array(np.uint8, rows)
            norms = self.quantiser()[4][norm_codes]
        made: npt.NDArray[np.float32] = dequantise(codes, centroids, norms, rows, dim, parts, width, last)
        return made


class FastText:
    """A supervised fastText model.

    Attributes:
        labels: without the prefix `__label__`, in the model's order.

    Raises: DataError for a file that is no supervised fastText model, or is cut short.
    """

    def __init__(self, path: Path) -> None:
        from pipeline.models.kernels.features import word_key
        from pipeline.text.kernels.tables import number_table

        r = _Reader(path)
        magic, version = r.numbers("ii") if len(r.raw) >= 8 else (0, 0)
        if magic != MAGIC or version not in VERSIONS:
            raise DataError(f"{path}: not a fastText model of a version that winnow reads (11, 12).")
        args = dict(zip(ARGS, r.numbers("12i"), strict=True))
        r.numbers("d")
        if args["model"] != SUPERVISED:
            raise DataError(f"{path}: word vectors, not a classifier.")
        size, n_words, _n_labels = r.numbers("iii")
        _tokens, n_pruned = r.numbers("qq")
        entries = [r.entry() for _ in range(size)]
        pairs = r.array("<i4", 2 * max(n_pruned, 0)).reshape(-1, 2)
        words = [np.frombuffer(w, np.uint8) for w, _, _ in entries]
        keys = np.array([word_key(w, 0, len(w)) for w in words], np.uint64)
        self.labels = [w.decode("utf-8", "replace").removeprefix("__label__") for w, _, kind in entries if kind == 1]
        counts = [n for _, n, kind in entries if kind == 1]
        by_word = {w: i for i, (w, _, kind) in enumerate(entries) if kind == 0}
        self._vocabulary = (*number_table(keys), n_words)
        self._eos = by_word.get(b"</s>", -1)
        bits, pruned = np.zeros(0, np.uint8), np.zeros(0, np.int32)
        maxn, bucket, ngrams = args["maxn"], args["bucket"], args["word_ngrams"]
        if n_pruned == 0:
            maxn, ngrams = 0, 1  # all subwords and word n-grams were pruned
        elif n_pruned > 0:
            bits, pruned = np.zeros(bucket // 8 + 1, np.uint8), np.full(bucket, -1, np.int32)
            pruned[pairs[:, 0]] = pairs[:, 1]
            np.bitwise_or.at(bits, pairs[:, 0] >> 3, (1 << (pairs[:, 0] & 7)).astype(np.uint8))
        self._subword = (args["minn"], maxn, bucket, ngrams, bits, pruned)
        (quantised,) = r.numbers("?")
        self._input = np.ascontiguousarray(r.matrix(quantised)) if quantised else r.matrix(False)
        (quantised_output,) = r.numbers("?")
        self._output = r.matrix(quantised and quantised_output)
        self._loss = args["loss"]
        left, right = _huffman(counts) if self._loss == 1 else ([], [])
        self._left, self._right = np.array(left, np.int64), np.array(right, np.int64)

    def predict(self, batch: TextBatch) -> tuple[list[str], npt.NDArray[np.float64]]:
        """(label, probability) of the best label of each text; 'und' and 0.0 where the model knows nothing in it."""
        from pipeline.models.kernels.fasttext import predict

        found, scores = predict(
            batch.data, batch.offsets, kind_table(), self._vocabulary, self._subword, self._input, self._eos,
            self._loss, self._left, self._right, self._output,
        )  # fmt: skip
        return [self.labels[i] if i >= 0 else "und" for i in found.tolist()], scores

    def probabilities(self, batch: TextBatch) -> npt.NDArray[np.float64]:
        """(texts, labels). Raises: DataError for a model with hierarchical softmax, which gives the best label only."""
        from pipeline.models.kernels.fasttext import HIERARCHICAL, probabilities

        if self._loss == HIERARCHICAL:
            raise DataError("a model with hierarchical softmax gives no probability for every label.")
        found: npt.NDArray[np.float64] = probabilities(
            batch.data, batch.offsets, kind_table(), self._vocabulary, self._subword, self._input, self._eos,
            self._loss, self._output,
        )  # fmt: skip
        return found


def _huffman(counts: list[int]) -> tuple[list[int], list[int]]:
    """Children of each node of the tree that fastText builds; labels come in descending order of count."""
    n = len(counts)
    count = [*counts, *[10**15] * (n - 1)]
    left, right = [-1] * (2 * n - 1), [-1] * (2 * n - 1)
    leaf, node = n - 1, n
    for i in range(n, 2 * n - 1):
        pair = []
        for _ in range(2):
            if leaf >= 0 and count[leaf] < count[node]:
                pair.append(leaf)
                leaf -= 1
            else:
                pair.append(node)
                node += 1
        left[i], right[i] = pair
        count[i] = count[pair[0]] + count[pair[1]]
    return left, right


@cache
def load_fasttext(path: str) -> FastText:
    """A model, loaded once per process."""
    return FastText(Path(path))

"""Evaluation sets as items of texts, and an index of their word n-grams.

A set is a JSONL file (also .gz, .zst), a Parquet file, or a folder of these (the layout of HF datasets). Every field with
text counts, but for identifiers and labels; the marks of prompt templates ("Question:", "Answer:") do not.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from pipeline.core.errors import DataError, RecipeError
from pipeline.ingest.plan import open_stream
from pipeline.text.batch import TextBatch

MIN_WORDS = 8  # a text of fewer words says too little to be recognised (GPT-3, Brown et al. 2020, appendix C)
NOT_TEXT = frozenset(
    ["id", "idx", "task_id", "entry_point", "label", "gold", "category", "subject", "split", "source", "url", "answerKey",
     "type", "level", "aliases"]
)  # fmt: skip
_TEMPLATE = re.compile(r"(?m)^\s*(?:question|answer|passage|choices|context|problem|solution)\s*:", re.IGNORECASE)
SUFFIXES = (".jsonl", ".json", ".jsonl.gz", ".jsonl.zst", ".parquet", ".tsv")


@dataclass(frozen=True)
class Item:
    """One item of a set. `name` is the set and the row in it, from 0: "gsm8k/17"."""

    name: str
    texts: tuple[str, ...]


def set_files(path: Path) -> list[Path]:
    """The files of a set. Raises: DataError if there are none."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.name.endswith(SUFFIXES))
    if not files:
        raise DataError(f"evaluation set {path}: no JSONL, TSV or Parquet file.")
    return files


def read_items(path: Path) -> Iterator[Item]:
    """All items of a set (or of all sets in a folder: a file is a set). Raises: DataError that names file and line."""
    for name, row in read_rows(path):
        yield Item(name, tuple(_TEMPLATE.sub(" ", t) for t in _strings(row)))


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(item name, row as it is in the file)."""
    for file in set_files(path):
        name = file.name
        for suffix in sorted(SUFFIXES, key=len, reverse=True):
            name = name.removesuffix(suffix)
        for row, fields in enumerate(_rows(file)):
            yield f"{name}/{row}", fields


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".parquet":
        for batch in pq.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
        return
    with open_stream(path) as f:
        raw = f.read()
    for number, line in enumerate(io.StringIO(raw.decode("utf-8", "replace"), newline="\n"), 1):
        if not line.strip():
            continue
        if path.suffix == ".tsv":
            yield dict(enumerate(line.rstrip("\n").split("\t")))  # type: ignore[arg-type]
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"evaluation set {path}, line {number}: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"evaluation set {path}, line {number}: not a JSON object.")
        yield row


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key not in NOT_TEXT:
                yield from _strings(each)


@dataclass(frozen=True)
class GramIndex:
    """N-grams of evaluation items.

    Attributes:
        items: names, "set/row".
        unreachable: items with too few words to be found.
        lengths: in words, ascending. table, numbers: of `number_table`; bits: of `gram_filter`; numbers index `offsets`.
        offsets, members: n-gram k belongs to items members[offsets[k]:offsets[k + 1]].
    """

    items: tuple[str, ...]
    unreachable: tuple[str, ...]
    lengths: npt.NDArray[np.int64]
    table: npt.NDArray[np.uint64]
    numbers: npt.NDArray[np.int32]
    bits: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    members: npt.NDArray[np.int64]

    def matches(self, batch: TextBatch) -> npt.NDArray[np.int64]:
        """Rows of (text, first word, words, n-gram) of a batch."""
        from pipeline.text.kernels.grams import listed_grams

        w = batch.words
        found: npt.NDArray[np.int64] = listed_grams(
            w.first, w.hashes, self.lengths, self.table, self.numbers, self.bits
        )
        return found

    def items_of(self, grams: Sequence[int]) -> list[str]:
        """Names of the items that these n-grams belong to, in the order of the sets."""
        found = {int(m) for g in grams for m in self.members[self.offsets[g] : self.offsets[g + 1]]}
        return [self.items[m] for m in sorted(found)]


@cache
def build_index(paths: tuple[str, ...], ngram: int) -> GramIndex:
    """Index sets, once per process. Raises: DataError for a set that cannot be read, or if no item has enough words."""
    return gram_index(((i.name, i.texts) for path in paths for i in read_items(Path(path))), ngram)


def gram_index(items: Iterable[tuple[str, Sequence[str]]], ngram: int) -> GramIndex:
    """Index the n-grams of items (name, texts).

    Texts of at least `ngram` words give all their n-grams; texts of MIN_WORDS to ngram - 1 words are one n-gram of their
    own length. An item none of whose texts is that long gives all its texts in one.

    Raises: DataError if no item has enough words; RecipeError for an `ngram` under 1.
    """
    from pipeline.text.kernels.grams import gram_filter, gram_hashes
    from pipeline.text.kernels.tables import number_table

    if ngram < 1:
        raise RecipeError(f"ngram: expected 1 word or more, got {ngram}.")
    names: list[str] = []
    unreachable: list[str] = []
    keys: list[npt.NDArray[np.uint64]] = []
    owners: list[npt.NDArray[np.int64]] = []
    lengths: set[int] = set()

    def add(words: npt.NDArray[np.uint64], owner: int) -> bool:
        n = min(len(words), ngram)
        if n < min(MIN_WORDS, ngram):
            return False
        lengths.add(n)
        grams = gram_hashes(words, n)
        keys.append(grams)
        owners.append(np.full(len(grams), owner, np.int64))
        return True

    for name, texts in items:
        words = TextBatch(list(texts)).words
        parts = [words.hashes[a:b] for a, b in pairwise(words.first.tolist())]
        names.append(name)
        added = [add(p, len(names) - 1) for p in parts]
        if not any(added) and not add(words.hashes, len(names) - 1):
            unreachable.append(name)
    if not keys:
        raise DataError(f"evaluation sets: none of {len(names):,} items has {MIN_WORDS} words.")
    flat, who = np.concatenate(keys), np.concatenate(owners)
    order = np.lexsort((who, flat))
    flat, who = flat[order], who[order]
    distinct, starts = np.unique(flat, return_index=True)
    table, numbers = number_table(distinct)
    return GramIndex(
        tuple(names), tuple(unreachable), np.array(sorted(lengths), np.int64), table, numbers, gram_filter(distinct),
        np.append(starts, len(flat)).astype(np.int64), who,
    )  # fmt: skip

"""A batch of texts as kernels see it: one UTF-8 buffer, offsets, and its words, split once for all signals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.text.chars import char_tables, exact_fold, kind_table


@dataclass(frozen=True)
class Words:
    """Words of all texts of a batch; word k of text d is number `first[d] + k`.

    Attributes:
        first: (texts + 1,) int64.
        start: byte in the batch's buffer, int64. size: bytes, int32. chars: characters, int32.
        hashes: uint64, over folded characters for words, over exact ones for tokens. attrs: bits, see the kernel.
    """

    first: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    size: npt.NDArray[np.int32]
    chars: npt.NDArray[np.int32]
    hashes: npt.NDArray[np.uint64]
    attrs: npt.NDArray[np.uint8]


class TextBatch:
    """Texts in one buffer. Made by `TextBatch.of`, which gives the last one again for the same texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        encoded = [t.encode("utf-8", "replace") for t in texts]
        self.data: npt.NDArray[np.uint8] = np.frombuffer(b"".join(encoded), np.uint8)
        self.offsets: npt.NDArray[np.int64] = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(e) for e in encoded], out=self.offsets[1:])
        self._columns: dict[str, Any] = {}

    @classmethod
    def raw(cls, data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> TextBatch:
        """A batch over a buffer of valid UTF-8 that is there already."""
        made = cls(())
        if data.flags.writeable:
            data.setflags(write=False)
        made.data, made.offsets = data, offsets
        return made

    @classmethod
    def of_column(cls, column: pa.Array | pa.ChunkedArray) -> TextBatch:
        """The texts of an Arrow column of strings, in its own buffer; null counts as an empty text."""
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        _, offsets, data = column.buffers()
        width = np.int64 if pa.types.is_large_string(column.type) else np.int32
        size = np.dtype(width).itemsize
        if not len(column) or data is None:
            return cls([""] * len(column))
        places = np.frombuffer(offsets, width, len(column) + 1, column.offset * size).astype(np.int64)
        return cls.raw(np.frombuffer(data, np.uint8)[places[0] : places[-1]], places - places[0])

    def size(self, at: int) -> int:
        """Bytes of one of the texts."""
        return int(self.offsets[at + 1] - self.offsets[at])

    def text(self, at: int) -> str:
        """One of the texts."""
        lo, hi = self.offsets[at], self.offsets[at + 1]
        return self.data[lo:hi].tobytes().decode("utf-8", "replace")

    @staticmethod
    def of(docs: Sequence[Any]) -> TextBatch:
        """The batch of these documents' texts."""
        global _last
        if _last is None or len(_last[0]) != len(docs) or any(a is not b for a, b in zip(_last[0], docs, strict=True)):
            _last = (list(docs), _gather(docs))
        return _last[1]

    @property
    def flags(self) -> npt.NDArray[np.uint16]:
        return char_tables()[0]

    @cached_property
    def words(self) -> Words:
        """Runs of letters, digits and marks with inner apostrophes and hyphens; ICU's words in scripts without
        spaces. Hashes ignore case."""
        from pipeline.text.kernels.split import split

        return Words(*split(self.data, self.offsets, kind_table(), char_tables()[1], self.cuts(), False))

    @cached_property
    def tokens(self) -> Words:
        """What `\\w+|[^\\w\\s]` finds: words and single punctuation marks. Hashes are exact."""
        from pipeline.text.kernels.split import split

        return Words(*split(self.data, self.offsets, kind_table(), exact_fold(), np.empty(0, np.int64), True))

    @cached_property
    def pieces(self) -> Words:
        """As `tokens`, with the runs of scripts without spaces cut into ICU's words."""
        from pipeline.text.kernels.split import split

        cuts = self.cuts()
        return (
            Words(*split(self.data, self.offsets, kind_table(), exact_fold(), cuts, True)) if len(cuts) else self.tokens
        )

    def once(self, name: str, make: Any) -> Any:
        """A result that several signals share, computed by `make()` the first time."""
        if name not in self._columns:
            self._columns[name] = make()
        return self._columns[name]

    def cuts(self) -> npt.NDArray[np.int64]:
        """Bytes at which a word ends inside scripts written without spaces."""
        from pipeline.text.kernels.split import dense_runs

        runs = dense_runs(self.data, self.flags)
        if not len(runs):
            return np.zeros(0, np.int64)
        raw = self.data.tobytes()
        pieces = [raw[lo:hi] for lo, hi in zip(runs[0::2].tolist(), runs[1::2].tolist(), strict=True)]
        joined = b"\n".join(pieces)
        found = _breaks(joined)
        # from places in `joined` to places here; a line end between two runs breaks on both sides of itself
        sizes = np.diff(runs)[0::2]
        begins = np.concatenate([[0], np.cumsum(sizes[:-1] + 1)])
        run = np.searchsorted(begins, found, side="right") - 1
        cuts = np.sort(np.concatenate([runs, found - begins[run] + runs[0::2][run]]))
        return cuts[np.diff(cuts, prepend=-1) > 0]


_last: tuple[list[Any], TextBatch] | None = None


def _gather(docs: Sequence[Any]) -> TextBatch:
    """A batch of texts, from the buffer in which they lie already where they have one in common."""
    held = [d.text_place for d in docs]
    if not held or any(at is None or at[0] is not held[0][0] for at in held):
        return TextBatch([d.text for d in docs])
    source: TextBatch = held[0][0].texts
    rows = np.array([at for _, at in held])
    if len(rows) == len(source.offsets) - 1 and (np.diff(rows) == 1).all():
        return source
    lows, highs = source.offsets[rows], source.offsets[rows + 1]
    parts = [source.data[a:b].data for a, b in zip(lows.tolist(), highs.tolist(), strict=True)]
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(highs - lows, out=offsets[1:])
    return TextBatch.raw(np.frombuffer(b"".join(parts), np.uint8), offsets)


def _breaks(text: bytes) -> npt.NDArray[np.int64]:
    """Bytes at which ICU's dictionaries and rules end a word in a text of Han, kana, Thai, Lao, Khmer or Burmese and line
    ends. One call for all runs of a batch: it costs as much as two characters."""
    from icu4py.breakers import WordBreaker

    ends = np.array([end for _, end in WordBreaker(text.decode(), "root").segments()], np.int64)
    data = np.frombuffer(text, np.uint8)
    starts = np.flatnonzero(data & 0xC0 != 0x80)
    starts = np.repeat(starts, np.where(data[starts] >= 0xF0, 2, 1))  # ICU counts in UTF-16
    found = np.append(starts, len(text))[ends]
    inside: npt.NDArray[np.int64] = found[data[found - 1] != 10]
    return inside


def words_of(text: str) -> list[str]:
    """The words of a text, as `TextBatch.words` splits it."""
    batch = TextBatch([text])
    raw = batch.data.tobytes()
    w = batch.words
    return [raw[a : a + n].decode() for a, n in zip(w.start.tolist(), w.size.tolist(), strict=True)]


def read_list(path: str) -> list[str]:
    """Entries of a list file, one a line; '#' starts a comment where it begins a line or follows white space."""
    lines = (re.split(r"(?:^|\s)#", line)[0].strip() for line in Path(path).read_text("utf-8").splitlines())
    return [line for line in lines if line]


@cache
def list_hashes(path: str, exact: bool = False) -> npt.NDArray[np.uint64]:
    """Hashes of the words of a list file; of tokens, with their case, if exact."""
    batch = TextBatch(["\n".join(read_list(path))])
    return np.unique((batch.tokens if exact else batch.words).hashes)


@dataclass(frozen=True)
class Phrases:
    """A list of words and phrases as kernels take it: tables of first words and of whole phrases."""

    beginnings: npt.NDArray[np.uint64]
    whole: npt.NDArray[np.uint64]
    longest: int


@cache
def list_phrases(path: str) -> Phrases:
    """Words and phrases of a list file, case ignored."""
    from pipeline.text.kernels.words import make_table, phrase_hash

    w = TextBatch(read_list(path)).words
    spans = [(a, b) for a, b in zip(w.first[:-1].tolist(), w.first[1:].tolist(), strict=True) if b > a]
    whole = np.array([phrase_hash(w.hashes[a:b]) for a, b in spans], np.uint64)
    begin = np.array([w.hashes[a] for a, _ in spans], np.uint64)
    return Phrases(make_table(begin), make_table(whole), max((b - a for a, b in spans), default=0))

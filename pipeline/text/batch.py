"""A batch of texts as kernels see it: one UTF-8 buffer, offsets, and its words, split once for all signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.text.kernels.chars import char_tables, exact_fold, kind_table


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
    """Texts in one buffer."""

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

    def take(self, rows: npt.NDArray[np.int64]) -> TextBatch:
        """Some of the texts, one after the other in a buffer of their own."""
        lows, highs = self.offsets[rows], self.offsets[rows + 1]
        parts = [self.data[a:b].data for a, b in zip(lows.tolist(), highs.tolist(), strict=True)]
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(highs - lows, out=offsets[1:])
        return TextBatch.raw(np.frombuffer(b"".join(parts), np.uint8), offsets)

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

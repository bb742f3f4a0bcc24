"""Packing: where every piece of every document lies in rows of equal length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenize_stage.encode import Ids


@dataclass(frozen=True)
class Packed:
    """Rows, and what is in them.

    Attributes:
        pieces: int64 (pieces, 5): document, first token of it, tokens, row, place in the row; by row, then by place.
        rows: how many.
        lengths: int64, tokens of each document with its end.
        row_tokens: of a row.
    """

    pieces: npt.NDArray[np.int64]
    rows: int
    lengths: npt.NDArray[np.int64]
    row_tokens: int

    @property
    def padding(self) -> int:
        """Tokens that stand for nothing."""
        return self.rows * self.row_tokens - int(self.lengths.sum())

    @property
    def counts(self) -> dict[str, int]:
        """`cut`: documents in more than one piece; `cut_needlessly`: those of them that fit into a row."""
        from tokenize_stage.kernels.packing import DOC

        pieces = np.bincount(self.pieces[:, DOC], minlength=len(self.lengths))
        cut = pieces > 1
        return {
            "rows": self.rows,
            "pieces": len(self.pieces),
            "padding": self.padding,
            "cut": int(cut.sum()),
            "cut_needlessly": int((cut & (self.lengths <= self.row_tokens)).sum()),
        }

    def fill(self, ids: Ids, first: npt.NDArray[np.int64], eos: int, order: npt.NDArray[np.int64]) -> Ids:
        """The rows, shape (rows, row_tokens), dtype of `ids`.

        Args:
            ids: of all documents, without their ends; document d begins at first[d].
            eos: written behind every document, and as padding.
            order: order[i] is the row that comes i-th.
        """
        from tokenize_stage.kernels.packing import fill_rows

        place = np.empty(self.rows, np.int64)
        place[order] = np.arange(self.rows)
        out = np.empty((self.rows, self.row_tokens), ids.dtype)
        fill_rows(self.pieces, place, ids, first, self.lengths, eos, out)
        return out


def pack(lengths: npt.NDArray[np.int64], *, row_tokens: int, how: str = "best_fit") -> Packed:
    """Lay documents into rows. Every token lands in exactly one place.

    Args:
        lengths: tokens of each document with its end, at least 1.
        row_tokens: row length in tokens = context length + 1.
        how: "best_fit": only documents longer than a row are cut, into full rows and a remainder, and the remainders are laid
            by best-fit decreasing; "concat": end to end, cut into equal rows; "pad": one document a row.

    Raises: ValueError if row_tokens < 2 (no input/target pair) or `how` is none of these.
    Source: Ding et al. 2024, "Fewer Truncations Improve Language Modeling"; Brown et al. 2020 (GPT-3), section 2.2.
    """
    from tokenize_stage.kernels import packing as k

    if row_tokens < 2:
        raise ValueError(f"row_tokens is {row_tokens}; a row needs at least an input and a target")
    ways: dict[str, Any] = {"best_fit": k.best_fit, "concat": k.concat, "pad": k.alone}
    if how not in ways:
        raise ValueError(f"no packing '{how}'; there are {', '.join(ways)}")
    pieces, rows = ways[how](lengths.astype(np.int64), row_tokens)
    return Packed(pieces, int(rows), lengths.astype(np.int64), row_tokens)

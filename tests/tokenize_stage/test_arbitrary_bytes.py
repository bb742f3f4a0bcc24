"""Pre-tokens of arbitrary bytes: pieces without a gap, with every split rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import fuzz
from tokenize_stage.kernels.pretokens import pretoken_ends
from tokenize_stage.splits import SPLITS, classes

PIECES = st.sampled_from(
    ["'s", "'LL", "123", " \n", "\r\n", "\u2028", "日本", "ไทย", "a\u0301", "👩\u200d👧", "é", " the", "x" * 300]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=30).map(lambda parts: "".join(parts).encode())


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    for split in SPLITS.values():
        pretoken_ends(np.frombuffer(b"Some words.", np.uint8), classes(), split.rule)


@fuzz
@given(st.one_of(TEXTS, st.binary(max_size=300)))
def test_any_bytes_are_cut_into_pieces_without_a_gap(data: bytes) -> None:
    for split in SPLITS.values():
        ends = pretoken_ends(np.frombuffer(data, np.uint8), classes(), split.rule).tolist()
        assert ends == sorted(set(ends))
        assert (ends[-1] if ends else 0) == len(data)

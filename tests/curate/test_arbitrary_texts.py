"""Built-in signals, edits and matches on arbitrary texts: none raises, values are finite, and the same text gives the same."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.documents import Doc
from tests.builtins import Builtin, every_builtin
from tests.fuzz import fuzz

pytestmark = pytest.mark.usefixtures("kernels")

PIECES = st.sampled_from(
    ["\0", "\ud800", "\udfff", "\ufeff", "\uffff", "\U0010ffff", "\u202e", "\u2028", "\x85", "\x0c", "\r", "\n", "\n\n", " ", "\t",
     "a", "Z", "é", "e\u0301\u0316", "ǆ", "İ", "ß", "中文", "日本語", "ไทยภาษา", "ខ្មែរ", "한국어", "😀",
     "👩\u200d👩\u200d👧", "...", "…", "[1]",
     "[edit]", "{", "lorem ipsum ", "javascript ", "the ", "x" * 1_100, "http://[bad", "a@b.example ", "a:b:: ", "1.2.3.4 ",
     "+44 20 7946 0958 ", "-----BEGIN PRIVATE KEY-----", "eyJabcdefghijk.", "4111 1111 1111 1111 ", "0x", "٣", "²", "Ⅷ"]
)  # fmt: skip
CHARACTERS = st.text(st.characters(codec=None), max_size=30)  # lone surrogates too
TEXTS = st.lists(st.one_of(PIECES, CHARACTERS), max_size=30).map("".join)
URLS = st.lists(
    st.one_of(
        st.sampled_from(["http://", "https://", "//", "[", "]", ":", "@", ".", "/", "?", "#", "%", "xn--", "℀", "a", "b.example"]),
        CHARACTERS,
    ),
    max_size=12,
).map("".join)  # fmt: skip


@pytest.fixture(scope="module")
def builtins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Builtin]:
    return every_builtin(tmp_path_factory.mktemp("builtins"))


def outcomes(builtins: dict[str, Builtin], text: str, url: str) -> list[tuple[str, Any]]:
    found = []
    for name, run in builtins.items():
        got = run(Doc(b"0" * 16, text, url=url, host=url.partition("://")[2].partition("/")[0]))
        found.append((name, got))
        if name.startswith("signal "):
            assert all(v is None or isinstance(v, str) or math.isfinite(v) for v in got.values()), (name, got)
    return found


@fuzz
@given(TEXTS)
def test_every_builtin_takes_any_text(builtins: dict[str, Builtin], text: str) -> None:
    assert outcomes(builtins, text, "http://a.example/") == outcomes(builtins, text, "http://a.example/")


@fuzz
@given(URLS)
def test_every_builtin_takes_any_address(builtins: dict[str, Builtin], url: str) -> None:
    assert outcomes(builtins, "Some words.", url) == outcomes(builtins, "Some words.", url)

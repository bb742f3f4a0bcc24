"""What is shown of text from outside: nothing that steers, hides or reverses, and everything else as it is."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text.visible import columns, cut, padded, prose, visible
from tests.hostile import hidden

ANY = st.text(st.characters(categories=None), max_size=40)


def test_no_code_point_that_hides_or_steers_is_left() -> None:
    everything = "".join(map(chr, [*range(0x20000), *range(0xE0000, 0xE0200), 0xF0000, sys.maxunicode]))
    shown = visible(everything, keep="\n")
    assert hidden(shown) == ["U+000A"]
    assert "\n" not in visible(everything)


def test_ordinary_text_of_any_script_stays_as_it_is() -> None:
    for text in ("Grüße", "日本語　全角", "עברית", "العربية", "हिन्दी", "ไทย", "🦀 ↵ \\x1b", "a b"):
        assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", "\\x1b[31m"), ("\x00\x07\x7f", "\\x00\\x07\\x7f"), ("\x9b2J", "\\x9b2J"), ("a\r\n\tb", "a\\r\\n\\tb"),
        ("\u202egnp.exe", "\\u202egnp.exe"), ("\u2066\u2069\u200e\u200f\u061c", "\\u2066\\u2069\\u200e\\u200f\\u061c"),
        ("\u200b\ufeff\xad", "\\u200b\\ufeff\\xad"), ("\u2028\u2029\x85", "\\u2028\\u2029\\x85"), ("\udcff", "\\udcff"),
        ("\U000e0041\ue000\u3164", "\\U000e0041\\ue000\\u3164"),
    ],
)  # fmt: skip
def test_what_is_escaped_and_how(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_line_ends_of_our_own_are_kept_where_asked_for() -> None:
    assert visible("a\n\tb", keep="\n") == "a\n\\tb"
    assert prose("a\r\nb\nc\td\x1b") == "a b c d\\x1b"


@given(ANY)
def test_showing_twice_changes_nothing_and_always_encodes(text: str) -> None:
    shown = visible(text)
    assert visible(shown) == shown
    assert hidden(shown) == []
    shown.encode()


@given(ANY, st.integers(2, 60))
def test_cells_of_a_table_have_their_width(text: str, width: int) -> None:
    assert columns(cut(text, width)) <= width
    assert columns(padded(cut(text, width), width)) == width
    assert cut(text, 1_000) == visible(text)


def test_wide_and_combining_characters_count_as_terminals_draw_them() -> None:
    assert columns("日本") == 4
    assert columns(unicodedata.normalize("NFD", "é")) == 1
    assert padded("日本", 6) == "日本  "
    assert padded("\x1b", 6) == "\\x1b  "
    assert cut("日本語", 5) == "日本…"

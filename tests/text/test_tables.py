"""The shared open-addressing table against a dict, and lists that are looked up in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.text.batch import TextBatch
from pipeline.text.kernels.tables import EMPTY, find_number, number_table, place_of, room_for
from pipeline.text.lists import list_phrases, list_table, read_list

pytestmark = pytest.mark.usefixtures("kernels")

# small keys, keys that fall on the same place, keys at both ends of 64 bits
KEY = st.one_of(
    st.integers(0, 40),
    st.integers(0, 40).map(lambda n: n << 32),
    st.integers(2**64 - 40, 2**64 - 1),
    st.integers(0, 2**64 - 1),
)


@given(st.lists(KEY, max_size=200), st.lists(KEY, max_size=50))
@settings(max_examples=200, deadline=None)
def test_a_table_gives_what_a_dict_gives(given_keys: list[int], others: list[int]) -> None:
    keys, numbers = number_table(np.array(given_keys, np.uint64))
    expected: dict[int, int] = {}
    for n, key in enumerate(given_keys):
        expected.setdefault(key, n)
    for key in given_keys + others:
        assert find_number(keys, numbers, np.uint64(key)) == expected.get(key, -1)
    assert sorted(numbers[numbers >= 0].tolist()) == sorted(expected.values())
    assert len(keys) == len(numbers) >= 3 * len(given_keys)


@given(st.lists(KEY, max_size=300))
@settings(max_examples=100, deadline=None)
def test_who_fills_empty_places_counts_as_a_dict_does(stream: list[int]) -> None:
    room = room_for(len(stream), 2)
    keys, counts = np.empty(room, np.uint64), np.full(room, EMPTY, np.int32)
    expected: dict[int, int] = {}
    for key in stream:
        place = place_of(keys, counts, np.uint64(key), np.uint64(key))
        assert (counts[place] >= 0) == (key in expected)
        keys[place] = key
        counts[place] = max(counts[place], 0) + 1
        expected[key] = expected.get(key, 0) + 1
    assert dict(zip(keys[counts >= 0].tolist(), counts[counts >= 0].tolist(), strict=True)) == expected


@given(st.integers(0, 100_000), st.integers(1, 4))
def test_room_is_a_power_of_two_and_enough(n: int, times: int) -> None:
    room = room_for(n, times)
    assert room >= max(times * n, 16)
    assert room & (room - 1) == 0


def test_lists_are_found_by_their_words(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("# a comment\nred\nGreen  # another\n\nlight blue\nlight\n", "utf-8")
    assert read_list(str(path)) == ["red", "Green", "light blue", "light"]
    words = TextBatch(["red green GREEN light blue dark"]).words.hashes
    found = [find_number(*list_table(str(path)), h) >= 0 for h in words]
    assert found == [True, True, True, True, True, False]
    tokens = TextBatch(["red green Green"]).tokens.hashes
    assert [find_number(*list_table(str(path), exact=True), h) >= 0 for h in tokens] == [True, False, True]
    phrases = list_phrases(str(path))
    assert phrases.longest == 2
    assert [find_number(*phrases.beginnings, h) >= 0 for h in words] == [True, True, True, True, False, False]


def test_keys_that_end_alike_take_time_in_proportion() -> None:
    from time import process_time

    def seconds(n: int) -> float:
        keys = (np.arange(n, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) << np.uint64(24)
        best = 9e9
        for _ in range(5):
            began = process_time()
            number_table(keys)
            best = min(best, process_time() - began)
        return best

    seconds(100)
    for _ in range(3):
        short, long = seconds(40_000), seconds(80_000)
        if long <= 3 * short + 0.002:  # a larger table leaves the cache
            return
    pytest.fail(f"{short:.4f} s and {long:.4f} s")

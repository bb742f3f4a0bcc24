"""Tries over several runs: a kill neither ends nor renews the retries of a URL."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.outcomes import Cause
from crawler.stored import Stored
from crawler.tries import Tries

URL, RETRIES = "http://a.test/", 2
TIMEOUT, TOO_LARGE = Cause("timeout", "no whole answer in 3 s"), Cause("too_large", "more than 9 bytes")
ANSWERS = {503: True, 429: True, 200: False, 404: False, 302: False}  # status -> whether it is worth another try
TRY = st.sampled_from([*ANSWERS, TIMEOUT, TOO_LARGE])


def reopened(path: Path, warc: list[Stored], *, retries: int = RETRIES) -> Tries:
    """As the next run finds it."""
    tries = Tries(path, warc, retries=retries)
    tries.close()
    return tries


def stored(status: int, place: int) -> Stored:
    return Stored("winnow-00000.warc.gz", place, Path(), URL, status)


@given(outcomes=st.lists(TRY, min_size=1, max_size=6), killed=st.sets(st.integers(0, 6)))
def test_the_end_is_the_same_wherever_a_crawl_is_killed(
    tmp_path_factory: pytest.TempPathFactory, outcomes: list[int | Cause], killed: set[int]
) -> None:
    """What is asked for, and what the last word is, against a run that nothing disturbs."""
    want: list[int | Cause] = []
    for outcome in outcomes:
        want.append(outcome)
        again = ANSWERS[outcome] if isinstance(outcome, int) else outcome is TIMEOUT
        if not again or len(want) > RETRIES:
            break
    path = tmp_path_factory.mktemp("tries") / "tries.jsonl"
    warc: list[Stored] = []
    tries = Tries(path, warc, retries=RETRIES)
    asked: list[int | Cause] = []
    for number, outcome in enumerate(want):
        if number in killed:
            tries.close()
            tries = Tries(path, warc, retries=RETRIES)
        assert tries.earlier(URL) is None
        assert tries.spent(URL) == number
        asked.append(outcome)
        if isinstance(outcome, int):
            warc.append(stored(outcome, number))
            tries.answered(URL, outcome)
        else:
            tries.failed(URL, outcome, again=outcome is TIMEOUT)
    tries.close()
    if len(want) < len(outcomes) or len(want) > RETRIES or want[-1] in (200, 404, 302) or want[-1] == TOO_LARGE:
        last = reopened(path, warc).earlier(URL)
        assert (last.status if isinstance(last, Stored) else last) == want[-1]


@given(share=st.floats(0, 1))
def test_a_half_written_line_is_asked_for_again(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    path = tmp_path_factory.mktemp("tries") / "tries.jsonl"
    tries = Tries(path, retries=9)
    for _ in range(3):
        tries.failed(URL, TIMEOUT, again=True)
    tries.close()
    kept = path.read_bytes()[: round(share * path.stat().st_size)]
    path.write_bytes(kept)
    again = Tries(path, retries=9)
    assert again.spent(URL) == kept.count(b"\n")
    again.failed(URL, TIMEOUT, again=True)
    again.close()
    assert reopened(path, [], retries=9).spent(URL) == kept.count(b"\n") + 1


def test_a_damaged_line_costs_what_follows_it_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "tries.jsonl"
    tries = Tries(path, retries=0)
    for name in "abc":
        tries.failed(URL + name, TOO_LARGE, again=False)
    tries.close()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"[]\n" + lines[2])
    read = reopened(path, [], retries=0)
    assert [read.earlier(URL + name) for name in "abc"] == [TOO_LARGE, None, None]


def test_a_server_that_wants_to_be_left_alone_for_long_is_not_asked_again(tmp_path: Path) -> None:
    tries = Tries(tmp_path / "tries.jsonl", [Stored("f", 0, Path(), URL, 503, b"3600")], retries=2, max_wait_s=60.0)
    tries.close()
    assert isinstance(tries.earlier(URL), Stored)
    assert tries.passing(503, b"60")
    assert not tries.passing(503, b"61")

"""A crowd: one batch on its way through the gates."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.documents import Doc, Documents
from pipeline.curate.crowd import Crowd


def crowd(n: int) -> Crowd:
    return Crowd(range(10, 10 + n), Documents(Doc(i.to_bytes(16, "big"), f"text {i}") for i in range(n)))


def test_everyone_is_the_same_batch_until_a_text_changes() -> None:
    here = crowd(3)
    first = here.everyone
    here.drop(11)
    assert here.everyone is first
    here.change(12, here.alive[12].with_text("other"))
    assert here.everyone is not first
    assert [d.text for d in here.everyone] == ["text 0", "text 1", "other"]
    here.change(11, here.dropped[11].with_text("dropped one"))
    assert [d.text for d in here.everyone] == ["text 0", "dropped one", "other"]
    assert list(here.alive) == [10, 12]


def test_who_leaves_or_is_forgotten_is_measured_no_further() -> None:
    here = crowd(4)
    here.leave(10)
    here.drop(12)
    assert [d.text for d in here.everyone] == ["text 1", "text 2", "text 3"]
    assert [d.text for d in here.forget_dropped()] == ["text 2"]
    assert [d.text for d in here.everyone] == ["text 1", "text 3"]
    assert list(here.forget_dropped()) == []


@given(st.lists(st.tuples(st.sampled_from(["drop", "leave", "change", "forget"]), st.integers(0, 5)), max_size=20))
def test_everyone_is_alive_and_dropped_in_the_order_of_rows(steps: list[tuple[str, int]]) -> None:
    here = crowd(6)
    for what, number in steps:
        row = 10 + number
        if what == "forget":
            list(here.forget_dropped())
        elif what == "change" and row in (here.alive | here.dropped):
            here.change(row, (here.alive | here.dropped)[row].with_text("x"))
        elif row in here.alive and what in ("drop", "leave"):
            (here.drop if what == "drop" else here.leave)(row)
        both = here.alive | here.dropped
        assert list(here.everyone) == [both[r] for r in sorted(both)]
        assert not set(here.alive) & set(here.dropped)

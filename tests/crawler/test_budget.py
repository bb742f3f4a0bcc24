"""Pages reserved, taken and given back, without a crawl."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.budget import Budget
from crawler.outcomes import Refused

URLS = [f"http://{host}.test/{page}" for host in "ab" for page in range(4)]
EVENTS = st.lists(st.tuples(st.sampled_from(["reserve", "take", "give_back"]), st.sampled_from(URLS)), max_size=60)
LIMITS = st.integers(0, 6), st.integers(0, 3)


def reserved(budget: Budget, url: str) -> bool:
    try:
        budget.reserve(url)
    except Refused:
        return False
    return True


def test_what_is_under_way_counts_until_it_is_given_back() -> None:
    budget = Budget(2)
    a, b, c, _ = URLS[:4]
    assert reserved(budget, a)
    assert reserved(budget, b)
    assert not reserved(budget, c)
    assert reserved(budget, a)  # a retry of what is under way
    budget.take(a)
    assert not reserved(budget, c)
    budget.give_back(b)
    assert reserved(budget, c)
    assert (budget.pages, budget.spent) == (1, 2)


def test_hosts_have_limits_of_their_own() -> None:
    budget = Budget(10, 1)
    assert reserved(budget, "http://a.test/1")
    assert not reserved(budget, "http://a.test:8080/2")
    assert reserved(budget, "http://b.test/1")
    assert not reserved(Budget(0), "http://a.test/1")


def test_what_was_never_reserved_counts_for_nothing() -> None:
    budget = Budget(1)
    budget.take("http://a.test/robots.txt")
    budget.give_back("http://a.test/robots.txt")
    assert (budget.pages, budget.spent, budget.spent_on("a.test")) == (0, 0, 0)


def test_a_page_fetched_again_is_one_page() -> None:
    budget = Budget(2)
    for _ in range(2):
        budget.reserve(URLS[0])
        budget.take(URLS[0])
    assert (budget.pages, budget.spent) == (1, 1)
    budget.reserve(URLS[0])
    budget.give_back(URLS[0])
    assert (budget.pages, budget.spent) == (1, 1)


@given(EVENTS, *LIMITS)
def test_limits_are_never_exceeded(events: list[tuple[str, str]], max_pages: int, per_host: int) -> None:
    budget = Budget(max_pages, per_host)
    under_way: set[str] = set()
    pages: set[str] = set()
    for event, url in events:
        if event == "reserve":
            if reserved(budget, url):
                under_way.add(url)
        else:
            getattr(budget, event)(url)
            if event == "take" and url in under_way:
                pages.add(url)
            under_way.discard(url)
        assert budget.pages == len(pages)
        assert budget.spent == len(pages | under_way) <= max_pages
        if per_host:
            assert all(0 <= budget.spent_on(f"{host}.test") <= per_host for host in "ab")


@given(EVENTS, *LIMITS)
def test_all_that_is_given_back_leaves_nothing(events: list[tuple[str, str]], max_pages: int, per_host: int) -> None:
    budget = Budget(max_pages, per_host)
    for event, url in events:
        if event == "reserve":
            reserved(budget, url)
        else:
            budget.give_back(url)
    for url in URLS:
        budget.give_back(url)
    assert budget.spent == budget.pages == budget.spent_on("a.test") == budget.spent_on("b.test") == 0


def test_a_refusal_reserves_nothing() -> None:
    budget = Budget(1)
    budget.reserve(URLS[0])
    with pytest.raises(Refused) as refused:
        budget.reserve(URLS[1])
    assert refused.value.outcome == "page_limit"
    budget.take(URLS[1])
    assert budget.pages == 0


def test_pages_of_earlier_runs_have_their_places_in_whatever_order_they_are_met() -> None:
    stored = [f"http://a.test/{n}" for n in range(3)]
    budget = Budget(4, 4, stored)
    assert (budget.pages, budget.spent, budget.spent_on("a.test")) == (3, 3, 3)
    budget.reserve("http://a.test/new")
    with pytest.raises(Refused, match="page_limit"):
        budget.reserve("http://a.test/more")
    for url in stored:
        budget.reserve(url)
        budget.take(url)
    budget.take("http://a.test/new")
    assert (budget.pages, budget.spent, budget.spent_on("a.test")) == (4, 4, 4)

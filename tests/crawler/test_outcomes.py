"""Fates of URLs, without a crawl: what an answer is, and what a ledger makes of answers, refusals and failures."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.budget import Budget
from crawler.config import CrawlConfig
from crawler.fetch_log import FetchLog, read_lines
from crawler.ledger import Ledger
from crawler.outcomes import OUTCOMES, REDIRECTS, Answer, Outcome, Refused, Visit, fate_of_answer, fate_without_page

A, B, C = (f"http://a.test/{name}" for name in "abc")


def answer(status: int = 200, to: str | None = None) -> Answer:
    return Answer(status, 10, "winnow-00000.warc.gz", 400, location=to, target=to)


def test_every_outcome_is_described() -> None:
    assert set(get_args(Outcome)) == set(OUTCOMES)
    assert all(OUTCOMES.values())


def test_refused_says_which_outcome_it_is_and_is_an_exception_of_python_alone() -> None:
    assert Refused.__mro__[1] is Exception
    assert str(Refused("robots")) == "robots"
    assert str(Refused("robots", "forbidden")) == "forbidden"


@pytest.mark.parametrize(
    ("given", "want"),
    [
        (answer(200), ("fetched", "")),
        (answer(204), ("http_error", "HTTP 204")),
        (answer(404), ("http_error", "HTTP 404")),
        (answer(301), ("http_error", "HTTP 301")),  # with no Location it points nowhere
        (answer(301, to=B), ("redirect", B)),
        (answer(302, to=A), ("redirect_loop", A)),
    ],
)
def test_outcome_of_an_answer(given: Answer, want: tuple[str, str]) -> None:
    fate = fate_of_answer(Visit(A, depth=2, referrer=C), given)
    assert (fate.outcome, fate.note) == want
    assert (fate.host, fate.depth, fate.referrer, fate.status) == ("a.test", 2, C, given.status)
    assert (fate.warc_file, fate.warc_offset, fate.bytes) == ("winnow-00000.warc.gz", 400, 10)


@given(st.sampled_from(REDIRECTS), st.integers(0, 4), st.data())
def test_a_redirect_into_its_own_chain_is_a_loop(status: int, length: int, data: st.DataObject) -> None:
    chain = tuple(f"http://a.test/{i}" for i in range(length))
    target = data.draw(st.sampled_from([*chain, A, B]))
    fate = fate_of_answer(Visit(A, chain=chain), answer(status, to=target))
    assert (fate.outcome == "redirect_loop") == (target != B)


def test_a_url_that_brought_nothing_has_no_place_in_the_warc() -> None:
    fate = fate_without_page(Visit("http://A.test:8080/x"), "timeout", "slow")
    assert (fate.host, fate.outcome, fate.note) == ("a.test", "timeout", "slow")
    assert (fate.status, fate.warc_file, fate.warc_offset, fate.bytes, fate.depth) == (None,) * 5


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(FetchLog(tmp_path / "log.jsonl"), Budget(2))


def outcomes(ledger: Ledger) -> dict[str, tuple[str, str]]:
    ledger.log.close()
    return {url: (fate.outcome, fate.note) for url, fate in read_lines(ledger.log.path).items()}


def test_a_page_takes_its_place_and_all_else_gives_it_back(ledger: Ledger) -> None:
    for url in (A, B):
        ledger.budget.reserve(url)
    ledger.answered(Visit(A), answer(200))
    ledger.answered(Visit(B), answer(404))
    ledger.budget.reserve(C)
    ledger.unanswered(Visit(C), "timeout")
    assert (ledger.budget.pages, ledger.budget.spent) == (1, 1)
    assert outcomes(ledger) == {A: ("fetched", ""), B: ("http_error", "HTTP 404"), C: ("timeout", "")}


def test_the_redirect_that_closes_a_loop_makes_one_of_all_before_it(ledger: Ledger) -> None:
    ledger.answered(Visit(A), answer(302, to=B))
    ledger.answered(Visit(B, chain=(A,)), answer(302, to=C))
    ledger.answered(Visit(C, chain=(A, B)), answer(302, to=A))
    assert outcomes(ledger) == {A: ("redirect_loop", B), B: ("redirect_loop", C), C: ("redirect_loop", A)}


def test_an_endless_chain_is_noted_where_it_begins(ledger: Ledger) -> None:
    ledger.answered(Visit(A), answer(302, to=B))
    ledger.answered(Visit(B, chain=(A,)), answer(302, to=C))
    ledger.endless(Visit(B, chain=(A,)))
    assert outcomes(ledger) == {A: ("redirect_loop", "gave up after 1"), B: ("redirect", C)}


def test_an_answer_outlives_a_retry_that_the_limit_refused(ledger: Ledger) -> None:
    ledger.answered(Visit(A), answer(503))
    ledger.unanswered(Visit(A), "page_limit")
    ledger.unanswered(Visit(B), "page_limit")
    assert outcomes(ledger) == {A: ("http_error", "HTTP 503"), B: ("page_limit", "")}


def test_a_link_that_is_not_followed_changes_no_fate(ledger: Ledger) -> None:
    ledger.answered(Visit(A), answer(200))
    ledger.unasked(Visit(A), "depth_limit")
    ledger.unasked(Visit(B), "out_of_scope")
    ledger.unasked(Visit(B), "depth_limit")
    assert outcomes(ledger) == {A: ("fetched", ""), B: ("out_of_scope", "")}


def test_failures_are_told_apart_by_type_not_by_what_they_say() -> None:
    from scrapy.exceptions import DownloadCancelledError, DownloadFailedError, DownloadTimeoutError, IgnoreRequest
    from twisted.internet.defer import TimeoutError as DeferredTimeoutError

    from crawler.failures import DecompressedTooLarge, RedirectLimitReached, RefusedRequest, cause_of

    config = CrawlConfig(max_page_bytes=5_000, timeout_s=3.0)
    misleading = "maxsize, redirection and timeout: http://a.test/timeout"
    for error, want in [
        (RefusedRequest(Refused("robots", "no")), ("robots", "no")),
        (DownloadCancelledError("whatever"), ("too_large", "more than 5,000 bytes")),
        (DecompressedTooLarge("whatever"), ("too_large", "more than 5,000 bytes")),
        (RedirectLimitReached("whatever"), ("redirect_loop", "")),
        (DownloadTimeoutError("whatever"), ("timeout", "no whole answer in 3 s")),
        (DeferredTimeoutError(), ("timeout", "no whole answer in 3 s")),
        (ValueError("Missing scheme"), ("bad_url", "Missing scheme")),
        (DownloadFailedError(misleading), ("failed", f"DownloadFailedError: {misleading}")),
        (IgnoreRequest(misleading), ("failed", f"IgnoreRequest: {misleading}")),
    ]:
        cause = cause_of(error, config)
        assert (cause.outcome, cause.note, cause.status) == (*want, None)

"""robots.txt: whatever its bytes look like, its rules hold; it is no page."""

from __future__ import annotations

import codecs
import gzip
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.config import DEFAULT_USER_AGENT, CrawlConfig
from crawler.robots import MAX_BYTES, Rules, text_of
from crawler.step import crawl
from crawler.tries import wait_s
from pipeline.core.bench import Bench
from pipeline.core.errors import StepError
from pipeline.look.run import table_of
from tests.crawler.raw import Raw, answer

RULES = "User-agent: *\nDisallow: /secret\nCrawl-delay: 2\n"
HOST = "http://a.test"


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_rules_hold_in_every_spelling(charset: str, end: str) -> None:
    rules = Rules(RULES.replace("\n", end).encode(charset), DEFAULT_USER_AGENT)
    assert not rules.allow(HOST + "/secret/x")
    assert rules.allow(HOST + "/open")
    assert rules.delay_s == 2.0


@pytest.mark.parametrize(
    ("text", "forbidden", "allowed"),
    [
        ("user-agent : WINNOW\n\n# c\ndisallow : /secret # c2\n\nUser-agent: *\nDisallow:\n", "/secret", "/open"),
        ("User-agent: other\nUser-agent: winnow/0.1\nDisallow: /secret\n", "/secret", "/open"),
        ("Sitemap: http://a.test/s.xml\nDisallow: /open\nUser-agent: *\nDisallow: /secret\n", "/secret", "/open"),
        ("User-agent: winnow\nAllow: /secret\n\nUser-agent: winnow\nDisallow: /secret/x\n", "/secret/x", "/secret"),
        ("User-agent: *\nDisallow: /geh\u00eem\nAllow: /secret/ok\nDisallow: /secret\n", "/geh%C3%AEm", "/secret/ok"),
        ("User-agent: *\nDisallow: /*.pdf$\nDisallow: /*?sort=\n", "/x.pdf", "/x.pdf?y"),
        ("User-agent: crawler\nDisallow: /\n\nUser-agent: *\nDisallow: /secret\n", "/secret", "/open"),
        ("User-agent: *\nDisallow: /secret\u2028Disallow: /open\n", "/secret%E2%80%A8Disallow:%20/open", "/open"),
    ],
)
def test_odd_files_mean_what_the_standard_says(text: str, forbidden: str, allowed: str) -> None:
    rules = Rules(text.encode(), DEFAULT_USER_AGENT)
    if "\u2028" not in text:
        assert not rules.allow(HOST + forbidden)
    assert rules.allow(HOST + allowed)


def test_a_page_in_its_place_forbids_nothing() -> None:
    assert Rules(b"<!doctype html><body>Not found: Disallow: / </body>", DEFAULT_USER_AGENT).allow(HOST + "/")


def test_of_a_large_file_whole_lines_of_the_first_500_kib_count() -> None:
    filler = b"# " + b"x" * 97 + b"\n"
    inside = b"User-agent: *\nDisallow: /in\n" + filler * (MAX_BYTES // len(filler) - 1)
    cut = b"Disallow: /" + b"o" * (MAX_BYTES - len(inside) - 11) + b"pen\n"
    rules = Rules(inside + cut + b"Disallow: /behind\n", DEFAULT_USER_AGENT)
    assert not rules.allow(HOST + "/in")
    assert rules.allow(HOST + "/behind")
    assert rules.allow(HOST + "/" + "o" * (MAX_BYTES - len(inside) - 11))


@pytest.mark.parametrize("value", ["nan", "-1", "1e400", "soon", "", "\0"])
def test_a_delay_that_is_none_slows_nothing_down(value: str) -> None:
    delay = Rules(f"User-agent: *\nCrawl-delay: {value}\n".encode(), DEFAULT_USER_AGENT).delay_s
    assert delay is None or delay > 1e300


@given(st.binary(max_size=300))
def test_no_bytes_are_too_odd(body: bytes) -> None:
    for mark in (b"", codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF8, codecs.BOM_UTF32_LE):
        assert "\r" not in text_of(mark + body)
        Rules(mark + body, DEFAULT_USER_AGENT).allow(HOST + "/")


@given(st.binary(max_size=60) | st.integers().map(lambda n: str(n).encode()))
def test_no_retry_after_is_too_odd(value: bytes) -> None:
    assert wait_s(value) >= 0
    assert wait_s(b"120") == 120
    assert wait_s(b"Fri, 31 Dec 1999 23:59:59 GMT") == wait_s(b"Fri, 31 Dec 99999 23:59:59 GMT") == wait_s(None) == 0
    assert wait_s(b"Fri, 31 Dec 9998 23:59:59 GMT") > 1e9


def test_rules_of_an_over_large_utf_16_file_hold_and_it_is_no_page(tmp_path: Path) -> None:
    text = "User-agent: *\nDisallow: /secret\nCrawl-delay: 0.2\n" + "# filler\n" * 300_000
    body = gzip.compress(text.encode("utf-16"))
    site = Raw({"/robots.txt": answer(body, b"Content-Type: text/plain", b"Content-Encoding: gzip"),
                "/": answer(b"<a href='/secret'>a</a><a href='/a'>a</a><a href='/b'>a</a><a href='/robots.txt'>r</a>"),
                "/a": answer(b"a"), "/b": answer(b"b")})  # fmt: skip
    try:
        config = CrawlConfig(seeds=[site.url + "/"], delay_s=0.0, concurrency_per_host=4, max_page_bytes=100_000)
        step = crawl(config, Bench(tmp_path))
    finally:
        site.close()
    assert step.counts["outcomes"] == {"fetched": 3, "robots": 1, "robots_file": 1}
    times = [t for t, p in site.log if p != "/robots.txt"]
    assert min(b - a for a, b in itertools.pairwise(times)) > 0.15


def test_a_plain_file_without_end_is_cut_and_kept(tmp_path: Path) -> None:
    body = b"User-agent: *\nDisallow: /secret\n" + b"# filler\n" * 2_000_000
    site = Raw({"/robots.txt": answer(body, b"Content-Type: text/plain"), "/secret": answer(b"no"), "/a": answer(b"a")})
    try:
        step = crawl(CrawlConfig(seeds=[site.url + "/a", site.url + "/secret"], delay_s=0.0), Bench(tmp_path))
    finally:
        site.close()
    rows = {r["url"].removeprefix(site.url): r for r in table_of(step, "fetch").to_pylist()}
    assert rows["/secret"]["outcome"] == "robots"
    assert rows["/robots.txt"]["note"] == "cut off (length)"
    assert MAX_BYTES < rows["/robots.txt"]["bytes"] < 2 * MAX_BYTES


def test_a_forbidden_crawl_fails_with_its_reason_and_may_be_tried_again(tmp_path: Path) -> None:
    robots = [b"User-agent: *\nDisallow: /\n", b"User-agent: *\nDisallow: /private\n"]
    site = Raw({"/robots.txt": lambda n: answer(robots[min(n, 1)], b"Content-Type: text/plain"), "/": answer(b"yes")})
    try:
        config = CrawlConfig(seeds=[site.url + "/"], delay_s=0.0)
        with pytest.raises(
            StepError, match=r"not one page .* forbidden by http://127.0.0.1:\d+/robots.txt \(1 robots, 1 rob"
        ):
            crawl(config, Bench(tmp_path))
        assert crawl(config, Bench(tmp_path)).counts["outcomes"] == {"fetched": 1, "robots_file": 1}
    finally:
        site.close()


def test_retry_after_is_kept(tmp_path: Path) -> None:
    busy = b"503 Busy"
    site = Raw({
        "/soon": lambda n: answer(b"soon", b"Retry-After: 1") if n else answer(b"no", b"Retry-After: 1", status=busy),
        "/never": answer(b"no", b"Retry-After: 86400", status=busy),
    })  # fmt: skip
    try:
        config = CrawlConfig(seeds=[site.url + "/soon", site.url + "/never"], delay_s=0.0, max_crawl_delay_s=1.5)
        step = crawl(config, Bench(tmp_path))
    finally:
        site.close()
    first, second = site.times("/soon")
    assert second - first > 0.95
    assert len(site.times("/never")) == 1  # it wants to be left alone for longer than we wait
    assert step.counts["outcomes"] == {"fetched": 1, "http_error": 2}

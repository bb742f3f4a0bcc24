"""Links: each has its fate, and is found by its URL as it stands in the page."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.config import CrawlConfig
from crawler.links import MAX_URL_CHARS, Page, canonical, forms_of, links_of, page_of, resolved
from crawler.step import crawl
from pipeline.core.bench import Bench
from pipeline.look.explain import explain
from pipeline.look.run import open_run
from tests.crawler.raw import Raw, answer

LONG = "/long" + "x" * 3_000
FATES = {
    LONG: "url_too_long",
    "http://[bad/": "bad_url",
    "http://127.0.0.1:99999/": "bad_url",
    "http://127.0.0.1:9:9/": "bad_url",
    "http://name:word@127.0.0.1/": "bad_url",
    "http://a..b/": "bad_url",
    "//[x": "bad_url",
    "http://elsewhere.test:8080/x": "out_of_scope",
    "/q?a=1&b=2": "fetched",
    "/q?b=2&a=1": "equivalent",
    "/a%3cd": "fetched",
    "/a%3Cd": "equivalent",
    "/pipe|x": "fetched",
    "/caf\u00e9?q=\u00fc": "fetched",
    "/frag#part": "fetched",
    "/plain sp": "fetched",
    "/moved?x=2&y=1": "redirect",  # to another order of its own query, where the page is
    "/moved?y=1&x=2": "fetched",
}


def test_each_link_has_its_fate_and_explain_finds_it(tmp_path: Path) -> None:
    written = [link for link in FATES if link != "/moved?y=1&x=2"]
    body = "".join(
        f'<a href="{link}">x</a>' for link in [*written, "/", "mailto:a@b.c", "javascript:void(0)", "data:,x"]
    )
    found = answer(b"<p>found</p>")
    asked = ["/q?a=1&b=2", "/a%3cd", "/pipe%7Cx", "/caf%C3%A9?q=%C3%BC", "/frag", "/plain%20sp", "/moved?y=1&x=2"]
    moved = answer(b"", b"Location: /moved?y=1&x=2", status=b"301 Moved")
    home = answer(body.encode(), b"Content-Type: text/html; charset=utf-8")
    site = Raw({"/": home, "/moved?x=2&y=1": moved, **dict.fromkeys(asked, found)})
    try:
        step = crawl(CrawlConfig(seeds=[site.url + "/"], delay_s=0.0, concurrency_per_host=4), Bench(tmp_path))
    finally:
        site.close()
    run = open_run(step.dir)
    for link, outcome in FATES.items():
        target = site.url + link if link.startswith("/") and not link.startswith("//") else link
        fetch = explain(run, target).fetch
        assert fetch is not None
        assert fetch.outcome == outcome, link
    met = step.counts["outcomes"]
    assert sum(met.values()) == len(FATES) + 2  # the seed, which is linked to, and robots.txt
    assert len(site.times("/")) == 1
    assert len(site.times("/q?b=2&a=1")) == 0


def test_links_follow_the_base_and_the_charset_of_the_page() -> None:
    page = page_of(
        "<base href='/other/'><a href='é?q=é'>a</a><frame src=x><area href=' y\n'>".encode("latin-1"), "text/html"
    )
    urls = [link.url for link in links_of(page, "http://a.test/deep/page")]
    assert urls == ["http://a.test/other/%C3%A9?q=%E9", "http://a.test/other/x", "http://a.test/other/y"]


def test_a_url_of_the_greatest_length_is_asked_for() -> None:
    base = "http://a.test/"
    most = resolved("x" * (MAX_URL_CHARS - len(base)), base)
    more = resolved("x" * (MAX_URL_CHARS - len(base) + 1), base)
    assert most is not None
    assert more is not None
    assert (most.outcome, more.outcome) == (None, "url_too_long")


@given(st.text(max_size=80) | st.text("ht:p/[]@#?%.a1\\ \t\u2100", max_size=30).map(lambda t: "http://" + t))
def test_no_link_is_too_odd(written: str) -> None:
    link = resolved(written, "http://a.test/b/c?d")
    assert link is None or link.outcome in (None, "bad_url", "url_too_long")
    assert written in forms_of(written)


@given(st.text(max_size=200), st.binary(max_size=200), st.text(max_size=20))
def test_no_page_is_too_odd(text: str, body: bytes, content_type: str) -> None:
    for page in (Page(f"<a href='{text}'>{text}", "utf-8"), page_of(b"<a href=" + body, content_type)):
        assert all(link.url is not None for link in links_of(page, "http://a.test/"))


@pytest.mark.parametrize("depth", [100, 3_000, 50_000])
def test_links_are_found_at_any_depth(depth: int) -> None:
    page = Page("<div>" * depth + "<a href='/x'>x</a>", "utf-8")
    assert [link.url for link in links_of(page, "http://a.test/")] == ["http://a.test/x"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://a.test", "http://a.test:80/", True),
        ("https://a.test:/x", "https://A.test:443/x#y", True),
        ("http://a.test/?b=2&a=1", "http://a.test/?a=1&b=2", True),
        ("http://a.test:443/", "http://a.test/", False),
        ("http://[::1]/", "http://[::1]:80/", True),
        ("http://a.test/x", "http://a.test/x/", False),
        ("http://a.test/x", "http://a.test/X", False),
    ],
)
def test_what_is_equivalent(one: str, other: str, same: bool) -> None:
    assert (canonical(one) == canonical(other)) == same


def test_time_for_a_page_that_has_no_tree_grows_with_the_page() -> None:
    for piece in ("<a href=", "<a href='", "<a <!--", '<a\nhref="', "<a href = ", "<![x", "<a "):
        started = time.process_time()
        deep = "<div>" * 3_000
        list(links_of(Page(deep + piece * (1_000_000 // len(piece)), "utf-8"), "http://a.test/"))
        assert time.process_time() - started < 5, piece

"""Which URLs may be fetched, without a crawl."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.config import CrawlConfig
from crawler.scope import FirstSchemes, Scope, scope_of


def scope(*hosts: str, prefixes: tuple[str, ...] = ()) -> Scope:
    return scope_of(CrawlConfig(hosts=list(hosts), path_prefixes=list(prefixes)), ["http://seed.test/start"])


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://a.test/", True),
        ("https://A.TEST/x?y#z", True),
        ("http://a.test:8080/", True),  # a host stands for all its ports
        ("http://b.test:8080/", True),
        ("http://b.test/", False),  # a port stands for itself
        ("http://b.test:8081/", False),
        ("http://sub.a.test/", False),
        ("http://a.test.evil/", False),
        ("http://a.test@evil.test/", False),
        ("http://seed.test/", False),  # hosts were named, and it is none of them
        ("ftp://a.test/", False),
        ("mailto:me@a.test", False),
        ("javascript:void(0)", False),
        ("", False),
    ],
)
def test_hosts_and_ports(url: str, allowed: bool) -> None:
    assert scope("a.test", "B.test:8080").allows(url) is allowed


def test_hosts_of_the_seeds_where_none_are_named() -> None:
    seeds = ["http://One.test/start", "https://two.test:444/"]
    found = scope_of(CrawlConfig(), seeds)
    assert found.hosts == {"one.test", "two.test"}
    assert all(found.allows(seed) for seed in seeds)


def test_path_prefixes_bind_all_but_the_seeds() -> None:
    found = scope("a.test", prefixes=("/docs/", "/blog"))
    assert found.allows("http://a.test/docs/x")
    assert found.allows("http://a.test/blogroll")
    assert not found.allows("http://a.test/docs")
    assert not found.allows("http://a.test")
    assert found.allows("http://a.test", seed=True)
    assert not found.allows("http://b.test/docs/x", seed=True)


def test_an_impossible_port_is_a_bad_url() -> None:
    with pytest.raises(ValueError, match="Port"):
        scope("a.test").allows("http://a.test:99999/")


def test_a_host_keeps_the_scheme_of_its_first_page() -> None:
    schemes = FirstSchemes()
    assert schemes.one_scheme("http://a.test/x") == "http://a.test/x"
    schemes.met("https://a.test/")
    schemes.met("http://a.test/later")
    assert schemes.one_scheme("http://a.test/x?y=1") == "https://a.test/x?y=1"
    assert schemes.one_scheme("http://a.test:80/x") == "http://a.test:80/x"
    assert schemes.one_scheme("ftp://a.test/x") == "ftp://a.test/x"


URLS = st.builds(
    "{}://{}{}".format,
    st.sampled_from(["http", "https", "ftp"]),
    st.sampled_from(["a.test", "a.test:81", "b.test"]),
    st.sampled_from(["", "/", "/x", "/x?y=1"]),
)


@given(st.lists(URLS, max_size=8), URLS)
def test_one_scheme_is_idempotent_and_changes_nothing_else(pages: list[str], url: str) -> None:
    schemes = FirstSchemes()
    for page in pages:
        schemes.met(page)
    once = schemes.one_scheme(url)
    assert schemes.one_scheme(once) == once
    assert once.partition("://")[2] == url.partition("://")[2]

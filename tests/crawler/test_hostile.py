"""Whatever a server answers, it is one recorded outcome: no page is lost that is there, and the crawl goes on."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import brotli
import pytest
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.coding import CODINGS, Bomb, plain
from crawler.config import CrawlConfig
from crawler.step import crawl
from crawler.stored import mend
from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset
from pipeline.look.run import table_of
from tests.crawler.raw import Raw, answer

ENCODERS = {
    b"gzip": gzip.compress,
    b"x-gzip": gzip.compress,
    b"deflate": zlib.compress,
    b"br": brotli.compress,
    b"zstd": zstandard.compress,
}


def bare(body: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflate.compress(body) + deflate.flush()


def page(name: str) -> bytes:
    return f"<html><body><p>Page {name}.</p><a href='/from/{name}'>on</a></body></html>".encode()


def encoded(name: str, body: bytes, *codings: bytes) -> tuple[str, bytes]:
    return name, answer(body, *(b"Content-Encoding: " + c for c in codings))


LIES = (
    b"gzip",
    b"br",
    b"zstd",
    b"deflate",
    b"none",
    b"utf-8",
    b"identity",
    b"x-gzip",
    b"gzip, br",
    b"chunked",
    b"\xff",
    b"",
)
READ = dict(
    [
        *(encoded(f"lie{i}", page(f"lie{i}"), lie) for i, lie in enumerate(LIES)),
        *(encoded(f"true{i}", ENCODERS[c](page(f"true{i}")), c) for i, c in enumerate(ENCODERS)),
        encoded("bare", bare(page("bare")), b"deflate"),
        encoded("twice", gzip.compress(gzip.compress(page("twice"))), b"gzip, gzip"),
        encoded("lines", brotli.compress(gzip.compress(page("lines"))), b"gzip", b"br"),
        encoded("unsaid", gzip.compress(page("unsaid"))),
        encoded("unsaid2", zstandard.compress(page("unsaid2"))),
        encoded("cut", gzip.compress(page("cut") + bytes(range(256)) * 40)[:-300], b"gzip"),
        ("unchunked", answer(page("unchunked"), b"Transfer-Encoding: chunked")),
        ("cutchunk", answer(b"%x\r\n%s\r\n" % (len(page("cutchunk")), page("cutchunk")), b"Transfer-Encoding: chunked")),
        ("short", answer(page("short"), length=5_000)),
        ("reason", answer(page("reason"), status=b"200 \xff\xfe\0")),
        ("noreason", answer(page("noreason"), status=b"200")),
        ("many", answer(page("many"), *(b"X-%d: a" % i for i in range(2_000)))),
        ("odd", answer(page("odd"), b"X-N: a\0b", b"X-L: \xff\xe9", b"X-R: a\rb: c", b"no colon")),
        ("dates", answer(page("dates"), b"Last-Modified: Fri, 31 Dec 99999 23:59:59 GMT", b"Date: no", b"Retry-After: -1")),
        ("name", answer(page("name"), b"Content-Disposition: attachment; filename=\xff\0")),
        ("lf", b"HTTP/1.1 200 OK\nContent-Type: text/html\nConnection: close\n\n" + page("lf")),
        ("base", answer(b"<base href='http://[x'>" + page("base"))),
        ("deep", answer(b"<div>" * 20_000 + page("deep"))),
        ("nul", answer(b"\0\0" + page("nul"))),
        ("xml", answer(b"<?xml version='1.0' encoding='undefined'?>" + page("xml"))),
        *(
            (f"charset{i}", answer(page(f"charset{i}"), b"Content-Type: text/html; charset=" + name))
            for i, name in enumerate([b"undefined", b"idna", b"punycode", b"unicode_escape", b"base64", b"\0", b"x" * 5_000])
        ),
    ]
)  # fmt: skip
OTHER: dict[str, tuple[bytes, str, int | None]] = {
    **{f"status{s}": (answer(b"x", status=b"%d X" % s), "http_error", s) for s in (99_999, 0, 999, -5, 20, 600)},
    "status1e14": (answer(b"x", status=b"99999999999999 X"), "http_error", None),
    "statusabc": (answer(b"x", status=b"abc X"), "failed", None),
    "bomb-gzip": (answer(gzip.compress(bytes(50_000_000), 9), b"Content-Encoding: gzip"), "too_large", None),
    "bomb-br": (answer(brotli.compress(bytes(50_000_000), quality=1), b"Content-Encoding: br"), "too_large", None),
    "bomb-zstd": (answer(zstandard.compress(bytes(50_000_000))), "too_large", None),
    "hugeheader": (answer(b"x", b"X: " + b"a" * 100_000), "failed", None),
    "noname": (answer(b"x", b": value"), "failed", None),
    "nothing": (b"", "failed", None),
    "garbage": (b"\0\1\2 garbage \r\n\r\n", "failed", None),
    "cuthead": (b"HTTP/1.1 200 OK\r\nContent-Ty", "failed", None),
    "badlength": (answer(b"x", b"Content-Length: abc"), "failed", None),
    "type": (answer(b"x", b"Content-Type: \xff\xfe"), "content_type", 200),
    **{
        f"location{i}": (answer(b"", b"Location: " + to, status=b"302 Found"), outcome, 302)
        for i, (to, outcome) in enumerate(
            [
                (b"http://[bad/", "redirect"),
                (b"http://127.0.0.1:99999/", "redirect"),
                (b"http://\xe2\x84\x80/", "redirect"),
                (b"\xff\xfe\0", "redirect"),
                (b"javascript:alert(1)", "redirect"),
                (b"/" + b"l" * 5_000, "redirect"),
                (b"http://name:word@127.0.0.1/", "redirect"),
                (b"http:///", "redirect"),
                (b"", "http_error"),
            ]
        )
    },
}


@dataclass(frozen=True)
class Crawled:
    step: Dataset
    rows: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crawled]:
    site = Raw({f"/{n}": a for n, a in [*READ.items(), *((n, a) for n, (a, _, _) in OTHER.items())]})
    config = CrawlConfig(
        seeds=[site.url + "/"], delay_s=0.0, concurrency_per_host=8, retries=1, max_page_bytes=4_000_000, timeout_s=10.0
    )
    step = crawl(config, Bench(tmp_path_factory.mktemp("hostile")))
    yield Crawled(step, {r["url"].removeprefix(site.url): r for r in table_of(step, "fetch").to_pylist()})
    site.close()


@pytest.mark.parametrize("name", READ)
def test_a_page_is_read_by_what_its_bytes_are(crawled: Crawled, name: str) -> None:
    row = crawled.rows[f"/{name}"]
    assert (row["outcome"], row["status"]) == ("fetched", 200)
    assert f"/from/{name}" in crawled.rows
    assert row["note"] == ("cut off (disconnect)" if name in ("short", "cutchunk") else "")


@pytest.mark.parametrize("name", OTHER)
def test_any_other_answer_is_one_outcome(crawled: Crawled, name: str) -> None:
    _, outcome, status = OTHER[name]
    row = crawled.rows[f"/{name}"]
    assert (row["outcome"], row["status"]) == (outcome, status)


def test_targets_of_redirects_that_cannot_be_asked_for_have_rows(crawled: Crawled) -> None:
    met = {url: row["outcome"] for url, row in crawled.rows.items()}
    assert met["http://[bad/"] == met["http://127.0.0.1:99999/"] == met["http://name:word@127.0.0.1/"] == "bad_url"
    assert met["/" + "l" * 5_000] == "url_too_long"


def test_every_answer_is_in_the_warc_as_it_came(crawled: Crawled) -> None:
    (path,) = crawled.step.files("warc")
    read: dict[str, bytes] = {}
    with open(path, "rb") as f:
        for record in ArchiveIterator(f, record_types=WarcRecordType.response, parse_http=True, verify_digests=True):
            read[urlsplit(record.headers["WARC-Target-URI"]).path[1:]] = record.reader.read()
    for name in ("lie0", "true3", "bare", "twice", "unchunked", "short", "odd", "lf", "nul"):
        body = READ[name].replace(b"\n\n", b"\r\n\r\n").partition(b"\r\n\r\n")[2]
        assert read[name] == body, name
    (odd,) = (s for s in mend(path.parent) if s.url.endswith("/odd") and s.status == 200)
    headers = dict(odd.read()[0])
    assert headers[b"X-L"] == b"\xff\xe9"
    assert headers[b"X-N"] == b"a\0b"


@given(
    body=st.binary(max_size=300).map(lambda b: b"<p>" + b),
    names=st.lists(st.sampled_from(sorted(ENCODERS)), max_size=3),
)
def test_what_was_encoded_is_decoded(body: bytes, names: list[bytes]) -> None:
    sent = body
    for name in names:
        sent = ENCODERS[name](sent)
    assert plain(sent, names, max_bytes=0) == body
    assert plain(sent, [b" , ".join(names).upper()], max_bytes=0) == body


@given(
    text=st.text(max_size=300), name=st.sampled_from([*sorted(CODINGS), b"none", b"\xff", b"gzip, br, deflate, zstd"])
)
def test_a_page_that_only_says_that_it_is_encoded_stays(text: str, name: bytes) -> None:
    body = b"<p>" + text.encode()
    assert plain(body, [name], max_bytes=0) == body


@given(body=st.binary(max_size=300), names=st.lists(st.sampled_from(sorted(CODINGS)), max_size=5))
def test_no_bytes_are_too_odd(body: bytes, names: list[bytes]) -> None:
    for start in (b"", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x78\x9c"):
        assert isinstance(plain(start + body, names, max_bytes=1_000_000, cut=True), bytes)


@settings(deadline=None, max_examples=10)
@given(name=st.sampled_from(sorted(ENCODERS)), layers=st.integers(1, 2))
def test_a_bomb_does_not_go_off(name: bytes, layers: int) -> None:
    sent = ENCODERS[name](bytes(30_000_000))
    for _ in range(layers - 1):
        sent = ENCODERS[name](sent)
    tracemalloc.start()
    with pytest.raises(Bomb):
        plain(sent, [name] * layers, max_bytes=1_000_000)
    assert len(plain(sent, [name] * layers, max_bytes=1_000_000, cut=True)) == 1_000_000
    assert tracemalloc.get_traced_memory()[1] < 8_000_000
    tracemalloc.stop()

"""Anything as an archive, a charset, a page: an outcome for each record, text that can be stored, the same twice."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.dataset import Source
from pipeline.core.schema import DOCUMENT
from pipeline.extract.config import ExtractConfig
from pipeline.extract.documents import Engines, read_documents
from pipeline.extract.fast.engine import FastExtractor
from pipeline.extract.fast.model import BUNDLED
from pipeline.extract.worker import ExtractWorker
from pipeline.extract.writer import table_of_rows
from pipeline.ingest.warc import Tally
from pipeline.text.charset import decode
from tests.conftest import article, html
from tests.fuzz import fuzz
from tests.ingest.archives import LAYOUTS, Made, fields_of, laid_out

ODD = [
    "",
    "\0",
    "\ud83d",
    "é",
    "日本",
    "\u202e",
    "\x1b[2J",
    "]]>",
    "-->",
    "<!--",
    "&#0;",
    "&#x110000;",
    "&amp",
    "'",
    '"',
    "\r",
    "\u2028",
]
TAGS = [
    "p",
    "div",
    "table",
    "tr",
    "td",
    "li",
    "ul",
    "pre",
    "code",
    "svg",
    "math",
    "script",
    "style",
    "title",
    "textarea",
    "template",
    "article",
    "main",
    "nav",
    "a",
    "br",
    "img",
    "select",
    "option",
    "noscript",
    "iframe",
    "h1",
    "x-y",
    "b",
]
TEXT = st.text(max_size=60) | st.sampled_from(ODD) | st.just(article(1))
TAG = st.builds(
    lambda name, kind, attribute, value: {
        0: f"<{name}>",
        1: f"</{name}>",
        2: f"<{name} {attribute}={value}>",
        3: f'<{name} {attribute}="{value}">',
        4: f"<{name}/>",
        5: f"<{name}",
    }[kind],
    st.sampled_from(TAGS),
    st.integers(0, 5),
    st.sampled_from(["class", "href", "style", "id", "lang", "hidden", "property", "content", "name", "a\0b", "é"]),
    st.text(max_size=20) | st.sampled_from(["main", "comment", "og:title", "display:none", "noai", "robots"]),
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["Article", "2024-02-30", "http://[bad"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["@type", "@graph", "headline", "author", "datePublished", "license", "name", "url"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
LD = st.builds(
    lambda value, cut: f'<script type="application/ld+json">{json.dumps(value)[: cut or None]}</script>',
    JSON,
    st.integers(0, 40),
)
PAGE = st.lists(TAG | TEXT | LD, max_size=60).map("".join)
CHARSETS = [
    "",
    "utf-8",
    "latin-1",
    "undefined",
    "idna",
    "punycode",
    "utf-7",
    "rot13",
    "zip",
    "gb2312",
    "x-user-defined",
    "\0",
    "utf-16",
    "a" * 300,
]


@fuzz
@given(
    PAGE.map(lambda text: text.encode("utf-8", "replace")) | st.binary(max_size=300),
    st.sampled_from(["http://a.test/b", "http://[bad", "", "x:y"]),
)
def test_any_page_gives_text_that_can_be_stored(page: bytes, url: str) -> None:
    body = decode(page).utf8
    first, second = (FastExtractor(BUNDLED).extract(body, url) for _ in range(2))
    assert (first.text, first.limit, first.metadata) == (second.text, second.limit, second.metadata)
    first.text.encode()


@fuzz
@given(
    st.binary(max_size=300) | PAGE.map(lambda text: text.encode("utf-16", "replace")),
    st.sampled_from(CHARSETS),
    st.text(max_size=30),
)
def test_any_bytes_are_decoded(body: bytes, charset: str, more: str) -> None:
    found = decode(f"<meta charset='{charset}'>".encode() + body, f"text/html; charset={charset}; {more}")
    found.text.encode()
    assert decode(body, more).utf8 == decode(body, more).utf8


@fuzz
@given(
    st.lists(
        st.tuples(
            st.binary(max_size=200) | PAGE.map(lambda t: t.encode("utf-8", "replace")),
            st.sampled_from(["response", "resource", "conversion", "revisit", "x"]),
            st.sampled_from(["text/html", "application/http", "text/plain", "text/dns", "é\0"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(LAYOUTS),
    st.integers(0, 4),
    st.randoms(use_true_random=False),
)
def test_any_archive_gives_an_outcome_for_each_record(
    blocks: list[tuple[bytes, str, str, bool]], layout: str, damages: int, chance: random.Random
) -> None:
    records = []
    for i, (block, kind, media, http) in enumerate(blocks):
        head = (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: br\r\nTransfer-Encoding: chunked\r\n\r\n"
            if http
            else b""
        )
        records.append(Made(head + block, fields_of(i, kind, media)).bytes())
    data = bytearray(laid_out(records, layout)[0])
    for _ in range(damages):
        at, size = chance.randrange(len(data) + 1), chance.randrange(40)
        data[at : at + size] = chance.choice(
            [b"", bytes(size), chance.randbytes(size), b"WARC/1.0\r\nContent-Length: 9\r\n", b"\x1f\x8b\x08"]
        )
    with (
        tempfile.TemporaryDirectory() as folder,
        ExtractWorker("trafilatura", max_cpu_s=5, max_memory_bytes=4 << 30) as worker,
    ):
        path = Path(folder) / "a.warc"
        path.write_bytes(data)
        tally = Tally()
        source = Source(path, "", name="a.warc", kind="warc")
        found = list(
            read_documents(source, ExtractConfig(max_page_bytes=5_000), Engines(worker, FastExtractor(BUNDLED)), tally)
        )
        assert tally.record_bytes + tally.gap_bytes == len(data)
        assert not [o.dropped.note for o in found if o.dropped is not None and o.dropped.reason == "extract_error"]
        assert isinstance(table_of_rows([o.row for o in found], DOCUMENT), pa.Table)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: br\r\nTransfer-Encoding: chunked\r\n\r\n"
HOSTILE = {
    "tags": "<div>",
    "closed": "<p>a</p>",
    "attributes": "<a b=c d='e' f>",
    "entities": "&amp;&#x41;&bogus",
    "comments": "<!-- a --",
    "less": "<<<<",
    "quotes": '<a href="',
    "script": "<script>x</script",
    "json": '<script type="application/ld+json">{"a":[',
    "cells": "<td>1<td>2<tr>",
    "lists": "<ul><li>a",
    "words": "word ",
    "blanks": " \n\t",
    "cdata": "<![CDATA[ ]]",
    "meta": "<meta name=robots content=noai>",
    "links": "<a href=/x>y</a> ",
    "half": "<b><i></b>",
    "svg": "<svg><math><p>",
    "title": "<title>",
    "template": "<template>",
    "brackets": "[[{{((",
    "unclosed": "</",
    "equals": "<p class==",
}


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("kind", HOSTILE)
def test_the_time_of_a_page_grows_with_its_length_alone(kind: str) -> None:
    from time import process_time

    engine = FastExtractor(BUNDLED)

    def seconds(size: int) -> float:
        page = html(article(1)) + (HOSTILE[kind] * (size // len(HOSTILE[kind]))).encode()
        best = 9e9
        for _ in range(3):
            began = process_time()
            engine.extract(decode(page).utf8, "http://a.test/")
            best = min(best, process_time() - began)
        return best

    for attempt in range(3):
        size = 100_000 << attempt
        short, long = seconds(size), seconds(2 * size)
        if long <= max(2.5 * short, 0.01):
            return
    pytest.fail(f"{kind}: {size:,} bytes take {short:.3f} s, twice as many {long:.3f} s")

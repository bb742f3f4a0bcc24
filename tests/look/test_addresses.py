"""`explain` finds an address in whatever spelling it is asked for, and is never broken by one."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.fetch_log import FETCH_LOG
from pipeline.core.bench import Bench
from pipeline.core.errors import UsageError
from pipeline.core.files import write_parquet, write_sealed
from pipeline.core.step import ShardResult, Task
from pipeline.look.addresses import canonical, same_address, spellings_in
from pipeline.look.explain import explain
from pipeline.look.run import Run, open_run
from pipeline.run.run import RUN
from tests.command import typed
from tests.conftest import article, run, write_jsonl, write_recipe

ALIKE = [
    ("http://Example.COM/a", "http://example.com:80/a#part"),
    ("https://example.com", "https://example.com:443/"),
    ("http://example.com/?b=2&a=1", "http://example.com/?a=1&b=2"),
    ("http://example.com/?a=1&amp;b=2", "http://example.com/?a=1&b=2"),
    ("http://bücher.example/ü?q=ä", "http://xn--bcher-kva.example/%C3%BC?q=%C3%A4"),
    ("http://example.com/%7euser/%c3%bc", "http://example.com/~user/%C3%BC"),
    ("http://example.com/a/../b/./c", "http://example.com/b/c"),
    ("  <http://example.com/a b>\n", "http://example.com/a%20b"),
    ("http://example.com./a", "http://example.com/a"),
    ("http://example.com/\udcfc", "http://example.com/%FC"),
]
UNLIKE = [
    ("http://example.com/a", "http://example.com/A"), ("http://example.com/a", "http://example.com/a/"),
    ("http://example.com/a%2Fb", "http://example.com/a/b"), ("http://user@example.com/", "http://example.com/"),
    ("http://example.com:8080/", "http://example.com/"), ("http://[bad/", "http://[bad/x"),
]  # fmt: skip
STRANGE = ["http://[bad/", "http://\u2100.com/", "http://h:99999/", "http://h:port/", "", "#", "//", "http://", "\udcff", "a b",
           "http://h/" + "x" * 100_000, "http://h/?" + "a=1&" * 5_000, "javascript:alert(1)", "http://h/\x00\x1b"]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_spellings_of_one_address_are_the_same(one: str, other: str) -> None:
    assert same_address(one, other)
    assert same_address(other, one)


@pytest.mark.parametrize(("one", "other"), UNLIKE)
def test_other_addresses_are_others(one: str, other: str) -> None:
    assert not same_address(one, other)


@given(st.one_of(st.text(st.characters(categories=None)), st.sampled_from(STRANGE)), st.text(max_size=5))
def test_every_text_has_a_canonical_form(text: str, more: str) -> None:
    canonical(f"http://{text}{more}")
    assert same_address(text, text)
    column = pa.chunked_array([["http://a.test/", None, ""]], pa.string())
    assert set(spellings_in(column, [text], any_scheme=True)) <= {"http://a.test/", ""}


STORED = {
    "http://xn--bcher-kva.example/%C3%BC": "fetched",
    "http://eins.test/?b=2&a=1": "out_of_scope",
    "http://eins.test/?a=1&b=2": "fetched",
    "http://[bad/": "bad_url",
    "http://h.test/first\nsecond": "bad_url",
    "http://user:word@h.test:8080/": "out_of_scope",
    "http://long.test/" + "x" * 30_000: "bad_url",
    "javascript:alert(1)": "bad_url",
    "https://only.test/page": "fetched",
}


def write_log(task: Task[None]) -> ShardResult:
    rows = [{"url": url, "host": "", "outcome": outcome, "depth": 0} for url, outcome in STORED.items()]
    path = task.file("fetch")
    write_parquet(path, pa.Table.from_pylist(rows, FETCH_LOG))
    return ShardResult({path: len(rows)}, {"responses": 0, "outcomes": {}})


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a fetch log, and documents that were given with other spellings of their addresses."""
    folder = tmp_path_factory.mktemp("crawled")
    rows = [
        {"url": "http://bücher.example/ü", "text": article(1)},
        {"url": "https://only.test/page#top", "text": article(2)},
        {"url": "http://eins.test/?a=1&b=2", "text": article(3)},
        {"url": "http://[bad/", "text": article(4)},
        {"url": "http://short.test/%7Ex", "text": ""},
    ]
    write_jsonl(folder / "in.jsonl", rows)
    made = run(write_recipe(folder, '[extract]\ninputs = ["in.jsonl"]\n'), folder / "runs", last="extract")
    log = Bench(made.root).step("crawl", {}, 1, [], [Task(0, {}, None)], write_log)
    steps = {"crawl": log.dir.name, "extract": made.need("extract").dir.name}
    write_sealed(made.root / RUN, {"recipe": "test", "steps": steps, "work": {}, "files": {}})
    return open_run(made.root)


@pytest.mark.parametrize("url", STORED, ids=range(len(STORED)))
def test_every_row_of_the_fetch_log_is_found_as_it_is(url: str, crawled: Run) -> None:
    fetch = explain(crawled, url).fetch
    assert fetch is not None
    assert (fetch.url, fetch.outcome) == (url, STORED[url])


@pytest.mark.parametrize(
    ("asked", "fetched", "documents"),
    [
        ("http://BÜCHER.example/%c3%bc#x", "http://xn--bcher-kva.example/%C3%BC", 1),
        ("http://bücher.example/ü", "http://xn--bcher-kva.example/%C3%BC", 1),
        ("http://eins.test/?b=2&amp;a=1", "http://eins.test/?a=1&b=2", 1),
        ("HTTP://ONLY.TEST/page", "https://only.test/page", 1),
        ("http://short.test/~x", None, 1),
        ("http://[bad/", "http://[bad/", 1),
        ("http://[bad/#part", "http://[bad/", 1),
    ],
)
def test_other_spellings_find_fetch_and_documents(
    asked: str, fetched: str | None, documents: int, crawled: Run
) -> None:
    found = explain(crawled, asked)
    assert (found.fetch.url if found.fetch else None) == fetched
    assert len(found.documents) == documents


def test_a_document_is_found_by_its_id_in_every_form(crawled: Run) -> None:
    doc_id = explain(crawled, "https://only.test/page#top").documents[0].doc_id
    uuid = "-".join((doc_id[:8], doc_id[8:12], doc_id[12:16], doc_id[16:20], doc_id[20:]))
    for form in (doc_id, doc_id.upper(), uuid, f"urn:uuid:{uuid}", f"<urn:uuid:{uuid}>"):
        assert [d.doc_id for d in explain(crawled, form).documents] == [doc_id]
    with pytest.raises(UsageError, match="never met"):
        explain(crawled, "0" * 32)


@pytest.mark.parametrize("asked", [s for s in STRANGE if s not in STORED and "\0" not in s], ids=ascii)
def test_what_is_no_address_is_not_met_in_one_line(asked: str, crawled: Run) -> None:
    done = typed("explain", crawled.root, "--", asked)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "this run never met it" in done.err

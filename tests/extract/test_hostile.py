"""What one record does to us is its own outcome: its neighbours are read, the run goes on, the books balance."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset
from pipeline.extract.config import ExtractConfig
from pipeline.extract.step import extract
from pipeline.look.run import table_of
from tests.conftest import article, html
from tests.ingest.archives import Made, fields_of, response

PAGE = html(article(1))
GOOD = {"http://a.test/0", "http://a.test/9"}


def extracted(folder: Path) -> Dataset:
    return extract(ExtractConfig(), Bench(folder / "runs"), inputs=[folder / "in"])


def read(folder: Path, name: str, data: bytes) -> tuple[Dataset, list[dict[str, Any]], list[dict[str, Any]]]:
    """The step, its documents and its decisions."""
    (folder / "in").mkdir(exist_ok=True)
    (folder / "in" / name).write_bytes(data)
    step = extracted(folder)
    return step, table_of(step, "data").to_pylist(), table_of(step, "decisions").to_pylist()


def between(*bad: Made) -> bytes:
    """An archive of records between two good ones."""
    return b"".join(r.bytes() for r in (response(0, PAGE), *bad, response(9, html(article(2)))))


def page(**fields: str) -> Made:
    return response(1, html(article(3)), **fields)


KEPT: dict[str, Made] = {
    "a host with a bracket": page(**{"WARC-Target-URI": "http://[bad/x"}),
    "a host with a sign that NFKC makes a slash of": page(**{"WARC-Target-URI": "http://ex℀mple.org/"}),
    "a port that is none": page(**{"WARC-Target-URI": "http://a.test:99999999/"}),
    "an address of a megabyte": page(**{"WARC-Target-URI": "http://a.test/" + "x" * 200_000}),
    "no address": page(**{"WARC-Target-URI": ""}),
    "an id of dashes": page(**{"WARC-Record-ID": f"<urn:uuid:{'-' * 36}>"}),
    "no id": page(**{"WARC-Record-ID": ""}),
    "a date without end": page(**{"WARC-Date": "9999-12-31T23:59:59-14:00"}),
    "a date before time": page(**{"WARC-Date": "0001-01-01T00:00:00+14:00"}),
    "a date that is none": page(**{"WARC-Date": "yesterday"}),
    "charset undefined": response(1, html(article(3)), "Content-Type: text/html; charset=undefined"),
    "charset idna": response(1, html(article(3)), "Content-Type: text/html; charset=idna"),
    "charset punycode": response(1, html(article(3)), "Content-Type: text/html; charset=punycode"),
    "charset with a zero byte": response(1, html(article(3)), "Content-Type: text/html; charset=utf\0-8"),
    "no headers of HTTP": Made(html(article(3)), fields_of(1, "response", "application/http; msgtype=response")),
    "control characters in a header": response(1, html(article(3)), "X: a\x01b\x1b[31m\nContent-Type: text/html"),
    "names of fields in any case": Made(
        page().block, {k.swapcase(): v for k, v in page().fields.items()}, newline=b"\n", end=b"\n\n"
    ),
}
DROPPED: dict[str, tuple[Made, str]] = {
    "status 99999": (
        Made(b"HTTP/1.1 99999 No\r\n\r\n" + PAGE, fields_of(1, "response", "application/http")),
        "http_error",
    ),
    "dns": (
        Made(
            b"20240301000000\na.test. 300 IN A 10.0.0.1\n",
            fields_of(1, "response", "text/dns"),
        ),
        "not_text",
    ),
    "no status line": (Made(b"nonsense", fields_of(1, "response", "application/http")), "broken_record"),
    "length abc": (Made(page().block, page().fields, length="abc"), "broken_record"),
    "length 12.5": (Made(page().block, page().fields, length="12.5"), "broken_record"),
    "a revisit of nothing": (Made(b"", fields_of(1, "revisit", "application/http")), "revisit"),
    "deep nesting": (
        response(1, b"<div>" * 300_000 + b"x"),
        "extract_timeout extract_crash extract_error empty_text page_too_large kept",
    ),
}


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.usefixtures("kernels")
def test_odd_records_are_read_like_any_other(name: str, tmp_path: Path) -> None:
    step, documents, decisions = read(tmp_path, "a.warc", between(KEPT[name]))
    assert len(documents) == 3, [(d["reasons"], d["note"]) for d in decisions]
    assert {d["url"] for d in documents} >= GOOD
    assert all(article(3)[:60] in d["text"] for d in documents[1:2])
    assert step.counts["record_bytes"] == (tmp_path / "in" / "a.warc").stat().st_size


@pytest.mark.parametrize("name", DROPPED)
@pytest.mark.usefixtures("kernels")
def test_bad_records_are_one_recorded_outcome(name: str, tmp_path: Path) -> None:
    record, reasons = DROPPED[name]
    step, documents, decisions = read(tmp_path, "a.warc", between(record))
    assert {d["url"] for d in documents} >= GOOD
    assert len(documents) + len(decisions) == 3
    met = decisions[0]["reasons"][0] if decisions else "kept"
    assert met in reasons.split()
    assert step.counts["record_bytes"] + step.counts["gap_bytes"] == (tmp_path / "in" / "a.warc").stat().st_size


@pytest.mark.usefixtures("kernels")
def test_resources_and_conversions_are_read_by_their_type(tmp_path: Path) -> None:
    records = [
        Made(PAGE, fields_of(1, "resource", "text/html")),
        Made(article(4).encode(), fields_of(2, "resource", "text/plain; charset=utf-8")),
        Made(PAGE, fields_of(3, "conversion", "text/html")),
        Made(article(5).encode(), fields_of(4, "conversion", "text/plain")),
        Made(b"\x89PNG", fields_of(5, "resource", "image/png")),
        Made(b'{"a": 1}', fields_of(6, "metadata", "application/json")),
    ]
    step, documents, decisions = read(tmp_path, "a.warc", between(*records))
    texts = {d["url"][-1]: d["text"] for d in documents}
    assert texts == {
        "0": article(1), "1": article(1), "2": article(4), "3": article(1), "4": article(5), "9": article(2)
    }  # fmt: skip
    assert {d["extractor"] for d in documents} == {"fast", "plain"}
    assert [d["reasons"] for d in decisions] == [["not_text"]]
    assert step.counts["records"] == {"conversion": 2, "metadata": 1, "resource": 3, "response": 2}


def test_truncation_is_kept_with_the_document(tmp_path: Path) -> None:
    packed = gzip.compress(PAGE * 3)
    records = [
        page(**{"WARC-Truncated": "time"}),
        response(2, packed[:-40], "Content-Type: text/html\r\nContent-Encoding: gzip"),
    ]
    _, documents, _ = read(tmp_path, "a.warc", between(*records))
    assert [d["truncated"] for d in documents] == [None, "time", "encoding", None]


def test_revisits_are_resolved_over_all_inputs(tmp_path: Path) -> None:
    def revisit(number: int, **refers: str) -> Made:
        return Made(b"", fields_of(number, "revisit", "application/http") | refers)

    ids = "<urn:uuid:00000000-0000-4000-8000-{:012d}>"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "later.warc").write_bytes(
        b"".join(
            r.bytes()
            for r in (
                revisit(21, **{"WARC-Refers-To": ids.format(0)}),
                revisit(
                    22,
                    **{"WARC-Refers-To-Target-URI": "http://a.test/9", "WARC-Refers-To-Date": "2024-03-01T00:00:00Z"},
                ),
                revisit(23, **{"WARC-Payload-Digest": "sha1:AAAA"}),
                revisit(24, **{"WARC-Refers-To": ids.format(77)}),
                revisit(25),
            )
        )
    )
    step, documents, decisions = read(tmp_path, "a.warc", between(page(**{"WARC-Payload-Digest": "sha1:AAAA"})))
    assert len(documents) == 3
    assert [d["reasons"] for d in decisions] == [["revisit"]] * 5
    (found,) = (step.dir.parent / ".work").glob("revisits-*/revisits/00000.parquet")
    by_id = {d["doc_id"]: d["url"] for d in documents}
    rows = [(by_id.get(r["original"]), r["found_by"]) for r in pq.read_table(found).to_pylist()]
    assert rows == [
        ("http://a.test/0", "record"),
        ("http://a.test/9", "place"),
        ("http://a.test/1", "digest"),
        (None, None),
        (None, None),
    ]


def test_two_records_with_one_id_are_two_documents(tmp_path: Path) -> None:
    step, documents, _ = read(
        tmp_path, "a.warc", between(page(**{"WARC-Record-ID": response(0, b"").fields["WARC-Record-ID"]}))
    )
    assert len({d["doc_id"] for d in documents}) == 3
    assert step.counts["repeated_ids"] == 1


SURROGATE = "\ud83d"
ODD_ROWS: dict[str, dict[str, Any]] = {
    "title": {"title": f"half {SURROGATE}"},
    "url": {"url": f"http://a.test/{SURROGATE}"},
    "date": {"date": f"{SURROGATE}"},
    "far date": {"date": "9999-12-31T23:00:00-05:00"},
    "early date": {"date": "0001-01-01T00:00:00+05:00"},
    "key": {f"k{SURROGATE}": 1},
    "nested": {"meta": {"a": [f"x{SURROGATE}", {"b": SURROGATE}]}},
    "not finite": {"score": float("nan"), "more": [float("inf")]},
    "bad url": {"url": "http://[bad/"},
    "url of another type": {"url": {"a": 1}},
    "title of another type": {"title": ["x"]},
    "great number": {"n": 10**300},
    "text": {"text": article(3) + SURROGATE},
}


@pytest.mark.parametrize("name", ODD_ROWS)
def test_odd_rows_are_read_and_what_is_stored_is_strict(name: str, tmp_path: Path) -> None:
    rows = [
        {"url": "http://a.test/0", "text": article(1)},
        {"text": article(3)} | ODD_ROWS[name],
        {"url": "http://a.test/9", "text": article(2)},
    ]
    _, documents, _ = read(tmp_path, "a.jsonl", "".join(json.dumps(r) + "\n" for r in rows).encode())
    assert len(documents) == 3
    for d in documents:
        for value in d.values():
            if isinstance(value, str):
                value.encode()
        if d["metadata"]:
            json.loads(d["metadata"], parse_constant=lambda word: pytest.fail(f"not strict JSON: {word}"))
    if name in ("key", "nested"):
        assert SURROGATE in json.dumps(json.loads(documents[1]["metadata"]), ensure_ascii=False)  # nothing is lost


TEXTS = [
    pa.array([article(1).encode(), b"\xff\xfe", article(2).encode()]),
    pa.array([article(1), None, article(2)]).dictionary_encode(),
    pa.array([article(1), "", article(2)], pa.large_string()),
]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_of_any_column_type(text: pa.Array, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"text": text}), tmp_path / "in" / "a.parquet")
    step = extracted(tmp_path)
    assert table_of(step, "data", ["text"])["text"].to_pylist() == [article(1), article(2)]
    assert step.counts["rows_in"] == 3


def sqlite(path: Path) -> None:
    sqlite3.connect(path).execute("create table t (a)").connection.close()


BAD_FILES: dict[str, Callable[[Path], object]] = {
    "empty.parquet": lambda p: p.write_bytes(b""),
    "garbage.parquet": lambda p: p.write_bytes(b"garbage" * 100),
    "cut.parquet": lambda p: (pq.write_table(pa.table({"text": ["a"]}), p), p.write_bytes(p.read_bytes()[:-9])),
    "database.jsonl": sqlite,
    "random.jsonl.gz": lambda p: p.write_bytes(bytes(range(256)) * 40),
    "half.jsonl.zst": lambda p: p.write_bytes(b"\x28\xb5\x2f\xfd\x04"),
    "random.warc.gz": lambda p: p.write_bytes(b"\x1f\x8b\x08" + bytes(range(256)) * 40),
    "page.warc": lambda p: p.write_bytes(PAGE),
    "zeros.warc": lambda p: p.write_bytes(bytes(10_000)),
    "magic.warc.zst": lambda p: p.write_bytes(b"\x5d\x2a\x4d\x18\xff\xff\xff\xff"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_not_what_it_says_is_recorded(name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    BAD_FILES[name](tmp_path / "in" / name)
    step, documents, decisions = read(
        tmp_path, "good.jsonl", json.dumps({"url": "http://a.test/0", "text": article(1)}).encode()
    )
    assert [d["url"] for d in documents] == ["http://a.test/0"]
    assert {d["reasons"][0] for d in decisions} == {"broken_record"}
    assert {d["source"] for d in decisions} == {name}
    assert step.manifest["errors"]


def test_a_file_name_that_is_not_utf8_is_told_escaped(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    import os

    with open(os.fsencode(tmp_path / "in") + b"/caf\xe9.jsonl", "wb") as f:
        f.write(json.dumps({"url": "http://a.test/0", "text": article(1)}).encode())
    step = extracted(tmp_path)
    assert table_of(step, "data", ["source"])["source"].to_pylist() == ["caf\\xe9.jsonl"]


def test_a_bomb_in_a_page_is_a_page_that_is_too_large(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(300_000_000), 9)
    _, documents, decisions = read(
        tmp_path, "a.warc", between(response(1, bomb, "Content-Type: text/html\r\nContent-Encoding: gzip"))
    )
    assert {d["url"] for d in documents} == GOOD
    assert [d["reasons"] for d in decisions] == [["page_too_large"]]


def test_a_file_that_unpacks_too_far_is_read_as_far_as_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.extract.step.MIN_UNPACKED_BYTES", 1 << 20)
    (tmp_path / "in").mkdir()
    words = pa.array(["x" * 100_000] * 50).dictionary_encode()
    pq.write_table(pa.table({"text": words}), tmp_path / "in" / "bomb.parquet", compression="zstd")
    good = json.dumps({"url": "http://a.test/0", "text": article(1)}).encode()
    step, documents, decisions = read(tmp_path, "good.jsonl", good)
    assert [d["source"] for d in documents] == ["bomb.parquet"] * 10 + ["good.jsonl"]
    assert [d["reasons"] for d in decisions] == [["unpacks_too_far"]] * 40
    assert step.counts["rows_in"] == 51


@pytest.mark.parametrize(
    "page", ["<a " * 200_000, "<meta " * 50_000, "<meta name=robots " * 30_000, "<a href " * 50_000]
)
def test_tags_without_end_take_time_in_proportion_for_the_second_engine(page: str) -> None:
    from time import process_time

    from pipeline.extract.documents import _LINK
    from pipeline.extract.rights import meta_rights

    began = process_time()
    assert not _LINK.findall(page)
    assert not meta_rights(page)
    assert process_time() - began < 1

"""Input of every kind, and what becomes of the broken ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset
from pipeline.core.documents import Doc
from pipeline.core.errors import BooksError, DataError, UsageError
from pipeline.core.files import sha256_file, write_json
from pipeline.core.schema import doc_id_of_record
from pipeline.core.spans import Span, apply_spans
from pipeline.extract.config import ExtractConfig
from pipeline.extract.step import check, extract, stage
from pipeline.extract.worker import ExtractWorker
from pipeline.look.run import Run, open_run, table_of
from pipeline.matching.builtin import jaccard, minhash
from pipeline.run.session import load_recipe
from pipeline.text.charset import decode
from tests.conftest import article, html, run, warc_bytes, write_jsonl, write_recipe

LONG = article(1)


def extracted(folder: Path, **changes: object) -> Run:
    config = ExtractConfig(**changes)  # type: ignore[arg-type]
    step = extract(config, Bench(folder / "runs"), inputs=[folder / "in"])
    return open_run(step.dir)


def fates(found: Run) -> dict[str, str]:
    """URL -> "kept", or the reason."""
    step = found.need("extract")
    rows = dict.fromkeys(table_of(step, "data", ["url"])["url"].to_pylist(), "kept")
    decisions = table_of(step, "decisions", ["url", "source_offset", "reasons"]).to_pylist()
    return rows | {d["url"] or f"at {d['source_offset']}": d["reasons"][0] for d in decisions}


def pages(n: int) -> list[tuple[str, bytes, dict[str, str]]]:
    return [(f"http://a.test/{i}", html(article(i)), {}) for i in range(n)]


@pytest.mark.parametrize("packed", [True, False])
def test_damage_in_a_warc_costs_only_the_damaged_record(tmp_path: Path, packed: bool) -> None:
    data, offsets = warc_bytes(pages(6), gzip=packed)
    (tmp_path / "in").mkdir()
    junk = b"\0" * 30
    hurt = data[: offsets[2] + 5] + junk + data[offsets[2] + 35 : offsets[5]] + data[offsets[5] : len(data) - 60]
    suffix = ".warc.gz" if packed else ".warc"
    (tmp_path / "in" / f"hurt{suffix}").write_bytes(hurt)
    (tmp_path / "in" / f"whole{suffix}").write_bytes(warc_bytes([("http://b.test/", html(LONG), {})], gzip=packed)[0])
    found = extracted(tmp_path)
    met = fates(found)
    assert met["http://b.test/"] == "kept"
    assert [met[f"http://a.test/{i}"] for i in (0, 1, 3, 4)] == ["kept"] * 4
    assert list(met.values()).count("broken_record") == 2
    assert len(found.need("extract").manifest["errors"]) == 2


def test_file_that_is_no_warc_is_recorded_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "nonsense.warc.gz").write_bytes(b"this is not a web archive " * 50)
    (tmp_path / "in" / "ok.warc.gz").write_bytes(warc_bytes(pages(1))[0])
    assert sorted(fates(extracted(tmp_path)).values()) == ["broken_record", "kept"]


def test_every_capture_gets_a_fate(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    kinds: list[tuple[str, bytes, dict[str, str]]] = [
        ("http://a.test/ok", html(LONG), {}),
        ("http://a.test/gz", gzip.compress(html(LONG)), {"Content-Encoding": "gzip"}),
        ("http://a.test/plain", LONG.encode(), {"Content-Type": "text/plain"}),
        ("http://a.test/404", html(LONG), {":status": "404 Not Found"}),
        ("http://a.test/301", b"", {":status": "301 Moved", "Location": "/ok"}),
        ("http://a.test/pdf", b"%PDF-1.4", {"Content-Type": "application/pdf"}),
        ("http://a.test/binary", b"\x7fELF\0\0\0\1" * 50, {}),
        ("http://a.test/nobody", b"", {}),
        ("http://a.test/notext", b"<html><body><img src=x></body></html>", {}),
        ("http://a.test/huge", html(LONG * 80), {}),
        ("http://a.test/robots.txt", b"User-agent: *", {"Content-Type": "text/plain"}),
        ("http://a.test/noai", html(LONG), {"X-Robots-Tag": "noindex, noai"}),
    ]
    (tmp_path / "in" / "a.warc.gz").write_bytes(warc_bytes(kinds)[0])
    found = extracted(tmp_path, max_page_bytes=20_000)
    want = "kept kept kept http_error http_redirect not_text not_text empty_body empty_text page_too_large robots_file kept"
    assert fates(found) == dict(zip([k[0] for k in kinds], want.split(), strict=True))
    rows = {r["url"]: r for r in table_of(found.need("extract"), "data").to_pylist()}
    assert rows["http://a.test/noai"]["rights"] == ["noai"]
    assert rows["http://a.test/ok"]["title"] == "A page"
    assert rows["http://a.test/ok"]["doc_id"] == doc_id_of_record("<urn:uuid:00000000-0000-4000-8000-000000000000>")


def test_wet_jsonl_and_parquet_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    row = {"url": "http://a.test/", "text": LONG, "lang": "en"}
    write_jsonl(folder / "a.jsonl", [{**row, "url": "http://plain.test/"}])
    with gzip.open(folder / "b.jsonl.gz", "wt") as f:
        f.write(json.dumps({**row, "url": "http://gzip.test/"}))
    packed = zstandard.compress(json.dumps({**row, "url": "http://zstd.test/"}).encode())
    (folder / "c.jsonl.zst").write_bytes(packed)
    pq.write_table(pa.Table.from_pylist([{**row, "url": "http://parquet.test/"}]), folder / "d.parquet")
    import io

    from warcio.warcwriter import WARCWriter

    buffer = io.BytesIO()
    writer = WARCWriter(buffer, gzip=True)
    writer.write_record(
        writer.create_warc_record(
            "http://wet.test/", "conversion", payload=io.BytesIO(LONG.encode()), warc_content_type="text/plain"
        )
    )
    (folder / "e.warc.wet.gz").write_bytes(buffer.getvalue())
    found = extracted(tmp_path)
    assert fates(found) == dict.fromkeys(
        [f"http://{k}.test/" for k in ("plain", "gzip", "zstd", "parquet", "wet")], "kept"
    )
    rows = {r["url"]: r for r in table_of(found.need("extract"), "data").to_pylist()}
    assert json.loads(rows["http://gzip.test/"]["metadata"]) == {"lang": "en"}
    assert all(r["text"] == LONG for r in rows.values())


def test_broken_lines_are_recorded_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    lines = [b'{"url": "http://a.test/1", "text": "Some text."}', b"{broken", b"[1, 2]", b'{"text": 5}', b"\xff\xfe{}", b"",
             b'{"text": "' + b"x" * 5_000 + b'"}', b'{"url": "http://a.test/2", "text": "The last line."}']  # fmt: skip
    (tmp_path / "in" / "a.jsonl").write_bytes(b"\n".join(lines))
    met = fates(extracted(tmp_path, max_page_bytes=2_000))
    assert met["http://a.test/1"] == met["http://a.test/2"] == "kept"
    assert sorted(v for v in met.values() if v != "kept") == ["broken_record"] * 4 + ["no_text"]


def test_truncated_gzip_keeps_what_came_before(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    packed = gzip.compress(
        b"".join(json.dumps({"url": f"u{i}", "text": article(i)}).encode() + b"\n" for i in range(50))
    )
    (tmp_path / "in" / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    met = fates(extracted(tmp_path))
    assert met["u0"] == "kept"
    assert list(met.values()).count("broken_record") == 1


@pytest.mark.parametrize("kind", ["warc.gz", "warc", "jsonl", "jsonl.gz", "parquet"])
def test_large_file_is_split_without_loss_or_doubles(tmp_path: Path, kind: str) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / f"a.{kind}"
    rows = [{"url": f"http://a.test/{i}", "text": article(i)} for i in range(30)]
    lines = "".join(json.dumps(r) + "\n" for r in rows).encode()
    if kind.startswith("warc"):
        path.write_bytes(warc_bytes(pages(30), gzip=kind.endswith("gz"))[0])
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=4)
    else:
        path.write_bytes(gzip.compress(lines) if kind.endswith("gz") else lines)
    found = extracted(tmp_path, shard_bytes=path.stat().st_size // 5)
    assert len(found.need("extract").shards()) > 2
    urls = table_of(found.need("extract"), "data", ["url"])["url"].to_pylist()
    assert urls == [r["url"] for r in rows]


def test_identical_file_is_read_once_and_names_must_differ(tmp_path: Path) -> None:
    for name in ("in/a.jsonl", "in/b.jsonl", "other/a.jsonl"):
        write_jsonl(tmp_path / name, [{"url": "http://a.test/", "text": LONG}])
    found = extracted(tmp_path)
    assert found.need("extract").counts["rows_in"] == 1
    assert found.need("extract").manifest["left_out"] == ["b.jsonl: identical to a.jsonl, read once"]
    recipe = write_recipe(tmp_path, '[extract]\ninputs = ["in", "other"]\n')
    with pytest.raises(UsageError, match=r"two inputs share the name 'a\.jsonl'"):
        run(recipe, tmp_path / "r")


def test_a_warc_that_changed_after_the_crawl_is_refused(tmp_path: Path) -> None:
    (tmp_path / "crawl" / "warc").mkdir(parents=True)
    (tmp_path / "crawl" / "warc" / "a.warc.gz").write_bytes(warc_bytes(pages(2))[0])
    recipe = load_recipe(None, [])
    for responses in (2, 3):
        file = {"sha256": sha256_file(tmp_path / "crawl" / "warc" / "a.warc.gz"), "bytes": 0, "rows": None}
        made = {
            "step": "crawl",
            "key": "00000000",
            "counts": {"responses": responses},
            "files": {"warc/a.warc.gz": file},
        }
        crawled = Dataset(tmp_path / "crawl", made)
        if responses == 2:
            assert stage(recipe, Bench(tmp_path), {"crawl": crawled})["extract"].counts["rows_out"] == 2
            continue
        with pytest.raises(BooksError, match="3 responses in the WARC files, 2 read"):
            stage(recipe, Bench(tmp_path), {"crawl": crawled})


def test_an_engine_or_a_model_that_is_none_is_found_beforehand(tmp_path: Path) -> None:
    check(load_recipe(None, []))
    with pytest.raises(UsageError, match=r"no extractor 'slow'\. winnow has: fast, trafilatura"):
        check(load_recipe(None, ["extract.extractor=slow"]))
    (tmp_path / "m.npz").write_bytes(b"no model")
    with pytest.raises(DataError, match=r"m\.npz"):
        check(load_recipe(None, [f"extract.model={tmp_path}/m.npz"]))


def test_a_page_over_its_cpu_limit_is_a_recorded_timeout_and_the_next_one_works() -> None:
    with ExtractWorker("trafilatura", max_cpu_s=0.05, max_memory_bytes=4 << 30) as worker:
        hard = "<html><body>" + "<div><p>text and <b>more</b> " * 150_000 + "</body></html>"
        assert worker.extract(hard, "http://a.test/").failure == "extract_timeout"
    with ExtractWorker("trafilatura", max_cpu_s=20, max_memory_bytes=4 << 30) as worker:
        assert worker.extract(html(LONG).decode(), "http://a.test/").text.startswith("Note 1.")
        worker._process.kill()
        worker._process.join()
        assert worker.extract(html(LONG).decode(), "http://a.test/").failure is None


@pytest.mark.parametrize(
    ("body", "header", "charset"),
    [
        ("Grüße aus dem Garten, schöne Blumen".encode(), "text/html", "utf-8"),
        ("Grüße".encode(), "text/html; charset=iso-8859-1", "utf-8"),
        ("Grüße aus dem Garten".encode("cp1252"), "text/html; charset=iso-8859-1", "cp1252"),
        ("Grüße".encode("utf-16"), "text/html", "utf-16"),
        ('<meta charset="shift_jis">庭の土と植物'.encode("cp932"), "text/html", "cp932"),
        ("Привет из сада, земля и растения".encode("koi8-r"), "text/html; charset=koi8-r", "koi8-r"),
    ],
)
def test_charset_is_found(body: bytes, header: str, charset: str) -> None:
    found = decode(body, header)
    assert found.charset.startswith(charset)
    assert found.replaced == 0
    assert any(word in found.text for word in ("Grüße", "庭の土と植物", "Привет"))


@given(st.binary(max_size=300), st.sampled_from(["", "text/html; charset=utf-8", "text/html; charset=nonsense"]))
def test_decoding_never_raises(body: bytes, header: str) -> None:
    decode(body, header).text.encode("utf-8", "replace")


@given(
    st.text(max_size=60), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 10), st.text(max_size=3)), max_size=6)
)
def test_applied_spans_rebuild_the_text(text: str, raw: list[tuple[int, int, str]]) -> None:
    spans = [Span(min(a, len(text)), min(a + n, len(text)), "x", r) for a, n, r in raw]
    made, applied = apply_spans(text, spans)
    at, rebuilt = 0, ""
    for s in applied:
        assert s.start >= at
        rebuilt += text[at : s.start] + s.replacement
        at = s.end
    assert made == rebuilt + text[at:]


def test_minhash_bands_meet_for_near_copies_and_not_for_others() -> None:
    one, near, other = (Doc(b"0" * 16, t) for t in (LONG * 3, LONG * 3 + " And a new end.", article(9) * 3))
    params = {"bands": 14, "rows_per_band": 8, "shingle_words": 5, "seed": 1, "min_similarity": 0.7}
    places, flat = minhash([one, near, other], **params)  # type: ignore[arg-type]
    keys = [{bytes(k) for k in flat[places == i]} for i in range(3)]
    assert [len(k) for k in keys] == [14, 14, 14]
    assert keys[0] & keys[1]
    assert not keys[0] & keys[2]
    assert jaccard(one, near, shingle_words=5) > 0.9
    assert jaccard(one, other, shingle_words=5) < 0.1


def test_atomic_writing_leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"new": object()})
    assert json.loads((tmp_path / "a.json").read_text()) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]

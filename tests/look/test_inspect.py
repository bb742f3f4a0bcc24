"""A glance into any file, however it is damaged and whatever it is: some of it, or one sentence, never a traceback."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import socket
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.core.errors import DataError, UsageError, WinnowError
from pipeline.look.inspect import JsonlGlance, ParquetGlance, WarcGlance, inspect
from pipeline.look.run import Run
from tests.command import typed
from tests.conftest import corpus_rows, html, warc_bytes
from tests.hostile import NAME, hidden

TRIALS = int(os.environ.get("WINNOW_FUZZ_EXAMPLES", "400"))
PAGES: list[tuple[str, bytes, dict[str, str]]] = [(f"http://a.test/{i}", html("hello " * 30), {}) for i in range(5)]
LINES = "".join(json.dumps(r) + "\n" for r in corpus_rows()[:6]).encode()


def files(run: Run) -> dict[str, bytes]:
    """A file of every kind that winnow reads or writes: name -> bytes."""
    found = {
        "a.warc": warc_bytes(PAGES, gzip=False)[0], "a.warc.gz": warc_bytes(PAGES)[0], "a.wet": b"WARC/1.0\r\n\r\n",
        "a.jsonl": LINES, "a.jsonl.gz": gzip.compress(LINES), "a.jsonl.zst": zstandard.compress(LINES),
    }  # fmt: skip
    for step in run.steps.values():
        for path in (*step.dir.glob("*.json"), *step.dir.glob("*/*.json"), *step.dir.glob("*/*.parquet")):
            if path.stat().st_size < 300_000:
                found[f"{step.step}-{path.parent.name}-{path.name}"] = path.read_bytes()
    return found


def damaged(data: bytes, rng: random.Random) -> bytes:
    changed, at = bytearray(data), rng.randrange(len(data) + 1)
    match rng.choice(("flip", "cut", "insert", "repeat", "blank", "reverse", "empty")):
        case "flip":
            for _ in range(rng.choice((1, 3, 30))):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
        case "cut":
            del changed[at:]
        case "insert":
            changed[at:at] = rng.randbytes(rng.choice((1, 5, 100)))
        case "repeat":
            changed[at:at] = changed[: rng.randrange(len(data) + 1)]
        case "blank":
            changed[at : at + 50] = bytes(50)
        case "reverse":
            changed.reverse()
        case "empty":
            changed.clear()
    return bytes(changed)


def test_any_damaged_file_is_shown_or_named_in_a_sentence(finished: Run, tmp_path: Path) -> None:
    rng = random.Random(1)
    whole = files(finished)
    suffixes = sorted({"".join(Path(n).suffixes[-2:]) for n in whole if n.startswith("a.")} | {".parquet", ".json"})
    for trial in range(TRIALS):
        name, data = rng.choice(sorted(whole.items()))
        suffix = "".join(Path(name).suffixes) if rng.random() < 0.8 else rng.choice(suffixes)
        path = tmp_path / f"f{suffix}"
        path.write_bytes(damaged(data, rng))
        done = typed("inspect", path, *(["--json"] if trial % 2 else []))
        assert done.code in (0, 1, 2)
        assert done.err.count("\n") == (1 if done.code else 0), (name, done.err)
        assert hidden(done.out + done.err, keep="\n") == []
        if trial % 2 and not done.code:
            json.loads(done.out)


def test_every_whole_file_and_folder_of_a_run_is_shown(finished: Run) -> None:
    for path in (finished.root, *finished.root.rglob("*")):
        work = path.is_dir() and not any((path / n).is_file() for n in ("manifest.json", "run.json"))
        known = (".parquet", ".json", ".jsonl")
        if work or (path.is_file() and path.suffix not in known):
            with pytest.raises(UsageError, match=re.escape(f"{path}: ")):
                inspect(path)
        else:
            inspect(path)


def test_files_of_a_crawl_under_way_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "winnow-00000.warc.gz.open"
    path.write_bytes(warc_bytes(PAGES)[0])
    found = inspect(path)
    assert isinstance(found, WarcGlance)
    assert [r.url for r in found.rows] == [url for url, _, _ in PAGES]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: p.mkdir(), "a folder, but no run"),
        (lambda p: (p.mkdir(), (p / "step.json").write_text("{}")), "an unfinished step"),
        (lambda p: os.mkfifo(p), "neither a file nor a folder"),
        (lambda p: socket.socket(socket.AF_UNIX).bind(str(p)) if len(str(p)) < 100 else os.mkfifo(p), "neither a file"),
        (lambda p: None, "no such file, step or run"),
        (lambda p: p.symlink_to(p.with_name("nothing")), "no such file, step or run"),
        (lambda p: p.symlink_to(p), "no such file, step or run"),
        (lambda p: p.write_bytes(b"x"), "does not know this kind"),
        (lambda p: (p.mkdir(), (p / "manifest.json").write_text("[1]")), "damaged"),
        (lambda p: (p.mkdir(), (p / "run.json").write_text('{"steps": 1}')), "damaged"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_is_no_file_of_ours_is_named(make: object, said: str, tmp_path: Path) -> None:
    path = tmp_path / "thing"
    make(path)  # type: ignore[operator]
    with pytest.raises(WinnowError, match=said):
        inspect(path)


def test_a_name_that_is_not_utf8_is_no_hindrance(tmp_path: Path) -> None:
    for suffix, data in ((".jsonl", LINES), (".warc.gz", warc_bytes(PAGES)[0]), (".jsonl.gz", gzip.compress(LINES))):
        path = tmp_path / f"{NAME}{suffix}"
        path.write_bytes(data)
        done = typed("inspect", path)
        assert done.code == 0, done.err
    path = tmp_path / f"{NAME}.parquet"
    with open(path, "wb") as f:
        pq.write_table(pa.table({"x": [1]}), f)
    done = typed("inspect", path)
    assert done.code == 0, done.err
    assert typed("inspect", tmp_path / f"{NAME}.json").err.count("\\udcff") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES)
    path.chmod(0)
    with pytest.raises(DataError, match="Permission denied"):
        inspect(path)


def test_json_of_any_depth_and_with_any_number_is_shown_or_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[" * 200_000)
    with pytest.raises(DataError, match="recursion"):
        inspect(path)
    path.write_text('{"a": [NaN, Infinity, -1e999, "\\ud800"]}')
    assert json.loads(typed("inspect", path, "--json").out)["value"] == {"a": [None, None, None, "\\ud800"]}


def test_columns_without_a_python_value_are_shown_all_the_same(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0\4\0\0\0"), pa.py_buffer(b"\xff\xfeok")]
    )
    table = pa.table(
        {
            "text": ["a", "b"], "bad": bad, "bytes": [b"\xff", None], "float": [float("nan"), float("inf")],
            "nanoseconds": pa.array([1, 2**62], pa.timestamp("ns")), "far": pa.array([2**62, 0], pa.timestamp("us")),
            "zone": pa.array([1, 2], pa.timestamp("us", "Mars/Olympus")), "lasting": pa.array([1, 2**62], pa.duration("ns")),
            "list": pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), bad),
        }
    )  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet")
    found = inspect(tmp_path / "a.parquet")
    assert isinstance(found, ParquetGlance)
    first, second = found.rows
    assert (first["text"], first["bad"], second["bad"], first["bytes"]) == ("a", "fffe", "ok", "ff")
    assert second["far"] == datetime(1970, 1, 1)
    assert str(first["nanoseconds"]).startswith("1970-01-01")
    for words in ((), ("--json",)):
        assert typed("inspect", tmp_path / "a.parquet", *words).code == 0


def test_two_columns_of_one_name_are_both_shown(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], ["x", "x", "y"])
    pq.write_table(table, tmp_path / "a.parquet")
    found = inspect(tmp_path / "a.parquet")
    assert isinstance(found, ParquetGlance)
    assert found.rows == ({"x": 1, "x (2)": 2, "y": 3},)


def test_a_cut_file_shows_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(LINES)[:-20])
    found = inspect(path, rows=50)
    assert isinstance(found, JsonlGlance)
    assert len(found.rows) > 1
    assert isinstance(found.rows[-1].row, str)

"""The promises of a run: the same bytes for any worker count, through any kill, and books that balance."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.core.dataset import Dataset
from pipeline.core.errors import BooksError, ErrorLimit, StepError
from pipeline.core.files import sweep
from pipeline.core.step import balance
from pipeline.look.explain import explain
from pipeline.look.run import Run, table_of
from pipeline.look.verify import verify
from tests.command import COMMAND, winnow
from tests.conftest import article, corpus_rows, run, write_jsonl, write_recipe


def hashes(found: Run) -> dict[str, dict[str, str]]:
    return {stage: step.file_hashes for stage, step in found.steps.items()}


def test_output_does_not_depend_on_worker_count(corpus: Path, tmp_path: Path) -> None:
    one = run(corpus, tmp_path / "one", workers=1)
    three = run(corpus, tmp_path / "three", workers=3)
    assert len(one.need("extract").shards()) > 1
    assert hashes(one) == hashes(three)


def test_killed_run_goes_on_to_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    whole = run(corpus, tmp_path / "whole")
    command = [*COMMAND, "run", str(corpus), "--runs", str(tmp_path / "killed"), "--workers", "2"]
    for wait in (1.5, 2.5, 3.5):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(wait)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    again = run(corpus, tmp_path / "killed")
    assert hashes(whole) == hashes(again)
    assert not list((tmp_path / "killed").rglob(".tmp-*"))


def test_sweep_takes_what_no_living_process_writes(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])  # not waited for: a zombie
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    while Path(f"/proc/{ended.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    stale, own, reused = (tmp_path / f".tmp-{p.pid}-{n}" for p, n in ((ended, "a"), (living, "b"), (living, "c")))
    for path in (stale, own, reused):
        path.touch()
    os.utime(reused, (1, 1))  # older than the process that has its number now
    assert sweep(tmp_path) == 2
    assert own.exists()
    living.communicate(b"\n")
    ended.wait()


def test_second_run_does_nothing_again(corpus: Path, tmp_path: Path) -> None:
    first = run(corpus, tmp_path / "runs")
    times = {p: p.stat().st_mtime_ns for p in first.root.rglob("*.parquet")}
    run(corpus, tmp_path / "runs")
    assert {p: p.stat().st_mtime_ns for p in first.root.rglob("*.parquet")} == times


def test_changed_threshold_redoes_only_what_depends_on_it(corpus: Path, tmp_path: Path) -> None:
    first = run(corpus, tmp_path / "runs")
    second = run(corpus, tmp_path / "runs", sets=("curate.gopher_quality.too_few_words.min=5",))
    assert first.steps["extract"].dir == second.steps["extract"].dir
    assert first.steps["curate"].dir != second.steps["curate"].dir
    assert first.steps["curate"].dir.is_dir()
    assert second.steps["curate"].counts["rows_out"] == first.steps["curate"].counts["rows_out"] + 1


def test_new_input_file_adds_shards_and_keeps_old_ones(corpus: Path, tmp_path: Path) -> None:
    first = run(corpus, tmp_path / "runs", last="extract")
    before = {p: p.stat().st_mtime_ns for p in first.need("extract").files("data")}
    write_jsonl(tmp_path / "texts" / "00-sorts-first.jsonl", [{"url": "http://new.test/1", "text": article(26)}])
    second = run(corpus, tmp_path / "runs", last="curate")
    assert second.need("extract").dir == first.need("extract").dir
    assert len(second.need("extract").shards()) == len(before) + 1
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert explain(second, "http://new.test/1").documents[0].kept


def test_every_input_row_is_kept_or_has_a_decision(finished: Run) -> None:
    extract, curate = finished.need("extract"), finished.need("curate")
    kept = set(table_of(curate, "data", ["doc_id"])["doc_id"].to_pylist())
    gone = table_of(curate, "decisions", ["doc_id"])["doc_id"].to_pylist()
    came = set(table_of(extract, "data", ["doc_id"])["doc_id"].to_pylist())
    assert len(gone) == len(set(gone))
    assert kept | set(gone) == came
    assert not kept & set(gone)
    assert verify(finished).whole


def test_unbalanced_books_are_refused() -> None:
    balance("here", {"rows_in": 10, "rows_out": 8, "dropped": {"a": 1, "b": 1}})
    with pytest.raises(BooksError, match=r"here: books don't balance: 10 in, 8 out, 1 dropped"):
        balance("here", {"rows_in": 10, "rows_out": 8, "dropped": {"a": 1}})


def test_verify_finds_a_changed_file_and_a_missing_one(corpus: Path, tmp_path: Path) -> None:
    found = run(corpus, tmp_path / "runs")
    data, decisions = found.need("curate").files("data")[0], found.need("curate").files("decisions")[0]
    pq.write_table(pq.read_table(data).slice(0, 1), data)
    decisions.unlink()
    problems = verify(found).steps[f"curate-{found.need('curate').key}"]
    assert any("sha256" in p and data.name in p for p in problems)
    assert any("missing" in p for p in problems)


def test_plugin_signal_with_own_rule_set_decides(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from pipeline.core.registry import signal\nfrom pipeline.core.schema import Doc\n"
        "@signal('very_count')\ndef very_count(doc: Doc, *, word: str = 'very') -> int:\n"
        "    return doc.lower_words.count(word)\n"
    )
    (tmp_path / "mine.toml").write_text('name = "mine"\n[[rule]]\nreason = "said_it"\nsignal = "very_count"\nmax = 0\n')
    body = (
        corpus.read_text() + '[curate]\ngates = ["mine"]\nrules = ["mine.toml"]\n[signals.very_count]\nword = "note"\n'
    )
    corpus.write_text(body.replace('name = "test"\n', 'name = "test"\nplugins = ["mine.py"]\n'))
    found = run(corpus, tmp_path / "runs", workers=2, last="curate")
    decisions = table_of(found.need("curate"), "decisions", ["url", "reasons"]).to_pylist()
    said = {row["url"] for row in corpus_rows() if re.search(r"\bnote\b", row["text"].lower())}
    assert len(said) > 20
    assert {d["url"] for d in decisions} == said
    assert all(d["reasons"] == ["said_it"] for d in decisions)


def test_failing_plugin_names_its_shard_and_place(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        "from pipeline.core.registry import edit\n@edit('broken_edit')\ndef broken_edit(doc):\n    return 1 / 0\n"
    )
    body = corpus.read_text() + '[curate]\ngates = ["broken_edit"]\n'
    corpus.write_text(body.replace('name = "test"\n', 'name = "test"\nplugins = ["bad.py"]\n'))
    with pytest.raises(StepError, match=r"-\w{8} shard 0: edit 'broken_edit': ZeroDivisionError.*bad\.py:4"):
        run(corpus, tmp_path / "runs")


def test_recorded_errors_above_the_limit_end_in_exit_code_3(corpus: Path, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "texts" / "broken.jsonl", ["{not json", {"url": "http://ok.test/1", "text": article(27)}])
    found = run(corpus, tmp_path / "runs", last="curate")
    assert explain(found, "http://ok.test/1").documents[0].kept
    with pytest.raises(ErrorLimit, match=r"1 recorded errors; limits\.max_errors is 0") as caught:
        run(corpus, tmp_path / "runs", last="curate", sets=("limits.max_errors=0",))
    assert caught.value.exit_code == 3


def test_standalone_stages_make_what_a_run_makes(corpus: Path, tmp_path: Path) -> None:
    found = run(corpus, tmp_path / "runs")

    for words in (
        ("extract", tmp_path / "texts", "--out", tmp_path / "e", "--workers", 2),
        ("curate", tmp_path / "e", "--out", tmp_path / "c"),
        ("tokenizer", "train", tmp_path / "c", "--out", tmp_path / "t.json"),
        ("tokenize", tmp_path / "c", "--tokenizer", tmp_path / "t.json", "--out", tmp_path / "s"),
    ):
        done = winnow(*words, "--recipe", corpus)
        assert done.returncode == 0, done.stderr
    for stage, folder in (("extract", "e"), ("curate", "c"), ("tokenize", "s")):
        from pipeline.core.dataset import open_dataset

        alone: Dataset = open_dataset(tmp_path / folder)
        assert alone.file_hashes == found.need(stage).file_hashes, stage


def template_rows() -> list[dict[str, Any]]:
    """Pages of two hosts; the first has a line on every page, and one on three of them."""
    rows = []
    for i in range(12):
        lines = [
            "Read our newsletter every morning!",
            article(i),
            "Back to the top" if i < 3 else f"Note {i} ends here",
        ]
        rows.append({"url": f"http://same.test/{i}", "text": "\n".join(lines)})
        rows.append({"url": f"http://other.test/{i}", "text": article(i + 12)})
    rows.append({"url": "http://other.test/own", "text": "Read our newsletter every morning!\n" + article(24)})
    return rows


def test_host_templates_are_removed_on_record_whatever_the_order(tmp_path: Path) -> None:
    body = '[extract]\ninputs = ["in"]\nshard_bytes = 4_000\n[curate]\ngates = ["host_templates", "gopher_quality", "exact"]\n'
    results = []
    for name, rows in (("a", template_rows()), ("b", template_rows()[::-1])):
        write_jsonl(tmp_path / name / "in" / "t.jsonl", [{**r, "id": r["url"]} for r in rows])
        recipe = write_recipe(tmp_path / name, body.replace("shard_bytes", 'id_column = "id"\nshard_bytes'))
        for workers in (1, 2):
            found = run(recipe, tmp_path / name / f"runs{workers}", workers=workers, last="curate")
            results.append({r["url"]: r["text"] for r in table_of(found.need("curate"), "data").to_pylist()})
    assert all(r == results[0] for r in results)
    texts = results[0]
    assert len(texts) == 25
    assert not any("newsletter" in t for u, t in texts.items() if "same.test" in u)
    assert "newsletter" in texts["http://other.test/own"]
    assert sum("Back to the top" in t for t in texts.values()) == 3  # on too few pages
    edits = table_of(found.need("curate"), "edits").to_pylist()
    assert {(e["gate"], e["kind"], e["start"]) for e in edits} == {("host_templates", "template", 0)}
    assert len(edits) == 12
    assert verify(found).whole

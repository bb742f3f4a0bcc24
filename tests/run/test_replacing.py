"""Nothing that is finished is replaced in silence, and nothing that still holds is forgotten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.core.errors import UsageError
from pipeline.look.verify import verify_folder
from pipeline.run.limits import Limits
from pipeline.run.run import run_recipe
from pipeline.run.session import load_recipe
from tests.command import within
from tests.conftest import TOKENS, article, corpus_rows, run, write_jsonl, write_recipe

SETS = ("--set", 'curate.gates=["gopher_quality", "exact"]')


def documents(folder: Path, name: str, first: int, *, more: Path | None = None) -> Path:
    """A dataset of its own, or one that grew."""
    texts = folder / f"texts-{name}"
    write_jsonl(texts / f"{first}.jsonl", [{"url": f"http://{name}.test/{first}", "text": article(first)}])
    out = more or folder / name
    assert within("extract", texts, "--out", out, "--workers", "1")[0] == 0
    return out


def test_a_result_of_one_dataset_is_not_replaced_by_that_of_another(tmp_path: Path) -> None:
    one, two = documents(tmp_path, "one", 1), documents(tmp_path, "two", 2)
    recipe, out = write_recipe(tmp_path, ""), tmp_path / "out"
    command = ("--recipe", recipe, *SETS, "--out", out, "--workers", "1")
    assert within("curate", one, *command)[0] == 0
    before = (out / "data" / "00000.parquet").read_bytes()
    code, refused = within("curate", two, *command)
    assert code == 2
    assert "was made from other inputs: shard 0 of extract is gone or changed" in refused
    assert "--replace" in refused
    assert (out / "data" / "00000.parquet").read_bytes() == before
    assert within("curate", two, *command, "--replace")[0] == 0
    assert (out / "data" / "00000.parquet").read_bytes() != before
    assert verify_folder(out).whole


def test_more_inputs_make_a_result_grow(tmp_path: Path) -> None:
    one = documents(tmp_path, "one", 1)
    recipe, out = write_recipe(tmp_path, ""), tmp_path / "out"
    command = ("curate", one, "--recipe", recipe, *SETS, "--out", out, "--workers", "1")
    assert within(*command)[0] == 0
    documents(tmp_path, "one", 3, more=one)
    assert within(*command)[0] == 0
    assert sorted(p.name for p in (out / "data").iterdir()) == ["00000.parquet", "00001.parquet"]
    assert verify_folder(out).whole


def test_other_parameters_need_the_word_too(tmp_path: Path) -> None:
    one = documents(tmp_path, "one", 1)
    recipe, out = write_recipe(tmp_path, ""), tmp_path / "out"
    command = ("curate", one, "--recipe", recipe, "--out", out, "--workers", "1")
    assert within(*command, *SETS)[0] == 0
    other = (*command, "--set", 'curate.gates=["exact"]')
    code, refused = within(*other)
    assert code == 2
    assert "holds another result" in refused
    assert within(*other, "--replace")[0] == 0
    assert verify_folder(out).whole


@pytest.mark.parametrize("change", ["gone", "longer", "same length and date"])
def test_an_input_that_vanished_or_changed_under_a_run_is_refused_by_name(
    corpus: Path, tmp_path: Path, change: str
) -> None:
    found = run(corpus, tmp_path / "runs", last="curate")
    hashes = {s: step.file_hashes for s, step in found.steps.items()}
    path = tmp_path / "texts" / "1.jsonl"
    stat = path.stat()
    if change == "gone":
        path.unlink()
    elif change == "longer":
        path.write_text(path.read_text() + "\n")
    else:
        path.write_text(path.read_text().replace("Note", "Mote"))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert path.stat().st_size == stat.st_size
    with pytest.raises(UsageError, match=r"1\.jsonl \((gone|changed)\)") as refused:
        run(corpus, tmp_path / "runs", last="curate")
    assert "--replace" in str(refused.value)
    assert {
        s: step.file_hashes for s, step in run(corpus, tmp_path / "runs", first="curate", last="curate").steps.items()
    } == hashes
    run_recipe(load_recipe(corpus, ()), tmp_path / "runs", limits=Limits(1), last="curate", replace=True)
    assert verify_folder(found.root).whole
    again = run(corpus, tmp_path / "runs", last="curate")  # and from here on it is as it is
    assert again.need("extract").file_hashes != hashes["extract"]


def test_a_touched_input_is_the_same_input(corpus: Path, tmp_path: Path) -> None:
    first = run(corpus, tmp_path / "runs", last="extract")
    for path in (tmp_path / "texts").iterdir():
        os.utime(path)
    assert (
        run(corpus, tmp_path / "runs", last="extract").need("extract").file_hashes == first.need("extract").file_hashes
    )


def test_a_part_of_a_run_does_not_forget_later_results(corpus: Path, tmp_path: Path) -> None:
    whole = run(corpus, tmp_path / "runs", last="tokenize")
    assert list(whole.steps) == ["extract", "curate", "tokenizer", "tokenize"]
    assert list(run(corpus, tmp_path / "runs", last="extract").steps) == list(whole.steps)
    assert list(run(corpus, tmp_path / "runs", first="curate", last="curate").steps) == list(whole.steps)
    assert verify_folder(whole.root).whole
    write_jsonl(tmp_path / "texts" / "more.jsonl", [{"url": "http://new.test/1", "text": article(27)}])
    grown = run(corpus, tmp_path / "runs", last="extract")
    assert list(grown.steps) == ["extract"]  # what was made of fewer documents is not of this run
    assert list(run(corpus, tmp_path / "runs", last="curate").steps) == ["extract", "curate"]


@pytest.mark.parametrize(
    ("only", "why"),
    [("train", r"the recipe has no \[train\]"), ("crawl", "the recipe reads files"), ("report", "nothing here yet")],
)
def test_a_stage_alone_that_has_nothing_to_do_says_so(tmp_path: Path, only: str, why: str) -> None:
    write_jsonl(tmp_path / "texts" / "a.jsonl", corpus_rows()[:2])
    crawl = '[crawl]\nseeds = ["http://never.test/"]\n' if only == "crawl" else ""
    recipe = write_recipe(tmp_path, '[extract]\ninputs = ["texts"]\n' + crawl + TOKENS)
    with pytest.raises(UsageError, match=why):
        run(recipe, tmp_path / "runs", first=only, last=only)


def test_a_copy_of_an_input_whose_name_comes_first_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_jsonl(folder / "b.jsonl", corpus_rows()[:3])
    command = ("extract", folder, "--out", tmp_path / "out", "--workers", "1")
    assert within(*command)[0] == 0
    (folder / "a.jsonl").write_bytes((folder / "b.jsonl").read_bytes())
    code, said = within(*command)
    assert code == 0, said

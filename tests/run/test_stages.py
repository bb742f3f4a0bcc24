"""The table of stages: every row holds, and a new stage is one row."""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from pathlib import Path

import pytest

from docs.generate import recipe_page
from pipeline.core.dataset import Dataset
from pipeline.core.errors import RecipeError, UsageError
from pipeline.core.events import Event, Said, TaskNote
from pipeline.core.files import read_sealed, write_sealed
from pipeline.core.recipe import Recipe
from pipeline.look.run import open_run
from pipeline.run import stages
from pipeline.run.limits import Limits
from pipeline.run.run import run_recipe
from pipeline.run.session import load_recipe
from pipeline.run.stages import STAGES, Stage
from tests.conftest import run, write_jsonl, write_recipe

TOP = Path(__file__).parents[2]
EVALUATE = Stage(
    "evaluate",
    section="evaluate",
    config="tests.run.evaluate:EvaluateConfig",
    needs=("extract",),
    makes=("evaluate",),
    function="tests.run.evaluate:stage",
    check="tests.run.evaluate:check",
    wanted=stages.given("evaluate"),
)


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: s.name)
def test_row_resolves(stage: Stage) -> None:
    assert list(inspect.signature(stages.function_of(stage)).parameters) == ["recipe", "bench", "done"]
    check = stages.check_of(stage)
    assert check is None or list(inspect.signature(check).parameters) == ["recipe"]
    assert bool(stage.section) == bool(stage.config)
    for reference in [*([stage.config] if stage.config else []), *stage.also.values()]:
        assert dataclasses.is_dataclass(stages.resolve(reference))


def test_names_and_results_are_there_once_and_made_before_they_are_needed() -> None:
    assert len(set(stages.names())) == len(STAGES)
    assert len(set(stages.results())) == len(stages.results())
    for stage in STAGES:
        assert set(stage.needs) <= set(stages.results(stages.before(stage.name)))


def test_every_section_belongs_to_one_dataclass() -> None:
    found = stages.sections()
    assert {s.section for s in STAGES if s.section} < set(found)
    assert {"signals", "limits"} < set(found)
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize(
    ("first", "last", "names"),
    [
        ("crawl", "report", ["crawl", "extract", "curate", "tokenize", "train", "report"]),
        ("curate", "tokenize", ["curate", "tokenize"]),
        ("train", "train", ["train"]),
    ],
)
def test_from_and_to_take_what_lies_between(first: str, last: str, names: list[str]) -> None:
    assert [s.name for s in stages.between(first, last)] == names


def test_stages_that_are_none_or_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(UsageError, match=r"no stage 'token'\. winnow has: crawl, extract"):
        stages.between("token", "train")
    with pytest.raises(UsageError, match="stage 'train' comes after 'curate'"):
        stages.between("train", "curate")


def test_recipe_decides_which_stages_run(tmp_path: Path) -> None:
    def wanted(body: str) -> list[str]:
        recipe = load_recipe(write_recipe(tmp_path, body), ())
        return [s.name for s in STAGES if s.wanted(recipe)]

    assert wanted('[crawl]\nseeds = ["http://a.test/"]\n') == ["crawl", "extract", "curate", "report"]
    assert wanted('[crawl]\nmax_pages = 3\n[extract]\ninputs = ["a"]\n[tokenize]\n[train]\n') == [
        "extract", "curate", "tokenize", "train", "report",
    ]  # fmt: skip


def texts(folder: Path) -> str:
    write_jsonl(folder / "t.jsonl", [{"text": "a rose is a rose"}, {"text": "no flower"}])
    return '[extract]\ninputs = ["t.jsonl"]\n'


def test_one_stage_alone_goes_on_from_the_run_and_says_what_it_lacks(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, texts(tmp_path) + '[curate]\ngates = ["exact"]\n[tokenize]\n[train]\n')
    with pytest.raises(UsageError, match="stage 'curate' needs the result of 'extract', which this run does not have"):
        run(recipe, tmp_path / "runs", first="curate", last="curate")
    first = run(recipe, tmp_path / "runs", first="extract", last="extract")
    assert list(first.steps) == ["extract"]
    with pytest.raises(UsageError, match="stage 'train' needs the result of 'tokenize'"):
        run(recipe, tmp_path / "runs", first="train", last="train")
    second = run(recipe, tmp_path / "runs", first="curate", last="curate")
    assert list(second.steps) == ["extract", "curate"]
    assert second.need("extract").key == first.need("extract").key


def test_what_a_later_stage_will_lack_is_said_before_anything_runs(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, texts(tmp_path) + "[train]\n")
    with pytest.raises(UsageError, match="stage 'train' needs the result of 'tokenize'"):
        run(recipe, tmp_path / "runs")
    assert not list((tmp_path / "runs").rglob("manifest.json"))


def test_a_result_of_a_stage_that_is_gone_from_run_json_is_not_taken(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, texts(tmp_path))
    found = run(recipe, tmp_path / "runs", last="extract")
    facts = read_sealed(found.root / "run.json")
    write_sealed(found.root / "run.json", {**facts, "steps": {**facts["steps"], "curate": "curate-00000000"}})
    assert list(open_run(found.root).steps) == ["extract"]


@pytest.fixture
def with_evaluate(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table with the row of a new stage in it."""
    monkeypatch.setattr(stages, "STAGES", (*STAGES[:2], EVALUATE, *STAGES[2:]))


def evaluate(recipe: Path, runs: Path, heard: list[Event], sets: tuple[str, ...] = ()) -> dict[str, Dataset]:
    loaded: Recipe = load_recipe(recipe, sets)
    return open_run(run_recipe(loaded, runs, limits=Limits(1), told=heard.append, last="evaluate")).steps


@pytest.mark.usefixtures("with_evaluate")
def test_a_new_stage_is_run_checked_and_found(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, texts(tmp_path) + '[evaluate]\nwords = ["rose", "lily"]\n')
    heard: list[Event] = []
    steps = evaluate(recipe, tmp_path / "runs", heard)
    assert list(steps) == ["extract", "evaluate"]
    assert steps["evaluate"].counts == {"words": {"rose": 2, "lily": 0}}
    assert steps["evaluate"].manifest["lineage"]["upstream"] == {"extract": steps["extract"].key}
    assert TaskNote("evaluate", 0, {"documents": 2}) in heard
    heard.clear()
    assert evaluate(recipe, tmp_path / "runs", heard)["evaluate"].dir == steps["evaluate"].dir
    assert [e for e in heard if not isinstance(e, Said)] == []  # all was done


@pytest.mark.usefixtures("with_evaluate")
def test_the_section_of_a_new_stage_is_strict_and_its_check_comes_first(tmp_path: Path) -> None:
    body = texts(tmp_path)
    with pytest.raises(RecipeError, match=r"evaluate: no parameter 'word'\. Did you mean 'words'\?"):
        load_recipe(write_recipe(tmp_path, body + '[evaluate]\nword = "rose"\n'), ())
    with pytest.raises(RecipeError, match=r"evaluate\.words\[0\]: expected a text, got 3"):
        load_recipe(write_recipe(tmp_path, body + "[evaluate]\nwords = [3]\n"), ())
    recipe = write_recipe(tmp_path, body + "[evaluate]\n")
    with pytest.raises(RecipeError, match=r"evaluate\.words: name at least one"):
        evaluate(recipe, tmp_path / "runs", [])
    assert not list((tmp_path / "runs").rglob("manifest.json"))
    assert list(evaluate(write_recipe(tmp_path, body), tmp_path / "runs", [])) == ["extract"]


def test_the_architecture_page_shows_the_stage_as_it_is_here() -> None:
    page = (TOP / "docs" / "architecture.md").read_text("utf-8").split("## Adding a stage")[1]
    module, row = (textwrap.dedent(block) for block in re.findall(r" {3}```python\n(.*?) {3}```", page, re.DOTALL))
    assert module in (TOP / "tests" / "run" / "evaluate.py").read_text("utf-8")
    assert row in Path(__file__).read_text("utf-8")


@pytest.mark.usefixtures("with_evaluate")
def test_the_recipe_reference_lists_the_section_of_a_new_stage() -> None:
    page = recipe_page()
    assert "## [evaluate]\n\nHow often words occur in the documents.\n" in page
    assert "| `words` | `[]` | that are counted, as they are written |" in page


def test_without_its_row_the_section_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no section 'evaluate'"):
        load_recipe(write_recipe(tmp_path, texts(tmp_path) + '[evaluate]\nwords = ["rose"]\n'), ())

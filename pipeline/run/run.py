"""`winnow run`: the stages of a recipe, one after the other, in a run directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.core.dataset import Dataset, is_dataset, open_dataset
from pipeline.core.errors import DataError, ErrorLimit, RecipeError, UsageError
from pipeline.core.events import Listener, nobody
from pipeline.core.files import read_json, write_json
from pipeline.core.recipe import Recipe
from pipeline.run import stages
from pipeline.run.limits import Limits
from pipeline.run.lock import lock
from pipeline.run.session import open_bench
from pipeline.run.stages import Stage

RUN = "run.json"


def run_recipe(
    recipe: Recipe, runs: Path, *, limits: Limits, told: Listener = nobody, first: str = "", last: str = ""
) -> Path:
    """Run the stages that a recipe asks for; what is done already is found and not done again.

    A recipe with `[extract] inputs` needs no crawl, one without `[train]` ends after the tokens, one without
    `[tokenize]` after curation.

    Args:
        runs: the run directory is made in here.
        first, last: stages to begin and to end with; the first and the last of all by default.

    Returns: the run directory.
    Raises: RecipeError if the recipe names nothing to read; UsageError for `first` after `last`, or if a stage before
        `first` is not done; ErrorLimit after the last stage.
    """
    names = stages.names()
    first, last = first or names[0], last or names[-1]
    chosen = stages.between(first, last)
    root = runs / recipe.name
    with lock(root), open_bench(root, limits, told=told) as bench:
        done = sealed(root, stages.results(stages.before(first)))
        plan = [stage for stage in chosen if stage.wanted(recipe)]
        preflight(recipe, plan, done)
        for stage in plan:
            done |= stages.function_of(stage)(recipe, bench, done)
            write_json(root / RUN, {"recipe": recipe.name, "steps": {k: d.dir.name for k, d in done.items()}})
    errors = sum(len(step.manifest.get("errors", [])) for step in done.values())
    limit = recipe.section("limits").max_errors
    if 0 <= limit < errors:
        raise ErrorLimit(f"finished, with {errors} recorded errors; limits.max_errors is {limit}.")
    return root


def preflight(recipe: Recipe, plan: Sequence[Stage], done: Mapping[str, Dataset]) -> None:
    """What can be known to go wrong before anything runs: a typo in a gate should not be found after hours of crawling.

    Raises: RecipeError if the recipe names nothing to read; UsageError if a stage needs what no stage makes; whatever the
        stages' own checks raise.
    """
    for stage in plan:
        check = stages.check_of(stage)
        if check is not None:
            check(recipe)
    if not stages.reads_files(recipe) and not recipe.section("crawl").seeds:
        raise RecipeError(f"{recipe.origin}: nothing to read: give crawl.seeds, or extract.inputs.")
    there = set(done)
    for stage in plan:
        for need in () if stage.fed(recipe) else stage.needs:
            if need not in there:
                raise UsageError(
                    f"stage '{stage.name}' needs the result of '{need}', which this run does not have yet."
                )
        there |= set(stage.makes)


def sealed(root: Path, results: Sequence[str]) -> dict[str, Dataset]:
    """Those results of a run that are finished, in order; none if `root` is no run yet.

    Raises: DataError if run.json is damaged.
    """
    if not (root / RUN).is_file():
        return {}
    try:
        steps = dict(read_json(root / RUN)["steps"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{root / RUN}: damaged ({type(error).__name__}: {error}). Remove it and run again.") from error
    return {r: open_dataset(root / steps[r]) for r in results if r in steps and is_dataset(root / steps[r])}

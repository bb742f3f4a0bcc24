"""`winnow run`: the stages of a recipe, one after the other, in a run directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset, is_dataset, open_dataset
from pipeline.core.errors import DamagedInput, DataError, ErrorLimit, RecipeError, UsageError, WinnowError
from pipeline.core.events import Listener, Said, nobody
from pipeline.core.files import read_sealed, sha256_file, write_sealed
from pipeline.core.hashes import Hashes
from pipeline.core.lock import lock
from pipeline.core.recipe import Recipe
from pipeline.core.seal import opened
from pipeline.run import stages
from pipeline.run.limits import Limits
from pipeline.run.session import open_bench
from pipeline.run.stages import Stage

RUN = "run.json"
REPORT = "report.html"


@dataclass(frozen=True)
class Listed:
    """What run.json says.

    Attributes:
        recipe: its name.
        steps: folders of results, by the name of the result.
        work: folders of the steps that they were made from, by stage.
        files: other files of the run, with their sha256.
    """

    recipe: str
    steps: dict[str, str] = field(default_factory=dict)
    work: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def run_recipe(
    recipe: Recipe,
    runs: Path,
    *,
    limits: Limits,
    told: Listener = nobody,
    first: str = "",
    last: str = "",
    hashes: Hashes | None = None,
    replace: bool = False,
) -> Path:
    """Run the stages that a recipe asks for; what is done already is found and not done again.

    A recipe with `[extract] inputs` needs no crawl, one without `[train]` ends after the tokens, one without
    `[tokenize]` after curation.

    Args:
        runs: the run directory is made in here.
        first, last: stages to begin and to end with; the first and the last of all by default.
        hashes: how much is read back; what steps read by default.
        replace: results that were made from other inputs may go.

    Returns: the run directory.
    Raises: RecipeError if the recipe names nothing to read; UsageError for `first` after `last`, or if a stage before
        `first` is not done, or a stage that was asked for by name has no section; DamagedInput if a step reads what nobody here
        can make again; ErrorLimit after the last stage.
    """
    names = stages.names()
    first, last = first or names[0], last or names[-1]
    root = runs / recipe.name
    damaged: set[Path] = set()
    with (
        lock(root),
        open_bench(root, limits, told=told, hashes=hashes, replace=replace, apart=bool(recipe.plugins)) as bench,
    ):
        while True:
            try:
                done = _run_stages(recipe, bench, first, last)
                break
            except Exception as error:  # in a step that was found as it should be, only bytes may be others
                found = _damage(error, bench)
                if damaged & set(found.paths) or not all(_can_be_made(p, bench.root) for p in found.paths):
                    raise found from error
                damaged |= set(found.paths)
                told(Said("run", f"{found} So they are."))
                for path in found.paths:
                    path.unlink(missing_ok=True)
                first = names[0]
    errors = sum(len(step.manifest.get("errors", [])) for step in done.values())
    limit = recipe.section("limits").max_errors
    if 0 <= limit < errors:
        raise ErrorLimit(f"finished, with {errors} recorded errors; limits.max_errors is {limit}.")
    return root


def _damage(error: Exception, bench: Bench) -> DamagedInput:
    """The damage that an error tells of, or is due to. Raises: the error, if there is none."""
    if isinstance(error, DamagedInput):
        return error
    if not isinstance(error, WinnowError) and (bad := bench.damaged()):
        return DamagedInput("the run", bad)
    raise error


def _can_be_made(path: Path, root: Path) -> bool:
    """Whether a file belongs to a step of a run, and that is not the crawl."""
    return path.resolve().is_relative_to(root.resolve()) and not path.relative_to(root).parts[0].startswith("crawl-")


def _run_stages(recipe: Recipe, bench: Bench, first: str, last: str) -> dict[str, Dataset]:
    root = bench.root
    chosen = stages.between(first, last)
    before = stages.results(stages.before(first))
    done = sealed(root, before) if before else {}
    plan = [stage for stage in chosen if stage.wanted(recipe)]
    if len(chosen) == 1 and not plan:
        raise UsageError(f"{recipe.origin}: stage '{first}' has nothing to do here: {_why_not(chosen[0], recipe)}.")
    preflight(recipe, plan, done)
    if [stage for stage in plan if not stage.makes] == plan and not done:
        raise UsageError(f"{root}: there is nothing here yet that stage '{first}' could be about.")
    listed = listed_in(root)
    work = dict(listed.work) if listed is not None else {}
    for stage in plan:
        seen = len(bench.made)
        done |= stages.function_of(stage)(recipe, bench, done)
        own = {d.dir for d in done.values()}
        work[stage.name] = sorted({d.dir.relative_to(root).as_posix() for d in bench.made[seen:] if d.dir not in own})
        _write_run(recipe, root, done, listed, work)
    return done


def _why_not(stage: Stage, recipe: Recipe) -> str:
    if stage.section and not recipe.has(stage.section):
        return f"the recipe has no [{stage.section}]"
    return "the recipe reads files ([extract] inputs)"


def _write_run(
    recipe: Recipe, root: Path, done: Mapping[str, Dataset], before: Listed | None, work: Mapping[str, list[str]]
) -> None:
    """run.json with these results, and those of later stages that were made from them, or from what did not change."""
    steps = {k: d.dir.name for k, d in done.items()}
    kept = {d.step: d for d in done.values()}
    for result in stages.results():
        name = before.steps.get(result) if before is not None and result not in steps else None
        old = opened(root / name) if name is not None else None
        if name is None or old is None:
            continue
        upstream = old.manifest["lineage"]["upstream"]
        if all(s in kept and (kept[s].content, kept[s].key) == (c, upstream[s]) for s, c in _made_from(old).items()):
            steps[result] = name
            kept[old.step] = old
    stays = {s.name for s in stages.STAGES if set(s.makes) & set(steps)}
    listed = Listed(recipe.name, steps, {s: folders for s, folders in work.items() if folders and s in stays})
    _write_listed(root, listed)


def _made_from(step: Dataset) -> dict[str, str]:
    """The results of a run that a step reads, with the content that they had."""
    return {s: content for s, content in step.manifest.get("reads", {}).items() if s in stages.results()}


def _write_listed(root: Path, listed: Listed) -> None:
    files = {REPORT: sha256_file(root / REPORT)} if (root / REPORT).is_file() else {}
    write_sealed(root / RUN, {**vars(listed), "files": files})


def note_report(root: Path) -> None:
    """Let run.json know the report of a run as it is now."""
    if (listed := listed_in(root)) is not None:
        _write_listed(root, listed)


def listed_in(root: Path) -> Listed | None:
    """What run.json says; None if it is not there, or damaged."""
    try:
        return read_run(root)
    except (DataError, FileNotFoundError):
        return None


def read_run(root: Path) -> Listed:
    """What run.json says. Raises: FileNotFoundError; DataError if it is damaged."""
    try:
        found = read_sealed(root / RUN)
        return Listed(found["recipe"], dict(found["steps"]), dict(found["work"]), dict(found["files"]))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{root / RUN}: damaged ({type(error).__name__}: {error}). `winnow run` writes it again."
        ) from error


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
    try:
        steps = read_run(root).steps
    except FileNotFoundError:
        return {}
    return {r: open_dataset(root / steps[r]) for r in results if r in steps and is_dataset(root / steps[r])}

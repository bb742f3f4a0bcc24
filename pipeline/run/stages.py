"""The stages of `winnow run`, as a table.

Whoever lists stages, their results or the sections of a recipe reads it here: run, its options, the checks before a run,
look, report, verify, docs. Functions and dataclasses are named "module:name" and imported when they are needed, so that
`winnow --help` imports none of them, an optional extra may be missing, and rooms below never import this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.core.errors import UsageError
from pipeline.core.recipe import Recipe

if TYPE_CHECKING:
    from pipeline.core.bench import Bench
    from pipeline.core.dataset import Dataset


class StageFunction(Protocol):
    """Runs a stage: takes its section from the recipe and what it needs from the results of the stages before, returns
    the results that it makes, by name."""

    def __call__(self, recipe: Recipe, bench: Bench, done: Mapping[str, Dataset]) -> dict[str, Dataset]: ...


Rule = Callable[[Recipe], bool]


def always(recipe: Recipe) -> bool:
    return True


def never(recipe: Recipe) -> bool:
    return False


def given(section: str) -> Rule:
    """Whether a recipe names the section."""
    return lambda recipe: recipe.has(section)


def reads_files(recipe: Recipe) -> bool:
    """Whether its documents come from files and not from a crawl."""
    return bool(recipe.section("extract").inputs)


def crawls(recipe: Recipe) -> bool:
    return recipe.has("crawl") and not reads_files(recipe)


@dataclass(frozen=True)
class Stage:
    """A row of the table.

    Attributes:
        name: as `--from`, `--to` and `--only` call it.
        function: "module:function", a `StageFunction`.
        needs: results that it reads.
        makes: results that it makes.
        section: its section of the recipe; "" if it has none.
        config: "module:Class", the dataclass of the section.
        also: further sections that it reads, each with its dataclass.
        check: "module:function" that takes the recipe and raises what is wrong with it before anything runs; "" for none.
        wanted: whether a recipe asks for the stage.
        fed: whether a recipe itself says what the stage reads, so that it needs no result.
    """

    name: str
    function: str
    needs: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    section: str = ""
    config: str = ""
    also: Mapping[str, str] = field(default_factory=dict)
    check: str = ""
    wanted: Rule = always
    fed: Rule = never


STAGES: tuple[Stage, ...] = (
    Stage(
        "crawl",
        section="crawl",
        config="crawler.config:CrawlConfig",
        makes=("crawl",),
        function="crawler.step:stage",
        check="crawler.step:check",
        wanted=crawls,
    ),
    Stage(
        "extract",
        section="extract",
        config="pipeline.extract.config:ExtractConfig",
        needs=("crawl",),
        fed=reads_files,
        makes=("extract",),
        function="pipeline.extract.step:stage",
        check="pipeline.extract.step:check",
    ),
    Stage(
        "curate",
        section="curate",
        config="pipeline.curate.config:CurateConfig",
        also={"signals": "pipeline.curate.config:SignalsConfig"},
        needs=("extract",),
        makes=("curate",),
        function="pipeline.curate.step:stage",
        check="pipeline.curate.build:check",
    ),
    Stage(
        "tokenize",
        section="tokenize",
        config="tokenize_stage.config:TokenizeConfig",
        needs=("curate",),
        makes=("tokenizer", "tokenize"),
        function="tokenize_stage.step:stage",
        check="tokenize_stage.step:check",
        wanted=given("tokenize"),
    ),
    Stage(
        "train",
        section="train",
        config="train.config:TrainConfig",
        needs=("tokenize", "tokenizer"),
        makes=("train",),
        function="train.loop:stage",
        check="train.preflight:check",
        wanted=given("train"),
    ),
    Stage("report", function="pipeline.report.build:stage"),
)
OTHER_SECTIONS: Mapping[str, str] = {"limits": "pipeline.run.limits:LimitsConfig"}  # read by the run, not by a stage


def names() -> tuple[str, ...]:
    """All stages in order."""
    return tuple(s.name for s in STAGES)


def results(stages: Sequence[Stage] | None = None) -> tuple[str, ...]:
    """What stages (all of them by default) make, in order."""
    return tuple(r for s in (STAGES if stages is None else stages) for r in s.makes)


def sections() -> dict[str, type]:
    """Every section of a recipe with the dataclass that checks it."""
    listed: dict[str, str] = {}
    for stage in STAGES:
        listed |= {**stage.also, **({stage.section: stage.config} if stage.section else {})}
    return {name: resolve(reference) for name, reference in (listed | dict(OTHER_SECTIONS)).items()}


def between(first: str, last: str) -> tuple[Stage, ...]:
    """The stages from `first` to `last`. Raises: UsageError if there is no such stage, or none between them."""
    known = names()
    for name in (first, last):
        if name not in known:
            raise UsageError(f"no stage '{name}'. winnow has: {', '.join(known)}.")
    found = STAGES[known.index(first) : known.index(last) + 1]
    if not found:
        raise UsageError(f"stage '{first}' comes after '{last}'.")
    return found


def before(name: str) -> tuple[Stage, ...]:
    """The stages that come before one."""
    return STAGES[: names().index(name)]


def function_of(stage: Stage) -> StageFunction:
    """What runs a stage."""
    found: StageFunction = resolve(stage.function)
    return found


def check_of(stage: Stage) -> Callable[[Recipe], None] | None:
    """What checks a recipe for a stage, None if nothing does."""
    found: Callable[[Recipe], None] | None = resolve(stage.check) if stage.check else None
    return found


def resolve(reference: str) -> Any:
    """The object that "module:name" names."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)

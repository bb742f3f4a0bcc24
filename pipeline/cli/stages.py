"""From a recipe to steps: which stage runs, on what, and where its result lies."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crawler.config import CrawlConfig
from pipeline.cli.progress import Bars
from pipeline.core.dataset import Dataset, is_dataset, open_dataset
from pipeline.core.errors import BooksError, ErrorLimit, RecipeError, UsageError
from pipeline.core.executor import PoolExecutor, default_workers, make_executor
from pipeline.core.files import LEVEL, SCRATCH_LEVEL, write_json
from pipeline.core.recipe import Recipe, load
from pipeline.core.step import Workspace
from tokenize_stage.config import TokenizeConfig
from train.config import TrainConfig

MAIN_BYTES = 300 << 20  # the main process, with what it imports
WORKER_BYTES = 600 << 20  # a worker with its largest task (shards, ranges and buckets have sizes that inputs decide)
STAGES = ("crawl", "extract", "curate", "tokenize", "train", "report")


@dataclass(frozen=True)
class LimitsConfig:
    """`[limits]`.

    Attributes:
        max_errors: recorded errors (broken records) above which `winnow run` ends with exit code 3; -1 for no limit.
    """

    max_errors: int = -1


def sections() -> dict[str, type]:
    """Every section of a recipe with the dataclass that owns it."""
    from pipeline.curate.gates import CurateConfig, SignalsConfig
    from pipeline.extract.step import ExtractConfig

    return {
        "crawl": CrawlConfig,
        "extract": ExtractConfig,
        "signals": SignalsConfig,
        "curate": CurateConfig,
        "tokenize": TokenizeConfig,
        "train": TrainConfig,
        "limits": LimitsConfig,
    }


def load_recipe(path: Path | None, sets: Sequence[str], *, name: str = "command") -> Recipe:
    return load(path, sections(), sets, name=name)


@dataclass
class Session:
    """One command's recipe, workspace, executor and progress. Use as a context manager."""

    recipe: Recipe
    space: Workspace
    workers: int
    bars: Bars
    memory: int | None = None  # bytes for sorting
    steps: dict[str, Dataset] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.executor = make_executor(self.workers)
        self.work = Workspace(self.space.root / ".work")

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        if isinstance(self.executor, PoolExecutor):
            self.executor.close()

    def crawl(self) -> Dataset:
        from crawler.step import crawl

        def tell(record: dict[str, Any]) -> None:
            self.bars.note(f"crawl: {record['pages']:,} pages, {record['known']:,} URLs known")

        made = crawl(self.recipe.section("crawl"), self.space, base=self.recipe.base, report=tell)
        self.bars.note("")
        outcomes = made.counts["outcomes"]
        self.bars.say(f"  {'crawl':<16} " + ", ".join(f"{n:,} {k}" for k, n in sorted(outcomes.items())))
        return made

    def extract(self, inputs: Sequence[str | Path] | None = None, *, level: int = LEVEL) -> Dataset:
        """Documents from a crawl, from the recipe's inputs, or from files given on the command line."""
        from pipeline.extract.step import extract

        config = self.recipe.section("extract")
        upstream: dict[str, str] = {}
        base = self.recipe.base
        if inputs is None and config.inputs:
            inputs = list(config.inputs)
        elif inputs is None:
            crawled = self.steps["crawl"]
            inputs, base, upstream = [crawled.dir / "warc"], Path(), {"crawl": crawled.key}
        else:
            base = Path()
        made = extract(
            config,
            self.space,
            self.executor,
            inputs=inputs,
            base=base,
            upstream=upstream,
            level=level,
            progress=self.bars,
        )
        if upstream and made.counts["rows_in"] != self.steps["crawl"].counts["responses"]:
            stored = self.steps["crawl"].counts["responses"]
            raise BooksError(
                f"{made.dir}: books don't balance: {stored:,} responses in the WARC files, "
                f"{made.counts['rows_in']:,} read. A WARC file was changed or damaged after the crawl."
            )
        return made

    def curation(self, extra_signals: Sequence[str] = ()) -> Any:
        from pipeline.curate.gates import build

        return build(
            self.recipe.section("curate"),
            self.recipe.section("signals"),
            where=self.recipe.origin,
            base=self.recipe.base,
            plugins=self.recipe.plugins,
            extra_signals=extra_signals,
        )

    def curate(self, documents: Dataset) -> Dataset:
        from pipeline.curate.step import curate

        return curate(
            self.curation(),
            documents,
            self.space,
            self.executor,
            work=self.work,
            memory=self.memory,
            progress=self.bars,
        )

    def tokenizer(self, documents: Dataset) -> Dataset:
        from tokenize_stage.bpe import train_tokenizer

        config = self.recipe.section("tokenize")
        return train_tokenizer(
            config,
            documents,
            self.space,
            self.executor,
            work=self.work,
            base=self.recipe.base,
            progress=self.bars,
        )

    def tokenize(self, documents: Dataset, tokenizer: Path) -> Dataset:
        from tokenize_stage.shards import tokenize

        config = self.recipe.section("tokenize")
        return tokenize(config, documents, tokenizer, self.space, self.executor, work=self.work, progress=self.bars)

    def train(self, shards: Dataset, tokenizer: Path) -> Dataset:
        try:
            from train.loop import train
        except ModuleNotFoundError as error:
            raise UsageError(
                f"training needs the extra 'train' ({error.name} is not installed): pip install 'winnow-lm[train]'."
            ) from error

        config = self.recipe.section("train")

        def tell(record: dict[str, Any]) -> None:
            self.bars.note(
                f"train: step {record['step']:,}/{config.steps:,}, loss {record['loss']:.3f}, "
                f"{record['tokens_per_s']:,.0f} tokens/s"
            )
            if "validation_bits_per_byte" in record:
                self.bars.note("")
                bpb = record["validation_bits_per_byte"]
                self.bars.say(f"  {'train':<16} step {record['step']:,}: {bpb:.3f} bits/byte on validation rows")

        return train(config, shards, tokenizer, self.space, report=tell)

    def documents(self, inputs: Sequence[Path]) -> Dataset:
        """A dataset as it is, or any files after extraction into the work folder."""
        if len(inputs) == 1 and is_dataset(inputs[0]):
            found = open_dataset(inputs[0])
            if found.manifest.get("kind") != "documents":
                raise UsageError(f"{inputs[0]}: holds {found.manifest.get('kind')}, not documents.")
            return found
        inner = Session(self.recipe, self.work, 1, self.bars)
        inner.executor = self.executor
        return inner.extract(list(inputs), level=SCRATCH_LEVEL)


def run_recipe(
    recipe: Recipe,
    runs: Path,
    *,
    limits: Limits,
    bars: Bars,
    first: str = STAGES[0],
    last: str = STAGES[-1],
) -> Path:
    """Run the stages of a recipe from `first` to `last`; what is done already is found and not done again.

    A recipe with `[extract] inputs` needs no crawl, one without `[train]` ends after the tokens, one without
    `[tokenize]` after curation. Returns the run directory.

    Raises: RecipeError if the recipe names nothing to read; UsageError for `first` after `last`.
    """
    for stage in (first, last):
        if stage not in STAGES:
            raise UsageError(f"no stage '{stage}'. winnow has: {', '.join(STAGES)}.")
    wanted = STAGES[STAGES.index(first) : STAGES.index(last) + 1]
    if not wanted:
        raise UsageError(f"stage '{first}' comes after '{last}'.")
    root = runs / recipe.name
    root.mkdir(parents=True, exist_ok=True)
    with _lock(root), Session(recipe, Workspace(root), limits.workers, bars, limits.sorting) as session:
        session.curation()  # a typo in a gate should not be found after hours of crawling
        done = session.steps
        has_inputs = bool(recipe.section("extract").inputs)
        if not has_inputs and not recipe.section("crawl").seeds:
            raise RecipeError(f"{recipe.origin}: nothing to read: give crawl.seeds, or extract.inputs.")
        plan = [s for s in wanted if s in ("extract", "curate", "report") or recipe.has(s)]
        if has_inputs and "crawl" in plan:
            plan.remove("crawl")
        if first != STAGES[0]:
            done.update(_earlier(root, first))
        for stage in plan:
            if stage == "crawl":
                done["crawl"] = session.crawl()
            elif stage == "extract":
                if not has_inputs:
                    _needs(done, "crawl", stage)
                done["extract"] = session.extract()
            elif stage == "curate":
                done["curate"] = session.curate(_needs(done, "extract", stage))
            elif stage == "tokenize":
                documents = _needs(done, "curate", stage)
                done["tokenizer"] = session.tokenizer(documents)
                done["tokenize"] = session.tokenize(documents, tokenizer_file(done["tokenizer"]))
            elif stage == "train":
                shards = _needs(done, "tokenize", stage)
                done["train"] = session.train(shards, tokenizer_file(_needs(done, "tokenizer", stage)))
            write_json(root / "run.json", {"recipe": recipe.name, "steps": {k: d.dir.name for k, d in done.items()}})
        if "report" in plan and "curate" in done:
            from pipeline.report.build import write_report

            write_report(root, root / "report.html")
        limit = recipe.section("limits").max_errors
        errors = sum(len(d.manifest.get("errors", [])) for d in done.values())
        if 0 <= limit < errors:
            raise ErrorLimit(f"finished, with {errors} recorded errors; limits.max_errors is {limit}.")
    return root


def tokenizer_file(step: Dataset) -> Path:
    return step.dir / "tokenizer" / "00000.json"


def _needs(done: dict[str, Dataset], step: str, stage: str) -> Dataset:
    if step not in done:
        raise UsageError(f"stage '{stage}' needs the result of '{step}', which this run does not have yet.")
    return done[step]


def _earlier(root: Path, first: str) -> dict[str, Dataset]:
    """Sealed steps of the run before the stage it starts from."""
    order = ["crawl", "extract", "curate", "tokenizer", "tokenize", "train"]
    before = order[: order.index("tokenizer" if first == "tokenize" else first)] if first in order else order
    found = run_steps(root) if (root / "run.json").is_file() else {}
    return {k: d for k, d in found.items() if k in before}


def run_steps(root: Path) -> dict[str, Dataset]:
    """The sealed steps of a run, by stage. Raises: UsageError if `root` is no run directory."""
    from pipeline.look.run import open_run

    return open_run(root).steps


@contextmanager
def _lock(root: Path) -> Iterator[None]:
    """One winnow at a time in a run directory; the lock goes with the process, however it ends."""
    with open(root / ".lock", "w") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"{root}: another winnow is working on this run.") from error
        f.write(str(os.getpid()))
        f.flush()
        yield


@dataclass(frozen=True)
class Limits:
    """How much of the machine a command may take. No result depends on it.

    Attributes:
        workers: processes.
        memory: bytes for all of them together; None for no limit.
    """

    workers: int
    memory: int | None = None

    @property
    def sorting(self) -> int | None:
        """Bytes for a sort, which runs while the workers wait."""
        return None if self.memory is None else (self.memory - MAIN_BYTES) // 2


def limits(workers: int | None, max_memory: str = "") -> Limits:
    """From the options of a command. Raises: UsageError for a size that is none, or too small for one worker."""
    wanted = default_workers() if workers is None else max(workers, 1)
    if not max_memory:
        return Limits(wanted)
    size = parse_bytes(max_memory)
    if size < MAIN_BYTES + WORKER_BYTES:
        raise UsageError(f"--max-memory {max_memory}: at least {(MAIN_BYTES + WORKER_BYTES) >> 20} MiB are needed.")
    return Limits(min(wanted, (size - MAIN_BYTES) // WORKER_BYTES), size)


def parse_bytes(text: str) -> int:
    """`4GiB`, `500M`, `1.5G` or a plain number as bytes; K, M, G, T are powers of 1,024. Raises: UsageError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", text, re.IGNORECASE)
    if not found:
        raise UsageError(f"--max-memory {text}: write a number with K, M, G or T, such as 4GiB.")
    return int(float(found[1]) * 1024 ** " kmgt".index(found[2].lower() or " "))

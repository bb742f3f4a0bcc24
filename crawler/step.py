"""The crawl step: seeds in, WARC files and a fetch log out."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crawler import process
from crawler.config import CrawlConfig
from crawler.fetch_log import reasons
from crawler.links import resolved
from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset
from pipeline.core.errors import DiskFull, StepError, UsageError
from pipeline.core.events import Said
from pipeline.core.files import write_json
from pipeline.core.lock import held
from pipeline.core.recipe import Recipe
from pipeline.core.step import ShardResult, Task

VERSION = 2
TRIES = "fetch/tries.jsonl"  # what the crawling process keeps of tries that brought no answer
FORBIDDEN = ("robots", "robots_unreachable", "crawl_delay_too_long")


@dataclass(frozen=True)
class CrawlArgs:
    """`seeds` are URLs: seed files were read when the step was planned."""

    config: CrawlConfig
    seeds: tuple[str, ...]


def stage(recipe: Recipe, bench: Bench, done: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """`[crawl]` makes the result "crawl" out of nothing but the recipe."""
    return {"crawl": crawl(recipe.section("crawl"), bench, base=recipe.base)}


def check(recipe: Recipe) -> None:
    """Seeds that are none are found before anything runs. Raises: UsageError."""
    config: CrawlConfig = recipe.section("crawl")
    if config.seeds:
        read_seeds(config.seeds, recipe.base)


def read_seeds(seeds: list[str], base: Path = Path()) -> list[str]:
    """URLs of a seed list; an entry that is a file is read, a URL a line, '#' starts a comment line.

    Raises: UsageError for an entry that is neither, or if there is none.
    """
    urls: list[str] = []
    for seed in seeds:
        path = base / Path(seed).expanduser()
        if "://" not in seed and path.is_file():
            lines = (line.strip() for line in path.read_text("utf-8").splitlines())
            urls += [line for line in lines if line and not line.startswith("#")]
        else:
            urls.append(seed)
    for url in urls:
        link = resolved(url, "")
        if link is None:
            raise UsageError(f"crawl.seeds: {url!r} is neither an http(s) URL nor a file with URLs.")
        if link.outcome is not None:
            raise UsageError(f"crawl.seeds: {url!r} is no URL that can be fetched: {link.note}.")
    if not urls:
        raise UsageError("crawl.seeds: no seeds. Give URLs, or files with a URL a line.")
    return list(dict.fromkeys(urls))


def crawl(config: CrawlConfig, bench: Bench, *, base: Path = Path()) -> Dataset:
    """Crawl. A crawl that was killed goes on: what is in its WARC files is not asked for again. Of one that was damaged
    since, only what is gone is.

    Its task tells `pages` fetched and URLs `known` now and then, and the step says at the end what became of them.

    Args:
        base: where relative seed files lie.

    Returns: a step with WARC files in `warc/` and the fate of every URL in `fetch/`.
    Raises: UsageError for bad seeds; StepError if not one page could be fetched.
    """
    seeds = read_seeds(config.seeds, base)
    params = {k: v for k, v in asdict(config).items() if k not in ("seeds", "proxy", "contact")}
    task = Task(0, {}, CrawlArgs(config, tuple(seeds)))
    extra = {"kind": "warc", "seeds": seeds}
    made = bench.step("crawl", {**params, "seeds": seeds}, VERSION, [], [task], crawl_seeds, extra=extra, once=True)
    (made.dir / TRIES).unlink(missing_ok=True)  # of use only while the crawl could be cut short
    outcomes: Mapping[str, int] = made.counts["outcomes"]
    bench.told(Said("crawl", ", ".join(f"{n:,} {k}" for k, n in sorted(outcomes.items()))))
    return made


def crawl_seeds(task: Task[CrawlArgs]) -> ShardResult:
    """`warc/*.warc.gz` and `fetch/00000`: the whole crawl, in a process of its own that ends with this one."""
    config = task.args.config
    write_json(task.out / "crawl.json", {"config": asdict(config), "seeds": list(task.args.seeds)})
    result: dict[str, Any] = {}
    with (
        tempfile.TemporaryFile("w+") as errors,  # a pipe that nobody reads yet would fill up and stop the crawl
        subprocess.Popen(
            process.command(task.out),
            text=True,
            env=process.environment(proxy=config.proxy),
            stdin=subprocess.PIPE,  # never written to: its end tells the crawling process that this one is gone
            stdout=subprocess.PIPE,
            stderr=errors,
            pass_fds=held(),  # the result stays locked until this process is gone as well
        ) as running,
    ):
        assert running.stdout is not None
        try:
            for line in running.stdout:
                record = json.loads(line)
                if "pages" in record:
                    task.tell(pages=record["pages"], known=record["known"])
                else:
                    result = record
        except BaseException:
            running.kill()
            raise
        running.wait()
        errors.seek(0)
        problem = errors.read().strip()
    if "full" in result:
        raise DiskFull(result["full"])
    if "failed" in result:
        raise StepError(result["failed"])
    if running.returncode or "outcomes" not in result:
        last = problem.splitlines()[-1] if problem else f"exit code {running.returncode}"
        if (running.returncode or 0) < 0:  # what it wrote before says nothing of that
            last = f"it was killed (signal {-running.returncode})"
        raise StepError(f"the crawling process failed: {last}. The same command goes on from there.")
    outcomes: dict[str, int] = result["outcomes"]
    fetched = task.file("fetch")
    if not outcomes.get("fetched"):
        met = ", ".join(f"{n} {k}" for k, n in sorted(outcomes.items())) or "nothing"
        said = reasons([fetched], FORBIDDEN) or reasons([fetched], sorted(set(outcomes) - {"robots_file"}))
        more = f" and {len(said) - 3:,} more reasons" if len(said) > 3 else ""
        raise StepError(f"not one page could be fetched: {'; '.join(said[:3])}{more} ({met}). See {fetched}.")
    outputs: dict[Path, int | None] = {task.out / "crawl.json": None}
    outputs |= dict.fromkeys(sorted((task.out / "warc").glob("*.warc.gz")))
    outputs[fetched] = sum(outcomes.values())
    return ShardResult(outputs, {"outcomes": outcomes, "responses": result["responses"]})

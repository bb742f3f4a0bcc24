"""The extract step: captures and rows in, documents and recorded decisions out."""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.core.bench import Bench, keys_of
from pipeline.core.dataset import Dataset, Source, is_dataset
from pipeline.core.documents import Doc
from pipeline.core.errors import BooksError, UsageError
from pipeline.core.events import Said
from pipeline.core.files import LEVEL
from pipeline.core.recipe import Recipe
from pipeline.core.schema import DECISION, DOCUMENT, decision, doc_id_of_row
from pipeline.core.step import Plan, ShardResult, Task
from pipeline.extract.config import EXTRACTORS, ExtractConfig
from pipeline.extract.documents import Dropped, Engines, Row, read_documents
from pipeline.extract.fast.engine import VERSION as FAST_VERSION
from pipeline.extract.fast.engine import FastExtractor, compile_kernels
from pipeline.extract.fast.model import BUNDLED, identity, load_cached
from pipeline.extract.revisits import CAPTURE, capture_row, resolve
from pipeline.extract.worker import ExtractWorker
from pipeline.extract.writer import TableWriter
from pipeline.ingest.plan import find_inputs, plan_shards
from pipeline.ingest.warc import Tally

VERSION = 3
MAX_ERRORS = 1_000  # lines about one shard
# The texts of a file, or a part of one, may come to so many times its bytes on disk; what is more is dropped. Text of the web is
# compressed 3 to 10 times, the same page again and again a thousand times and more.
MAX_UNPACKED_RATIO = 100
MIN_UNPACKED_BYTES = 64 << 20  # whatever its size
ROWS = 65_536  # of a row group of what is not a document


@dataclass(frozen=True)
class ExtractArgs:
    """`level` is that of zstd for the documents."""

    config: ExtractConfig
    level: int


def stage(recipe: Recipe, bench: Bench, done: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """`[extract]` makes the result "extract" from the recipe's own inputs, else from the result "crawl".

    Raises: BooksError if the WARC files of the crawl hold more or fewer responses than it wrote.
    """
    config: ExtractConfig = recipe.section("extract")
    if config.inputs:
        return {"extract": extract(config, bench, inputs=config.inputs, base=recipe.base)}
    crawled = done["crawl"]
    made = extract(config, bench, inputs=[crawled.dir / "warc"], upstream=[crawled])
    stored = crawled.counts["responses"]
    if made.counts["rows_in"] != stored:
        raise BooksError(
            f"{made.dir}: books don't balance: {stored:,} responses in the WARC files, "
            f"{made.counts['rows_in']:,} read. A WARC file was changed or damaged after the crawl."
        )
    return {"extract": made}


def check(recipe: Recipe) -> None:
    """An engine that is not there, or a model that is none, is found before anything runs. Raises: UsageError, DataError."""
    _engine(_with_model(recipe.section("extract"), recipe.base))


def extract(
    config: ExtractConfig,
    bench: Bench,
    *,
    inputs: Sequence[str | Path],
    base: Path = Path(),
    upstream: Sequence[Dataset] = (),
    level: int = LEVEL,
) -> Dataset:
    """Turn input files into a dataset of documents.

    Args:
        inputs: files, folders or globs; relative ones start at `base`.
        upstream: the steps that made the inputs.
        level: of zstd; a lower one for what is only read once.

    Raises: UsageError for inputs that cannot be read; StepError if a shard fails.
    """
    params = {k: v for k, v in vars(config).items() if k not in ("inputs", "model")}
    if not upstream:
        params["inputs"] = sorted(config.inputs)
    config = _with_model(config, base)
    plan = Plan("extract", {**params, "engine": _engine(config)}, VERSION, upstream=keys_of(upstream))
    files = find_inputs(inputs, base)
    folder = bench.claim(plan)
    shards, left_out = plan_shards(
        files, folder, config.shard_bytes, hashes=bench.hashes, replace=bench.replace, made=bool(upstream)
    )
    if config.extractor == "fast" and not is_dataset(folder):
        compile_kernels()
    args = ExtractArgs(config, level)
    tasks = [Task(i, {"parts": tuple(parts)}, args) for i, parts in enumerate(shards)]
    made = bench.run(plan, tasks, extract_shard, upstream, extra={"left_out": left_out, "kind": "documents"})
    revisits = resolve(made, bench.scratch)
    if revisits is not None:
        found = revisits.counts
        bench.told(Said("extract", f"revisits: {found['resolved']:,} resolved, {found['unresolved']:,} unresolved"))
    return made


def _with_model(config: ExtractConfig, base: Path) -> ExtractConfig:
    """The configuration with its model as a file that workers find. Raises: UsageError for an unknown extractor."""
    if config.extractor not in EXTRACTORS:
        raise UsageError(f"extract.extractor: no extractor '{config.extractor}'. winnow has: {', '.join(EXTRACTORS)}.")
    return replace(config, model=str(base / config.model) if config.model else str(BUNDLED))


def _engine(config: ExtractConfig) -> dict[str, str]:
    """Versions of whatever decides the text."""
    engine = {"trafilatura": importlib.metadata.version("trafilatura")}  # the fallback of "fast", too
    if config.extractor == "fast":
        load_cached(config.model)  # a broken model file should not be found by the workers
        engine |= {"fast": str(FAST_VERSION), "model": identity(Path(config.model))}
    return engine


def extract_shard(task: Task[ExtractArgs]) -> ShardResult:
    """Documents, decisions and captures of one shard, in input order."""
    config = task.args.config
    tally, fates, errors = Tally(), Fates(), Errors()
    fast = FastExtractor(Path(config.model)) if config.extractor == "fast" else None
    data, sidecar, known = task.file("data"), task.file("decisions"), task.file("captures")
    with (
        ExtractWorker("trafilatura", max_cpu_s=config.max_cpu_s, max_memory_bytes=config.max_memory_mb << 20) as worker,
        TableWriter(data, DOCUMENT, rows=1_000, level=task.args.level) as documents,
        TableWriter(sidecar, DECISION, rows=ROWS) as decisions,
        TableWriter(known, CAPTURE, rows=ROWS) as captures,
    ):
        engines = Engines(worker, fast)
        for source in task.all("parts"):
            before = tally.record_bytes + tally.gap_bytes
            left = max(MIN_UNPACKED_BYTES, MAX_UNPACKED_RATIO * _bytes_of(source))
            for one in read_documents(source, config, engines, tally):
                row, dropped = one.row, one.dropped
                fates.met(row, source)
                if one.capture is not None and one.capture.kind:
                    captures.add(capture_row(row["doc_id"], one.capture))
                if dropped is None:
                    left -= len(row["text"]) + len(row["metadata"] or "")
                    if left >= 0:
                        documents.add(row)
                        continue
                    dropped = Dropped("ingest", "unpacks_too_far", f"more than {MAX_UNPACKED_RATIO} x the file")
                decisions.add(_decide(row, dropped))
                fates.dropped[dropped.gate] += 1
                if dropped.reason == "broken_record":
                    errors.add(f"{source.name} at {row['source_offset']}: {dropped.note}")
            if source.kind == "warc":
                _balance_bytes(source, tally.record_bytes + tally.gap_bytes - before)
    counts: dict[str, Any] = {
        "rows_in": documents.count + decisions.count,
        "rows_out": documents.count,
        "dropped": dict(fates.dropped),
        "text_bytes": documents.text_bytes,
    }
    if fates.renamed:
        counts["repeated_ids"] = fates.renamed
    if tally.records or tally.gaps:
        counts |= {
            "records": dict(sorted(tally.records.items())),
            "record_bytes": tally.record_bytes,
            "gap_bytes": tally.gap_bytes,
            "gaps": tally.gaps,
        }
    return ShardResult(
        {data: documents.count, sidecar: decisions.count, known: captures.count}, counts, errors.listed()
    )


@dataclass
class Fates:
    """What the documents of a shard met: how many each gate dropped, every doc_id, and how many had one that was taken."""

    dropped: Counter[str] = field(default_factory=Counter)
    seen: set[bytes] = field(default_factory=set)
    renamed: int = 0

    def met(self, row: Row, source: Source) -> None:
        """A document must be the only one of its name: of two records with one id the second is named by its place."""
        if row["doc_id"] in self.seen:
            row["doc_id"] = doc_id_of_row(f"{source.name}\0again", row["source_offset"])
            self.renamed += 1
        self.seen.add(row["doc_id"])


@dataclass
class Errors:
    """Recorded errors, a line each; so many that nobody would read them are counted."""

    lines: list[str] = field(default_factory=list)
    more: int = 0

    def add(self, line: str) -> None:
        if len(self.lines) < MAX_ERRORS:
            self.lines.append(line)
        else:
            self.more += 1

    def listed(self) -> list[str]:
        return [*self.lines, f"and {self.more:,} more"] if self.more else self.lines


def _bytes_of(source: Source) -> int:
    """Bytes on disk of a part of an archive; of the file for a part that is counted in lines or row groups."""
    size = source.path.stat().st_size
    return (size if source.end is None else source.end) - source.start if source.kind == "warc" else size


def _balance_bytes(source: Source, accounted: int) -> None:
    """The bytes of a part of an archive are those of its records and its gaps. Raises: BooksError."""
    there = _bytes_of(source)
    if accounted != there:
        raise BooksError(f"{source.name}: books don't balance: {there:,} bytes, {accounted:,} in records and gaps.")


def _decide(row: Row, dropped: Dropped) -> Row:
    """A row of the DECISION schema."""
    doc = Doc(
        row["doc_id"], row["text"] or "", url=row["url"] or "", host=row["host"] or "",
        source=row["source"], source_offset=row["source_offset"],
    )  # fmt: skip
    return decision(doc, dropped.gate, [dropped.reason], note=dropped.note, kept=dropped.original)

"""The extract step: captures and rows in, documents and recorded decisions out."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from pipeline.core.bench import Bench, keys_of
from pipeline.core.dataset import Dataset, is_dataset
from pipeline.core.documents import Doc
from pipeline.core.errors import BooksError, UsageError
from pipeline.core.files import LEVEL, write_parquet
from pipeline.core.recipe import Recipe
from pipeline.core.schema import DECISION, DOCUMENT, decision
from pipeline.core.step import Plan, ShardResult, Task
from pipeline.extract.config import EXTRACTORS, ExtractConfig
from pipeline.extract.documents import Dropped, Engines, Row, read_documents
from pipeline.extract.fast.engine import VERSION as FAST_VERSION
from pipeline.extract.fast.engine import FastExtractor, compile_kernels
from pipeline.extract.fast.model import BUNDLED, identity, load_cached
from pipeline.extract.worker import ExtractWorker
from pipeline.ingest.plan import find_inputs, plan_shards
from pipeline.text.batch import TextBatch

VERSION = 2


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
    shards, left_out = plan_shards(files, folder, config.shard_bytes, hashes=bench.hashes, replace=bench.replace)
    if config.extractor == "fast" and not is_dataset(folder):
        compile_kernels()
    args = ExtractArgs(config, level)
    tasks = [Task(i, {"parts": tuple(parts)}, args) for i, parts in enumerate(shards)]
    return bench.run(plan, tasks, extract_shard, upstream, extra={"left_out": left_out, "kind": "documents"})


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
    """Documents and decisions of one shard, in input order."""
    config = task.args.config
    documents: list[Row] = []
    decisions: list[Row] = []
    errors: list[str] = []
    fast = FastExtractor(Path(config.model)) if config.extractor == "fast" else None
    with ExtractWorker(
        "trafilatura", max_cpu_s=config.max_cpu_s, max_memory_bytes=config.max_memory_mb << 20
    ) as worker:
        engines = Engines(worker, fast)
        for source in task.all("parts"):
            for row, dropped in read_documents(source, config, engines):
                if dropped is None:
                    documents.append(row)
                else:
                    decisions.append(_decide(row, dropped))
                    if dropped.reason == "broken_record":
                        errors.append(f"{source.name} at {row['source_offset']}: {dropped.note}")
    table = pa.table([pa.array([d[f.name] for d in documents], f.type) for f in DOCUMENT], schema=DOCUMENT)
    data, sidecar = task.file("data"), task.file("decisions")
    write_parquet(data, table, row_group_rows=1_000, level=task.args.level)
    write_parquet(sidecar, pa.Table.from_pylist(decisions, DECISION))
    dropped_by_gate: dict[str, int] = {}
    for d in decisions:
        dropped_by_gate[d["gate"]] = dropped_by_gate.get(d["gate"], 0) + 1
    counts = {
        "rows_in": len(documents) + len(decisions),
        "rows_out": len(documents),
        "dropped": dropped_by_gate,
        "text_bytes": TextBatch.of_column(table["text"]).data.nbytes,
    }
    return ShardResult({data: len(documents), sidecar: len(decisions)}, counts, errors)


def _decide(row: Row, dropped: Dropped) -> Row:
    """A row of the DECISION schema."""
    doc = Doc(
        row["doc_id"], row["text"] or "", url=row["url"] or "", host=row["host"] or "",
        source=row["source"], source_offset=row["source_offset"],
    )  # fmt: skip
    return decision(doc, dropped.gate, [dropped.reason], note=dropped.note)

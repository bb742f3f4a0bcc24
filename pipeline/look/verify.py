"""Is a run what its manifests say: hashes, rows, books, and that each step read what the one before it wrote?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow.parquet as pq

from pipeline.core.answers import BARE
from pipeline.core.dataset import Dataset, shard_file, verify_files
from pipeline.core.errors import BooksError
from pipeline.core.files import read_json
from pipeline.core.step import add_counts, balance, record_file
from pipeline.look.run import Run


@dataclass(frozen=True)
class Verified:
    """What is wrong with each step, by STEP-KEY in the order of the run; a step without problems is whole."""

    steps: dict[str, tuple[str, ...]] = field(metadata=BARE)

    @property
    def whole(self) -> bool:
        return not any(self.steps.values())


def verify(run: Run) -> Verified:
    """Hashes, rows, books and the chain of every step."""
    found = {}
    for stage, step in run.steps.items():
        found[f"{step.step}-{step.key}"] = (*verify_files(step), *_books(step), *_chain(run, stage))
    return Verified(found)


def _books(step: Dataset) -> Iterator[str]:
    records = []
    for shard in step.shards():
        path = step.dir / record_file(shard)
        if not path.is_file():
            yield f"{record_file(shard)}: missing"
            continue
        try:
            counts = dict(read_json(path)["counts"])
        except (ValueError, KeyError, TypeError) as error:
            yield f"{record_file(shard)}: damaged ({type(error).__name__}: {error})"
            continue
        records.append(counts)
        try:
            balance(f"shard {shard}", counts)
        except BooksError as error:
            yield str(error)
        yield from _shard_rows(step, shard, counts)
    if records and add_counts(records) != step.counts:
        yield "the counts of the shards do not add up to the manifest's"


def _shard_rows(step: Dataset, shard: int, counts: dict[str, object]) -> Iterator[str]:
    """The counts against what the files hold."""
    if step.manifest.get("kind") != "documents":
        return
    data, decisions = (shard_file(step.dir / folder, shard) for folder in ("data", "decisions"))
    if not data.is_file() or not decisions.is_file():
        return  # reported as missing already
    rows, dropped = pq.read_metadata(data).num_rows, pq.read_metadata(decisions).num_rows
    if rows != counts["rows_out"] or rows + dropped != counts["rows_in"]:
        yield f"shard {shard}: {counts['rows_in']} in, but the files hold {rows} documents and {dropped} decisions"


def _chain(run: Run, stage: str) -> Iterator[str]:
    step = run.steps[stage]
    for name, key in step.manifest["lineage"]["upstream"].items():
        before = run.steps.get(name)
        if before is None:
            continue
        if before.key != key:
            yield f"made from {name}-{key}, the run now has {name}-{before.key}"
        elif stage == "extract" and before.counts.get("responses", 0) != step.counts["rows_in"]:
            yield f"read {step.counts['rows_in']} captures, the crawl stored {before.counts.get('responses')}"
        elif "rows_in" in step.counts and "rows_out" in before.counts:
            out, into = before.counts["rows_out"], step.counts["rows_in"]
            if out != into:
                yield f"read {into} rows, {name} wrote {out}"

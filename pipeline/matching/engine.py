"""Copies, written once for every match: candidates, verification, the choice of what to keep.

Documents become ranks in the order of `keep` (then doc_id); nothing else decides. Of the documents that share a key each
is paired with the first and with the one before it. A document is dropped only if its *verified* similarity to a
document that is kept reaches the match's bound: there is no transitive closure that nobody checked, so a chain of
resembling texts cannot empty a source.

Every step goes through files that are sorted and read by range, and every task has a size that the input alone decides,
so memory is bounded by the number of tasks at a time and the result is the same for any limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.dataset import Dataset, Source
from pipeline.core.executor import Executor
from pipeline.core.step import Plan, Progress, ShardResult, Task, Workspace, run_step
from pipeline.curate.gates import Curation, Gate
from pipeline.matching.index import Known, known_sets
from pipeline.matching.pairs import (
    GroupArgs,
    KeyFile,
    PairArgs,
    RankArgs,
    group_pairs,
    key_rows,
    pair_range,
    range_bits,
    rank_documents,
)
from pipeline.matching.verify import DecideArgs, RouteArgs, SetArgs, decide_bucket, route_drops, write_sets

VERSION = 2


@dataclass(frozen=True)
class Matched:
    """What a match made: `drops` by shard, and `ranks`, from which an index is written."""

    drops: Dataset
    ranks: Dataset
    counts: dict[str, Any]


def match_copies(
    gate: Gate,
    curation: Curation,
    documents: Dataset,
    previous: Dataset,
    space: Workspace,
    executor: Executor,
    *,
    known: Known | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
) -> Matched:
    """Find the copies among the documents that a pass left in.

    Args:
        documents: the input of curation, with the texts.
        previous: the pass before, with `keys` and `state`.
        known: an index of earlier documents: they come first in rank and are never dropped.
        memory: bytes that sorting may take before it spills.

    Returns: for every dropped document the one kept for it, and their similarity, by shard.
    """
    known = known or Known()
    params = {"match": dict(gate.identity), "keep": list(curation.keep), "index": known.key}
    shards = tuple(previous.shards())

    def step(
        name: str,
        upstream: list[Dataset],
        tasks: list[tuple[int, tuple[Source, ...], Any]],
        fn: Callable[[Task], ShardResult],
    ) -> Dataset:
        plan = Plan(f"{gate.name}-{name}", params, VERSION, upstream={d.step: d.key for d in upstream})
        folder: Path = space.dir(plan)
        made = [Task(plan.name, shard, inputs, folder, args) for shard, inputs, args in tasks]
        return run_step(plan, folder, made, fn, executor, progress=progress)

    def of(dataset: Dataset, folder: str) -> tuple[Source, ...]:
        return tuple(dataset.source(f"{folder}/{i:05d}.parquet") for i in shards)

    ranks = step(
        "ranks",
        [previous],
        [(0, of(previous, "state") + known.docs, RankArgs(curation.keep, known.documents, shards, memory))],
        rank_documents,
    )
    keys, rank_files = of(previous, "keys"), of(ranks, "ranks")
    files = [KeyFile(i, len(keys) + i) for i in range(len(keys))]
    files += [KeyFile(2 * len(keys) + i, None, offset) for i, offset in enumerate(known.offsets)]
    bits = range_bits(key_rows(previous) + known.key_rows)
    verified = bool(gate.match.features or gate.match.similarity)
    inputs = (*keys, *rank_files, *known.keys, *known.docs)
    pair_args = PairArgs(bits, verified, tuple(files), len(known.docs))
    pairs = step("pairs", [ranks, previous], [(r, inputs, pair_args) for r in range(1 << bits)], pair_range)
    ranges = tuple(pairs.source(f"pairs/{r:05d}.parquet") for r in range(1 << bits))
    group_args = GroupArgs(len(ranges), shards, known.sizes, verified)
    groups = step("groups", [pairs], [(0, (*ranges, *rank_files, *known.docs), group_args)], group_pairs)
    set_args = SetArgs(curation, gate)
    members = zip(shards, of(groups, "members"), of(previous, "state"), of(documents, "data"), strict=True)
    sets = step("sets", [groups], [(i, (m, s, d), set_args) for i, m, s, d in members], write_sets)
    set_files = of(sets, "sets")
    if known.docs:
        found = step("known", [groups], known.tasks(groups, gate), known_sets)
        set_files += tuple(found.source(f"sets/{i:05d}.parquet") for i in range(len(known.docs)))
    linked = tuple(groups.source(f"linked/{r:05d}.parquet") for r in range(len(ranges)))
    args = DecideArgs(curation, gate, len(linked))
    buckets = range(groups.counts["buckets"])
    decided = step("decisions", [sets], [(b, linked + set_files, args) for b in buckets], decide_bucket)
    chosen = tuple(decided.source(f"decisions/{b:05d}.parquet") for b in buckets)
    drops = step("drops", [decided], [(0, chosen, RouteArgs(shards, memory))], route_drops)
    copies = {"copies": 0, "verified_pairs": 0, "rejected_pairs": 0, **decided.counts}
    return Matched(drops, ranks, {"candidates": groups.counts["candidates"], **copies})

"""The route step: how often each document comes, into which output file, and where in the order there. Only numbers move.

routes/<n>  ROUTES: a row for every copy of a document of encoded shard n, by output file
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset
from pipeline.core.files import write_parquet
from pipeline.core.step import ShardResult, Task
from tokenize_stage.config import SPLITS, TokenizeConfig
from tokenize_stage.encode_step import ids_as_numbers, train_tokens
from tokenize_stage.mix import Group, epochs, times

VERSION = 2
ROUTES = pa.schema([("file", pa.int32()), ("order", pa.uint64()), ("place", pa.int32()), ("copy", pa.int32())])
NOT_OURS = ("tokenizer", "kind", "split", "special_tokens", "vocab_size", "min_frequency")  # what makes the tokenizer


@dataclass(frozen=True)
class Routing:
    """What all shards together decide.

    Attributes:
        files: output files of each of SPLITS; they are numbered from one split to the next. The mixture may fill them unevenly.
        rates: how often documents of each (source, host) come, sorted; none where every one comes once.
    """

    files: tuple[int, ...]
    rates: tuple[tuple[Group, float], ...]


@dataclass(frozen=True)
class RouteArgs:
    config: TokenizeConfig
    routing: Routing


def routing_of(config: TokenizeConfig, encoded: Dataset) -> Routing:
    """The routing of encoded documents. Raises: RecipeError if a weight fits no source."""
    files = tuple(_files_of(encoded.counts.get(f"{s}_text_bytes", 0), s, config) for s in SPLITS)
    rates = epochs(config, train_tokens(encoded)) if config.mixes else {}
    return Routing(files, tuple(sorted(rates.items())))


def _files_of(text_bytes: int, split: str, config: TokenizeConfig) -> int:
    return -(-text_bytes // config.shard_bytes) if text_bytes else int(split != "test")


def route(config: TokenizeConfig, routing: Routing, encoded: Dataset, bench: Bench) -> Dataset:
    """Route every encoded document."""
    args = RouteArgs(config, routing)
    tasks = [Task(i, {"documents": (encoded.shard("documents", i),)}, args) for i in encoded.shards()]
    params = {**params_of_rows(config), "files": list(routing.files)}
    return bench.step("route", params, VERSION, [encoded], tasks, route_shard)


def params_of_rows(config: TokenizeConfig) -> dict[str, Any]:
    """The parameters that decide which documents are in which rows."""
    return {k: v for k, v in asdict(config).items() if k not in NOT_OURS}


def _mixed(doc_ids: npt.NDArray[np.uint64], salt: int) -> npt.NDArray[np.uint64]:
    """A hash of documents by their ids, shape (n, 2) uint64, and a number (splitmix64, Steele et al. 2014)."""
    h = np.full(len(doc_ids), np.uint64(salt & (2**64 - 1)))
    for part in (doc_ids[:, 0], doc_ids[:, 1]):
        h = (h ^ part) + np.uint64(0x9E3779B97F4A7C15)
        h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        h ^= h >> np.uint64(31)
    return h


def route_shard(task: Task[RouteArgs]) -> ShardResult:
    """`routes/<n>`: ROUTES of one shard."""
    routing, config = task.args.routing, task.args.config
    table = pq.read_table(task.one("documents").path)
    numbers, splits = ids_as_numbers(table["doc_id"]), table["split"].to_numpy()
    often = np.ones(len(table), np.int64)
    if routing.rates:
        rates = dict(routing.rates)
        pairs = list(zip(table["source"].to_pylist(), table["host"].to_pylist(), strict=True))
        rate = np.array([rates.get(p, 1.0) if s == 0 else 1.0 for p, s in zip(pairs, splits.tolist(), strict=True)])
        chance = _mixed(numbers, 2 * config.seed + 1) / 2.0**64
        for value in np.unique(rate).tolist():
            inside = (rate == value) & (splits == 0)
            often[inside] = times(value, chance[inside])
    place = np.repeat(np.arange(len(table)), often)
    copy = np.arange(len(place)) - np.repeat(np.cumsum(often) - often, often)
    order = np.zeros(len(place), np.uint64)
    for c in range(int(copy.max(initial=-1)) + 1):
        mine = copy == c
        order[mine] = _mixed(numbers[place[mine]], (2 * config.seed + 2 * c * 0x632BE59BD9B4E019) & (2**64 - 1))
    starts = np.cumsum([0, *routing.files])[:-1]
    files = np.array(routing.files)[splits[place]]
    file = starts[splits[place]] + _place_of(order, files)
    by = np.lexsort((copy, place, file))
    columns = [file[by].astype(np.int32), order[by], place[by].astype(np.int32), copy[by].astype(np.int32)]
    path = task.file("routes")
    write_parquet(path, pa.table([pa.array(c) for c in columns], schema=ROUTES), row_group_rows=8_192)
    counts = {
        "documents": len(table),
        "routed": len(place),
        "left_out": int((often == 0).sum()),
        "copies": int((copy > 0).sum()),
    }
    return ShardResult({path: len(place)}, counts)


def _place_of(order: npt.NDArray[np.uint64], files: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """A file of each document's split, by the upper bits of its number."""
    found: npt.NDArray[np.int64] = ((order >> np.uint64(32)) * files.astype(np.uint64) >> np.uint64(32)).astype(
        np.int64
    )
    return found

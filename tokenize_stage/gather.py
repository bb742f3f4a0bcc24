"""The documents of one output file, from all shards that were encoded and routed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.dataset import Dataset, is_dataset, open_dataset
from pipeline.core.errors import UsageError
from pipeline.core.ranges import rows_between
from tokenize_stage.encode_step import ids_as_numbers
from tokenize_stage.route_step import ROUTES


@dataclass(frozen=True)
class EncodedShard:
    """The files of one shard of documents, as the encode and the route step wrote them."""

    routes: Path
    documents: Path
    ids: Path


@dataclass(frozen=True)
class Gathered:
    """The documents of one output file in their order.

    Attributes:
        ids: of all documents, without their ends. first, lengths: where each begins in `ids`, and its tokens with its end.
        doc_ids: (n, 2) uint64. sources: of each. bytes: of their texts.
    """

    ids: npt.NDArray[np.unsignedinteger[Any]]
    first: npt.NDArray[np.int64]  # of each document in `ids`
    lengths: npt.NDArray[np.int64]  # with its end
    doc_ids: npt.NDArray[np.uint64]
    sources: pa.Array
    bytes: int


def gather(shards: Iterable[EncodedShard], file: int, dtype: np.dtype[Any]) -> Gathered:
    """What is routed to one output file, from every shard, in the order of the routes.

    Args:
        file: number in the numbering of routes.
        dtype: of the ids.
    """
    flats, counts, orders, copies, doc_ids, sources = [], [], [], [], [], []
    size = 0
    for shard in shards:
        mine = list(rows_between(shard.routes, "file", file, file, ROUTES.names))
        routed = pa.concat_tables(mine) if mine else ROUTES.empty_table()
        if not len(routed):
            continue
        place = routed["place"].to_numpy()
        table = pq.read_table(shard.documents)
        tokens = table["tokens"].to_numpy()
        ends = np.cumsum(tokens)
        flat = np.memmap(shard.ids, dtype, "r") if shard.ids.stat().st_size else np.empty(0, dtype)
        spans = zip((ends - tokens)[place].tolist(), ends[place].tolist(), strict=True)
        flats += [np.asarray(flat[a:b]) for a, b in spans]
        counts.append(tokens[place])
        orders.append(routed["order"].to_numpy())
        copies.append(routed["copy"].to_numpy())
        taking = pa.array(place)
        doc_ids.append(ids_as_numbers(table["doc_id"].take(taking)))
        sources.append(table["source"].take(taking).combine_chunks())
        size += int(table["bytes"].to_numpy()[place].sum())
    if not flats:
        nothing = np.zeros(0, np.int64)
        return Gathered(np.empty(0, dtype), nothing, nothing, np.zeros((0, 2), np.uint64), pa.array([], pa.string()), 0)
    lengths = np.concatenate(counts)
    numbers = np.concatenate(doc_ids)
    by = np.lexsort((np.concatenate(copies), numbers[:, 1], numbers[:, 0], np.concatenate(orders)))
    return Gathered(
        np.concatenate(flats),
        (np.cumsum(lengths) - lengths)[by],
        lengths[by] + 1,
        numbers[by],
        pa.concat_arrays(sources).take(pa.array(by)),
        size,
    )


def packed_from(tokens: Dataset) -> tuple[Dataset, Dataset]:
    """The encoded documents and the routes that token shards were packed from.

    Raises: UsageError if they are not there any more.
    """
    folders = [tokens.dir / tokens.manifest[name] for name in ("encoded", "routed")]
    for folder in folders:
        if not is_dataset(folder):
            raise UsageError(
                f"{folder}: the encoded documents are gone; `winnow tokenize` (or `winnow run --only tokenize`) makes them anew."
            )
    encoded, routed = map(open_dataset, folders)
    return encoded, routed


def documents_of(tokens: Dataset, split: str) -> Iterator[Gathered]:
    """The documents of a split, uncut, in the order and as often as they are in the token shards; file by file.

    Raises: UsageError if what they were packed from is not there any more.
    """
    encoded, routed = packed_from(tokens)
    dtype = np.dtype(tokens.manifest["dtype"])
    shards = [
        EncodedShard(*paths)
        for paths in zip(routed.files("routes"), encoded.files("documents"), encoded.files("ids"), strict=True)
    ]
    for source in tokens.every(split):
        yield gather(shards, source.shard, dtype)

"""From keys to candidate pairs: documents become ranks, ranks that share a key become pairs, pairs become groups.

    ranks   every document's place in the order of `keep`: from here on a document is a number, and a smaller one wins
    pairs   keys are cut into ranges by their first bits; each range is reduced on its own
    groups  union-find over all pairs; whole groups are filled into buckets of bounded size

How ranges and buckets are cut depends on the input alone. Memory: 4 bytes a document for ranks, 16 for groups, and one
range or bucket; sorting spills.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.dataset import Source
from pipeline.core.errors import DataError
from pipeline.core.files import write_parquet
from pipeline.core.ranges import rows_between
from pipeline.core.schema import DOC_ID
from pipeline.core.step import ShardResult, Task
from pipeline.matching.kernels import copies as k
from pipeline.matching.question import SORTED_ROWS, Outputs
from pipeline.matching.tables import distinct, sorter

RANGE_KEYS = 4_000_000  # keys of a range, about
BUCKET_BYTES = 128_000_000  # text of the candidates that are compared in one task, about
UNREAD_BYTES = 64  # for which a document counts where no text is compared
MAX_DOCUMENTS = 2**32 - 2  # ranks are 32-bit

RANKS = pa.schema([("rank", pa.uint32()), ("bytes", pa.int64())])
PAIRS = pa.schema([("later", pa.uint32()), ("earlier", pa.uint32())])
LINKED = pa.schema([("bucket", pa.int32()), *PAIRS])
MEMBERS = pa.schema([("bucket", pa.int32()), ("rank", pa.uint32()), ("place", pa.int32())])


@dataclass(frozen=True)
class RankArgs:
    order: str  # of `keep`, as SQL
    known: int  # documents of the index: they come first
    memory: int | None


def rank_documents(task: Task[RankArgs]) -> ShardResult:
    """`ranks/<shard>`: the rank and the size of every document that is still in, in the order of the shard's state.

    Inputs: state of every shard, docs of the index.
    """
    args = task.args
    states, indexed = task.all("state"), task.all("docs")
    shards = [s.shard for s in states]
    sizes = [pq.read_metadata(s.path).num_rows for s in states]
    starts = dict(zip(shards, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True)) if sizes else {}
    total = sum(sizes)
    if args.known + total > MAX_DOCUMENTS:
        raise DataError(f"{args.known + total:,} documents: a match takes {MAX_DOCUMENTS:,} at most.")
    first_of = np.zeros(max(starts, default=0) + 1, np.int64)
    first_of[list(starts)] = list(starts.values())
    ranks = np.empty(total, np.uint32)
    with sorter(task.out, args.memory) as connection:
        query = (
            "SELECT shard, file_row_number AS place, doc_id FROM read_parquet($files, file_row_number=true) "
            f"ORDER BY {args.order}"
        )
        files = [str(s.path) for s in states]
        if indexed:
            _check_new(connection, files, [str(s.path) for s in indexed])
        found = connection.sql(query, params={"files": files}) if sizes else None
        at, last = 0, b""
        for batch in found.to_arrow_reader(65_536) if found is not None else ():
            ids = np.frombuffer(batch.column("doc_id").cast(DOC_ID).buffers()[1], "V16", len(batch))
            ids = ids[batch.column("doc_id").offset :] if len(ids) > len(batch) else ids
            if len(ids):
                same = np.flatnonzero(ids[1:] == ids[:-1])
                if len(same) or ids[0].tobytes() == last:
                    twice = ids[same[0]].tobytes() if len(same) else last
                    raise DataError(f"doc_id {twice.hex()} occurs twice: one capture was read twice.")
                last = ids[-1].tobytes()
            place = first_of[batch.column("shard").to_numpy()] + batch.column("place").to_numpy()
            ranks[place] = np.arange(at, at + len(place), dtype=np.uint32) + np.uint32(args.known)
            at += len(place)
    outputs: Outputs = {}
    for shard, source, size in zip(shards, states, sizes, strict=True):
        path = task.other("ranks", shard)
        mine = ranks[starts[shard] : starts[shard] + size]
        table = pa.table([pa.array(mine), pq.read_table(source.path, columns=["bytes"])["bytes"]], schema=RANKS)
        write_parquet(path, table, packed=False)
        outputs[path] = size
    return ShardResult(outputs, {"documents": total})


def _check_new(connection: duckdb.DuckDBPyConnection, states: list[str], indexed: list[str]) -> None:
    """A document that is in the index would be a copy of itself."""
    query = """SELECT count(*), min(hex(doc_id)) FROM read_parquet($states)
        SEMI JOIN (SELECT doc_id FROM read_parquet($indexed)) USING (doc_id)"""
    n, one = connection.sql(query, params={"states": states, "indexed": indexed}).fetchall()[0]
    if n:
        raise DataError(f"{n:,} of these documents are in the index already, such as {one.lower()}.")


@dataclass(frozen=True)
class PairArgs:
    """How keys become pairs.

    Attributes:
        bits: the first bits of a key number its range.
        verified: whether pairs are compared later; then 64 bits of a key will do.
        known: for each segment of the index the rank of its first document; its keys are the input `segment_input` names.
    """

    bits: int
    verified: bool
    known: tuple[int, ...]


def segment_input(number: int) -> str:
    """The name of the input that has the keys of a segment of the index."""
    return f"keys of segment {number}"


def range_bits(keys: int) -> int:
    """How many first bits of a key number the range it falls into."""
    bits = 0
    while keys > RANGE_KEYS << bits:
        bits += 1
    return bits


def key_range(number: int, bits: int) -> tuple[int, int]:
    """The first and the last key of a range."""
    span = 1 << (64 - bits)
    return number * span, (number + 1) * span - 1


def pair_range(task: Task[PairArgs]) -> ShardResult:
    """`pairs/<range>`: distinct pairs of ranks that share a key of this range, ascending.

    Inputs: keys and ranks of every shard, docs of the index, keys of each of its segments.
    """
    keys, low_bits, rank = _ranked_keys(task)
    index = [pq.read_table(s.path, columns=["kept"])["kept"].to_numpy() for s in task.all("docs")]
    kept = np.concatenate([np.zeros(0, np.uint32), *index])
    order = np.argsort(keys)
    pairs = k.linked_pairs(keys[order], low_bits[order] if len(low_bits) else low_bits, rank[order], kept)
    pairs = distinct(pairs)
    table = pa.table(
        [pa.array((pairs >> np.uint64(32)).astype(np.uint32)), pa.array(pairs.astype(np.uint32))], schema=PAIRS
    )
    path = task.file("pairs")
    write_parquet(path, table)
    return ShardResult({path: len(pairs)}, {"keys": len(keys), "pairs": len(pairs)})


def _ranked_keys(
    task: Task[PairArgs],
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
    """(first 64 bits, the other 64 unless pairs are verified, rank of the document) of all keys of a range."""
    args = task.args
    low, high = key_range(task.shard, args.bits)
    columns = ["high", "doc"] if args.verified else ["high", "low", "doc"]
    highs, lows, ranks = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)], [np.zeros(0, np.uint32)]
    files: list[tuple[Source, Callable[[npt.NDArray[np.int32]], npt.NDArray[np.uint32]]]] = [
        (source, _Ranks(ranked)) for source, ranked in zip(task.all("keys"), task.all("ranks"), strict=True)
    ]
    for number, first in enumerate(args.known):
        files += [(source, partial(_behind, first)) for source in task.all(segment_input(number))]
    for source, rank_of in files:
        for table in rows_between(source.path, "high", low, high, columns):
            if table.num_rows:
                highs.append(table["high"].to_numpy())
                if not args.verified:
                    lows.append(table["low"].to_numpy())
                ranks.append(rank_of(table["doc"].to_numpy()))
    return np.concatenate(highs), np.concatenate(lows), np.concatenate(ranks)


def _behind(first: int, places: npt.NDArray[np.int32]) -> npt.NDArray[np.uint32]:
    """Ranks of documents of a segment of the index, which lie there in their order."""
    return (places + first).astype(np.uint32)


class _Ranks:
    """The rank of each place of a shard; read when it is first asked for: most ranges have keys of every shard, not all."""

    def __init__(self, source: Source) -> None:
        self.source = source

    @cached_property
    def _of(self) -> npt.NDArray[np.uint32]:
        found: npt.NDArray[np.uint32] = pq.read_table(self.source.path, columns=["rank"])["rank"].to_numpy()
        return found

    def __call__(self, places: npt.NDArray[np.int32]) -> npt.NDArray[np.uint32]:
        return self._of[places]


@dataclass(frozen=True)
class GroupArgs:
    known: tuple[int, ...]  # documents of each segment of the index
    verified: bool  # whether pairs are compared later


def group_pairs(task: Task[GroupArgs]) -> ShardResult:
    """Buckets of whole groups. `linked/<range>`: pairs by bucket; `members/<shard>`: candidates by bucket and rank;
    `known/<segment>`: the same for the index.

    Inputs: pairs of all ranges, ranks of every shard, docs of the index.
    """
    args = task.args
    pairs, rank_files, known_files = task.all("pairs"), task.all("ranks"), task.all("docs")
    total = sum(args.known) + sum(pq.read_metadata(s.path).num_rows for s in rank_files)
    parent = np.arange(total, dtype=np.uint32)
    for source in pairs:
        k.join(parent, _packed(source))
    sizes = np.zeros(total, np.uint32)
    first = np.cumsum([0, *args.known])
    for i, source in enumerate(known_files):
        found = pq.read_table(source.path, columns=["bytes"])["bytes"].to_numpy()
        sizes[first[i] : first[i + 1]] = np.minimum(found, 2**32 - 1)
    for source in rank_files:
        table = pq.read_table(source.path)
        sizes[table["rank"].to_numpy()] = np.minimum(table["bytes"].to_numpy(), 2**32 - 1)
    if not args.verified:
        sizes[:] = UNREAD_BYTES
    bucket = k.fill_buckets(parent, sizes, BUCKET_BYTES)
    del parent, sizes
    outputs: Outputs = {}
    n_pairs = 0
    for source in pairs:
        packed = _packed(source)
        later = (packed >> np.uint64(32)).astype(np.uint32)
        of = bucket[later]
        order = np.argsort(of, kind="stable")
        columns = [of[order], later[order], packed.astype(np.uint32)[order]]
        path = task.other("linked", source.shard)
        write_parquet(path, pa.table(list(map(pa.array, columns)), schema=LINKED), row_group_rows=SORTED_ROWS)
        outputs[path] = len(packed)
        n_pairs += len(packed)
    members = 0
    for source in rank_files:
        rank = pq.read_table(source.path, columns=["rank"])["rank"].to_numpy()
        outputs |= _members(task.other("members", source.shard), bucket, rank)
        members += int(np.count_nonzero(bucket[rank] >= 0))
    for i in range(len(known_files)):
        rank = np.arange(first[i], first[i + 1], dtype=np.uint32)
        outputs |= _members(task.other("known", i), bucket, rank)
    buckets = int(bucket.max(initial=-1)) + 1
    return ShardResult(outputs, {"candidates": members, "pairs": n_pairs, "buckets": buckets})


def _packed(source: Source) -> npt.NDArray[np.uint64]:
    table = pq.read_table(source.path)
    later = table["later"].to_numpy().astype(np.uint64)
    packed: npt.NDArray[np.uint64] = later << np.uint64(32) | table["earlier"].to_numpy()
    return packed


def _members(path: Path, bucket: npt.NDArray[np.int32], rank: npt.NDArray[np.uint32]) -> Outputs:
    place = np.flatnonzero(bucket[rank] >= 0)
    order = np.lexsort((rank[place], bucket[rank[place]]))
    place = place[order].astype(np.int32)
    columns: list[Any] = [bucket[rank[place]], rank[place], place]
    write_parquet(path, pa.table(list(map(pa.array, columns)), schema=MEMBERS), row_group_rows=SORTED_ROWS)
    return {path: len(place)}

"""How common keys are: for edits that know the corpus, such as those that remove lines which several documents have.

    counts  keys are cut into ranges by their first bits; each range adds up the counts of all shards on its own
    common  what a shard needs to know: those of its keys that are common, and which of its documents keep theirs

Counts of documents are added up over all shards, so that neither their order nor their number matters.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.bench import Bench
from pipeline.core.dataset import Source
from pipeline.core.definitions import CountedEdit
from pipeline.core.documents import Doc
from pipeline.core.files import write_parquet
from pipeline.core.ranges import rows_between
from pipeline.core.registry import Call, common_key
from pipeline.core.schema import DOC_ID
from pipeline.core.sql import database
from pipeline.core.step import Inputs, ShardFiles, ShardResult, Task
from pipeline.core.watch import calling
from pipeline.matching.keep import Keep
from pipeline.matching.pairs import RankArgs, key_range, range_bits, rank_documents
from pipeline.matching.question import SORTED_ROWS, Corpus, Outputs, Reply

VERSION = 1
COUNTED = pa.schema(
    [
        ("high", pa.uint64()),  # 128 bits of `common_key`
        ("low", pa.uint64()),
        pa.field("group", DOC_ID, nullable=False),
        ("documents", pa.int64()),
        ("best", pa.int32()),  # place in `state` of the document that `keep` prefers
    ]
)
COMMON = pa.schema([("high", pa.uint64()), ("low", pa.uint64()), ("shard", pa.int32()), ("best", pa.int32())])


@dataclass(frozen=True)
class CommonKeys:
    """The common keys of a shard.

    Attributes:
        keys: all of them. own: of a document by doc_id, those of which it keeps its copy.
    """

    keys: frozenset[bytes]
    own: dict[bytes, frozenset[bytes]]

    def params(self, doc_id: bytes) -> dict[str, object]:
        """`common`: those that the edit may remove from a document."""
        own = self.own.get(doc_id)
        return {"common": self.keys - own if own else self.keys}


@dataclass(frozen=True)
class CountedLines:
    """The question of an edit with keys: which of them do many documents have?

    Attributes:
        call: the edit, with `min_documents` and `min_share`.
        keep: which document keeps its copy, for an edit that keeps one.
    """

    call: Call
    keep: Keep
    folder: str = "common"

    @property
    def name(self) -> str:
        return self.call.name

    @property
    def edit(self) -> CountedEdit:
        found = self.call.edit
        assert isinstance(found, CountedEdit)
        return found

    def state(self, docs: Sequence[Doc]) -> list[tuple[str, pa.Array]]:
        return self.keep.columns(docs, self.name) if self.edit.keep_one else []

    def write(self, docs: Sequence[Doc], part: ShardFiles) -> Outputs:
        """`keys`, ascending, with the number of documents and the best of them; `groups`: documents of each group."""
        edit = self.edit
        counts: Counter[tuple[bytes, bytes]] = Counter()
        groups: Counter[bytes] = Counter()
        best: dict[tuple[bytes, bytes], int] = {}
        for place in self.keep.places(docs, self.name) if edit.keep_one else range(len(docs)):
            with calling("edit", self.name):
                pairs = set(edit.keys(docs[place], **self.call.params))
                hashed = {(common_key(group, key), _hash(group)) for group, key in pairs}
            counts.update(hashed)
            groups.update({group for _, group in hashed})
            for one in hashed:
                best.setdefault(one, place)
        numbers = np.frombuffer(b"".join(k for k, _ in counts), np.uint64).reshape(-1, 2)
        columns = [
            pa.array(numbers[:, 0]),
            pa.array(numbers[:, 1]),
            pa.array([g for _, g in counts], DOC_ID),
            pa.array(list(counts.values()), pa.int64()),
            pa.array([best[one] for one in counts], pa.int32()),
        ]
        table = pa.table(columns, schema=COUNTED).take(pa.array(np.lexsort((numbers[:, 1], numbers[:, 0]))))
        write_parquet(part.file("keys"), table, row_group_rows=SORTED_ROWS)
        named = sorted(groups.items())
        sizes = pa.table(
            {
                "group": pa.array([g for g, _ in named], DOC_ID),
                "documents": pa.array([n for _, n in named], pa.int64()),
            }
        )
        write_parquet(part.file("groups"), sizes)
        return {part.file("keys"): table.num_rows, part.file("groups"): sizes.num_rows}

    def reduce(self, corpus: Corpus, bench: Bench) -> Reply:
        """The keys that at least `min_documents`, and `min_share` of all documents of their group, have."""
        asked, keep_one = corpus.asked, self.edit.keep_one
        params = {"edit": dict(self.call.identity), **({"keep": list(self.keep.items)} if keep_one else {})}
        inputs: Inputs = {"keys": asked.every("keys"), "groups": asked.every("groups")}
        ranked = None
        if keep_one:
            rank = Task(0, {"state": asked.every("state")}, RankArgs(self.keep.order_by(), 0, bench.memory))
            ranked = bench.step(f"{self.name}-ranks", params, VERSION, [asked], [rank], rank_documents)
            inputs = {**inputs, "ranks": ranked.every("ranks")}
        bits = range_bits(asked.rows("keys"))
        bounds = (int(self.call.params["min_documents"]), float(self.call.params["min_share"]))
        tasks = [Task(r, inputs, CountArgs(bits, keep_one, *bounds)) for r in range(1 << bits)]
        counted = bench.step(f"{self.name}-counts", params, VERSION, [asked], tasks, count_range)
        ranges = counted.every("counts")
        selecting = [
            Task(i, {"keys": (asked.shard("keys", i),), "counts": ranges}, SelectArgs(bits)) for i in asked.shards()
        ]
        return Reply(
            bench.step(f"{self.name}-common", params, VERSION, [counted], selecting, select_common), {}, ranked
        )

    def read(self, answers: Source, ids: Sequence[bytes]) -> CommonKeys:
        table = pq.read_table(answers.path)
        keys = _keys_of(table)
        own: dict[bytes, set[bytes]] = {}
        for key, place in zip(keys, table["best"].to_pylist(), strict=True):
            if place >= 0:
                own.setdefault(ids[place], set()).add(key)
        return CommonKeys(frozenset(keys), {doc_id: frozenset(kept) for doc_id, kept in own.items()})


def _hash(group: bytes) -> bytes:
    return hashlib.blake2b(group, digest_size=16).digest()


def _keys_of(table: pa.Table) -> list[bytes]:
    """The 16 bytes of each key from its two numbers."""
    flat = np.stack([table["high"].to_numpy(), table["low"].to_numpy()], axis=1).tobytes()
    return [flat[i : i + 16] for i in range(0, len(flat), 16)]


@dataclass(frozen=True)
class CountArgs:
    bits: int
    keep_one: bool
    min_documents: int
    min_share: float


def count_range(task: Task[CountArgs]) -> ShardResult:
    """`counts/<range>`: the common keys of one range, ascending.

    Inputs: keys and groups of every shard; ranks of each where one copy stays.
    """
    args = task.args
    low, high = key_range(task.shard, args.bits)
    parts = [
        COUNTED.empty_table()
        .append_column("shard", pa.array([], pa.int32()))
        .append_column("rank", pa.array([], pa.uint32()))
    ]
    ranks = task.all("ranks")
    for i, source in enumerate(task.all("keys")):
        for table in rows_between(source.path, "high", low, high, COUNTED.names):
            best = table["best"].to_numpy()
            of = pq.read_table(ranks[i].path, columns=["rank"])["rank"].to_numpy()[best] if ranks else best * 0
            parts.append(
                table.append_column("shard", pa.array(np.full(len(table), source.shard, np.int32))).append_column(
                    "rank", pa.array(of.astype(np.uint32))
                )
            )
    counted = pa.concat_tables(parts)
    with database(threads=1) as connection:
        connection.register("counted", counted)
        connection.register("sizes", pa.concat_tables([pq.read_table(s.path) for s in task.all("groups")]))
        query = """
            WITH total AS (SELECT "group", sum(documents) AS size FROM sizes GROUP BY "group"),
            summed AS (
                SELECT "group", high, low, sum(documents) AS n, arg_min(shard, rank) AS shard, arg_min(best, rank) AS best
                FROM counted GROUP BY "group", high, low)
            SELECT high, low, shard::INTEGER AS shard, best::INTEGER AS best FROM summed JOIN total USING ("group")
            WHERE n >= ? AND n >= ? * size ORDER BY high, low"""
        table = connection.sql(query, params=[args.min_documents, args.min_share]).to_arrow_table()
    if not args.keep_one:
        nobody = pa.array(np.full(len(table), -1, np.int32))
        table = table.set_column(2, "shard", nobody).set_column(3, "best", nobody)
    path = task.file("counts")
    write_parquet(path, table.cast(COMMON), row_group_rows=SORTED_ROWS, packed=False)
    return ShardResult({path: len(table)}, {"keys": len(counted), "common": len(table)})


@dataclass(frozen=True)
class SelectArgs:
    bits: int


def select_common(task: Task[SelectArgs]) -> ShardResult:
    """`common/<shard>`: the common keys of a shard with the place of the document that keeps its copy, -1 for none here.

    Inputs: keys of the shard, counts of every range.
    """
    parts = [COMMON.empty_table().drop_columns(["shard"])]
    for number, source in enumerate(task.all("counts")):
        low, high = key_range(number, task.args.bits)
        mine = list(rows_between(task.one("keys").path, "high", low, high, ["high", "low"]))
        if not mine or not sum(map(len, mine)):
            continue
        with database(threads=1) as connection:
            connection.register("mine", pa.concat_tables(mine))
            connection.register("common", pq.read_table(source.path))
            found = connection.sql(
                "SELECT high, low, CASE WHEN shard = ? THEN best ELSE -1 END::INTEGER AS best FROM common "
                "SEMI JOIN mine USING (high, low) ORDER BY high, low",
                params=[task.shard],
            ).to_arrow_table()
        parts.append(found.cast(parts[0].schema))
    table = pa.concat_tables(parts)
    path = task.file("common")
    write_parquet(path, table, packed=False)
    return ShardResult({path: len(table)}, {"common": len(table)})

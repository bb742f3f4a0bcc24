"""Copies, written once for every match: candidates, verification, the choice of what to keep.

Documents become ranks in the order of `keep` (then doc_id); nothing else decides. Of the documents that share a key each
is paired with the first and with the one before it. A document is dropped only if its *verified* similarity to a
document that is kept reaches the match's bound: there is no transitive closure that nobody checked, so a chain of
resembling texts cannot empty a source.

Every step goes through files that are sorted and read by range, and every task has a size that the input alone decides,
so memory is bounded by the number of tasks at a time and the result is the same for any limit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset, Source
from pipeline.core.documents import Doc
from pipeline.core.files import write_parquet
from pipeline.core.registry import Call, is_plugin
from pipeline.core.schema import DOC_ID
from pipeline.core.step import Inputs, ShardFiles, ShardFunction, Task
from pipeline.core.watch import began, calling
from pipeline.matching.decide import DecideArgs, RouteArgs, decide_bucket, route_copies
from pipeline.matching.guard import Losses, check_losses
from pipeline.matching.index import Known
from pipeline.matching.keep import Keep
from pipeline.matching.pairs import (
    GroupArgs,
    PairArgs,
    RankArgs,
    group_pairs,
    pair_range,
    range_bits,
    rank_documents,
    segment_input,
)
from pipeline.matching.question import BATCH_ROWS, SORTED_ROWS, Corpus, Outputs, Reply
from pipeline.matching.segments import KnownArgs, known_sets
from pipeline.matching.sets import SetArgs, compares_by, features_of, write_sets

VERSION = 2
AnyArgs = TypeVar("AnyArgs")


@dataclass(frozen=True)
class Copy:
    """A document that is dropped, the one kept for it, and how much they share: see `pipeline.matching.decide.COPIES`."""

    kept_doc_id: bytes
    similarity: float
    containment: float


@dataclass(frozen=True)
class Copies:
    """The question of a match: which documents are copies of which?

    Attributes:
        call: the match. keep: which copy stays. losses: how much a host or an input file may lose.
    """

    call: Call
    keep: Keep
    losses: Losses
    folder: str = "copies"

    @property
    def name(self) -> str:
        return self.call.name

    def state(self, docs: Sequence[Doc]) -> list[tuple[str, pa.Array]]:
        return self.keep.columns(docs, self.name)

    def write(self, docs: Sequence[Doc], part: ShardFiles) -> Outputs:
        """`keys`: (high, low, doc) ascending: 128 bits of the key and the document's place in `state`. Without the low bits
        where pairs are verified: two keys that agree in 64 bits by chance are one comparison more."""
        places, keys = keys_of(self.call, docs)
        if self.call.match.features and is_plugin(self.call.match):
            features_of(self.call, docs)  # what fails does so here, where its document can be dropped
        numbers = np.frombuffer(keys, np.uint64).reshape(-1, 2)
        exact = not compares_by(self.call.match)
        order = np.lexsort((places, numbers[:, 1], numbers[:, 0])) if exact else np.lexsort((places, numbers[:, 0]))
        columns = {"high": numbers[order, 0]} | ({"low": numbers[order, 1]} if exact else {})
        table = pa.table({**columns, "doc": places[order].astype(np.int32)})
        path = part.file("keys")
        write_parquet(path, table, row_group_rows=SORTED_ROWS, packed=False)
        return {path: table.num_rows}

    def reduce(self, corpus: Corpus, bench: Bench) -> Reply:
        """For every dropped document the one kept for it, and their similarity, by shard.

        Documents of the index come first in rank and are never dropped.
        Raises: StepError where a host or an input file would lose too much.
        """
        reply = _Reduction(self, corpus, bench).run()
        check_losses(self.name, self.losses, corpus, reply.answers, bench.memory)
        return reply

    def read(self, answers: Source, ids: Sequence[bytes]) -> dict[bytes, Copy]:
        """Dropped documents by doc_id."""
        table = pq.read_table(answers.path)
        names = ("doc_id", "kept_doc_id", "similarity", "containment")
        mine = table.filter(pc.is_in(table["doc_id"], pa.array(list(ids), DOC_ID)))
        rows = zip(*(mine[n].to_pylist() for n in names), strict=True)
        return {doc_id: Copy(kept, similarity, containment) for doc_id, kept, similarity, containment in rows}


def _sorted_keys(keys: Iterable[bytes]) -> list[bytes]:
    """Each key once. Raises: TypeError for one that is not bytes."""
    found = set(keys)
    if wrong := sorted({type(key).__name__ for key in found if not isinstance(key, bytes)}):
        raise TypeError(f"expected keys of bytes, got {', '.join(wrong)}")
    return sorted(found)


def keys_of(call: Call, docs: Sequence[Doc]) -> tuple[npt.NDArray[np.int64], bytes]:
    """(place of the document of each key, 16 bytes of each key one after the other)."""
    match = call.match
    places, keys = [np.zeros(0, np.int64)], []
    with calling("match", call.name, len(docs)):
        if not match.batch:
            pairs = []
            for i, doc in enumerate(docs):
                began("match", call.name)
                pairs += [(i, key) for key in _sorted_keys(match.fn(doc, **call.params))]
            return np.array([i for i, _ in pairs], np.int64), b"".join(_hash(key) for _, key in pairs)
        for at in range(0, len(docs), BATCH_ROWS):
            part = docs[at : at + BATCH_ROWS]
            began("match", call.name, len(part))
            found, flat = match.fn(part, **call.params)
            if len(found) * 16 != flat.nbytes or (len(found) and not 0 <= found.min() <= found.max() < len(part)):
                raise ValueError(f"expected a place among {len(part):,} documents and 16 bytes for each key")
            places.append(found + at)
            keys.append(flat.tobytes())
    return np.concatenate(places), b"".join(keys)


def _hash(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=16).digest()


class _Reduction:
    """The steps from keys to copies."""

    def __init__(self, question: Copies, corpus: Corpus, bench: Bench) -> None:
        self.call, self.keep = question.call, question.keep
        self.documents, self.asked, self.bench = corpus.documents, corpus.asked, bench
        self.known = corpus.known.get(question.name, Known())
        self.verified = bool(compares_by(self.call.match))
        self.params = {
            "match": dict(self.call.identity),
            "keep": list(self.keep.items),
            "index": self.known.key,
        }

    def step(
        self, name: str, upstream: Sequence[Dataset], tasks: Sequence[Task[AnyArgs]], fn: ShardFunction[AnyArgs]
    ) -> Dataset:
        return self.bench.step(f"{self.call.name}-{name}", self.params, VERSION, upstream, tasks, fn)

    def run(self) -> Reply:
        known = self.known
        inputs: Inputs = {"state": self.asked.every("state"), "docs": known.docs}
        rank_args = RankArgs(self.keep.order_by(), known.documents, self.bench.memory)
        ranks = self.step("ranks", [self.asked], [Task(0, inputs, rank_args)], rank_documents)
        pairs = self.pairs(ranks)
        inputs = {"pairs": pairs.every("pairs"), "ranks": ranks.every("ranks"), "docs": known.docs}
        groups = self.step("groups", [pairs], [Task(0, inputs, GroupArgs(known.sizes, self.verified))], group_pairs)
        decided = self.decide(groups)
        inputs = {
            "decisions": decided.every("decisions"),
            "state": self.asked.every("state"),
        }  # also whose shards there are
        route = Task(0, inputs, RouteArgs(tuple(self.asked.shards()), self.bench.memory))
        copies = self.step("copies", [decided], [route], route_copies)
        counts = {"copies": 0, "verified_pairs": 0, "rejected_pairs": 0, **decided.counts}
        return Reply(copies, {"candidates": groups.counts["candidates"], **counts}, ranks)

    def pairs(self, ranks: Dataset) -> Dataset:
        known = self.known
        bits = range_bits(self.asked.rows("keys") + known.key_rows)
        inputs: Inputs = {
            "keys": self.asked.every("keys"),
            "ranks": ranks.every("ranks"),
            "docs": known.docs,
            **{segment_input(i): s.parts.every("keys") for i, s in enumerate(known.segments)},
        }
        args = PairArgs(bits, self.verified, tuple(known.starts))
        tasks = [Task(r, inputs, args) for r in range(1 << bits)]
        return self.step("pairs", [ranks, self.asked], tasks, pair_range)

    def decide(self, groups: Dataset) -> Dataset:
        tasks = [
            Task(
                i,
                {
                    "members": (groups.shard("members", i),),
                    "state": (self.asked.shard("state", i),),
                    "data": (self.documents.shard("data", i),),
                },
                SetArgs(self.call),
            )
            for i in self.asked.shards()
        ]
        sets = self.step("sets", [groups], tasks, write_sets)
        set_files = sets.every("sets")
        if self.known.segments:
            of_index = [
                Task(
                    i,
                    {"members": (groups.shard("known", i),), "docs": (s.table(),), "sets": s.parts.every("sets")},
                    KnownArgs(self.call),
                )
                for i, s in enumerate(self.known.segments)
            ]
            set_files += self.step("known", [groups], of_index, known_sets).every("sets")
        inputs: Inputs = {"linked": groups.every("linked"), "sets": set_files}
        buckets = [Task(b, inputs, DecideArgs(self.call)) for b in range(groups.counts["buckets"])]
        return self.step("decisions", [sets], buckets, decide_bucket)

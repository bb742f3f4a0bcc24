"""An index of earlier documents, so that a new crawl is matched against them without reading their text again.

An index is a folder: `index.json` names, for each match, its segments, one for every set of documents that was added.
A segment is two sealed datasets:

    parts  keys/<n>  (high, low, doc) ascending; doc is the place in `docs`
           sets/<n>  what pairs are compared by, for the documents that were kept, by doc
    docs   docs/00000  doc_id, url, bytes, kept, in the order of rank

Documents of the index are numbered through all segments. `kept` is the number of the document that stands for one:
itself, the one it was dropped for, or NOBODY after a removal. Dropped documents keep their keys: a new copy of a copy
then meets the same candidates as if everything were matched at once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.core.dataset import Dataset, Source, open_dataset
from pipeline.core.errors import DataError, RecipeError, UsageError
from pipeline.core.executor import Executor, SerialExecutor
from pipeline.core.files import TMP_PREFIX, atomic, parquet_options, read_json, short_hash, write_json, write_parquet
from pipeline.core.schema import DOC_ID
from pipeline.core.step import Plan, Progress, ShardResult, Task, Workspace, run_step
from pipeline.curate.gates import Curation, Gate
from pipeline.curate.passes import SORTED_ROWS
from pipeline.matching.kernels.copies import NOBODY
from pipeline.matching.tables import sorter
from pipeline.matching.verify import FEATURES, SET_ROWS, TEXTS, compares_by, docs_at, features_of, set_schema

if TYPE_CHECKING:
    from pipeline.curate.step import MatchRun

FORMAT = 1
VERSION = 1
INDEX = "index.json"
DOCS = pa.schema(
    [
        pa.field("doc_id", DOC_ID, nullable=False),
        ("url", pa.string()),
        ("bytes", pa.int64()),
        ("kept", pa.uint32()),
    ]
)


@dataclass(frozen=True)
class Segment:
    parts: Dataset
    docs: Dataset

    @property
    def documents(self) -> int:
        return int(self.docs.counts["documents"])

    def table(self) -> Source:
        return self.docs.source("docs/00000.parquet")


@dataclass(frozen=True)
class Known:
    """The segments of an index that one match compares with; none by default."""

    segments: tuple[Segment, ...] = ()

    @property
    def key(self) -> str:
        return short_hash([[s.parts.key, s.docs.key] for s in self.segments]) if self.segments else ""

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(s.documents for s in self.segments)

    @property
    def documents(self) -> int:
        return sum(self.sizes)

    @property
    def starts(self) -> list[int]:
        """Number of the first document of each segment."""
        return [sum(self.sizes[:i]) for i in range(len(self.segments))]

    @cached_property
    def docs(self) -> tuple[Source, ...]:
        return tuple(s.table() for s in self.segments)

    @cached_property
    def keys(self) -> tuple[Source, ...]:
        return tuple(s.parts.source(f"keys/{i:05d}.parquet") for s in self.segments for i in s.parts.shards())

    @property
    def offsets(self) -> tuple[int, ...]:
        """For each of `keys`, the number of the first document of its segment."""
        return tuple(at for at, s in zip(self.starts, self.segments, strict=True) for _ in s.parts.shards())

    @property
    def key_rows(self) -> int:
        return sum(
            f["rows"] for s in self.segments for n, f in s.parts.manifest["files"].items() if n.startswith("keys/")
        )

    def tasks(self, groups: Dataset, gate: Gate) -> list[tuple[int, tuple[Source, ...], Any]]:
        """One task per segment for `known_sets`."""
        made = []
        for i, s in enumerate(self.segments):
            sets = tuple(s.parts.source(f"sets/{n:05d}.parquet") for n in s.parts.shards())
            made.append((i, (groups.source(f"known/{i:05d}.parquet"), s.table(), *sets), gate))
        return made


def known_sets(task: Task) -> ShardResult:
    """`sets/<segment>`: the candidates of a segment with what they are compared by, by bucket and rank.

    Inputs: members, docs, sets.
    """
    gate: Gate = task.args
    members = pq.read_table(task.inputs[0].path)
    schema = set_schema(gate.match)
    place = members["place"].to_numpy()
    columns: dict[str, Any] = {
        "bucket": members["bucket"],
        "rank": members["rank"],
        "shard": pa.array(np.full(len(members), -1, np.int32)),
        "doc_id": pq.read_table(task.inputs[1].path, columns=["doc_id"])["doc_id"].take(pa.array(place)),
    }
    names = schema.names[len(columns) :]
    if names and len(members):
        parts = [t for s in task.inputs[2:] for t in _rows_of(s.path, place, names)]
        found = pa.concat_tables(parts)
        where = np.full(int(place.max()) + 1, -1, np.int64)
        where[found["doc"].to_numpy()] = np.arange(len(found))
        if (where[place] < 0).any():
            raise DataError("index: a document that stands for others has no set; the index is damaged.")
        columns |= {n: found[n].take(pa.array(where[place])) for n in names}
    table = pa.table(columns, schema=schema) if len(members) else schema.empty_table()
    path = task.file("sets")
    write_parquet(path, table, row_group_rows=SET_ROWS, packed=compares_by(gate.match) != "features")
    return ShardResult({path: len(table)}, {"sets": len(table)})


def _rows_of(path: Path, wanted: npt.NDArray[np.int32], names: Sequence[str]) -> list[pa.Table]:
    """Rows of a `sets` file whose `doc` is wanted; row groups without one are not read."""
    values = pa.array(np.unique(wanted).astype(np.uint32))
    found = []
    with pq.ParquetFile(path) as f:
        for group in range(f.metadata.num_row_groups):
            here = pc.is_in(f.read_row_group(group, columns=["doc"])["doc"], values)
            if pc.any(here).as_py():
                found.append(f.read_row_group(group, columns=["doc", *names]).filter(here))
    return found


def open_index(path: Path, gates: Sequence[Gate]) -> dict[str, Known]:
    """The segments for each of these matches that the index has.

    Raises: RecipeError if it is no index, or was made with other parameters.
    """
    try:
        listed = read_json(path / INDEX)
    except FileNotFoundError as error:
        raise RecipeError(f"{path}: no index here (no {INDEX}). `winnow dedup index` makes one.") from error
    except ValueError as error:
        raise RecipeError(f"{path / INDEX}: damaged ({error}).") from error
    if listed.get("format") != FORMAT:
        raise RecipeError(f"{path}: an index of format {listed.get('format')}; this winnow reads {FORMAT}.")
    found = {}
    for gate in gates:
        entry = listed["matches"].get(gate.name)
        if entry is None:
            continue
        if entry["match"] != dict(gate.identity):
            theirs, ours = entry["match"]["params"], gate.identity["params"]
            other = ", ".join(f"{n} {theirs.get(n)!r} (here {v!r})" for n, v in ours.items() if theirs.get(n) != v)
            raise RecipeError(f"{path}: made with another '{gate.name}': {other or 'an older version of it'}.")
        found[gate.name] = Known(tuple(_segment(path, s) for s in entry["segments"]))
    return found


def _segment(root: Path, names: dict[str, str]) -> Segment:
    return Segment(open_dataset(root / names["parts"]), open_dataset(root / names["docs"]))


@dataclass(frozen=True)
class PartArgs:
    curation: Curation
    gate: Gate
    first: int  # number of the segment's first document


def write_part(task: Task) -> ShardResult:
    """Keys, sets and documents of one shard. Inputs: state, data, keys, ranks, drops."""
    args: PartArgs = task.args
    args.curation.load()
    state_file, data_file, keys_file, ranks_file, drops_file = (s.path for s in task.inputs)
    rank = pq.read_table(ranks_file, columns=["rank"])["rank"].to_numpy()
    place = (rank - args.first).astype(np.int32)
    keys = pq.read_table(keys_file)
    keys = keys.set_column(keys.schema.get_field_index("doc"), "doc", pa.array(place[keys["doc"].to_numpy()]))
    state = pq.read_table(state_file, columns=["doc_id", "row", "text", "bytes"])
    drops = pq.read_table(drops_file)
    kept = rank.copy()
    gone = np.zeros(len(rank), np.bool_)
    if len(drops):
        where = pc.index_in(drops["doc_id"], state["doc_id"].combine_chunks()).to_numpy()
        kept[where] = drops["kept_rank"].to_numpy()
        gone[where] = True
    staying = np.flatnonzero(~gone)
    staying = staying[np.argsort(rank[staying])]
    rows = state["row"].to_numpy()
    columns: dict[str, Any] = {"doc": pa.array(place[staying].astype(np.uint32))}
    by = compares_by(args.gate.match)
    schema = pa.schema([("doc", pa.uint32()), *({"features": [FEATURES], "text": TEXTS, "": []}[by])])
    if by:
        docs = docs_at(data_file, rows[staying], state["text"].take(pa.array(staying)).to_pylist())
        if by == "features":
            columns["features"] = features_of(args.gate, docs)
        else:
            columns |= {n: pa.array([getattr(d, n) for d in docs], t) for n, t in TEXTS}
    urls = pq.read_table(data_file, columns=["url"])["url"].take(pa.array(rows))
    parts: dict[str, tuple[pa.Table, dict[str, Any]]] = {
        "keys": (keys, {"row_group_rows": SORTED_ROWS, "packed": False}),
        "sets": (pa.table(columns, schema=schema), {"row_group_rows": SET_ROWS}),
        "rows": (
            pa.table(
                {"rank": pa.array(rank), "doc_id": state["doc_id"], "url": urls, "bytes": state["bytes"], "kept": kept}
            ),
            {},
        ),
    }
    outputs: dict[Path, int | None] = {}
    for folder, (table, how) in parts.items():
        write_parquet(task.file(folder), table, **how)
        outputs[task.file(folder)] = len(table)
    return ShardResult(outputs, {"documents": len(rank), "kept": len(staying)})


def sort_docs(task: Task) -> ShardResult:
    """`docs/00000`: the documents of a segment in the order of rank."""
    path = task.file("docs")
    n = 0
    with sorter(task.out, task.args) as connection, atomic(path) as tmp:
        query = f"SELECT {', '.join(DOCS.names)} FROM read_parquet($files) ORDER BY rank"
        found = connection.sql(query, params={"files": [str(s.path) for s in task.inputs]})
        with pq.ParquetWriter(tmp, DOCS, **parquet_options()) as writer:
            for batch in found.to_arrow_reader(65_536):
                writer.write_table(pa.table(batch).cast(DOCS))
                n += len(batch)
    return ShardResult({path: n}, {"documents": n})


def _add_segment(
    path: Path,
    run: MatchRun,
    curation: Curation,
    documents: Dataset,
    executor: Executor,
    *,
    memory: int | None,
    progress: Progress | None,
) -> Segment:
    """What a match has seen, as a further segment."""
    gate, previous, known = run.gate, run.previous, run.known
    ranks, drops = run.matched.ranks, run.matched.drops
    name = f"{gate.name}-{len(known.segments):05d}"
    plan = Plan(f"{gate.name}-parts", {"match": dict(gate.identity)}, VERSION, upstream={drops.step: drops.key})
    folder = path / f"{name}-parts-{plan.key}"
    tasks = [
        Task(
            plan.name,
            i,
            (
                previous.source(f"state/{i:05d}.parquet"),
                documents.source(f"data/{i:05d}.parquet"),
                previous.source(f"keys/{i:05d}.parquet"),
                ranks.source(f"ranks/{i:05d}.parquet"),
                drops.source(f"drops/{i:05d}.parquet"),
            ),
            folder,
            PartArgs(curation, gate, known.documents),
        )
        for i in previous.shards()
    ]
    parts = run_step(plan, folder, tasks, write_part, executor, progress=progress)
    plan = Plan(f"{gate.name}-docs", {}, VERSION, upstream={parts.step: parts.key})
    folder = path / f"{name}-docs-{plan.key}"
    rows = tuple(parts.source(f"rows/{i:05d}.parquet") for i in parts.shards())
    docs = run_step(plan, folder, [Task(plan.name, 0, rows, folder, memory)], sort_docs, executor)
    return Segment(parts, docs)


def grow_index(
    path: Path,
    curation: Curation,
    documents: Dataset,
    work: Workspace,
    executor: Executor,
    *,
    memory: int | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, int]]:
    """Match documents with an index (if there is one) and with each other, by the matches of a curation alone, and add them
    as one further segment for each match.

    Returns: for each match how many documents reached it, and how many of them are no copies.
    Raises: UsageError if the curation has no match; DataError if one of the documents is in the index already.
    """
    from pipeline.curate.step import curate

    gates = tuple(g for g in curation.gates if g.kind == "match")
    if not gates:
        raise UsageError("an index needs a match: none of the recipe's gates is one.")
    there = path if (path / INDEX).is_file() else None
    only = replace(curation, gates=gates, index=there, max_host_loss=1.0, max_source_loss=1.0)
    runs: list[MatchRun] = []
    with TemporaryDirectory(prefix=f"{TMP_PREFIX}{os.getpid()}-", dir=work.root.parent) as folder:
        space = Workspace(Path(folder))
        curate(only, documents, space, executor, work=work, memory=memory, progress=progress, told=runs)
    listed: dict[str, Any] = {"format": FORMAT, "matches": {}}
    if there:
        listed = read_json(path / INDEX)
    added = {}
    for run in runs:
        made = _add_segment(path, run, only, documents, executor, memory=memory, progress=progress)
        entry = listed["matches"].setdefault(run.gate.name, {"match": dict(run.gate.identity), "segments": []})
        entry["segments"].append({"parts": made.parts.dir.name, "docs": made.docs.dir.name})
        added[run.gate.name] = {"documents": made.documents, "kept": int(made.parts.counts["kept"])}
    write_json(path / INDEX, listed)
    return added


def remove_documents(path: Path, targets: Sequence[str]) -> dict[str, dict[str, int]]:
    """Take documents, and those that were dropped for them, out of every match of an index: their keys, sets, ids and
    addresses are gone from its files.

    Args:
        targets: URLs or doc_ids (32 hex digits).

    Returns: for each match how many documents were named and how many went with them.
    Raises: UsageError if a target is in none of them.
    """
    listed = read_json(path / INDEX) if (path / INDEX).is_file() else None
    if listed is None:
        raise UsageError(f"{path}: no index here (no {INDEX}).")
    met: set[str] = set()
    done: dict[str, dict[str, int]] = {}
    stale: list[Path] = []
    for name, entry in sorted(listed["matches"].items()):
        known = Known(tuple(_segment(path, s) for s in entry["segments"]))
        named = _numbers_of(known, targets, met)
        kept = np.concatenate([pq.read_table(s.path, columns=["kept"])["kept"].to_numpy() for s in known.docs])
        gone = np.zeros(len(kept), np.bool_)
        gone[named] = True
        followers = np.flatnonzero(gone[np.minimum(kept, len(kept) - 1)] & (kept != NOBODY) & ~gone)
        gone[followers] = True
        for i, (segment, start) in enumerate(zip(known.segments, known.starts, strict=True)):
            here = np.flatnonzero(gone[start : start + segment.documents])
            if not len(here):
                continue
            made = _without(path, f"{name}-{i:05d}", segment, here)
            entry["segments"][i] = {"parts": made.parts.dir.name, "docs": made.docs.dir.name}
            stale += [segment.parts.dir, segment.docs.dir]
        done[name] = {"named": len(named), "followers": len(followers)}
    missing = [t for t in targets if t not in met]
    if missing:
        raise UsageError(f"{path}: not in this index: {', '.join(missing)}. Nothing was removed.")
    write_json(path / INDEX, listed)
    for folder in stale:
        shutil.rmtree(folder)
    return done


def _numbers_of(known: Known, targets: Sequence[str], met: set[str]) -> npt.NDArray[np.int64]:
    ids = pa.array([bytes.fromhex(t) for t in targets if _is_id(t)], DOC_ID)
    urls = pa.array([t for t in targets if not _is_id(t)], pa.string())
    found = [np.zeros(0, np.int64)]
    for source, start in zip(known.docs, known.starts, strict=True):
        table = pq.read_table(source.path, columns=["doc_id", "url", "kept"])
        hit = pc.or_kleene(pc.is_in(table["doc_id"], ids), pc.is_in(table["url"], urls))
        hit = pc.and_(hit, pc.not_equal(table["kept"], pa.scalar(int(NOBODY), pa.uint32())))
        place = np.flatnonzero(hit.to_numpy())
        for row in table.take(pa.array(place)).to_pylist():
            met |= {row["url"], row["doc_id"].hex()} & set(targets)
        found.append(place + start)
    return np.concatenate(found)


def _is_id(text: str) -> bool:
    return len(text) == 32 and all(c in "0123456789abcdef" for c in text)


def _without(path: Path, name: str, segment: Segment, gone: npt.NDArray[np.int64]) -> Segment:
    """The segment written again without some of its documents; their places stay, empty."""
    executor = SerialExecutor()
    identity = {"removed": short_hash(gone.tolist(), 64)}
    old = segment.parts
    plan = Plan(old.step, identity, VERSION, upstream={old.step: old.key})
    folder = path / f"{name}-parts-{plan.key}"
    tasks = [
        Task(plan.name, i, tuple(old.source(f"{f}/{i:05d}.parquet") for f in ("keys", "sets", "rows")), folder, gone)
        for i in old.shards()
    ]
    parts = run_step(plan, folder, tasks, strip_part, executor)
    plan = Plan(segment.docs.step, identity, VERSION, upstream={segment.docs.step: segment.docs.key})
    docs_folder = path / f"{name}-docs-{plan.key}"
    task = Task(plan.name, 0, (segment.table(),), docs_folder, gone)
    return Segment(parts, run_step(plan, docs_folder, [task], strip_docs, executor))


def strip_part(task: Task) -> ShardResult:
    """Keys, sets and rows of one shard without the documents in these places."""
    gone = pa.array(task.args.astype(np.int64))
    outputs: dict[Path, int | None] = {}
    how: dict[str, dict[str, Any]] = {
        "keys": {"row_group_rows": SORTED_ROWS, "packed": False},
        "sets": {"row_group_rows": SET_ROWS},
        "rows": {},
    }
    for (folder, options), source in zip(how.items(), task.inputs, strict=True):
        table = pq.read_table(source.path)
        # only the sort of `docs` reads rows: nothing of them stays
        stays = pc.invert(pc.is_in(table["doc"].cast(pa.int64()), gone)) if folder != "rows" else None
        table = table.slice(0, 0) if stays is None else table.filter(stays)
        write_parquet(task.file(folder), table, **options)
        outputs[task.file(folder)] = len(table)
    return ShardResult(outputs)


def strip_docs(task: Task) -> ShardResult:
    """`docs/00000` with nothing left of the documents in these places."""
    table = pq.read_table(task.inputs[0].path)
    gone = np.zeros(len(table), np.bool_)
    gone[task.args] = True
    mask = pa.array(gone)
    columns = [
        pc.if_else(mask, pa.scalar(bytes(16), DOC_ID), table["doc_id"]),
        pc.if_else(mask, pa.scalar(None, pa.string()), table["url"]),
        pc.if_else(mask, pa.scalar(0, pa.int64()), table["bytes"]),
        pc.if_else(mask, pa.scalar(int(NOBODY), pa.uint32()), table["kept"]),
    ]
    path = task.file("docs")
    write_parquet(path, pa.table(columns, schema=DOCS))
    return ShardResult({path: len(table)}, {"documents": len(table)})

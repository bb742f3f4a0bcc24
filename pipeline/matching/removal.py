"""Taking documents out of an index."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.core.bench import WORK, Bench, keys_of
from pipeline.core.errors import UsageError
from pipeline.core.files import short_hash, write_parquet, write_sealed
from pipeline.core.lock import lock
from pipeline.core.schema import DOC_ID
from pipeline.core.step import Plan, ShardResult, Task
from pipeline.matching.index import DOCS, INDEX, REMOVING, Known, Segment, read_index, segment_at, sweep_segments
from pipeline.matching.kernels.copies import NOBODY
from pipeline.matching.question import SORTED_ROWS, Outputs
from pipeline.matching.segments import VERSION, in_index
from pipeline.matching.sets import SET_ROWS


def remove_documents(path: Path, targets: Sequence[str]) -> dict[str, dict[str, int]]:
    """Take documents, and those that were dropped for them, out of every match of an index: their keys, sets, ids and
    addresses are gone from its files, and from what a killed command left in its folder. Killed on the way, the same command
    goes on.

    Args:
        targets: URLs or doc_ids (32 hex digits).

    Returns: for each match how many documents were named and how many went with them.
    Raises: UsageError if a target is in none of them.
    """
    if not (path / INDEX).is_file():
        raise UsageError(f"{path}: no index here (no {INDEX}).")
    with lock(path):
        shutil.rmtree(path / WORK, ignore_errors=True)
        listed = read_index(path)
        sweep_segments(path, listed)
        before = listed.pop(REMOVING, None)
        if before is not None:
            write_sealed(path / INDEX, listed)
            if before["targets"] == _name_of(targets):
                done: dict[str, dict[str, int]] = before["done"]
                return done
        return _remove(path, listed, targets)


def _name_of(targets: Sequence[str]) -> str:
    """What tells whether a command is the same, and does not tell the documents."""
    return short_hash(sorted(targets), 64)


def _remove(path: Path, listed: dict[str, Any], targets: Sequence[str]) -> dict[str, dict[str, int]]:
    met: set[str] = set()
    done: dict[str, dict[str, int]] = {}
    for name, entry in sorted(listed["matches"].items()):
        known = Known(tuple(segment_at(path, s) for s in entry["segments"]))
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
            entry["segments"][i] |= {"parts": made.parts.dir.name, "docs": made.docs.dir.name}
        done[name] = {"named": len(named), "followers": len(followers)}
    missing = [t for t in targets if t not in met]
    if missing:
        raise UsageError(f"{path}: not in this index: {', '.join(missing)}. Nothing was removed.")
    write_sealed(path / INDEX, {**listed, REMOVING: {"targets": _name_of(targets), "done": done}})
    sweep_segments(path, listed)  # whoever comes next finds the entry, and does this if we don't
    write_sealed(path / INDEX, listed)
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


@dataclass(frozen=True)
class GoneArgs:
    """Attributes: places: of the documents in the segment that go, ascending."""

    places: tuple[int, ...]


def _without(path: Path, name: str, segment: Segment, gone: npt.NDArray[np.int64]) -> Segment:
    """The segment written again without some of its documents; their places stay, empty."""
    bench = Bench(path)
    identity = {"removed": short_hash(gone.tolist(), 64)}
    old, args = segment.parts, GoneArgs(tuple(gone.tolist()))
    plan = Plan(old.step, identity, VERSION, upstream=keys_of([old]))
    tasks = [Task(i, {f: (old.shard(f, i),) for f in ("keys", "sets", "rows")}, args) for i in old.shards()]
    parts = in_index(bench, path, f"{name}-parts", plan).run(plan, tasks, strip_part)
    plan = Plan(segment.docs.step, identity, VERSION, upstream=keys_of([segment.docs]))
    task = Task(0, {"docs": (segment.table(),)}, args)
    return Segment(parts, in_index(bench, path, f"{name}-docs", plan).run(plan, [task], strip_docs))


def strip_part(task: Task[GoneArgs]) -> ShardResult:
    """Keys, sets and rows of one shard without the documents in these places. Inputs: keys, sets, rows."""
    gone = pa.array(task.args.places, pa.int64())
    outputs: Outputs = {}
    how: dict[str, dict[str, Any]] = {
        "keys": {"row_group_rows": SORTED_ROWS, "packed": False},
        "sets": {"row_group_rows": SET_ROWS},
        "rows": {},
    }
    for folder, options in how.items():
        table = pq.read_table(task.one(folder).path)
        # only the sort of `docs` reads rows: nothing of them stays
        stays = pc.invert(pc.is_in(table["doc"].cast(pa.int64()), gone)) if folder != "rows" else None
        table = table.slice(0, 0) if stays is None else table.filter(stays)
        write_parquet(task.file(folder), table, **options)
        outputs[task.file(folder)] = len(table)
    return ShardResult(outputs)


def strip_docs(task: Task[GoneArgs]) -> ShardResult:
    """`docs/00000` with nothing left of the documents in these places. Inputs: docs."""
    table = pq.read_table(task.one("docs").path)
    gone = np.zeros(len(table), np.bool_)
    gone[list(task.args.places)] = True
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

"""One pass over one shard: the gates between two matches, fused.

What a pass writes (`<n>` is the shard): `signals/<n>` for every document it saw, `decisions/<n>`, `edits/<n>`; then,
if a match or an edit that knows the corpus follows, `state/<n>` (who is still in, with the text where an edit changed
it, and what `keep` goes by) and `keys/<n>`; after the last of them `data/<n>`, with the sidecars of all passes joined.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.core.errors import StepError
from pipeline.core.files import write_parquet
from pipeline.core.registry import apply_spans, common_key, measure
from pipeline.core.rules import values_of
from pipeline.core.schema import DECISION, DOC_ID, DOCUMENT, EDIT, Doc, decision, docs_of
from pipeline.core.step import ShardResult, Task
from pipeline.curate.gates import KEEP_FIELDS, Curation, Gate

BATCH_ROWS = 1_000
SORTED_ROWS = 8_192  # rows of a row group in files that are read by range
STATE = pa.schema(
    [
        pa.field("doc_id", DOC_ID, nullable=False),
        ("row", pa.int64()),  # place in the shard's input
        ("text", pa.string()),  # null: as in the input
        ("language", pa.string()),
        ("language_score", pa.float64()),
        ("shard", pa.int32()),
        ("bytes", pa.int64()),  # of the text, UTF-8
    ]
)  # before a match also a column for each field of `keep`
COUNTED = pa.schema(
    [
        ("high", pa.uint64()),  # 128 bits of `common_key`
        ("low", pa.uint64()),
        pa.field("group", DOC_ID, nullable=False),
        ("documents", pa.int64()),
        ("best", pa.int32()),  # place in `state` of the document that `keep` prefers
    ]
)
WINDOWS = pa.schema([("high", pa.uint64()), ("more", pa.uint32()), ("doc", pa.int32()), ("at", pa.int32())])
WINDOW_TYPES = (np.uint64, np.uint32, np.int32, np.int32)
WINDOW_ROWS = 65_536  # rows of a row group of windows: a shard has a hundred times as many as of other keys
Found = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]
COMMON = pa.schema([("high", pa.uint64()), ("low", pa.uint64()), ("shard", pa.int32()), ("best", pa.int32())])
DROPS = pa.schema(
    [
        pa.field("doc_id", DOC_ID, nullable=False),
        pa.field("kept_doc_id", DOC_ID, nullable=False),
        ("similarity", pa.float64()),  # |A ∩ B| / |A ∪ B| of what the match compares
        ("containment", pa.float64()),  # |A ∩ B| / |A|, A the dropped document
        ("kept_rank", pa.uint32()),
    ]
)


@dataclass(frozen=True)
class PassArgs:
    """What a pass does.

    Attributes:
        gates: rule and edit gates, in order.
        follows: the gate that cuts here, or None in the last pass.
        previous: the gate that cut before this pass; what it found (copies to drop, or common keys) is the third
            input, the earlier state the second.
        carried: how many earlier passes' sidecars (signals, decisions, edits) follow as inputs, in the last pass.
    """

    curation: Curation
    gates: tuple[Gate, ...]
    follows: Gate | None
    previous: Gate | None
    carried: int = 0


@dataclass
class _Out:
    alive: list[Doc] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    changed: set[bytes] = field(default_factory=set)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    edits: list[dict[str, Any]] = field(default_factory=list)
    measured: list[Doc] = field(default_factory=list)
    edit_kinds: Counter[str] = field(default_factory=Counter)
    common: frozenset[bytes] = frozenset()  # keys that the edit which begins this pass may remove
    own: dict[bytes, frozenset[bytes]] = field(default_factory=dict)  # doc_id -> those of which it keeps its copy
    found: dict[bytes, Found] = field(default_factory=dict)  # doc_id -> windows that occur more than once
    batches: list[pa.RecordBatch] = field(default_factory=list)  # of the input, in the last pass


def pass_shard(task: Task) -> ShardResult:
    """Run one pass over one shard."""
    args: PassArgs = task.args
    args.curation.load()
    out = _Out()
    for docs, rows in _input(task, args, out):
        _gates(docs, rows, args, out)
    rows_in = len(out.alive) + len(out.decisions)
    gates: dict[str, int] = {}
    for d in out.decisions:
        gates[d["gate"]] = gates.get(d["gate"], 0) + 1
    counts: dict[str, Any] = {"rows_in": rows_in, "rows_out": len(out.alive), "dropped": gates}
    counts["text_bytes"] = sum(d.text_bytes for d in out.alive)
    outputs: dict[Any, int | None] = {}
    signals = _signal_table(out.measured, args)
    decisions = pa.Table.from_pylist(out.decisions, DECISION)
    edits = pa.Table.from_pylist(out.edits, EDIT)
    if args.follows is not None:
        write = _write_keys if args.follows.kind == "match" else _write_counted
        if args.follows.kind == "edit" and args.follows.edit.windows:
            write = _write_windows
        outputs |= _write_state(task, args, out) | write(task, args, out)
    else:
        signals, decisions, edits = _join(task, args, signals, decisions, edits)
        data = _survivors(out)
        write_parquet(task.file("data"), data, row_group_rows=BATCH_ROWS)
        outputs[task.file("data")] = data.num_rows
        by_gate = Counter(decisions.column("gate").to_pylist())
        counts["dropped"] = dict(sorted(by_gate.items()))
        counts["rows_in"] = signals.num_rows
        counts["edits"] = dict(sorted(Counter(edits.column("kind").to_pylist()).items()))
    for folder, table in (("signals", signals), ("decisions", decisions), ("edits", edits)):
        write_parquet(task.file(folder), table)
        outputs[task.file(folder)] = table.num_rows
    return ShardResult(outputs, counts)


def _input(task: Task, args: PassArgs, out: _Out) -> Iterator[tuple[list[Doc], list[int]]]:
    """Batches of documents that are still in, with their row numbers; copies become decisions on the way."""
    state: dict[int, dict[str, Any]] | None = None
    drops: dict[bytes, dict[str, Any]] = {}
    if args.previous is not None:
        state = {r["row"]: r for r in pq.read_table(task.inputs[1].path).to_pylist()}
        table = pq.read_table(task.inputs[2].path)
        if args.previous.kind == "match":
            ids = pa.array([r["doc_id"] for r in state.values()], DOC_ID)
            drops = {r["doc_id"]: r for r in table.filter(pc.is_in(table["doc_id"], ids)).to_pylist()}
        elif args.previous.edit.windows:
            out.found = _found_windows(table, [r["doc_id"] for r in state.values()])
        else:
            keys = _keys_of(table)
            out.common = frozenset(keys)
            own: dict[bytes, set[bytes]] = {}
            ids = [r["doc_id"] for r in state.values()]
            for key, place in zip(keys, table["best"].to_pylist(), strict=True):
                if place >= 0:
                    own.setdefault(ids[place], set()).add(key)
            out.own = {doc_id: frozenset(kept) for doc_id, kept in own.items()}
    at = 0
    with pq.ParquetFile(task.inputs[0].path) as f:
        for batch in f.iter_batches(batch_size=BATCH_ROWS):
            if args.follows is None:
                out.batches.append(batch)
            docs, rows = docs_of(batch), list(range(at, at + batch.num_rows))
            at += batch.num_rows
            if state is not None:
                pairs = [(_restore(d, state[r], out), r) for d, r in zip(docs, rows, strict=True) if r in state]
                docs, rows = [d for d, _ in pairs], [r for _, r in pairs]
                docs, rows = _take_copies(docs, rows, drops, args, out)
            yield docs, rows


def _found_windows(table: pa.Table, ids: list[bytes]) -> dict[bytes, Found]:
    """Positions by document: (those that occur earlier, those that are the first of their kind)."""
    doc, at, first = (table[n].to_numpy() for n in ("doc", "at", "first"))
    bounds = np.flatnonzero(np.diff(doc, prepend=-1, append=-1)).tolist() if len(doc) else [0]
    return {ids[doc[a]]: (at[a:b][~first[a:b]], at[a:b][first[a:b]]) for a, b in pairwise(bounds)}


def _keys_of(table: pa.Table) -> list[bytes]:
    """The 16 bytes of each key from its two numbers."""
    flat = np.stack([table["high"].to_numpy(), table["low"].to_numpy()], axis=1).tobytes()
    return [flat[i : i + 16] for i in range(0, len(flat), 16)]


def _restore(doc: Doc, state: Mapping[str, Any], out: _Out) -> Doc:
    if state["text"] is not None:
        doc = doc.with_text(state["text"])
        out.changed.add(doc.doc_id)
    doc.language, doc.language_score = state["language"], state["language_score"]
    return doc


def _take_copies(
    docs: list[Doc], rows: list[int], drops: Mapping[bytes, Mapping[str, Any]], args: PassArgs, out: _Out
) -> tuple[list[Doc], list[int]]:
    assert args.previous is not None
    kept = []
    for doc, row in zip(docs, rows, strict=True):
        drop = drops.get(doc.doc_id)
        if drop is None:
            kept.append((doc, row))
            continue
        gate, reason = args.previous, args.previous.match.reason
        note = None
        if drop["similarity"] < gate.params.get("min_similarity", 0.0):
            note = f"{drop['containment']:.1%} of it is in the one kept"
        kept_for, similar = drop["kept_doc_id"], drop["similarity"]
        out.decisions.append(decision(doc, gate.name, [reason], kept=kept_for, similarity=similar, note=note))
    return [d for d, _ in kept], [r for _, r in kept]


def _gates(docs: list[Doc], rows: list[int], args: PassArgs, out: _Out) -> None:
    """Run one batch through the gates. Dropped documents go on unseen, so that later signals are known for them."""
    alive = dict(zip(rows, docs, strict=True))
    dead: dict[int, Doc] = {}
    for gate in args.gates:
        if gate.kind == "rules":
            _rule_gate(gate, alive, dead, args.curation, out)
        else:
            _edit_gate(gate, alive, dead, out)
        if not args.curation.measure_dropped:
            out.measured += dead.values()
            dead = {}
    everyone = {**alive, **dead}
    out.measured += [everyone[r] for r in sorted(everyone)]
    out.alive += alive.values()
    out.rows += alive


def _rule_gate(gate: Gate, alive: dict[int, Doc], dead: dict[int, Doc], curation: Curation, out: _Out) -> None:
    assert gate.rules is not None
    # in the order of rows, whoever was dropped: the same texts are the same batch, and their words are split once
    everyone = [doc for _, doc in sorted([*alive.items(), *dead.items()], key=lambda pair: pair[0])]
    done: set[str] = set()
    for name in gate.rules.signals:
        found = curation.signal_def(name)
        if found.names[0] in done:
            continue
        done.add(found.names[0])
        fresh = [d for d in everyone if found.names[0] not in d.signals]
        measure(found, fresh, dict(curation.signal_params[found.names[0]]))
        if "language" in found.names:
            for doc in everyone:
                doc.language, doc.language_score = str(doc.signals["language"]), _number(doc, "language_score")
    for row, doc in list(alive.items()):
        failing = gate.rules.failing(doc.signals, doc.language)
        if failing:
            values = values_of(failing, doc.signals, doc.language)
            out.decisions.append(decision(doc, gate.name, [r.reason for r in failing], values=values))
            dead[row] = alive.pop(row)


def _number(doc: Doc, name: str) -> float | None:
    value = doc.signals.get(name)
    return float(value) if value is not None else None


def _edit_gate(gate: Gate, alive: dict[int, Doc], dead: dict[int, Doc], out: _Out) -> None:
    params = dict(gate.params)
    for group, members, recorded in ((alive, list(alive.items()), True), (dead, list(dead.items()), False)):
        for row, doc in members:
            if gate.edit.keys:
                params["common"] = out.common - out.own.get(doc.doc_id, frozenset())
            elif gate.edit.windows:
                params["found"] = out.found.get(doc.doc_id)
            text, spans = apply_spans(doc.text, gate.edit.fn(doc, **params))
            if not spans:
                continue
            group[row] = doc.with_text(text)
            if not recorded:
                continue
            out.changed.add(doc.doc_id)
            for s in spans:
                out.edits.append(
                    {
                        "doc_id": doc.doc_id, "gate": gate.name, "kind": s.kind,
                        "start": s.start, "end": s.end, "replacement": s.replacement,
                    }
                )  # fmt: skip
            if not text.strip():
                out.decisions.append(decision(doc, gate.name, ["nothing_left"]))
                dead[row] = alive.pop(row)


def _write_state(task: Task, args: PassArgs, out: _Out) -> dict[Any, int | None]:
    docs = out.alive
    columns = {
        "doc_id": [d.doc_id for d in docs],
        "row": out.rows,
        "text": [d.text if d.doc_id in out.changed else None for d in docs],
        "language": [d.language for d in docs],
        "language_score": [d.language_score for d in docs],
        "shard": np.full(len(docs), task.shard, np.int32),
        "bytes": [d.text_bytes for d in docs],
    }
    table = pa.table([pa.array(columns[f.name], f.type) for f in STATE], schema=STATE)
    gate = args.follows
    assert gate is not None
    if gate.needs_ranks:
        for name, kind in keep_columns(args.curation.keep):
            values = _keep_values(name, args.curation, gate, out.alive)
            table = table.append_column(f"keep.{name}", pa.array(values, kind))
    path = task.file("state")
    write_parquet(path, table, row_group_rows=BATCH_ROWS)
    return {path: len(docs)}


def _keep_values(name: str, curation: Curation, gate: Gate, docs: Sequence[Doc]) -> list[Any]:
    """What the choice of the best copy goes by. Raises: StepError for a signal that is not measured yet."""
    if name == "source_priority":
        return [source_priority(d, curation.source_priority) for d in docs]
    if name in KEEP_FIELDS:
        return [getattr(d, name) for d in docs]
    if docs and name not in docs[0].signals:
        raise StepError(f"curate.keep: signal '{name}' is not measured before '{gate.name}'.")
    return [d.signals[name] for d in docs]


def source_priority(doc: Doc, patterns: Sequence[str]) -> int:
    """Place of the first pattern that the document's input file or host fits; behind all of them where none does."""
    fits = (i for i, p in enumerate(patterns) if fnmatchcase(doc.source, p) or fnmatchcase(doc.host, p))
    return next(fits, len(patterns))


def keep_columns(keep: Sequence[str]) -> list[tuple[str, pa.DataType]]:
    """Name and type of the columns by which the best copy is chosen."""
    types = {"capture_time": pa.timestamp("us", tz="UTC")}
    types |= {n: pa.int64() for n in ("text_bytes", "source_offset", "source_priority")}
    text = ("date", "url", "source")
    names = [k.removeprefix("-") for k in keep]
    return [(n, types.get(n, pa.string() if n in text else pa.float64())) for n in names]


def _write_keys(task: Task, args: PassArgs, out: _Out) -> dict[Any, int | None]:
    """`keys`: (high, low, doc) ascending: 128 bits of the key and the document's place in `state`. Without the low bits
    where pairs are verified: two keys that agree in 64 bits by chance are one comparison more."""
    gate = args.follows
    assert gate is not None
    places, keys = keys_of(gate, out.alive)
    numbers = np.frombuffer(keys, np.uint64).reshape(-1, 2)
    exact = not (gate.match.features or gate.match.similarity)
    order = np.lexsort((places, numbers[:, 1], numbers[:, 0])) if exact else np.lexsort((places, numbers[:, 0]))
    columns = {"high": numbers[order, 0]} | ({"low": numbers[order, 1]} if exact else {})
    table = pa.table({**columns, "doc": places[order].astype(np.int32)})
    path = task.file("keys")
    write_parquet(path, table, row_group_rows=SORTED_ROWS, packed=False)
    return {path: table.num_rows}


def keys_of(gate: Gate, docs: Sequence[Doc]) -> tuple[npt.NDArray[np.int64], bytes]:
    """(place of the document of each key, 16 bytes of each key one after the other)."""
    if not gate.match.batch:
        pairs = [(i, key) for i, doc in enumerate(docs) for key in sorted(set(gate.match.fn(doc, **gate.params)))]
        return np.array([i for i, _ in pairs], np.int64), b"".join(_hash(key) for _, key in pairs)
    places, keys = [np.zeros(0, np.int64)], []
    for at in range(0, len(docs), BATCH_ROWS):
        found, flat = gate.match.fn(docs[at : at + BATCH_ROWS], **gate.params)
        places.append(found + at)
        keys.append(flat.tobytes())
    return np.concatenate(places), b"".join(keys)


def _write_counted(task: Task, args: PassArgs, out: _Out) -> dict[Any, int | None]:
    """`keys` of an edit that knows the corpus, ascending, with the number of documents and the best of them; `groups`:
    documents of each group."""
    gate = args.follows
    assert gate is not None
    assert gate.edit.keys is not None
    counts: Counter[tuple[bytes, bytes]] = Counter()
    groups: Counter[bytes] = Counter()
    best: dict[tuple[bytes, bytes], int] = {}
    order = _keep_places(args.curation, gate, out.alive) if gate.needs_ranks else range(len(out.alive))
    for place in order:
        pairs = set(gate.edit.keys(out.alive[place], **gate.params))
        hashed = {(common_key(group, key), _hash(group)) for group, key in pairs}
        counts.update(hashed)
        groups.update({group for _, group in hashed})
        for one in hashed:
            best.setdefault(one, place)
    numbers = np.frombuffer(b"".join(k for k, _ in counts), np.uint64).reshape(-1, 2)
    table = pa.table(
        [
            pa.array(numbers[:, 0]),
            pa.array(numbers[:, 1]),
            pa.array([g for _, g in counts], DOC_ID),
            pa.array(list(counts.values()), pa.int64()),
            pa.array([best[one] for one in counts], pa.int32()),
        ],
        schema=COUNTED,
    )
    table = table.take(pa.array(np.lexsort((numbers[:, 1], numbers[:, 0]))))
    write_parquet(task.file("keys"), table, row_group_rows=SORTED_ROWS)
    named = sorted(groups.items())
    sizes = pa.table(
        {"group": pa.array([g for g, _ in named], DOC_ID), "documents": pa.array([n for _, n in named], pa.int64())}
    )
    write_parquet(task.file("groups"), sizes)
    return {task.file("keys"): table.num_rows, task.file("groups"): sizes.num_rows}


def _write_windows(task: Task, args: PassArgs, out: _Out) -> dict[Any, int | None]:
    """`keys` of an edit that looks for windows which occur again: (high, more, doc, at), by high."""
    gate = args.follows
    assert gate is not None
    assert gate.edit.windows is not None
    parts = []
    for start in range(0, len(out.alive), BATCH_ROWS):
        places, at, high, more = gate.edit.windows(out.alive[start : start + BATCH_ROWS], **gate.params)
        parts.append([high, more, (places + start).astype(np.int32), at])
    columns = [np.concatenate(c) for c in zip(*parts, strict=True)] if parts else [np.zeros(0, t) for t in WINDOW_TYPES]
    order = np.argsort(columns[0], kind="stable")
    table = pa.table([pa.array(c[order]) for c in columns], schema=WINDOWS)
    path = task.file("keys")
    write_parquet(path, table, row_group_rows=WINDOW_ROWS, packed=False)
    return {path: table.num_rows}


def _keep_places(curation: Curation, gate: Gate, docs: Sequence[Doc]) -> list[int]:
    """Places of documents in the order of `keep`, then doc_id; unknown values come last."""
    places = sorted(range(len(docs)), key=lambda i: docs[i].doc_id)
    for item in reversed(curation.keep):
        values = _keep_values(item.removeprefix("-"), curation, gate, docs)
        unknown = [i for i in places if values[i] is None]
        places = [i for i in places if values[i] is not None]
        places.sort(key=values.__getitem__, reverse=item.startswith("-"))
        places += unknown
    return places


def _hash(group: bytes) -> bytes:
    return hashlib.blake2b(group, digest_size=16).digest()


def _signal_table(docs: Sequence[Doc], args: PassArgs) -> pa.Table:
    """One row per document that the pass saw, a column per signal of its gates, null where nothing was measured."""
    names: dict[str, pa.DataType] = {}
    for gate in args.gates:
        for name in gate.rules.signals if gate.rules else []:
            found = args.curation.signal_def(name)
            names |= {n: pa.string() if n in found.text else pa.float64() for n in found.names}
    head = {
        "doc_id": pa.array([d.doc_id for d in docs], DOC_ID),
        "url": pa.array([d.url for d in docs], pa.string()),
        "host": pa.array([d.host for d in docs], pa.string()),
        "bytes": pa.array([d.text_bytes for d in docs], pa.int64()),
    }
    return pa.table({**head, **{n: pa.array([d.signals.get(n) for d in docs], t) for n, t in names.items()}})


def _join(
    task: Task, args: PassArgs, signals: pa.Table, decisions: pa.Table, edits: pa.Table
) -> tuple[pa.Table, pa.Table, pa.Table]:
    """The sidecars of all passes as one set: signals side by side, in input order; the others one after the other."""
    carried = (
        [pq.read_table(s.path) for s in task.inputs[len(task.inputs) - 3 * args.carried :]] if args.carried else []
    )
    tables = [*carried[0::3], signals]
    merged = tables[0]
    index = {d: i for i, d in enumerate(merged.column("doc_id").to_pylist())}
    if len(index) != merged.num_rows:
        raise StepError("two documents of this shard have the same doc_id.")
    for later in tables[1:]:
        place = {d: i for i, d in enumerate(later.column("doc_id").to_pylist())}
        take = pa.array([place.get(d) for d in index], pa.int64())
        for name in later.column_names:
            if name not in merged.column_names:
                merged = merged.append_column(name, later.column(name).take(take))
    return merged, pa.concat_tables([*carried[1::3], decisions]), pa.concat_tables([*carried[2::3], edits])


def _survivors(out: _Out) -> pa.Table:
    """The documents that are left, with the texts that edits made of them and the languages that were measured."""
    table = pa.Table.from_batches(out.batches, None if out.batches else DOCUMENT)
    keep = np.zeros(len(table), np.bool_)
    keep[out.rows] = True
    table = table.filter(pa.array(keep)) if not keep.all() else table
    columns: dict[str, list[Any]] = {
        "language": [d.language for d in out.alive],
        "language_score": [d.language_score for d in out.alive],
    }
    if out.changed:
        columns["text"] = [d.text for d in out.alive]
    for name, values in columns.items():
        at = DOCUMENT.get_field_index(name)
        table = table.set_column(at, DOCUMENT.field(name), pa.array(values, DOCUMENT.field(name).type))
    return table.cast(DOCUMENT)

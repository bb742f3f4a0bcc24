"""Adding documents to an index of earlier ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset
from pipeline.core.errors import DataError, UsageError
from pipeline.core.events import Said
from pipeline.core.files import short_hash, write_sealed
from pipeline.core.hashes import Hashes
from pipeline.core.lock import lock
from pipeline.core.seal import damage
from pipeline.core.seal import listed as listed_names
from pipeline.curate.gates import CopyGate, Curation
from pipeline.curate.repeats import find_repeats
from pipeline.curate.step import ask_all, identity
from pipeline.matching.guard import Losses
from pipeline.matching.index import (
    FORMAT,
    INDEX,
    REMOVING,
    Known,
    read_index,
    refuse_orphans,
    segment_at,
    sweep_segments,
)
from pipeline.matching.segments import add_segment


def grow_index(path: Path, curation: Curation, documents: Dataset, bench: Bench) -> dict[str, dict[str, int]]:
    """Match documents with an index (if there is one) and with each other, by the matches of a curation alone, and add them
    as one further segment for each match.

    What was added already is not added again, so the command can be repeated after a crash.

    Returns: for each match how many documents reached it, and how many of them are no copies.
    Raises: UsageError if the curation has no match; DataError if one of the documents is in the index already.
    """
    all_pass = Losses(1.0, 1.0)
    gates = tuple(CopyGate(replace(g.question, losses=all_pass)) for g in curation.gates if isinstance(g, CopyGate))
    if not gates:
        raise UsageError("an index needs a match: none of the recipe's gates is one.")
    there = path if (path / INDEX).is_file() else None
    listed: dict[str, Any] = read_index(path) if there else {"format": FORMAT, "matches": {}}
    source = short_hash([documents.content, identity(curation, gates)], 64)
    with lock(path):
        if there is None:
            refuse_orphans(path)
            write_sealed(
                path / INDEX, listed
            )  # first: what is found beside it later is left by a crash, or named in it
        sweep_segments(path, listed)
        listed.pop(REMOVING, None)  # that is done now
        try:
            if found := _added(path, listed, [g.name for g in gates], source):
                return found
        except DataError as error:
            bench.told(Said("index", f"{error} Its documents are added anew."))
            for entry in listed["matches"].values():
                entry["segments"] = [s for s in entry["segments"] if s.get("source") != source]
            write_sealed(path / INDEX, listed)
            sweep_segments(path, listed)
        return _add(path, listed, replace(curation, gates=gates, index=there), documents, source, bench)


def _added(path: Path, listed: dict[str, Any], matches: list[str], source: str) -> dict[str, dict[str, int]]:
    """What an earlier command added of the same documents, for each match; empty if none did.

    Raises: DataError if a file of that is damaged.
    """
    found = {}
    for name in matches:
        entry = listed["matches"].get(name, {"segments": []})
        for names in (s for s in entry["segments"] if s.get("source") == source):
            made = segment_at(path, names)
            for step in (made.parts, made.docs):
                if bad := damage(step, Hashes("all")):
                    raise DataError(f"{step.dir}: {listed_names([f'{n}: {what}' for n, what in bad.items()])}.")
            found[name] = {"documents": made.documents, "kept": int(made.parts.counts["kept"])}
    return found


def _add(
    path: Path, listed: dict[str, Any], curation: Curation, documents: Dataset, source: str, bench: Bench
) -> dict[str, dict[str, int]]:
    asked, _ = ask_all(curation, documents, bench, find_repeats(documents, bench))
    added = {}
    for gate, one in zip(curation.gates, asked, strict=True):
        assert isinstance(gate, CopyGate)
        call = gate.question.call
        made = add_segment(path, call, one.corpus, one.reply, one.corpus.known.get(call.name, Known()), bench)
        entry = listed["matches"].setdefault(call.name, {"match": dict(call.identity), "segments": []})
        entry["segments"].append({"parts": made.parts.dir.name, "docs": made.docs.dir.name, "source": source})
        added[call.name] = {"documents": made.documents, "kept": int(made.parts.counts["kept"])}
    write_sealed(path / INDEX, listed)
    return added

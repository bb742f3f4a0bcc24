"""Where an index of earlier documents lies, and what is in it.

An index is a folder: `index.json` names, for each match, its segments, one for every set of documents that was added, with
what that set was (`source`), so that the same set is not added twice.
A segment is two sealed datasets:

    parts  keys/<n>  (high, low, doc) ascending; doc is the place in `docs`
           sets/<n>  what pairs are compared by, for the documents that were kept, by doc
    docs   docs/00000  doc_id, url, bytes, kept, in the order of rank

Documents of the index are numbered through all segments. `kept` is the number of the document that stands for one:
itself, the one it was dropped for, or NOBODY after a removal. Dropped documents keep their keys: a new copy of a copy
then meets the same candidates as if everything were matched at once.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads

from pipeline.core.dataset import Dataset, Source, is_dataset, open_dataset
from pipeline.core.errors import RecipeError, UsageError
from pipeline.core.files import read_json, read_sealed, short_hash
from pipeline.core.registry import Call
from pipeline.core.schema import DOC_ID

FORMAT = 2
INDEX = "index.json"
REMOVING = "removing"  # of index.json: a removal that is decided, and whose old segments may still be there
SEGMENT = re.compile(r".+-\d{5}-(parts|docs)-[0-9a-f]{8}")  # the name of a segment's folder
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
        return self.docs.shard("docs", 0)


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

    @property
    def key_rows(self) -> int:
        return sum(s.parts.rows("keys") for s in self.segments)


def read_index(path: Path) -> dict[str, Any]:
    """What `index.json` says. Raises: RecipeError if there is none, or it is damaged or of another format."""
    try:
        listed: dict[str, Any] = read_sealed(path / INDEX)
    except FileNotFoundError as error:
        raise RecipeError(f"{path}: no index here (no {INDEX}). `winnow dedup index` makes one.") from error
    except ValueError as error:
        other = _format_of(path / INDEX)
        if other not in (None, FORMAT):
            raise RecipeError(f"{path}: an index of format {other}; this winnow reads {FORMAT}.") from error
        raise RecipeError(f"{path / INDEX}: damaged ({error}).") from error
    return listed


def _format_of(path: Path) -> object:
    """What an `index.json` of another winnow says of itself, None if it is no JSON at all."""
    try:
        return dict(read_json(path)).get("format")
    except (ValueError, TypeError):
        return None


def open_index(path: Path, calls: Sequence[Call]) -> dict[str, Known]:
    """The segments for each of these matches that the index has.

    Raises: RecipeError if it is no index, or was made with other parameters.
    """
    listed = read_index(path)
    found = {}
    for call in calls:
        entry = listed["matches"].get(call.name)
        if entry is None:
            continue
        if entry["match"] != dict(call.identity):
            theirs, ours = entry["match"]["params"], call.identity["params"]
            other = ", ".join(f"{n} {theirs.get(n)!r} (here {v!r})" for n, v in ours.items() if theirs.get(n) != v)
            raise RecipeError(f"{path}: made with another '{call.name}': {other or 'an older version of it'}.")
        found[call.name] = Known(tuple(segment_at(path, s) for s in entry["segments"]))
    return found


def refuse_orphans(path: Path) -> None:
    """Raises: UsageError if finished segments lie in a folder that has no index.json any more: it said what they are."""
    found = (
        sorted(p.name for p in path.iterdir() if SEGMENT.fullmatch(p.name) and is_dataset(p)) if path.is_dir() else []
    )
    if found:
        raise UsageError(
            f"{path}: {INDEX} is missing, and {len(found)} segments of an index are there ({found[0]}, ...). Put it back, or make "
            "the index anew in another folder."
        )


def sweep_segments(path: Path, listed: Mapping[str, Any]) -> None:
    """Remove segments that no `index.json` names: what a command that was killed had begun, or had replaced."""
    named = {s[kind] for entry in listed["matches"].values() for s in entry["segments"] for kind in ("parts", "docs")}
    for folder in path.iterdir():
        if folder.is_dir() and SEGMENT.fullmatch(folder.name) and folder.name not in named:
            shutil.rmtree(folder)


def segment_at(root: Path, names: dict[str, str]) -> Segment:
    return Segment(open_dataset(root / names["parts"]), open_dataset(root / names["docs"]))


def url_in_index(path: Path, doc_id: bytes) -> str | None:
    """The address of a document of an index, its doc_id in hex digits where it has none; None if it is not there, or the index
    is not."""
    if not (path / INDEX).is_file():
        return None
    wanted = pads.field("doc_id") == pa.scalar(doc_id, DOC_ID)
    for entry in read_index(path)["matches"].values():
        for names in entry["segments"]:
            table = pads.dataset(segment_at(path, names).table().path).to_table(filter=wanted, columns=["url"])
            if len(table):
                return str(table["url"][0].as_py() or doc_id.hex())
    return None

"""What a run shares with evaluation sets, item by item, and the clean part of each set."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import UsageError
from pipeline.core.files import write_bytes
from pipeline.decontaminate.sets import read_rows
from pipeline.look.run import Run, table_of


@dataclass(frozen=True)
class SetSeen:
    """How many items of a set documents contain, and how many none does."""

    set: str
    items: int
    seen: int
    clean: int


@dataclass(frozen=True)
class Holder:
    """A document that contains an item, and whether it is in the curated data."""

    url: str | None
    kept: bool


@dataclass(frozen=True)
class SeenItem:
    """An item, `SET/NUMBER`, and the documents that contain it."""

    item: str
    documents: tuple[Holder, ...]


@dataclass(frozen=True)
class Contamination:
    """Items of evaluation sets that documents of a run contain.

    Attributes:
        documents: how many contain one. sets: in order of name. items: those that were seen, in order of name.
    """

    documents: int
    sets: tuple[SetSeen, ...]
    items: tuple[SeenItem, ...]


def contamination(run: Run, sets: list[Path], *, out: Path | None = None) -> Contamination:
    """Items of evaluation sets that documents of a run contain.

    Args:
        sets: the sets that the run was measured against, as in the recipe.
        out: folder for `SET.clean.jsonl` (items that no document contains) and `SET.seen.jsonl`.

    Raises: UsageError if the run did not measure contamination.
    """
    documents, seen = _holders(run)
    sizes: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    lines: dict[str, list[str]] = defaultdict(list)
    for path in sets:
        for name, row in read_rows(path):
            of = name.rpartition("/")[0]
            sizes[of][0] += 1
            sizes[of][1] += name in seen
            if out is not None:
                lines[f"{of}.{'seen' if name in seen else 'clean'}.jsonl"].append(
                    json.dumps(row, ensure_ascii=False, default=str)
                )
    if out is not None:
        for file, rows in lines.items():
            write_bytes(out / file, ("\n".join(rows) + "\n").encode())
    return Contamination(
        documents,
        tuple(SetSeen(s, n, k, n - k) for s, (n, k) in sorted(sizes.items())),
        tuple(SeenItem(i, tuple(d)) for i, d in sorted(seen.items())),
    )


def _holders(run: Run) -> tuple[int, dict[str, list[Holder]]]:
    """Documents with an item, and for each item the documents that contain it."""
    curate = run.need("curate")
    table = table_of(curate, "signals")
    if "contaminated_items" not in table.column_names:
        raise UsageError(
            f"{run.root}: this run has no gate that looks for evaluation items (rule set `decontaminate`)."
        )
    gone = set(table_of(curate, "decisions", ["doc_id"])["doc_id"].to_pylist())
    seen: dict[str, list[Holder]] = defaultdict(list)
    columns = (table[c].to_pylist() for c in ("doc_id", "url", "contaminated_items"))
    documents = 0
    for doc_id, url, items in zip(*columns, strict=True):
        documents += bool(items)
        for item in (items or "").split():
            seen[item].append(Holder(url, doc_id not in gone))
    return documents, seen

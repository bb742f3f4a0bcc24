"""The fetch log: a JSON line for each event while the crawl runs, a Parquet file with a row for each URL at its end.

A line is a URL's fate (the fields of `Fate` that are not null), or amends the fate that it has: `{"amends": URL,
"outcome": ..., "note": ...}`. Lines are only ever appended, and the last word on a URL decides. They are flushed one
by one, so a killed crawl leaves at most its last line half-written, which readers leave out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.dataset as pads

from crawler.outcomes import Fate, Outcome
from crawler.warc import reraise
from pipeline.core.errors import DataError
from pipeline.core.files import write_parquet

FETCH_LOG = pa.schema(
    [
        pa.field("url", pa.string(), nullable=False),
        ("host", pa.string()),
        pa.field("outcome", pa.string(), nullable=False),
        ("note", pa.string()),
        ("status", pa.int32()),
        ("depth", pa.int32()),
        ("referrer", pa.string()),
        ("time", pa.timestamp("us", tz="UTC")),
        ("warc_file", pa.string()),
        ("warc_offset", pa.int64()),
        ("bytes", pa.int64()),
    ]
)
_NOTHING: dict[str, Any] = {f.name: None for f in FETCH_LOG}


class FetchLog:
    """The log of a running crawl. Of the past it keeps only which URLs it has met.

    Args:
        path: the file of lines; one that an earlier process left is begun anew, as its crawl is replayed from the WARC.
        give_up: called with the error when the file cannot be written; it never returns.
    """

    def __init__(self, path: Path, *, give_up: Callable[[OSError], NoReturn] = reraise) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.give_up = path, give_up
        self._file = open(path, "w", encoding="ascii", newline="\n")  # noqa: SIM115 - it stays open over many calls
        self._urls: set[str] = set()

    def __contains__(self, url: str) -> bool:
        return url in self._urls

    def add(self, fate: Fate) -> None:
        """The fate of a URL, instead of any that it had."""
        line = {k: v for k, v in vars(fate).items() if v is not None}
        self._append({**line, "time": fate.time.isoformat()})
        self._urls.add(fate.url)

    def amend(self, url: str, outcome: Outcome, note: str | None = None) -> None:
        """Another outcome for a URL, and another note if given; the rest stays. Raises: KeyError if the URL has no fate."""
        if url not in self._urls:
            raise KeyError(url)
        self._append({"amends": url, "outcome": outcome} | ({} if note is None else {"note": note}))

    def close(self) -> None:
        self._file.close()

    def _append(self, line: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:
            self.give_up(error)


def read_lines(path: Path) -> dict[str, Fate]:
    """The fate of every URL of a file of lines, also of one that is still being written.

    Raises: DataError naming the line, if one that is not the last is no event.
    """
    fates: dict[str, Fate] = {}
    with open(path, "rb") as f:
        for number, line in enumerate(f, 1):
            if not line.endswith(b"\n"):
                break  # half-written: its process was killed
            try:
                event = json.loads(line)
                if "amends" in event:
                    url = event.pop("amends")
                    fates[url] = replace(fates[url], **event)
                else:
                    event["time"] = datetime.fromisoformat(event["time"])
                    fates[event["url"]] = Fate(**{**_NOTHING, **event})
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(f"{path} line {number}: no event of a fetch log ({error!r}).") from error
    return fates


def seal(lines: Path, parquet: Path) -> dict[str, int]:
    """Turn a file of lines into the Parquet file: a row for each URL, sorted by URL. The lines are removed.

    Returns: how many URLs met each outcome.
    """
    fates = read_lines(lines)
    ordered = [fates[url] for url in sorted(fates)]
    write_parquet(parquet, pa.Table.from_pylist([asdict(fate) for fate in ordered], FETCH_LOG))
    lines.unlink()
    return dict(Counter(fate.outcome for fate in ordered))


def fate_of(files: Sequence[Path], url: str) -> Fate | None:
    """The row of a URL in the Parquet files of a finished crawl (`fetch/*.parquet`); None if the crawl never met it."""
    rows = _dataset(files).to_table(filter=pads.field("url") == url).to_pylist()
    return Fate(**rows[0]) if rows else None


def reasons(files: Sequence[Path], outcomes: Sequence[str]) -> list[str]:
    """What the rows of these outcomes note, each once, with the first URL that bears it."""
    table = _dataset(files).to_table(filter=pads.field("outcome").isin(list(outcomes)), columns=["url", "note"])
    first: dict[str, str] = {}
    for row in table.to_pylist():
        first.setdefault(row["note"], row["url"])
    return [f"{url}: {note}" if note else url for note, url in first.items()]


def urls_of(files: Sequence[Path]) -> list[str]:
    """Every URL that the Parquet files of a finished crawl have a row for, in their order."""
    urls: list[str] = _dataset(files).to_table(columns=["url"])["url"].to_pylist()
    return urls


def _dataset(files: Sequence[Path]) -> pads.Dataset:
    return pads.dataset([str(path) for path in files], schema=FETCH_LOG, format="parquet")

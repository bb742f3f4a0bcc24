"""How often a URL was asked for and what came of it, over all runs of a crawl: a kill neither ends nor renews its retries.

Answers are in the WARC files. Tries that brought none are in `tries.jsonl`: a JSON line each, only ever appended, flushed
one by one; a line that a kill left half-written is cut off. An answer or a failure is final when its kind is never
tried again, or when all tries are spent.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NoReturn

from crawler.outcomes import Cause
from crawler.stored import Stored
from crawler.warc import reraise

RETRY_STATUSES = frozenset({408, 429, 500, 502, 503, 504, 522, 524})  # as Scrapy's RETRY_HTTP_CODES


def wait_s(retry_after: bytes | None, *, now: datetime | None = None) -> float:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3: seconds or a date); 0 for none, or for nonsense."""
    text = (retry_after or b"").decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        then = parsedate_to_datetime(text)
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
        return max((then - (now or datetime.now(UTC))).total_seconds(), 0.0)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0


class Tries:
    """Tries of this run and of those before it.

    Args:
        path: the file of tries without an answer.
        stored: the answers of earlier runs, in their order.
        retries: further tries after a first one.
        max_wait_s: a server that wants to be left alone for longer is not asked again.
        give_up: called with the error when the file cannot be written; it never returns.
    """

    def __init__(
        self,
        path: Path,
        stored: Iterable[Stored] = (),
        *,
        retries: int,
        max_wait_s: float = 60.0,
        give_up: Callable[[OSError], NoReturn] = reraise,
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.retries, self.max_wait_s, self.give_up = path, retries, max_wait_s, give_up
        self._spent: Counter[str] = Counter()  # tries whose end was not final by its kind
        self._earlier: dict[str, Stored | Cause] = {}
        answers: dict[str, Stored] = {}
        for response in stored:
            answers[response.url] = response
            if self.passing(response.status, response.retry_after):
                self._spent[response.url] += 1
        failures, whole = _read(path)
        for url, failure in failures.items():
            self._spent[url] += failure.spent
        for url, response in answers.items():
            if not self.passing(response.status, response.retry_after) or self._spent[url] > retries:
                self._earlier[url] = response
        for url, failure in failures.items():
            answered_since = url in self._earlier and failure.number < self._spent[url] - 1
            if not answered_since and (not failure.again or self._spent[url] > retries):
                self._earlier[url] = failure.cause
        self._file = open(path, "ab")  # noqa: SIM115 - it stays open over many calls
        if self._file.tell() > whole:
            os.ftruncate(self._file.fileno(), whole)

    def passing(self, status: int, retry_after: bytes | None = None) -> bool:
        """Whether an answer is one of those that pass, so that the URL is worth another try."""
        return status in RETRY_STATUSES and wait_s(retry_after) <= self.max_wait_s

    def earlier(self, url: str) -> Stored | Cause | None:
        """What came of a URL for good in an earlier run; None if it is still to be asked for."""
        return self._earlier.get(url)

    def spent(self, url: str) -> int:
        """Tries of a URL that were made and came to nothing for good."""
        return self._spent[url]

    def answered(self, url: str, status: int, retry_after: bytes | None = None) -> None:
        """Take note of an answer that is in the WARC now."""
        if self.passing(status, retry_after):
            self._spent[url] += 1

    def failed(self, url: str, cause: Cause, *, again: bool) -> None:
        """Write down a try that brought no answer; `again` if its kind is tried again."""
        line: dict[str, Any] = {"url": url, "outcome": cause.outcome, "note": cause.note, "status": cause.status}
        line |= {"try": self._spent[url], "again": again}
        try:
            self._file.write(json.dumps(line).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            self.give_up(error)
        self._spent[url] += again

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class _Failure:
    """The last try of a URL that brought no answer: the how manyth it was, and how many like it may be followed by another."""

    cause: Cause
    number: int
    again: bool
    spent: int


def _read(path: Path) -> tuple[dict[str, _Failure], int]:
    """Failures by URL, and how many bytes of the file hold whole lines."""
    found: dict[str, _Failure] = {}
    whole = 0
    if not path.exists():
        return found, whole
    with open(path, "rb") as f:
        for line in f:
            if not line.endswith(b"\n"):
                break
            try:
                said = json.loads(line)
                url, again = said["url"], bool(said["again"])
                cause = Cause(said["outcome"], said["note"], said["status"])
                spent = again + (found[url].spent if url in found else 0)
                found[url] = _Failure(cause, int(said["try"]), again, spent)
            except (ValueError, KeyError, TypeError):
                break  # damaged: what it said is asked for again
            whole += len(line)
    return found, whole

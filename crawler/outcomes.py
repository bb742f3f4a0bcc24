"""Every fate that a URL can meet, and the record of one: a row of the fetch log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlsplit

Outcome = Literal[
    "fetched",
    "redirect",
    "http_error",
    "robots",
    "robots_unreachable",
    "crawl_delay_too_long",
    "out_of_scope",
    "depth_limit",
    "repeats",
    "page_limit",
    "content_type",
    "too_large",
    "redirect_loop",
    "timeout",
    "failed",
    "bad_url",
]

OUTCOMES: dict[Outcome, str] = {
    "fetched": "a page, stored in the WARC",
    "redirect": "an answer that points elsewhere, stored in the WARC",
    "http_error": "another HTTP status, stored in the WARC",
    "robots": "forbidden by robots.txt",
    "robots_unreachable": "robots.txt gave a server error or no answer, so nothing may be fetched (RFC 9309)",
    "crawl_delay_too_long": "the host asks for a longer delay than max_crawl_delay_s",
    "out_of_scope": "another host or path",
    "depth_limit": "further from the seeds than max_depth",
    "repeats": "found only on pages that nearly repeat earlier ones of their host, one after the other",
    "page_limit": "max_pages or max_pages_per_host was reached",
    "content_type": "not one of content_types; stopped after its headers",
    "too_large": "more than max_page_bytes",
    "redirect_loop": "more redirects than a chain may have",
    "timeout": "no whole answer in timeout_s",
    "failed": "no connection, or a broken one",
    "bad_url": "not a URL that can be fetched",
}

REDIRECTS = (301, 302, 303, 307, 308)


class Refused(Exception):
    """A request that is not made; `outcome` and `note` go to the fetch log."""

    def __init__(self, outcome: Outcome, note: str = "") -> None:
        super().__init__(note or outcome)
        self.outcome, self.note = outcome, note


@dataclass(frozen=True)
class Visit:
    """A URL that is to be fetched, and how the crawl came to it.

    Attributes:
        depth: links away from a seed; None for robots.txt.
        referrer: the page with the link; None for a seed and for robots.txt.
        chain: URLs whose redirects led here, the first one first.
    """

    url: str
    depth: int | None = None
    referrer: str | None = None
    chain: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """A response that is in the WARC.

    Attributes:
        bytes: of the body as it was received, content encoding included.
        warc_file, warc_offset: where its record begins; the offset in bytes.
        location: the Location header of a redirect; None for any other answer.
        target: the URL that `location` means, seen from the visited one.
    """

    status: int
    bytes: int
    warc_file: str
    warc_offset: int
    location: str | None = None
    target: str | None = None


@dataclass(frozen=True)
class Fate:
    """One row of the fetch log: what became of a URL. `time` is when that was known, in UTC."""

    url: str
    host: str
    outcome: Outcome
    note: str
    status: int | None
    depth: int | None
    referrer: str | None
    time: datetime
    warc_file: str | None
    warc_offset: int | None
    bytes: int | None


def fate_without_page(visit: Visit, outcome: Outcome, note: str = "", *, status: int | None = None) -> Fate:
    """The fate, as of now, of a URL that brought nothing into the WARC."""
    return _fate(visit, outcome, note, status, None, None, None)


def fate_of_answer(visit: Visit, answer: Answer) -> Fate:
    """The fate, as of now, of a URL that was answered: `fetched`, `redirect`, `redirect_loop` or `http_error`.

    A redirect back into its own chain is a loop, however short the chain is.
    """
    outcome: Outcome
    if answer.location is not None:
        outcome = "redirect_loop" if answer.target in (*visit.chain, visit.url) else "redirect"
        note = answer.location
    elif answer.status == 200:
        outcome, note = "fetched", ""
    else:
        outcome, note = "http_error", f"HTTP {answer.status}"
    return _fate(visit, outcome, note, answer.status, answer.warc_file, answer.warc_offset, answer.bytes)


def _fate(
    visit: Visit,
    outcome: Outcome,
    note: str,
    status: int | None,
    file: str | None,
    offset: int | None,
    size: int | None,
) -> Fate:
    host = urlsplit(visit.url).hostname or ""
    now = datetime.now(UTC)
    return Fate(visit.url, host, outcome, note, status, visit.depth, visit.referrer, now, file, offset, size)

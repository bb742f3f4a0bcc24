"""Every fate that a URL can meet, and the record of one: a row of the fetch log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlsplit

Outcome = Literal[
    "fetched",
    "robots_file",
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
    "url_too_long",
    "equivalent",
]

OUTCOMES: dict[Outcome, str] = {
    "fetched": "a page, stored in the WARC",
    "robots_file": "a host's robots.txt, stored in the WARC; no page",
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
    "bad_url": "not a URL that can be fetched, or one that names a user",
    "url_too_long": "more characters than a URL may have",
    "equivalent": "the same as another URL but for the order of its query or its escapes; the note names that one",
}

MAX_NOTE_CHARS = 1_000
MAX_STATUS = 2**31 - 1
REDIRECTS = (301, 302, 303, 307, 308)


class Refused(Exception):
    """A request that is not made; `outcome` and `note` go to the fetch log."""

    def __init__(self, outcome: Outcome, note: str = "") -> None:
        super().__init__(note or outcome)
        self.outcome, self.note = outcome, note


@dataclass(frozen=True)
class Cause:
    """Why a request brought no whole answer, as the fetch log says it."""

    outcome: Outcome
    note: str = ""
    status: int | None = None


@dataclass(frozen=True)
class Visit:
    """A URL that is to be fetched, and how the crawl came to it.

    Attributes:
        depth: links away from a seed; None for robots.txt.
        referrer: the page with the link; None for a seed and for robots.txt.
        chain: URLs whose redirects led here, the first one first.
        robots: it is a host's robots.txt, which is no page.
    """

    url: str
    depth: int | None = None
    referrer: str | None = None
    chain: tuple[str, ...] = ()
    robots: bool = False


@dataclass(frozen=True)
class Answer:
    """A response that is in the WARC.

    Attributes:
        bytes: of the body as it was received, content encoding included.
        warc_file, warc_offset: where its record begins; the offset in bytes.
        location: the Location header of a redirect; None for any other answer.
        target: the URL that `location` means, seen from the visited one; None if it means none.
        truncated: why the body is not whole; "" where it is.
    """

    status: int
    bytes: int
    warc_file: str
    warc_offset: int
    location: str | None = None
    target: str | None = None
    truncated: str = ""


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
    """The fate, as of now, of a URL that was answered: `fetched`, `robots_file`, `redirect`, `redirect_loop`, `http_error`.

    A redirect back into its own chain is a loop, however short the chain is.
    """
    outcome: Outcome
    if answer.location is not None:
        outcome = "redirect_loop" if answer.target in (*visit.chain, visit.url) else "redirect"
        note = answer.location
    elif answer.status == 200:
        outcome = "robots_file" if visit.robots else "fetched"
        note = f"cut off ({answer.truncated})" if answer.truncated else ""
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
    now = datetime.now(UTC)
    status = status if status is None or abs(status) <= MAX_STATUS else None  # what an HTTP status never is
    url, referrer, note = clean(visit.url), visit.referrer and clean(visit.referrer), clean(note)[:MAX_NOTE_CHARS]
    return Fate(url, host_of(visit.url), outcome, note, status, visit.depth, referrer, now, file, offset, size)


def host_of(url: str) -> str:
    """The host of a URL in lower case, without its port; "" where there is none, or no telling."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_robots_txt(url: str) -> bool:
    """Whether a URL is that of its host's robots.txt."""
    return urlsplit(url).path == "/robots.txt"


def clean(text: str) -> str:
    """A text that UTF-8 can hold: half of a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")

"""`[crawl]`. Imports no Scrapy."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pipeline import __version__
from pipeline.core.errors import RecipeError

AGENT = "winnow"
DEFAULT_USER_AGENT = f"{AGENT}/{__version__} (crawler for language-model training data; operator has set no contact)"


@dataclass(frozen=True)
class CrawlConfig:
    """`[crawl]`: seeds to WARC files. A recipe whose documents come from files has `[extract] inputs` instead.

    Attributes:
        seeds: URLs, or paths of files with a URL a line.
        hosts: hosts that may be fetched; empty: the hosts of the seeds.
        path_prefixes: where given, a URL's path must start with one of them (seeds and robots.txt excepted).
        max_depth: links away from a seed; 0 fetches the seeds alone.
        max_pages: pages that may be stored, redirects and errors not counted.
        max_pages_per_host: the same for one host; 0 for no limit.
        delay_s: seconds between requests to one host; a longer Crawl-delay in robots.txt wins.
        max_crawl_delay_s: a host that asks for more than this is not crawled.
        concurrency_per_host: requests under way to one host; with a delay they are still that far apart.
        timeout_s: seconds for one response.
        retries: further tries after a timeout, a broken connection or a 5xx or 429 answer; a Retry-After is waited for, and one of
            more than max_crawl_delay_s ends them.
        max_page_bytes: a longer body is cut off and recorded as too_large.
        content_types: what is downloaded; anything else is stopped after its headers.
        contact: your e-mail or URL for the user agent; site owners will want it.
        user_agent: replaces the whole user agent; its first word is what robots.txt groups are matched with.
        repeats: after so many pages of a host in a row that nearly repeat an earlier page of it (SimHash, at most 3 of 64 bits
            differ), links on further such pages are not followed: a calendar or a shop's filters without end; 0: never.
        proxy: URL of an HTTP proxy that all requests go through.
        warc_bytes: a WARC file is closed when it gets larger.
    """

    seeds: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    path_prefixes: list[str] = field(default_factory=list)
    max_depth: int = 10
    max_pages: int = 10_000
    max_pages_per_host: int = 0
    delay_s: float = 1.0
    max_crawl_delay_s: float = 60.0
    concurrency_per_host: int = 1
    timeout_s: float = 30.0
    retries: int = 2
    max_page_bytes: int = 10_000_000
    content_types: list[str] = field(default_factory=lambda: ["text/html", "application/xhtml+xml", "text/plain"])
    contact: str = ""
    user_agent: str = ""
    repeats: int = 0
    proxy: str = ""
    warc_bytes: int = 1_000_000_000

    def __post_init__(self) -> None:
        for name in ("delay_s", "timeout_s", "max_depth", "max_pages", "retries", "repeats"):
            if getattr(self, name) < 0:
                raise RecipeError(f"crawl.{name}: {getattr(self, name)} is negative.")
        if self.proxy and urlsplit(self.proxy).scheme not in ("http", "https"):
            raise RecipeError(f"crawl.proxy: {self.proxy!r} is no http:// or https:// URL.")

    @property
    def agent(self) -> str:
        """The User-Agent header."""
        if self.user_agent:
            return self.user_agent
        return f"{AGENT}/{__version__} (+{self.contact})" if self.contact else DEFAULT_USER_AGENT

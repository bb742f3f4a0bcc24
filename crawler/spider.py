"""The spider: follows links inside the scope and records one fate per URL."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from scrapy import Request, Spider
from scrapy.exceptions import StopDownload
from scrapy.http import HtmlResponse, Response
from scrapy.linkextractors import LinkExtractor
from scrapy.utils.httpobj import urlparse_cached
from twisted.python.failure import Failure

from crawler.config import CrawlConfig
from crawler.middleware import Refused
from crawler.repeats import Repeats
from crawler.warc import Stored

OUTCOMES = {
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


class CrawlSpider(Spider):
    name = "winnow"

    def __init__(self, config: CrawlConfig, seeds: list[str], replay: dict[str, Stored], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config, self.seeds, self.replay = config, seeds, replay
        self.hosts = {h.lower() for h in config.hosts} or {(urlsplit(s).hostname or "") for s in seeds}
        self.links = LinkExtractor(tags=("a", "area", "iframe", "frame"), attrs=("href", "src"), deny_extensions=[])
        self.log_rows: dict[str, dict[str, Any]] = {}
        self.known: set[str] = set()
        self.under_way: set[str] = set()
        self.per_host: Counter[str] = Counter()
        self.pages: set[str] = set()
        self.schemes: dict[str, str] = {}  # host -> scheme of its first page
        self.repeats = Repeats(config.repeats) if config.repeats else None

    async def start(self) -> AsyncIterator[Request]:
        for url in self.seeds:
            yield self._request(url, depth=0, referrer=None)

    def _request(self, url: str, *, depth: int, referrer: str | None) -> Request:
        meta = {"depth_of": depth, "referrer": referrer, "seed": depth == 0}
        return Request(
            url, callback=self.parse, errback=self.failed, meta=meta, priority=-depth, dont_filter=depth == 0
        )

    def in_scope(self, url: str, *, seed: bool = False) -> bool:
        """Whether host and path may be fetched; a seed may lie outside the path prefixes."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            return False
        host, port = (parts.hostname or "").lower(), parts.port
        if host not in self.hosts and f"{host}:{port}" not in self.hosts:
            return False
        prefixes = self.config.path_prefixes
        return seed or not prefixes or any((parts.path or "/").startswith(p) for p in prefixes)

    def reserve(self, request: Request) -> None:
        """Count a page against the limits before it is fetched; given back if it is no page after all."""
        url = request.url
        if url in self.under_way:
            return  # a retry
        host = urlparse_cached(request).hostname or ""
        per_host = self.config.max_pages_per_host
        full = len(self.pages | self.under_way) >= self.config.max_pages
        if full or (per_host and self.per_host[host] >= per_host):
            raise Refused("page_limit")
        self.under_way.add(url)
        self.per_host[host] += 1

    def _release(self, url: str, *, page: bool) -> None:
        if url in self.under_way:
            self.under_way.discard(url)
            if page:
                self.pages.add(url)
            else:
                self.per_host[urlsplit(url).hostname or ""] -= 1

    def record_response(self, request: Request, response: Response, file: str, offset: int) -> None:
        """One answer that is in the WARC. Redirects and errors give their place in the limits back."""
        location = response.headers.get("Location")
        if response.status in (301, 302, 303, 307, 308) and location:
            outcome, note = "redirect", location.decode("latin-1")
            chain = [*request.meta.get("redirect_urls", []), request.url]
            if response.urljoin(note) in chain:
                outcome = "redirect_loop"
                for url in chain[:-1]:
                    self.log_rows[url]["outcome"] = outcome
        elif response.status == 200:
            outcome, note = "fetched", ""
        else:
            outcome, note = "http_error", f"HTTP {response.status}"
        self._release(request.url, page=outcome == "fetched")
        self._record(
            request, outcome, note, status=response.status, warc_file=file, warc_offset=offset, bytes=len(response.body)
        )

    def _record(self, request: Request, outcome: str, note: str = "", **facts: Any) -> None:
        self.log_rows[request.url] = {
            "url": request.url,
            "host": urlsplit(request.url).hostname or "",
            "outcome": outcome,
            "note": note,
            "depth": request.meta.get("depth_of"),
            "referrer": request.meta.get("referrer"),
            "time": datetime.now(UTC),
            "status": None,
            "warc_file": None,
            "warc_offset": None,
            "bytes": None,
            **facts,
        }

    def parse(self, response: Response) -> Iterator[Request]:
        """Follow the links of an HTML page."""
        assert response.request is not None
        if response.status != 200 or not isinstance(response, HtmlResponse):
            return
        here = urlsplit(response.url)
        self.schemes.setdefault(here.netloc, here.scheme)
        depth = response.meta["depth_of"] + 1
        astray = self.repeats is not None and self.repeats.astray(here.netloc, response.text)
        for link in self.links.extract_links(response):
            url = self.one_scheme(link.url.split("#")[0])
            if url in self.known or urlsplit(url).scheme not in ("http", "https"):
                continue
            request = self._request(url, depth=depth, referrer=response.url)
            if astray:  # not known yet: a page that repeats nothing may still lead there
                self._once(request, "repeats")
                continue
            self.known.add(url)
            if not self.in_scope(url):
                self._once(request, "out_of_scope")
            elif depth > self.config.max_depth:
                self._once(request, "depth_limit")
            else:
                yield request

    def one_scheme(self, url: str) -> str:
        """The URL with the scheme of its host's first page: http and https of a host are one site, crawled once."""
        parts = urlsplit(url)
        scheme = self.schemes.get(parts.netloc, parts.scheme)
        if parts.scheme in ("http", "https") and scheme != parts.scheme:
            return parts._replace(scheme=scheme).geturl()
        return url

    def _once(self, request: Request, outcome: str) -> None:
        if request.url not in self.log_rows:
            self._record(request, outcome)

    def failed(self, failure: Failure) -> None:
        """A request that brought no response, after all retries."""
        request: Request = failure.request  # type: ignore[attr-defined]
        self._release(request.url, page=False)
        error = failure.value
        if isinstance(error, Refused):
            if error.outcome == "page_limit" and request.url in self.log_rows:
                return
            self._record(request, error.outcome, error.note)
        elif isinstance(error, StopDownload):
            self._record(request, "content_type", _content_type(error), status=_status(error))
        elif type(error).__name__ == "DownloadCancelledError" or "maxsize" in str(error).lower():
            self._record(request, "too_large", f"more than {self.config.max_page_bytes:,} bytes")
        elif "redirection" in str(error).lower():
            self._note_loop(request)
        elif "timeout" in type(error).__name__.lower():  # Twisted's, and Scrapy's own since 2.14
            self._record(request, "timeout", f"no whole answer in {self.config.timeout_s:g} s")
        elif isinstance(error, ValueError):
            self._record(request, "bad_url", str(error)[:200])
        else:
            self._record(request, "failed", f"{type(error).__name__}: {error}"[:200])

    def _note_loop(self, request: Request) -> None:
        first = (request.meta.get("redirect_urls") or [request.url])[0]
        row = self.log_rows.get(first)
        if row is not None:
            row.update(outcome="redirect_loop", note=f"gave up after {len(request.meta.get('redirect_urls', []))}")
        else:
            self._record(request, "redirect_loop")


def _content_type(error: StopDownload) -> str:
    response = getattr(error, "response", None)
    value = response.headers.get("Content-Type") if response is not None else None
    return value.decode("latin-1") if value else "none given"


def _status(error: StopDownload) -> int | None:
    response = getattr(error, "response", None)
    return response.status if response is not None else None

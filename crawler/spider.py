"""The spider: follows links inside the scope. What became of a URL it tells the ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

from scrapy import Request, Spider
from scrapy.http import HtmlResponse, Response
from scrapy.linkextractors import LinkExtractor
from twisted.python.failure import Failure

from crawler.bridge import Parts, visit_of
from crawler.failures import cause_of
from crawler.repeats import Repeats
from crawler.scope import SCHEMES


class CrawlSpider(Spider):
    name = "winnow"

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.parts = parts
        self.links = LinkExtractor(tags=("a", "area", "iframe", "frame"), attrs=("href", "src"), deny_extensions=[])
        self.known: set[str] = set()
        self.repeats = Repeats(parts.config.repeats) if parts.config.repeats else None

    async def start(self) -> AsyncIterator[Request]:
        for url in self.parts.seeds:
            yield self._request(url, depth=0, referrer=None)

    def _request(self, url: str, *, depth: int, referrer: str | None) -> Request:
        meta = {"depth_of": depth, "referrer": referrer, "seed": depth == 0}
        return Request(
            url, callback=self.parse, errback=self.failed, meta=meta, priority=-depth, dont_filter=depth == 0
        )

    def parse(self, response: Response) -> Iterator[Request]:
        """Follow the links of an HTML page."""
        assert response.request is not None
        if response.status != 200 or not isinstance(response, HtmlResponse):
            return
        parts = self.parts
        parts.schemes.met(response.url)
        depth = response.meta["depth_of"] + 1
        astray = self.repeats is not None and self.repeats.astray(urlsplit(response.url).netloc, response.text)
        for link in self.links.extract_links(response):
            url = parts.schemes.one_scheme(link.url.split("#")[0])
            if url in self.known or urlsplit(url).scheme not in SCHEMES:
                continue
            request = self._request(url, depth=depth, referrer=response.url)
            if astray:  # not known yet: a page that repeats nothing may still lead there
                parts.ledger.unasked(visit_of(request), "repeats")
                continue
            self.known.add(url)
            if not parts.scope.allows(url):
                parts.ledger.unasked(visit_of(request), "out_of_scope")
            elif depth > parts.config.max_depth:
                parts.ledger.unasked(visit_of(request), "depth_limit")
            else:
                yield request

    def failed(self, failure: Failure) -> None:
        """A request that brought no response, after all retries."""
        visit = visit_of(failure.request)  # type: ignore[attr-defined]
        assert failure.value is not None
        cause = cause_of(failure.value, self.parts.config)
        if cause.outcome == "redirect_loop":
            self.parts.ledger.endless(visit)
        else:
            self.parts.ledger.unanswered(visit, cause.outcome, cause.note, status=cause.status)

"""The spider: follows links inside the scope. What became of a URL it tells the ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

from scrapy import Request, Spider
from scrapy.http import HtmlResponse, Response
from twisted.python.failure import Failure

from crawler.bridge import Parts, visit_of
from crawler.failures import cause_of
from crawler.links import links_of, page_of, resolved
from crawler.outcomes import Visit, is_robots_txt
from crawler.repeats import Repeats


class CrawlSpider(Spider):
    name = "winnow"

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.parts = parts
        self.known: set[str] = set()
        self.repeats = Repeats(parts.config.repeats) if parts.config.repeats else None

    async def start(self) -> AsyncIterator[Request]:
        for seed in self.parts.seeds:
            link = resolved(seed, "")
            assert link is not None  # seeds were read and checked when the step was planned
            yield self._request(Visit(link.url, depth=0))

    def _request(self, visit: Visit) -> Request:
        depth = visit.depth or 0
        meta = {"depth_of": depth, "referrer": visit.referrer, "seed": depth == 0}
        return Request(visit.url, callback=self.parse, errback=self.failed, meta=meta, priority=-depth)

    def parse(self, response: Response) -> Iterator[Request]:
        """Follow the links of an HTML page. A page that cannot be read is one page: the crawl goes on."""
        assert response.request is not None
        if response.status != 200 or not isinstance(response, HtmlResponse):
            return
        try:
            yield from self._follow(response)
        except Exception as error:  # noqa: BLE001 - nothing that stands in a page may stop the crawl or go unsaid
            self.parts.ledger.unread(visit_of(response.request), f"{type(error).__name__}: {error}")

    def _follow(self, response: Response) -> Iterator[Request]:
        parts = self.parts
        parts.schemes.met(response.url)
        depth = response.meta["depth_of"] + 1
        page = page_of(response.body, (response.headers.get("Content-Type") or b"").decode("latin-1"))
        astray = self.repeats is not None and self.repeats.astray(urlsplit(response.url).netloc, page.text)
        for link in links_of(page, response.url):
            if link.outcome is not None:
                parts.ledger.unasked(Visit(link.url, depth, response.url), link.outcome, link.note)
                continue
            url = parts.schemes.one_scheme(link.url)
            if url in self.known or (is_robots_txt(url) and url in parts.ledger.log):
                continue
            visit = Visit(url, depth, response.url)
            if astray:  # not known yet: a page that repeats nothing may still lead there
                parts.ledger.unasked(visit, "repeats")
                continue
            self.known.add(url)
            if not parts.scope.allows(url):
                parts.ledger.unasked(visit, "out_of_scope")
            elif depth > parts.config.max_depth:
                parts.ledger.unasked(visit, "depth_limit")
            else:
                yield self._request(visit)

    def failed(self, failure: Failure) -> None:
        """A request that brought no response, after all retries."""
        visit = visit_of(failure.request)  # type: ignore[attr-defined]
        assert failure.value is not None
        cause = cause_of(failure.value, self.parts.config)
        if cause.outcome == "redirect_loop":
            self.parts.ledger.endless(visit)
        else:
            self.parts.ledger.unanswered(visit, cause.outcome, cause.note, status=cause.status)

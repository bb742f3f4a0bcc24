"""What stands between the spider and the network, outermost first: scope, robots.txt, limits, what a response may be,
replay, pauses, WARC. Thin: each asks a plain object of the crawl, and says to Scrapy what that said.
"""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from scrapy import Request, Spider
from scrapy.downloadermiddlewares.redirect import RedirectMiddleware
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.exceptions import DownloadCancelledError, IgnoreRequest, StopDownload
from scrapy.http import Headers, Response
from scrapy.responsetypes import responsetypes
from scrapy.utils.misc import load_object
from twisted.internet.defer import Deferred
from w3lib.url import safe_url_string

from crawler.bridge import Parts, for_robots_txt, parts_of, visit_of
from crawler.coding import Bomb, plain
from crawler.failures import DecompressedTooLarge, FailedBefore, RedirectLimitReached, RefusedRequest, cause_of
from crawler.links import problem
from crawler.outcomes import REDIRECTS, Answer, Refused, Visit
from crawler.robots import MAX_BYTES, Rules
from crawler.stored import Stored
from crawler.tries import RETRY_STATUSES, wait_s
from crawler.warc import Exchange

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

REPLAYED = "replayed"
TRUNCATED = {"dataloss": "disconnect", "download_stopped": "length"}  # Scrapy's flags; the words of WARC 1.1, 5.13


class ScopeMiddleware:
    """Refuses what is out of scope or no URL to be asked for; redirect targets pass here as well."""

    def __init__(self, parts: Parts) -> None:
        self.scope = parts.scope

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ScopeMiddleware:
        return cls(parts_of(crawler))

    def process_request(self, request: Request) -> None:
        if for_robots_txt(request):
            return
        outcome, note = problem(request.url)
        if outcome is not None:
            raise RefusedRequest(Refused(outcome, note))
        if not self.scope.allows(request.url, seed=bool(request.meta.get("seed"))):
            raise RefusedRequest(Refused("out_of_scope"))


class LimitMiddleware:
    """Counts pages against the limits, once robots.txt has allowed them."""

    def __init__(self, parts: Parts) -> None:
        self.budget = parts.budget

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> LimitMiddleware:
        return cls(parts_of(crawler))

    def process_request(self, request: Request) -> None:
        if for_robots_txt(request):
            return
        try:
            self.budget.reserve(request.url)
        except Refused as refused:
            raise RefusedRequest(refused) from refused


class RobotsMiddleware(RobotsTxtMiddleware):
    """robots.txt as RFC 9309 wants it, and Crawl-delay.

    4xx: everything is allowed. 5xx, timeout or no connection: nothing is (2.3.1.4), where Scrapy allows everything.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self.parts = parts_of(crawler)
        self.rules: dict[str, Rules] = {}
        self.unreachable: dict[str, str] = {}
        self.too_slow: dict[str, float] = {}

    async def process_request(self, request: Request, spider: Spider | None = None) -> None:
        if for_robots_txt(request):
            request.meta["download_maxsize"] = 0  # a larger one is cut, not refused
            return
        await self.robot_parser(request)
        netloc = urlsplit(request.url).netloc
        if netloc in self.unreachable:
            raise RefusedRequest(Refused("robots_unreachable", self.unreachable[netloc]))
        if netloc in self.too_slow:
            raise RefusedRequest(Refused("crawl_delay_too_long", f"Crawl-delay: {self.too_slow[netloc]:g}"))
        if netloc in self.rules and not self.rules[netloc].allow(request.url):
            raise RefusedRequest(Refused("robots", f"forbidden by {urljoin(request.url, '/robots.txt')}"))

    async def _parse_robots(self, response: Response, netloc: str, request: Request) -> None:
        if response.status >= 500 or response.status == 429:
            self.unreachable[netloc] = f"robots.txt: HTTP {response.status}"
        elif response.status == 200:
            rules = Rules(response.body, self.parts.config.agent)
            self._slow_down(request, rules.delay_s)
            self.rules[netloc] = rules
        self._done(netloc)

    def _slow_down(self, request: Request, delay_s: float | None) -> None:
        if delay_s is None:
            return
        if delay_s > self.parts.config.max_crawl_delay_s:
            self.too_slow[urlsplit(request.url).netloc] = delay_s
            return
        engine = self.crawler.engine
        assert engine is not None
        downloader = engine.downloader
        key = downloader.get_slot_key(request)
        slow = {"concurrency": 1, "delay": max(delay_s, self.parts.config.delay_s, 0.001), "jitter": 0.0}
        downloader.per_slot_settings[key] = slow  # slots are made anew after a minute without requests
        if key in downloader.slots:
            downloader.slots[key].delay, downloader.slots[key].concurrency = slow["delay"], 1

    def _robots_error(self, exc: Exception, netloc: str) -> None:
        cause = cause_of(exc, self.parts.config)
        self.unreachable[netloc] = f"robots.txt: {cause.outcome}" + (f" ({cause.note})" if cause.note else "")
        self._done(netloc)

    def _done(self, netloc: str) -> None:
        """Let the requests go on that wait for the rules."""
        waiting = self._parsers[netloc]
        self._parsers[netloc] = None
        if isinstance(waiting, Deferred):
            waiting.callback(None)


class TypedRedirectMiddleware(RedirectMiddleware):
    """Scrapy's, but the end of its patience has a type, and a Location that is no URL has a fate."""

    def process_response(
        self, request: Request, response: Response, spider: Spider | None = None
    ) -> Request | Response:
        try:
            return super().process_response(request, response)
        except IgnoreRequest as error:  # the limit is all that it ignores
            raise RedirectLimitReached(str(error)) from error
        except ValueError as error:
            visit = visit_of(request)
            target = Visit(_location(response) or "", visit.depth, visit.referrer, (*visit.chain, visit.url))
            parts_of(self.crawler).ledger.unasked(target, "bad_url", str(error))
            return response


class DecodingMiddleware:
    """Bodies without their content encoding, by what the bytes are."""

    def __init__(self, parts: Parts) -> None:
        self.max_bytes = parts.config.max_page_bytes

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> DecodingMiddleware:
        return cls(parts_of(crawler))

    def process_request(self, request: Request) -> None:
        request.headers.setdefault("Accept-Encoding", "gzip, deflate, br, zstd")

    def process_response(self, request: Request, response: Response) -> Response:
        robots = for_robots_txt(request)
        limit = MAX_BYTES + 1 if robots else self.max_bytes  # one more: a cut one shows
        try:
            body = plain(response.body, response.headers.getlist("Content-Encoding"), max_bytes=limit, cut=robots)
        except Bomb as bomb:
            raise DecompressedTooLarge(str(bomb)) from bomb
        headers = Headers(response.headers)
        headers.pop("Content-Encoding", None)
        kind = responsetypes.from_args(headers=headers, url=response.url, body=body)
        return response.replace(cls=kind, headers=headers, body=body)


class ReplayMiddleware:
    """Answers what an earlier run of the same crawl has fetched, or tried in vain for good; nothing is asked for twice.

    What that run would have tried again is asked for, and the tries that it made count.
    """

    def __init__(self, parts: Parts) -> None:
        self.tries = parts.tries

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ReplayMiddleware:
        return cls(parts_of(crawler))

    def process_request(self, request: Request) -> Response | None:
        earlier = self.tries.earlier(request.url)
        spent = request.meta["retry_times"] = self.tries.spent(request.url)
        # A body that is cut off is worth another try; of the last one it is kept as it is.
        request.meta["download_fail_on_dataloss"] = spent < self.tries.retries
        if earlier is None:
            return None
        if not isinstance(earlier, Stored):
            raise FailedBefore(earlier)
        request.meta["retry_times"] = self.tries.retries
        request.meta["stored"] = earlier
        pairs, body = earlier.read()
        headers = Headers()
        for name, value in pairs:
            headers.appendlist(name, value)
        kind = responsetypes.from_args(headers=headers, url=earlier.url, body=body)
        return kind(earlier.url, status=earlier.status, headers=headers, body=body, flags=[REPLAYED])


class PauseMiddleware:
    """Leaves a host alone for as long as its Retry-After says, but no longer than max_crawl_delay_s."""

    def __init__(self, parts: Parts) -> None:
        self.max_s = parts.config.max_crawl_delay_s
        self.until: dict[str, float] = {}

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> PauseMiddleware:
        return cls(parts_of(crawler))

    async def process_request(self, request: Request) -> None:
        netloc = urlsplit(request.url).netloc
        while (left := self.until.get(netloc, 0.0) - time.monotonic()) > 0:
            await asyncio.sleep(left)

    def process_response(self, request: Request, response: Response) -> Response:
        if response.status in (429, 503) and REPLAYED not in response.flags:
            asked = min(wait_s(response.headers.get("Retry-After")), self.max_s)
            netloc = urlsplit(request.url).netloc
            self.until[netloc] = max(self.until.get(netloc, 0.0), time.monotonic() + asked)
        return response


class WarcMiddleware:
    """Nearest to the network: writes down what was sent and received, before decoding and redirects, and what failed."""

    def __init__(self, parts: Parts, crawler: Crawler) -> None:
        self.parts = parts
        self.again = tuple(load_object(name) for name in crawler.settings.getlist("RETRY_EXCEPTIONS"))

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> WarcMiddleware:
        return cls(parts_of(crawler), crawler)

    def process_response(self, request: Request, response: Response) -> Response:
        visit, tries = visit_of(request), self.parts.tries
        if REPLAYED in response.flags:
            stored: Stored = request.meta["stored"]
            answer = _answer(request, response, stored.file, stored.offset, stored.truncated)
        else:
            truncated = next((word for flag, word in TRUNCATED.items() if flag in response.flags), "")
            answer = _answer(request, response, *self.parts.warc.write(self._exchange(request, response)), truncated)
            tries.answered(request.url, response.status, response.headers.get("Retry-After"))
        if response.status in RETRY_STATUSES and not tries.passing(
            response.status, response.headers.get("Retry-After")
        ):
            request.meta["dont_retry"] = True  # it wants to be left alone for longer than we wait
        self.parts.ledger.answered(visit, answer)
        return response

    def process_exception(self, request: Request, exception: Exception) -> None:
        again = isinstance(exception, self.again)
        if again or isinstance(exception, (StopDownload, DownloadCancelledError)):
            self.parts.tries.failed(request.url, cause_of(exception, self.parts.config), again=again)

    def _exchange(self, request: Request, response: Response) -> Exchange:
        parts = urlsplit(request.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Exchange(
            request.url,
            request_line=f"{request.method} {target} HTTP/1.1".encode("utf-8", "replace"),
            request_headers=[(b"Host", parts.netloc.encode("utf-8", "replace")), *_pairs(request.headers)],
            status_line=_status_line(response.status),
            headers=_pairs(response.headers),
            body=response.body,
            ip=str(response.ip_address) if response.ip_address and not self.parts.config.proxy else None,
            truncated=next((word for flag, word in TRUNCATED.items() if flag in response.flags), ""),
        )


def _answer(request: Request, response: Response, file: str, offset: int, truncated: str) -> Answer:
    location = _location(response) if response.status in REDIRECTS else None
    target = None
    if location is not None:
        try:
            target = urljoin(request.url, safe_url_string(response.headers["Location"] or b""))
        except ValueError:
            target = None
    return Answer(response.status, len(response.body), file, offset, location, target, truncated)


def _location(response: Response) -> str | None:
    header = response.headers.get("Location")
    if not header:
        return None
    try:
        return header.decode("utf-8")
    except UnicodeDecodeError:
        return header.decode("latin-1")


def _pairs(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, values in headers.items() for value in values]


def _status_line(status: int) -> bytes:
    try:
        return f"{status} {HTTPStatus(status).phrase}".encode()
    except ValueError:
        return f"{status} Unknown".encode()

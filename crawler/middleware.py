"""What stands between the spider and the network, outermost first: scope, robots.txt, limits, what a response may be,
replay, WARC. Thin: each asks a plain object of the crawl, and says to Scrapy what that said.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from protego import Protego
from scrapy import Request, Spider
from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.downloadermiddlewares.redirect import RedirectMiddleware
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Headers, Response
from scrapy.responsetypes import responsetypes
from scrapy.utils.misc import build_from_crawler
from twisted.internet.defer import Deferred

from crawler.bridge import Parts, for_robots_txt, parts_of, visit_of
from crawler.failures import DecompressedTooLarge, RedirectLimitReached, RefusedRequest
from crawler.outcomes import REDIRECTS, Answer, Refused
from crawler.warc import Stored

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

ROBOTS_MAX_BYTES = 512_000  # RFC 9309 2.5: parse at least 500 KiB
REPLAYED = "replayed"


class ScopeMiddleware:
    """Refuses what is out of scope; redirect targets pass here as well."""

    def __init__(self, parts: Parts) -> None:
        self.scope = parts.scope

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ScopeMiddleware:
        return cls(parts_of(crawler))

    def process_request(self, request: Request) -> None:
        if not for_robots_txt(request) and not self.scope.allows(request.url, seed=bool(request.meta.get("seed"))):
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
        self.settings = crawler.settings
        self.unreachable: dict[str, str] = {}
        self.too_slow: dict[str, float] = {}

    async def process_request(self, request: Request, spider: Spider | None = None) -> None:
        if for_robots_txt(request):
            return
        parser = await self.robot_parser(request)
        netloc = urlsplit(request.url).netloc
        if netloc in self.unreachable:
            raise RefusedRequest(Refused("robots_unreachable", self.unreachable[netloc]))
        if netloc in self.too_slow:
            raise RefusedRequest(Refused("crawl_delay_too_long", f"Crawl-delay: {self.too_slow[netloc]:g}"))
        if parser is not None and not parser.allowed(request.url, self.settings["USER_AGENT"]):
            raise RefusedRequest(Refused("robots", "forbidden by robots.txt"))

    async def _parse_robots(self, response: Response, netloc: str, request: Request) -> None:
        waiting = self._parsers[netloc]
        assert isinstance(waiting, Deferred)
        parser = None
        if response.status >= 500 or response.status == 429:
            self.unreachable[netloc] = f"robots.txt: HTTP {response.status}"
        elif response.status == 200:
            body = response.body[:ROBOTS_MAX_BYTES]
            self._slow_down(request, body)
            parser = build_from_crawler(self._parserimpl, self.crawler, body)
        self._parsers[netloc] = parser
        waiting.callback(parser)

    def _slow_down(self, request: Request, body: bytes) -> None:
        delay = Protego.parse(body.decode("utf-8", "replace")).crawl_delay(self.settings["USER_AGENT"])
        if delay is None:
            return
        if delay > self.settings.getfloat("WINNOW_MAX_CRAWL_DELAY"):
            self.too_slow[urlsplit(request.url).netloc] = float(delay)
            return
        downloader = self.crawler.engine.downloader
        key = downloader.get_slot_key(request)
        slow = {"concurrency": 1, "delay": max(float(delay), self.settings.getfloat("DOWNLOAD_DELAY")), "jitter": 0.0}
        downloader.per_slot_settings[key] = slow  # slots are made anew after a minute without requests
        if key in downloader.slots:
            downloader.slots[key].delay, downloader.slots[key].concurrency = slow["delay"], 1

    def _robots_error(self, exc: Exception, netloc: str) -> None:
        waiting = self._parsers[netloc]
        assert isinstance(waiting, Deferred)
        # Of what is dropped without being an error, the log gives the one name that Scrapy has for it.
        kind = IgnoreRequest if isinstance(exc, IgnoreRequest) else type(exc)
        self.unreachable[netloc] = f"robots.txt: {kind.__name__}"
        self._parsers[netloc] = None
        waiting.callback(None)


class TypedRedirectMiddleware(RedirectMiddleware):
    """Scrapy's, but the end of its patience has a type."""

    def process_response(
        self, request: Request, response: Response, spider: Spider | None = None
    ) -> Request | Response:
        try:
            return super().process_response(request, response)
        except IgnoreRequest as error:  # the limit is all that it ignores
            raise RedirectLimitReached(str(error)) from error


class TypedCompressionMiddleware(HttpCompressionMiddleware):
    """Scrapy's, but a body that is too large once decompressed has a type."""

    def process_response(
        self, request: Request, response: Response, spider: Spider | None = None
    ) -> Request | Response:
        try:
            return super().process_response(request, response)
        except IgnoreRequest as error:  # DOWNLOAD_MAXSIZE is all that it ignores for
            raise DecompressedTooLarge(str(error)) from error


class ReplayMiddleware:
    """Answers from the WARC what an earlier run of the same crawl has fetched; nothing is asked for twice."""

    def __init__(self, parts: Parts) -> None:
        self.replay = parts.replay

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ReplayMiddleware:
        return cls(parts_of(crawler))

    def process_request(self, request: Request) -> Response | None:
        stored = self.replay.get(request.url)
        if stored is None or request.method != "GET":
            return None
        headers: dict[str, list[str]] = {}
        for name, value in stored.headers:
            headers.setdefault(name, []).append(value)
        kind = responsetypes.from_args(headers={k.encode(): v[0].encode() for k, v in headers.items()}, url=stored.url)
        return kind(stored.url, status=stored.status, headers=headers, body=stored.body, flags=[REPLAYED])


class WarcMiddleware:
    """Nearest to the network: writes what was sent and received, before decompression and redirects."""

    def __init__(self, parts: Parts) -> None:
        self.files, self.replay, self.ledger = parts.warc, parts.replay, parts.ledger
        self.proxied = bool(parts.config.proxy)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> WarcMiddleware:
        return cls(parts_of(crawler))

    def process_response(self, request: Request, response: Response) -> Response:
        if REPLAYED in response.flags:
            stored: Stored = self.replay[request.url]
            file, offset = stored.file, stored.offset
        else:
            file, offset = self._write(request, response)
        self.ledger.answered(visit_of(request), _answer(response, file, offset))
        return response

    def _write(self, request: Request, response: Response) -> tuple[str, int]:
        parts = urlsplit(request.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return self.files.write(
            request.url,
            request_line=f"{request.method} {target} HTTP/1.1",
            request_headers=[("Host", parts.netloc), *_pairs(request.headers)],
            status_line=_status_line(response.status),
            headers=_pairs(response.headers),
            body=response.body,
            ip=str(response.ip_address) if response.ip_address and not self.proxied else None,
        )


def _answer(response: Response, file: str, offset: int) -> Answer:
    header = response.headers.get("Location")
    location = header.decode("latin-1") if response.status in REDIRECTS and header else None
    target = None if location is None else response.urljoin(location)
    return Answer(response.status, len(response.body), file, offset, location, target)


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, values in headers.items() for value in values]


def _status_line(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Unknown"

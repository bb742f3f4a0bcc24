"""What stands between the spider and the network, outermost first: scope, robots.txt, limits, replay, WARC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from protego import Protego
from scrapy import Request
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response
from scrapy.responsetypes import responsetypes
from twisted.internet.defer import Deferred

from crawler.warc import Stored, WarcFiles

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from crawler.spider import CrawlSpider

ROBOTS_MAX_BYTES = 512_000  # RFC 9309 2.5: parse at least 500 KiB
REPLAYED = "replayed"


class Refused(IgnoreRequest):
    """A request that is not made; `outcome` goes to the fetch log."""

    def __init__(self, outcome: str, note: str = "") -> None:
        super().__init__(note or outcome)
        self.outcome, self.note = outcome, note


class ScopeMiddleware:
    """Refuses what is out of scope; redirect targets pass here as well."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ScopeMiddleware:
        return cls(crawler)

    def process_request(self, request: Request) -> None:
        spider: CrawlSpider = self.crawler.spider  # type: ignore[assignment]
        if request.meta.get("dont_obey_robotstxt"):
            return  # robots.txt itself
        if not spider.in_scope(request.url, seed=bool(request.meta.get("seed"))):
            raise Refused("out_of_scope")


class LimitMiddleware:
    """Counts pages against the limits, once robots.txt has allowed them."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> LimitMiddleware:
        return cls(crawler)

    def process_request(self, request: Request) -> None:
        spider: CrawlSpider = self.crawler.spider  # type: ignore[assignment]
        if not request.meta.get("dont_obey_robotstxt"):
            spider.reserve(request)


class RobotsMiddleware(RobotsTxtMiddleware):
    """robots.txt as RFC 9309 wants it, and Crawl-delay.

    4xx: everything is allowed. 5xx, timeout or no connection: nothing is (2.3.1.4), where Scrapy allows everything.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self.settings = crawler.settings
        self.unreachable: dict[str, str] = {}
        self.too_slow: dict[str, float] = {}

    async def process_request(self, request: Request, spider: Any = None) -> None:
        if request.meta.get("dont_obey_robotstxt"):
            return
        parser = await self.robot_parser(request)
        netloc = urlsplit(request.url).netloc
        if netloc in self.unreachable:
            raise Refused("robots_unreachable", self.unreachable[netloc])
        if netloc in self.too_slow:
            raise Refused("crawl_delay_too_long", f"Crawl-delay: {self.too_slow[netloc]:g}")
        if parser is not None and not parser.allowed(request.url, self.settings["USER_AGENT"]):
            raise Refused("robots", "forbidden by robots.txt")

    async def _parse_robots(self, response: Response, netloc: str, request: Request) -> None:
        waiting = self._parsers[netloc]
        assert isinstance(waiting, Deferred)
        parser = None
        if response.status >= 500 or response.status == 429:
            self.unreachable[netloc] = f"robots.txt: HTTP {response.status}"
        elif response.status == 200:
            body = response.body[:ROBOTS_MAX_BYTES]
            self._slow_down(request, body)
            from scrapy.utils.misc import build_from_crawler

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
        self.unreachable[netloc] = f"robots.txt: {type(exc).__name__}"
        self._parsers[netloc] = None
        waiting.callback(None)


class ReplayMiddleware:
    """Answers from the WARC what an earlier run of the same crawl has fetched; nothing is asked for twice."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ReplayMiddleware:
        return cls(crawler)

    def process_request(self, request: Request) -> Response | None:
        spider: CrawlSpider = self.crawler.spider  # type: ignore[assignment]
        stored: Stored | None = spider.replay.get(request.url)
        if stored is None or request.method != "GET":
            return None
        headers: dict[str, list[str]] = {}
        for name, value in stored.headers:
            headers.setdefault(name, []).append(value)
        kind = responsetypes.from_args(headers={k.encode(): v[0].encode() for k, v in headers.items()}, url=stored.url)
        return kind(stored.url, status=stored.status, headers=headers, body=stored.body, flags=[REPLAYED])


class WarcMiddleware:
    """Nearest to the network: writes what was sent and received, before decompression and redirects."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler
        self.files: WarcFiles = crawler.settings["WINNOW_WARC"]
        self.proxied = bool(crawler.settings["WINNOW_PROXY"])

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> WarcMiddleware:
        return cls(crawler)

    def process_response(self, request: Request, response: Response) -> Response:
        spider: CrawlSpider = self.crawler.spider  # type: ignore[assignment]
        if REPLAYED in response.flags:
            stored = spider.replay[request.url]
            spider.record_response(request, response, stored.file, stored.offset)
            return response
        parts = urlsplit(request.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        file, offset = self.files.write(
            request.url,
            request_line=f"{request.method} {target} HTTP/1.1",
            request_headers=[("Host", parts.netloc), *_pairs(request.headers)],
            status_line=_status_line(response.status),
            headers=_pairs(response.headers),
            body=response.body,
            ip=str(response.ip_address) if response.ip_address and not self.proxied else None,
        )
        spider.record_response(request, response, file, offset)
        return response


def _pairs(headers: Any) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, values in headers.items() for value in values]


def _status_line(status: int) -> str:
    from http import HTTPStatus

    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Unknown"

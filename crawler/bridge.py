"""Between Scrapy and the plain objects of a crawl: what it is made of, and what a request is to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scrapy import Request

from crawler.budget import Budget
from crawler.config import CrawlConfig
from crawler.ledger import Ledger
from crawler.outcomes import Visit, is_robots_txt
from crawler.scope import FirstSchemes, Scope
from crawler.tries import Tries
from crawler.warc import WarcFiles

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


@dataclass(frozen=True)
class Parts:
    """What a crawl is made of: made once by the worker, held by the spider, where the middlewares find it.

    Attributes:
        tries: what earlier runs of the same crawl, and this one, have asked for.
    """

    config: CrawlConfig
    seeds: tuple[str, ...]
    scope: Scope
    budget: Budget
    ledger: Ledger
    warc: WarcFiles
    tries: Tries
    schemes: FirstSchemes = field(default_factory=FirstSchemes)


def parts_of(crawler: Crawler) -> Parts:
    """The parts of the running crawl. (In Scrapy's settings they would be copied, open files and all.)"""
    parts = getattr(crawler.spider, "parts", None)
    assert isinstance(parts, Parts)
    return parts


def visit_of(request: Request) -> Visit:
    """A request as the fetch log sees it."""
    meta = request.meta
    chain = tuple(meta.get("redirect_urls", ()))
    robots = for_robots_txt(request) or is_robots_txt(request.url)
    return Visit(request.url, meta.get("depth_of"), meta.get("referrer"), chain, robots)


def for_robots_txt(request: Request) -> bool:
    """Whether a request is for a host's robots.txt: neither scope nor limits hold for it."""
    return bool(request.meta.get("dont_obey_robotstxt"))

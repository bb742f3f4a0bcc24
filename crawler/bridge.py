"""Between Scrapy and the plain objects of a crawl: what it is made of, and what a request is to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scrapy import Request

from crawler.budget import Budget
from crawler.config import CrawlConfig
from crawler.ledger import Ledger
from crawler.outcomes import Visit
from crawler.scope import FirstSchemes, Scope
from crawler.warc import Stored, WarcFiles

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


@dataclass(frozen=True)
class Parts:
    """What a crawl is made of: made once by the worker, held by the spider, where the middlewares find it.

    Attributes:
        replay: responses that earlier runs of the same crawl stored, by URL.
    """

    config: CrawlConfig
    seeds: tuple[str, ...]
    scope: Scope
    budget: Budget
    ledger: Ledger
    warc: WarcFiles
    replay: Mapping[str, Stored]
    schemes: FirstSchemes = field(default_factory=FirstSchemes)


def parts_of(crawler: Crawler) -> Parts:
    """The parts of the running crawl. (In Scrapy's settings they would be copied, open files and all.)"""
    parts = getattr(crawler.spider, "parts", None)
    assert isinstance(parts, Parts)
    return parts


def visit_of(request: Request) -> Visit:
    """A request as the fetch log sees it."""
    meta = request.meta
    return Visit(request.url, meta.get("depth_of"), meta.get("referrer"), tuple(meta.get("redirect_urls", ())))


def for_robots_txt(request: Request) -> bool:
    """Whether a request is for a host's robots.txt: neither scope nor limits hold for it."""
    return bool(request.meta.get("dont_obey_robotstxt"))

"""Requests that were made already: a URL is asked for once, and equivalent ones say which that was."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from scrapy import Request, Spider
from scrapy.dupefilters import BaseDupeFilter

from crawler.bridge import Parts, parts_of, visit_of
from crawler.links import canonical

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


class Duplicates(BaseDupeFilter):
    """Links and targets of redirects pass here, retries do not."""

    def __init__(self, parts: Parts) -> None:
        self.ledger = parts.ledger
        self._first: dict[bytes, str] = {}

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Duplicates:
        return cls(parts_of(crawler))

    def request_seen(self, request: Request) -> bool:
        """Whether it was asked for. A redirect from one spelling of a URL to another is followed: there the page is."""
        visit = visit_of(request)
        key = hashlib.blake2b(canonical(visit.url).encode("utf-8", "replace"), digest_size=16).digest()
        first = self._first.get(key)
        if first is None or (first in visit.chain and first != visit.url):
            self._first.setdefault(key, visit.url)
            return False
        if first != visit.url:
            self.ledger.unasked(visit, "equivalent", first)
        return True

    def log(self, request: Request, spider: Spider) -> None:
        """The fetch log has it."""

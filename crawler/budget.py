"""How many pages may still be stored: reserved before a request, then taken by a page or given back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from crawler.outcomes import Refused, host_of


class Budget:
    """Pages of a crawl, and of each of its hosts.

    Pages and requests under way together never exceed a limit, so no page is fetched that could not be kept.

    Args:
        max_pages: pages that may be stored.
        max_pages_per_host: the same for one host; 0 for no limit.
        stored: pages that earlier runs of the crawl stored. They have their places, in whatever order they are met again.
    """

    def __init__(self, max_pages: int, max_pages_per_host: int = 0, stored: Iterable[str] = ()) -> None:
        self.max_pages, self.max_pages_per_host = max_pages, max_pages_per_host
        self._stored = frozenset(stored)
        self._pages: set[str] = set(self._stored)
        self._reserved: set[str] = set()
        self._again = 0  # reserved URLs that are pages already: a seed that another seed redirects to, say
        self._per_host: Counter[str] = Counter(host_of(url) for url in self._stored)

    @property
    def pages(self) -> int:
        """Pages stored."""
        return len(self._pages)

    @property
    def spent(self) -> int:
        """Pages stored or reserved; a page that is being fetched again counts once."""
        return len(self._pages) + len(self._reserved) - self._again

    def spent_on(self, host: str) -> int:
        """Pages of a host stored or reserved; a page that is fetched again counts again."""
        return self._per_host[host]

    def reserve(self, url: str) -> None:
        """Count a request as the page that it may bring; a URL that is reserved already (a retry) is not counted again.

        Raises: Refused, `page_limit`, if there is no page left.
        """
        if url in self._reserved or url in self._stored:
            return
        host = host_of(url)
        if self.spent >= self.max_pages or 0 < self.max_pages_per_host <= self._per_host[host]:
            raise Refused("page_limit")
        self._reserved.add(url)
        self._again += url in self._pages
        self._per_host[host] += 1

    def take(self, url: str) -> None:
        """The reserved URL was a page. A URL that is not reserved (robots.txt) counts for nothing."""
        if self._settle(url):
            self._pages.add(url)

    def give_back(self, url: str) -> None:
        """The reserved URL was no page, and another may have its place."""
        if self._settle(url):
            self._per_host[host_of(url)] -= 1

    def _settle(self, url: str) -> bool:
        if url not in self._reserved:
            return False
        self._reserved.discard(url)
        self._again -= url in self._pages
        return True

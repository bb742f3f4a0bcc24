"""Which URLs may be fetched, and under which scheme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from crawler.config import CrawlConfig
from crawler.outcomes import host_of

SCHEMES = ("http", "https")


@dataclass(frozen=True)
class Scope:
    """Hosts and paths that may be fetched.

    Attributes:
        hosts: in lower case; `host` stands for all its ports, `host:port` for that one, where a URL names it.
        path_prefixes: where given, a URL's path must start with one of them.
    """

    hosts: frozenset[str]
    path_prefixes: tuple[str, ...] = ()

    def allows(self, url: str, *, seed: bool = False) -> bool:
        """Whether host and path may be fetched; a seed may lie outside the path prefixes.

        Raises: ValueError for a URL with an impossible port or address.
        """
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            return False
        host, port = (parts.hostname or "").lower(), parts.port
        if host not in self.hosts and f"{host}:{port}" not in self.hosts:
            return False
        return seed or not self.path_prefixes or (parts.path or "/").startswith(self.path_prefixes)


def scope_of(config: CrawlConfig, seeds: Sequence[str]) -> Scope:
    """The scope that `[crawl]` describes: its hosts, or the hosts of the seeds."""
    hosts = {h.lower() for h in config.hosts} or {host_of(s) for s in seeds}
    return Scope(frozenset(hosts), tuple(config.path_prefixes))


class FirstSchemes:
    """Of each host, the scheme of its first page: http and https of a host are one site, crawled once."""

    def __init__(self) -> None:
        self._schemes: dict[str, str] = {}  # host, with its port if the URL names one -> scheme

    def met(self, url: str) -> None:
        """Take note of a page; a host's first one counts."""
        parts = urlsplit(url)
        self._schemes.setdefault(parts.netloc, parts.scheme)

    def one_scheme(self, url: str) -> str:
        """The URL with the scheme of its host's first page."""
        parts = urlsplit(url)
        scheme = self._schemes.get(parts.netloc, parts.scheme)
        if parts.scheme in SCHEMES and scheme != parts.scheme:
            return parts._replace(scheme=scheme).geturl()
        return url

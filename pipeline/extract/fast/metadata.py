"""Title, author, date, language, canonical URL and licence, from the few tags that state them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urljoin

from pipeline.extract.fast.kernels.elements import MARK

_NAME = re.compile(rb"""\b(?:property|name|itemprop|http-equiv)\s*=\s*["']?([^"'>\s]+)""", re.I)
_ATTRIBUTE = re.compile(rb"""([a-zA-Z:_.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TITLES = ("og:title", "twitter:title", "dc.title")
_AUTHORS = ("author", "article:author", "dc.creator", "parsely-author", "sailthru.author", "byl")
_DATES = ("article:published_time", "datepublished", "date", "dc.date", "dc.date.issued", "pubdate", "publishdate",
          "parsely-pub-date", "sailthru.date", "og:published_time", "citation_publication_date")  # fmt: skip
_ROBOTS = ("robots", "winnow")
_WANTED = {*_TITLES, *_AUTHORS, *_DATES, *_ROBOTS, "og:url", "content-language"}
MAX_JSON = 200_000  # bytes of one JSON-LD block that are parsed


@dataclass(frozen=True)
class Metadata:
    """What a page says of itself; None where it says nothing."""

    title: str | None = None
    author: str | None = None
    date: str | None = None  # ISO 8601, date only
    language: str | None = None
    canonical_url: str | None = None
    licence: str | None = None
    robots: tuple[str, ...] = ()  # contents of <meta name="robots">


def read(marks: Iterable[tuple[int, bytes]], url: str = "") -> Metadata:
    """Metadata from the marked tags of a page, in their order: (kind, bytes of the tag or of its content)."""
    named: dict[str, str] = {}
    robots: list[str] = []
    title = language = canonical = licence = time = None
    linked: dict[str, object] = {}
    for kind, raw in marks:
        if kind == MARK.meta:
            match = _NAME.search(raw)
            name = match[1].decode("ascii", "replace").lower() if match else ""
            if name not in _WANTED:
                continue
            content = dict(_attributes(raw)).get("content", "").strip()
            if name in _ROBOTS:
                robots.append(content)
            elif name == "content-language":
                language = language or content
            elif content:
                named.setdefault(name, content)
        elif kind == MARK.link:
            if b"canonical" in raw or b"license" in raw:
                found = dict(_attributes(raw))
                rel, href = found.get("rel", "").lower().split(), found.get("href", "")
                if href and "canonical" in rel:
                    canonical = canonical or _join(url, href)
                if href and "license" in rel:
                    licence = licence or _join(url, href)
        elif kind == MARK.title:
            title = title or " ".join(html.unescape(raw.decode("utf-8", "replace")).split())
        elif kind == MARK.time:
            time = time or _iso(dict(_attributes(raw)).get("datetime", ""))
        elif kind == MARK.html:
            found = dict(_attributes(raw))
            language = found.get("lang") or found.get("xml:lang") or language
        elif kind == MARK.json and len(raw) <= MAX_JSON:
            for key, value in _json_facts(raw):
                linked.setdefault(key, value)
    return Metadata(
        title=next((named[n] for n in _TITLES if n in named), None) or title or None,
        author=_author(linked.get("author")) or next((named[n] for n in _AUTHORS if _is_name(named.get(n))), None),
        date=_iso(linked.get("datePublished")) or next((d for n in _DATES if (d := _iso(named.get(n)))), None) or time,
        language=(language or "").strip().replace("_", "-") or None,
        canonical_url=canonical or _join(url, named.get("og:url", "")),
        licence=licence or _licence(linked.get("license")),
        robots=tuple(robots),
    )


def _attributes(raw: bytes) -> Iterator[tuple[str, str]]:
    for m in _ATTRIBUTE.finditer(raw):
        value = next((g for g in m.groups()[1:] if g is not None), b"")
        yield m[1].decode("ascii").lower(), html.unescape(value.decode("utf-8", "replace"))


def _join(base: str, href: str) -> str | None:
    try:
        return (urljoin(base, href.strip()) or None) if href else None
    except ValueError:
        return None


def _iso(value: object) -> str | None:
    found = _DATE.match(value.strip()) if isinstance(value, str) else None
    return found[0] if found else None


def _is_name(value: str | None) -> bool:
    return bool(value) and "://" not in str(value) and len(str(value)) < 120


def _author(value: object) -> str | None:
    if isinstance(value, list):
        names = [n for v in value if (n := _author(v))]
        return ", ".join(dict.fromkeys(names)) or None
    if isinstance(value, dict):
        value = value.get("name")
    return value.strip() if isinstance(value, str) and _is_name(value.strip()) else None


def _licence(value: object) -> str | None:
    if isinstance(value, dict):
        value = value.get("url") or value.get("@id")
    return value if isinstance(value, str) else None


def _json_facts(raw: bytes) -> Iterator[tuple[str, object]]:
    """author, datePublished and license of the outer objects of a JSON-LD block; a broken block has none."""
    if not any(key in raw for key in (b'"author"', b'"datePublished"', b'"license"')):
        return
    try:
        data = json.loads(raw.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        return
    outer = data if isinstance(data, list) else data.get("@graph", [data]) if isinstance(data, dict) else []
    for item in outer if isinstance(outer, list) else [outer]:
        if isinstance(item, dict):
            for key in ("author", "datePublished", "license"):
                if item.get(key):
                    yield key, item[key]

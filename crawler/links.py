"""The links of a page, each with its fate: what can be asked for, and what cannot and why. Knows no Scrapy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import unescape
from urllib.parse import urljoin, urlsplit

from lxml.html import HTMLParser, document_fromstring
from w3lib.html import get_base_url, strip_html5_whitespace
from w3lib.url import canonicalize_url, safe_url_string

from crawler.outcomes import Outcome
from crawler.scope import SCHEMES
from pipeline.text.charset import decode

MAX_URL_CHARS = 2_083  # what browsers and servers agree on: Internet Explorer's limit, and Scrapy's
TAGS, ATTRIBUTES = ("a", "area", "iframe", "frame"), ("href", "src")
_TAG = re.compile(r"<(?:a|area|iframe|frame)\s[^<>]*>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""\s(?:href|src)\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+)""", re.IGNORECASE)
_PORTS = {"http": ("", "80"), "https": ("", "443")}


@dataclass(frozen=True)
class Link:
    """A link to a web page.

    Attributes:
        url: absolute, escaped, without its fragment; as it stands in the page where that cannot be made of it.
        outcome, note: why it cannot be asked for; None for one that can.
    """

    url: str
    outcome: Outcome | None = None
    note: str = ""


@dataclass(frozen=True)
class Page:
    """The text of an HTML page, and the charset that it came in."""

    text: str
    charset: str


def page_of(body: bytes, content_type: str) -> Page:
    """Decode a page; what no charset fits is replaced."""
    try:
        decoded = decode(body, content_type)
    except (UnicodeError, LookupError):  # of a charset that Python knows and the web does not
        return Page(body.decode("cp1252", "replace"), "cp1252")
    return Page(decoded.text, decoded.charset)


def links_of(page: Page, url: str) -> Iterator[Link]:
    """Links of the page at `url` to web pages, in their order; other schemes (`mailto:`) are left out.

    Raises: whatever lxml raises of a page that it cannot read at all.
    """
    text = page.text.strip().replace("\0", "")
    if not text:
        return
    base = _base(text, url, page.charset)
    for written in _written(text):
        link = resolved(written, base, page.charset)
        if link is not None:
            yield link


def _written(text: str) -> Iterable[str]:
    """The links as they stand in the page."""
    parser = HTMLParser(encoding="utf-8", huge_tree=True)
    root = document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" or "depth" in entry.message for entry in parser.error_log):
        return _in_tags(text)  # libxml2 stops at 2,048 elements inside of each other
    found = (element.get(attribute) for element in root.iter(*TAGS) for attribute in ATTRIBUTES)
    return (written for written in found if written is not None)


def _in_tags(text: str) -> Iterator[str]:
    """Links without a tree: tags one after the other, in time that grows with the text."""
    for tag in _TAG.finditer(text):
        for found in _ATTRIBUTE.finditer(tag[0]):
            yield unescape(found[1].strip("\"'"))


def resolved(written: str, base: str, charset: str = "utf-8") -> Link | None:
    """A link as it stands in a page; None if it leads to no web page.

    Args:
        base: the URL that it is relative to.
        charset: of the page: browsers escape the letters of a query in it.
    """
    written = strip_html5_whitespace(written)
    try:
        url = safe_url_string(urljoin(base, written), encoding=charset).split("#")[0]
        if urlsplit(url).scheme not in SCHEMES:
            return None
    except (ValueError, LookupError) as error:
        if _scheme_of(written) not in ("", *SCHEMES):
            return None
        return Link(written, "bad_url", str(error))
    return Link(url, *problem(url))


def problem(url: str) -> tuple[Outcome | None, str]:
    """Why a URL cannot be asked for, as an outcome and a note; None and "" if it can."""
    try:
        parts = urlsplit(url)
        _ = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError as error:
        return "bad_url", str(error)
    if parts.scheme not in SCHEMES or not parts.hostname:
        return "bad_url", "no host"
    if "@" in parts.netloc:  # a name and a password that somebody left in a page are not ours to use
        return "bad_url", "it names a user"
    if len(url) > MAX_URL_CHARS:
        return "url_too_long", f"{len(url):,} characters, at most {MAX_URL_CHARS:,}"
    return None, ""


def forms_of(url: str) -> tuple[str, ...]:
    """How a crawl may have written a URL down that stands in a page as `url`: so, or escaped and without its fragment."""
    link = resolved(url, "")
    return tuple(dict.fromkeys([url, strip_html5_whitespace(url), *([link.url] if link else [])]))


def canonical(url: str) -> str:
    """What equivalent URLs have in common: escapes normalised, the query sorted, no fragment, no port that goes without
    saying."""
    parts = urlsplit(canonicalize_url(url))
    host, colon, port = parts.netloc.rpartition(":")
    return parts._replace(netloc=host).geturl() if colon and port in _PORTS[parts.scheme] else parts.geturl()


def _base(text: str, url: str, charset: str) -> str:
    try:
        base = get_base_url(text[:4_096], url, charset)
        _ = urlsplit(base).port
    except (ValueError, LookupError):  # a <base> that is no URL
        return url
    return base


def _scheme_of(written: str) -> str:
    """What stands before the first colon, in lower case; "" for a relative URL."""
    before, colon, _ = written.partition(":")
    return before.lower() if colon and before.isascii() and before.replace("+", "").isalnum() else ""

"""Spellings of one address: as a page writes it, as a crawler sends it, as a person types it.

A URL is stored as it came: percent-encoded or not, its host in Unicode or in Punycode, its query in any order. Whoever asks for
it has another spelling at hand. Two spellings are the same address if their canonical forms are (w3lib's: RFC 3986 section 6,
query sorted, no fragment), and the same page if they are that but for http or https, as a crawl takes these for one site.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from urllib.parse import quote_from_bytes, urlsplit

import pyarrow as pa
import pyarrow.compute as pc
from w3lib.url import canonicalize_url

from pipeline.text.visible import is_utf8

MAX_CHARS = 20_000  # a longer address is looked for as it stands
MAX_WORD_CHARS = 40
_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}")
_PORTS = {"http": 80, "https": 443}
_SAFE = "".join(map(chr, range(128)))  # what is ASCII stays


def canonical(url: str) -> str:
    """One form for all spellings of an address. What is no address at all comes back without its outer blanks and fragment."""
    text = html.unescape(url).strip().removeprefix("<").removesuffix(">")
    text = re.sub(r"[\t\r\n]", "", text)
    if not is_utf8(text):  # bytes of a command line, or of a page
        text = quote_from_bytes(_bytes(text), _SAFE)
    if len(text) > MAX_CHARS:
        return text
    try:
        made = canonicalize_url(text)
        parts = urlsplit(made)
        host, port = _host(parts.hostname or ""), parts.port
    except ValueError:
        return text.partition("#")[0]
    user, at, _ = parts.netloc.rpartition("@")
    shown = "" if port in (None, _PORTS.get(parts.scheme)) else f":{port}"
    return parts._replace(netloc=f"{user}{at}{host}{shown}", path=_path(parts.path)).geturl()


def _bytes(text: str) -> bytes:
    """The bytes that a text with lone surrogates was made of."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _host(host: str) -> str:
    """In lower case and Punycode, without the dot of the root."""
    host = host.lower().removesuffix(".")
    if ":" in host:
        return f"[{host}]"
    try:
        return host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        return host


def _path(path: str) -> str:
    """Without `.` and `..` (RFC 3986 section 5.2.4)."""
    out: list[str] = []
    parts = path.split("/")
    for n, part in enumerate(parts):
        if part == "..":
            if len(out) > 1:
                out.pop()
        elif part != ".":
            out.append(part)
            continue
        if n + 1 == len(parts):
            out.append("")
    return "/".join(out) or "/"


def page(canonical_url: str) -> str:
    """The canonical form without http or https."""
    return re.sub(r"^https?:", "", canonical_url)


def same_address(one: str, other: str | None) -> bool:
    """Whether two spellings are of one address."""
    return other is not None and (one == other or canonical(one) == canonical(other))


def spellings_in(column: pa.ChunkedArray, forms: Sequence[str], *, any_scheme: bool) -> list[str]:
    """The stored spellings of an address, the closest first: one of the forms asked for alone if it is there, else the same
    address, then the same page.

    Args:
        column: of addresses, text.
        forms: how the address may be written, the likeliest first; spellings of one.
        any_scheme: whether http and https are taken for one.
    """
    for form in forms:
        if is_utf8(form) and pc.any(pc.equal(column, form)).as_py():
            return [form]
    wanted = {canonical(form) for form in forms}
    pages = set(map(page, wanted))
    found: dict[str, int] = {}
    for url in _candidates(column, canonical(forms[0])):
        form = canonical(url)
        if form in wanted:
            found[url] = 1
        elif any_scheme and page(form) in pages:
            found[url] = 2
    return sorted(found, key=lambda u: (found[u], u))


def _candidates(column: pa.ChunkedArray, wanted: str) -> Sequence[str]:
    """Those of many addresses that can be meant: they have the longest word of the one asked for, or hide words in escapes."""
    words = re.findall(r"[0-9A-Za-z]+", _ESCAPED.sub(" ", re.sub(r"xn--[^./?]*", " ", page(wanted))))
    word = max(words, key=len, default="")[:MAX_WORD_CHARS]
    if word:
        meant = pc.or_(
            pc.match_substring(column, word, ignore_case=True), pc.match_substring_regex(column, r"[%\t\r\n]")
        )
        column = column.filter(meant)
    urls: list[str] = column.drop_null().unique().to_pylist()
    return urls

"""Whether an address is on lists of domains, addresses and words."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from pipeline.core.documents import Doc
from pipeline.core.registry import signal
from pipeline.text.lists import read_list
from pipeline.text.urls import host_of

_SPLIT = re.compile(r"[\W_]+")
HOST_CHARS = 253  # that a name has in DNS (RFC 1035, section 3.1); the codec takes the square of a longer one's length


def plain_host(host: str) -> str:
    """A host in lower case, ASCII (IDNA: `bücher.de` is `xn--bcher-kva.de`), without a trailing dot and port."""
    host = host.lower().rpartition("@")[2].split(":")[0].strip(".")
    if host.isascii() or len(host) > HOST_CHARS:
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def plain_address(url: str) -> str:
    """host/path?query without scheme, `www.`, fragment and last slash: the form in which addresses are compared."""
    rest = url.strip().split("#")[0]
    rest = rest.split("://", 1)[-1].removeprefix("//")
    host, slash, path = rest.partition("/")
    return (plain_host(host).removeprefix("www.") + slash + path).rstrip("/")


class Listed(NamedTuple):
    """Names of lists. deepest: labels of a domain, or parts of a path, that one of them has at most."""

    names: frozenset[str]
    deepest: int


def _has_domain(listed: Listed, host: str) -> bool:
    """Whether a host or a domain above it (of a.b.c: b.c and c) is among names."""
    parts = host.split(".")
    return any(".".join(parts[i:]) in listed.names for i in range(max(len(parts) - listed.deepest, 0), len(parts)))


def _has_path(listed: Listed, address: str) -> bool:
    """Whether an address or a path above it (of a/b/c: a/b and a) is among names."""
    parts = address.split("/")
    return any("/".join(parts[:i]) in listed.names for i in range(1, min(len(parts), listed.deepest) + 1))


@cache
def _names(paths: tuple[str, ...], file: str) -> Listed:
    """Entries of list files; of a folder in UT1's layout the file `domains` or `urls`."""
    found: set[str] = set()
    for path in map(Path, paths):
        each = path / file if path.is_dir() else path
        if not each.is_file():
            continue
        for entry in read_list(str(each)):
            found.add(plain_host(entry.removeprefix("www.")) if file == "domains" else plain_address(entry))
    mark = "." if file == "domains" else "/"
    return Listed(frozenset(found), max((name.count(mark) + 1 for name in found), default=0))


@cache
def _words(path: str) -> frozenset[str]:
    return frozenset(w.lower() for w in read_list(path)) if path else frozenset()


@cache
def _automaton(path: str) -> Any:
    """Aho-Corasick over the subwords, or None without any."""
    import ahocorasick

    words = sorted({_SPLIT.sub("", w) for w in _words(path)} - {""})
    if not words:
        return None
    made = ahocorasick.Automaton()
    for word in words:
        made.add_word(word, word)
    made.make_automaton()
    return made


@signal(
    "url_domain_listed", "url_listed", "url_word_count", "url_soft_word_count", "url_subword_count",
    files=("domains", "urls", "words", "soft_words", "subwords", "allow"),
)  # fmt: skip
def url_lists(
    doc: Doc,
    *,
    domains: tuple[str, ...] = (),
    urls: tuple[str, ...] = (),
    words: str = "url_words_en",
    soft_words: str = "url_soft_words_en",
    subwords: str = "",
    allow: tuple[str, ...] = (),
) -> tuple[int, int, int, int, int]:
    """1 where the host or a domain above it is listed, 1 where the address or a path above it is, and how many
    different listed words, soft words and subwords the address has.

    Words are what lies between marks that are no letters or digits, percent-escapes resolved; subwords are looked for
    in the address without such marks.

    Args:
        domains, urls: lists, one entry a line, by path; a folder in UT1's layout gives its `domains` (`urls`).
        words, soft_words, subwords: word lists, by name or path; "" for none.
        allow: domains (files or folders) that no list touches.
    """
    host = plain_host(doc.host or host_of(doc.url))
    if allow and _has_domain(_names(allow, "domains"), host):
        return 0, 0, 0, 0, 0
    on_domain = bool(domains) and _has_domain(_names(domains, "domains"), host)
    on_list = bool(urls) and _has_path(_names(urls, "urls"), plain_address(doc.url))
    text = unquote(doc.url.split("://", 1)[-1]).lower()
    parts = set(_SPLIT.split(text))
    automaton = _automaton(subwords) if subwords else None
    hits = {w for _, w in automaton.iter(_SPLIT.sub("", text))} if automaton is not None else ()
    return int(on_domain), int(on_list), len(parts & _words(words)), len(parts & _words(soft_words)), len(hits)

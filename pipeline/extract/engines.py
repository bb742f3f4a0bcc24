"""Extraction engines: decoded HTML in, text and metadata out. Runs inside the killable worker only."""

from __future__ import annotations

import re
from collections.abc import Callable

import lxml.html
from trafilatura import bare_extraction
from trafilatura.settings import use_config

from pipeline.extract.worker import Extracted

OPT_OUT = ("noai", "noimageai", "noml")  # tokens of meta robots and X-Robots-Tag, DeviantArt convention 2022
_META_ROBOTS = re.compile(r"""<meta\b[^>]*\bname\s*=\s*["']?(?:robots|winnow)["']?[^>]*>""", re.I)
_CONTENT = re.compile(r"""\bcontent\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))""", re.I)


def opt_out_tokens(value: str) -> list[str]:
    """Opt-out tokens of a robots directive list such as "noindex, noai", sorted."""
    tokens = {t.strip().lower() for t in re.split(r"[,\s]+", value)}
    return sorted(tokens & set(OPT_OUT))


def meta_rights(html: str) -> tuple[str, ...]:
    """Opt-out tokens of `<meta name="robots" content="...">`. Other consent signals are not read yet."""
    found: set[str] = set()
    for tag in _META_ROBOTS.findall(html):
        if value := _CONTENT.search(tag):
            found.update(opt_out_tokens(next(g for g in value.groups() if g is not None)))
    return tuple(sorted(found))


def trafilatura_engine(html: str, url: str) -> Extracted:
    """trafilatura with tables and without comments, its cross-document de-duplication off (it depends on order)."""
    config = use_config()
    rights = meta_rights(html)
    document = bare_extraction(
        html, url=url or None, fast=True, with_metadata=True, include_comments=False, include_tables=True,
        deduplicate=False, config=config,
    )  # fmt: skip
    tree = lxml.html.fromstring(html) if html.strip() else None
    links = len(tree.xpath("//a[@href]")) if tree is not None else 0
    if document is None:
        return Extracted(n_links=links, rights=rights)
    return Extracted(
        text=(document.text or "").strip(),
        title=document.title or None,
        date=document.date or None,
        n_links=links,
        rights=rights,
    )


ENGINES: dict[str, Callable[[str, str], Extracted]] = {"trafilatura": trafilatura_engine}

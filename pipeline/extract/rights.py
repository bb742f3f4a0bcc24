"""Opt-out signals on a capture. Read so far: the `noai` family in meta robots and X-Robots-Tag.

Source: the DeviantArt convention of 2022 (`noai`, `noimageai`) and its variant `noml`.
"""

from __future__ import annotations

import re

OPT_OUT = frozenset({"noai", "noimageai", "noml"})
# A tag up to the next one: what has no end costs no more than its length.
_META = re.compile(r"<meta\b([^<>]*)", re.I)
_ROBOTS = re.compile(r"""\bname\s*=\s*["']?(?:robots|winnow)(?![\w-])""", re.I)
_CONTENT = re.compile(r"""\bcontent\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))""", re.I)


def opt_out_tokens(value: str) -> list[str]:
    """Opt-out tokens of a directive list such as "noindex, noai", sorted. An agent prefix ("bot: noai") is passed by."""
    tokens = {t.strip().lower() for t in re.split(r"[,:\s]+", value)}
    return sorted(tokens & OPT_OUT)


def meta_rights(html: str) -> list[str]:
    """Opt-out tokens of `<meta name="robots" content="...">` tags, sorted."""
    found: set[str] = set()
    for tag in _META.findall(html):
        if _ROBOTS.search(tag) and (value := _CONTENT.search(tag)):
            found.update(opt_out_tokens(next(g for g in value.groups() if g is not None)))
    return sorted(found)

"""Opt-out signals on a capture. Read so far: the `noai` family in meta robots and X-Robots-Tag.

Source: the DeviantArt convention of 2022 (`noai`, `noimageai`) and its variant `noml`.
"""

from __future__ import annotations

import re

OPT_OUT = frozenset({"noai", "noimageai", "noml"})
_META_ROBOTS = re.compile(r"""<meta\b[^>]*\bname\s*=\s*["']?(?:robots|winnow)["']?[^>]*>""", re.I)
_CONTENT = re.compile(r"""\bcontent\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))""", re.I)


def opt_out_tokens(value: str) -> list[str]:
    """Opt-out tokens of a directive list such as "noindex, noai", sorted. An agent prefix ("bot: noai") is passed by."""
    tokens = {t.strip().lower() for t in re.split(r"[,:\s]+", value)}
    return sorted(tokens & OPT_OUT)


def meta_rights(html: str) -> list[str]:
    """Opt-out tokens of `<meta name="robots" content="...">` tags, sorted."""
    found: set[str] = set()
    for tag in _META_ROBOTS.findall(html):
        if value := _CONTENT.search(tag):
            found.update(opt_out_tokens(next(g for g in value.groups() if g is not None)))
    return sorted(found)

"""What a page says of its own kind (article, product, list, forum, ...), as numbers for the model."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from pipeline.extract.fast.kernels.columns import FACT
from pipeline.extract.fast.kernels.elements import MARK
from pipeline.text.urls import split_url

_OG_TYPE = re.compile(rb"""og:type["']?[^>]*?content\s*=\s*["']?([a-zA-Z:._-]+)""", re.I)
_OG_TYPE_AFTER = re.compile(rb"""content\s*=\s*["']?([a-zA-Z:._-]+)["']?[^>]*?og:type""", re.I)
_GENERATOR = re.compile(rb"""generator["']?[^>]*?content\s*=\s*["']?([a-zA-Z]+)""", re.I)
_LD_TYPE = re.compile(rb"""["']@type["']\s*:\s*\[?\s*["'](\w+)""")
_LD = {
    FACT.ld_article: {
        b"Article",
        b"NewsArticle",
        b"BlogPosting",
        b"TechArticle",
        b"ScholarlyArticle",
        b"Report",
        b"Recipe",
    },
    FACT.ld_product: {b"Product", b"ProductGroup", b"Offer", b"AggregateOffer", b"SoftwareApplication"},
    FACT.ld_list: {b"ItemList", b"CollectionPage", b"SearchResultsPage", b"OfferCatalog"},
    FACT.ld_forum: {b"DiscussionForumPosting", b"QAPage", b"Question", b"Comment", b"Answer"},
    FACT.ld_faq: {b"FAQPage"},
    FACT.ld_business: {b"Organization", b"LocalBusiness", b"Service", b"ProfessionalService", b"Corporation"},
    FACT.ld_crumbs: {b"BreadcrumbList"},
}
_URL = {
    FACT.url_product: re.compile(r"/(?:p|dp|product|products|item|itm|shop|store)(?:[/-]|$)"),
    FACT.url_list: re.compile(
        r"/(?:c|category|categories|collection|collections|tag|tags|topic|topics|browse|list|search)(?:[/-]|$)"
    ),
    FACT.url_forum: re.compile(
        r"/(?:t|forum|forums|thread|threads|topic|questions|question|discussion|comments|viewtopic|showthread)(?:[/.-]|$)"
    ),
    FACT.url_docs: re.compile(
        r"/(?:docs|doc|documentation|reference|api|manual|guide|guides|tutorial|help|wiki)(?:[/.-]|$)"
    ),
    FACT.url_article: re.compile(r"/(?:blog|news|article|articles|story|stories|post|posts|(?:19|20)\d\d)(?:[/-]|$)"),
}
_GENERATORS = {b"discourse": 1, b"wordpress": 2, b"mediawiki": 3, b"xenforo": 4, b"vbulletin": 5, b"phpbb": 6, b"docusaurus": 7,
               b"sphinx": 8, b"hugo": 9, b"jekyll": 10, b"drupal": 11, b"joomla": 12, b"wix": 13, b"shopify": 14}  # fmt: skip


def page_facts(marks: Iterable[tuple[int, bytes]], url: str = "") -> npt.NDArray[np.float32]:
    """Facts in the order of FACT, float32; zeros where a page says nothing."""
    out = np.zeros(len(FACT), np.float32)
    for kind, raw in marks:
        if kind == MARK.meta:
            if b"og:type" in raw:
                found = _OG_TYPE.search(raw) or _OG_TYPE_AFTER.search(raw)
                value = found[1].lower() if found else b""
                kind_of_page = FACT.og_product if b"product" in value else FACT.og_other
                out[FACT.og_article if value == b"article" else kind_of_page] = 1
            elif b"generator" in raw.lower():
                found = _GENERATOR.search(raw)
                if found:
                    out[FACT.generator] = _GENERATORS.get(found[1].lower(), 0)
        elif kind == MARK.json:
            types = set(_LD_TYPE.findall(raw))
            for fact, wanted in _LD.items():
                if types & wanted:
                    out[fact] = 1
    parts = split_url(url)
    if parts is None:
        return out
    path = parts.path.lower().rstrip("/")
    if url:
        segments = path.split("/")[1:]
        last = segments[-1] if segments else ""
        out[FACT.segments], out[FACT.last_hyphens] = len(segments), last.count("-")
        out[FACT.digits] = sum(c.isdigit() for c in path)
        out[FACT.query], out[FACT.root] = bool(parts.query), not segments
        for fact, pattern in _URL.items():
            out[fact] = pattern.search(path) is not None
    return out

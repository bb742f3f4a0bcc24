"""Names of the features, in the order that the model knows them by, and of the facts about a page that are among them.

A class lists the columns of a group, an instance of it numbers them: `f[OWN.link]` in the kernels is "link" in the model's
file. Neighbours and levels repeat a group, with the number of the first column of each repetition given beside.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from pipeline.extract.fast.kernels import tags as T


class OwnColumns(NamedTuple):
    """The block itself. Counts are per word (`units`, at least 1) unless they say otherwise."""

    units: int  # words, at most 500
    log_units: int
    word_chars: int  # characters
    upper: int
    digits: int  # per character
    terminal: int
    comma: int
    symbol: int
    ends: int  # as in the statistics, without a division: ends, first, longest, lines
    first: int
    longest: int
    lines: int  # at most 50
    currency: int
    separator: int
    title_hits: int  # share of its words that the title has
    title_cover: int  # share of the title's words that it has
    link: int  # share of its bytes in links
    links: int
    tags: int
    bold: int  # share of its bytes
    code: int  # share of its bytes
    tag: int  # number of its element's tag
    depth: int
    path: int  # score of the names that it stands in
    text: int  # score of its words


class PlaceColumns(NamedTuple):
    """Its copies and its place in the page."""

    copies: int  # blocks of the same words
    copy_number: int  # of these, how many come before
    index_: int  # blocks before it (`index` is taken: a method of tuples)
    place: int  # the same as a share
    units_before: int  # words before it, as a share
    units_after: int  # log of the words after it
    since_h1: int  # log of the words since the first h1, -1 before it
    has_h1_before: int
    level_of_heading: int  # 1 to 6: of the last heading, itself included; 0 if there is none
    units_to_heading: int  # log of the words since that
    path_sum_5: int  # mean over the words of five blocks, itself in the middle: path, text, link
    text_sum_5: int
    link_5: int
    units_5: int  # log of the words of five blocks
    path_sum_11: int  # the same of eleven blocks
    units_11: int
    heading_text: int  # scores of the last heading
    heading_path: int


class NeighbourColumns(NamedTuple):
    """A block one or two before or after it; -1 (scores: -9) beyond the first and the last one."""

    units: int  # log of its words
    link: int
    path: int
    text: int
    same_parent: int  # 2 of the same element, 1 of elements with the same block-level parent
    heading: int  # 1 in a heading


class LevelColumns(NamedTuple):
    """All blocks of a block-level element that it stands in. Means are over words."""

    units: int  # log of their words
    link: int
    share: int  # of the page's words
    blocks: int  # log of their number
    p_share: int  # words in p
    terminal: int
    path: int
    text: int
    first_text: int  # text score of the first one


class GroupColumns(NamedTuple):
    """Blocks of the same tag and names, its own and three levels up."""

    group_n: int
    group_units: int  # mean
    group_link: int  # mean over words
    group_path: int  # mean
    group_text: int  # mean
    group_share: int  # of the page's words
    group_place: int  # its place against their mean, as a share of the page


class MainColumns(NamedTuple):
    """The element that holds most of what looks like content."""

    in_main: int
    main_share: int  # of the page's words
    main_before: int  # blocks from the first one in it
    main_after: int  # blocks to the last one in it
    main_depth: int  # elements between


class PageColumns(NamedTuple):
    """The page, the same for all its blocks. Shares are of words."""

    page_units: int  # log of all words
    page_blocks: int  # log of the number of blocks
    page_link: int
    page_p: int
    page_h1: int
    page_articles: int  # at most 50
    page_longest: int  # log of the words of the longest block
    page_path: int  # mean over words
    page_text: int
    page_good: int  # words of blocks whose scores sum to more than 0
    page_table: int
    page_list: int
    page_groups: int  # groups per block


class FactColumns(NamedTuple):
    """What a page says of its kind in its address and its metadata; see `pipeline.extract.fast.facts`."""

    og_article: int
    og_product: int
    og_other: int
    ld_article: int
    ld_product: int
    ld_list: int
    ld_forum: int
    ld_faq: int
    ld_business: int
    ld_crumbs: int
    segments: int
    last_hyphens: int
    digits: int
    query: int
    root: int
    url_product: int
    url_list: int
    url_forum: int
    url_docs: int
    url_article: int
    generator: int


# Flags of a block's element, one feature each.
FLAGS = np.array(
    [T.A, T.HIDDEN, T.NAV, T.HEADER, T.FOOTER, T.ASIDE, T.FORM, T.ARTICLE, T.MAIN, T.TABLE, T.LIST, T.PRE, T.HEADING,
     T.FIGURE, T.BUTTON, T.QUOTE, T.DL, T.ITEM, T.CELL, T.DIALOG, T.PARAGRAPH, T.SECTION, T.CAPTION,
     T.NOSCRIPT], np.int32,
)  # fmt: skip
NEIGHBOURS = (-2, -1, 1, 2)  # blocks from the block itself
N_LEVELS = 5

OWN = OwnColumns(*range(25))
FLAGS_AT = len(OWN)
PLACE = PlaceColumns(*range(FLAGS_AT + len(FLAGS), FLAGS_AT + len(FLAGS) + 18))
NEIGHBOUR, NEIGHBOURS_AT = NeighbourColumns(*range(6)), PLACE[-1] + 1
LEVEL, LEVELS_AT = LevelColumns(*range(9)), NEIGHBOURS_AT + 6 * len(NEIGHBOURS)
GROUP = GroupColumns(*range(LEVELS_AT + 9 * N_LEVELS, LEVELS_AT + 9 * N_LEVELS + 7))
MAIN = MainColumns(*range(GROUP[-1] + 1, GROUP[-1] + 6))
PAGE = PageColumns(*range(MAIN[-1] + 1, MAIN[-1] + 14))
FACT, FACTS_AT = FactColumns(*range(21)), PAGE[-1] + 1


def _suffixed(names: Iterable[str], suffix: str) -> list[str]:
    return [f"{name}_{suffix}" for name in names]


FEATURES = [
    *OWN._fields,
    *(f"in_{i}" for i in range(len(FLAGS))),
    *(name.rstrip("_") for name in PLACE._fields),
    *(name for side in ("m2", "m1", "p1", "p2") for name in _suffixed(NEIGHBOUR._fields, side)),
    *(name for level in range(1, N_LEVELS + 1) for name in _suffixed(LEVEL._fields, f"up{level}")),
    *GROUP._fields,
    *MAIN._fields,
    *PAGE._fields,
    *(f"fact_{name}" for name in FACT._fields),
]

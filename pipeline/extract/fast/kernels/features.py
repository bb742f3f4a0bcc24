"""The features of every block: the block itself, its place, neighbours, the elements and groups that it is in, the page."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.extract.fast.kernels import tags as T
from pipeline.extract.fast.kernels.columns import (
    FACTS_AT,
    FEATURES,
    FLAGS,
    FLAGS_AT,
    GROUP,
    LEVEL,
    LEVELS_AT,
    MAIN,
    N_LEVELS,
    NEIGHBOUR,
    NEIGHBOURS,
    NEIGHBOURS_AT,
    OWN,
    PAGE,
    PLACE,
)
from pipeline.extract.fast.kernels.compiling import part
from pipeline.extract.fast.kernels.elements import B, E
from pipeline.extract.fast.kernels.statistics import S
from pipeline.extract.fast.kernels.surroundings import (
    GROUP_SUM,
    SUM,
    WINDOW,
    copies_of_blocks,
    first_texts,
    groups_of_blocks,
    main_element,
    sums_of_elements,
    window_sums,
)

N_FEATURES = len(FEATURES)
_H1, _H6 = T.TAG["h1"], T.TAG["h6"]
_BEYOND, _BEYOND_SCORE = -1.0, -9.0  # of a neighbour that is not there


@part
def _own(x, el, blocks, stats, path, text):
    for b in range(len(blocks)):
        f, s, e = x[b], stats[b], blocks[b, B.element]
        u = s[S.units]
        per = max(u, 1.0)
        width = max(blocks[b, B.end] - blocks[b, B.start], 1)
        f[OWN.units], f[OWN.log_units] = min(u, 500.0), np.log1p(u)
        f[OWN.word_chars], f[OWN.upper], f[OWN.digits] = (
            s[S.chars] / per,
            s[S.upper] / per,
            s[S.digits] / max(s[S.chars], 1.0),
        )
        f[OWN.terminal], f[OWN.comma], f[OWN.symbol] = s[S.terminal] / per, s[S.comma] / per, s[S.symbol] / per
        f[OWN.ends], f[OWN.first], f[OWN.longest], f[OWN.lines] = (
            s[S.ends],
            s[S.first],
            s[S.longest],
            min(s[S.lines], 50.0),
        )
        f[OWN.currency], f[OWN.separator] = s[S.currency] / per, s[S.separator] / per
        f[OWN.title_hits], f[OWN.title_cover], f[OWN.link] = s[S.title], s[S.cover], s[S.link]
        f[OWN.links], f[OWN.tags] = blocks[b, B.n_links] / per, blocks[b, B.n_tags] / per
        f[OWN.bold] = min(1.0, blocks[b, B.bold_bytes] / width)
        f[OWN.code] = min(1.0, blocks[b, B.code_bytes] / width)
        f[OWN.tag], f[OWN.depth], f[OWN.path], f[OWN.text] = el[e, E.tag], el[e, E.depth], path[b], text[b]
        flags = el[e, E.flags]
        for k in range(len(FLAGS)):
            f[FLAGS_AT + k] = 1.0 if flags & FLAGS[k] else 0.0


@njit(cache=True)
def _place(x, el, blocks, stats, path, text, total):
    m = len(blocks)
    copies, number = copies_of_blocks(stats)
    before = window_sums(stats, path, text)
    h1_at = -1
    heading_level, heading_units, heading_text, heading_path = 0, 0.0, 0.0, 0.0
    for b in range(m):
        f = x[b]
        tag = el[blocks[b, B.element], E.tag]
        if tag == _H1 and h1_at < 0:
            h1_at = b
        if _H1 <= tag <= _H6:
            heading_level, heading_units = tag - _H1 + 1, 0.0
            heading_text, heading_path = text[b], path[b]
        units = before[b, WINDOW.units]
        f[PLACE.copies], f[PLACE.copy_number] = copies[b], number[b]
        f[PLACE.index_], f[PLACE.place] = b, b / m
        f[PLACE.units_before] = units / total
        f[PLACE.units_after] = np.log1p(before[m, WINDOW.units] - before[b + 1, WINDOW.units])
        f[PLACE.since_h1] = np.log1p(units - before[h1_at, WINDOW.units]) if h1_at >= 0 else -1.0
        f[PLACE.has_h1_before] = 1.0 if h1_at >= 0 else 0.0
        f[PLACE.level_of_heading], f[PLACE.units_to_heading] = heading_level, np.log1p(heading_units)
        f[PLACE.heading_text], f[PLACE.heading_path] = heading_text, heading_path
        heading_units += stats[b, S.units]
        first, last = before[max(0, b - 2)], before[min(m, b + 3)]
        units = last[WINDOW.units] - first[WINDOW.units]
        f[PLACE.path_sum_5] = (last[WINDOW.path] - first[WINDOW.path]) / max(units, 1.0)
        f[PLACE.text_sum_5] = (last[WINDOW.text] - first[WINDOW.text]) / max(units, 1.0)
        f[PLACE.link_5] = (last[WINDOW.link_units] - first[WINDOW.link_units]) / max(units, 1.0)
        f[PLACE.units_5] = np.log1p(units)
        first, last = before[max(0, b - 5)], before[min(m, b + 6)]
        units = last[WINDOW.units] - first[WINDOW.units]
        f[PLACE.path_sum_11] = (last[WINDOW.path] - first[WINDOW.path]) / max(units, 1.0)
        f[PLACE.units_11] = np.log1p(units)


@part
def _parent_block(el, e):
    """Row of the block-level element around an element; of the root itself for the root."""
    parent = el[e, E.parent]
    return el[parent, E.block] if parent >= 0 else np.int32(0)


@part
def _neighbours(x, el, blocks, stats, path, text):
    m = len(blocks)
    for b in range(m):
        e = blocks[b, B.element]
        parent = _parent_block(el, e)
        for k in range(len(NEIGHBOURS)):
            at = NEIGHBOURS_AT + k * len(NEIGHBOUR)
            f = x[b, at : at + len(NEIGHBOUR)]
            j = b + NEIGHBOURS[k]
            if j < 0 or j >= m:
                f[:] = _BEYOND
                f[NEIGHBOUR.path], f[NEIGHBOUR.text] = _BEYOND_SCORE, _BEYOND_SCORE
                continue
            other = blocks[j, B.element]
            f[NEIGHBOUR.units], f[NEIGHBOUR.link] = x[j, OWN.log_units], stats[j, S.link]
            f[NEIGHBOUR.path], f[NEIGHBOUR.text] = path[j], text[j]
            f[NEIGHBOUR.same_parent] = 2.0 if other == e else (1.0 if _parent_block(el, other) == parent else 0.0)
            f[NEIGHBOUR.heading] = 1.0 if el[other, E.flags] & T.HEADING else 0.0


@part
def _levels(x, el, blocks, sums, first_text, total):
    for b in range(len(blocks)):
        up = blocks[b, B.element]
        for k in range(N_LEVELS):
            if el[up, E.parent] >= 0:
                up = el[el[up, E.parent], E.block]
            at = LEVELS_AT + k * len(LEVEL)
            f, s = x[b, at : at + len(LEVEL)], sums[up]
            units = max(s[SUM.units], 1.0)
            f[LEVEL.units], f[LEVEL.blocks] = np.log1p(s[SUM.units]), np.log1p(s[SUM.blocks])
            f[LEVEL.link], f[LEVEL.share] = s[SUM.link_units] / units, s[SUM.units] / total
            f[LEVEL.p_share], f[LEVEL.terminal] = s[SUM.p_units] / units, s[SUM.terminal] / units
            f[LEVEL.path], f[LEVEL.text] = s[SUM.path] / units, s[SUM.text] / units
            f[LEVEL.first_text] = first_text[up]


@part
def _groups(x, group, sums, total):
    m = len(group)
    for b in range(m):
        f, s = x[b], sums[group[b]]
        n = s[GROUP_SUM.blocks]
        f[GROUP.group_n], f[GROUP.group_units] = n, s[GROUP_SUM.units] / n
        f[GROUP.group_link] = s[GROUP_SUM.link_units] / max(s[GROUP_SUM.units], 1.0)
        f[GROUP.group_path], f[GROUP.group_text] = s[GROUP_SUM.path] / n, s[GROUP_SUM.text] / n
        f[GROUP.group_share] = s[GROUP_SUM.units] / total
        f[GROUP.group_place] = (b - s[GROUP_SUM.place] / n) / m


@njit(cache=True)
def _main(x, el, blocks, sums, total):
    m = len(blocks)
    main, inside = main_element(el, sums)
    first, last = m, -1
    for b in range(m):
        if inside[blocks[b, B.element]]:
            first, last = min(first, b), max(last, b)
    for b in range(m):
        f, e = x[b], blocks[b, B.element]
        f[MAIN.in_main], f[MAIN.main_share] = 1.0 if inside[e] else 0.0, sums[main, SUM.units] / total
        f[MAIN.main_before], f[MAIN.main_after] = np.float32(b - first), np.float32(last - b)
        f[MAIN.main_depth] = el[e, E.depth] - el[main, E.depth]


@part
def _page(x, el, blocks, stats, path, text, n_groups):
    """Features of the page, in the first row. Returns its words, at least 1."""
    m = len(blocks)
    total, link, p, good, table, listed = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    longest, path_total, text_total = 0.0, 0.0, 0.0
    h1s, articles = 0, 0
    for b in range(m):
        e, u = blocks[b, B.element], stats[b, S.units]
        flags = el[e, E.flags]
        total += u
        link += u * stats[b, S.link]
        longest = max(longest, u)
        path_total += u * path[b]
        text_total += u * text[b]
        p += u if flags & T.PARAGRAPH else 0.0
        good += u if path[b] + text[b] > 0 else 0.0
        table += u if flags & T.TABLE else 0.0
        listed += u if flags & T.LIST else 0.0
        h1s += el[e, E.tag] == _H1
    for e in range(1, len(el)):
        articles += el[e, E.flags] & T.ARTICLE != 0 and el[el[e, E.parent], E.flags] & T.ARTICLE == 0
    total = max(total, 1.0)
    f = x[0]
    f[PAGE.page_units], f[PAGE.page_blocks] = np.log1p(total), np.log1p(m)
    f[PAGE.page_link], f[PAGE.page_p] = link / total, p / total
    f[PAGE.page_h1], f[PAGE.page_articles], f[PAGE.page_longest] = h1s, min(articles, 50), np.log1p(longest)
    f[PAGE.page_path], f[PAGE.page_text] = path_total / total, text_total / total
    f[PAGE.page_good], f[PAGE.page_table], f[PAGE.page_list] = good / total, table / total, listed / total
    f[PAGE.page_groups] = n_groups / m
    return total


@njit(cache=True)
def features(el, tokens, blocks, stats, path, text, facts):
    """All features of all blocks of a page, float32 (m, N_FEATURES), in the order of FEATURES.

    Args:
        el, tokens, blocks: as `scan` gave them; stats: as `text_statistics` did.
        path, text: scores of the blocks, float64 (m,).
        facts: float32 (len(FACT),), facts about the whole page.
    """
    m = len(blocks)
    x = np.zeros((m, N_FEATURES), np.float32)
    if m == 0:
        return x
    group, sums_of_groups = groups_of_blocks(el, tokens, blocks, stats, path, text)
    sums = sums_of_elements(el, blocks, stats, path, text)
    total = _page(x, el, blocks, stats, path, text, len(sums_of_groups))
    _own(x, el, blocks, stats, path, text)
    _place(x, el, blocks, stats, path, text, total)
    _neighbours(x, el, blocks, stats, path, text)
    _levels(x, el, blocks, sums, first_texts(el, blocks, text), total)
    _groups(x, group, sums_of_groups, total)
    _main(x, el, blocks, sums, total)
    for k in range(len(facts)):
        x[0, FACTS_AT + k] = facts[k]
    for b in range(1, m):
        for k in range(PAGE.page_units, N_FEATURES):
            x[b, k] = x[0, k]
    return x

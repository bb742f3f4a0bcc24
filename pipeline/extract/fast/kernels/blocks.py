"""What is measured on the blocks of a scanned page: text statistics, place in the tree, neighbours, groups, the page.

Nothing here knows a language. A word is a run of letters and digits; scripts written without spaces count by character
(a Chinese or Japanese character as 0.6 words, a Thai, Lao or Khmer one as 0.2), so that lengths mean the same in all.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.extract.fast.kernels import tags as T

_OFFSET, _PRIME = np.uint64(T.FNV_OFFSET), np.uint64(T.FNV_PRIME)
_M32 = np.uint64(0xFFFFFFFF)
(E_TAG, E_PARENT, E_BLOCK, E_DEPTH, E_FLAGS, E_TOK, E_NTOK, E_CELL, E_ROW, E_ITEM) = range(10)
(B_START, B_END, B_ELEMENT, B_SRC, B_SRC_END, B_LINK, B_BOLD, B_LINKS, B_CODE, B_TAGS) = range(10)
_P, _H1, _H6 = T.TAG["p"], T.TAG["h1"], T.TAG["h6"]
_HTML, _BODY = T.TAG["html"], T.TAG["body"]
_FLAGS = np.array(
    [T.A, T.HIDDEN, T.NAV, T.HEADER, T.FOOTER, T.ASIDE, T.FORM, T.ARTICLE, T.MAIN, T.TABLE, T.LIST, T.PRE, T.HEADING,
     T.FIGURE, T.BUTTON, T.QUOTE, T.DL, T.ITEM, T.CELL, T.DIALOG, T.PARAGRAPH, T.SECTION, T.CAPTION,
     T.NOSCRIPT], np.int32,
)  # fmt: skip

# Columns of the text statistics (float64).
(S_UNITS, S_CHARS, S_UPPER, S_DIGITS, S_TERMINAL, S_COMMA, S_SYMBOL, S_ENDS, S_FIRST, S_LONGEST, S_LINES, S_TITLE,
 S_COVER, S_HASH, S_LINK, S_WORDS, S_CURRENCY, S_SEPARATOR) = range(18)  # fmt: skip

TEXT_BITS, PATH_BITS = 18, 18
MAX_TEXT_TOKENS = 64


@njit(cache=True)
def _kind(cp):
    """0 no word character, 1 letter or digit, 2 counted by character (0.6 words), 3 the same (0.2 words)."""
    if cp < 128:
        return 1 if 48 <= cp <= 57 or 65 <= cp <= 90 or 97 <= cp <= 122 or cp == 95 else 0
    if cp < 0xC0:
        return 1 if cp == 0xAA or cp == 0xB5 or cp == 0xBA else 0
    if cp == 0xD7 or cp == 0xF7 or 0x2000 <= cp <= 0x2BFF or 0x2E00 <= cp <= 0x2E7F:
        return 0
    if 0x0E00 <= cp <= 0x0EFF or 0x1780 <= cp <= 0x17FF or 0x1000 <= cp <= 0x109F:
        return 3
    if 0x3000 <= cp <= 0x3004 or 0x3008 <= cp <= 0x3020 or 0xFE30 <= cp <= 0xFE4F or 0xFF00 <= cp <= 0xFF0F:
        return 0
    if 0xFF1A <= cp <= 0xFF20 or 0xFF3B <= cp <= 0xFF40 or 0xFF5B <= cp <= 0xFF65 or cp == 0xFFFD or cp == 0xFEFF:
        return 0
    if 0xE000 <= cp <= 0xF8FF:
        return 0  # private use: icon fonts
    if 0x2E80 <= cp <= 0x9FFF and not 0x3130 <= cp <= 0x318F:
        return 2
    if 0xF900 <= cp <= 0xFAFF or 0x20000 <= cp <= 0x3FFFF:
        return 2
    if 0x1F000 <= cp <= 0x1FAFF:
        return 0
    return 1


@njit(cache=True)
def _mix(h, k):
    """Combine two hashes, with the finaliser of MurmurHash3 (Appleby, public domain)."""
    x = (h ^ (k * np.uint64(0x9E3779B97F4A7C15))) & np.uint64(0xFFFFFFFFFFFFFFFF)
    x ^= x >> np.uint64(33)
    x = x * np.uint64(0xFF51AFD7ED558CCD)
    x ^= x >> np.uint64(33)
    return x


@njit(cache=True)
def text_statistics(blocks, text, title):
    """Statistics and text tokens of every block.

    Args:
        blocks, text: as `scan` gave them.
        title: UTF-8 bytes of the page's title.

    Returns: (float64 (m, 18), token indices int32, offsets int32 (m + 1)); tokens index a table of 2**TEXT_BITS.
    """
    m = len(blocks)
    stats = np.zeros((m, 18), np.float64)
    tokens = np.zeros(1024, np.int32)
    offsets = np.zeros(m + 1, np.int32)
    n_tok = 0
    titles = np.zeros(64, np.uint64)
    n_titles = 0
    mask = np.uint64((1 << TEXT_BITS) - 1)
    for b in range(-1, m):
        data = title if b < 0 else text
        i = 0 if b < 0 else blocks[b, B_START]
        end = len(title) if b < 0 else blocks[b, B_END]
        units, chars, words, upper, digits = 0.0, 0, 0, 0, 0
        terminal, comma, symbol, lines, longest, currency, separator = 0, 0, 0, 0, 0, 0, 0
        hits = 0
        seen = np.uint64(0)
        whole = _OFFSET
        h, length = _OFFSET, 0
        previous = np.uint64(0)
        first_kind, last = 0, np.int64(0)
        n_text = 0
        if b >= 0 and n_tok + 2 * MAX_TEXT_TOKENS + 4 > len(tokens):
            grown = np.zeros(len(tokens) * 2, np.int32)
            grown[:n_tok] = tokens[:n_tok]
            tokens = grown
        while i <= end:
            # ---- the next code point; at the end a virtual space closes the last word
            if i == end:
                cp, step = np.int64(32), 1
            else:
                c = np.int64(data[i])
                if c < 128:
                    cp, step = c, 1
                elif c >= 0xF0 and i + 3 < end:
                    cp = ((c & 7) << 18) | ((data[i + 1] & 63) << 12) | ((data[i + 2] & 63) << 6) | (data[i + 3] & 63)
                    step = 4
                elif c >= 0xE0 and i + 2 < end:
                    cp = ((c & 15) << 12) | ((data[i + 1] & 63) << 6) | (data[i + 2] & 63)
                    step = 3
                elif c >= 0xC0 and i + 1 < end:
                    cp, step = ((c & 31) << 6) | (data[i + 1] & 63), 2
                else:
                    cp, step = np.int64(0xFFFD), 1
            kind = _kind(cp)
            if kind == 1 and length < 200:
                if length == 0 and (
                    65 <= cp <= 90 or 0xC0 <= cp <= 0xDE or 0x410 <= cp <= 0x42F or 0x391 <= cp <= 0x3A9
                ):
                    upper += 1
                if length == 0 and first_kind == 0:
                    first_kind = 1 if upper else (3 if 48 <= cp <= 57 else 2)
                low = cp + 32 if 65 <= cp <= 90 else cp
                h = (h ^ np.uint64(low)) * _PRIME
                length += 1
                if 48 <= cp <= 57:
                    digits += 1
            elif length or kind >= 2:
                if length:
                    words += 1
                    units += 1.0
                    longest = max(longest, length)
                    word = h
                    h, length = _OFFSET, 0
                    if b < 0:
                        if n_titles < 64:
                            titles[n_titles] = word
                            n_titles += 1
                    else:
                        for t in range(n_titles):
                            if titles[t] == word:
                                hits += 1
                                seen |= np.uint64(1) << np.uint64(t)
                                break
                        whole = _mix(whole, word)
                        if n_text < MAX_TEXT_TOKENS:
                            tokens[n_tok] = np.int32(_mix(word, np.uint64(1)) & mask)
                            n_tok += 1
                            n_text += 1
                            if n_text < 24:
                                tokens[n_tok] = np.int32(_mix(word, previous) & mask)
                                n_tok += 1
                        previous = word
                if kind >= 2:
                    units += 0.6 if kind == 2 else 0.2
                    word = _mix(_OFFSET, np.uint64(cp))
                    if b >= 0:
                        whole = _mix(whole, word)
                        if n_text < MAX_TEXT_TOKENS:
                            tokens[n_tok] = np.int32(_mix(word, previous) & mask)
                            n_tok += 1
                            n_text += 1
                        previous = word
                    first_kind = first_kind if first_kind else 1
                elif kind == 1:  # the word was cut at 200 characters
                    h, length = _OFFSET, 1
            if kind == 0 and i < end:
                if cp == 10:
                    lines += 1
                elif cp in (46, 33, 63, 0x3002, 0xFF01, 0xFF1F, 0x0964, 0x061F, 0x06D4, 0x2026):
                    terminal += 1
                elif cp in (44, 59, 58, 0x3001, 0xFF0C, 0x060C, 0xFF1A, 0xFF1B):
                    comma += 1
                elif cp != 32 and cp != 39 and cp != 0x2019 and cp != 34:
                    symbol += 1
                    if cp in (36, 0xA3, 0xA5, 0x20AC, 0x20B9, 0x20BD, 0x20A9):
                        currency += 1
                    elif cp in (124, 47, 62, 0xBB, 0xAB, 0x203A, 0x2039, 0x2022, 0xB7, 0x2192, 0x2190, 0x25B6, 43):
                        separator += 1
            if cp > 32 and i < end:
                last = cp
            chars += 1
            i += step
        if b < 0:
            continue
        offsets[b + 1] = n_tok
        s = stats[b]
        s[S_UNITS], s[S_CHARS], s[S_UPPER], s[S_DIGITS] = units, chars - 1, upper, digits
        s[S_TERMINAL], s[S_COMMA], s[S_SYMBOL], s[S_LINES] = terminal, comma, symbol, lines
        if last in (46, 33, 63, 0x3002, 0xFF01, 0xFF1F, 0x0964, 0x061F, 0x06D4, 0x2026, 34, 0x201D, 41, 0x300D):
            s[S_ENDS] = 1
        elif last == 58 or last == 0xFF1A:
            s[S_ENDS] = 2
        s[S_FIRST], s[S_LONGEST], s[S_WORDS] = first_kind, longest, words
        covered = 0
        for t in range(n_titles):
            if seen & (np.uint64(1) << np.uint64(t)):
                covered += 1
        s[S_CURRENCY], s[S_SEPARATOR] = currency, separator
        s[S_TITLE] = hits / words if words else 0.0
        s[S_COVER] = covered / n_titles if n_titles else 0.0
        s[S_HASH] = np.float64(whole >> np.uint64(12))  # 52 bits: exact in a float64
        size = blocks[b, B_END] - blocks[b, B_START]
        s[S_LINK] = min(1.0, blocks[b, B_LINK] / size) if size else 0.0
    return stats, tokens[:n_tok].copy(), offsets


@njit(cache=True)
def path_tokens(el, tokens):
    """Indices into the path tables for every element: its names, its tag, and its tag with those above.

    Returns: (indices int32, offsets int32 (n + 1)); html and body have none.
    """
    n = len(el)
    offsets = np.zeros(n + 1, np.int32)
    out = np.zeros(2 * len(tokens) + 3 * n, np.int32)
    mask = np.uint64((1 << PATH_BITS) - 1)
    at = 0
    for e in range(n):
        tag = el[e, E_TAG]
        if tag != _HTML and tag != _BODY and e:
            parent = el[e, E_PARENT]
            t0, t1 = np.uint64(tag + 1), np.uint64(el[parent, E_TAG] + 1)
            above = el[parent, E_PARENT]
            t2 = np.uint64(el[above, E_TAG] + 1) if above >= 0 else np.uint64(0)
            out[at] = np.int32(_mix(t0, np.uint64(7)) & mask)
            out[at + 1] = np.int32(_mix(t0, t1 + np.uint64(1000)) & mask)
            out[at + 2] = np.int32(_mix(_mix(t0, t1), t2 + np.uint64(2000)) & mask)
            at += 3
            for k in range(el[e, E_TOK], el[e, E_TOK] + el[e, E_NTOK]):
                out[at] = np.int32(_mix(np.uint64(tokens[k]), np.uint64(3)) & mask)
                at += 1
                if k < el[e, E_TOK] + 3:
                    near = np.uint64(tokens[el[parent, E_TOK]]) if el[parent, E_NTOK] > 0 else t1
                    out[at] = np.int32(_mix(np.uint64(tokens[k]), near + np.uint64(5000)) & mask)
                    at += 1
        offsets[e + 1] = at
    return out[:at].copy(), offsets


@njit(cache=True)
def path_scores(el, blocks, indices, offsets, own, above, scale):
    """Path score of every block: names of its element and the parent by table `own`, those further up by `above`.

    Args:
        own, above: int8 weights (2**PATH_BITS,), to be multiplied by `scale`.

    Returns: float64 (m,).
    """
    n = len(el)
    near, far = np.zeros(n, np.float64), np.zeros(n, np.float64)
    for e in range(1, n):
        a, b = 0, 0
        for k in range(offsets[e], offsets[e + 1]):
            a += own[indices[k]]
            b += above[indices[k]]
        near[e] = a * scale
        far[e] = far[el[e, E_PARENT]] + b * scale
    scores = np.zeros(len(blocks), np.float64)
    for i in range(len(blocks)):
        e = blocks[i, B_ELEMENT]
        parent = el[e, E_PARENT]
        value = near[e]
        if parent > 0:
            value += near[parent]
            above_it = el[parent, E_PARENT]
            if above_it > 0:
                value += far[above_it]
        scores[i] = value
    return scores


@njit(cache=True)
def text_scores(indices, offsets, weights, scale):
    """Text score of every block: sum of the weights of its tokens / sqrt(number of tokens). float64 (m,)."""
    m = len(offsets) - 1
    scores = np.zeros(m, np.float64)
    for b in range(m):
        total = 0
        for k in range(offsets[b], offsets[b + 1]):
            total += weights[indices[k]]
        n = offsets[b + 1] - offsets[b]
        scores[b] = total * scale / np.sqrt(n) if n else 0.0
    return scores


N_LEVELS = 5
# What a page says of its kind in its address and its metadata; see `pipeline.extract.fast.facts`.
FACTS = ["og_article", "og_product", "og_other", "ld_article", "ld_product", "ld_list", "ld_forum", "ld_faq", "ld_business",
         "ld_crumbs", "segments", "last_hyphens", "digits", "query", "root", "url_product", "url_list", "url_forum",
         "url_docs", "url_article", "generator"]  # fmt: skip
FEATURES = (
    ["units", "log_units", "word_chars", "upper", "digits", "terminal", "comma", "symbol", "ends", "first", "longest",
     "lines", "currency", "separator", "title_hits", "title_cover", "link", "links", "tags", "bold", "code", "tag",
     "depth", "path", "text"]
    + [f"in_{i}" for i in range(len(_FLAGS))]
    + ["copies", "copy_number", "index", "place", "units_before", "units_after", "since_h1", "has_h1_before",
       "level_of_heading", "units_to_heading", "path_sum_5", "text_sum_5", "link_5", "units_5", "path_sum_11", "units_11",
       "heading_text", "heading_path"]
    + [f"{n}_{o}" for o in ("m2", "m1", "p1", "p2") for n in ("units", "link", "path", "text", "same_parent", "heading")]
    + [f"{n}_up{k}" for k in range(1, N_LEVELS + 1)
       for n in ("units", "link", "share", "blocks", "p_share", "terminal", "path", "text", "first_text")]
    + ["group_n", "group_units", "group_link", "group_path", "group_text", "group_share", "group_place"]
    + ["in_main", "main_share", "main_before", "main_after", "main_depth"]
    + ["page_units", "page_blocks", "page_link", "page_p", "page_h1", "page_articles", "page_longest", "page_path",
       "page_text", "page_good", "page_table", "page_list", "page_groups"]
    + [f"fact_{name}" for name in FACTS]
)  # fmt: skip
N_FEATURES = len(FEATURES)
_AT_FLAGS = FEATURES.index("in_0")
_AT_COPIES = FEATURES.index("copies")
_AT_NEAR = FEATURES.index("units_m2")
_AT_UP = FEATURES.index("units_up1")
_AT_GROUP = FEATURES.index("group_n")
_AT_MAIN = FEATURES.index("in_main")
_AT_PAGE = FEATURES.index("page_units")


@njit(cache=True)
def features(el, tokens, blocks, stats, path, text, facts):
    """All features of all blocks of a page, float32 (m, N_FEATURES), in the order of FEATURES.

    Args:
        facts: float32 (len(FACTS),), facts about the whole page.
    """
    m, n = len(blocks), len(el)
    x = np.zeros((m, N_FEATURES), np.float32)
    if m == 0:
        return x
    total = 0.0
    link_total, p_total, good_total, table_total, list_total = 0.0, 0.0, 0.0, 0.0, 0.0
    longest, path_total, text_total = 0.0, 0.0, 0.0
    h1s, articles = 0, 0
    # ---- sums over subtrees: units, link units, blocks, units in p, sentence ends, units * path, mass, units * text
    sums = np.zeros((n, 8), np.float64)
    first_text = np.zeros(n, np.float64)
    for b in range(m):
        e = blocks[b, B_ELEMENT]
        u, link, flags = stats[b, S_UNITS], stats[b, S_LINK], el[e, E_FLAGS]
        total += u
        link_total += u * link
        longest = max(longest, u)
        path_total += u * path[b]
        text_total += u * text[b]
        in_p = u if flags & T.PARAGRAPH else 0.0
        p_total += in_p
        score = path[b] + text[b]
        good = u * (1.0 - link) / (1.0 + np.exp(-score))
        if score > 0:
            good_total += u
        if flags & T.TABLE:
            table_total += u
        if flags & T.LIST:
            list_total += u
        if el[e, E_TAG] == _H1:
            h1s += 1
        s = sums[e]
        s[0] += u
        s[1] += u * link
        s[2] += 1
        s[3] += in_p
        s[4] += stats[b, S_TERMINAL]
        s[5] += u * path[b]
        s[6] += good
        s[7] += u * text[b]
    for e in range(n - 1, 0, -1):
        parent = el[e, E_PARENT]
        for k in range(8):
            sums[parent, k] += sums[e, k]
        if el[e, E_FLAGS] & T.ARTICLE and not el[parent, E_FLAGS] & T.ARTICLE:
            articles += 1
    total = max(total, 1.0)
    for b in range(m - 1, -1, -1):  # the first block of every element wins
        up = blocks[b, B_ELEMENT]
        for _ in range(12):
            first_text[up] = text[b]
            up = el[up, E_PARENT]
            if up < 0:
                break
    # ---- the main element: down from the root while one child holds most of the mass
    best = np.full(n, -1, np.int32)
    for e in range(1, n):
        parent = el[e, E_PARENT]
        if best[parent] < 0 or sums[e, 6] > sums[best[parent], 6]:
            best[parent] = e
    main = np.int32(0)
    while best[main] > 0 and sums[best[main], 6] > 0.6 * sums[main, 6] and sums[best[main], 2] > 1:
        main = best[main]
    inside = np.zeros(n, np.bool_)
    inside[main] = True
    for e in range(main + 1, n):
        inside[e] = inside[el[e, E_PARENT]]
    main_first, main_last = m, -1
    for b in range(m):
        if inside[blocks[b, B_ELEMENT]]:
            main_first = min(main_first, b)
            main_last = max(main_last, b)
    # ---- groups of blocks alike in place, and copies of texts
    size = 16
    while size < 3 * m:
        size *= 2
    keys = np.zeros(size, np.uint64)
    slots = np.full((2, size), -1, np.int32)
    group = np.zeros(m, np.int32)
    sums_g = np.zeros((m, 7), np.float64)
    n_groups = 0
    copy_of = np.zeros(m, np.int32)
    copies = np.zeros(m, np.int32)
    number = np.zeros(m, np.int32)
    copy_keys = np.zeros(size, np.float64)
    for b in range(m):
        e = blocks[b, B_ELEMENT]
        key = np.uint64(el[e, E_TAG] + 1)
        up = e
        for _ in range(3):
            if el[up, E_NTOK] > 0:
                key = _mix(key, np.uint64(tokens[el[up, E_TOK]]))
            up = el[up, E_PARENT]
            if up < 0:
                break
            key = _mix(key, np.uint64(el[up, E_TAG] + 1))
        key |= np.uint64(1)
        at = np.int64(key >> np.uint64(32)) % size
        while slots[0, at] >= 0 and keys[at] != key:
            at = (at + 1) % size
        if slots[0, at] < 0:
            slots[0, at], keys[at] = n_groups, key
            n_groups += 1
        g = slots[0, at]
        group[b] = g
        u = stats[b, S_UNITS]
        sums_g[g, 0] += 1
        sums_g[g, 1] += u
        sums_g[g, 2] += u * stats[b, S_LINK]
        sums_g[g, 3] += path[b]
        sums_g[g, 4] += text[b]
        sums_g[g, 5] += b
        hashed = stats[b, S_HASH]
        at = np.int64(hashed) % size
        while slots[1, at] >= 0 and copy_keys[at] != hashed:
            at = (at + 1) % size
        if slots[1, at] < 0:
            slots[1, at], copy_keys[at] = b, hashed
        first = slots[1, at]
        copy_of[b] = first
        number[b] = copies[first]
        copies[first] += 1
    # ---- prefix sums for windows
    pre = np.zeros((m + 1, 4), np.float64)
    for b in range(m):
        u = stats[b, S_UNITS]
        pre[b + 1, 0] = pre[b, 0] + u
        pre[b + 1, 1] = pre[b, 1] + u * path[b]
        pre[b + 1, 2] = pre[b, 2] + u * text[b]
        pre[b + 1, 3] = pre[b, 3] + u * stats[b, S_LINK]
    h1_at = -1
    heading_level, heading_units, heading_text, heading_path = 0, 0.0, 0.0, 0.0
    for b in range(m):
        f = x[b]
        e = blocks[b, B_ELEMENT]
        tag, flags = el[e, E_TAG], el[e, E_FLAGS]
        s = stats[b]
        u = s[S_UNITS]
        per = max(u, 1.0)
        f[0], f[1] = min(u, 500.0), np.log1p(u)
        f[2] = s[S_CHARS] / per
        f[3], f[4] = s[S_UPPER] / per, s[S_DIGITS] / max(s[S_CHARS], 1.0)
        f[5], f[6], f[7] = s[S_TERMINAL] / per, s[S_COMMA] / per, s[S_SYMBOL] / per
        f[8], f[9], f[10], f[11] = s[S_ENDS], s[S_FIRST], s[S_LONGEST], min(s[S_LINES], 50.0)
        f[12], f[13] = s[S_CURRENCY] / per, s[S_SEPARATOR] / per
        f[14], f[15], f[16] = s[S_TITLE], s[S_COVER], s[S_LINK]
        f[17], f[18] = blocks[b, B_LINKS] / per, blocks[b, B_TAGS] / per
        width = max(blocks[b, B_END] - blocks[b, B_START], 1)
        f[19], f[20] = min(1.0, blocks[b, B_BOLD] / width), min(1.0, blocks[b, B_CODE] / width)
        f[21], f[22], f[23], f[24] = tag, el[e, E_DEPTH], path[b], text[b]
        for k in range(len(_FLAGS)):
            f[_AT_FLAGS + k] = 1.0 if flags & _FLAGS[k] else 0.0
        if tag == _H1 and h1_at < 0:
            h1_at = b
        if _H1 <= tag <= _H6:
            heading_level, heading_units = tag - _H1 + 1, 0.0
            heading_text, heading_path = text[b], path[b]
        c = _AT_COPIES
        f[c], f[c + 1] = copies[copy_of[b]], number[b]
        f[c + 2], f[c + 3] = b, b / m
        f[c + 4], f[c + 5] = pre[b, 0] / total, np.log1p(pre[m, 0] - pre[b + 1, 0])
        f[c + 6] = np.log1p(pre[b, 0] - pre[h1_at, 0]) if h1_at >= 0 else -1.0
        f[c + 7] = 1.0 if h1_at >= 0 else 0.0
        f[c + 8], f[c + 9] = heading_level, np.log1p(heading_units)
        heading_units += u
        for half in (2, 5):
            lo, hi = max(0, b - half), min(m, b + half + 1)
            w = pre[hi, 0] - pre[lo, 0]
            if half == 2:
                f[c + 10] = (pre[hi, 1] - pre[lo, 1]) / max(w, 1.0)
                f[c + 11] = (pre[hi, 2] - pre[lo, 2]) / max(w, 1.0)
                f[c + 12] = (pre[hi, 3] - pre[lo, 3]) / max(w, 1.0)
                f[c + 13] = np.log1p(w)
            else:
                f[c + 14] = (pre[hi, 1] - pre[lo, 1]) / max(w, 1.0)
                f[c + 15] = np.log1p(w)
        f[c + 16], f[c + 17] = heading_text, heading_path
        k = _AT_NEAR
        parent = el[el[e, E_PARENT], E_BLOCK] if el[e, E_PARENT] >= 0 else 0
        for o in (-2, -1, 1, 2):
            j = b + o
            if 0 <= j < m:
                ej = blocks[j, B_ELEMENT]
                f[k], f[k + 1] = np.log1p(stats[j, S_UNITS]), stats[j, S_LINK]
                f[k + 2], f[k + 3] = path[j], text[j]
                pj = el[el[ej, E_PARENT], E_BLOCK] if el[ej, E_PARENT] >= 0 else 0
                f[k + 4] = 2.0 if ej == e else (1.0 if pj == parent else 0.0)
                f[k + 5] = 1.0 if el[ej, E_FLAGS] & T.HEADING else 0.0
            else:
                f[k], f[k + 1], f[k + 2], f[k + 3], f[k + 4], f[k + 5] = -1.0, -1.0, -9.0, -9.0, -1.0, -1.0
            k += 6
        k = _AT_UP
        up = e
        for _ in range(N_LEVELS):
            if el[up, E_PARENT] >= 0:
                up = el[el[up, E_PARENT], E_BLOCK]
            v = sums[up]
            w = max(v[0], 1.0)
            f[k], f[k + 1], f[k + 2], f[k + 3] = np.log1p(v[0]), v[1] / w, v[0] / total, np.log1p(v[2])
            f[k + 4], f[k + 5], f[k + 6] = v[3] / w, v[4] / w, v[5] / w
            f[k + 7], f[k + 8] = v[7] / w, first_text[up]
            k += 9
        g = sums_g[group[b]]
        k = _AT_GROUP
        f[k], f[k + 1], f[k + 2] = g[0], g[1] / g[0], g[2] / max(g[1], 1.0)
        f[k + 3], f[k + 4], f[k + 5] = g[3] / g[0], g[4] / g[0], g[1] / total
        f[k + 6] = (b - g[5] / g[0]) / m
        k = _AT_MAIN
        f[k], f[k + 1] = 1.0 if inside[e] else 0.0, sums[main, 0] / total
        f[k + 2], f[k + 3] = np.float32(b - main_first), np.float32(main_last - b)
        f[k + 4] = el[e, E_DEPTH] - el[main, E_DEPTH]
        k = _AT_PAGE
        f[k], f[k + 1], f[k + 2], f[k + 3] = np.log1p(total), np.log1p(m), link_total / total, p_total / total
        f[k + 4], f[k + 5], f[k + 6], f[k + 7] = h1s, min(articles, 50), np.log1p(longest), path_total / total
        f[k + 8], f[k + 9], f[k + 10] = text_total / total, good_total / total, table_total / total
        f[k + 11], f[k + 12] = list_total / total, n_groups / m
        for j in range(len(facts)):
            f[k + 13 + j] = facts[j]
    return x

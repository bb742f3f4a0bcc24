"""The HTML scanner: bytes in, elements and blocks of text out, in one pass and bounded time.

It follows the HTML standard where that decides which text belongs together (implied end tags, raw text elements,
character references, comments), and leaves out what only a renderer needs (the adoption agency, foster parenting). An
element is a row of arrays; children have larger numbers than their parents. A block is a run of text between block-level
boundaries, white space folded, its place in the source kept.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.extract.fast.kernels import tags as T
from pipeline.text.kernels.bytes import find_byte

_A, _SKIP, _PRE, _CODE = T.A, T.SKIP, T.PRE, T.CODE
_HIDDEN, _LIST, _ITEM, _CELL, _TABLE = T.HIDDEN, T.LIST, T.ITEM, T.CELL, T.TABLE
_BLOCK, _VOID, _RAW, _CLOSES_P = T.BLOCK, T.VOID, T.RAW, T.CLOSES_P
_t = T.TAG
_HTML, _BODY, _HEAD, _P, _LI, _DT, _DD, _TR, _TD, _TH = (
    _t[n] for n in ("html", "body", "head", "p", "li", "dt", "dd", "tr", "td", "th")
)
_THEAD, _TBODY, _TFOOT, _OPTION, _OPTGROUP, _TABLE_TAG = (
    _t[n] for n in ("thead", "tbody", "tfoot", "option", "optgroup", "table")
)
_BR, _HR, _A_TAG, _SCRIPT, _STYLE, _TITLE, _META, _LINK, _TIME, _TEXTAREA, _MATH_TAG, _ANNOTATION, _PLAINTEXT = (
    _t[n]
    for n in (
        "br", "hr", "a", "script", "style", "title", "meta", "link", "time", "textarea", "math", "annotation",
        "plaintext",
    )
)  # fmt: skip
_H1, _H6 = _t["h1"], _t["h6"]
_UL, _OL = _t["ul"], _t["ol"]
_AT = T.ATTR
_AT_CLASS, _AT_ID, _AT_ROLE, _AT_PROP, _AT_STYLE = (_AT[n] for n in ("class", "id", "role", "itemprop", "style"))
_AT_HIDDEN, _AT_ARIA, _AT_ALTTEXT, _AT_TYPE = (_AT[n] for n in ("hidden", "aria-hidden", "alttext", "type"))
_OFFSET, _PRIME = np.uint64(T.FNV_OFFSET), np.uint64(T.FNV_PRIME)

_S_ANNOTATION = np.frombuffer(b"<annotation", np.uint8)
_S_DISPLAY = np.frombuffer(b"display", np.uint8)
_S_HIDDEN = np.frombuffer(b"hidden", np.uint8)
_S_LDJSON = np.frombuffer(b"ld+json", np.uint8)
_S_MATHTEX = np.frombuffer(b"math/tex", np.uint8)
_S_MATH_END = np.frombuffer(b"</math", np.uint8)
_S_NONE = np.frombuffer(b"none", np.uint8)
_S_TEX = np.frombuffer(b"tex", np.uint8)
_S_VISIBILITY = np.frombuffer(b"visibility", np.uint8)
_S__END = np.frombuffer(b"</", np.uint8)

# Columns of the element table (int32), of the block table (int64) and kinds of marks.
E_TAG, E_PARENT, E_BLOCK, E_DEPTH, E_FLAGS, E_TOK, E_NTOK, E_CELL, E_ROW, E_ITEM, E_SRC, E_FULL = range(12)
B_START, B_END, B_ELEMENT, B_SRC, B_SRC_END, B_LINK, B_BOLD, B_LINKS, B_CODE, B_TAGS = range(10)
M_META, M_LINK, M_TITLE, M_JSON, M_TIME, M_HTML = range(6)
OK, TOO_MANY_ELEMENTS = 0, 1
MAX_FULL, MAX_SUB = 12, 24  # class and id names kept of an element, and their parts


@njit(cache=True)
def _lookup(keys, values, key):
    mask = np.uint64(len(keys) - 1)
    at = key & mask
    while keys[at] != 0:
        if keys[at] == key:
            return values[at]
        at = (at + np.uint64(1)) & mask
    return np.int32(-1)


@njit(cache=True)
def _is_space(c):
    return c == 32 or (9 <= c <= 13 and c != 11)


@njit(cache=True)
def _ends_name(c):
    """Whether a byte ends an attribute's name: white space, '/', '=' or '>'."""
    return _is_space(c) or c == 47 or c == 61 or c == 62


@njit(cache=True)
def _lower(c):
    return c + 32 if 65 <= c <= 90 else c


@njit(cache=True)
def _name_hash(buf, start, end):
    h = _OFFSET
    for i in range(start, end):
        h = (h ^ np.uint64(_lower(buf[i]))) * _PRIME
    return h


@njit(cache=True)
def _find(buf, at, end, needle):
    """First place of a lower-case ASCII needle, letter case ignored; -1 if there is none."""
    n = len(needle)
    first = needle[0]
    while at + n <= end:
        if _lower(buf[at]) == first:
            j = 1
            while j < n and _lower(buf[at + j]) == needle[j]:
                j += 1
            if j == n:
                return at
        at += 1
    return -1


@njit(cache=True)
def _put_codepoint(out, at, cp):
    """UTF-8 of a code point; the replacement character for what has none."""
    if cp == 0 or cp > 0x10FFFF or 0xD800 <= cp <= 0xDFFF:
        cp = 0xFFFD
    if cp < 0x80:
        out[at] = cp
        return at + 1
    if cp < 0x800:
        out[at] = 0xC0 | (cp >> 6)
        out[at + 1] = 0x80 | (cp & 63)
        return at + 2
    if cp < 0x10000:
        out[at] = 0xE0 | (cp >> 12)
        out[at + 1] = 0x80 | ((cp >> 6) & 63)
        out[at + 2] = 0x80 | (cp & 63)
        return at + 3
    out[at] = 0xF0 | (cp >> 18)
    out[at + 1] = 0x80 | ((cp >> 12) & 63)
    out[at + 2] = 0x80 | ((cp >> 6) & 63)
    out[at + 3] = 0x80 | (cp & 63)
    return at + 4


# Windows-1252 for the references &#128; to &#159;, as the HTML standard has it.
_C1 = np.array(
    [0x20AC, 0x81, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D, 0x017D,
     0x8F, 0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,
     0x017E, 0x0178], np.int32,
)  # fmt: skip


@njit(cache=True)
def _reference(buf, i, end, out, at, ent_keys, ent_ids, ent_off, ent_blob):
    """Decode the character reference at buf[i] == '&' into out[at:]; (next i, next at), i unchanged if it is none."""
    j = i + 1
    if j < end and buf[j] == 35:  # '#'
        j += 1
        base = 10
        if j < end and (buf[j] == 120 or buf[j] == 88):
            base = 16
            j += 1
        first = j
        cp = np.int64(0)
        while j < end:
            c = _lower(buf[j])
            if 48 <= c <= 57:
                d = c - 48
            elif base == 16 and 97 <= c <= 102:
                d = c - 87
            else:
                break
            if cp < 0x110000:
                cp = cp * base + d
            j += 1
        if j == first:
            return i, at
        if j < end and buf[j] == 59:
            j += 1
        if 128 <= cp <= 159:
            cp = np.int64(_C1[cp - 128])
        return j, _put_codepoint(out, at, cp)
    h = _OFFSET
    found, found_end = np.int32(-1), j
    while j < end and j - i <= 33:
        c = buf[j]
        if not (48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122):
            break
        h = (h ^ np.uint64(c)) * _PRIME
        j += 1
        if j - i <= 7:  # the names that need no ';' have at most six letters
            k = _lookup(ent_keys, ent_ids, h)
            if k >= 0:
                found, found_end = k, j
    if j < end and buf[j] == 59:
        k = _lookup(ent_keys, ent_ids, (h ^ np.uint64(59)) * _PRIME)
        if k >= 0:
            found, found_end = k, j + 1
    if found < 0:
        return i, at
    for k in range(ent_off[found], ent_off[found + 1]):
        out[at] = ent_blob[k]
        at += 1
    return found_end, at


@njit(cache=True)
def _add_token(tokens, n, h):
    if n >= len(tokens):
        grown = np.empty(len(tokens) * 2, np.uint32)
        grown[:n] = tokens[:n]
        tokens = grown
    tokens[n] = np.uint32((h ^ (h >> np.uint64(32))) & np.uint64(0xFFFFFFFF))
    return tokens, n + 1


@njit(cache=True)
def _tokens_of(buf, start, end, salt, tokens, n, full_left, sub_left):
    """Hashes of the names in a class or id value, whole and in parts ("post-12" as "post-0", "post", "0")."""
    i = start
    seed = _OFFSET ^ np.uint64(salt)
    while i < end and full_left > 0:
        while i < end and _is_space(buf[i]):
            i += 1
        if i >= end:
            break
        h, s = seed, _OFFSET
        digit, parts, sub_len = False, 0, 0
        first_n = n
        while i < end and not _is_space(buf[i]):
            c = buf[i]
            low = _lower(c)
            if 48 <= c <= 57:
                if not digit:
                    h = (h ^ np.uint64(48)) * _PRIME
                digit = True
                i += 1
                continue
            digit = False
            camel = 65 <= c <= 90 and sub_len > 0 and i > start and 97 <= buf[i - 1] <= 122
            letter = 97 <= low <= 122 or c >= 128
            if (camel or not letter) and sub_len > 1 and sub_left > 0:
                tokens, n = _add_token(tokens, n, s)
                sub_left -= 1
                parts += 1
            if camel or not letter:
                s, sub_len = _OFFSET, 0
            if letter:
                s = (s ^ np.uint64(low)) * _PRIME
                sub_len += 1
            h = (h ^ np.uint64(low)) * _PRIME
            i += 1
        if sub_len > 1 and sub_left > 0:
            tokens, n = _add_token(tokens, n, s)
            sub_left -= 1
            parts += 1
        if n == first_n or parts > 1 or salt != 1:
            tokens, n = _add_token(tokens, n, h)
        full_left -= 1
    return tokens, n, full_left, sub_left


@njit(cache=True)
def _style_hides(buf, start, end):
    """Whether an inline style has display:none or visibility:hidden."""
    i = start
    while i < end:
        c = _lower(buf[i])
        if c == 100 or c == 118:  # d, v
            d = _find(buf, i, min(end, i + 10), _S_DISPLAY) == i
            v = not d and _find(buf, i, min(end, i + 10), _S_VISIBILITY) == i
            if d or v:
                j = i + (7 if d else 10)
                while j < end and (_is_space(buf[j]) or buf[j] == 58):
                    j += 1
                if d and _find(buf, j, min(end, j + 4), _S_NONE) == j:
                    return True
                if v and _find(buf, j, min(end, j + 6), _S_HIDDEN) == j:
                    return True
        i += 1
    return False


@njit(cache=True)
def _tag_end(buf, i, n):
    """Index of the '>' that ends a tag whose name was read, quotes respected; n if the input ends before."""
    while i < n:
        c = buf[i]
        if c == 62:
            return i
        if c == 61:  # a value may be quoted
            i += 1
            while i < n and _is_space(buf[i]):
                i += 1
            if i < n and (buf[i] == 34 or buf[i] == 39):
                i = find_byte(buf, i + 1, n, buf[i])
            elif i < n and buf[i] == 62:
                return i
        i += 1
    return n


@njit(cache=True)
def scan(
    buf, max_elements,
    tag_keys, tag_ids, gives, props, attr_keys, attr_ids, role_keys, role_flags, ent_keys, ent_ids, ent_off, ent_blob,
):  # fmt: skip
    """Scan a page.

    Args:
        buf: UTF-8 bytes.
        max_elements: a page with more start tags is not scanned to its end.

    Returns: (status, elements int32 (n, 12), tokens uint32, blocks int64 (m, 10), text uint8, marks int64 (k, 3)).
        Column names are E_*, B_* and M_*; marks are (kind, start, end) of meta, link, title, JSON-LD and time tags.
    """
    n = len(buf)
    count = 2
    for i in range(n):
        if buf[i] == 60:
            count += 1
    status, count = OK, min(count, max_elements)
    el = np.zeros((count + 1, 12), np.int32)
    tokens = np.empty(1024, np.uint32)
    n_tok = 0
    blocks = np.zeros((256, 10), np.int64)
    n_blocks = 0
    out = np.empty(n + n // 4 + 64, np.uint8)
    o = 0
    marks = np.zeros((64, 3), np.int64)
    n_marks = 0
    stack = np.zeros(1024, np.int32)
    top = 0
    open_tags = np.zeros(len(props), np.int32)
    el[0, E_TAG], el[0, E_PARENT] = _HTML, -1
    el[0, E_CELL], el[0, E_ROW], el[0, E_ITEM] = -1, -1, -1
    n_el = 1
    # the block being built
    b_start, b_el, b_src, b_src_end = 0, 0, 0, 0
    b_link, b_bold, b_links, b_code, b_tags = 0, 0, 0, 0, 0
    in_block, space, breaks = False, False, 0
    i = 0
    while i <= n:
        boundary = False
        new = -1  # an element to open after the boundary
        pop_to = -1  # stack height after an end tag
        is_br = False
        if i == n:
            boundary = True
        elif buf[i] != 60 or i + 1 >= n:
            # ---- text up to the next '<'
            j = find_byte(buf, i + 1, n, 60)
            e = stack[top]
            flags = el[e, E_FLAGS]
            if not flags & _SKIP:
                pre = (flags & _PRE) != 0
                before = o
                k = i
                while k < j:
                    c = buf[k]
                    if _is_space(c) or (c == 194 and k + 1 < j and buf[k + 1] == 160):
                        if pre and in_block:
                            if c != 13:
                                out[o] = 32 if c == 194 else c
                                o += 1
                        elif pre and c != 13 and c != 10:
                            space = False
                            in_block, b_start, b_src, b_el = True, o, k, el[e, E_BLOCK]
                            out[o] = 32 if c == 194 else c
                            o += 1
                        else:
                            space = True
                        k += 2 if c == 194 else 1
                        continue
                    if not in_block:
                        in_block, b_start, b_src, b_el = True, o, k, el[e, E_BLOCK]
                        before = o
                    elif breaks:
                        out[o] = 10
                        o += 1
                    elif space and o > b_start and out[o - 1] != 10:
                        out[o] = 32
                        o += 1
                    space, breaks = False, 0
                    if c == 38:
                        nk, no = _reference(buf, k, j, out, o, ent_keys, ent_ids, ent_off, ent_blob)
                        if nk == k:
                            out[o] = 38
                            o += 1
                            k += 1
                        else:
                            k = nk
                            if no - o == 2 and out[o] == 194 and out[o + 1] == 160:
                                space = True  # &nbsp;
                            elif no - o == 1 and _is_space(out[o]) and not pre:
                                space = True
                            elif no - o == 2 and out[o] == 194 and out[o + 1] == 173:
                                pass  # a soft hyphen is no text
                            else:
                                o = no
                    elif c == 194 and k + 1 < j and buf[k + 1] == 173:
                        k += 2
                    elif c == 0:
                        k += 1
                    else:
                        out[o] = c
                        o += 1
                        k += 1
                    b_src_end = k
                added = o - before
                if in_block and added > 0:
                    if flags & _A:
                        b_link += added
                    if flags & T.BOLD:
                        b_bold += added
                    if flags & _CODE:
                        b_code += added
            i = j
            continue
        else:
            c = buf[i + 1]
            if c == 33:  # '<!'
                if i + 3 < n and buf[i + 2] == 45 and buf[i + 3] == 45:
                    j = i + 4
                    if j < n and buf[j] == 62:
                        i = j + 1
                        continue
                    j = find_byte(buf, j, n, 62)
                    while j < n and not (buf[j - 1] == 45 and buf[j - 2] == 45 and j >= i + 6):
                        j = find_byte(buf, j + 1, n, 62)
                    i = min(j + 1, n)
                else:
                    i = min(find_byte(buf, i + 2, n, 62) + 1, n)
                continue
            if c == 63 or (c == 47 and i + 2 < n and not 97 <= _lower(buf[i + 2]) <= 122):
                i = min(find_byte(buf, i + 2, n, 62) + 1, n)
                continue
            closing = c == 47
            name_at = i + 2 if closing else i + 1
            if name_at >= n or not 97 <= _lower(buf[name_at]) <= 122:
                # a '<' that opens nothing is text
                e = stack[top]
                if not el[e, E_FLAGS] & _SKIP:
                    if not in_block:
                        in_block, b_start, b_src, b_el = True, o, i, el[e, E_BLOCK]
                    elif space and o > b_start:
                        out[o] = 32
                        o += 1
                    space = False
                    out[o] = 60
                    o += 1
                    b_src_end = i + 1
                i += 1
                continue
            j = name_at
            dash = False
            h = _OFFSET
            while j < n and not _is_space(buf[j]) and buf[j] != 47 and buf[j] != 62:
                h = (h ^ np.uint64(_lower(buf[j]))) * _PRIME
                dash = dash or buf[j] == 45
                j += 1
            tag = _lookup(tag_keys, tag_ids, h)
            if tag < 0:
                tag = np.int32(0)
            prop = props[tag] if tag else (_BLOCK if dash else 0)
            if closing:
                i = min(_tag_end(buf, j, n) + 1, n)
                if tag == _BR:
                    is_br = True
                elif tag == _P and open_tags[_P] == 0:
                    boundary = True
                elif tag != _HTML and tag != _BODY:
                    if open_tags[tag] > 0:
                        inline = not prop & _BLOCK
                        s = top
                        stop = max(0, top - 400)
                        while s > stop:
                            t = el[stack[s], E_TAG]
                            if t == tag:
                                pop_to = s - 1
                                break
                            if inline and tag and props[t] & _BLOCK:
                                break
                            s -= 1
                    boundary = (prop & _BLOCK) != 0
            else:
                if n_el >= count:
                    status = TOO_MANY_ELEMENTS
                    i = n
                    continue
                # ---- what this start tag closes by being there
                if prop & _CLOSES_P and open_tags[_P] > 0:
                    s = top
                    while s > 0 and s > top - 60:
                        t = el[stack[s], E_TAG]
                        if t == _P:
                            pop_to = s - 1
                            break
                        if t in (_TD, _TH, _TABLE_TAG):
                            break
                        s -= 1
                closes = 0
                if tag == _LI:
                    closes = 1
                elif tag in (_DT, _DD):
                    closes = 2
                elif tag in (_TD, _TH):
                    closes = 3
                elif tag == _TR:
                    closes = 4
                elif tag in (_THEAD, _TBODY, _TFOOT):
                    closes = 5
                elif tag in (_OPTION, _OPTGROUP):
                    closes = 6
                elif tag == _A_TAG:
                    closes = 7
                elif _H1 <= tag <= _H6:
                    closes = 8
                if closes:
                    s = top
                    while s > 0 and s > top - 60:
                        t = el[stack[s], E_TAG]
                        hit = (
                            (closes == 1 and t == _LI)
                            or (closes == 2 and (t in (_DT, _DD)))
                            or (closes >= 3 and closes <= 5 and (t in (_TD, _TH)))
                            or (closes >= 4 and closes <= 5 and t == _TR)
                            or (closes == 5 and (t in (_THEAD, _TBODY, _TFOOT)))
                            or (closes == 6 and t == _OPTION)
                            or (closes == 7 and t == _A_TAG)
                        )
                        if hit:
                            pop_to = s - 1
                        elif (
                            t == _TABLE_TAG
                            or (closes <= 2 and (t in (_UL, _OL)))
                            or (closes == 7 and props[t] & _BLOCK)
                            or closes == 8
                        ):
                            break
                        s -= 1
                if open_tags[_HEAD] > 0 and tag and not prop & T.IN_HEAD and tag != _BODY:
                    s = top  # what can't stand in the head ends it
                    while s > 0:
                        if el[stack[s], E_TAG] == _HEAD:
                            pop_to = s - 1
                            break
                        s -= 1
                parent_at = pop_to if pop_to >= 0 else top
                parent = stack[parent_at]
                new = n_el
                n_el += 1
                flags = el[parent, E_FLAGS] | np.int32(gives[tag])
                if tag == _BODY:
                    flags &= ~_SKIP
                    while parent_at > 0:
                        parent_at -= 1
                        pop_to = parent_at
                    parent = stack[0]
                el[new, E_SRC] = i
                el[new, E_TOK] = n_tok
                full_left, sub_left = MAX_FULL, MAX_SUB
                # ---- attributes
                j0 = j
                is_json, alt_start, alt_end, is_tex = False, 0, 0, False
                while j < n and buf[j] != 62:
                    if _is_space(buf[j]) or buf[j] == 47:
                        j += 1
                        continue
                    name_start = j
                    while j < n and (buf[j] > 62 or not _ends_name(buf[j])):
                        j += 1
                    if j == name_start:
                        j += 1  # a stray '='
                    name_end = j
                    k = j
                    while k < n and _is_space(buf[k]):
                        k += 1
                    v0, v1 = 0, 0
                    if k < n and buf[k] == 61:
                        j = k + 1
                        while j < n and _is_space(buf[j]):
                            j += 1
                        if j < n and (buf[j] == 34 or buf[j] == 39):
                            v0 = j + 1
                            v1 = find_byte(buf, v0, n, buf[j])
                            j = v1 + 1
                        else:
                            v0 = j
                            while j < n and not _is_space(buf[j]) and buf[j] != 62:
                                j += 1
                            v1 = j
                    first = _lower(buf[name_start])
                    if name_end - name_start > 11 or first not in (97, 99, 104, 105, 114, 115, 116):
                        continue
                    attr = _lookup(attr_keys, attr_ids, _name_hash(buf, name_start, name_end))
                    if attr < 0:
                        continue
                    v1 = min(v1, n)
                    if attr in (_AT_CLASS, _AT_ID, _AT_PROP):
                        tokens, n_tok, full_left, sub_left = _tokens_of(
                            buf, v0, v1, np.int64(attr), tokens, n_tok, full_left, sub_left
                        )
                    elif attr == _AT_ROLE:
                        rh = _name_hash(buf, v0, v1)
                        r = _lookup(role_keys, role_flags, rh)
                        if r > 0:
                            flags |= np.int32(r)
                        tokens, n_tok = _add_token(tokens, n_tok, rh ^ np.uint64(attr))
                    elif attr == _AT_HIDDEN:
                        flags |= _HIDDEN
                    elif attr == _AT_ARIA:
                        if v1 - v0 == 4 and _lower(buf[v0]) == 116:
                            tokens, n_tok = _add_token(tokens, n_tok, _OFFSET ^ np.uint64(attr))
                    elif attr == _AT_STYLE:
                        if _style_hides(buf, v0, v1):
                            flags |= _HIDDEN
                    elif attr == _AT_TYPE:
                        if tag == _SCRIPT:
                            is_json = _find(buf, v0, v1, _S_LDJSON) >= 0
                            is_tex = _find(buf, v0, v1, _S_MATHTEX) >= 0
                    elif attr == _AT_ALTTEXT and tag == _MATH_TAG:
                        alt_start, alt_end = v0, v1
                tag_close = min(j, n)
                i = min(j + 1, n)
                if j >= n and tag_close >= n:
                    n_el -= 1  # the input ends inside this tag, which therefore is none
                    i = n
                    continue
                self_closing = buf[tag_close - 1] == 47 and tag_close - 1 >= j0
                el[new, E_TAG], el[new, E_PARENT], el[new, E_DEPTH] = tag, parent, el[parent, E_DEPTH] + 1
                el[new, E_NTOK] = n_tok - el[new, E_TOK]
                el[new, E_FLAGS] = flags
                block = (prop & _BLOCK) != 0 and tag != _BR
                el[new, E_BLOCK] = new if block else el[parent, E_BLOCK]
                el[new, E_CELL], el[new, E_ROW], el[new, E_ITEM] = (
                    el[parent, E_CELL],
                    el[parent, E_ROW],
                    el[parent, E_ITEM],
                )
                if tag in (_TD, _TH):
                    el[new, E_CELL] = new
                elif tag == _TR:
                    el[new, E_ROW] = new
                elif tag == _TABLE_TAG:
                    el[new, E_CELL], el[new, E_ROW] = -1, -1
                elif tag == _LI:
                    el[new, E_ITEM] = new
                mark = -1
                if tag == _META:
                    mark = M_META
                elif tag == _LINK:
                    mark = M_LINK
                elif tag == _TIME:
                    mark = M_TIME
                elif tag == _HTML:
                    mark = M_HTML
                mark_end = i
                is_br = tag == _BR
                boundary = block or tag == _HR
                keep_open = not prop & _VOID
                if self_closing and (tag == 0 or flags & _SKIP):
                    keep_open = False
                if tag == _HTML or (tag == _BODY and open_tags[_BODY] > 0):
                    keep_open = False
                if prop & _RAW:
                    # ---- raw text up to its end tag
                    keep_open = False
                    start = i
                    close = n
                    at = i
                    while tag != _PLAINTEXT and at + 2 < n:
                        at = find_byte(buf, at, n, 60)
                        if at + 2 < n and buf[at + 1] == 47:
                            k = at + 2
                            rh = _OFFSET
                            while k < n and (97 <= _lower(buf[k]) <= 122):
                                rh = (rh ^ np.uint64(_lower(buf[k]))) * _PRIME
                                k += 1
                            if rh == h and (k >= n or _is_space(buf[k]) or buf[k] == 47 or buf[k] == 62):
                                close = at
                                break
                        at += 1
                    i = min(_tag_end(buf, close, n) + 1, n) if close < n else n
                    if tag == _TITLE and not el[parent, E_FLAGS] & T.A:
                        mark, mark_end = M_TITLE, close
                    elif is_json:
                        mark, mark_end = M_JSON, close
                    elif is_tex:
                        alt_start, alt_end = start, close
                if (tag == _MATH_TAG or is_tex) and not flags & _SKIP:
                    # ---- mathematics: TeX where there is some, else its plain characters
                    if tag == _MATH_TAG and alt_end == alt_start:
                        stop = _find(buf, i, min(n, i + 20_000), _S_MATH_END)
                        if stop > 0:
                            at = _find(buf, i, stop, _S_ANNOTATION)
                            while at > 0:
                                gt = _tag_end(buf, at + 11, stop)
                                if _find(buf, at, gt, _S_TEX) > 0:
                                    alt_start = gt + 1
                                    alt_end = _find(buf, gt, stop + 1, _S__END)
                                    if alt_end < 0:
                                        alt_end = stop
                                    break
                                at = _find(buf, gt, stop, _S_ANNOTATION)
                    if alt_end > alt_start:
                        e = parent
                        if not in_block:
                            in_block, b_start, b_src, b_el = True, o, el[new, E_SRC], el[e, E_BLOCK]
                        elif space and o > b_start:
                            out[o] = 32
                            o += 1
                        space = False
                        out[o] = 36
                        o += 1
                        k = alt_start
                        while k < alt_end:
                            if buf[k] == 38:
                                nk, no = _reference(buf, k, alt_end, out, o, ent_keys, ent_ids, ent_off, ent_blob)
                                if nk > k:
                                    k, o = nk, no
                                    continue
                            out[o] = 32 if _is_space(buf[k]) else buf[k]
                            o += 1
                            k += 1
                        out[o] = 36
                        o += 1
                        b_src_end = alt_end
                        el[new, E_FLAGS] |= _SKIP
                if mark >= 0:
                    if n_marks >= len(marks):
                        grown = np.zeros((len(marks) * 2, 3), np.int64)
                        grown[:n_marks] = marks[:n_marks]
                        marks = grown
                    marks[n_marks, 0], marks[n_marks, 1] = mark, el[new, E_SRC]
                    marks[n_marks, 2] = mark_end
                    if mark in (M_TITLE, M_JSON):
                        marks[n_marks, 1] = tag_close + 1
                    n_marks += 1
                if not keep_open:
                    el[new, E_FULL] = 1
                if in_block:
                    b_tags += 1
                    if tag == _A_TAG:
                        b_links += 1
                if not keep_open:
                    new = -1 - new  # opened and closed at once
        # ---- carry out what the tag means
        if is_br:
            if in_block and breaks == 0 and el[stack[top], E_FLAGS] & _PRE:
                out[o] = 10
                o += 1
            elif in_block:
                breaks += 1
                boundary = breaks > 1
        if boundary and in_block:
            end = o
            while end > b_start and (out[end - 1] == 32 or out[end - 1] == 10 or out[end - 1] == 9):
                end -= 1
            if end > b_start:
                if n_blocks >= len(blocks):
                    grown_b = np.zeros((len(blocks) * 2, 10), np.int64)
                    grown_b[:n_blocks] = blocks[:n_blocks]
                    blocks = grown_b
                b = blocks[n_blocks]
                b[B_START], b[B_END], b[B_ELEMENT], b[B_SRC], b[B_SRC_END] = b_start, end, b_el, b_src, b_src_end
                b[B_LINK], b[B_BOLD], b[B_LINKS], b[B_CODE], b[B_TAGS] = b_link, b_bold, b_links, b_code, b_tags
                n_blocks += 1
                o = end
            else:
                o = b_start
            in_block = False
        if boundary:
            space, breaks = False, 0
            if not in_block:
                b_link, b_bold, b_links, b_code, b_tags = 0, 0, 0, 0, 0
        if i == n and new == -1 and pop_to == -1 and not is_br:
            if boundary and not in_block:
                break
            if not boundary:
                continue
        if pop_to >= 0:
            while top > pop_to:
                open_tags[el[stack[top], E_TAG]] -= 1
                top -= 1
        if new >= 0:
            top += 1
            if top >= len(stack):
                deeper = np.zeros(len(stack) * 2, np.int32)
                deeper[:top] = stack[:top]
                stack = deeper
            stack[top] = new
            open_tags[el[new, E_TAG]] += 1
            if el[new, E_TAG] == _A_TAG and not in_block:
                b_links += 1
    return (
        status,
        el[:n_el].copy(),
        tokens[:n_tok].copy(),
        blocks[:n_blocks].copy(),
        out[:o].copy(),
        marks[:n_marks].copy(),
    )

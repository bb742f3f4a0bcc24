"""The attributes of a start tag: names for the score tables, what hides an element, roles, TeX of formulas, types of scripts."""

from __future__ import annotations

import numpy as np

from pipeline.extract.fast.kernels import tags as T
from pipeline.extract.fast.kernels.compiling import part
from pipeline.extract.fast.kernels.markup import (
    EQUALS,
    GREATER,
    OFFSET,
    SLASH,
    add_to_hash,
    begins,
    find,
    is_quote,
    is_space,
    lower,
    name_hash,
)
from pipeline.text.kernels.bytes import find_byte
from pipeline.text.kernels.tables import find_number

MAX_NAMES, MAX_PARTS = 12, 24  # class and id names kept of an element, and their parts
PLAIN_SCRIPT, JSON_SCRIPT, TEX_SCRIPT = range(3)  # what the type of a script says of it

_CLASS, _ID, _ROLE, _ITEMPROP, _STYLE = (T.ATTR[n] for n in ("class", "id", "role", "itemprop", "style"))
_HIDDEN, _ARIA_HIDDEN, _ALTTEXT, _TYPE = (T.ATTR[n] for n in ("hidden", "aria-hidden", "alttext", "type"))
_SCRIPT, _MATH = T.TAG["script"], T.TAG["math"]
_LONGEST = max(len(name) for name in T.ATTR)
_FIRST = np.array([any(ord(name[0]) == c for name in T.ATTR) for c in range(256)])  # bool: a known name begins with it

_COLON = ord(":")
_DISPLAY, _NONE = np.frombuffer(b"display", np.uint8), np.frombuffer(b"none", np.uint8)
_VISIBILITY, _HIDDEN_VALUE = np.frombuffer(b"visibility", np.uint8), np.frombuffer(b"hidden", np.uint8)
_LD_JSON, _MATH_TEX = np.frombuffer(b"ld+json", np.uint8), np.frombuffer(b"math/tex", np.uint8)
_TRUE = np.frombuffer(b"t", np.uint8)


@part
def _token(h):
    return np.uint32((h ^ (h >> np.uint64(32))) & np.uint64(0xFFFFFFFF))


@part
def _add_names(buf, start, end, attribute, tokens, n, names_left, parts_left):
    """Hashes of the names in a class, id or itemprop value, whole and in parts ("post-12" as "post-0", "post")."""
    i = start
    seed = OFFSET ^ np.uint64(attribute)
    while i < end and names_left > 0:
        while i < end and is_space(buf[i]):
            i += 1
        if i >= end:
            break
        name, part = seed, OFFSET
        digit, parts, part_letters = False, 0, 0
        first_n = n
        while i < end and not is_space(buf[i]):
            c = buf[i]
            low = lower(c)
            if 48 <= c <= 57:
                if not digit:
                    name = add_to_hash(name, 48)
                digit = True
                i += 1
                continue
            digit = False
            camel = 65 <= c <= 90 and part_letters > 0 and i > start and 97 <= buf[i - 1] <= 122
            letter = 97 <= low <= 122 or c >= 128
            if (camel or not letter) and part_letters > 1 and parts_left > 0:
                tokens[n] = _token(part)
                n += 1
                parts_left -= 1
                parts += 1
            if camel or not letter:
                part, part_letters = OFFSET, 0
            if letter:
                part = add_to_hash(part, low)
                part_letters += 1
            name = add_to_hash(name, low)
            i += 1
        if part_letters > 1 and parts_left > 0:
            tokens[n] = _token(part)
            n += 1
            parts_left -= 1
            parts += 1
        if n == first_n or parts > 1 or attribute != _CLASS:
            tokens[n] = _token(name)
            n += 1
        names_left -= 1
    return n, names_left, parts_left


@part
def _style_hides(buf, start, end):
    """Whether an inline style has display:none or visibility:hidden."""
    for i in range(start, end):
        display = begins(buf, i, end, _DISPLAY)
        if display or begins(buf, i, end, _VISIBILITY):
            j = i + (len(_DISPLAY) if display else len(_VISIBILITY))
            while j < end and (is_space(buf[j]) or buf[j] == _COLON):
                j += 1
            if begins(buf, j, end, _NONE) if display else begins(buf, j, end, _HIDDEN_VALUE):
                return True
    return False


@part
def _next_attribute(buf, j, n):
    """(next j, start and end of the name, start and end of the value, both 0 if it has none) of the attribute at j."""
    name = j
    while j < n and (buf[j] > GREATER or not (is_space(buf[j]) or buf[j] in (SLASH, EQUALS, GREATER))):
        j += 1
    if j == name:
        j += 1  # a stray '='
    name_end = j
    k = j
    while k < n and is_space(buf[k]):
        k += 1
    if k >= n or buf[k] != EQUALS:
        return j, name, name_end, 0, 0
    j = k + 1
    while j < n and is_space(buf[j]):
        j += 1
    if j < n and is_quote(buf[j]):
        value = j + 1
        end = find_byte(buf, value, n, buf[j])
        return end + 1, name, name_end, value, end
    value = j
    while j < n and not is_space(buf[j]) and buf[j] != GREATER:
        j += 1
    return j, name, name_end, value, j


@part
def read_attributes(buf, j, n, tag, names, roles, tokens, n_tokens):
    """Read the attributes of a start tag, from the end of its name to its '>'.

    Args:
        tag: its number.
        names, roles: tables of the attributes and roles that mean something.
        tokens, n_tokens: hashes of names so far; the tag's own are added, fewer than it has bytes.

    Returns: (place of the '>', n or more if the input ends before; flags; n_tokens; kind of script; start and
        end of TeX). TeX is the alttext of a <math>.
    """
    flags, script, tex, tex_end = 0, PLAIN_SCRIPT, 0, 0
    names_left, parts_left = MAX_NAMES, MAX_PARTS
    while j < n and buf[j] != GREATER:
        if is_space(buf[j]) or buf[j] == SLASH:
            j += 1
            continue
        j, name, name_end, value, end = _next_attribute(buf, j, n)
        if name_end - name > _LONGEST or not _FIRST[lower(buf[name])]:
            continue
        attribute = find_number(names.table, names.numbers, name_hash(buf, name, name_end))
        if attribute < 0:
            continue
        end = min(end, n)
        if attribute in (_CLASS, _ID, _ITEMPROP):
            n_tokens, names_left, parts_left = _add_names(
                buf, value, end, np.int64(attribute), tokens, n_tokens, names_left, parts_left
            )
        elif attribute == _ROLE:
            role = name_hash(buf, value, end)
            flags |= max(find_number(roles.table, roles.numbers, role), 0)
            tokens[n_tokens] = _token(role ^ np.uint64(attribute))
            n_tokens += 1
        elif attribute == _HIDDEN or (attribute == _STYLE and _style_hides(buf, value, end)):
            flags |= T.HIDDEN
        elif attribute == _ARIA_HIDDEN:
            if end - value == 4 and begins(buf, value, end, _TRUE):
                tokens[n_tokens] = _token(OFFSET ^ np.uint64(attribute))
                n_tokens += 1
        elif attribute == _TYPE and tag == _SCRIPT:
            if find(buf, value, end, _LD_JSON) >= 0:
                script = JSON_SCRIPT
            else:
                script = TEX_SCRIPT if find(buf, value, end, _MATH_TEX) >= 0 else PLAIN_SCRIPT
        elif attribute == _ALTTEXT and tag == _MATH:
            tex, tex_end = value, end
    return j, flags, n_tokens, script, tex, tex_end

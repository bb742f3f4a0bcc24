"""Bytes of markup: what they are, searching in them, where tags, comments and raw text end."""

from __future__ import annotations

import numpy as np

from pipeline.extract.fast.kernels import tags as T
from pipeline.extract.fast.kernels.compiling import part
from pipeline.text.kernels.bytes import find_byte

OFFSET, PRIME = np.uint64(T.FNV_OFFSET), np.uint64(T.FNV_PRIME)
TAB, LINE_FEED, CARRIAGE_RETURN, SPACE = 9, 10, 13, 32
LESS, GREATER, SLASH, EQUALS, AMPERSAND, SEMICOLON = (ord(c) for c in "<>/=&;")
_DASH, _EXCLAMATION, _QUESTION, _DOUBLE_QUOTE, _QUOTE = (ord(c) for c in "-!?\"'")

_ANNOTATION, _TEX = np.frombuffer(b"<annotation", np.uint8), np.frombuffer(b"tex", np.uint8)
_MATH_END, _END = np.frombuffer(b"</math", np.uint8), np.frombuffer(b"</", np.uint8)
MAX_MATH = 20_000  # bytes of a formula that are searched for its TeX


@part
def is_space(c):
    return c == SPACE or (TAB <= c <= CARRIAGE_RETURN and c != 11)


@part
def is_letter(c):
    return 97 <= c <= 122 or 65 <= c <= 90


@part
def is_quote(c):
    return c in (_DOUBLE_QUOTE, _QUOTE)


@part
def lower(c):
    return c + 32 if 65 <= c <= 90 else c


@part
def add_to_hash(h, c):
    """FNV-1a of what came before and one byte or character more."""
    return (h ^ np.uint64(c)) * PRIME


@part
def name_hash(buf, start, end):
    h = OFFSET
    for i in range(start, end):
        h = add_to_hash(h, lower(buf[i]))
    return h


@part
def begins(buf, at, end, needle):
    """Whether a lower-case ASCII needle stands at a place, letter case ignored."""
    n, j = len(needle), 0
    if at + n > end:
        return False
    while j < n and lower(buf[at + j]) == needle[j]:
        j += 1
    return j == n


@part
def find(buf, at, end, needle):
    """First place of a lower-case ASCII needle, letter case ignored; -1 if there is none."""
    for i in range(at, end - len(needle) + 1):
        if begins(buf, i, end, needle):
            return i
    return -1


@part
def comment_end(buf, i, n):
    """Where the comment, declaration or processing instruction that begins at buf[i] == '<' ends; i if it is none of them."""
    c = buf[i + 1]
    if c == _EXCLAMATION:
        if not (i + 3 < n and buf[i + 2] == _DASH and buf[i + 3] == _DASH):
            return min(find_byte(buf, i + 2, n, GREATER) + 1, n)
        j = i + 4
        if j < n and buf[j] == GREATER:
            return j + 1
        j = find_byte(buf, j, n, GREATER)
        while j < n and not (buf[j - 1] == _DASH and buf[j - 2] == _DASH and j >= i + 6):
            j = find_byte(buf, j + 1, n, GREATER)
        return min(j + 1, n)
    if c == _QUESTION or (c == SLASH and i + 2 < n and not is_letter(buf[i + 2])):
        return min(find_byte(buf, i + 2, n, GREATER) + 1, n)
    return i


@part
def tag_name(buf, j, n):
    """(end, hash, whether it has a dash) of the name of a tag that begins at j."""
    dash = False
    h = OFFSET
    while j < n and not is_space(buf[j]) and buf[j] != SLASH and buf[j] != GREATER:
        h = add_to_hash(h, lower(buf[j]))
        dash = dash or buf[j] == _DASH
        j += 1
    return j, h, dash


@part
def tag_end(buf, i, n):
    """Index of the '>' that ends a tag whose name was read, quotes respected; n if the input ends before."""
    while i < n:
        c = buf[i]
        if c == GREATER:
            return i
        if c == EQUALS:  # a value may be quoted
            i += 1
            while i < n and is_space(buf[i]):
                i += 1
            if i < n and is_quote(buf[i]):
                i = find_byte(buf, i + 1, n, buf[i])
            elif i < n and buf[i] == GREATER:
                return i
        i += 1
    return n


@part
def raw_end(buf, at, n, name):
    """Where the end tag begins that ends raw text from `at` on, `name` being the hash of its tag's name; n if there is none."""
    while at + 2 < n:
        at = find_byte(buf, at, n, LESS)
        if at + 2 < n and buf[at + 1] == SLASH:
            k = at + 2
            h = OFFSET
            while k < n and is_letter(buf[k]):
                h = add_to_hash(h, lower(buf[k]))
                k += 1
            if h == name and (k >= n or is_space(buf[k]) or buf[k] == SLASH or buf[k] == GREATER):
                return at
        at += 1
    return n


@part
def tex_of_math(buf, i, n):
    """(start, end) of the TeX annotation in a <math> whose start tag ends before i; both 0 if it has none."""
    stop = find(buf, i, min(n, i + MAX_MATH), _MATH_END)
    if stop <= 0:
        return 0, 0
    at = find(buf, i, stop, _ANNOTATION)
    while at > 0:
        start = tag_end(buf, at + len(_ANNOTATION), stop)
        if find(buf, at, start, _TEX) > 0:
            end = find(buf, start, stop + 1, _END)
            return start + 1, end if end >= 0 else stop
        at = find(buf, start, stop, _ANNOTATION)
    return 0, 0

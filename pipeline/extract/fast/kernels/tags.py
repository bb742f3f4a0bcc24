"""What the HTML scanner knows about tags, attributes and character references, as arrays for the kernels."""

from __future__ import annotations

import html.entities
from functools import cache

import numpy as np

# Flags that an element hands down to everything inside it.
A, HIDDEN, NAV, HEADER, FOOTER, ASIDE, FORM, ARTICLE = (1 << i for i in range(8))
MAIN, TABLE, LIST, PRE, HEADING, FIGURE, BUTTON, QUOTE = (1 << i for i in range(8, 16))
BOLD, CODE, SKIP, DL, ITEM, CELL, DIALOG, PARAGRAPH = (1 << i for i in range(16, 24))
SECTION, EM, CAPTION, NOSCRIPT = (1 << i for i in range(24, 28))

# Properties of a tag itself.
BLOCK, VOID, RAW, CLOSES_P, IN_HEAD = 1, 2, 4, 8, 16

INLINE = """a abbr acronym b bdi bdo big cite code data del dfn em font i img ins kbd label mark meter nobr output
 picture progress q rp rt ruby s samp small span strike strong sub sup time tt u var wbr math semantics annotation
 annotation-xml mrow mi mo mn msup msub mfrac msqrt svg path"""
BLOCKS = """html head body address article aside blockquote center details dialog dd dir div dl dt fieldset figcaption
 figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr legend li main menu nav ol optgroup option p pre
 search section select summary table tbody td tfoot th thead tr caption ul button template noscript audio video
 canvas object listing colgroup input"""
VOIDS = "area base br col embed frame hr img input link meta param source track wbr keygen basefont bgsound"
RAWS = "script style textarea title xmp iframe noembed noframes plaintext"
CLOSING_P = """address article aside blockquote center details dialog dir div dl fieldset figcaption figure footer form
 h1 h2 h3 h4 h5 h6 header hgroup hr main menu nav ol p pre search section table ul li dd dt listing"""

HEADS = "html head meta link title script style base basefont bgsound noscript template noframes object"

_GIVES = {
    A: "a", HIDDEN: "", NAV: "nav menu", HEADER: "header", FOOTER: "footer", ASIDE: "aside", FORM: "form",
    ARTICLE: "article", MAIN: "main", TABLE: "table", LIST: "ul ol dir", PRE: "pre listing xmp textarea",
    HEADING: "h1 h2 h3 h4 h5 h6", FIGURE: "figure", BUTTON: "button label select option legend textarea",
    QUOTE: "blockquote", BOLD: "b strong", CODE: "code samp kbd", DL: "dl", ITEM: "li", CELL: "td th",
    DIALOG: "dialog", PARAGRAPH: "p", SECTION: "section", EM: "em i", CAPTION: "figcaption caption", NOSCRIPT: "noscript",
    SKIP: "template svg audio video canvas object head select datalist",
}  # fmt: skip

NAMES = ["", *sorted(set(f"{INLINE} {BLOCKS} {VOIDS} {RAWS}".split()))]
TAG = {name: i for i, name in enumerate(NAMES)}

FNV_OFFSET, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


def fnv(data: bytes) -> int:
    """FNV-1a, 64 bits (Fowler, Noll, Vo; draft-eastlake-fnv)."""
    value = FNV_OFFSET
    for byte in data:
        value = ((value ^ byte) * FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return value


def _table(entries: dict[int, int], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Open addressing with linear probing; key 0 is empty. `size` is a power of two."""
    keys, values = np.zeros(size, np.uint64), np.zeros(size, np.int32)
    for key, value in entries.items():
        at = key & (size - 1)
        while keys[at]:
            at = (at + 1) & (size - 1)
        keys[at], values[at] = key, value
    return keys, values


ATTRIBUTES = ["class", "id", "role", "itemprop", "style", "hidden", "aria-hidden", "alttext", "type"]
ATTR = {name: i + 1 for i, name in enumerate(ATTRIBUTES)}
ROLES = {
    "navigation": NAV, "banner": HEADER, "contentinfo": FOOTER, "complementary": ASIDE, "main": MAIN,
    "article": ARTICLE, "dialog": DIALOG, "alertdialog": DIALOG, "search": FORM, "menu": NAV, "menubar": NAV,
    "button": BUTTON, "heading": HEADING, "tooltip": SKIP,
}  # fmt: skip


@cache
def tables() -> tuple[np.ndarray, ...]:
    """(tag keys, tag ids, tag flags given, tag properties, attribute keys, attribute ids, role keys, role flags,
    entity keys, entity ids, entity offsets, entity bytes)."""
    tag_keys, tag_ids = _table({fnv(n.encode()): i for n, i in TAG.items() if n}, 512)
    gives, props = np.zeros(len(NAMES), np.uint32), np.zeros(len(NAMES), np.uint8)
    for flag, names in _GIVES.items():
        for name in names.split():
            if name in TAG:
                gives[TAG[name]] |= flag
    for prop, names in ((BLOCK, BLOCKS), (VOID, VOIDS), (RAW, RAWS), (CLOSES_P, CLOSING_P), (IN_HEAD, HEADS)):
        for name in names.split():
            props[TAG[name]] |= prop
    attr_keys, attr_ids = _table({fnv(n.encode()): i for n, i in ATTR.items()}, 64)
    role_keys, role_flags = _table({fnv(n.encode()): f for n, f in ROLES.items()}, 64)
    references = sorted(html.entities.html5)
    blob, offsets, ids = bytearray(), [0], {}
    for i, name in enumerate(references):
        ids[fnv(name.encode())] = i
        blob += html.entities.html5[name].encode()
        offsets.append(len(blob))
    if len(ids) != len(references):
        raise AssertionError("two character references share a hash")
    ent_keys, ent_ids = _table(ids, 8192)
    return (
        tag_keys, tag_ids, gives, props, attr_keys, attr_ids, role_keys, role_flags,
        ent_keys, ent_ids, np.array(offsets, np.int32), np.frombuffer(bytes(blob), np.uint8),
    )  # fmt: skip

"""What the HTML scanner knows about tags, attributes and character references, as arrays for the kernels."""

from __future__ import annotations

import html.entities
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.text.kernels.tables import number_table

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
    SKIP: "template svg audio video canvas object head select",
}  # fmt: skip

# What a start tag ends by being there (HTML standard, 13.1.2.4 "Optional tags"): of the open elements, from the innermost on,
# those of the kinds that it closes, up to the first of a kind that it respects.
KIND_ITEM, KIND_TERM, KIND_CELL, KIND_ROW, KIND_ROWS, KIND_OPTION, KIND_LINK = (1 << i for i in range(7))
KIND_LIST, KIND_TABLE, KIND_P, KIND_HEAD, KIND_BLOCK = (1 << i for i in range(7, 12))
_KINDS = {
    KIND_ITEM: "li", KIND_TERM: "dt dd", KIND_CELL: "td th", KIND_ROW: "tr", KIND_ROWS: "thead tbody tfoot",
    KIND_OPTION: "option", KIND_LINK: "a", KIND_LIST: "ul ol", KIND_TABLE: "table", KIND_P: "p", KIND_HEAD: "head",
    KIND_BLOCK: BLOCKS,
}  # fmt: skip
_CLOSES = {
    KIND_ITEM: "li", KIND_TERM: "dt dd", KIND_CELL: "td th tr thead tbody tfoot", KIND_ROW: "tr thead tbody tfoot",
    KIND_ROWS: "thead tbody tfoot", KIND_OPTION: "option optgroup", KIND_LINK: "a",
}  # fmt: skip
_RESPECTS = {
    KIND_TABLE: "li dt dd td th tr thead tbody tfoot option optgroup a", KIND_LIST: "li dt dd", KIND_BLOCK: "a",
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


ATTRIBUTES = ["class", "id", "role", "itemprop", "style", "hidden", "aria-hidden", "alttext", "type"]
ATTR = {name: i + 1 for i, name in enumerate(ATTRIBUTES)}
ROLES = {
    "navigation": NAV, "banner": HEADER, "contentinfo": FOOTER, "complementary": ASIDE, "main": MAIN,
    "article": ARTICLE, "dialog": DIALOG, "alertdialog": DIALOG, "search": FORM, "menu": NAV, "menubar": NAV,
    "button": BUTTON, "heading": HEADING, "tooltip": SKIP,
}  # fmt: skip


class Names(NamedTuple):
    """Numbers of names, found by `find_number` under the FNV hash of a name in lower case."""

    table: npt.NDArray[np.uint64]
    numbers: npt.NDArray[np.int32]


class References(NamedTuple):
    """Character references by name; the name has its ';' where it needs one."""

    names: Names
    offsets: npt.NDArray[np.int32]  # reference k stands for text[offsets[k] : offsets[k + 1]]
    text: npt.NDArray[np.uint8]


class Tables(NamedTuple):
    """What the scanner looks up; a tag's number is its place in NAMES."""

    tags: Names
    gives: npt.NDArray[np.int32]  # of each tag: flags for what stands in it
    props: npt.NDArray[np.int32]  # BLOCK, VOID, ... of the tag itself
    kinds: npt.NDArray[np.int32]  # KIND_* of the tag
    closes: npt.NDArray[np.int32]  # kinds that its start tag closes
    respects: npt.NDArray[np.int32]  # kinds that end the search for those
    attributes: Names
    roles: Names  # the number of a role is its flag
    references: References


def _names(numbers: Iterable[tuple[str, int]]) -> Names:
    """Raises: AssertionError if two names share a hash."""
    names, values = zip(*numbers, strict=True)
    keys = np.array([fnv(name.encode()) for name in names], np.uint64)
    if len(np.unique(keys)) != len(keys):
        raise AssertionError("two names share a hash")
    table, places = number_table(keys)
    return Names(table, np.where(places < 0, np.int32(-1), np.array(values, np.int32)[places]))


def _flags_of_tags(flags: dict[int, str]) -> npt.NDArray[np.int32]:
    """int32 (len(NAMES),): of each tag the flags under which it is listed."""
    out = np.zeros(len(NAMES), np.int32)
    for flag, names in flags.items():
        for name in names.split():
            out[TAG[name]] |= flag
    return out


@cache
def tables() -> Tables:
    references = sorted(html.entities.html5)
    texts = [html.entities.html5[name].encode() for name in references]
    return Tables(
        tags=_names((name, i) for name, i in TAG.items() if name),
        gives=_flags_of_tags(_GIVES),
        props=_flags_of_tags({BLOCK: BLOCKS, VOID: VOIDS, RAW: RAWS, CLOSES_P: CLOSING_P, IN_HEAD: HEADS}),
        kinds=_flags_of_tags(_KINDS),
        closes=_flags_of_tags(_CLOSES),
        respects=_flags_of_tags(_RESPECTS),
        attributes=_names(ATTR.items()),
        roles=_names(ROLES.items()),
        references=References(
            _names((name, i) for i, name in enumerate(references)),
            np.cumsum([0, *map(len, texts)]).astype(np.int32),
            np.frombuffer(b"".join(texts), np.uint8),
        ),
    )

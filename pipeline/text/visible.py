"""Text from outside, made safe to show: what would steer a terminal, hide, or turn the order of a line is written as an escape.

Names of files, addresses, titles and messages come from whoever wrote a page. Shown as they are, they can clear a screen,
forge a line or reverse the letters of a name (UAX #9; CVE-2021-42574). What is escaped: controls (C0, DEL, C1), format
characters (bidi, zero-width, tags, soft hyphen), line and paragraph separators, lone surrogates, private and unassigned code
points, and those that Unicode calls default-ignorable or that have no ink. Spaces of every width stay.
"""

from __future__ import annotations

import unicodedata

# Default_Ignorable_Code_Point (Unicode 16, DerivedCoreProperties.txt) as far as it is not of category Cf or Cn, and characters
# without ink: combining grapheme joiner, Hangul fillers, Khmer inherent vowels, Mongolian and other variation selectors,
# braille blank, null notehead.
_NO_INK = frozenset(
    [0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x2800, 0x3164, *range(0xFE00, 0xFE10), 0xFFA0, 0x1D159,
     *range(0xE0100, 0xE01F0)]
)  # fmt: skip
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class _Table(dict[int, str]):
    """For `str.translate`: code point -> what is shown. Filled as characters are met."""

    def __init__(self, keep: str) -> None:
        super().__init__({ord(c): c for c in keep})

    def __missing__(self, code: int) -> str:
        self[code] = shown = _shown(chr(code))
        return shown


def _shown(char: str) -> str:
    code = ord(char)
    if code not in _NO_INK and (char.isprintable() or unicodedata.category(char) == "Zs"):
        return char
    if char in _SHORT:
        return _SHORT[char]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_TABLES: dict[str, _Table] = {}


def visible(text: str, keep: str = "") -> str:
    """A text with every character that must not reach a terminal or a page written as `\\x1b`, `\\u202e` or `\\U000e0001`.

    Args:
        keep: characters that stay all the same: "\\n" where the lines are our own.
    """
    if text.isascii() and text.isprintable():
        return text
    if keep not in _TABLES:
        _TABLES[keep] = _Table(keep)
    return text.translate(_TABLES[keep])


def prose(text: str) -> str:
    """Running text on one line: line ends and tabs become spaces, everything else as in `visible`."""
    return visible(text.replace("\r\n", " ").replace("\n", " ").replace("\t", " "))


def is_utf8(text: str) -> bool:
    """Whether a text can be written in UTF-8: no lone surrogate is in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def columns(text: str) -> int:
    """Columns of a terminal that a visible text takes: two for East Asian wide characters, none for combining marks."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def padded(text: str, width: int) -> str:
    """A text from outside, visible, with spaces behind it up to a number of columns."""
    shown = visible(text)
    return shown + " " * (width - columns(shown))


def cut(text: str, width: int) -> str:
    """A text from outside, visible, and shortened to a number of columns, with `…` where something is missing."""
    shown = visible(text)
    if columns(shown) <= width:
        return shown
    left = width - 1
    for end, char in enumerate(shown):
        left -= _columns(char)
        if left < 0:
            return shown[:end] + "…"
    return shown

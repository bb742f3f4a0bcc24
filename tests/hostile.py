"""Text that attacks whoever shows it, and the test for what may not be in anything that is shown."""

from __future__ import annotations

import unicodedata

# Each kind of text that must not arrive anywhere as it is: terminal sequences (C0 and C1), deletions, bidi, invisible, separators.
STEERING = {
    "clear": "\x1b[2J\x1b[H",
    "title": "\x1b]0;owned\x07",
    "c1": "\x9b31m\x90q\x9c",
    "overwrite": "\r\x08\x08\x7f",
    "bidi": "\u202egnp.exe\u202c",
    "isolate": "\u2067abc\u2069",
    "marks": "\u200e\u200f\u061c",
    "zero width": "a\u200bb\u200dc\ufeffd\u2060e\xadf",
    "separators": "one\u2028two\u2029three\x85four",
    "tags": "\U000e0041\U000e0042\U000e007f",
    "fillers": "\u3164\u115f\uffa0\u034f\ufe0f",
    "private": "\ue000\U000f0000",
    "line": "first\nwinnow: all is well",
    "null": "a\x00b",
}
MARKUP = "</pre></style></title><script>alert(1)</script><img src=x onerror=alert(2)>\"' onclick='x' {{ 7*7 }} <!--"
STEER = "".join(STEERING.values())
HOSTILE = STEER + MARKUP
# What a file name can hold: anything but NUL and the slash, also bytes that are not UTF-8.
NAME = b"\x1b[31m\xe2\x80\xae\xff\xc2\x9b\nx".decode("utf-8", "surrogateescape")


def hidden(text: str, *, keep: str = "") -> list[str]:
    """Every code point of a text that steers, hides, or turns the order of others, as U+XXXX; spaces are none of these.

    Written without a look at how the program escapes: by category (controls, formats, surrogates, private, separators of lines
    and paragraphs) and by list (what has no ink).
    """
    bad = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    inkless = {0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0xFE00, 0xFE10)}
    found = {c for c in text if c not in keep and (unicodedata.category(c) in bad or ord(c) in inkless)}
    return sorted(f"U+{ord(c):04X}" for c in found)

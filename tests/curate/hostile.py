"""Texts that are made to take long, each of any length."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np


def _run(piece: str) -> Callable[[int], str]:
    """A piece again and again."""
    return lambda n: (piece * (n // len(piece) + 1))[:n]


def _numbered(shape: str) -> Callable[[int], str]:
    """A piece with another number each time, so that nothing repeats."""

    def make(n: int) -> str:
        parts: list[str] = []
        size = 0
        for i in itertools.count(10_000_000):
            if size >= n:
                return "".join(parts)
            parts.append(shape.format(i, i % 251, i % 9973))
            size += len(parts[-1])
        raise AssertionError

    return make


def _between(before: str, piece: str, after: str) -> Callable[[int], str]:
    return lambda n: before + _run(piece)(n) + after


def _random(alphabet: str) -> Callable[[int], str]:
    return lambda n: "".join(np.random.default_rng(1).choice(list(alphabet), n).tolist())


def _halves(first: str, second: str) -> Callable[[int], str]:
    return lambda n: _run(first)(n // 2) + _run(second)(n // 2)


# What an attacker would try on expressions, tables, dictionaries and loops
RUNS = (
    "a", "é", "中", "ก", "😀", " ", "\n", "\t", ".", "…", "-", "1", "[", "]", "{", "@", ":", "#", "'", "\"",
    "_", "\0", "\u0301", "\u200d", "/", "%", "&", "<", "(", "a:b:: ", "1:: ", "::", "a:",
    "-----BEGIN PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----\n", "eyJ", "eyJabcdefghijk.",
    "-eyJabcdefghijklm", "-eyJabcdefghijklm.eyJabcdefghijk", "a.", "a.a.a.a@", "a@", "a@a.", "a@a.a-",
    "user@host", "xoxa-", "xoxa-_", "sk-", "glpat-", "gh", "http://", "https://a/", "://",
    "http://a.example/ ", "1.2.3.4 ", "8.8.8.8.", "1.1.", "+1", "1 ", "1-", "1.", "(1) ", "555-1234 ", "[1",
    "[1]", "[[", "[citation needed", "lorem ipsum", "lorem ", "javascript", "use cookies ", "terms of use ",
    "read more ", "... ", "a. ", ".a", "?!", "a\n", "a\n\n", "\n ", " \n", "\r\n", "\n\t", "a \n", "a b ",
    "the the the. ", "don't-", "a-", "a'", "a_", "#a ", "&#1", "&amp", "@a", "e\u0301\u0316", "\u0301\u0316",
    "👩\u200d", "🏳\ufe0f\u200d🌈", "🇩🇪", "中文。", "ไทย", "ខ្មែរ", "한", "ー", "0x", "bc1q", "1A", "AKIA", "SG.",
    "GB82 ", "4111 ", "-----END PRIVATE KEY-----", "•", "“", "a,", "{\n", "1 likes\n", "1", "items in cart ",
)  # fmt: skip
HOSTILE: dict[str, Callable[[int], str]] = {
    **{f"{piece!r} again and again": _run(piece) for piece in RUNS},
    "other words each time": _numbered("word{0} "),
    "other lines each time": _numbered("line {0} of {1}\n"),
    "other paragraphs each time": _numbered("par {0} of {1}\n\n"),
    "e-mails": _numbered("u{0}@host{1}.example "),
    "IPv4": _numbered("8.{1}.{1}.7 "),
    "IPv6": _numbered("2606:4700::{2} "),
    "phones": _numbered("call +1 415 555 {2:04d}, "),
    "identities": _numbered("536-90-{2:04d} "),
    "cards and IBANs": _numbered("4111 1111 1111 1111 DE89370400440532013000 {0} "),
    "wallets": _run("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa 0x52908400098527886E0F7030069857D2E4169EE7 "),
    "tokens": _numbered("AKIAIOSFODNN{0} ghp_a1B2a1B2a1B2a1B2a1B2a1B2a1B2{0} "),
    "whole keys": _run("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"),
    "whole web tokens": _run("eyJabcdefghijk.eyJabcdefghijk.abcdefghijklm "),
    "addresses": _numbered("https://a{0}.example/{1}/{2}?q={0} "),
    "a repeated run of ten words": _run("one two three four five six seven eight nine ten "),
    "a run of ten words, then another": _numbered("one two three four five six seven eight nine {0} "),
    "two words in any order": _random("ab "),
    "letters and blanks in any order": _random("abcdefg  "),
    "marks in any order": _random(".,;:!?()[]{}'\" \n"),
    "digits and marks in any order": _random("0123456789 -+().:/\n"),
    "CJK in any order": _random("中文字符日本語今日は天気いいですね"),
    "Thai in any order": _random("กขคงจฉชซาิีึืุูเแโใไ่้๊๋"),
    "marks that combine in any order": _random("a\u0301\u0316\u0323\u0345\u05b0\u3099"),
    "any characters": _random("".join(map(chr, [*range(32, 127), *range(0xA0, 0x500), *range(0x4E00, 0x4F00)]))),
    "one blank in a huge word": _halves("a", "b "),
    "blanks behind a word": _between("a", " ", ""),
    "blanks between two words": _between("a", " ", "b"),
    "blanks behind a digit": _between("1", " ", "x"),
    "line feeds between two words": _between("a", "\n", "b"),
    "digits behind a word": _between("call ", "1", "x"),
    "quotes behind a stop": _between("a.", '"', "x"),
    "a huge line among short ones": _halves("a b c d e ", "a b\n"),
    "template lines": _halves("Home | About | Contact\n", "Copyright 2020\n\n"),
}  # fmt: skip

"""Personal data and secrets become typed placeholders.

Every kind that has a checksum is checked, every address is parsed, so that look-alikes stay. The removed text is
written nowhere; the recorded span has its place and kind only.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from pipeline.core.documents import Doc
from pipeline.core.errors import RecipeError, did_you_mean
from pipeline.core.registry import edit
from pipeline.core.spans import Span
from pipeline.edits.secrets import secrets
from pipeline.text.kernels.chars import DIGIT, char_tables


class Hit(NamedTuple):
    """Characters [start, end) and what they are."""

    start: int
    end: int
    kind: str


DIGIT_GAP = 12  # characters between two digits of one number, at most (letters of an identity number, separators)
MARGIN = 40  # characters around the digits that a pattern may need


def digit_windows(text: str, at_least: int) -> list[tuple[int, int]]:
    """[start, end) of the parts of a text that have so many digits close together; patterns look nowhere else."""
    codes = np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32)
    flags = char_tables()[0]
    places = np.flatnonzero(flags[np.minimum(codes, len(flags) - 1)] & DIGIT)
    if len(places) < at_least:
        return []
    breaks = np.flatnonzero(np.diff(places) > DIGIT_GAP)
    first, last = places[np.append(0, breaks + 1)], places[np.append(breaks, len(places) - 1)]
    count = np.diff(np.concatenate(([-1], breaks, [len(places) - 1])))
    windows: list[tuple[int, int]] = []
    for lo, hi in zip(first[count >= at_least].tolist(), last[count >= at_least].tolist(), strict=True):
        lo, hi = max(lo - MARGIN, 0), min(hi + MARGIN, len(text))
        if windows and lo <= windows[-1][1]:
            windows[-1] = (windows[-1][0], hi)
        else:
            windows.append((lo, hi))
    return windows


def _matches(pattern: re.Pattern[str], text: str, windows: list[tuple[int, int]]) -> Iterator[re.Match[str]]:
    for lo, hi in windows:
        yield from pattern.finditer(text, lo, hi)


# Local part and domain as RFC 5321 allows them in practice: no quoted local parts, a top-level label of letters.
_EMAIL = re.compile(
    r"(?<![\w.+%-])[^\W_][\w.%+-]{0,63}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+(?:xn--[a-z0-9-]{2,59}|[^\W\d_]{2,63})(?![\w-])"
)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")


_MAYBE_IPV6 = re.compile(r"::|:[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}:")


def emails(text: str) -> Iterator[Hit]:
    """E-mail addresses, internationalised ones too (RFC 6531)."""
    if "@" in text:
        for m in _EMAIL.finditer(text):
            yield Hit(m.start(), m.end(), "email")


def ips(text: str, windows: list[tuple[int, int]]) -> Iterator[Hit]:
    """Public IPv4 and IPv6 addresses. Private, loopback, link-local and documentation addresses identify nobody and
    stay, as do version numbers with a part over 255."""
    whole = [(0, len(text))] if _MAYBE_IPV6.search(text) else []
    for pattern, where in ((_IPV4, windows), (_IPV6, whole)):
        for m in _matches(pattern, text, where):
            try:
                public = ipaddress.ip_address(m[0]).is_global
            except ValueError:
                continue
            if public:
                yield Hit(m.start(), m.end(), "ip")


_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?(?![A-Za-z0-9])")


def ibans(text: str, windows: list[tuple[int, int]]) -> Iterator[Hit]:
    """Bank accounts whose country, length and check digits are right (ISO 13616, mod 97)."""
    from stdnum import iban

    for m in _matches(_IBAN, text, windows):
        found = m[0]
        while found and not iban.is_valid(found, check_country=False):  # a following word may look like a last group
            found = found.rpartition(" ")[0]
        if found:
            yield Hit(m.start(), m.start() + len(found), "iban")


_CARD = re.compile(r"(?<![\w.,+-])\d(?:[ -]?\d){11,18}(?![\w]|[.,-]\d)")
# First digits that ISO/IEC 7812 gives to card schemes: Visa, Mastercard, American Express, Diners, JCB, Discover,
# Maestro, UnionPay
_CARD_PREFIX = re.compile(r"4|5[0-9]|2(?:2[2-9]|[3-6]|7[01]|720)|3[0-9]|6[0-9]|1800|2131")


def cards(text: str, windows: list[tuple[int, int]]) -> Iterator[Hit]:
    """Payment cards: 12 to 19 digits with a scheme's first digits and a right check digit (ISO/IEC 7812, Luhn)."""
    from stdnum import luhn

    for m in _matches(_CARD, text, windows):
        digits = m[0].replace(" ", "").replace("-", "")
        if _CARD_PREFIX.match(digits) and len(set(digits)) > 1 and luhn.is_valid(digits):
            yield Hit(m.start(), m.end(), "card")


_PHONE = re.compile(
    r"(?<![\w:/+#=$€£-])(?<!\d[.,])(?:\+|00)?\(?\d[\d ().\u00a0/-]{4,18}\d(?:\s?(?:x|ext\.?|#)\s?\d{1,6})?(?![\w]|[.,:/%-]\d)"
)
_PHONE_WORD = re.compile(
    r"(?:phone|tele?(?:ph?on|fon)|\btel\b|mobile|\bcell|\bcall|\bdial|\btext(?:ed)? (?:me|us)|\bfax|hotline|whatsapp|"
    r"\bnumber|\bcontact|\bring|reach (?:me|us|him|her)|handy|móvil|teléfono|téléphone|numéro|rufnummer|numero|\btlf)",
    re.IGNORECASE,
)
_NOT_PHONE = re.compile(
    r"^(?:\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|(?:1[5-9]|20)\d\d\s?[-–/]\s?(?:1[5-9]|20)\d\d|\d{3}-\d{2}-\d{4})$"
)
_PHONE_AFTER = re.compile(r"[\s,-]{0,3}\(?(?:office|fax|mobile|cell|home|work|phone|tel)\b", re.IGNORECASE)
_OTHER_NUMBER = re.compile(
    r"(?:licen[cs]e|passport|account|order|serial|zip|postal|isbn|invoice|reference|tracking|policy)\W(?:\w+\W+){0,3}$",
    re.IGNORECASE,
)
PHONE_CONTEXT_CHARS = 60
UNNAMED_DIGITS = 9  # a shorter national number needs a word that says what it is: it may be a house and a street number


def phones(text: str, regions: tuple[str, ...], windows: list[tuple[int, int]]) -> Iterator[Hit]:
    """Telephone numbers by the rules of libphonenumber.

    An international number (+...) has to be possible; a national one valid in one of the regions, of nine digits or
    more and written with separators, or, beside a word such as "call" or "fax", possible in one of them.
    """
    import phonenumbers

    for m in _matches(_PHONE, text, windows):
        found = m[0].rstrip(" .-/(")
        core = re.split(r"\s?(?:x|ext|#)", found)[0]
        digits = sum(c.isdigit() for c in core)
        if (
            not 7 <= digits <= 15
            or _NOT_PHONE.match(core)
            or "\n" in core.strip()
            or re.search(r"\s{2}|[./-]{2}", core)
        ):
            continue
        international = core.startswith("+")
        before = text[max(0, m.start() - PHONE_CONTEXT_CHARS) : m.start()]
        named = (_PHONE_WORD.search(before) or _PHONE_AFTER.match(text, m.start() + len(found))) is not None
        grouped = re.search(r"\d[\s().\u00a0/-]+\d", core) is not None and digits >= UNNAMED_DIGITS
        if not (international or named or grouped) or _OTHER_NUMBER.search(before):
            continue
        for region in (None,) if international else regions:
            try:
                number = phonenumbers.parse(core, region)
            except phonenumbers.NumberParseException:
                continue
            if phonenumbers.is_valid_number(number) or (
                (named or international) and phonenumbers.is_possible_number(number)
            ):
                yield Hit(m.start(), m.start() + len(found), "phone")
                break


# National identity and tax numbers: pattern, and the check that python-stdnum knows for it. Those without a check are
# taken in their usual written form only.
_IDENTITIES: dict[str, tuple[re.Pattern[str], str]] = {
    "us": (re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"), "us.ssn"),
    "ca": (re.compile(r"(?<![\w-])\d{3}[ -]\d{3}[ -]\d{3}(?![\w-]| \d)"), "ca.sin"),
    "gb": (re.compile(r"(?<!\w)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)"), ""),
    "fr": (re.compile(r"(?<!\w)[12] ?\d{2} ?\d{2} ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}(?!\w)"), "fr.nir"),
    "es": (re.compile(r"(?<!\w)(?:\d{8}-?[A-Z]|[XYZ]-?\d{7}-?[A-Z])(?!\w)"), "es.nif"),
    "it": (re.compile(r"(?<!\w)[A-Z]{6}\d{2}[A-EHLMPR-T]\d{2}[A-Z]\d{3}[A-Z](?!\w)"), "it.codicefiscale"),
    "br": (re.compile(r"(?<!\w)\d{3}\.\d{3}\.\d{3}-\d{2}(?!\w)"), "br.cpf"),
    "in": (re.compile(r"(?<![\w-])[2-9]\d{3} \d{4} \d{4}(?![\w-]| \d)"), "in_.aadhaar"),
    "dk": (re.compile(r"(?<![\w-])\d{6}-\d{4}(?![\w-])"), "dk.cpr"),
    "se": (re.compile(r"(?<![\w-])\d{6}[-+]\d{4}(?![\w-])"), "se.personnummer"),
    "fi": (re.compile(r"(?<![\w-])\d{6}[-+A]\d{3}[0-9A-Z](?![\w-])"), "fi.hetu"),
}


def identities(text: str, windows: list[tuple[int, int]]) -> Iterator[Hit]:
    """Social security and national identity numbers of eleven countries; checksums where they have one."""
    for pattern, module in _IDENTITIES.values():
        for m in _matches(pattern, text, windows):
            if not module or _stdnum(module)(m[0]):
                yield Hit(m.start(), m.end(), "ssn")


def _stdnum(module: str) -> Callable[[str], bool]:
    from importlib import import_module

    check: Callable[[str], bool] = import_module(f"stdnum.{module}").is_valid
    return check


_BITCOIN = re.compile(r"(?<![A-Za-z0-9])(?:[13][1-9A-HJ-NP-Za-km-z]{25,34}|bc1[02-9ac-hj-np-z]{11,71})(?![A-Za-z0-9])")
_LONG = re.compile(r"[A-Za-z0-9]{14,}")
_ETHEREUM = re.compile(r"(?<![A-Za-z0-9])0x[0-9A-Fa-f]{40}(?![A-Za-z0-9])")


def wallets(text: str) -> Iterator[Hit]:
    """Bitcoin addresses with a right checksum (base58check, bech32) and Ethereum addresses."""
    from stdnum import bitcoin

    for token in _LONG.finditer(text):
        for m in _BITCOIN.finditer(text, token.start(), token.end()):
            if bitcoin.is_valid(m[0]):
                yield Hit(m.start(), m.end(), "crypto")
        for m in _ETHEREUM.finditer(text, token.start(), token.end()):
            yield Hit(m.start(), m.end(), "crypto")


KINDS = ("email", "ip", "secret", "crypto", "iban", "card", "ssn", "phone")
REGIONS = ("US", "GB", "DE", "FR", "IN", "BR", "AU", "IT", "ES", "CH", "SE", "DK")


def find(text: str, kinds: tuple[str, ...] = KINDS, regions: tuple[str, ...] = REGIONS) -> list[Hit]:
    """Everything of these kinds, in the order of the text, without overlaps: of two the earlier kind of KINDS wins."""
    few, many = digit_windows(text, 4), digit_windows(text, 6)
    finders: dict[str, Callable[[str], Iterator[Hit]]] = {
        "email": emails, "ip": lambda t: ips(t, few), "crypto": wallets, "iban": lambda t: ibans(t, many),
        "secret": lambda t: (Hit(*span, "secret") for span in secrets(t)), "card": lambda t: cards(t, many),
        "ssn": lambda t: identities(t, many), "phone": lambda t: phones(t, regions, many),
    }  # fmt: skip
    taken: list[Hit] = []
    covered = bytearray(len(text))
    for kind in KINDS:
        if kind in kinds:
            for hit in finders[kind](text):
                if covered.find(1, hit.start, hit.end) < 0:
                    covered[hit.start : hit.end] = b"\1" * (hit.end - hit.start)
                    taken.append(hit)
    return sorted(taken)


@edit("pii", version=2)
def pii(
    doc: Doc,
    *,
    kinds: tuple[str, ...] = KINDS,
    regions: tuple[str, ...] = REGIONS,
    placeholder: str = "<{kind}>",
    numbered: bool = False,
) -> Iterator[Span]:
    """Replace personal data and secrets by typed placeholders such as `<EMAIL>`.

    Args:
        kinds: of email, ip (public addresses), phone, iban, card, ssn (identity numbers), crypto (wallet addresses),
            secret (keys and tokens).
        regions: countries (ISO 3166) whose national telephone numbers are looked for.
        placeholder: `{kind}` stands for the kind in capitals.
        numbered: number the values of a kind within a document (`<EMAIL_2>`): the same value gets the same number, and
            the number says nothing beyond the document.

    Raises: RecipeError for an unknown kind or region.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise RecipeError(
                f"curate.pii.kinds: no kind '{kind}'.{did_you_mean(kind, KINDS)} It has: {', '.join(KINDS)}."
            )
    _check_regions(tuple(regions))
    seen: dict[tuple[str, str], int] = {}
    per_kind: dict[str, int] = {}
    for hit in find(doc.text, tuple(kinds), tuple(regions)):
        name = hit.kind.upper()
        if numbered:
            value = (hit.kind, re.sub(r"[\s-]", "", doc.text[hit.start : hit.end]).lower())
            if value not in seen:
                per_kind[hit.kind] = seen[value] = per_kind.get(hit.kind, 0) + 1
            name = f"{name}_{seen[value]}"
        yield Span(hit.start, hit.end, hit.kind, placeholder.replace("{kind}", name))


@cache
def _check_regions(regions: tuple[str, ...]) -> None:
    import phonenumbers

    for region in regions:
        if region not in phonenumbers.SUPPORTED_REGIONS:
            raise RecipeError(
                f"curate.pii.regions: no region '{region}'.{did_you_mean(region, phonenumbers.SUPPORTED_REGIONS)} "
                "Expected ISO 3166 codes such as US or GB."
            )

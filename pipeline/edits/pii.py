"""Personal data: e-mail addresses and public IP addresses become typed placeholders.

The removed text is written nowhere; the recorded span has its place and kind only.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from pipeline.core.registry import Span, edit
from pipeline.core.schema import Doc

# Local part and domain as RFC 5321 allows them in practice: no quoted local parts, a top-level label of letters.
_EMAIL = re.compile(
    r"(?<![\w.+%-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}(?![\w-])"
)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")


@edit("pii")
def pii(doc: Doc, *, email: str = "<EMAIL>", ip: str = "<IP>") -> Iterator[Span]:
    """Replace e-mail addresses and public IPv4 and IPv6 addresses.

    Private, loopback, link-local and documentation addresses identify nobody and stay, as do version numbers with a
    part over 255.

    Args:
        email: placeholder for an e-mail address.
        ip: placeholder for an IP address.
    """
    if "@" in doc.text:
        for m in _EMAIL.finditer(doc.text):
            yield Span(m.start(), m.end(), "email", email)
    for pattern in (_IPV4, _IPV6):
        for m in pattern.finditer(doc.text):
            if _is_public(m[0]):
                yield Span(m.start(), m.end(), "ip", ip)


def _is_public(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False

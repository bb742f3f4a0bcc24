"""Access keys, tokens and private keys in texts: what their issuers document."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Keys and tokens whose form their issuers document
_TOKENS = (
    r"(?:AKIA|ASIA)[0-9A-Z]{16}"  # AWS
    r"|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{50,255}"  # GitHub
    r"|glpat-[A-Za-z0-9_-]{20,}"  # GitLab
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}"  # Slack
    r"|AIza[0-9A-Za-z_-]{35}|ya29\.[0-9A-Za-z_-]{20,}"  # Google
    r"|(?:sk|rk|pk)_(?:live|test)_[0-9A-Za-z]{16,}"  # Stripe
    r"|sk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}"  # model providers
    r"|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}|hf_[A-Za-z0-9]{30,}"  # package and model registries
    r"|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"  # SendGrid
)
_SECRETS = re.compile(rf"(?<![A-Za-z0-9_])(?:{_TOKENS})(?![A-Za-z0-9_])")
# The same and the beginnings of two kinds without a bound in length
_LONG_SECRETS = re.compile(
    rf"(?<![A-Za-z0-9_])(?:(?:{_TOKENS})(?![A-Za-z0-9_])|(?P<web>eyJ)(?=[A-Za-z0-9_-]{{10}}))"
    r"|(?P<key>-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----)"
)
_WEB_PART = re.compile(r"[A-Za-z0-9_-]*+")
_WEB_REST = re.compile(r"\.eyJ[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{10,}+")  # JSON web tokens (RFC 7519)
_KEY_END = re.compile(r"-----END (?:[A-Z]+ )?PRIVATE KEY-----")  # RFC 7468


# One of these is in every secret, and in few texts
_SECRET_MARKS = (
    "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "AIza", "ya29.", "_live_", "_test_",
    "sk-", "npm_", "pypi-", "hf_", "SG.", "eyJ", "PRIVATE KEY",
)  # fmt: skip


def secrets(text: str) -> Iterator[tuple[int, int]]:
    """Places [start, end) of access keys, tokens and private keys, in the order of the text."""
    if not any(mark in text for mark in _SECRET_MARKS):
        return
    if "eyJ" in text or "PRIVATE KEY" in text:
        yield from _long_secrets(text)
        return
    for m in _SECRETS.finditer(text):
        yield m.span()


def _long_secrets(text: str) -> Iterator[tuple[int, int]]:
    """Web tokens and keys as well. Where one of their parts ends is looked for once, not once for each beginning in it: an
    attacker can write those by the thousand."""
    at, no_web, closed = 0, 0, True
    while (m := _LONG_SECRETS.search(text, at)) is not None:
        end = m.end()
        if m["web"] is not None:
            if m.start() < no_web:
                at = end
                continue
            no_web = _WEB_PART.match(text, end).end()  # type: ignore[union-attr]  # it matches an empty part too
            rest = _WEB_REST.match(text, no_web)
            end = rest.end() if rest is not None else 0
        elif m["key"] is not None:  # a key without an end is none, and after it no other has one
            last = _KEY_END.search(text, end) if closed else None
            closed = last is not None
            end = last.end() if last is not None else 0
        if end:
            yield m.start(), end
        at = end or m.start() + 1

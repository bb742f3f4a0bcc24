"""Addresses taken apart. What stands in a document is no address always: nothing here raises."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def split_url(url: str) -> SplitResult | None:
    """The parts of an address; None for what cannot be taken apart, such as `http://[bad` or a host with `℀` in it."""
    try:
        return urlsplit(url)
    except ValueError:
        return None


def host_of(url: str) -> str:
    """The host of an address, in lower case and without user and port; "" where it has none or is no address."""
    parts = split_url(url)
    return (parts.hostname or "") if parts is not None else ""

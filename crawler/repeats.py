"""Hosts that go on and on with the same page: calendars, filters, session ids in paths."""

from __future__ import annotations

from collections import defaultdict

from w3lib.html import remove_comments, remove_tags, remove_tags_with_content

_SILENT = ("script", "style", "noscript", "template")


class Repeats:
    """Counts, for each host, how many pages in a row nearly repeat an earlier one.

    Args:
        limit: so many, and the host has gone astray, until it shows a new page.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._seen: defaultdict[str, list[int]] = defaultdict(list)
        self._row: defaultdict[str, int] = defaultdict(int)

    def astray(self, host: str, html: str) -> bool:
        """Take note of a page; whether it is one repeat too many."""
        from pipeline.text.simhash import near, simhash

        value = simhash(remove_tags(remove_comments(remove_tags_with_content(html, _SILENT))))
        if near(value, self._seen[host]):
            self._row[host] += 1
        else:
            self._row[host] = 0
            self._seen[host].append(value)
        return self._row[host] > self.limit

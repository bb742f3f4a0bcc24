"""robots.txt as RFC 9309 has it, whatever its bytes look like. Knows no Scrapy."""

from __future__ import annotations

import codecs
import math
import re

from protego import Protego

from pipeline.text.charset import wide_charset

MAX_BYTES = 512_000  # 500 KiB: RFC 9309, 2.5, wants at least so much parsed
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BREAKS = re.compile("\r\n?")
_NO_BREAKS = re.compile("[\v\f\x1c-\x1e\x85\u2028\u2029\0]")  # str.splitlines would break lines there; the RFC does not


def text_of(body: bytes) -> str:
    """The lines of a robots.txt: UTF-8, or UTF-16 and UTF-32 that show; of a large one, the whole lines of its first
    500 KiB, because half a rule would forbid more than it says."""
    charset, mark = next(((name, len(bom)) for bom, name in _MARKS if body.startswith(bom)), (wide_charset(body), 0))
    text = body[mark:MAX_BYTES].decode(charset or "utf-8", "replace")
    text = _NO_BREAKS.sub(" ", _BREAKS.sub("\n", text))
    return text if len(body) <= MAX_BYTES else text.rpartition("\n")[0]


class Rules:
    """The rules of one host for one crawler.

    Args:
        body: the file, without content encoding.
        agent: the User-Agent header; its first word is what groups are matched with.
    """

    def __init__(self, body: bytes, agent: str) -> None:
        self._parsed = Protego.parse(text_of(body))
        self._agent = agent.split()[0] if agent.split() else agent

    def allow(self, url: str) -> bool:
        return bool(self._parsed.can_fetch(url, self._agent))

    @property
    def delay_s(self) -> float | None:
        """Crawl-delay in seconds; None for none, or for what is no number."""
        delay = self._parsed.crawl_delay(self._agent)
        return None if delay is None or math.isnan(delay) or delay < 0 else float(delay)

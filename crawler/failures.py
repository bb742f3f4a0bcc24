"""Why a request brought no response, told by the type of what Scrapy, Twisted or a middleware of ours raised."""

from __future__ import annotations

from scrapy.exceptions import DownloadCancelledError, DownloadTimeoutError, IgnoreRequest, StopDownload
from twisted.internet import defer
from twisted.internet import error as network

from crawler.config import CrawlConfig
from crawler.outcomes import Cause, Refused


class RefusedRequest(IgnoreRequest):
    """A `Refused` in the form in which Scrapy drops a request without calling it an error."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(str(refused))
        self.refused = refused


class RedirectLimitReached(IgnoreRequest):
    """A chain of redirects went on for longer than REDIRECT_MAX_TIMES; Scrapy itself raises a bare IgnoreRequest."""


class DecompressedTooLarge(IgnoreRequest):
    """A body of less than DOWNLOAD_MAXSIZE is more when decompressed."""


class FailedBefore(IgnoreRequest):
    """An earlier run of the same crawl tried in vain, for good."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.note or cause.outcome)
        self.cause = cause


# Scrapy cancels a download at DOWNLOAD_MAXSIZE; nothing else cancels one.
TOO_LARGE = (DownloadCancelledError, DecompressedTooLarge)
# Scrapy's own since 2.14; Twisted's two and Python's may pass where a connection is being made.
TIMEOUTS = (DownloadTimeoutError, network.TimeoutError, defer.TimeoutError, TimeoutError)


def cause_of(error: BaseException, config: CrawlConfig) -> Cause:
    """The outcome that an exception stands for."""
    if isinstance(error, RefusedRequest):
        return Cause(error.refused.outcome, error.refused.note)
    if isinstance(error, FailedBefore):
        return error.cause
    if isinstance(error, StopDownload):  # by the spider's process alone, for the headers' sake
        return _stopped(error)
    if isinstance(error, TOO_LARGE):
        return Cause("too_large", f"more than {config.max_page_bytes:,} bytes")
    if isinstance(error, RedirectLimitReached):
        return Cause("redirect_loop")
    if isinstance(error, TIMEOUTS):
        return Cause("timeout", f"no whole answer in {config.timeout_s:g} s")
    if isinstance(error, ValueError):  # urllib, w3lib, Scrapy and Twisted all say so of a URL that they cannot take
        return Cause("bad_url", str(error)[:200])
    inner = _innermost(error)
    return Cause("failed", f"{type(inner).__name__}: {inner}"[:200])


def _innermost(error: BaseException) -> BaseException:
    """What Twisted wraps in a list of failures, and Scrapy in an error of its own."""
    found = error.__cause__ or error
    while (reasons := getattr(found, "reasons", None)) and isinstance(reasons[0].value, BaseException):
        found = reasons[0].value
    return found


def _stopped(error: StopDownload) -> Cause:
    response = error.response
    value = response.headers.get("Content-Type") if response is not None else None
    return Cause(
        "content_type",
        value.decode("latin-1") if value else "none given",
        response.status if response is not None else None,
    )

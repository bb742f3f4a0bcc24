"""A body that its server calls chunked and that is not: taken as it is, as browsers did for long. (Twisted gives it up.)"""

from __future__ import annotations

from collections.abc import Callable

from twisted.web._newclient import HTTPClientParser
from twisted.web.http import PotentialDataLoss, _ChunkedTransferDecoder, _MalformedChunkedDataError


class Chunks(_ChunkedTransferDecoder):
    """Twisted's decoder, until the very first chunk turns out to be none. Damage further on is damage."""

    def __init__(self, data: Callable[[bytes], None], finish: Callable[[bytes], None]) -> None:
        super().__init__(self._deliver, finish)
        self._data, self._head = data, b""
        self._begun = self._as_it_is = False

    def _deliver(self, data: bytes) -> None:
        self._begun, self._head = True, b""
        self._data(data)

    def dataReceived(self, data: bytes) -> None:
        if self._as_it_is:
            self._data(data)
            return
        if not self._begun:
            self._head += data  # at most the line of the first chunk's length, and what came with it
        try:
            super().dataReceived(data)
        except _MalformedChunkedDataError:
            if self._begun or self.state != "CHUNK_LENGTH":
                raise
            self._take_as_it_is()

    def noMoreData(self) -> None:
        if not self._as_it_is and not self._begun and self.state == "CHUNK_LENGTH" and self._head:
            self._take_as_it_is()
        if self._as_it_is:
            self.finishCallback(b"")
            raise PotentialDataLoss  # its length is unknown, as without any header
        super().noMoreData()

    def _take_as_it_is(self) -> None:
        self._as_it_is = True
        self._deliver(self._head)


def install() -> None:
    """Let every response of this process be read so."""
    HTTPClientParser._transferDecoders = {b"chunked": Chunks}  # type: ignore[dict-item]

"""Bodies by what their bytes are, whatever the headers say."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.ingest.http import decoded, joined_chunks, parse_answer

PAGE = b"<html><body><p>The leek is green, and the caf\xc3\xa9 is open.</p></body></html>" * 20
CODERS = {
    "gzip": gzip.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "deflate": zlib.compress,
    "raw": lambda data: zlib.compress(data)[2:-4],
    "plain": lambda data: data,
}
STACKED = [("gzip, br", ["gzip", "br"]), ("deflate, gzip", ["deflate", "gzip"]), ("", ["gzip", "gzip"])]
STATUS_LINES = [
    (b"HTTP/1.1 200 OK", 200), (b"HTTP/2 404", 404), (b"http/1.0 99999 What", 99999), (b"\r\nHTTP/1.1 301", 301),
    (b"ICY 200 OK", 200),
]  # fmt: skip


def read(headers: str, body: bytes, max_bytes: int = 1 << 20) -> tuple[bytes, str]:
    answer = parse_answer(f"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n".encode() + body, max_bytes=max_bytes)
    assert answer is not None
    return answer.body, answer.cut


@pytest.mark.parametrize(
    "said",
    ["gzip", "x-gzip", "br", "zstd", "deflate", "none", "utf-8", "identity", "", "GZIP", "compress", "gzip, gzip"],
)
@pytest.mark.parametrize("coder", ["gzip", "zstd", "plain"])
def test_a_coding_that_shows_itself_is_undone_whatever_is_said(said: str, coder: str) -> None:
    assert read(f"Content-Encoding: {said}", CODERS[coder](PAGE)) == (PAGE, "")


@pytest.mark.parametrize(
    ("said", "coder"), [("br", "br"), ("deflate", "deflate"), ("deflate", "raw"), ("x-deflate", "raw")]
)
def test_a_coding_that_does_not_show_itself_is_undone_where_it_is_named(said: str, coder: str) -> None:
    assert read(f"Content-Encoding: {said}", CODERS[coder](PAGE)) == (PAGE, "")


@pytest.mark.parametrize(("said", "coders"), STACKED)
def test_several_codings_are_undone_from_the_last(said: str, coders: list[str]) -> None:
    body = PAGE
    for coder in coders:
        body = CODERS[coder](body)
    assert read(f"Content-Encoding: {said}", body) == (PAGE, "")


@pytest.mark.parametrize("said", ["gzip", "br", "deflate", "zstd"])
@given(st.text(min_size=1).map(str.encode))
@example(b"x^ text that begins like zlib")
@example(b"xQ")
def test_text_under_a_wrong_coding_stays_as_it_is(said: str, body: bytes) -> None:
    assert decoded(body, said, max_bytes=1 << 20) == (body, "")


@pytest.mark.parametrize("coder", ["gzip", "br", "zstd", "deflate"])
def test_a_coding_that_breaks_off_gives_what_it_has(coder: str) -> None:
    whole = CODERS[coder](bytes(range(256)) * 2_000 + PAGE)
    body, cut = read(f"Content-Encoding: {coder}", whole[: len(whole) * 2 // 3])
    assert cut == "encoding"
    assert (bytes(range(256)) * 2_000 + PAGE).startswith(body)


@pytest.mark.parametrize("coder", ["gzip", "br", "zstd", "deflate", "plain"])
def test_no_more_is_unpacked_than_asked_for(coder: str) -> None:
    body, cut = read(f"Content-Encoding: {coder}", CODERS[coder](b"a" * 50_000_000), max_bytes=1_000_000)
    assert (len(body), cut) == (1_000_000, "length")


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5))
def test_chunks_are_joined(parts: list[bytes]) -> None:
    sent = b"".join(f"{len(p):x};ext=1\r\n".encode() + p + b"\r\n" for p in parts)
    assert joined_chunks(sent + b"0\r\n\r\n") == b"".join(parts)
    assert joined_chunks(sent) == (b"".join(parts) if parts else b"")


@pytest.mark.parametrize("body", [PAGE, b"", b"not a size\r\nbody", b"dead beef is no chunk"])
def test_what_is_not_chunked_stays_as_it_is(body: bytes) -> None:
    assert read("Transfer-Encoding: chunked", body) == (body, "")


def test_chunks_that_break_off_give_what_they_have() -> None:
    assert joined_chunks(b"5\r\nhello\r\n50\r\nworld") == b"helloworld"


@pytest.mark.parametrize(("head", "status"), STATUS_LINES)
def test_status_lines_of_all_sorts(head: bytes, status: int) -> None:
    answer = parse_answer(head + b"\nX: y\n z\nContent-Type : text/html\nnonsense\n\nbody", max_bytes=100)
    assert answer is not None
    assert (answer.status, answer.header("x"), answer.header("content-type"), answer.body) == (
        status,
        "y z",
        "text/html",
        b"body",
    )


@given(st.binary(max_size=400), st.sampled_from(["gzip", "br", "zstd", "deflate", "", "x,y,,z", "gzip," * 50]))
def test_nothing_raises(body: bytes, said: str) -> None:
    got, _ = decoded(body, said, max_bytes=100)
    assert len(got) <= 100
    parse_answer(body, max_bytes=100)
    parse_answer(b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n" + body, max_bytes=100)

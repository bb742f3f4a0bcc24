"""WARC files of a crawl that was cut short, or damaged since: what is whole is found again, what is not is cut out."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.stored import mend
from crawler.warc import OPEN, Exchange, WarcFiles

INFO = {"software": "winnow"}


def exchange(number: int, body: bytes | None = None) -> Exchange:
    found = b"<p>%d</p>" % number + bytes(range(256)) * (number % 3) if body is None else body
    headers = [(b"Content-Type", b"text/html"), (b"X-Odd", b"\xe9\0\xff"), (b"Transfer-Encoding", b"chunked")]
    line = b"GET /%d HTTP/1.1" % number
    return Exchange(f"http://a.test/{number}", line, [(b"Host", b"a.test")], b"200 OK", headers, found)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight answers in two files, one of them still open."""
    folder = tmp_path_factory.mktemp("warc")
    files = WarcFiles(folder, max_bytes=3_000, info=INFO)
    for number in range(8):
        files.write(exchange(number))
    files.close()
    (folder / "winnow-00001.warc.gz").rename(folder / f"winnow-00001.warc.gz{OPEN}")  # as a kill leaves it
    assert sorted(p.name for p in folder.iterdir()) == ["winnow-00000.warc.gz", f"winnow-00001.warc.gz{OPEN}"]
    return folder


def bodies(folder: Path) -> dict[str, bytes]:
    return {s.url: s.read()[1] for s in mend(folder)}


ALL = {f"http://a.test/{n}": exchange(n).body for n in range(8)}


def test_what_is_written_is_found_again_byte_for_byte(whole: Path) -> None:
    assert bodies(whole) == ALL
    headers, body = mend(whole)[5].read()
    assert dict(headers) == {
        b"Content-Type": b"text/html",
        b"X-Odd": b"\xe9\0\xff",
        b"Content-Length": b"%d" % len(body),
    }


@settings(deadline=None, max_examples=60)
@given(at=st.integers(0, 5_000), bit=st.integers(0, 7), which=st.integers(0, 1), cut=st.booleans())
def test_damage_costs_the_pair_that_it_hits(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, at: int, bit: int, which: int, cut: bool
) -> None:
    folder = tmp_path_factory.mktemp("damaged") / "warc"
    shutil.copytree(whole, folder)
    path = sorted(folder.iterdir())[which]
    data = bytearray(path.read_bytes())
    at %= len(data)
    if cut:
        data = data[:at]
    else:
        data[at] ^= 1 << bit
    path.write_bytes(data)
    found = bodies(folder)
    assert all(ALL[url] == body for url, body in found.items())
    assert len(found) >= (0 if cut and which == 0 else 7 if not cut else 3)
    assert bodies(folder) == found  # mended once, it is whole
    for file in folder.iterdir():
        with open(file, "rb") as f:
            assert all(r.verify_block_digest() for r in ArchiveIterator(f, parse_http=False))
    files = WarcFiles(folder, max_bytes=3_000, info=INFO)
    for number in range(8):
        if f"http://a.test/{number}" not in found:
            files.write(exchange(number))
    files.close()
    assert bodies(folder) == ALL
    shutil.rmtree(folder)


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    files = WarcFiles(tmp_path, max_bytes=1, info=INFO)
    for number in range(3):
        files.write(exchange(number))
    (tmp_path / "winnow-00000.warc.gz").unlink()
    files = WarcFiles(tmp_path, max_bytes=1, info=INFO)
    files.write(exchange(3))
    assert sorted(bodies(tmp_path)) == [f"http://a.test/{n}" for n in (1, 2, 3)]


def test_headers_cannot_break_out_of_their_line(tmp_path: Path) -> None:
    files = WarcFiles(tmp_path, max_bytes=1, info=INFO)
    odd = Exchange(
        "http://a.test/", b"GET / HTTP/1.1", [], b"200 O\r\nK: x", [(b"A", b"b\r\n\r\nc"), (b"D", b"e\rf")], b"body"
    )
    files.write(odd)
    (stored,) = mend(tmp_path)
    assert stored.read() == ([(b"A", b"b c"), (b"D", b"e f"), (b"Content-Length", b"4")], b"body")

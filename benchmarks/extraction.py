"""Extraction engines side by side, in one run on the same pages: quality by page type, and pages per second.

    python benchmarks/extraction.py WCXB_FOLDER [SNIPPETS_FOLDER] [--judge] [--side-python PYTHON] [--speed-pages 300]

WCXB_FOLDER has the layout of the Web Content eXtraction Benchmark, SNIPPETS_FOLDER that of trafilatura's evaluation
(see pipeline/extract/fast/train.py). Quality of the fast extractor is only honest out of fold: the committed model has
seen such pages. The table shows what its file says it scored out of fold; --judge trains five models and measures again
(some ten minutes). Speed is CPU time of one core from the WARC record to the text, start-up and compilation left out.
--side-python names an interpreter with rs-trafilatura (it needs Python 3.12).
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import trafilatura
from measuring import cpu, machine
from peers import PeerFailed, installed, missing, run_peer
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipeline.extract.fast.engine import FastExtractor
from pipeline.extract.fast.model import load
from pipeline.extract.fast.train import Page, Scores, load_pages, out_of_fold, read_page
from pipeline.ingest.warc import captures
from pipeline.text.charset import decode

MAX_BYTES = 50_000_000
Engine = Callable[[bytes, str], str]
SIDE = """
import gzip, json, sys, time
from pathlib import Path
import rs_trafilatura
for line in sys.stdin:
    folder, name, url = json.loads(line)
    html = gzip.open(Path(folder) / "html" / (name + ".html.gz")).read().decode("utf-8", "replace")
    began = time.process_time()
    text = rs_trafilatura.extract(html, url=url or None).main_content or ""
    print(json.dumps([text, time.process_time() - began]), flush=True)
"""


def engines() -> dict[str, Engine]:
    """Every engine that this interpreter has: raw bytes and a URL in, text out."""
    fast = FastExtractor()
    found: dict[str, Engine] = {
        "winnow fast": lambda raw, url: fast.extract(decode(raw).utf8, url).text,
        "trafilatura fast": lambda raw, url: trafilatura.extract(decode(raw).text, url=url, fast=True) or "",
        "trafilatura": lambda raw, url: trafilatura.extract(decode(raw).text, url=url) or "",
    }
    if installed("resiliparse"):
        from resiliparse.extract.html2text import extract_plain_text

        found["resiliparse"] = lambda raw, url: extract_plain_text(decode(raw).text, main_content=True)
    return found


def side(python: str, pages: list[tuple[Path, Page]]) -> list[tuple[str, float]]:
    """Text and CPU seconds of rs-trafilatura for every page, from another interpreter."""
    lines = "".join(json.dumps([str(folder), page.id, page.url]) + "\n" for folder, page in pages)
    try:
        told = run_peer(python, "-c", SIDE, given=lines)
    except PeerFailed as failed:
        missing("rs-trafilatura", str(failed).splitlines()[-1])
        return []
    return [tuple(json.loads(line)) for line in told.splitlines()]


def write_warc(path: Path, pages: list[tuple[Path, Page]]) -> None:
    with open(path, "wb") as f:
        writer = WARCWriter(f, gzip=True)
        for folder, page in pages:
            http = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
            with gzip.open(folder / "html" / f"{page.id}.html.gz") as body:
                writer.write_record(
                    writer.create_warc_record(page.url or "http://no.url/", "response", payload=body, http_headers=http)
                )


def speed(path: Path, engine: Engine) -> float:
    """Pages per CPU second from WARC record to text."""

    def work() -> int:
        n = 0
        for capture in captures(path, max_bytes=MAX_BYTES):
            engine(capture.body, capture.url)
            n += 1
        return n

    seconds, pages = cpu(work)
    return pages / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--judge", action="store_true")
    parser.add_argument("--side-python", default="")
    parser.add_argument("--speed-pages", type=int, default=300)
    arguments = parser.parse_args()
    print(machine())
    pages = [(folder, page) for folder in arguments.folders for page in load_pages(folder)]
    table: dict[str, dict[str, float]] = {}
    if arguments.judge:
        table["winnow fast (out of fold)"] = out_of_fold([p for _, p in pages]).summary()
    else:
        table["winnow fast (out of fold, as its file says)"] = load().facts.get("out_of_fold", {})
    found = engines()
    for name, engine in found.items():
        if name != "winnow fast":
            scores = Scores()
            for folder, page in pages:
                scores.add(page, engine(read_page(folder, page.id), page.url))
            table[name] = scores.summary()
    sample = pages[:: max(1, len(pages) // arguments.speed_pages)]
    rates: dict[str, float] = {}
    if not arguments.side_python:
        missing("rs-trafilatura", "no --side-python given")
    else:
        results = side(arguments.side_python, pages)
        if results:
            scores = Scores()
            for (_, page), (text, _seconds) in zip(pages, results, strict=True):
                scores.add(page, text)
            table["rs-trafilatura"] = scores.summary()
    for name, values in table.items():
        print(f"\n{name}")
        for key, value in values.items():
            print(f"  {key:<28} {value:.4f}")
    with tempfile.TemporaryDirectory() as folder:
        warc = Path(folder) / "pages.warc.gz"
        write_warc(warc, sample)
        for engine in found.values():
            engine(b"<p>warm up</p>", "")
        for name, engine in found.items():
            rates[name] = speed(warc, engine)
        if arguments.side_python and (results := side(arguments.side_python, sample)):
            rates["rs-trafilatura"] = len(results) / sum(seconds for _, seconds in results)
    print(f"\npages/s/core, {len(sample)} pages (rs-trafilatura: from decoded text, without the WARC)")
    for name, rate in rates.items():
        print(f"  {name:<20} {rate:8.1f}   winnow fast is {rates['winnow fast'] / rate:.1f} times as fast")


if __name__ == "__main__":
    main()

"""Kill a crawl again and again, give the same command again, and compare with a crawl that nothing disturbed.

    python -m tests.crawler.kills [--kills 20] [--pages 150]     prints a table; exit code 1 if anything differs

The site is on loopback. Of its pages 30 % answer 503 when first asked, 10 % are cut off when first asked, and a few never
answer anything else than 503. What is compared: every URL with its outcome, note and status, and every body in the WARC.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from fastwarc.warc import ArchiveIterator, WarcRecordType

CONCURRENCY, DELAY_S = 4, 0.012
MODES = ("group", "parent", "worker")
Result = dict[str, tuple[Any, ...]]  # path -> outcome, note, status, body
Want = tuple[Result, Counter[str]]  # with how often each path is asked for


class Flaky(ThreadingHTTPServer):
    """A site of `pages` pages that counts how often each was asked for."""

    daemon_threads = True

    def __init__(self, pages: int) -> None:
        super().__init__(("127.0.0.1", 0), _Page)
        self.pages = pages
        self.asked: Counter[str] = Counter()
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        return  # a killed crawler closes its connections

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Page(BaseHTTPRequestHandler):
    server: Flaky
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.asked[self.path] += 1
            first = self.server.asked[self.path] == 1
        time.sleep(DELAY_S)
        number = 0 if self.path == "/" else int(self.path.rpartition("/")[2] or 0) if "/p/" in self.path else -1
        share = hashlib.sha256(self.path.encode()).digest()[0] / 256
        after = [n for n in (3 * number + 1, 3 * number + 2, 3 * number + 3) if number >= 0 and n < self.server.pages]
        body = f"<p>Page {self.path}</p>" + "".join(f'<a href="/p/{n}">on</a>' for n in (*after, 0))
        status = 404 if number < 0 else 200
        if number > 0 and (share < 0.02 or (first and share < 0.3)):
            status, body = 503, "busy"
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        cut = number > 0 and first and 0.3 <= share < 0.4
        self.send_header("Content-Length", str(len(data) + 100 * cut))
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = cut

    def log_message(self, format: str, *args: Any) -> None:
        return


@dataclass
class Tally:
    """What a campaign of one mode came to."""

    kills: int = 0
    trials: int = 0
    repeated: int = 0
    wrong: list[str] = field(default_factory=list)


def words(site: Flaky, out: Path) -> list[str]:
    sets = {"delay_s": 0, "concurrency_per_host": CONCURRENCY, "retries": 2, "max_depth": 50}
    given = [w for k, v in sets.items() for w in ("--set", f"crawl.{k}={v}")]
    command = ["crawl", "--seeds", site.url + "/", "--out", str(out), *given]
    return [sys.executable, "-m", "pipeline.cli.main", *command]


def result(out: Path, site: Flaky) -> Result:
    """Path -> outcome, note, status, and the body that the fetch log points to."""
    found = {}
    for row in pq.read_table(next((out / "fetch").glob("*.parquet"))).to_pylist():
        body = None
        if row["warc_file"]:
            with open(out / "warc" / row["warc_file"], "rb") as f:
                f.seek(row["warc_offset"])
                record = next(iter(ArchiveIterator(f, record_types=WarcRecordType.response, parse_http=True)))
                assert record.headers["WARC-Target-URI"] == row["url"]
                body = record.reader.read()
        found[row["url"].removeprefix(site.url)] = (row["outcome"], row["note"], row["status"], body)
    return found


def undisturbed(pages: int, folder: Path) -> Want:
    """What must come out, and how often each page is asked for."""
    site = Flaky(pages)
    try:
        subprocess.run(words(site, folder), check=True, capture_output=True)
        return result(folder, site), Counter(site.asked)
    finally:
        site.shutdown()
        site.server_close()


def kill(process: subprocess.Popen[bytes], mode: str, out: Path) -> bool:
    """Whether what was to be killed was alive."""
    if process.poll() is not None:
        return False
    if mode == "group":
        os.killpg(process.pid, signal.SIGKILL)
    elif mode == "parent":
        process.kill()
    else:
        try:
            worker = int(json.loads((out / ".crawling").read_text())["pid"])
            if str(out).encode() not in Path(f"/proc/{worker}/cmdline").read_bytes():
                return False  # the number of one that has ended
            os.kill(worker, signal.SIGKILL)
        except (OSError, ValueError):  # it has not begun, or has ended
            return False
    process.wait()
    return True


def trial(mode: str, kills: int, chance: random.Random, pages: int, folder: Path, want: Want, tally: Tally) -> None:
    """One crawl, killed until it has been killed so often or is done, then left alone."""
    site = Flaky(pages)
    must, usual = want
    hit = 0
    try:
        while hit < kills:
            process = subprocess.Popen(
                words(site, folder), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            before, deadline = (
                sum(site.asked.values()),
                time.monotonic() + (60.0 if mode == "worker" else chance.uniform(0.0, 6.0)),
            )
            more = chance.randint(mode == "worker", pages // 4)  # kill after so many answers, or so many seconds
            while process.poll() is None and time.monotonic() < deadline and sum(site.asked.values()) - before < more:
                time.sleep(0.005)
            if not kill(process, mode, folder):
                process.wait()
                if (folder / "manifest.json").exists():
                    break
                continue
            hit += 1
        done = subprocess.run(words(site, folder), capture_output=True, text=True, check=False)
        got = result(folder, site) if done.returncode == 0 else {}
        repeated = sum(max(0, n - usual[path]) for path, n in site.asked.items())
    finally:
        site.shutdown()
        site.server_close()
    tally.kills, tally.trials, tally.repeated = tally.kills + hit, tally.trials + 1, tally.repeated + repeated
    if done.returncode:
        tally.wrong.append(f"exit code {done.returncode}: {done.stderr[-300:]}")
    elif got != must:
        differ = [p for p in sorted(set(got) | set(must)) if got.get(p) != must.get(p)]
        tally.wrong.append(f"{len(differ)} URLs differ, first {differ[0]}: {got.get(differ[0])}")
    if repeated > CONCURRENCY * hit:
        tally.wrong.append(f"{repeated} requests repeated after {hit} kills with {CONCURRENCY} in flight")


def campaign(mode: str, kills: int, pages: int, folder: Path, want: Want, *, seed: int = 1) -> Tally:
    """Crawls killed in one way, until there were so many kills."""
    chance, tally = random.Random(seed), Tally()
    while tally.kills < kills and tally.trials < 3 * kills:
        trial(mode, kills - tally.kills, chance, pages, folder / str(tally.trials), want, tally)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--pages", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"{'mode':<8}{'kills':>7}{'crawls':>8}{'survived':>10}{'repeated requests':>19}")
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        want = undisturbed(options.pages, Path(folder))
    for mode in MODES:
        with tempfile.TemporaryDirectory() as folder:
            tally = campaign(mode, options.kills, options.pages, Path(folder), want, seed=options.seed)
        survived = tally.kills if not tally.wrong else "no"
        print(f"{mode:<8}{tally.kills:>7}{tally.trials:>8}{survived:>10}{tally.repeated:>19}", flush=True)
        wrong += [f"{mode}: {w}" for w in tally.wrong]
    print("\n".join(wrong))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())

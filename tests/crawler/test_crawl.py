"""Crawling real servers on loopback: scope, robots.txt, limits, WARC, and going on after a kill."""

from __future__ import annotations

import gzip
import itertools
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from crawler.config import CrawlConfig
from crawler.step import check, crawl, read_seeds
from examples.hosts import Server
from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset
from pipeline.core.errors import StepError, UsageError
from pipeline.core.events import Event, Said, TaskNote
from pipeline.core.executor import PoolExecutor
from pipeline.look.run import table_of
from pipeline.run.session import load_recipe


class Site(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.robots: tuple[int, str] = (404, "")
        self.delay_s = 0.0
        self.at_once = self.most_at_once = 0
        self.log: list[tuple[float, str, str]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        return  # a killed crawler closes its connections

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.log.append((time.monotonic(), self.path, self.headers["User-Agent"]))
        self.server.at_once += 1
        self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        time.sleep(self.server.delay_s)
        self.server.at_once -= 1
        status, body = 200, ""
        if self.path == "/robots.txt":
            status, body = self.server.robots
        elif self.path == "/":
            body = "".join(f'<a href="/p/{i}">{i}</a>' for i in range(12)) + '<a href="http://127.0.0.1:1/x">out</a>'
        elif self.path.startswith("/cal/"):  # a calendar without end, and a page of its own every tenth day
            day = int(self.path.rpartition("/")[2])
            words = " ".join(f"entry{i * (day if day % 10 == 9 else 1)}" for i in range(3000))
            body = f"<p>Day {day}. {words}</p><a href='/cal/{day + 1}'>on</a>"
        else:
            body = f"<p>Page {self.path}.</p><a href='{self.path}/deeper'>on</a><a href='/private/1'>no</a>"
        data = body.encode()
        headers = {}
        if self.path.startswith("/chain/"):  # it leads on and on
            status, headers["Location"] = 302, f"/chain/{int(self.path.rpartition('/')[2]) + 1}"
        if self.path == "/bomb":
            data, headers["Content-Encoding"] = gzip.compress(b"<p>boom</p>" * 10_000), "gzip"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/plain" if self.path == "/robots.txt" else "text/html")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.shutdown()
    made.server_close()


def config(site: Site, **changes: Any) -> CrawlConfig:
    base: dict[str, Any] = {
        "seeds": [site.url + "/"],
        "delay_s": 0.0,
        "concurrency_per_host": 4,
        "max_depth": 1,
        "retries": 0,
    }
    return CrawlConfig(**{**base, **changes})


def outcomes(step: Dataset) -> dict[str, str]:
    return {r["url"]: r["outcome"] for r in table_of(step, "fetch", ["url", "outcome"]).to_pylist()}


def test_warc_is_1_1_with_pairs_and_a_member_per_record(site: Site, tmp_path: Path) -> None:
    step = crawl(config(site), Bench(tmp_path))
    (path,) = step.files("warc")
    kinds = []
    with open(path, "rb") as f:
        for record in ArchiveIterator(f, parse_http=True, verify_digests=True):
            kinds.append(record.record_type)
            with open(path, "rb") as again:
                again.seek(record.stream_pos)
                assert again.read(2) == b"\x1f\x8b"
    assert kinds[0] == WarcRecordType.warcinfo
    assert kinds.count(WarcRecordType.response) == kinds.count(WarcRecordType.request) == step.counts["responses"] == 14
    assert gzip.decompress(path.read_bytes()).startswith(b"WARC/1.1\r\n")


def test_requests_under_way_stay_within_the_limit_without_a_delay(site: Site, tmp_path: Path) -> None:
    site.delay_s = 0.05
    crawl(config(site, concurrency_per_host=2), Bench(tmp_path))
    assert site.most_at_once == 2


def test_scope_depth_and_user_agent(site: Site, tmp_path: Path) -> None:
    step = crawl(config(site, contact="mailto:me@here.test"), Bench(tmp_path))
    met = outcomes(step)
    assert met[site.url + "/p/3"] == "fetched"
    assert met[site.url + "/p/3/deeper"] == "depth_limit"
    assert met["http://127.0.0.1:1/x"] == "out_of_scope" or "http://127.0.0.1:1/x" in met
    assert {agent for _, _, agent in site.log} == {"winnow/0.1.0 (+mailto:me@here.test)"}
    assert site.log[0][1] == "/robots.txt"


def test_path_prefix_keeps_to_its_part_of_the_site(site: Site, tmp_path: Path) -> None:
    met = outcomes(crawl(config(site, path_prefixes=["/p/1"]), Bench(tmp_path)))
    assert met[site.url + "/p/11"] == "fetched"
    assert met[site.url + "/p/2"] == "out_of_scope"


def test_robots_rules_and_crawl_delay_are_obeyed(site: Site, tmp_path: Path) -> None:
    site.robots = (200, "User-agent: *\nDisallow: /private/\nCrawl-delay: 0.2\n")
    met = outcomes(crawl(config(site, max_depth=2, max_pages=6), Bench(tmp_path)))
    assert met[site.url + "/private/1"] == "robots"
    assert not [p for _, p, _ in site.log if p.startswith("/private")]
    times = [t for t, p, _ in site.log if p != "/robots.txt"]
    assert min(b - a for a, b in itertools.pairwise(times)) > 0.15


def test_robots_server_error_forbids_everything(site: Site, tmp_path: Path) -> None:
    site.robots = (503, "busy")
    with pytest.raises(StepError, match="not one page could be fetched"):
        crawl(config(site), Bench(tmp_path))
    assert {p for _, p, _ in site.log} == {"/robots.txt"}


def test_page_limit_is_a_limit(site: Site, tmp_path: Path) -> None:
    step = crawl(config(site, max_pages=5), Bench(tmp_path))
    assert step.counts["outcomes"]["fetched"] == 5
    assert step.counts["outcomes"]["page_limit"] == 8


def test_a_calendar_without_end_is_left(site: Site, tmp_path: Path) -> None:
    seeds = [site.url + "/cal/0"]
    step = crawl(config(site, seeds=seeds, max_depth=40, repeats=4), Bench(tmp_path / "short"))
    met = outcomes(step)
    assert met[site.url + "/cal/5"] == "fetched"
    assert met[site.url + "/cal/6"] == "repeats"
    assert sum("/cal/" in u for u in met) == 7
    patient = outcomes(crawl(config(site, seeds=seeds, max_depth=40, repeats=10), Bench(tmp_path / "long")))
    assert {o for u, o in patient.items() if "/cal/" in u} == {"fetched", "depth_limit"}


def test_crawling_process_ends_when_its_parent_is_killed(site: Site, tmp_path: Path) -> None:
    site.delay_s = 0.5  # a minute for the whole site
    words = ["crawl", "--seeds", site.url + "/", "--out", str(tmp_path / "c"), "--set", "crawl.delay_s=0"]
    parent = subprocess.Popen([sys.executable, "-m", "pipeline.cli.main", *words],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    while len(site.log) < 4:
        time.sleep(0.05)
    assert workers(tmp_path) or not Path("/proc").exists()
    parent.kill()  # the parent alone: it has no time to end what it started
    parent.wait()
    deadline = time.monotonic() + 10
    while workers(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not workers(tmp_path)
    asked = len(site.log)
    time.sleep(1)
    assert len(site.log) == asked < 50


def workers(folder: Path) -> list[str]:
    """Processes that crawl into `folder`, by what /proc says of them; none where there is no /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_text("utf-8", "replace")
        except OSError:
            continue  # it has just ended
        if "crawler.worker" in words and str(folder) in words:
            found.append(entry.parent.name)
    return found


def test_a_pool_crawls_tells_and_its_crawl_ends_with_it(site: Site, tmp_path: Path) -> None:
    heard: list[Event] = []
    pool = PoolExecutor(2)
    try:
        step = crawl(config(site), Bench(tmp_path / "whole", pool, told=heard.append))
        notes = [e.facts for e in heard if isinstance(e, TaskNote)]
        assert notes
        assert all(0 <= f["pages"] <= f["known"] for f in notes)  # type: ignore[operator]
        assert outcomes(step)[site.url + "/p/3"] == "fetched"
        met = sorted(Counter(outcomes(step).values()).items())
        assert heard[-1] == Said("crawl", ", ".join(f"{n} {outcome}" for outcome, n in met))

        def stop(event: Event) -> None:
            if isinstance(event, TaskNote):
                raise KeyboardInterrupt

        site.delay_s = 0.5  # it would take a minute
        with pytest.raises(KeyboardInterrupt):
            crawl(config(site, max_depth=3), Bench(tmp_path / "cut", pool, told=stop))
    finally:
        pool.close(now=True)
    deadline = time.monotonic() + 10
    while workers(tmp_path / "cut") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not workers(tmp_path / "cut")


def test_second_command_fetches_nothing(site: Site, tmp_path: Path) -> None:
    crawl(config(site), Bench(tmp_path))
    asked = len(site.log)
    crawl(config(site), Bench(tmp_path))
    assert len(site.log) == asked


def test_misbehaving_pages_through_a_proxy(hosts: Server, tmp_path: Path) -> None:
    garden = "http://garden.winnow.test"
    step = crawl(
        CrawlConfig(
            seeds=[garden + "/"], proxy=f"http://127.0.0.1:{hosts.server_address[1]}", delay_s=0.0, concurrency_per_host=8,
            timeout_s=2.0, retries=0, max_page_bytes=4_000_000, max_depth=1,
        ),
        Bench(tmp_path),
    )  # fmt: skip
    met = outcomes(step)
    want = {"/private/plans.html": "robots", "/loop/a.html": "redirect_loop", "/huge.html": "too_large",
            "/slow.html": "timeout", "/leaflet.pdf": "content_type",
            "/old-soil.html": "redirect", "/missing.html": "http_error"}  # fmt: skip
    assert {k: met[garden + k] for k in want} == want


def test_patience_with_redirects_and_compressed_bodies_has_an_end(site: Site, tmp_path: Path) -> None:
    seeds = [site.url + "/chain/0", site.url + "/bomb", site.url + "/p/1"]
    step = crawl(config(site, seeds=seeds, max_depth=0, max_page_bytes=50_000), Bench(tmp_path))
    rows = {r["url"].removeprefix(site.url): r for r in table_of(step, "fetch").to_pylist()}
    assert (rows["/chain/0"]["outcome"], rows["/chain/0"]["note"]) == ("redirect_loop", "gave up after 5")
    assert rows["/chain/5"]["outcome"] == "redirect"
    assert "/chain/6" not in rows
    assert (rows["/bomb"]["outcome"], rows["/bomb"]["note"]) == ("too_large", "more than 50,000 bytes")
    assert rows["/p/1"]["outcome"] == "fetched"


def test_seed_files_and_bad_seeds(tmp_path: Path) -> None:
    (tmp_path / "seeds.txt").write_text("# mine\nhttp://a.test/\n\nhttp://b.test/\nhttp://a.test/\n")
    assert read_seeds(["seeds.txt"], tmp_path) == ["http://a.test/", "http://b.test/"]
    with pytest.raises(UsageError, match="no seeds"):
        read_seeds([])
    with pytest.raises(UsageError, match="neither an http"):
        read_seeds(["ftp://a.test/"])
    with pytest.raises(UsageError, match="neither an http"):
        check(load_recipe(None, ['crawl.seeds=["ftp://a.test/"]']))

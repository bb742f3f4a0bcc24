"""The crawling process: `python -m crawler.worker FOLDER`. It reads `crawl.json` there and prints progress as JSON.

A process of its own, because Twisted's reactor can be started only once, and so that a crash leaves the caller whole.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import sys
import threading
import time
from pathlib import Path
from typing import Any

from scrapy import signals
from scrapy.crawler import CrawlerProcess
from scrapy.exceptions import StopDownload
from scrapy.http import Headers, Request

from crawler.bridge import Parts, for_robots_txt
from crawler.budget import Budget
from crawler.config import CrawlConfig
from crawler.fetch_log import FetchLog, seal
from crawler.ledger import Ledger
from crawler.scope import scope_of
from crawler.spider import CrawlSpider
from crawler.warc import Stored, WarcFiles, repair, stored_responses, warc_info
from pipeline.core.files import read_json

STDIN = 0


def settings(config: CrawlConfig) -> dict[str, Any]:
    """Scrapy settings: polite, and closed where Scrapy's defaults are open."""
    # Scrapy 2.19 starts every waiting request at once where the delay is 0, whatever the concurrency: it counts a
    # transfer only when its coroutine runs. A millisecond between two keeps the limit.
    delay = max(config.delay_s, 0.001)
    return {
        "USER_AGENT": config.agent,
        "ROBOTSTXT_OBEY": True,
        "WINNOW_MAX_CRAWL_DELAY": config.max_crawl_delay_s,
        "DOWNLOAD_DELAY": delay,
        "DOWNLOAD_DELAY_JITTER": 0.0,  # a random delay could fall below what a host asked for
        "CONCURRENT_REQUESTS": max(64, config.concurrency_per_host),
        "CONCURRENT_REQUESTS_PER_DOMAIN": config.concurrency_per_host,
        "DOWNLOAD_TIMEOUT": config.timeout_s,
        "DOWNLOAD_MAXSIZE": config.max_page_bytes,
        "DOWNLOAD_WARNSIZE": 0,
        "DOWNLOAD_VERIFY_CERTIFICATES": True,
        "RETRY_TIMES": config.retries,
        "REDIRECT_MAX_TIMES": 5,
        "METAREFRESH_ENABLED": False,
        "COOKIES_ENABLED": False,
        "TELNETCONSOLE_ENABLED": False,
        "REMOTE_CONTROL_ENABLED": False,
        "HTTPERROR_ALLOW_ALL": True,
        "DEPTH_PRIORITY": 0,
        "REFERRER_POLICY": "no-referrer",
        "DOWNLOAD_HANDLERS": {"data": None, "file": None, "ftp": None, "s3": None},
        "SCHEDULER_DISK_QUEUE": "scrapy.squeues.PickleFifoDiskQueue",
        "SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue",
        "DOWNLOADER_MIDDLEWARES": {
            "scrapy.downloadermiddlewares.robotstxt.RobotsTxtMiddleware": None,
            "scrapy.downloadermiddlewares.offsite.OffsiteMiddleware": None,
            "scrapy.downloadermiddlewares.httpcompression.HttpCompressionMiddleware": None,
            "scrapy.downloadermiddlewares.redirect.RedirectMiddleware": None,
            "crawler.middleware.ScopeMiddleware": 50,
            "crawler.middleware.RobotsMiddleware": 100,
            "crawler.middleware.LimitMiddleware": 110,
            "crawler.middleware.TypedCompressionMiddleware": 590,  # where Scrapy has its own
            "crawler.middleware.TypedRedirectMiddleware": 600,
            "crawler.middleware.ReplayMiddleware": 940,
            "crawler.middleware.WarcMiddleware": 950,
        },
        "DEFAULT_REQUEST_HEADERS": {"Accept": "text/html,application/xhtml+xml,text/plain;q=0.8,*/*;q=0.1"},
        "LOG_ENABLED": False,
        "STATS_DUMP": False,
    }


def crawl(folder: Path) -> dict[str, Any]:
    """Run (or go on with) the crawl of `folder/crawl.json`.

    Returns: how many URLs met each outcome, and how many responses the WARC files hold.
    """
    given = read_json(folder / "crawl.json")
    config = CrawlConfig(**given["config"])
    repair(folder / "warc")
    replay: dict[str, Stored] = {}
    stored = 0
    for response in stored_responses(folder / "warc"):
        replay[response.url] = response
        stored += 1
    seeds: list[str] = given["seeds"]
    budget = Budget(config.max_pages, config.max_pages_per_host)
    log = FetchLog(folder / "fetch" / "log.jsonl")
    parts = Parts(
        config,
        tuple(seeds),
        scope=scope_of(config, seeds),
        budget=budget,
        ledger=Ledger(log, budget),
        warc=WarcFiles(folder / "warc", max_bytes=config.warc_bytes, info=warc_info(config.agent)),
        replay=replay,
    )
    _run(parts)
    parts.warc.close()
    log.close()
    outcomes = seal(log.path, folder / "fetch" / "00000.parquet")
    return {"outcomes": outcomes, "responses": parts.warc.written + stored}


def _run(parts: Parts) -> None:
    """Crawl until nothing is left to ask for; pages and links known go to the caller now and then."""
    process = CrawlerProcess(settings(parts.config), install_root_handler=False)
    made = process.create_crawler(CrawlSpider)
    last = [0.0]

    def tell(**_: object) -> None:
        spider = made.spider
        if isinstance(spider, CrawlSpider) and time.monotonic() - last[0] > 0.5:
            last[0] = time.monotonic()
            _print({"pages": parts.budget.pages, "known": len(spider.known)})

    def check_type(headers: Headers, request: Request, **_: object) -> None:
        kind = (headers.get("Content-Type") or b"").decode("latin-1").split(";")[0].strip().lower()
        if kind and kind not in parts.config.content_types and not for_robots_txt(request):
            raise StopDownload(fail=True)

    made.signals.connect(tell, signals.response_received)
    made.signals.connect(check_type, signals.headers_received)
    process.crawl(made, parts=parts)
    process.start()


def end_with_parent() -> None:
    """End this process when the one that started it is gone, however that ended.

    The parent holds the other end of the pipe that is our standard input and never writes to it: the end of that file
    means that the parent is dead. Then nobody waits for this crawl, and a second one may soon go on with its files. All
    that was fetched is written already; a record that is not whole yet is cut off by the next run. Started by hand, with
    no pipe, the process lives on its own.
    """
    if stat.S_ISFIFO(os.fstat(STDIN).st_mode):
        threading.Thread(target=_end_after_stdin, daemon=True).start()


def _end_after_stdin() -> None:
    while os.read(STDIN, 1):  # not sys.stdin: a thread that holds its lock would trouble the interpreter's own end
        pass
    os._exit(1)


def _print(record: dict[str, Any]) -> None:
    print(json.dumps(record), flush=True)


if __name__ == "__main__":
    end_with_parent()
    logging.getLogger("scrapy").setLevel(logging.ERROR)
    _print(crawl(Path(sys.argv[1])))

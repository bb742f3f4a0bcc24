"""The crawling process: `python -P -m crawler.worker FOLDER [PARENT]`. It reads `crawl.json` there and prints JSON lines:
progress, and at the end what became of the URLs, or why it gave up.

A process of its own, because Twisted's reactor can be started only once, and so that a crash leaves the caller whole.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from scrapy import signals
from scrapy.crawler import CrawlerProcess
from scrapy.exceptions import StopDownload
from scrapy.http import Headers, Request

from crawler import chunks
from crawler.bridge import Parts, for_robots_txt
from crawler.budget import Budget
from crawler.config import CrawlConfig
from crawler.fetch_log import FetchLog, seal
from crawler.ledger import Ledger
from crawler.outcomes import is_robots_txt
from crawler.process import end_with_parent, hold
from crawler.robots import MAX_BYTES
from crawler.scope import scope_of
from crawler.spider import CrawlSpider
from crawler.stored import mend
from crawler.tries import RETRY_STATUSES, Tries
from crawler.warc import WarcFiles, warc_info
from pipeline.core.errors import WinnowError
from pipeline.core.files import disk_full, read_json

TABLE, LINES, TRIES = "fetch/00000.parquet", "fetch/log.jsonl", "fetch/tries.jsonl"


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
        "DUPEFILTER_CLASS": "crawler.duplicates.Duplicates",
        "URLLENGTH_LIMIT": 0,  # the spider says so of a URL that is too long; Scrapy would drop it without a word
        "RETRY_TIMES": config.retries,
        "RETRY_HTTP_CODES": sorted(RETRY_STATUSES),
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
            "crawler.middleware.DecodingMiddleware": 590,  # where Scrapy has its own
            "crawler.middleware.TypedRedirectMiddleware": 600,
            "crawler.middleware.ReplayMiddleware": 940,
            "crawler.middleware.PauseMiddleware": 945,
            "crawler.middleware.WarcMiddleware": 950,
        },
        "DEFAULT_REQUEST_HEADERS": {"Accept": "text/html,application/xhtml+xml,text/plain;q=0.8,*/*;q=0.1"},
        "LOG_ENABLED": False,
        "STATS_DUMP": False,
    }


def crawl(folder: Path) -> dict[str, Any]:
    """Run (or go on with) the crawl of `folder/crawl.json`.

    Returns: how many URLs met each outcome, and how many responses the WARC files hold.
    Raises: UsageError if another process crawls into the folder.
    """
    hold(folder)
    given = read_json(folder / "crawl.json")
    config = CrawlConfig(**given["config"])
    seeds: list[str] = given["seeds"]
    stored = mend(folder / "warc")
    pages = {s.url for s in stored if s.status == 200 and not is_robots_txt(s.url)}
    if (folder / TABLE).exists() and not pages:
        # A crawl that came to its end without a page has failed: nothing of it is final.
        for path in (*{s.path for s in stored}, folder / TABLE, folder / TRIES):
            path.unlink(missing_ok=True)
        stored = []
    budget = Budget(config.max_pages, config.max_pages_per_host, pages)
    stop = partial(give_up, folder)
    log = FetchLog(folder / LINES, give_up=stop)
    tries = Tries(folder / TRIES, stored, retries=config.retries, max_wait_s=config.max_crawl_delay_s, give_up=stop)
    info = warc_info(config.agent)
    parts = Parts(
        config,
        tuple(seeds),
        scope=scope_of(config, seeds),
        budget=budget,
        ledger=Ledger(log, budget),
        warc=WarcFiles(folder / "warc", max_bytes=config.warc_bytes, info=info, give_up=stop),
        tries=tries,
    )
    _run(parts)
    parts.warc.close()
    tries.close()
    log.close()
    outcomes = seal(log.path, folder / TABLE)
    return {"outcomes": outcomes, "responses": parts.warc.written + len(stored)}


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

    def check_size(data: bytes, request: Request, **_: object) -> None:
        if for_robots_txt(request):
            request.meta["received"] = request.meta.get("received", 0) + len(data)
            if request.meta["received"] > MAX_BYTES:
                raise StopDownload(fail=False)

    made.signals.connect(tell, signals.response_received)
    made.signals.connect(check_type, signals.headers_received)
    made.signals.connect(check_size, signals.bytes_received)
    process.crawl(made, parts=parts)
    process.start()


def give_up(folder: Path, error: OSError) -> NoReturn:
    """End at once: what cannot be written down must not be fetched. All that was written before is good."""
    full = disk_full(error, Path(error.filename or folder))
    _print({"full": str(full)} if full else {"failed": f"{error.strerror or error}: {error.filename or folder}"})
    os._exit(1)


def _print(record: dict[str, Any]) -> None:
    print(json.dumps(record), flush=True)


def main(folder: Path, parent: int | None) -> None:
    end_with_parent(parent)
    chunks.install()
    logging.getLogger("scrapy").setLevel(logging.CRITICAL)
    try:
        _print(crawl(folder))
    except WinnowError as error:
        _print({"failed": str(error)})
        sys.exit(1)
    except OSError as error:
        give_up(folder, error)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)

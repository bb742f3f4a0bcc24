"""The crawling process: `python -m crawler.worker FOLDER`. It reads `crawl.json` there and prints progress as JSON.

A process of its own, because Twisted's reactor can be started only once, and so that a crash leaves the caller whole.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
from scrapy import signals
from scrapy.crawler import CrawlerProcess
from scrapy.exceptions import StopDownload
from scrapy.http import Request

from crawler.config import CrawlConfig
from crawler.spider import CrawlSpider
from crawler.warc import Stored, WarcFiles, repair, stored_responses, warc_info
from pipeline.core.files import read_json, write_parquet

FETCH_LOG = pa.schema(
    [
        pa.field("url", pa.string(), nullable=False),
        ("host", pa.string()),
        pa.field("outcome", pa.string(), nullable=False),
        ("note", pa.string()),
        ("status", pa.int16()),
        ("depth", pa.int32()),
        ("referrer", pa.string()),
        ("time", pa.timestamp("us", tz="UTC")),
        ("warc_file", pa.string()),
        ("warc_offset", pa.int64()),
        ("bytes", pa.int64()),
    ]
)


def settings(config: CrawlConfig, files: WarcFiles) -> dict[str, Any]:
    """Scrapy settings: polite, and closed where Scrapy's defaults are open."""
    # Scrapy 2.19 starts every waiting request at once where the delay is 0, whatever the concurrency: it counts a
    # transfer only when its coroutine runs. A millisecond between two keeps the limit.
    delay = max(config.delay_s, 0.001)
    return {
        "USER_AGENT": config.agent,
        "ROBOTSTXT_OBEY": True,
        "WINNOW_WARC": files,
        "WINNOW_PROXY": config.proxy,
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
            "crawler.middleware.ScopeMiddleware": 50,
            "crawler.middleware.RobotsMiddleware": 100,
            "crawler.middleware.LimitMiddleware": 110,
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
    files = WarcFiles(folder / "warc", max_bytes=config.warc_bytes, info=warc_info(config.agent))
    process = CrawlerProcess(settings(config, files), install_root_handler=False)
    made = process.create_crawler(CrawlSpider)
    last = [0.0]

    def tell(*_: Any, **__: Any) -> None:
        spider = made.spider
        if isinstance(spider, CrawlSpider) and time.monotonic() - last[0] > 0.5:
            last[0] = time.monotonic()
            _print({"pages": len(spider.pages), "known": len(spider.known)})

    def check_type(headers: Any, request: Request, **_: Any) -> None:
        kind = (headers.get("Content-Type") or b"").decode("latin-1").split(";")[0].strip().lower()
        if kind and kind not in config.content_types and not request.meta.get("dont_obey_robotstxt"):
            raise StopDownload(fail=True)

    made.signals.connect(tell, signals.response_received)
    made.signals.connect(check_type, signals.headers_received)
    process.crawl(made, config=config, seeds=given["seeds"], replay=replay)
    process.start()
    files.close()
    spider = made.spider
    assert isinstance(spider, CrawlSpider)
    rows = [spider.log_rows[u] for u in sorted(spider.log_rows)]
    write_parquet(folder / "fetch" / "00000.parquet", pa.Table.from_pylist(rows, FETCH_LOG))
    outcomes: dict[str, int] = {}
    for row in rows:
        outcomes[row["outcome"]] = outcomes.get(row["outcome"], 0) + 1
    return {"outcomes": outcomes, "responses": files.written + stored}


def _print(record: dict[str, Any]) -> None:
    print(json.dumps(record), flush=True)


if __name__ == "__main__":
    logging.getLogger("scrapy").setLevel(logging.ERROR)
    _print(crawl(Path(sys.argv[1])))

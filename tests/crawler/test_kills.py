"""Kill -9 at random moments: the same command ends with the same URLs, outcomes and bodies, and asks for little twice.

`WINNOW_KILLS=20` makes it a campaign; `python -m tests.crawler.kills` prints its table.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from crawler.config import CrawlConfig
from crawler.step import crawl
from pipeline.core.bench import Bench
from pipeline.core.events import Event, Said
from pipeline.look.verify import verify_folder
from tests.crawler.kills import CONCURRENCY, MODES, Flaky, Want, campaign, result, undisturbed, words

TOP = Path(__file__).parents[2]

KILLS = int(os.environ.get("WINNOW_KILLS", "1"))
PAGES = 40 if KILLS < 10 else 150


@pytest.fixture(scope="module")
def want(tmp_path_factory: pytest.TempPathFactory) -> Want:
    return undisturbed(PAGES, tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize("mode", MODES)
def test_a_killed_crawl_ends_as_one_that_nothing_disturbs(mode: str, want: Want, tmp_path: Path) -> None:
    tally = campaign(mode, KILLS, PAGES, tmp_path, want)
    assert tally.wrong == []
    assert tally.kills == KILLS


def test_a_full_disk_is_said_and_room_again_ends_with_the_same(want: Want, tmp_path: Path) -> None:
    site = Flaky(PAGES)
    limited = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); " \
              "resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000)); sys.argv[0] = 'winnow'; " \
              "from pipeline.cli.main import run_cli; sys.exit(run_cli())"  # fmt: skip
    try:
        full = subprocess.run([sys.executable, "-c", limited, *words(site, tmp_path)[3:]], capture_output=True, text=True,
                              cwd=TOP, check=False)  # fmt: skip
        assert full.returncode == 1
        assert re.search(rf"{tmp_path}.*free there.*With room again the same command goes on\.", full.stderr)
        assert "Traceback" not in full.stderr
        done = subprocess.run(words(site, tmp_path), capture_output=True, text=True, cwd=TOP, check=False)
        assert done.returncode == 0, done.stderr
        assert result(tmp_path, site) == want[0]
        assert sum(site.asked.values()) <= sum(want[1].values()) + CONCURRENCY
    finally:
        site.shutdown()
        site.server_close()


def test_damage_to_a_finished_crawl_is_mended_with_a_request_for_what_is_gone(want: Want, tmp_path: Path) -> None:
    site = Flaky(PAGES)
    config = CrawlConfig(seeds=[site.url + "/"], delay_s=0.0, concurrency_per_host=CONCURRENCY, max_depth=50)
    try:
        step = crawl(config, Bench(tmp_path))
        asked = sum(site.asked.values())
        (warc,) = step.files("warc")
        for path in (warc, step.dir / "fetch" / "00000.parquet"):
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 255
            path.write_bytes(data)
        heard: list[Event] = []
        mended = crawl(config, Bench(tmp_path, told=heard.append))
        (said, *_) = [e.text for e in heard if isinstance(e, Said)]
        assert warc.name in said
        assert "00000.parquet" in said
        assert verify_folder(mended.dir).whole
        assert result(mended.dir, site) == want[0]
        assert sum(site.asked.values()) - asked <= 1
    finally:
        site.shutdown()
        site.server_close()

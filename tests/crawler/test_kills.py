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

from tests.crawler.kills import CONCURRENCY, MODES, Flaky, Want, campaign, result, undisturbed, words

TOP = Path(__file__).parents[2]

KILLS = int(os.environ.get("WINNOW_KILLS", "2"))
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
        assert re.search(rf"crawl-.*: File too large: {tmp_path}.* The same command goes on from here.", full.stderr)
        assert "Traceback" not in full.stderr
        done = subprocess.run(words(site, tmp_path), capture_output=True, text=True, cwd=TOP, check=False)
        assert done.returncode == 0, done.stderr
        assert result(tmp_path, site) == want[0]
        assert sum(site.asked.values()) <= sum(want[1].values()) + CONCURRENCY
    finally:
        site.shutdown()
        site.server_close()

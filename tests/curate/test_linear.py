"""Twice the text takes at most two and a half times as long, whatever the text and whatever is built in."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

import pytest

from pipeline.core.documents import Doc
from pipeline.matching.builtin import composed
from tests.builtins import Builtin, every_builtin
from tests.curate.hostile import HOSTILE

pytestmark = pytest.mark.usefixtures("kernels")

CHARS = 12_000  # and twice as many
MEASURABLE_S = 0.012  # for the longer text; what takes the square of the length takes more by far
MAX_RATIO = 2.5
TRIES = 6  # other processes make a measurement longer, none makes it shorter


@pytest.fixture(scope="module")
def builtins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Builtin]]:
    found = every_builtin(tmp_path_factory.mktemp("builtins"))
    for run in found.values():
        seconds(
            run, "Some words, call +1 415 555 2671 or a@b.example.\n\n中文 " * 5
        )  # models and tables are loaded here
    gc.collect()
    gc.disable()  # a collection looks at everything that the other tests left
    yield found
    gc.enable()


def seconds(run: Builtin, text: str, url: str = "http://a.example/b", host: str = "a.example") -> float:
    doc = Doc(b"0" * 16, text, url=url, host=host, language="en")
    begun = time.process_time()
    run(doc)
    return time.process_time() - begun


def growth(run: Builtin, short: tuple[str, ...], long: tuple[str, ...]) -> float:
    """Time for the longer one / time for the shorter one, 1.0 where the longer one takes next to nothing."""
    best_long = seconds(run, *long)
    if best_long < MEASURABLE_S:
        return 1.0
    best_short = seconds(run, *short)
    for _ in range(TRIES):
        if best_long <= MAX_RATIO * best_short:
            break
        best_long, best_short = min(best_long, seconds(run, *long)), min(best_short, seconds(run, *short))
        gc.collect()
    return best_long / best_short


@pytest.mark.parametrize("kind", HOSTILE)
def test_time_grows_with_the_text_and_no_faster(builtins: dict[str, Builtin], kind: str) -> None:
    texts = HOSTILE[kind](CHARS), HOSTILE[kind](2 * CHARS)
    grown = {name: growth(run, *((t,) for t in texts)) for name, run in builtins.items()}
    assert {name: f"{by:.2f}" for name, by in grown.items() if by > MAX_RATIO} == {}


@pytest.mark.parametrize(
    ("before", "piece"),
    [("http://", "a."), ("http://", "é"), ("http://", "é."), ("http://a/", "b/"), ("http://a/?", "utm_a=1&"), ("http://a/?", "a=&"),
     ("http://", "["), ("http://", "@"), ("http://a/", "%41"), ("", "://"), ("http://a/", "badword"), ("http://", "bad.example.")],
)  # fmt: skip
def test_time_grows_with_the_address_and_no_faster(builtins: dict[str, Builtin], before: str, piece: str) -> None:
    n = 4 * CHARS // len(piece)
    urls = before + n * piece, before + 2 * n * piece
    hosts = [u.partition("://")[2].partition("/")[0] for u in urls]
    grown = {name: growth(run, ("x", urls[0], hosts[0]), ("x", urls[1], hosts[1])) for name, run in builtins.items()}
    assert {name: f"{by:.2f}" for name, by in grown.items() if by > MAX_RATIO} == {}


def test_marks_without_end_are_composed_like_others_in_parts() -> None:
    assert composed("e\u0301" * 500) == "é" * 500
    assert composed("a" + "\u0316\u0301" * 30 + "b") == composed("a" + "\u0301\u0316" * 30 + "b")
    assert len(composed("a" + "\u0301\u0316" * 5_000)) == 10_000

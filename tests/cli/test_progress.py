"""What a person sees on stderr while steps run."""

from __future__ import annotations

import pytest

from pipeline.cli.progress import Bars
from pipeline.core.events import Event, Said, ShardDone, StepEnded, StepStarted, TaskNote

RUN: tuple[Event, ...] = (
    StepStarted("crawl", 1, 0),
    TaskNote("crawl", 0, {"pages": 1200, "known": 34567}),
    ShardDone("crawl", 0, 0),
    StepEnded("crawl"),
    Said("crawl", "1,200 fetched"),
    StepStarted("curate", 3, 1),
    ShardDone("curate", 1, 700),
    ShardDone("curate", 2, 800),
    StepEnded("curate"),
    StepStarted("route", 1, 0),
    ShardDone("route", 0, 0),
    StepEnded("route"),
    StepStarted("train", 1, 0),
    TaskNote("train", 0, {"step": 1, "steps": 100, "loss": 2.125, "tokens_per_s": 900.4}),
    TaskNote(
        "train", 0, {"step": 2, "steps": 100, "loss": 2.0, "tokens_per_s": 910.0, "validation_bits_per_byte": 1.5}
    ),
    ShardDone("train", 0, 0),
    StepEnded("train"),
)


def heard(bars: Bars, capsys: pytest.CaptureFixture[str]) -> str:
    for event in RUN:
        bars(event)
    return capsys.readouterr().err


def test_without_a_terminal_a_line_per_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert heard(Bars(), capsys).splitlines() == [
        "  crawl            1,200 fetched",
        "  curate              0.0 s, 1,500 rows",
        "  train            step 2: 1.500 bits/byte on validation rows",
    ]


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    assert heard(Bars(quiet=True), capsys) == ""


def test_on_a_terminal_what_a_task_tells_is_written_over(capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars()
    bars.live = True
    shown = heard(bars, capsys)
    assert "\r\x1b[K  crawl: 1,200 pages, 34,567 URLs known" in shown
    assert "\r\x1b[K  train: step 1/100, loss 2.125, 900 tokens/s" in shown
    assert "\r\x1b[K  train            step 2: 1.500 bits/byte on validation rows\n" in shown


def test_a_task_of_a_new_stage_has_its_facts_shown(capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars()
    bars.live = True
    bars(StepStarted("evaluate", 1, 0))
    bars(TaskNote("evaluate", 0, {"items": 1000, "score": 0.5}))
    bars(StepEnded("evaluate"))
    assert "evaluate: items 1,000, score 0.5" in capsys.readouterr().err

"""The report: everything is in it, and hostile text stays text."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from pipeline.look.run import Run
from pipeline.report.build import write_report
from tests.conftest import article, run, write_jsonl, write_recipe


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))


def test_report_shows_hostile_text_as_text(tmp_path: Path) -> None:
    hostile = '<script>alert(1)</script><img src=x onerror="alert(2)"> </style></pre> '
    rows = [{"url": f"http://evil.test/{hostile}{i}", "title": hostile, "text": hostile + article(i)} for i in range(4)]
    rows.append({"url": "http://evil.test/short", "text": hostile})
    write_jsonl(tmp_path / "t.jsonl", rows)
    recipe = write_recipe(tmp_path, '[extract]\ninputs = ["t.jsonl"]\n[curate]\ngates = ["gopher_quality"]\n')
    found = run(recipe, tmp_path / "runs")
    page = write_report(found.root, tmp_path / "r.html").read_text("utf-8")
    parser = _Tags()
    parser.feed(page)
    tags = {t for t, _ in parser.tags}
    assert not tags & {"script", "img", "iframe", "object", "link"}
    assert not [a for _, attrs in parser.tags for a, _ in attrs if a.startswith("on") or a in ("src", "href")]
    assert "&lt;script&gt;alert(1)" in page


def test_report_has_every_part(finished: Run) -> None:
    page = (finished.root / "report.html").read_text("utf-8")
    for part in ("Funnel", "Why documents were dropped", "Distributions", "Hosts and languages", "Kept: samples",
                 "Dropped: samples", "Tokens", "Loss", "bits per byte", "http://toxic.test/1"):  # fmt: skip
        assert part in page

"""Every command that looks, over a run whose addresses, titles, texts, columns, signals, rules and file names attack: nothing
but plain characters reaches the terminal, the pages hold no element that came from data, and the JSON is strict."""

from __future__ import annotations

import base64
import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.registry import REGISTRY
from pipeline.look.run import Run
from pipeline.report.build import write_report
from tests.command import Typed, typed
from tests.hostile import GATE, SIGNAL, STEERING, hidden, hostile_rows, hostile_run


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Run:
    tables: list[dict[str, Any]] = [REGISTRY.signals, REGISTRY.plugin_hashes]
    before = [dict(t) for t in tables]
    made = hostile_run(tmp_path_factory.mktemp("attacked"))
    for table, old in zip(tables, before, strict=True):
        table.clear()
        table.update(old)
    return made


def strict(text: bytes) -> object:
    """JSON as a strict parser takes it: ASCII, no NaN, no lone surrogates, no name twice."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        assert len({k for k, _ in pairs}) == len(pairs)
        return dict(pairs)

    assert text.isascii()
    value: object = json.loads(text, parse_constant=refuse, object_pairs_hook=once)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def looked(*words: object, code: int = 0) -> Typed:
    done = typed(*words)
    assert done.code == code, done.err
    assert hidden(done.out + done.err, keep="\n") == []
    return done


def every_look(run: Run) -> dict[str, tuple[object, ...]]:
    root = run.root
    curate, extract, crawl = (run.need(s) for s in ("curate", "extract", "crawl"))
    sets = root.parent.parent / f"quiz{STEERING['clear']}.jsonl"
    change = f"{GATE}.{STEERING['clear']}.min=1"
    inputs = next((root.parent.parent / "texts").iterdir())
    return {
        "stats": ("stats", root),
        "rules": ("stats", root, "--rules"),
        "histogram": ("stats", root, "--signal", SIGNAL),
        "histogram of what is no number": ("stats", root, "--signal", "number"),
        "near": ("stats", root, "--signal", SIGNAL, "--near", 100),
        "explain a fetch": ("explain", root, f"http://fetch.test/{STEERING['clear']}"),
        "explain a drop": ("explain", root, hostile_rows()[-8]["url"].replace("\0", "%00")),
        "explain a bad address": ("explain", root, "http://[bad/"),
        "explain a good one": ("explain", root, "http://good.test/24"),
        "whatif": ("whatif", root, "--set", change),
        "representation": ("representation", root),
        "contamination": ("contamination", root, sets),
        "verify": ("verify", root),
        "clusters": ("inspect", "clusters", root),
        "inspect a run": ("inspect", root),
        "inspect an input": ("inspect", inputs, "--rows", 50),
        **{f"inspect {s.step}": ("inspect", s.dir) for s in (curate, extract, crawl)},
        **{
            f"inspect {s.step} {p.parent.name}": ("inspect", p, "--rows", 50)
            for s in (curate, extract, crawl)
            for p in s.dir.glob("*/*")
        },
        "forecast": ("dedup", "forecast", curate.dir),
        "calibrate": ("dedup", "calibrate", extract.dir),
    }


def test_no_command_prints_what_steers_a_terminal(attacked: Run) -> None:
    for name, words in every_look(attacked).items():
        done = looked(*words)
        assert done.out.strip(), name
        assert "winnow: all is well" not in [line.strip() for line in done.out.splitlines()], name


def test_json_of_every_command_is_strict(attacked: Run) -> None:
    for name, words in every_look(attacked).items():
        done = looked(*words, "--json")
        assert strict(done.stdout) is not None, name


def test_what_attacks_is_shown_as_what_it_is(attacked: Run) -> None:
    shown = looked("stats", attacked.root).out
    assert "\\u202egnp.exe\\u202c" in shown
    assert "\\x1b[2J" in shown
    shown = looked("explain", attacked.root, f"http://fetch.test/{STEERING['line']}").out
    assert "first\\nwinnow: all is well" in shown


class Page(HTMLParser):
    """Elements with their attributes, and the text of one of them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.style = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "style":
            self.style += data


def checked_page(page: str) -> Page:
    """A page in which nothing came from data but text, and that lets a browser do nothing else."""
    found = Page(page)
    assert hidden(page, keep="\n\t") == []
    allowed = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "div", "span", "code", "pre", "b", "i",
               "table", "tr", "th", "td", "details", "summary", "svg", "g", "rect", "line", "text", "polyline", "circle",
               "del", "ins"}  # fmt: skip
    assert {tag for tag, _ in found.elements} <= allowed
    for tag, attributes in found.elements:
        assert not [a for a in attributes if a.startswith("on") or a in ("style", "src", "href", "srcdoc", "action")], (
            tag
        )
        classes = attributes.get("class") or ""
        assert classes.replace(" ", "").isalnum() or not classes
    policies = [
        a["content"] for t, a in found.elements if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    ]
    digest = base64.b64encode(hashlib.sha256(found.style.partition("</style>")[0].encode()).digest()).decode()
    wanted = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    assert policies == [wanted]
    assert page.index("Content-Security-Policy") < page.index("<style>")
    assert [t for t, _ in found.elements].count("style") == 1
    return found


def test_the_report_holds_no_element_from_data(attacked: Run, tmp_path: Path) -> None:
    page = write_report(attacked.root, tmp_path / "r.html").read_text("utf-8")
    checked_page(page)
    for shown in ("&lt;script&gt;alert(1)", "\\u202egnp.exe", "\\x1b[2J", "{{ 7*7 }}"):
        assert shown in page
    assert "\ufffd" not in page


def test_the_page_of_clusters_holds_no_element_from_data(attacked: Run, tmp_path: Path) -> None:
    out = tmp_path / "c.html"
    looked("inspect", "clusters", attacked.root, "--html", out)
    page = out.read_text("utf-8")
    checked_page(page)
    assert "&lt;script&gt;alert(1)" in page


def test_the_report_of_a_whole_run_keeps_to_its_policy(finished: Run) -> None:
    checked_page((finished.root / "report.html").read_text("utf-8"))


def test_rule_sets_with_hostile_names_are_shown_plain(attacked: Run) -> None:
    path = next(attacked.root.parent.parent.glob("*gnp.exe*.toml"))
    looked("rules", "show", path)
    strict(looked("rules", "show", path, "--json").stdout)


def test_what_winnow_makes_is_printed_plain(attacked: Run, tmp_path: Path) -> None:
    out = tmp_path / STEERING["clear"].replace("/", "")
    looked("dedup", "run", attacked.need("extract").dir, "--out", out)
    strict(looked("dedup", "run", attacked.need("extract").dir, "--out", out, "--json").stdout)

"""Text that attacks whoever shows it, and the test for what may not be in anything that is shown."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa

from crawler.fetch_log import FETCH_LOG
from pipeline.core.bench import Bench
from pipeline.core.files import write_parquet, write_sealed
from pipeline.core.step import ShardResult, Task
from pipeline.look.run import Run, open_run
from pipeline.run.run import RUN
from tests.conftest import article, run, write_jsonl, write_recipe

# Each kind of text that must not arrive anywhere as it is: terminal sequences (C0 and C1), deletions, bidi, invisible, separators.
STEERING = {
    "clear": "\x1b[2J\x1b[H",
    "title": "\x1b]0;owned\x07",
    "c1": "\x9b31m\x90q\x9c",
    "overwrite": "\r\x08\x08\x7f",
    "bidi": "\u202egnp.exe\u202c",
    "isolate": "\u2067abc\u2069",
    "marks": "\u200e\u200f\u061c",
    "zero width": "a\u200bb\u200dc\ufeffd\u2060e\xadf",
    "separators": "one\u2028two\u2029three\x85four",
    "tags": "\U000e0041\U000e0042\U000e007f",
    "fillers": "\u3164\u115f\uffa0\u034f\ufe0f",
    "private": "\ue000\U000f0000",
    "line": "first\nwinnow: all is well",
    "null": "a\x00b",
}
MARKUP = "</pre></style></title><script>alert(1)</script><img src=x onerror=alert(2)>\"' onclick='x' {{ 7*7 }} <!--"
STEER = "".join(STEERING.values())
HOSTILE = STEER + MARKUP
# What a file name can hold: anything but NUL and the slash, also bytes that are not UTF-8.
NAME = b"\x1b[31m\xe2\x80\xae\xff\xc2\x9b\nx".decode("utf-8", "surrogateescape")


def hidden(text: str, *, keep: str = "") -> list[str]:
    """Every code point of a text that steers, hides, or turns the order of others, as U+XXXX; spaces are none of these.

    Written without a look at how the program escapes: by category (controls, formats, surrogates, private, separators of lines
    and paragraphs) and by list (what has no ink).
    """
    bad = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    inkless = {0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0xFE00, 0xFE10)}
    found = {c for c in text if c not in keep and (unicodedata.category(c) in bad or ord(c) in inkless)}
    return sorted(f"U+{ord(c):04X}" for c in found)


def hostile_rows() -> list[dict[str, Any]]:
    """Rows of JSONL whose every column attacks; among them good ones, copies, and some that each kind of gate drops."""
    rows: list[dict[str, Any]] = []
    for i, (name, text) in enumerate(STEERING.items()):
        body = f"{HOSTILE} {article(i)}"
        rows.append(
            {"url": f"http://{name.replace(' ', '-')}.test/{text}/{i}", "title": text, "text": body, text: text}
        )
    rows.append({"url": f"http://copy.test/{HOSTILE}", "title": HOSTILE, "text": f"{HOSTILE} {article(0)}", HOSTILE: 1})
    rows.append({"url": f"http://short.test/{HOSTILE}", "text": HOSTILE, "date": HOSTILE})
    rows.append({"url": f"{HOSTILE}", "text": f"{article(20)} {HOSTILE}", "title": MARKUP})
    rows.append({"url": f"http://{MARKUP}/", "text": f"{article(21)} {MARKUP}"})
    rows.append({"url": "http://[bad/", "text": article(22)})
    rows.append({"url": "http://quiz.test/", "text": f"{article(23)} {QUESTION}"})
    rows += [{"url": f"http://good.test/{i}", "title": f"Good {i}", "text": article(i)} for i in range(24, 28)]
    return rows


def surrogate_row() -> dict[str, Any]:
    """A row with lone surrogates wherever a text can stand."""
    bad = "\ud800\udcff"
    return {
        "url": f"http://surrogate.test/{bad}",
        "title": bad,
        "text": f"{bad} {article(29)}",
        bad: {bad: [bad]},
        "date": bad,
    }


QUESTION = (
    "What is the tallest kind of grass that grows wild on the northern slopes of the imaginary mountain Kelvorn today?"
)


def hostile_run(folder: Path) -> Run:
    """A run over `hostile_rows`, with rule sets, signals, matches, evaluation sets and a fetch log that have hostile names."""
    write_jsonl(folder / "texts" / f"{STEERING['clear']}{STEERING['bidi']}.jsonl", [*hostile_rows(), HOSTILE, "\x1b"])
    write_jsonl(folder / "texts" / f"{NAME}.jsonl", [surrogate_row(), HOSTILE, "\x1b"])
    (folder / f"{STEERING['bidi']}.toml").write_text(
        f"name = {toml(GATE)}\nsource = {toml(HOSTILE)}\n[[rule]]\nreason = {toml(STEERING['clear'])}\n"
        f"signal = {toml(SIGNAL)}\nmin = 40\nsource = {toml(HOSTILE)}\n[[rule]]\nreason = 'endless'\nsignal = 'number'\nmin = 0\n",
        "utf-8",
    )
    (folder / "plug.py").write_text(
        "from pipeline.core.registry import signal\n"
        f"@signal({SIGNAL!r})\ndef words(doc): return float(len(doc.text.split()))\n"
        f"@signal('number')\ndef number(doc): return float('nan') if 'bidi' in (doc.url or '') else 1.5\n",
        "utf-8",
    )
    write_jsonl(
        folder / f"quiz{STEERING['clear']}.jsonl", [{"question": QUESTION}, {"question": f"{HOSTILE} {QUESTION}"}]
    )
    recipe = write_recipe(
        folder,
        'plugins = ["plug.py"]\n[extract]\ninputs = ["texts"]\n[curate]\nmeasure_dropped = true\n'
        f'rules = ["{toml_text(STEERING["bidi"])}.toml"]\n'
        f'gates = ["{toml_text(GATE)}", "exact", "minhash", "decontaminate"]\n'
        f'[signals.contaminated_items]\nsets = ["quiz{toml_text(STEERING["clear"])}.jsonl"]\n',
    )
    made = run(recipe, folder / "runs")
    bench = Bench(made.root)
    crawled = bench.step("crawl", {}, 1, [], [Task(0, {}, None)], write_fetch_log)
    steps = {"crawl": crawled.dir.name, **{k: d.dir.name for k, d in made.steps.items()}}
    write_sealed(made.root / RUN, {"recipe": "test", "steps": steps, "work": {}, "files": {}})
    return open_run(made.root)


def write_fetch_log(task: Task[None]) -> ShardResult:
    """A fetch log with hostile addresses and notes."""
    rows = [
        {"url": url, "host": text, "outcome": "failed", "note": text, "status": None, "depth": 1, "referrer": text}
        for text in STEERING.values()
        for url in (f"http://fetch.test/{text}",)
    ]
    path = task.file("fetch")
    write_parquet(path, pa.Table.from_pylist(rows, FETCH_LOG))
    return ShardResult({path: len(rows)}, {"responses": 0, "outcomes": {"failed": len(rows), STEERING["bidi"]: 1}})


GATE = STEERING["bidi"].replace(".", "-")
SIGNAL = f"words{STEERING['clear']}\"'"


def toml(text: str) -> str:
    return f'"{toml_text(text)}"'


def toml_text(text: str) -> str:
    """The inside of a TOML text."""
    return "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)

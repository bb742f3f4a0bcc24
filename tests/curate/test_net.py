"""One bad document is one recorded drop, whatever it does, and its neighbours are as without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import StepError
from pipeline.core.registry import REGISTRY
from pipeline.look.run import Run, table_of
from tests.conftest import article, registry_kept, run, write_jsonl, write_recipe

pytestmark = pytest.mark.usefixtures("kernels")

GATES = {
    "signal": (
        "BODY\n@signal('odd')\ndef odd(doc: Doc) -> float:\n    if 'BAD' in doc.text: return bad()\n    return 1.0\n",
        ["odd_rules"],
    ),
    "batch": (
        "BODY\n@signal('odd', batch=True)\ndef odd(docs: list[Doc]) -> list[float]:\n"
        "    return [bad() if 'BAD' in d.text else 1.0 for d in docs]\n",
        ["odd_rules"],
    ),
    "edit": (
        "BODY\n@edit('odd')\ndef odd(doc: Doc) -> list[Span]:\n"
        "    return [bad()] if 'BAD' in doc.text else [Span(0, 4, 'head')]\n",
        ["odd"],
    ),
    "keys": (
        "BODY\ndef keys(doc: Doc, **_: object) -> list[tuple[bytes, bytes]]:\n"
        "    return [bad()] if 'BAD' in doc.text else [(b'', b'x')]\n"
        "@edit('odd', keys=keys)\ndef odd(doc: Doc, *, min_documents: int = 2, min_share: float = 0.0,\n"
        "        common: frozenset[bytes] = frozenset()) -> list[Span]:\n    return [Span(0, 4, 'head')] if common else []\n",
        ["odd"],
    ),
    "match": (
        "BODY\n@match('odd')\ndef odd(doc: Doc) -> list[bytes]:\n"
        "    return [bad()] if 'BAD' in doc.text else [doc.text.encode()]\n",
        ["odd", "exact"],
    ),
    "features": (
        "BODY\nimport numpy as np\ndef sets(docs: list[Doc]) -> tuple[object, object]:\n"
        "    for d in docs:\n        if 'BAD' in d.text: bad()\n"
        "    return np.arange(len(docs) + 1), np.array([len(d.text) for d in docs], np.uint32)\n"
        "@match('odd', features=sets)\ndef odd(doc: Doc) -> list[bytes]:\n    return [str(len(doc.text)).encode()]\n",
        ["odd"],
    ),
}  # fmt: skip
HEAD = """from pipeline.core.registry import Span, edit, match, signal
from pipeline.core.schema import Doc
import os, sys, time, ctypes
def bad():
    """
WRONG = {
    "signal": ["'text'", "float('nan')", "float('inf')", "[1, 2]", "object()"],
    "batch": ["'text'", "float('nan')", "object()"],
    "edit": [
        "Span(0, 10 ** 9, 'far')", "Span(-1, 2, 'neg')", "Span(0.5, 2, 'half')", "Span(0, 2, None)", "Span(3, 1, 'back')", "7",
        "Span(0, 2, 'x', '\\ud800')",
    ],
    "keys": ["('text', b'x')", "b'x'", "None"],
    "match": ["'text'", "7", "None"],
}  # fmt: skip


def rows(bad: bool) -> list[dict[str, Any]]:
    found = [{"url": f"http://a{i % 3}.test/{i}", "text": article(i, 20)} for i in range(24)]
    found.insert(9, {"url": "http://bad.test/", "text": ("BAD, " if bad else "Good ") + article(40, 60)})
    return found


def curated(
    folder: Path,
    kind: str,
    body: str,
    bad: bool,
    *,
    document_s: float = 30.0,
    workers: int = 1,
    files: int = 1,
    shard_bytes: int = 3000,
) -> Run:
    folder.mkdir()
    for table in (REGISTRY.signals, REGISTRY.edits, REGISTRY.matches):
        table.pop("odd", None)  # of the plug-in before
    source, gates = GATES[kind]
    (folder / "odd.py").write_text(source.replace("BODY", HEAD + body))
    (folder / "odd.toml").write_text('name = "odd_rules"\n[[rule]]\nreason = "odd"\nsignal = "odd"\nmax = 5\n')
    for i in range(files):
        write_jsonl(folder / "in" / f"{i}.jsonl", rows(bad)[i::files])
    rules = 'rules = ["odd.toml"]\n' if "odd_rules" in gates else ""
    bounds = "max_host_loss = 1.0\nmax_source_loss = 1.0\n"
    recipe = write_recipe(
        folder,
        f'plugins = ["odd.py"]\n[limits]\ndocument_s = {document_s}\n[extract]\ninputs = ["in"]\nshard_bytes = {shard_bytes}\n'
        f"[curate]\ngates = {gates}\n{rules}{bounds}",
    )
    return run(recipe, folder / "runs", workers=workers, last="curate")


def seen(done: Run) -> list[tuple[Any, ...]]:
    """What came of every document but the bad one."""
    step = done.need("curate")
    tables = [table_of(step, name).to_pylist() for name in ("data", "decisions", "signals")]
    pick = ("url", "text", "gate", "reasons", "odd")
    return sorted(tuple(str(r.get(k)) for k in pick) for t in tables for r in t if "bad" not in r["url"])


def the_drop(done: Run) -> dict[str, Any]:
    found = [d for d in table_of(done.need("curate"), "decisions").to_pylist() if "bad" in d["url"]]
    assert len(found) == 1
    return dict(found[0])


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[Any, ...]]]:
    folder = tmp_path_factory.mktemp("clean")
    with registry_kept():
        return {kind: seen(curated(folder / kind, kind, "raise KeyError", bad=False)) for kind in GATES}


CASES = [(k, "raise KeyError('no such key')") for k in GATES] + [
    (k, f"return {v}") for k, vs in WRONG.items() for v in vs
]
CASES += [("signal", "sys.exit(3)"), ("match", "return bad()")]


@pytest.mark.parametrize(("kind", "body"), CASES)
def test_what_fails_on_one_document_drops_it_alone(tmp_path: Path, clean: Any, kind: str, body: str) -> None:
    done = curated(tmp_path / "run", kind, body, bad=True)
    dropped = the_drop(done)
    about = {"batch": "signal", "keys": "edit", "features": "match"}.get(kind, kind)
    assert dropped["reasons"] == [f"{about}_failed"]
    assert dropped["note"].startswith(f"{about} 'odd': ")
    assert seen(done) == clean[kind]


@pytest.mark.parametrize(
    ("kind", "body"), [("signal", "while True: pass"), ("edit", "time.sleep(1000)"), ("match", "while True: pass")]
)
def test_a_document_that_takes_too_long_is_dropped_alone(tmp_path: Path, clean: Any, kind: str, body: str) -> None:
    done = curated(tmp_path / "run", kind, body, bad=True, document_s=0.3)
    dropped = the_drop(done)
    assert dropped["reasons"] == ["too_slow"]
    assert dropped["note"].startswith(f"{kind} 'odd': ")
    assert " s" in dropped["note"]
    assert seen(done) == clean[kind]


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        ("signal", "os._exit(7)", "crashed"),
        ("match", "os.kill(os.getpid(), 9)", "crashed"),
        ("signal", "return float(len(bytearray(1 << 45)))", "signal_failed"),
        ("signal", "return len(str(10 ** (10 ** 9)))", "too_slow"),  # stays in compiled code, away from the interpreter
    ],
)  # fmt: skip
def test_a_document_that_takes_the_process_down_is_dropped_alone(
    tmp_path: Path, clean: Any, kind: str, body: str, reason: str
) -> None:
    done = curated(tmp_path / "run", kind, body, bad=True, workers=2, document_s=0.5, files=2)
    assert the_drop(done)["reasons"] == [reason]
    assert the_drop(done)["note"].startswith(f"{kind} 'odd': ")


def test_a_plugin_that_fails_on_everything_is_an_error_that_names_it(tmp_path: Path) -> None:
    source = GATES["signal"][0].replace("'BAD' in doc.text", "True")
    GATES["all"] = (source, ["odd_rules"])
    try:
        with pytest.raises(StepError, match=r"signal 'odd': KeyError: 'x' .odd.py:5.; and so on for all 25 documents"):
            curated(tmp_path / "run", "all", "raise KeyError('x')", bad=False, shard_bytes=10**6)
    finally:
        del GATES["all"]

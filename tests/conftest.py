"""Shared fixtures: a small corpus with known fates, local hosts, recipes."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from examples.hosts import GARDEN, Server, start
from pipeline.core.registry import REGISTRY
from pipeline.curate.compile import compile_kernels
from pipeline.look.run import Run, open_run
from pipeline.run.limits import Limits
from pipeline.run.run import run_recipe
from pipeline.run.session import load_recipe

TRAIN = """
[train]
layers = 1
width = 64
steps = 4
batch_rows = 2
eval_every = 2
eval_rows = 4
checkpoint_every = 2
threads = 1
sample_tokens = 5
prompts = ["The "]
"""
TOKENS = """
[tokenize]
vocab_size = 400
row_tokens = 65
validation_fraction = 0.3
"""


def article(n: int, words: int = 120) -> str:
    """English prose that passes every gate, different for every n."""
    page = (GARDEN / "pages" / f"{GOOD[n % len(GOOD)]}.html").read_text("utf-8")
    source = re.sub("<[^>]+>", " ", page.split("<article>")[1].split("</article>")[0])
    return f"Note {n}. " + " ".join(source.split()[: words + n])


GOOD = [
    "compost", "earthworms", "watering", "mulch", "tomatoes", "potatoes", "beans", "garlic",
    "herbs", "seeds", "slugs", "pruning", "greenhouse", "pond", "meadow", "hedge",
    "fungi", "frost", "rotation", "pumpkin", "onions", "carrots", "lettuce", "strawberries",
    "birds", "bats", "tools", "nettles", "shade", "grafting", "rain",
]  # fmt: skip
GERMAN = (
    "Der Boden ist die Grundlage eines jeden Gartens, und doch schenken ihm die meisten Menschen kaum Beachtung. Wer im "
    "Frühjahr eine Handvoll Erde aufnimmt und daran riecht, merkt schnell, ob sie lebt und was ihr fehlt. "
) * 3
INSULTS = "You stupid idiots, you morons, go to hell with that shit, you bastard. "


def corpus_rows() -> list[dict[str, Any]]:
    """Rows with a fate in their URL: http://FATE.test/N."""
    rows = [{"url": f"http://keep{i % 3}.test/{i}", "text": article(i)} for i in range(24)]
    rows.append({"url": "http://exact.test/1", "text": rows[3]["text"]})
    rows.append({"url": "http://near.test/1", "text": rows[5]["text"].replace("the ", "the very ", 1)})
    rows.append({"url": "http://short.test/1", "text": "Too short to be of use to anybody at all."})
    rows.append({"url": "http://german.test/1", "text": GERMAN})
    rows.append({"url": "http://toxic.test/1", "text": INSULTS + article(28)})
    rows.append(
        {"url": "http://spam.test/1", "text": "Buy the best garden seeds that you can get with us today. " * 20}
    )
    rows.append(
        {"url": "http://pii.test/1", "text": article(25) + " Write to jane.doe@mail.example.com or to 81.169.145.78."}
    )
    rows.append({"url": "http://empty.test/1", "text": "   "})
    return rows


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows), encoding="utf-8")
    return path


def warc_bytes(pages: list[tuple[str, bytes, dict[str, str]]], *, gzip: bool = True) -> tuple[bytes, list[int]]:
    """A WARC file with a response per (url, body, headers), and the offset of each."""
    buffer = io.BytesIO()
    writer = WARCWriter(buffer, gzip=gzip, warc_version="WARC/1.1")
    offsets = []
    for i, (url, body, headers) in enumerate(pages):
        status = headers.get(":status", "200 OK")
        listed = [(k, v) for k, v in ({"Content-Type": "text/html; charset=utf-8"} | headers).items() if k[0] != ":"]
        http = StatusAndHeaders(status, listed, protocol="HTTP/1.1")
        record = writer.create_warc_record(
            url,
            "response",
            payload=io.BytesIO(body),
            http_headers=http,
            warc_headers_dict={"WARC-Record-ID": f"<urn:uuid:00000000-0000-4000-8000-{i:012d}>"},
        )
        offsets.append(buffer.tell())
        writer.write_record(record)
    return buffer.getvalue(), offsets


def html(text: str, title: str = "A page") -> bytes:
    return f"<html><head><title>{title}</title></head><body><article><p>{text}</p></article></body></html>".encode()


def write_recipe(folder: Path, body: str, name: str = "test") -> Path:
    path = folder / "recipe.toml"
    path.write_text(f'name = "{name}"\n{body}', encoding="utf-8")
    return path


def run(
    recipe: Path, runs: Path, *, workers: int = 1, sets: tuple[str, ...] = (), first: str = "", last: str = ""
) -> Run:
    return open_run(run_recipe(load_recipe(recipe, sets), runs, limits=Limits(workers), first=first, last=last))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Fuzz tests are left to the test that runs all of them with bounds checks, where that is among those that run."""
    if not any(i.name == "test_fuzz_targets_hold_with_bounds_checks" for i in items) or config.option.markexpr:
        return
    left = [i for i in items if i.get_closest_marker("fuzz")]
    items[:] = [i for i in items if i not in left]
    config.hook.pytest_deselected(items=left)


@pytest.fixture(scope="session")
def hosts() -> Iterator[Server]:
    server = start()
    yield server
    server.shutdown()
    server.server_close()


@contextmanager
def registry_kept() -> Iterator[None]:
    """What plug-ins register in a block goes with it."""
    tables: list[dict[str, Any]] = [REGISTRY.signals, REGISTRY.edits, REGISTRY.matches, REGISTRY.plugin_hashes]
    before = [dict(t) for t in tables]
    yield
    for table, old in zip(tables, before, strict=True):
        table.clear()
        table.update(old)


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    """What a test's plug-ins register goes with the test."""
    with registry_kept():
        yield


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder with the corpus in three JSONL files, and a recipe over it that ends with the tokens."""
    rows = corpus_rows()
    for i in range(3):
        write_jsonl(tmp_path / "texts" / f"{i}.jsonl", rows[i::3])
    return write_recipe(tmp_path, '[extract]\ninputs = ["texts"]\nshard_bytes = 8000\n' + TOKENS)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of the corpus with everything: tokens, a model, a report."""
    folder = tmp_path_factory.mktemp("finished")
    write_jsonl(folder / "texts" / "all.jsonl", corpus_rows())
    recipe = write_recipe(folder, '[extract]\ninputs = ["texts"]\n' + TOKENS + TRAIN)
    return run(recipe, folder / "runs", workers=2)


@pytest.fixture(scope="session")
def kernels() -> None:
    """Load (or compile) the kernels now: under hypothesis's tracer that takes minutes."""
    compile_kernels()

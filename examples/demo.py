"""`make demo`: crawl two local hosts for real, make a model of them, and check the fate of every page of the garden.

    python -m examples.demo [--runs DIR] [--seeds "https://..."]

With --seeds the live web is crawled instead (politely, 200 pages), and no fates are checked.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

from examples.hosts import GARDEN, GARDEN_HOST, start
from pipeline.look.explain import Explanation, explain
from pipeline.look.run import Run, open_run
from pipeline.look.stats import stats
from train.result import Trained

RECIPE = Path(__file__).parent.parent / "recipes" / "demo.toml"
LIVE = {"crawl.delay_s": "1.0", "crawl.concurrency_per_host": "1", "crawl.timeout_s": "30.0", "crawl.max_pages": "200"}
CLEARLY = 0.95  # the model has to need at most this share of the unigram baseline's bits


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--seeds", default="")
    arguments = parser.parse_args()
    began = time.monotonic()
    name = "demo-live" if arguments.seeds else "demo"
    shutil.rmtree(arguments.runs / name, ignore_errors=True)
    if arguments.seeds:
        listed = ", ".join(f'"{s}"' for s in arguments.seeds.split())
        settings = {"name": name, "crawl.seeds": f"[{listed}]", **LIVE}
    else:
        server = start()
        settings = {"crawl.proxy": f"http://127.0.0.1:{server.server_address[1]}"}
    options = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "pipeline.cli.main", "run", str(RECIPE), "--runs", str(arguments.runs), *options]
    code = subprocess.run(command, check=False).returncode
    if code:
        return code
    run = open_run(arguments.runs / name)
    problems = [] if arguments.seeds else check_fates(run)
    model = stats(run).model
    assert model is not None  # the recipe trains one
    if not arguments.seeds and model.bits_per_byte > CLEARLY * model.unigram_bits_per_byte:
        problems.append(f"the model ({model.bits_per_byte:.3f} bits/byte) is not clearly below the unigram baseline")
    summary(run, model, time.monotonic() - began)
    for problem in problems:
        print(f"  WRONG FATE  {problem}")
    if not arguments.seeds:
        print(f"  fates        {'every page of the garden met its own' if not problems else f'{len(problems)} wrong'}")
    return 1 if problems else 0


def summary(run: Run, model: Trained, seconds: float) -> None:
    """What a person wants to know at the end."""
    curated = run.need("curate").counts
    sample = model.samples[0]
    text = " ".join((sample.prompt + sample.text).split())[:160]
    print("\nthe demo in short")
    print(f"  run          {run.root}  ({seconds:.0f} s)")
    print(f"  funnel       {run.need('extract').counts['rows_in']:,} captures, {curated['rows_in']:,} documents, "
          f"{curated['rows_out']:,} kept")  # fmt: skip
    print(f"  model        {model.bits_per_byte:.3f} bits per byte; unigram baseline {model.unigram_bits_per_byte:.3f}")
    print(f"  sample       {text}")
    print(f"  report       {run.root / 'report.html'}")
    print(f"  ask          winnow explain {run.root} http://{GARDEN_HOST}/rant.html")


def check_fates(run: Run) -> list[str]:
    """What went otherwise than `examples/garden/fates.toml` says, a line each."""
    fates = tomllib.loads((GARDEN / "fates.toml").read_text("utf-8"))
    problems = []
    for path in fates["kept"]:
        life = _life(run, path)
        if not life.verdict.startswith("in the data"):
            problems.append(f"{path}: {life.verdict}; it should be kept")
    for fate in fates["dropped"]:
        problems += _dropped(_life(run, fate["url"]), fate["url"], fate["gate"], fate["reason"])
    for fate in fates["copies"]:
        lives = {path: _life(run, path) for path in fate["one_of"]}
        kept = [path for path, life in lives.items() if life.verdict.startswith("in the data")]
        if len(kept) != 1:
            problems.append(f"{', '.join(fate['one_of'])}: {len(kept)} kept; it should be one")
        for path, life in lives.items():
            if path not in kept:
                problems += _dropped(life, path, fate["gate"], fate["reason"])
    for fate in fates["fetch"]:
        life = _life(run, fate["url"])
        outcome = life.fetch.outcome if life.fetch else None
        if outcome != fate["outcome"]:
            problems.append(f"{fate['url']}: {outcome}; it should be {fate['outcome']} ({fate['why']})")
    for fate in fates["contains"]:
        texts = [d.text or "" for d in _life(run, fate["url"]).documents]
        if not any(fate["text"] in text for text in texts):
            problems.append(f"{fate['url']}: {fate['text']!r} is not in its text ({fate['why']})")
    return problems


def _life(run: Run, path: str) -> Explanation:
    return explain(run, path if "://" in path else f"http://{GARDEN_HOST}{path}")


def _dropped(life: Explanation, path: str, gate: str, reason: str) -> list[str]:
    decisions = [d for document in life.documents for d in document.decisions]
    if any(d.gate == gate and reason in d.reasons for d in decisions):
        return []
    return [f"{path}: {life.verdict}; it should be dropped by {gate}: {reason}"]


if __name__ == "__main__":
    sys.exit(main())

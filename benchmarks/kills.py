"""kill -9 at random moments: does the same command end with the same bytes?

    python benchmarks/kills.py [--kills 20] [--stages extract,curate,...] [--modes group,parent,worker] [--seed 1]

For each stage an undisturbed command is run and timed. Then, each time into a new folder, the command is started, killed at a
random moment of that time (the whole process group, the parent alone, or one of its children), and started once more at once.
Prints for each stage and mode how many of the kills hit a living command, how many second commands ended well, how many left
the bytes of the undisturbed one, and processes that outlived their parent. Files that hold times are compared without them.
Commands are forked off a process that has everything imported, so that kills hit work and not imports.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from measuring import machine

from pipeline.cli import main

GARDEN = Path(__file__).parents[1] / "examples" / "garden"

IMPORTED = (
    "pipeline.curate.step",
    "pipeline.extract.step",
    "tokenize_stage.export",
    "tokenize_stage.shards",
    "train.loop",
)
NEEDED: dict[str, tuple[str, ...]] = {
    "extract": (),
    "curate": ("extract",),
    "tokenize": ("extract", "curate", "tokenizer"),
    "train": ("extract", "curate", "tokenizer", "tokenize"),
    "export": ("extract", "curate", "tokenizer", "tokenize"),
    "dedup index": ("extract",),
}
STAGES = tuple(NEEDED)
MODES = ("group", "parent", "worker")
TIMED = ("result.json", "log.jsonl")  # hold how long it took
RECIPE = """
[extract]
shard_bytes = 60_000
[curate]
gates = ["gopher_quality", "minhash", "pii"]
[tokenize]
vocab_size = 400
row_tokens = 65
validation_fraction = 0.3
shard_bytes = 100_000
[train]
layers = 1
width = 64
steps = 60
batch_rows = 4
checkpoint_every = 10
eval_every = 20
eval_rows = 4
threads = 1
"""


@dataclass
class Row:
    """What became of the kills of one stage and mode."""

    trials: int = 0
    hit: int = 0
    ended: int = 0
    same: int = 0
    outlived: int = 0
    failures: list[str] = field(default_factory=list)


def start(words: list[str], log: Path) -> int:
    """A `winnow` command in a session of its own; its process id."""
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["winnow", *words]
    code = 1
    try:
        main.run_cli()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """Wait for a command; its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def session(pid: int) -> list[int]:
    """Living processes of a command, itself first."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == pid and fields[0] not in "ZX":
            found.append(int(stat.parent.name))
    return sorted(found)


def content(out: Path) -> dict[str, str]:
    """Hashes of what a command left. A training's manifest names files that hold times."""
    found = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.is_file() and not name.startswith(".") and "shards/" not in name and path.name not in TIMED:
            data = path.read_bytes()
            if path.name == "manifest.json" and b'"kind": "model"' in data:
                data = json.dumps(json.loads(data)["counts"]).encode()
            found[name] = hashlib.sha256(data).hexdigest()
    return found


def texts(path: Path, shards: int, rows: int) -> None:
    """Rows with the words of the garden's pages in random order, the same for the same path's name."""
    words = " ".join(p.read_text("utf-8", "replace") for p in sorted((GARDEN / "pages").glob("*.html"))).split()
    rng = random.Random(7)
    path.mkdir()
    for s in range(shards):
        lines = []
        for i in range(rows):
            at = rng.randrange(len(words) - 300)
            lines.append(json.dumps({"url": f"http://h{i % 9}.test/{s}-{i}", "text": " ".join(words[at : at + 300])}))
        (path / f"{s}.jsonl").write_text("\n".join(lines) + "\n")


def words_of(folder: Path, workers: int, stages: list[str]) -> dict[str, list[str]]:
    """The command of each stage, without its --out, over results in `folder`; those that `stages` need are made here."""
    recipe = folder / "recipe.toml"
    recipe.write_text('name = "kills"\n' + RECIPE)
    texts(folder / "in", 6, 60)
    with_recipe = ["--recipe", str(recipe)]
    pool = ["--workers", str(workers)]
    made = {s: str(folder / f"made-{s}") for s in ("extract", "curate", "tokenize")}
    token = str(folder / "tokenizer.json")
    commands = {
        "extract": ["extract", str(folder / "in"), *with_recipe, *pool],
        "curate": ["curate", made["extract"], *with_recipe, *pool],
        "tokenizer": ["tokenizer", "train", made["curate"], *with_recipe, *pool],
        "tokenize": ["tokenize", made["curate"], "--tokenizer", token, *with_recipe, *pool],
        "train": ["train", made["tokenize"], "--tokenizer", token, *with_recipe],
        "export": ["export", made["tokenize"], "--format", "megatron"],
        "dedup index": ["dedup", "index", made["extract"], "--set", 'curate.gates=["minhash"]', *pool],
    }
    for stage in ("extract", "curate", "tokenizer", "tokenize"):
        if any(stage in NEEDED[s] for s in stages):
            complete([*commands[stage], "--out", {**made, "tokenizer": token}[stage]], folder / "log")
    return commands


def complete(words: list[str], log: Path) -> float:
    """Run a command to its end; how long it took, in seconds. Raises: SystemExit if it fails."""
    began = time.monotonic()
    if code := ended(start(words, log)):
        raise SystemExit(f"{' '.join(words)}: exit code {code}\n{log.read_text()}")
    return time.monotonic() - began


def trial(
    words: list[str], mode: str, wait: float, out: Path, whole: dict[str, str], row: Row, rng: random.Random
) -> None:
    row.trials += 1
    log = out.with_suffix(".log")
    pid = start([*words, "--out", str(out)], log)
    time.sleep(wait)
    family = session(pid)
    if pid in family:
        row.hit += 1
        if mode == "group":
            os.killpg(pid, signal.SIGKILL)
        else:
            children = [p for p in family if p != pid]
            target = pid if mode == "parent" or not children else rng.choice(children)
            os.kill(target, signal.SIGKILL)
    first = ended(pid)
    second = ended(start([*words, "--out", str(out)], log))  # at once: the children of the first may just be ending
    row.outlived += len(session(pid))
    row.ended += second == 0
    row.same += content(out) == whole
    if second or content(out) != whole:
        other = sorted(n for n in {*whole, *content(out)} if whole.get(n) != content(out).get(n))
        row.failures.append(f"after {wait:.2f} s, first {first}, second {second}: {other[:4]} {log.read_text()[-300:]}")


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="of each stage in each mode")
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    failed = 0
    print(machine())
    for module in IMPORTED:  # once, before anything is forked
        importlib.import_module(module)
    stages = given.stages.split(",")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = words_of(folder, given.workers, stages)
        print("stage        mode    kills   hit  second ends well  same bytes  outlived  undisturbed s", flush=True)
        for stage in stages:
            took = complete([*commands[stage], "--out", str(folder / f"whole-{stage}")], folder / "log")
            whole = content(folder / f"whole-{stage}")
            for mode in given.modes.split(","):
                row = Row()
                for i in range(given.kills):
                    out = folder / f"{stage}-{mode}-{i}".replace(" ", "-")
                    trial(commands[stage], mode, rng.uniform(0, took), out, whole, row, rng)
                print(
                    f"{stage:<12} {mode:<7} {row.trials:5} {row.hit:5} {row.ended:17} {row.same:11} {row.outlived:9} {took:14.2f}",
                    *row.failures, sep="\n  ", flush=True,
                )  # fmt: skip
                failed += row.trials - row.same
    print(f"failed: {failed}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    run()

"""How many hostile inputs stop a run, or cost a good neighbour.

    python benchmarks/hostile.py [--trials 300] [--seed 1] [--kind WORD] [--keep FOLDER] [--seconds 600]

Each trial is a folder with a hostile file and good documents in it and beside it (`attacks.py`, `attacks_warc.py`). It goes through
`winnow extract` and `winnow curate`, in a process that is replaced when it dies or takes more than a minute. It survives if both
end well, every good document is in the data of both, every row has a fate, the books balance, and no more than 1.5 GiB of memory
were taken. Inputs that did not survive are kept in FOLDER. Exit code 1 if there is one.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import attacks_warc  # noqa: F401 - registers its kinds
import pyarrow.parquet as pq
from attacks import KINDS, Attack
from measuring import machine

LIMIT_S = 60.0
LIMIT_BYTES = 1_500 << 20
RECIPE = """name = "hostile"
[curate]
gates = ["urls", "rights", "exact", "minhash", "pii"]
max_host_loss = 1.0
max_source_loss = 1.0
"""


@dataclass(frozen=True)
class Verdict:
    """What became of a trial; `problem` is "" where it survived."""

    kind: str
    what: str
    problem: str
    seconds: float
    folder: Path


class Worker:
    """A process that runs trials, one after the other; a new one where it died or was too slow.

    Attributes:
        peak: bytes of memory that it took at most so far.
    """

    def __init__(self) -> None:
        self.peak = 0
        self._process: subprocess.Popen[str] | None = None

    def run(self, folder: Path) -> dict[str, Any]:
        """What the trial's commands did; {"problem": ...} where they did not end."""
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, __file__, "--worker"]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.peak = json.loads(self._ask(""))["peak"]  # imports and kernels are no part of a trial
        process = self._process
        timer = threading.Timer(LIMIT_S, process.kill)
        timer.start()
        answer = self._ask(str(folder))
        timer.cancel()
        if answer:
            found: dict[str, Any] = json.loads(answer)
            return found
        code = process.wait()
        self._process = None
        return {"problem": f"more than {LIMIT_S:.0f} s" if code == -signal.SIGKILL else f"the process died ({code})"}

    def _ask(self, line: str) -> str:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            return self._process.stdout.readline()
        except BrokenPipeError:
            return ""

    def close(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()


def work() -> None:
    """The worker: a folder a line in, a line of JSON out."""
    from pipeline.curate.compile import compile_kernels

    answers, sys.stdout = sys.stdout, io.StringIO()
    compile_kernels()
    for line in sys.stdin:
        folder = Path(line.strip())
        found = trial(folder) if line.strip() else {"peak": peak_bytes()}
        answers.write(json.dumps(found) + "\n")
        answers.flush()


def trial(folder: Path) -> dict[str, Any]:
    """Both commands over a trial's folder, and what they printed."""
    recipe = folder / "r.toml"
    recipe.write_text(RECIPE)
    began = time.monotonic()
    first = command("extract", folder / "in", "--out", folder / "extract", "--workers", 1)
    second = command("curate", folder / "extract", "--recipe", recipe, "--out", folder / "curate", "--workers", 1)
    return {
        "codes": [first[0], second[0]],
        "said": [first[1], second[1]],
        "seconds": time.monotonic() - began,
        "peak": peak_bytes(),
    }


def peak_bytes() -> int:
    """Memory that this process took at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def command(*words: object) -> tuple[int, str]:
    """Exit code and stderr of the whole program, in this process."""
    from pipeline.cli.main import run_cli

    said = io.StringIO()
    before, sys.argv = sys.argv, ["winnow", *map(str, words)]
    code: Any = 0
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            run_cli()
    except SystemExit as end:
        code = end.code
    except Exception as error:  # noqa: BLE001 - a bug of the program is an outcome of the trial
        return 99, f"{type(error).__name__}: {error}"
    finally:
        sys.argv = before
    return int(code or 0), said.getvalue()


def judge(attack: Attack, folder: Path, done: dict[str, Any], peak: int) -> str:
    """What is wrong with the outcome of a trial; "" if nothing is."""
    if "problem" in done:
        return str(done["problem"])
    for name, code, said in zip(("extract", "curate"), done["codes"], done["said"], strict=True):
        if code or "a bug in winnow" in said:
            return f"{name} ended with {code}: {said.strip()[-300:]}"
    for name in ("extract", "curate"):
        text = "\n".join(documents(folder / name))
        missing = sorted(m for m in attack.must if m not in text)
        if missing:
            return f"{name} lost {len(missing)} of {len(attack.must)} good documents: {', '.join(missing[:3])}"
    counts = json.loads((folder / "extract" / "manifest.json").read_text("utf-8"))["counts"]
    if counts["rows_in"] < attack.rows or (attack.exactly and counts["rows_in"] != attack.rows):
        return f"{counts['rows_in']} rows have a fate, {attack.rows} were there"
    if done["peak"] - peak > LIMIT_BYTES:
        return f"{(done['peak'] - peak) >> 20:,} MiB of memory"
    return ""


def documents(step: Path) -> Iterator[str]:
    for path in sorted((step / "data").glob("*.parquet")):
        yield from pq.read_table(path, columns=["text"])["text"].to_pylist()


def trials(count: int, seed: int, only: str, root: Path, keep: Path | None) -> Generator[Verdict, None, None]:
    """Trials of all kinds in turn, with the generators of a kind in turn."""
    kinds = [k for k in sorted(KINDS.makers) if only in k]
    worker = Worker()
    try:
        yield from _trials(worker, kinds, count, seed, root, keep)
    finally:
        worker.close()


def _trials(
    worker: Worker, kinds: list[str], count: int, seed: int, root: Path, keep: Path | None
) -> Iterator[Verdict]:
    for n in range(count):
        kind = kinds[n % len(kinds)]
        makers = KINDS.makers[kind]
        attack = makers[n // len(kinds) % len(makers)](random.Random(f"{seed} {n}"))
        folder = root / f"{n:05d}"
        (folder / "in").mkdir(parents=True)
        for name, data in attack.files.items():
            (folder / "in" / os.fsdecode(name)).write_bytes(data)
        done = worker.run(folder)
        problem = judge(attack, folder, done, worker.peak)
        worker.peak = done.get("peak", 0)
        place = folder
        if problem and keep is not None:
            place = keep / f"{n:05d}"
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(folder / "in", place)
            (place / "README").write_text(f"{kind}: {attack.what}\n{problem}\n", encoding="utf-8")
        shutil.rmtree(folder)
        yield Verdict(kind, attack.what, problem, done.get("seconds", LIMIT_S), place)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", default="", help="only kinds with this in their name")
    parser.add_argument("--keep", type=Path, help="where inputs are kept that did not survive")
    parser.add_argument("--seconds", type=float, default=0, help="stop after so many; 0: when all trials are done")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work()
        return
    print(machine())
    began = time.monotonic()
    found = []
    with (
        tempfile.TemporaryDirectory(prefix="hostile-") as root,
        contextlib.closing(trials(args.trials, args.seed, args.kind, Path(root), args.keep)) as done,
    ):
        for v in done:
            found.append(v)
            if v.problem:
                print(f"  {v.kind}: {v.what}: {v.problem!a}", flush=True)
            if args.seconds and time.monotonic() - began > args.seconds:
                break
    print(f"\n{'kind':<36}{'trials':>8}{'survived':>10}{'slowest':>10}")
    for kind in sorted({v.kind for v in found}):
        mine = [v for v in found if v.kind == kind]
        well = sum(not v.problem for v in mine)
        print(f"{kind:<36}{len(mine):>8}{well:>10}{max(v.seconds for v in mine):>8.1f} s")
    well = sum(not v.problem for v in found)
    print(f"{'together':<36}{len(found):>8}{well:>10}")
    sys.exit(0 if well == len(found) else 1)


if __name__ == "__main__":
    main()

"""Two commands at once on one result: one works, the other says who does, and nothing is lost."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.look.run import Run
from pipeline.look.verify import verify_folder
from pipeline.matching.index import read_index, segment_at
from tests.command import COMMAND, within
from tests.conftest import article, corpus_rows, write_jsonl, write_recipe

HOLD = """
import pathlib, sys
from pipeline.core.lock import lock
with lock(pathlib.Path(sys.argv[1]), file=sys.argv[2] == "file"):
    print("held", flush=True)
    input()
"""
EXACT = ("--set", 'curate.gates=["exact"]')
# the words of each command; IN is a file of texts, RUN a finished run, OUT the result
FOLDERS = {
    "run": "run RECIPE --runs RUNS",
    "crawl": "crawl --seeds http://never.test/ --out OUT",
    "extract": "extract IN --out OUT",
    "curate": "curate IN --recipe RECIPE --out OUT",
    "signals": "signals IN --names word_count --out OUT",
    "tokenize": "tokenize IN --tokenizer TOKENIZER --out OUT",
    "train": "train TOKENS --tokenizer TOKENIZER --out OUT",
    "export": "export RUN --format nanogpt --out OUT",
    "dedup run": "dedup run IN --out OUT",
    "dedup index": "dedup index IN --out OUT",
    "dedup remove": "dedup remove OUT http://keep0.test/0",
    "contamination": "contamination RUN SETS --out OUT",
}
FILES = {
    "tokenizer train": "tokenizer train IN --out OUT",
    "tokenizer eval": "tokenizer eval IN --tokenizer TOKENIZER --out OUT",
    "classifier train": "classifier train --positive IN --negative IN --out OUT",
    "lm train": "lm train IN --out OUT",
    "extractor train": "extractor train FOLDER --out OUT",
    "report": "report RUN --out OUT",
    "inspect clusters": "inspect clusters RUN --html OUT",
}


@pytest.mark.parametrize("command", [*FOLDERS, *FILES])
def test_every_command_that_writes_is_refused_while_another_does(finished: Run, tmp_path: Path, command: str) -> None:
    texts = write_jsonl(tmp_path / "in.jsonl", corpus_rows()[:3])
    recipe = write_recipe(tmp_path, '[extract]\ninputs = ["in.jsonl"]\n[curate]\ngates = ["exact"]\n')
    kind = "folder" if command in FOLDERS else "file"
    out = tmp_path / ("test" if command == "run" else "out")
    if command == "dedup remove":
        assert within("dedup", "index", texts, "--out", out, *EXACT, "--workers", "1")[0] == 0
    places = {
        "IN": texts, "RECIPE": recipe, "RUNS": tmp_path, "OUT": out, "RUN": finished.root, "FOLDER": tmp_path, "SETS": texts,
        "TOKENS": finished.need("tokenize").dir,
        "TOKENIZER": finished.need("tokenizer").dir / "tokenizer" / "00000.json",
    }  # fmt: skip
    words = [places.get(word, word) for word in {**FOLDERS, **FILES}[command].split()]
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    held = [sys.executable, "-c", HOLD, str(out), kind]
    with subprocess.Popen(held, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        code, said = within(*words)
        holder.communicate("\n")
    assert code == 2
    assert re.fullmatch(
        rf"{out}: another winnow is working on this result \(process {holder.pid} on \S+, since 20\S+ \S+\)\.", said
    )
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_two_additions_to_an_index_at_once_lose_nothing(tmp_path: Path) -> None:
    store = tmp_path / "index"
    rows = {
        name: [{"url": f"http://{name}.test/{i}", "text": article(i + 9 * (name == "b"))} for i in range(4)]
        for name in "ab"
    }
    commands = []
    for name, listed in rows.items():
        path = write_jsonl(tmp_path / name / f"{name}.jsonl", listed)
        commands.append([*COMMAND, "dedup", "index", str(path), "--out", str(store), *EXACT, "--workers", "1"])
    both = [subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for c in commands]
    ends = [(*p.communicate(), p.returncode) for p in both]
    for (_, errors, code), command in zip(ends, commands, strict=True):
        assert code in (0, 2), errors
        if code == 2:
            assert "another winnow is working on this result (process" in errors
            assert within(*command[len(COMMAND) :])[0] == 0
    assert within(*commands[0][len(COMMAND) :])[0] == 0  # and once more changes nothing
    segments = read_index(store)["matches"]["exact"]["segments"]
    assert sorted(segment_at(store, s).documents for s in segments) == [4, 4]
    assert verify_folder(store).whole
    assert not (store / ".work").exists()

"""Nothing that a command writes steers the terminal, whoever writes it and whatever the terminal can show."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.cli.progress import Bars
from pipeline.cli.show import terminal
from pipeline.core.events import Listener, Said, ShardDone, StepEnded, StepStarted, TaskNote
from pipeline.text import gate
from tests.command import typed, winnow
from tests.conftest import warc_bytes, write_recipe
from tests.hostile import HOSTILE, NAME, STEERING, hidden

ARGUMENT = HOSTILE.replace("\0", "")


def lines(text: str) -> int:
    return text.count("\n")


@pytest.mark.parametrize("command", ["stats", "inspect", "explain", "whatif", "verify", "report", "representation"])
def test_a_missing_file_with_a_hostile_name_is_one_plain_line(command: str, tmp_path: Path) -> None:
    words = (tmp_path / NAME.replace("/", ""), *(("http://x.test/",) if command == "explain" else ()))
    done = typed(command, *words, *(("--set", "a.b.min=1") if command == "whatif" else ()))
    assert done.code == 2
    assert hidden(done.err, keep="\n") == []
    assert lines(done.err) == 1
    assert "\\x1b[31m\\u202e\\udcff\\x9b\\nx" in done.err


@pytest.mark.parametrize("text", STEERING.values(), ids=STEERING)
def test_usage_errors_show_what_was_typed_escaped(text: str, tmp_path: Path) -> None:
    text = text.replace("\0", "")
    for words in ((text,), ("stats", tmp_path, text), ("stats", f"--{text}", tmp_path), ("inspect", "--rows", text, "x"),
                  ("dedup", "forecast", tmp_path / text), ("rules", "show", text), ("run", tmp_path / text)):  # fmt: skip
        done = typed(*words)
        assert done.code == 2
        assert hidden(done.err + done.out, keep="\n") == []
        assert lines(done.err) <= 4  # usage, try, blank, error


def test_recipe_errors_show_keys_and_values_escaped(tmp_path: Path) -> None:
    key = ARGUMENT.replace("\\", "").replace('"', "'")
    quoted = "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in key)
    for body in (f'["{quoted}"]\n', f'[curate]\ngates = ["{quoted}"]\n', f'[curate]\n"{quoted}" = 1\n',
                 f'[curate.gopher_quality."{quoted}"]\nmin = 1\n', f'plugins = ["{quoted}.py"]\n'):  # fmt: skip
        done = typed(
            "run", write_recipe(tmp_path, '[extract]\ninputs = ["x"]\n' + body if "plug" not in body else body)
        )
        assert done.code == 2
        assert hidden(done.err, keep="\n") == []
        assert lines(done.err) == 1, done.err
    done = typed("run", write_recipe(tmp_path, ""), "--set", f"curate.{ARGUMENT}=1")
    assert hidden(done.err, keep="\n") == []


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_terminal_that_cannot_show_a_character_gets_an_escape(encoding: str) -> None:
    done = typed("inspect", "/nowhere/日本語-ü-\udcff", encoding=encoding)
    assert done.code == 2
    shown = done.stderr.decode(encoding)
    assert "\\udcff" in shown
    assert ("\\u65e5" in shown) == (encoding != "utf-8")


def test_ascii_only_output_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    monkeypatch.setenv("LANG", "C")
    done = winnow("inspect", "/nowhere/ü\u202e")
    assert done.returncode == 2
    assert done.stderr == "winnow: /nowhere/\\xfc\\u202e: no such file, step or run.\n"


def test_other_writers_go_through_the_gate_too() -> None:
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err
    try:
        with gate.gate():
            print(HOSTILE)
            sys.stdout.writelines([HOSTILE])
            logging.getLogger("elsewhere").warning("%s", HOSTILE)
            terminal.print_coloured(f"\x1b[31m{ARGUMENT}\x1b[0m".replace("\x1b[2J", ""))
            with gate.gate():
                print("inside")
            assert isinstance(sys.stdout, gate.Shown)
        assert (sys.stdout, sys.stderr) == (out, err)
    finally:
        sys.stdout, sys.stderr = before
    shown = (out.buffer.getvalue() + err.buffer.getvalue()).decode()
    assert hidden(shown.replace("\x1b[31m", "").replace("\x1b[0m", ""), keep="\n") == []
    assert shown.count("\x1b") == 2


def test_warnings_and_the_traceback_of_a_bug_are_escaped_too() -> None:
    code = (
        "import warnings; from pipeline.text import gate; gate.install(); "
        f"warnings.warn({HOSTILE!r}); raise RuntimeError({HOSTILE!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 1
    shown = done.stderr.decode()
    assert "RuntimeError: \\x1b[2J" in shown
    assert "UserWarning: \\x1b[2J" in shown
    assert hidden(shown, keep="\n") == []


def test_a_command_inside_another_program_is_gated_and_leaves_its_streams_alone() -> None:
    before = sys.stdout, sys.stderr
    found = CliRunner().invoke(app, ["stats", "a", ARGUMENT])
    assert hidden(found.output, keep="\n") == []
    assert found.exit_code == 2
    assert before == (sys.stdout, sys.stderr)


@pytest.mark.parametrize("live", [False, True])
def test_progress_shows_names_and_notes_escaped(live: bool) -> None:
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    before = sys.stderr
    sys.stderr = err
    try:
        with gate.gate():
            bars = Bars()
            bars.live = live
            for event in (StepStarted(HOSTILE[:80], 2, 0), ShardDone("x", 0, 700), Said("x", HOSTILE), StepEnded("x"),
                          StepStarted("y", 1, 0), TaskNote(HOSTILE[:80], 0, {HOSTILE: HOSTILE}), StepEnded("y"),
                          Said(HOSTILE, HOSTILE)):  # fmt: skip
                bars(event)
    finally:
        sys.stderr = before
    shown = err.buffer.getvalue().decode()
    ours = shown.replace("\r\x1b[K", "")
    assert hidden(ours, keep="\n") == []
    assert "\\x1b[2J" in ours
    assert not any(line.startswith("winnow: all is well") for line in ours.splitlines())


def shout(task: int, told: Listener) -> int:
    print(HOSTILE)
    logging.getLogger("parser").warning("%s", HOSTILE)
    return task


def test_what_workers_write_is_gated_too(tmp_path: Path) -> None:
    code = (
        "from pipeline.core.executor import PoolExecutor; from tests.cli.test_terminal import shout\n"
        "if __name__ == '__main__':\n    pool = PoolExecutor(1); print(list(pool.run(shout, [7]))); pool.close()\n"
    )
    (tmp_path / "main.py").write_text(code, "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, str(tmp_path / "main.py")], capture_output=True, check=True, env=environment)
    shown = (done.stdout + done.stderr).decode()
    assert "[7]" in shown
    assert shown.count("\\x1b[2J") == 2
    assert hidden(shown, keep="\n") == []


def test_what_parsers_log_of_pages_is_gated_too(tmp_path: Path) -> None:
    pages: list[tuple[str, bytes, dict[str, str]]] = [
        ("http://a.test/\x1b[2J\u202e", b"<html><body></body></html>", {})
    ]
    (tmp_path / "a.warc").write_bytes(warc_bytes(pages, gzip=False)[0])
    done = winnow("extract", tmp_path / "a.warc", "--out", tmp_path / "out", "--set", "extract.extractor=trafilatura")
    assert done.returncode == 0
    assert hidden(done.stdout + done.stderr, keep="\n") == []

"""Whatever stands in the working folder, nothing of ours is imported from it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import COMMAND
from tests.conftest import corpus_rows, html, warc_bytes, write_jsonl

TOP = Path(__file__).parents[2]
TRAPS = [
    "json", "pickle", "socket", "types", "tempfile", "numba", "numpy", "pyarrow", "typer", "train", "crawler",
    "tokenize_stage", "trafilatura", "lxml", "random", "logging",
]  # fmt: skip


def traps(folder: Path) -> None:
    """Modules that say so when they are imported, and end the process."""
    for name in TRAPS:
        (folder / f"{name}.py").write_text(f"import os\nos.write(2, b'TRAP {name}\\n')\nos._exit(99)\n")
    (folder / "pipeline").mkdir()
    (folder / "pipeline" / "__init__.py").write_text("import os\nos.write(2, b'TRAP pipeline\\n')\nos._exit(99)\n")


@pytest.mark.parametrize("entry", ["script", "module"])
def test_the_working_folder_is_not_searched(tmp_path: Path, entry: str) -> None:
    """The command, the workers of its pool and the process that extracts; as `winnow`, and as `python -m` (where Python
    itself takes the first `pipeline` it finds, so that one must not be there)."""
    write_jsonl(tmp_path / "texts" / "a.jsonl", corpus_rows())
    write_jsonl(tmp_path / "texts" / "b.jsonl", corpus_rows()[:3])
    (tmp_path / "texts" / "c.warc.gz").write_bytes(warc_bytes([("http://a.test/", html("Some words. " * 30), {})])[0])
    (tmp_path / "mine.py").write_text(
        "from pipeline.core.registry import signal\n@signal('one')\ndef one(doc) -> int:\n    return 1\n"
    )
    (tmp_path / "recipe.toml").write_text(
        'name = "r"\nplugins = ["mine.py"]\n[extract]\ninputs = ["texts"]\nshard_bytes = 9000\nextractor = "trafilatura"\n'
    )
    traps(tmp_path)
    if entry == "script":  # as the installed `winnow` does it
        (tmp_path / "bin").mkdir()
        script = tmp_path / "bin" / "winnow"
        script.write_text(
            "import sys\nfrom pipeline.cli.main import run_cli\nif __name__ == '__main__':\n    sys.exit(run_cli())\n"
        )
        command = [sys.executable, str(script)]
    else:
        for path in (tmp_path / "pipeline").iterdir():
            path.unlink()
        (tmp_path / "pipeline").rmdir()
        command = list(COMMAND)
    done = subprocess.run(
        [*command, "run", "recipe.toml", "--to", "curate", "--workers", "2"],
        cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(TOP)},
    )  # fmt: skip
    assert "TRAP" not in done.stderr
    assert done.returncode == 0, done.stderr

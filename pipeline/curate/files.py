"""Files that parameters name: models, lists, evaluation sets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import RecipeError, did_you_mean
from pipeline.core.files import sha256_file
from pipeline.models.store import find_model, known_models

LISTS_DIR = Path(__file__).parent.parent / "lists"
CLASSIFIERS_DIR = Path(__file__).parent.parent / "models" / "classifiers"


def content_of(value: Any, files: Mapping[str, str]) -> Any:
    """A parameter that names files as it enters a step key: by their content."""
    if isinstance(value, list | tuple):
        return [files[str(v)] for v in value]
    return files[str(value)] if value else ""


def sha256_tree(path: Path) -> str:
    """sha256 of a file, or of the names and contents of all files in a folder."""
    if path.is_file():
        return sha256_file(path)
    parts = [f"{p.relative_to(path)}\0{sha256_file(p)}\n" for p in sorted(path.rglob("*")) if p.is_file()]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def resolve_file(value: str, where: str, base: Path) -> Path:
    """A file or folder by path, or a file by the name of an installed model, or by the name of a list that ships with winnow."""
    path = base / Path(value).expanduser()
    if path.is_file() or (path.is_dir() and value not in known_models()):
        return path.resolve()
    if value in known_models():
        return find_model(value).resolve()
    for shipped in (LISTS_DIR / f"{value}.txt", CLASSIFIERS_DIR / f"{value}.bin"):
        if shipped.is_file():
            return shipped
    names = [*known_models(), *(p.stem for p in (*LISTS_DIR.glob("*.txt"), *CLASSIFIERS_DIR.glob("*.bin")))]
    raise RecipeError(f"{where}: {path} does not exist.{did_you_mean(value, names)} By name: {', '.join(names)}.")

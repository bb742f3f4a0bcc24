"""A recipe: one strictly typed TOML file, the only configuration.

Each stage owns a frozen dataclass; the top floor passes the sections it knows to `load`. A section whose dataclass has
a field `tables: dict[str, dict[str, Any]]` also accepts sub-tables of any name (`[curate.minhash]`); who uses them
checks them. `--set a.b=1` replaces one value before anything is checked.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import RecipeError, did_you_mean
from pipeline.core.params import check, coerce, params_of

NAME = "a name of letters, digits, '.', '_' and '-'"


@dataclass(frozen=True)
class Recipe:
    """A checked recipe. `section("curate")` is the stage's own dataclass, defaults filled in."""

    name: str
    base: Path  # relative paths in the recipe start here
    plugins: tuple[Path, ...]
    sections: Mapping[str, Any]
    given: frozenset[str]  # sections that the file (or --set) names
    origin: str

    def section(self, name: str) -> Any:
        return self.sections[name]

    def has(self, name: str) -> bool:
        return name in self.given

    def path(self, text: str) -> Path:
        """A path written in the recipe, made absolute."""
        path = Path(text).expanduser()
        return path if path.is_absolute() else self.base / path


def parse_set(assignment: str) -> tuple[list[str], Any]:
    """`a.b=1` as (["a", "b"], 1). The value is TOML; what is no TOML value is a text.

    Raises: RecipeError if there is no '='.
    """
    key, equals, value = assignment.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {assignment}: write it as section.name=value.")
    try:
        parsed = tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    return [part.strip() for part in key.split(".")], parsed


def override(table: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set a value deep in a table, making the tables on the way. Raises: RecipeError if a value is in the way."""
    for i, part in enumerate(path[:-1]):
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise RecipeError(f"--set {'.'.join(path)}: '{'.'.join(path[: i + 1])}' is a value, not a table.")
    table[path[-1]] = value


def read_table(path: Path) -> dict[str, Any]:
    """The TOML of a recipe file. Raises: RecipeError that names file and line."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(f"{path}: no such recipe.") from error
    except OSError as error:
        raise RecipeError(f"{path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8 (byte {error.start}).") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: {error}") from error


def load(path: Path | None, sections: Mapping[str, type], sets: Sequence[str] = (), *, name: str = "") -> Recipe:
    """Read and check a recipe.

    Args:
        path: the TOML file; None stands for an empty recipe called `name`.
        sections: dataclass per section name.
        sets: `--set` assignments.

    Raises: RecipeError with file, key, and what would be right.
    """
    table = read_table(path) if path else {"name": name}
    where = str(path) if path else "command line"
    return check_table(table, sections, sets, where=where, base=path.parent if path else Path())


def check_table(
    table: dict[str, Any], sections: Mapping[str, type], sets: Sequence[str], *, where: str, base: Path
) -> Recipe:
    for assignment in sets:
        override(table, *parse_set(assignment))
    known = {"name", "plugins", *sections}
    for key in table:
        if key not in known:
            takes = ", ".join(sorted(known))
            raise RecipeError(f"{where}: no section '{key}'.{did_you_mean(key, known)} It takes: {takes}.")
    title = coerce(f"{where}: name", table.get("name"), str) if "name" in table else None
    if not title:
        raise RecipeError(f"{where}: 'name' is required ({NAME}).")
    if not all(c.isalnum() or c in "._-" for c in title) or title.startswith("."):
        raise RecipeError(f"{where}: name: {title!r} must be {NAME}.")
    plugins = coerce(f"{where}: plugins", table.get("plugins", []), list[str])
    base = base.resolve()
    made = {key: _section(f"{where}: {key}", table.get(key, {}), kind) for key, kind in sections.items()}
    return Recipe(
        name=title,
        base=base,
        plugins=tuple(base / Path(p).expanduser() for p in plugins),
        sections=made,
        given=frozenset(k for k in table if k in sections),
        origin=where,
    )


def _section(where: str, table: Any, kind: type) -> Any:
    if not isinstance(table, dict):
        raise RecipeError(f"{where}: expected a table, got {table!r}.")
    schema = params_of(kind)
    if "tables" not in schema:
        values = check(where, table, schema)
        try:
            return kind(**values)
        except RecipeError as error:  # a bound that the stage's own dataclass checks
            raise RecipeError(f"{where.rpartition(': ')[0]}: {error}") from error
    own = {k: v for k, v in schema.items() if k != "tables"}
    tables = {k: v for k, v in table.items() if k not in own and isinstance(v, dict)}
    rest = {k: v for k, v in table.items() if k not in tables}
    return kind(**check(where, rest, own), tables=tables)

"""The house holds: rooms import what docs/architecture.md lets them, nothing goes in a circle, nothing is too large to hold in
the head."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from pipeline.text.kernels.compiled import kernel_sources

TOP = Path(__file__).parents[1]
PACKAGES = ("crawler", "pipeline", "tokenize_stage", "train")
MAX_MODULE_LINES, MAX_FUNCTION_LINES, MAX_ROOM_SHARE = 350, 120, 0.20


@cache
def modules() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in sorted((TOP / package).rglob("*.py")):
            found[".".join(path.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__")] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text("utf-8"))


@cache
def imports(module: str) -> frozenset[str]:
    """The modules of ours that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{module}: a relative import"
            for a in node.names:
                inner = f"{node.module}.{a.name}"
                found.add(inner if inner in modules() else node.module)
    return frozenset(n for n in found if n.split(".")[0] in PACKAGES and n not in ("pipeline", module))


@cache
def allowed() -> dict[str, frozenset[str]]:
    """Room -> rooms that it may import, as the table in docs/architecture.md has them."""
    page = (TOP / "docs" / "architecture.md").read_text("utf-8")
    rows = re.findall(
        r"^\| `([\w.]+)` \| (.*?) \|$", page.split("## Who imports whom")[1].split("\n## ")[0], re.MULTILINE
    )
    return {room: frozenset(re.findall(r"`([\w.]+)`", listed)) for room, listed in rows}


def room_of(module: str) -> str:
    fits = [r for r in allowed() if module == r or module.startswith(r + ".")]
    assert fits, f"{module} lies in no room of docs/architecture.md"
    return max(fits, key=len)


@pytest.mark.parametrize("package", PACKAGES)
def test_rooms_import_only_what_the_architecture_lets_them(package: str) -> None:
    for module in modules():
        if module.split(".")[0] != package or module == "pipeline":
            continue
        here = room_of(module)
        for name in imports(module):
            there = room_of(name)
            assert there == here or there in allowed()[here], f"{module} imports {name}: {here} may not use {there}"


def test_the_order_of_rooms_has_no_circle() -> None:
    assert circles(allowed()) == []


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circles({m: imports(m) for m in modules()}) == []


def test_no_folders_import_each_other_in_a_circle() -> None:
    def folder(module: str) -> str:
        return module if modules()[module].name == "__init__.py" else module.rpartition(".")[0]

    graph: dict[str, set[str]] = {}
    for module in modules():
        graph.setdefault(folder(module), set()).update(
            folder(n) for n in imports(module) if folder(n) != folder(module)
        )
    assert circles(graph) == []


def circles(graph: Mapping[str, frozenset[str] | set[str]]) -> list[list[str]]:
    """The ways that lead back to where they began."""
    found: list[list[str]] = []
    state: dict[str, int] = {}

    def visit(node: str, way: list[str]) -> None:
        state[node] = 1
        for after in sorted(graph.get(node, ())):
            if state.get(after) == 1:
                found.append([*way[way.index(after) :], after])
            elif after not in state:
                visit(after, [*way, after])
        state[node] = 2

    for node in sorted(graph):
        if node not in state:
            visit(node, [node])
    return found


def functions(module: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def test_modules_and_functions_are_small_enough_to_hold_in_the_head() -> None:
    large = []
    for module, path in modules().items():
        lines = path.read_text("utf-8").count("\n")
        large += [f"{module}: {lines} lines"] if lines > MAX_MODULE_LINES else []
        large += [f"{module}.{name}: {n} lines" for name, n in functions(module) if n > MAX_FUNCTION_LINES]
    assert large == []


def test_no_room_holds_more_than_a_fifth_of_the_code() -> None:
    sizes: dict[str, int] = {}
    for module, path in modules().items():
        if module != "pipeline":
            sizes[room_of(module)] = sizes.get(room_of(module), 0) + path.read_text("utf-8").count("\n")
    total = sum(sizes.values())
    assert {r: n for r, n in sizes.items() if n > MAX_ROOM_SHARE * total} == {}


def test_the_cache_of_kernels_is_named_by_every_file_that_is_compiled() -> None:
    compiled = {
        p for m, p in modules().items() if any(n in ("numba",) for n in _top_imports(m)) and p.name != "compiled.py"
    }
    assert compiled <= set(kernel_sources())


def _top_imports(module: str) -> set[str]:
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_the_architecture_has_a_phrase_for_every_file() -> None:
    page = (TOP / "docs" / "architecture.md").read_text("utf-8").split("## The house")[1].split("```")[1]
    named: dict[str, set[str]] = {}
    for line in page.strip().splitlines():
        if line[0] != " ":
            folder = line.split()[0].rstrip("/")
        named.setdefault(folder, set()).update(re.findall(r"[a-z_0-9]+", line))
    missing = [
        str(path.relative_to(TOP))
        for path in modules().values()
        if path.name != "__init__.py" and path.stem not in named.get(str(path.parent.relative_to(TOP)), set())
    ]
    assert missing == []
    gone = [folder for folder in named if not (TOP / folder).is_dir()]
    assert gone == []

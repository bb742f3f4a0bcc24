"""The documentation says what is so: reference pages are current, recipes load, examples and links hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.generate import PAGES
from pipeline.curate.build import curation_of
from pipeline.look.run import table_of
from pipeline.run.session import load_recipe
from tests.conftest import run, write_jsonl

ROOT = Path(__file__).parent.parent
MARKDOWN = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_reference_page_is_what_the_code_says(name: str) -> None:
    assert (ROOT / "docs" / name).read_text("utf-8") == PAGES[name](), "run: python docs/generate.py"


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda p: p.stem)
def test_recipe_loads_and_all_its_gates_exist(path: Path) -> None:
    recipe = load_recipe(path, ())
    assert curation_of(recipe).gates
    assert recipe.name == path.stem


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda p: p.name)
def test_local_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def fenced(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / name).read_text("utf-8"), re.S)


def test_recipe_of_the_readme_loads(tmp_path: Path) -> None:
    (block,) = fenced("README.md", "toml")
    path = tmp_path / "recipe.toml"
    path.write_text(block)
    recipe = load_recipe(path, ())
    assert recipe.section("crawl").max_pages == 500


def test_plugins_of_the_docs_run(tmp_path: Path) -> None:
    names = ["shouting.py", "edit.py", "match.py"]
    for name, code in zip(names, fenced("docs/plugins.md", "python"), strict=True):
        (tmp_path / name).write_text(code)
    rules, recipe = fenced("docs/plugins.md", "toml")
    (tmp_path / "calm.toml").write_text(rules)
    body = recipe.replace('["shouting.py"]', str(names)).replace(
        'gates = ["calm", "exact"]', 'gates = ["strip_share_line", "calm", "same_title", "exact"]'
    )
    (tmp_path / "recipe.toml").write_text(body)
    texts = ["A calm text. Share this page", "THIS TEXT IS SHOUTING ALL THE TIME", "Another calm text."]
    write_jsonl(tmp_path / "texts" / "a.jsonl", [{"url": f"http://a.test/{i}", "text": t} for i, t in enumerate(texts)])
    found = run(tmp_path / "recipe.toml", tmp_path / "runs", first="extract", last="curate").need("curate")
    assert table_of(found, "decisions", ["reasons"])["reasons"].to_pylist() == [["shouting"]]
    assert table_of(found, "edits", ["kind"])["kind"].to_pylist() == ["share"]
    assert table_of(found, "data", ["text"])["text"].to_pylist() == ["A calm text. ", "Another calm text."]

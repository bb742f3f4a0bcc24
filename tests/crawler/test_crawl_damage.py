"""What is damaged in a finished crawl is named; the same command asks for what is gone and leaves the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.hosts import Server
from pipeline.core.dataset import Dataset, open_dataset
from pipeline.core.errors import UsageError
from pipeline.look.verify import verify_folder
from tests.command import within
from tests.conftest import write_recipe

CRAWL = '[crawl]\nseeds = ["http://garden.winnow.test/"]\nproxy = "http://127.0.0.1:%d"\nmax_pages = 5\ndelay_s = 0.0\n'


@pytest.fixture(scope="module")
def crawled(hosts: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Dataset]:
    folder = tmp_path_factory.mktemp("crawl")
    recipe = write_recipe(folder, CRAWL % hosts.server_address[1] + '[curate]\ngates = ["exact"]\n')
    code, said = within("run", recipe, "--runs", folder / "runs", "--to", "extract", "--workers", "1")
    assert code == 0, said
    root = folder / "runs" / "test"
    (step,) = root.glob("crawl-*")
    return recipe, root, open_dataset(step)


def test_every_file_of_a_crawl_is_in_its_manifest(crawled: tuple[Path, Path, Dataset]) -> None:
    _, root, step = crawled
    assert verify_folder(root).whole
    assert {name.split("/")[0] for name in step.file_hashes} == {"crawl.json", "warc", "fetch"}


@pytest.mark.parametrize(
    ("folder", "how"), [("warc", "flip"), ("warc", "gone"), ("fetch", "cut"), ("crawl.json", "gone")]
)
def test_damage_to_a_finished_crawl_is_named_and_mended_by_the_same_command(
    crawled: tuple[Path, Path, Dataset], folder: str, how: str
) -> None:
    recipe, root, _ = crawled
    command = ("run", recipe, "--runs", root.parent, "--to", "extract", "--workers", "1")
    (place,) = root.glob("crawl-*")
    before = pages(place)
    path = place / next(name for name in open_dataset(place).file_hashes if name.startswith(folder))
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(data[: len(data) // 2] if how == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
    problems = verify_folder(root).steps[place.name]
    assert any(p.startswith(f"{path.relative_to(place)}: ") for p in problems)
    code, said = within(*command)
    assert code == 0, said
    assert pages(place) == before
    assert verify_folder(root).whole


def pages(step: Path) -> list[tuple[str, str]]:
    """What became of each URL of a crawl."""
    table = open_dataset(step).table("fetch", ["url", "outcome"])
    return sorted(zip(table["url"].to_pylist(), table["outcome"].to_pylist(), strict=True))


def test_what_says_what_was_fetched_is_written_again(crawled: tuple[Path, Path, Dataset]) -> None:
    recipe, root, step = crawled
    command = ("run", recipe, "--runs", root.parent, "--to", "extract", "--workers", "1")
    before = open_dataset(step.dir).file_hashes
    for name in ("shards/00000.json", "step.json"):
        (step.dir / name).unlink()
        assert not verify_folder(root).whole
        assert within(*command)[0] == 0
        assert verify_folder(root).whole
    assert open_dataset(step.dir).file_hashes == before


def test_a_warc_file_that_is_gone_from_under_an_extract_is_refused(
    crawled: tuple[Path, Path, Dataset], tmp_path: Path
) -> None:
    step = open_dataset(crawled[2].dir)
    warc = tmp_path / "warc"
    warc.mkdir()
    for i, source in enumerate(step.every("warc") * 2):
        (warc / f"{i}.warc.gz").write_bytes(source.path.read_bytes())
    command = ("extract", warc, "--out", tmp_path / "out", "--workers", "1")
    assert within(*command)[0] == 0
    (warc / "0.warc.gz").unlink()
    code, said = within(*command)
    assert (code, "0.warc.gz (gone)" in said) == (UsageError.exit_code, True)

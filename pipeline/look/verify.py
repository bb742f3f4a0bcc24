"""Is a run what its manifests say: hashes, rows, books, and that each step read what the one before it wrote?

Everything is looked at: each step that run.json names and those in the work folder, each file that a manifest names, the files
that say what is there (run.json, manifest.json, step.json, plan.json, records of shards), and files that nobody names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core import seal
from pipeline.core.answers import BARE
from pipeline.core.bench import WORK
from pipeline.core.dataset import MANIFEST, Dataset, is_dataset, open_dataset, shard_file
from pipeline.core.errors import BooksError, DataError, RecipeError, UsageError
from pipeline.core.files import read_sealed, sha256_file
from pipeline.core.step import add_counts, balance
from pipeline.look.run import Run
from pipeline.matching.index import INDEX, SEGMENT, read_index
from pipeline.run.run import REPORT, RUN, Listed, read_run
from pipeline.run.stages import results

STEP = re.compile(r"[\w.-]+-[0-9a-f]{8}")  # the name of a step's folder in a run


@dataclass(frozen=True)
class Verified:
    """What is wrong with each step, by STEP-KEY in the order of the run, and with files of the run; a step without problems is
    whole."""

    steps: dict[str, tuple[str, ...]] = field(metadata=BARE)

    @property
    def whole(self) -> bool:
        return not any(self.steps.values())


def verify(run: Run) -> Verified:
    """Hashes, rows, books and the chain of every step."""
    return verify_folder(run.root)


def verify_folder(root: Path) -> Verified:
    """The same for a folder in which anything may be damaged: a run, or a single step.

    Raises: UsageError if it is neither.
    """
    if root.is_file() and work_of(root).is_dir():
        return _made_file(root)
    if (root / INDEX).exists() or any(SEGMENT.fullmatch(p.name) for p in _step_folders(root)):
        return _index(root)
    if (root / seal.MARKER).exists() or is_dataset(root):
        name, problems = _step(root)
        step = seal.opened(root)
        named: list[str] = step.manifest.get("work", []) if step is not None and (root / WORK).is_dir() else []
        below = {n: tuple(_step(root / n)[1]) for n in named}
        return Verified({name: tuple(problems), **below, **_others(root, {root / n for n in named})})
    listed, problem = _listed(root)
    if problem == "missing" and not any(_step_folders(root)):
        raise UsageError(f"{root}: neither a run directory (run.json) nor a finished step (manifest.json).")
    found: dict[str, tuple[str, ...]] = {RUN: (problem,)} if problem else {}
    opened: dict[str, Dataset] = {}
    seen: set[Path] = set()
    order = [r for r in results() if r in listed.steps] + [r for r in listed.steps if r not in results()]
    for result, name in ((r, listed.steps[r]) for r in order):
        folder = root / name
        seen.add(folder)
        step = seal.opened(folder)
        if step is not None:
            opened[result] = step
        found[name] = tuple(_step(folder)[1])
    for result, step in opened.items():
        found[step.dir.name] += tuple(_chain(opened, result))
    work = listed.work if (root / WORK).is_dir() else {}  # who took all of it away did it on purpose
    for name in dict.fromkeys(n for names in work.values() for n in names):
        seen.add(root / name)
        found[name] = tuple(_step(root / name)[1])
    for name, sha256 in listed.files.items():
        if not (root / name).is_file():
            found[name] = ("missing",)
        elif sha256_file(root / name) != sha256:
            found[name] = ("its sha256 is not the one in run.json",)
    return Verified(found | _others(root, seen))


def work_of(file: Path) -> Path:
    """Where the work of a command lies whose `--out` is a file."""
    return file.parent / f".{file.name}{WORK}"


def _made_file(file: Path) -> Verified:
    """A tokenizer.json, by the steps that it was made by."""
    found = {f.relative_to(work_of(file)).as_posix(): tuple(_step(f)[1]) for f in _step_folders(work_of(file))}
    made = (seal.opened(f) for f in _step_folders(work_of(file)))
    hashes = {
        sha
        for step in made
        if step is not None and step.manifest.get("kind") == "tokenizer"
        for sha in step.file_hashes.values()
    }
    problems = () if sha256_file(file) in hashes else ("its sha256 is that of no tokenizer that was made for it",)
    return Verified({file.name: problems, **found})


def _index(root: Path) -> Verified:
    """An index of documents: what index.json names, and what it does not."""
    try:
        listed = read_index(root)
        found: dict[str, tuple[str, ...]] = {INDEX: ()}
    except RecipeError as error:
        return Verified({INDEX: (str(error),), **_others(root, set())})
    if (root / WORK).exists():
        found[WORK] = ("left by a command that was killed: there may be texts in it",)
    for entry in listed["matches"].values():
        for names in entry["segments"]:
            for kind in ("parts", "docs"):
                found[names[kind]] = tuple(_step(root / names[kind])[1])
    strangers = [p.name for p in _step_folders(root) if p.parent == root and p.name not in found]
    return Verified(found | dict.fromkeys(strangers, (f"{INDEX} does not name it",)))


def _listed(root: Path) -> tuple[Listed, str]:
    """What run.json says, or nothing and what is wrong with it."""
    try:
        return read_run(root), ""
    except FileNotFoundError:
        return Listed(root.name), "missing"
    except (DataError, OSError) as error:
        return Listed(root.name), f"damaged ({error})"


def _step_folders(root: Path) -> Iterator[Path]:
    """Folders of steps in a run, and in a work folder."""
    for place in (root, root / WORK):
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.is_dir() and (STEP.fullmatch(path.name) or is_dataset(path)):
                yield path


def _others(root: Path, seen: set[Path]) -> dict[str, tuple[str, ...]]:
    """Finished steps that nobody names: of earlier recipes, or of a command's work. An unfinished one is no damage."""
    found = {}
    for folder in _step_folders(root):
        if folder not in seen and is_dataset(folder):
            found[folder.relative_to(root).as_posix()] = tuple(_step(folder)[1])
    return found


def _step(folder: Path) -> tuple[str, list[str]]:
    """The name of a step, and what is wrong with it."""
    if not folder.is_dir():
        return folder.name, ["missing"]
    problems: list[str] = []
    marker = _own(folder, seal.MARKER, problems)
    try:
        step = open_dataset(folder)
    except DataError as error:
        state = str(error).removeprefix(f"{folder / MANIFEST}: ") if is_dataset(folder) else "missing"
        known = f"{marker['step']}-{marker['key']}" if {"step", "key"} <= set(marker) else folder.name
        return known, [*problems, f"{MANIFEST}: {state}"]
    if marker and marker.get("key") != step.key:
        problems.append(f"{seal.MARKER}: that of another result ({marker.get('step')}-{marker.get('key')})")
    for name in step.manifest.get("beside", []):
        _own(folder, name, problems)
    problems += [*_files(step), *_books(step), *_strangers(step)]
    return f"{step.step}-{step.key}", problems


def _own(folder: Path, name: str, problems: list[str]) -> dict[str, object]:
    """A file with its own hash in it; nothing, and a line among the problems, if it is damaged or gone."""
    try:
        return read_sealed(folder / name)
    except FileNotFoundError:
        problems.append(f"{name}: missing")
    except (ValueError, OSError) as error:
        problems.append(f"{name}: damaged ({error})")
    return {}


def _files(step: Dataset) -> Iterator[str]:
    """Every file that is missing, or whose bytes or rows are not what the manifest says."""
    for name, entry in sorted(step.manifest["files"].items()):
        path = step.dir / name
        try:
            if not path.is_file():
                yield f"{name}: missing"
            elif sha256_file(path) != entry["sha256"]:
                yield f"{name}: its sha256 is not the one in the manifest"
            elif entry.get("rows") is not None and name.endswith(".parquet"):
                rows = pq.read_metadata(path).num_rows
                if rows != entry["rows"]:
                    yield f"{name}: {rows} rows, the manifest says {entry['rows']}"
        except (OSError, pa.ArrowException) as error:
            yield f"{name}: cannot be read ({error})"


def _strangers(step: Dataset) -> Iterator[str]:
    """Files in a step's folder that nothing names; those under a name with a dot are nobody's business."""
    known = {*step.manifest["files"], *step.manifest.get("beside", []), seal.MARKER, MANIFEST, REPORT}
    known |= {seal.record_file(shard) for shard in step.shards()}
    for path in sorted(step.dir.rglob("*")):
        name = path.relative_to(step.dir)
        if not path.is_dir() and name.as_posix() not in known and not name.parts[0].startswith("."):
            yield f"{name.as_posix()}: no manifest names it"


def _books(step: Dataset) -> Iterator[str]:
    records = []
    whole = True
    for shard in step.shards():
        name = seal.record_file(shard)
        try:
            record = seal.read_record(step.dir, shard)
            counts = dict(record["counts"])
            if {n: step.manifest["files"].get(n) for n in record["outputs"]} != record["outputs"]:
                yield f"{name}: names other files than the manifest"
            balance(f"shard {shard}", counts)
            yield from _shard_rows(step, shard, counts)
            records.append(counts)
        except BooksError as error:
            yield str(error)
            records.append(counts)
        except FileNotFoundError:
            whole = False
            yield f"{name}: missing"
        except (ValueError, KeyError, TypeError, OSError) as error:
            whole = False
            yield f"{name}: damaged ({type(error).__name__}: {error})"
    if whole and records and add_counts(records) != step.counts:
        yield "the counts of the shards do not add up to the manifest's"


def _shard_rows(step: Dataset, shard: int, counts: dict[str, object]) -> Iterator[str]:
    """The counts against what the files hold."""
    if step.manifest.get("kind") != "documents":
        return
    try:
        rows, dropped = (pq.read_metadata(shard_file(step.dir / f, shard)).num_rows for f in ("data", "decisions"))
    except (OSError, pa.ArrowException):
        return  # reported already
    if rows != counts["rows_out"] or rows + dropped != counts["rows_in"]:
        yield f"shard {shard}: {counts['rows_in']} in, but the files hold {rows} documents and {dropped} decisions"


def _chain(steps: dict[str, Dataset], stage: str) -> Iterator[str]:
    step = steps[stage]
    reads = step.manifest.get("reads", {})
    for name, key in step.manifest["lineage"]["upstream"].items():
        before = steps.get(name)
        if before is None:
            continue
        if before.key != key:
            yield f"made from {name}-{key}, the run now has {name}-{before.key}"
        elif stage == "extract" and before.counts.get("responses", 0) != step.counts["rows_in"]:
            yield f"read {step.counts['rows_in']} captures, the crawl stored {before.counts.get('responses')}"
        elif "rows_in" in step.counts and "rows_out" in before.counts:
            out, into = before.counts["rows_out"], step.counts["rows_in"]
            if out != into:
                yield f"read {into} rows, {name} wrote {out}"
        elif name in reads and reads[name] != before.content:
            yield f"made from {name}-{key} when that held other files"

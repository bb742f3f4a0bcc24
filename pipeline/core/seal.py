"""What a step leaves beside its files, and whether that still holds.

    step.json           whose folder it is
    shards/00007.json   written last per shard: hashes of its inputs and outputs, counts, errors, seconds
    manifest.json       written last: the step is complete

Each of them has its own sha256 in it. They are written in this order, after the files that they name, so a file whose inode
was changed later than that of its record was touched by someone else: only then is it hashed where nobody reads it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.core.dataset import MANIFEST, Dataset, open_dataset, shard_file, shard_of
from pipeline.core.errors import DataError, UsageError
from pipeline.core.files import read_sealed, write_sealed
from pipeline.core.hashes import Hashes

MARKER, PLAN = "step.json", "plan.json"
NAMED = 5  # inputs that an error lists
Record = dict[str, Any]


def claim(folder: Path, name: str, lineage: Mapping[str, Any], key: str, *, replace: bool = False) -> None:
    """Mark a directory as a step's.

    Args:
        replace: another result that is there goes.

    Raises: UsageError if it belongs to another result, or is none of winnow's.
    """
    marker = folder / MARKER
    entry = {"key": key, **lineage}
    if marker.exists():
        try:
            held = read_sealed(marker)
        except ValueError:  # damaged: the folder says otherwise whose it is, or nobody does
            held = {"key": key} if _is_ours(folder, name, key) or replace else {"step": "damaged " + MARKER}
        if held.get("key") == key:
            if held != entry:
                write_sealed(marker, entry)
            return
        if not replace:
            raise UsageError(
                f"{folder}: holds another result ({held.get('step')}-{held.get('key')}, not {name}-{key}): "
                "choose another --out, remove it, or say --replace."
            )
        clear(folder)
    elif (
        folder.exists()
        and any(not p.name.startswith(".") for p in folder.iterdir())
        and not _is_ours(folder, name, key)
    ):
        raise UsageError(f"{folder}: exists and is not a winnow result: choose another --out.")
    write_sealed(marker, entry)


def _is_ours(folder: Path, name: str, key: str) -> bool:
    """Whether a folder without a readable step.json is that of a step: by its name, or by its manifest."""
    try:
        return folder.name == f"{name}-{key}" or open_dataset(folder).key == key
    except DataError:
        return False


def clear(folder: Path) -> None:
    """Remove what a step left in its folder, but not what stands beside it under a name with a dot."""
    (folder / MANIFEST).unlink(missing_ok=True)  # first: from here on it is not finished
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def opened(folder: Path) -> Dataset | None:
    """A sealed step; None if it was not finished or its manifest is damaged."""
    try:
        return open_dataset(folder)
    except DataError:
        return None


def refuse_other_inputs(
    folder: Path, before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]
) -> None:
    """More shards than a result was made from: it grows. Raises: UsageError if some are gone or others."""
    gone = [
        f"shard {shard} of {step}"
        for step, shards in before.items()
        for shard, content in shards.items()
        if now.get(step, {}).get(shard) != content
    ]
    if gone:
        raise UsageError(
            f"{folder}: was made from other inputs: {listed(gone)} {'is' if len(gone) == 1 else 'are'} gone or changed. "
            "Choose another --out, or say --replace."
        )


def listed(names: Sequence[str]) -> str:
    """Names for an error, a few of many."""
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")


def record_file(shard: int) -> str:
    """Where the record of a shard lies in its step."""
    return shard_file("shards", shard, ".json").as_posix()


def read_record(folder: Path, shard: int) -> Record:
    """The record of a shard. Raises: ValueError if it is damaged; OSError."""
    record = read_sealed(folder / record_file(shard))
    for name in ("shard", "inputs", "outputs", "counts", "errors"):
        if name not in record:
            raise ValueError(f"no '{name}' in it")
    if record["shard"] != shard:
        raise ValueError(f"it is that of shard {record['shard']}")
    return record


def write_record(folder: Path, record: Record) -> None:
    write_sealed(folder / record_file(record["shard"]), record)


def recorded(folder: Path) -> list[dict[str, Any]]:
    """The inputs of each shard of a sealed step in turn, as its records have them; nothing if one is damaged or missing, or the
    step was not finished."""
    step = opened(folder)
    try:
        return [dict(read_record(folder, number)["inputs"]) for number in step.shards()] if step is not None else []
    except (ValueError, OSError):
        return []


def done(folder: Path, shard: int, inputs: Mapping[str, Any], hashes: Hashes) -> Record | None:
    """The record of a shard that is finished, with these inputs and with its files as it says; None otherwise."""
    try:
        record = read_record(folder, shard)
        if record["inputs"] != inputs:
            return None
        written = (folder / record_file(shard)).stat().st_ctime_ns
        doubtful = list(_doubtful(folder, record["outputs"], written, hashes))
    except (ValueError, KeyError, TypeError, OSError):
        return None
    files = [(folder / name, record["outputs"][name]["sha256"]) for name in doubtful]
    return None if hashes.differ(files) else record


def _doubtful(folder: Path, files: Mapping[str, Any], since: int, hashes: Hashes) -> Iterator[str]:
    """Files to be hashed. Raises: OSError or ValueError for the first that is gone or has another size."""
    for name, entry in files.items():
        stat = (folder / name).stat()
        if stat.st_size != entry["bytes"]:
            raise ValueError(name)
        if hashes.check == "all" or (hashes.check == "read" and stat.st_ctime_ns > since):
            yield name


def damage(step: Dataset, hashes: Hashes) -> dict[str, str]:
    """Files and records of a sealed step that are not what its manifest says: name -> what is wrong.

    Sizes, and hashes of what was touched after the manifest was written; with `check` "all" hashes of everything.
    """
    if hashes.check == "off":
        return {}
    manifest = step.dir / MANIFEST
    since = manifest.stat().st_ctime_ns
    found: dict[str, str] = {}
    doubtful: list[str] = []
    for name, entry in step.manifest["files"].items():
        try:
            doubtful += _doubtful(step.dir, {name: entry}, since, hashes)
        except FileNotFoundError:
            found[name] = "missing"
        except ValueError:
            found[name] = "not as long as it was"
    touched = False
    for shard in step.shards():
        name = record_file(shard)
        try:
            if hashes.check == "all" or (step.dir / name).stat().st_ctime_ns > since:
                touched = True
                read_record(step.dir, shard)
        except FileNotFoundError:
            found[name] = "missing"
        except (ValueError, OSError) as error:
            found[name] = f"damaged ({error})"
    differ = hashes.differ((step.dir / n, step.manifest["files"][n]["sha256"]) for n in doubtful)
    found |= {path.relative_to(step.dir).as_posix(): "its sha256 is not the one in the manifest" for path in differ}
    if (doubtful or touched) and not found:
        _looked_at(manifest)
    return found


def _looked_at(manifest: Path) -> None:
    """Let the manifest be newer than files that were touched, or copied after it, and are as they should be."""
    try:
        stat = manifest.stat()
        os.utime(manifest, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    except OSError:  # a folder that may only be read: they are hashed again next time
        return


def remake_record(step: Dataset, inputs: Mapping[str, Any]) -> None:
    """The record of a step with one shard, out of its manifest: all but how long it took."""
    (shard,) = step.shards()
    m = step.manifest
    prefix = f"shard {shard}: "
    errors = [e.removeprefix(prefix) for e in m["errors"]]
    write_record(
        step.dir,
        {"shard": shard, "inputs": inputs, "outputs": m["files"], "counts": m["counts"], "errors": errors}
        | {"seconds": 0.0, "cpu_seconds": 0.0},
    )


def remove_strangers(folder: Path, records: Sequence[Record]) -> None:
    """Files of shards that are no longer part of the step (an input was taken away) go."""
    known = {n for r in records for n in r["outputs"]}
    known |= {record_file(r["shard"]) for r in records}
    for path in folder.glob("*/*"):
        if shard_of(path) is not None and path.is_file() and str(path.relative_to(folder)) not in known:
            path.unlink()

"""Which files are read, and how they are cut into shards.

A file's name in winnow is its path below the input it was found under, so moving a folder changes nothing. Large files
are split at record boundaries, small ones are joined, by rules that depend on the input alone. The plan is kept in
`plan.json`: files that were there keep their shards, new files get new ones.
"""

from __future__ import annotations

import glob
import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import zstandard

from pipeline.core.dataset import Source, is_dataset
from pipeline.core.errors import UsageError
from pipeline.core.files import read_sealed, write_sealed
from pipeline.core.hashes import Hashes
from pipeline.core.seal import PLAN, listed, record_file, recorded
from pipeline.ingest.cuts import cuts

KINDS = {
    "warc": (".warc", ".warc.gz", ".warc.zst", ".wet", ".wet.gz"),
    "jsonl": (".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst", ".json.gz"),
    "parquet": (".parquet",),
}
SUFFIXES = tuple(s for group in KINDS.values() for s in group)


@dataclass(frozen=True)
class InputFile:
    path: Path
    name: str
    kind: str


def kind_of(path: Path) -> str | None:
    return next((kind for kind, suffixes in KINDS.items() if path.name.lower().endswith(suffixes)), None)


def find_inputs(patterns: Sequence[str | Path], base: Path = Path()) -> list[InputFile]:
    """Files for paths, folders and glob patterns, sorted by name.

    Raises: UsageError if a pattern matches nothing, a file is of no known kind, or two files share a name.
    """
    found: dict[str, InputFile] = {}
    for pattern in map(str, patterns):
        for path, root in _expand(pattern, base):
            kind = kind_of(path)
            if kind is None:
                raise UsageError(f"{path}: unknown kind of input. winnow reads {', '.join(SUFFIXES)}.")
            name = _readable(path.relative_to(root).as_posix())
            if name in found and found[name].path.resolve() != path.resolve():
                raise UsageError(
                    f"{path} and {found[name].path}: two inputs share the name {name!r}, which is part of a document's "
                    "identity. Give their common parent folder as the input instead."
                )
            found[name] = InputFile(path, name, kind)
    return [found[name] for name in sorted(found)]


def _readable(name: str) -> str:
    """A file's name as text: bytes that are not UTF-8 are escaped (\\xe9)."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _expand(pattern: str, base: Path) -> Iterator[tuple[Path, Path]]:
    path = base / Path(pattern).expanduser()
    if path.is_dir():
        files = [p for p in sorted(path.rglob("*")) if kind_of(p) and not p.is_dir()]
        for odd in files:
            if not odd.is_file():
                raise UsageError(
                    f"{odd}: not a file that can be read (a link to nothing, or a pipe). Take it out of the folder."
                )
        if not files:
            raise UsageError(f"{path}: no input in this folder. winnow reads {', '.join(SUFFIXES)}.")
        yield from ((p, path) for p in files)
    elif path.is_file():
        yield path, path.parent
    elif glob.has_magic(str(path)):
        matched = [Path(p) for p in sorted(glob.glob(str(path), recursive=True)) if Path(p).is_file()]
        if not matched:
            raise UsageError(f"{path}: no file matches.")
        parts = path.parts
        fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
        yield from ((p, Path(*parts[:fixed])) for p in matched)
    else:
        raise UsageError(f"{path}: no such file or folder.")


def plan_shards(
    files: Sequence[InputFile],
    folder: Path,
    shard_bytes: int,
    *,
    hashes: Hashes | None = None,
    replace: bool = False,
    made: bool = False,
) -> tuple[list[list[Source]], list[str]]:
    """The parts each shard reads, and a line for every file left out because it is the same as another.

    Args:
        files: what `find_inputs` gave.
        folder: the step's directory; the plan is kept there.
        shard_bytes: files larger than this are split, smaller ones joined up to it (bytes on disk).
        hashes: of files that the command knows.
        replace: files that a finished shard was made from may be gone, or others; all are hashed again.
        made: the files are a step's own, which answers for them itself: they may be others than before.

    Raises: DataError if a file cannot be read; UsageError if a file is gone or changed that a finished shard was made from.
    """
    hashes = hashes or Hashes()
    path = folder / PLAN
    old = _old_plan(folder)
    known = {}
    for file in files:
        stat = file.path.stat()
        # the last time can't be set by anyone: it tells of other bytes with the same length and date
        entry: dict[str, Any] = {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "ctime_ns": stat.st_ctime_ns}
        before = old["files"].get(file.name, {})
        same = not replace and entry == {n: before.get(n) for n in entry}
        known[file.name] = entry | {"sha256": before["sha256"] if same else hashes.of(file.path)}
    by_hash: dict[str, str] = {}
    left_out = []
    shown = {
        part[0] for shard in old["shards"] for part in shard
    }  # of two that are the same the one that was read stays
    for name, entry in sorted(known.items(), key=lambda item: item[0] not in shown):
        first = by_hash.setdefault(entry["sha256"], name)
        if first != name:
            left_out.append(f"{name}: identical to {first}, read once")
    read = set(by_hash.values())
    shards: list[list[list[Any]]] = []
    lost: list[str] = []
    for number, shard in enumerate(old["shards"]):
        gone = [n for n, sha, _, _ in shard if n not in read or known[n]["sha256"] != sha]
        if is_dataset(folder) or (folder / record_file(number)).exists():
            lost += gone
        shards.append([] if gone else shard)
    if lost and not replace and not made:
        names = [f"{n} ({'changed' if n in known else 'gone'})" for n in dict.fromkeys(lost)]
        raise UsageError(
            f"{folder}: was made from inputs that are not there any more as they were: {listed(names)}. Put them back, choose "
            "another place for the result, or say --replace."
        )
    placed = {part[0] for shard in shards for part in shard}
    shards += _cut([f for f in files if f.name in read - placed], known, shard_bytes)
    plan = {"files": known, "shards": shards}
    if plan != old:
        write_sealed(path, plan)
    by_name = {f.name: f for f in files}
    return [
        [Source(by_name[n].path, sha, n, start, end, by_name[n].kind) for n, sha, start, end in shard]
        for shard in shards
    ], left_out


def _old_plan(folder: Path) -> dict[str, Any]:
    """The plan that a folder has; where it is damaged or gone, what the records of its finished shards say; else an empty one."""
    try:
        return read_sealed(folder / PLAN)
    except (OSError, ValueError):
        return {"files": {}, "shards": [inputs.get("parts", []) for inputs in recorded(folder)]}


def _cut(files: Sequence[InputFile], known: dict[str, Any], shard_bytes: int) -> list[list[list[Any]]]:
    shards: list[list[list[Any]]] = []
    size = 0
    for file in files:
        entry = known[file.name]
        if entry["bytes"] > shard_bytes:
            at = [0, *cuts(file.path, file.kind, shard_bytes)]
            ends: list[int | None] = [*at[1:], None]
            shards += [[[file.name, entry["sha256"], a, b]] for a, b in zip(at, ends, strict=True)]
            size = shard_bytes
        else:
            if not shards or size + entry["bytes"] > shard_bytes:
                shards.append([])
                size = 0
            shards[-1].append([file.name, entry["sha256"], 0, None])
            size += entry["bytes"]
    return shards


def open_stream(path: Path) -> IO[bytes]:
    """A file's bytes, decompressed if its name says so."""
    if path.suffix == ".gz":
        return io.BufferedReader(gzip.open(path))
    if path.suffix == ".zst":
        file = open(path, "rb")  # noqa: SIM115 - the reader closes it
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=True)
        return io.BufferedReader(reader, 1 << 20)
    return open(path, "rb")

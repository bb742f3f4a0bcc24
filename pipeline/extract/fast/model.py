"""The learned part of the fast extractor as one small file: score tables, trees and a bias."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import DataError
from pipeline.core.files import sha256_file, write_bytes
from pipeline.extract.fast.kernels.columns import FEATURES
from pipeline.extract.fast.kernels.scores import PATH_BITS
from pipeline.extract.fast.kernels.statistics import TEXT_BITS

BUNDLED = Path(__file__).with_name("model.npz")
FORMAT = 1


@dataclass(frozen=True)
class ScoreTables:
    """Weights of names and words.

    Attributes:
        own, above: int8 (2**PATH_BITS,), weights of names near a block and further up, times `path_scale`.
        text: int8 (2**TEXT_BITS,), weights of words, times `text_scale`.
    """

    own: npt.NDArray[np.int8]
    above: npt.NDArray[np.int8]
    text: npt.NDArray[np.int8]
    path_scale: float
    text_scale: float


@dataclass(frozen=True)
class Trees:
    """Boosted trees over features.

    Attributes:
        roots, feature, threshold, child, value: as `pipeline.extract.fast.kernels.select.trees` takes them.
        depth: of the deepest leaf.
    """

    roots: npt.NDArray[np.int32]
    feature: npt.NDArray[np.int16]
    threshold: npt.NDArray[np.float32]
    child: npt.NDArray[np.int32]
    value: npt.NDArray[np.float32]
    depth: int


@dataclass(frozen=True)
class FastModel:
    """Weights of the fast extractor.

    Attributes:
        bias: added to the log-odds of every block.
        facts: what the model card repeats: data, licences, scores; JSON.
    """

    scores: ScoreTables
    trees: Trees
    bias: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)


_SCORE_ARRAYS = ("own", "above", "text")
_TREE_ARRAYS = ("roots", "feature", "threshold", "child", "value")


def save(model: FastModel, path: Path) -> None:
    """Write a model file; equal models give equal bytes."""
    head = {
        "format": FORMAT,
        "features": FEATURES,
        "path_scale": model.scores.path_scale,
        "text_scale": model.scores.text_scale,
        "depth": model.trees.depth,
        "bias": model.bias,
        "facts": model.facts,
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as z:
        z.writestr(zipfile.ZipInfo("model.json"), json.dumps(head, indent=1, sort_keys=True))
        arrays = {name: getattr(model.scores, name) for name in _SCORE_ARRAYS}
        arrays |= {name: getattr(model.trees, name) for name in _TREE_ARRAYS}
        for name, array in arrays.items():
            data = io.BytesIO()
            np.save(data, array)
            z.writestr(zipfile.ZipInfo(f"{name}.npy"), data.getvalue(), zipfile.ZIP_DEFLATED, 9)
    write_bytes(path, buffer.getvalue())


def load(path: Path = BUNDLED) -> FastModel:
    """Read a model file. Raises: DataError if it is none, or was made for other features."""
    try:
        with zipfile.ZipFile(path) as z:
            head = json.loads(z.read("model.json"))
            scores, trees = (
                {name: np.load(io.BytesIO(z.read(f"{name}.npy")), allow_pickle=False) for name in names}
                for names in (_SCORE_ARRAYS, _TREE_ARRAYS)
            )
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not an extraction model ({error}).") from error
    if head.get("format") != FORMAT or head.get("features") != FEATURES:
        raise DataError(f"{path}: made for another version of the features: train it again.")
    if len(scores["own"]) != 1 << PATH_BITS or len(scores["text"]) != 1 << TEXT_BITS:
        raise DataError(f"{path}: score tables of the wrong size.")
    return FastModel(
        ScoreTables(**scores, path_scale=head["path_scale"], text_scale=head["text_scale"]),
        Trees(**trees, depth=head["depth"]),
        head["bias"],
        head["facts"],
    )


@cache
def load_cached(path: str) -> FastModel:
    return load(Path(path))


@cache
def identity(path: Path = BUNDLED) -> str:
    """The sha256 that enters a step's key."""
    return sha256_file(path)

"""Checkpoints: weights as safetensors, optimiser and random state beside them, complete or absent.

    step-000500/model.safetensors  optimizer.pt  state.json
A checkpoint is written to a temporary folder and renamed, so one that is there was whole; `state.json` has the hashes of the
others, and one that is damaged since is passed over.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from pipeline.core.errors import DataError, UsageError
from pipeline.core.files import TMP_PREFIX, read_json, read_sealed, sha256_file, write_sealed
from train.model import Decoder, ModelConfig

FILES = ("model.safetensors", "optimizer.pt")


def save(folder: Path, step: int, model: Decoder, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> Path:
    """Write `folder/step-<step>`; an existing one is replaced."""
    final = folder / f"step-{step:06d}"
    tmp = folder / f"{TMP_PREFIX}{os.getpid()}-{final.name}"
    shutil.rmtree(tmp, ignore_errors=True)
    tmp.mkdir(parents=True)
    try:
        return _save(tmp, final, step, model, optimizer, state)
    except BaseException:
        shutil.rmtree(tmp, ignore_errors=True)
        raise


def _save(
    tmp: Path, final: Path, step: int, model: Decoder, optimizer: torch.optim.Optimizer, state: dict[str, Any]
) -> Path:
    save_file(weights(model), tmp / FILES[0])
    with open(tmp / FILES[1], "wb") as f:  # a file of Python's says why it can't be written
        torch.save(optimizer.state_dict(), f)
    hashes = {name: sha256_file(tmp / name) for name in FILES}
    write_sealed(tmp / "state.json", {**state, "step": step, "model": model.config.as_json(), "files": hashes})
    for path in tmp.iterdir():
        with open(path, "rb+") as f:
            os.fsync(f.fileno())
    shutil.rmtree(final, ignore_errors=True)
    os.replace(tmp, final)
    return final


def weights(model: Decoder) -> dict[str, torch.Tensor]:
    return {k: v.detach().contiguous().cpu() for k, v in model.state_dict().items()}


def latest(folder: Path) -> Path | None:
    """The checkpoint with the highest step that is whole, or None."""
    return next((p for p in sorted(folder.glob("step-*"), reverse=True) if _whole(p)), None)


def _whole(path: Path) -> bool:
    try:
        return all(sha256_file(path / n) == sha for n, sha in read_sealed(path / "state.json")["files"].items())
    except (OSError, ValueError, KeyError):
        return False


def restore(path: Path, model: Decoder, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Load weights and optimiser state in place; returns the saved state."""
    model.load_state_dict(load_file(path / "model.safetensors"))
    optimizer.load_state_dict(torch.load(path / "optimizer.pt", weights_only=True))
    state: dict[str, Any] = read_json(path / "state.json")
    return state


def load_model(folder: Path) -> Decoder:
    """The model of a train step or of one checkpoint folder. Raises: DataError if there is none."""
    own = (p for p in (folder, folder / "model") if (p / "model.safetensors").is_file())
    path = next(own, None) or latest(folder / "checkpoints")
    if path is None:
        raise DataError(f"{folder}: no model.safetensors and no checkpoint in it.")
    shape = read_json(path / ("config.json" if (path / "config.json").is_file() else "state.json"))["model"]
    model = Decoder(ModelConfig(**shape))
    model.load_state_dict(load_file(path / "model.safetensors"))
    return model.eval()


def tokenizer_of(folder: Path) -> Path:
    """The tokenizer.json of a train step, of its `model/` or of one of its checkpoints. Raises: UsageError."""
    places = (folder, folder / "model", folder.parent.parent / "model")
    found = next((p for p in (place / "tokenizer.json" for place in places) if p.is_file()), None)
    if found is None:
        raise UsageError(f"{folder}: no trained model here (no tokenizer.json).")
    return found

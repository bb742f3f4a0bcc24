"""`[train]`: model size and optimisation. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pipeline.core.errors import RecipeError

# layers, width; heads are 64 wide, a third of them (at least one) carry keys and values
PRESETS = {"nano": (4, 192), "micro": (6, 384), "small": (12, 768), "medium": (24, 1_024)}
HEAD_WIDTH = 64


@dataclass(frozen=True)
class TrainConfig:
    """`[train]`: model and optimisation; needs the extra `train`. The context length follows from `row_tokens`.

    Attributes:
        preset: size of the model: nano (4 layers, 192 wide), micro (6, 384), small (12, 768) or medium (24, 1,024).
        layers, width: replace the preset's where they are not 0; the width is a multiple of 64.
        steps: optimiser steps.
        batch_rows: rows in a step.
        lr: peak learning rate, reached after `warmup_steps`.
        warmup_steps: steps of linear warm-up; then the rate falls as a cosine.
        final_lr_frac: share of `lr` at the last step.
        weight_decay: on matrices only.
        grad_clip: maximum norm of the gradient.
        eval_every: steps between evaluations on the validation split.
        eval_rows: rows of such an evaluation; 0 for all of them.
        checkpoint_every: steps between checkpoints.
        seed: of the weights, the order of rows and the samples.
        device: "auto" takes CUDA where it is.
        threads: CPU threads of torch; 0 leaves its default. Results are the same for the same number.
        prompts: texts to continue at the end, for the report.
        sample_tokens: tokens of each such text.
    """

    preset: str = "nano"
    layers: int = 0
    width: int = 0
    steps: int = 1_000
    batch_rows: int = 8
    lr: float = 1e-3
    warmup_steps: int = 50
    final_lr_frac: float = 0.1
    weight_decay: float = 0.1
    grad_clip: float = 1.0
    eval_every: int = 250
    eval_rows: int = 64
    checkpoint_every: int = 500
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 0
    prompts: list[str] = field(default_factory=lambda: ["The ", "In this ", "It is "])
    sample_tokens: int = 80

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise RecipeError(f"train.preset: no preset '{self.preset}'. winnow has: {', '.join(PRESETS)}.")
        if self.shape[1] % HEAD_WIDTH:
            raise RecipeError(f"train.width: {self.shape[1]} is no multiple of {HEAD_WIDTH}, the width of a head.")
        for name in ("steps", "batch_rows", "checkpoint_every", "eval_every"):
            if getattr(self, name) < 1:
                raise RecipeError(f"train.{name}: {getattr(self, name)}; at least 1.")
        if self.layers < 0 or self.width < 0:
            raise RecipeError("train.layers and train.width can't be negative.")

    @property
    def shape(self) -> tuple[int, int]:
        """(layers, width)."""
        layers, width = PRESETS[self.preset]
        return self.layers or layers, self.width or width

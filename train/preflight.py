"""What has to be there before a model can be trained. Imports no torch."""

from __future__ import annotations

from importlib.util import find_spec

from pipeline.core.errors import UsageError
from pipeline.core.recipe import Recipe

NEEDED = ("torch", "safetensors")  # the extra "train"


def check(recipe: Recipe) -> None:
    """Missing libraries are found before anything runs, not after hours of crawling. Raises: UsageError."""
    require_torch()


def require_torch(what: str = "training") -> None:
    """Raises: UsageError that says what cannot be done without the extra, if it is not installed."""
    for name in NEEDED:
        if find_spec(name) is None:
            raise UsageError(
                f"{what} needs the extra 'train' ({name} is not installed): pip install 'winnow-lm[train]'."
            )

"""Kernels of matching: signatures, pairs, groups, decisions."""

import pipeline.text.kernels.compiled  # noqa: F401 - sets where compiled kernels are cached

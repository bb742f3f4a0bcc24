"""Kernels of matching: signatures, pairs, groups, decisions."""

import pipeline.text.compiled  # noqa: F401 - sets where compiled kernels are cached

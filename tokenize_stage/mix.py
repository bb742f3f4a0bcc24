"""How often each document comes: sources by weight and temperature, with bounds on epochs and on hosts.

A source of n tokens and weight w has a share in proportion to w * n^(1/T) (Arivazhagan et al. 2019 for languages, with
temperature T); the total is that of one plain epoch. No document comes more often than `max_epochs`; what a source cannot
take goes to the others. Then hosts that would have more than their share get less.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import numpy as np

from pipeline.core.errors import RecipeError
from tokenize_stage.config import TokenizeConfig

Group = tuple[str, str]  # source, host


def epochs(config: TokenizeConfig, tokens: Mapping[Group, int]) -> dict[Group, float]:
    """How often a document of each (source, host) comes in one epoch, on average.

    Args:
        tokens: train tokens of each (source, host), each of its documents counted once.

    Raises: RecipeError if a weight fits no source.
    """
    groups = sorted(tokens)
    names = sorted({s for s, _ in groups})
    weights = {s: _weight(config, s) for s in names}
    for pattern in config.weights:
        if names and not any(fnmatchcase(s, pattern) for s in names):
            raise RecipeError(
                f"tokenize.weights: '{pattern}' fits no {config.mix_by}. There are: {', '.join(names[:10])}."
            )
    size = np.array([sum(n for (s, _), n in tokens.items() if s == name) for name in names], float)
    wanted = np.array([weights[s] for s in names]) * size ** (1 / config.temperature)
    rate = _water(wanted, size, size.sum(), config.max_epochs) / np.maximum(size, 1)
    of = dict(zip(names, rate.tolist(), strict=True))
    found = {g: of[g[0]] for g in groups}
    if config.max_host_share < 1.0:
        factors = _host_factors(found, tokens, config.max_host_share)
        found = {g: e * factors[g[1]] for g, e in found.items()}
    return found


def _weight(config: TokenizeConfig, source: str) -> float:
    """Of the first pattern that fits; 1.0 where none does."""
    return next((float(w) for p, w in config.weights.items() if fnmatchcase(source, p)), 1.0)


def _water(wanted: np.ndarray, size: np.ndarray, total: float, most: float) -> np.ndarray:
    """Tokens of each source: in proportion to `wanted`, at most `most` times its size, `total` together if that can be."""
    given = np.zeros(len(size))
    room = most * size
    open_ = (wanted > 0) & (size > 0)
    while open_.any():
        left = total - given.sum()
        share = np.where(open_, wanted, 0)
        more = left * share / share.sum()
        full = open_ & (given + more >= room - 1e-9)
        if not full.any():
            whole: np.ndarray = given + more
            return whole
        given = np.where(full, room, given)
        open_ &= ~full
    return given


def _host_factors(rate: Mapping[Group, float], tokens: Mapping[Group, int], share: float) -> dict[str, float]:
    """What each host's documents are taken times so that none has more than `share` of what is left in all."""
    size: dict[str, float] = {}
    for (source, host), count in tokens.items():
        size[host] = size.get(host, 0.0) + count * rate[(source, host)]
    ordered = sorted(size.values(), reverse=True)
    bound = ordered[-1] if ordered else 0.0  # too few hosts for such a share: all alike
    for k, n in enumerate(ordered):  # the k largest at the bound b: b = share * (rest + k * b)
        if k * share >= 1:
            break
        fits = share * sum(ordered[k:]) / (1 - k * share)
        if n <= fits:
            bound = fits
            break
    return {h: min(1.0, bound / n) if n else 1.0 for h, n in size.items()}


def times(rate: float, chance: np.ndarray) -> np.ndarray:
    """How often each document comes, by a number in [0, 1) of its own: floor(rate), and once more where it is below the rest.

    Args:
        chance: one number per document, float64.
    """
    whole = int(rate)
    extra: np.ndarray = whole + (chance < rate - whole)
    return extra.astype(np.int64)

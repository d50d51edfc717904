"""Differences between two models over sessions, with Student's interval: sessions are what one wants to speak about."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float
from numpy import ndarray
from scipy.stats import ttest_1samp

LEVEL = 0.95


@dataclass(frozen=True)
class Paired:
    """The mean of a difference over sessions; the interval is None for fewer than two, p of the two-sided t test."""

    n: int
    mean: float
    interval: tuple[float, float] | None
    p: float | None
    n_better: int  # sessions with a difference above 0


def paired(differences: Float[ndarray, " sessions"]) -> Paired:
    """One difference per session. Sessions count as independent, though those of one animal are alike: with several
    per animal the interval is too narrow. Raises ValueError for no session or a number that is not finite."""
    n = len(differences)
    if n == 0 or not all(map(math.isfinite, differences)):
        raise ValueError(f"{n} differences, or some that are no numbers; compare sessions that both could score")
    mean, better = float(differences.mean()), int((differences > 0).sum())
    if n < 2 or differences.std() == 0:
        return Paired(n, mean, None, None, better)
    test = ttest_1samp(differences, 0.0)
    low, high = test.confidence_interval(LEVEL)
    return Paired(n, mean, (float(low), float(high)), float(test.pvalue), better)

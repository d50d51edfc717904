"""Intervals by leaving out one trial at a time, for statistics that resampling would bias.

A trial drawn twice makes a mean over few trials noisier and a variance smaller, so the bootstrap of a condition's PSTH
or variance is off center where trials are few. Leaving one out is not (Efron & Tibshirani 1993, chapter 11). The
conditions are fixed, the trials of each are the sample.

Squares of means hold products of two trials, and what is left of the products when single trials' part is taken out
comes into the jackknife variance about twice (Efron & Stein 1981, Annals of Statistics 9). With few trials, when this
part rules, intervals would be up to 1.4 times too wide. Its second moment is estimated and the excess taken off.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.stats import t as student

from ..bootstrap import LEVEL
from .measured import Measured

FEWEST = 3  # trials of a condition: a variance must remain when one is left out


def stratified_jackknife(
    value: float,
    left_out: Float[ndarray, " K"],
    groups: Int[ndarray, " K"],
    products: Callable[[Int[ndarray, " n"]], Float[ndarray, "n n"]],
) -> Measured:
    """value of all trials with a 95 % interval.

    left_out: the statistic without each trial in turn; groups: the condition of each trial, numbered from 0. products:
    for the n trials of a condition, how much each pair of them adds to the statistic through products of the two; the
    sum over ordered pairs counts.
    """
    if not (np.isfinite(value) and np.isfinite(left_out).all()):
        return Measured(None, reason="nothing varies between the trials")
    n = np.bincount(groups)
    center = np.bincount(groups, weights=left_out) / n
    squares = np.bincount(groups, weights=(left_out - center[groups]) ** 2)
    variance = (n - 1) / n * squares
    excess = np.array([_excess(products(np.flatnonzero(groups == group))) for group in range(len(n))])
    # The excess is an estimate; if products were all there is, it would be this share of the variance.
    variance -= np.minimum(excess, n / (2 * (n - 1)) * variance)
    reach = float(np.sqrt(variance.sum()) * student.ppf((1 + LEVEL) / 2, max(len(groups) - len(n), 1)))
    return Measured(float(value), (float(value) - reach, float(value) + reach))


def _excess(products: Float[ndarray, "n n"]) -> float:
    """What the jackknife variance has too much, in expectation: 2 n^2 (n - 1) / (n - 2) times the second moment of h.

    h(k, l) are the products less what depends on one of the two trials. The estimate of its second moment is unbiased
    and uses distinct trials only (Li & Chen 2012, Annals of Statistics 40, there for tr(Sigma^2)).
    """
    n = len(products)
    if n < 4:
        return 0.0
    pairs = products - np.diag(np.diag(products))
    squares, rows = float((pairs**2).sum()), pairs.sum(axis=1)
    chains = float((rows**2).sum()) - squares  # h(i, j) h(j, k), three distinct trials
    apart = float(rows.sum()) ** 2 - 4 * chains - 2 * squares  # h(i, j) h(k, l), four distinct trials
    moment = squares / (n * (n - 1)) - 2 * chains / (n * (n - 1) * (n - 2))
    moment += apart / (n * (n - 1) * (n - 2) * (n - 3))
    return 2 * n**2 * (n - 1) / (n - 2) * max(moment, 0.0)

"""Reduced-rank regression: a population is predicted through a few shared dimensions (Izenman 1975).

Ridge weights B from visible to hidden neurons are narrowed to the `rank` directions of the hidden neurons in which
their predictions vary most, in closed form: B V V' with V the leading eigenvectors of B' (C + penalty I) B.

A neuron must not predict itself through the shared dimensions. Where a task hides one neuron at a time, the neurons
are dealt into ten groups, spread over the regions; each group is predicted from the neurons outside it only. So a
neuron reads a little less than the task allows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.linalg import eigh, inv

from ..masking import region_codes
from .linear import CalibratedLine, Moments, _inverse, from_the_rest

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # in variances of one scaled neuron
RANKS = (2, 4, 8, 16, 32, 64)
GROUPS = 10


@dataclass(frozen=True)
class Size:
    """What is tuned."""

    penalty: float
    rank: int | None  # None: full


def deal(codes: Int[ndarray, " n"]) -> Int[ndarray, " n"]:
    """Group of each neuron, 0 to GROUPS - 1: neurons of one region are dealt out in turn."""
    group = np.empty(len(codes), dtype=np.int64)
    group[np.argsort(codes, kind="stable")] = np.arange(len(codes)) % GROUPS
    return group


def narrowed(weights: Float[ndarray, "v h"], variance: Float[ndarray, "h h"], rank: int | None) -> ndarray:
    """Weights (v, h) of the given rank; variance: B' (C + penalty I) B of the full weights B."""
    if rank is None or rank >= min(weights.shape):
        return weights
    last = len(variance) - 1
    _, leading = eigh(variance, subset_by_index=(last + 1 - rank, last), check_finite=False)
    return (weights @ leading) @ leading.T


def hidden_from_the_rest(covariance: ndarray, precision: ndarray, hidden: Bool[ndarray, " n"], size: Size) -> ndarray:
    """Weights (visible, hidden); precision: the inverse of covariance + penalty."""
    block = np.ix_(hidden, hidden)
    # The part of the hidden neurons' (penalized) variance that the visible ones leave over is a Schur complement.
    left_over = inv(precision[block], check_finite=False)
    variance = covariance[block] + size.penalty * np.eye(int(hidden.sum())) - left_over
    return narrowed(from_the_rest(precision, hidden), variance, size.rank)


def by_groups(covariance: Float[ndarray, "n n"], codes: Int[ndarray, " n"], size: Size) -> Float[ndarray, "n n"]:
    """Weights among neurons, each group's from the neurons outside it; 0 within a group."""
    precision, group = _inverse(covariance, size.penalty), deal(codes)
    weights = np.zeros_like(covariance)
    for number in np.unique(group):
        hidden = group == number
        weights[np.ix_(~hidden, hidden)] = hidden_from_the_rest(covariance, precision, hidden, size)
    return weights


def rank_weights(task: str, covariance: ndarray, regions: ndarray, size: Size) -> Float[ndarray, "N N"]:
    """weights[m, n] as in `linear.task_weights`, of reduced rank per group or region."""
    codes = region_codes(regions).numpy()
    if task == "co_smoothing":
        return by_groups(covariance, codes, size)
    weights = np.zeros_like(covariance)
    precision = _inverse(covariance, size.penalty)
    for region in range(codes.max() + 1):
        inside = codes == region
        if task == "intra_region":
            block = np.ix_(inside, inside)
            weights[block] = by_groups(covariance[block], codes[inside], size)
        else:
            weights[np.ix_(~inside, inside)] = hidden_from_the_rest(covariance, precision, inside, size)
    return weights


def forward_weights(moments: Moments, size: Size) -> Float[ndarray, "N N"]:
    """From the scaled past to the deviations that follow; directions count by the neurons' own scale."""
    cross = moments.past_future / moments.past_scale
    weights = _inverse(moments.past_covariance, size.penalty) @ cross
    return narrowed(weights, cross.T @ weights, size.rank) * moments.past_scale


class ReducedRank(CalibratedLine):
    """A reduced-rank regression for each task; first the penalty is chosen at full rank, then the rank."""

    def _weights(self, task: str, moments: Moments, setting: Size) -> Float[ndarray, "N N"]:
        if task == "forward_prediction":
            return forward_weights(moments, setting)
        return rank_weights(task, moments.covariance, self.regions, setting)

    def _choose(self, task: str) -> tuple[Float[ndarray, "N N"], Float[ndarray, "2 N"]]:
        size, *_ = self._best(task, [Size(penalty, None) for penalty in PENALTIES])
        return self._best(task, [Size(size.penalty, rank) for rank in (*RANKS, None)])[1:]

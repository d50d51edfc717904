"""Ridge regression between neurons, in closed form: the baseline that a population model must beat.

All neurons' deviations from their training mean are smoothed in time and scaled to unit variance. With the covariance C
of these and P = (C + penalty I)^-1, the best linear prediction of neuron n from all others has weights
-P[m, n] / P[n, n]: one inverse answers every leave-one-neuron-out question. Forward prediction regresses the next tenth
of the window on the tenth before it. Penalties and the floor are chosen per task on validation trials.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.ndimage import gaussian_filter1d

from ..masking import region_codes
from ..session import Trials
from .metrics import SMALLEST_RATE, SpikeSums
from .psth import tuned_psth
from .tasks import n_future_bins, target_entries, train_means

SMOOTHING = 2.0  # bins, standard deviation of the Gaussian
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # in variances of one scaled neuron
FLOORS = (0.03, 0.1, 0.2, 0.3)  # smallest rate as a share of the neuron's mean: a straight line can go below 0
STRIDE = 5  # bins between the training examples of forward prediction


@dataclass(frozen=True)
class Moments:
    """What the regressions need of the training trials."""

    mean: Float[ndarray, "N"]  # counts per bin
    scale: Float[ndarray, "N"]  # standard deviation of the smoothed counts
    covariance: Float[ndarray, "N N"]
    psth: Float[ndarray, "T N"]
    past_scale: Float[ndarray, "N"]
    past_covariance: Float[ndarray, "N N"]  # of the scaled past
    past_future: Float[ndarray, "N N"]  # scaled past times following mean deviation


def smoothed_deviations(part: Trials, mean: Float[ndarray, "N"]) -> Float[ndarray, "K T N"]:
    """Deviations from the mean, Gaussian in time; a bin without data counts as the mean."""
    deviations = np.where(part.valid[:, :, None], part.counts - mean, 0.0)
    return gaussian_filter1d(deviations, SMOOTHING, axis=1, mode="nearest")


def _before_and_after(part: Trials, psth: ndarray, start: int) -> tuple[ndarray, ndarray]:
    """Mean deviation from the PSTH in the tenth of the window before bin `start` and the tenth from it on: (K, N)."""
    width = n_future_bins(part.n_bins)
    pieces = (slice(max(0, start - width), start), slice(start, start + width))
    return tuple(np.where(part.valid[:, p, None], part.counts[:, p] - psth[p], 0.0).mean(axis=1) for p in pieces)


def training_moments(trials: Trials) -> Moments:
    """One pass over the training trials."""
    train, mean, psth = trials.select("train"), train_means(trials), tuned_psth(trials)
    mean = np.maximum(mean, SMALLEST_RATE)
    smooth = smoothed_deviations(train, mean)[train.valid]
    scale = np.sqrt(smooth.var(axis=0) + 1e-6)  # a silent neuron must not be divided by 0
    width = n_future_bins(trials.n_bins)
    if trials.n_bins < 2 * width:
        raise ValueError("a window of one bin has no past to predict from; choose a longer window or shorter bins")
    starts = range(width, trials.n_bins - width + 1, STRIDE)
    past, future = (
        np.concatenate(side) for side in zip(*(_before_and_after(train, psth, s) for s in starts), strict=True)
    )
    past_scale = np.sqrt(past.var(axis=0) + 1e-6)
    past = past / past_scale
    return Moments(
        mean,
        scale,
        (smooth / scale).T @ (smooth / scale) / len(smooth),
        psth,
        past_scale,
        past.T @ past / len(past),
        past.T @ future / len(past),
    )


def _inverse(covariance: ndarray, penalty: float) -> ndarray:
    return np.linalg.inv(covariance + penalty * np.eye(len(covariance)))


def leave_one_out(covariance: Float[ndarray, "n n"], penalty: float) -> Float[ndarray, "n n"]:
    """Weights that predict each neuron from the others; the diagonal is 0."""
    precision = _inverse(covariance, penalty)
    weights = -precision / np.diag(precision)
    np.fill_diagonal(weights, 0.0)
    return weights


def task_weights(task: str, covariance: ndarray, regions: ndarray, penalty: float) -> Float[ndarray, "N N"]:
    """weights[m, n]: what neuron m says of neuron n where the task's question about n leaves m visible; else 0."""
    if task == "co_smoothing":
        return leave_one_out(covariance, penalty)
    codes, weights = region_codes(regions).numpy(), np.zeros_like(covariance)
    for region in range(codes.max() + 1):
        inside, outside = np.flatnonzero(codes == region), np.flatnonzero(codes != region)
        if task == "intra_region":
            weights[np.ix_(inside, inside)] = leave_one_out(covariance[np.ix_(inside, inside)], penalty)
        else:
            inverse = _inverse(covariance[np.ix_(outside, outside)], penalty)
            weights[np.ix_(outside, inside)] = inverse @ covariance[np.ix_(outside, inside)]
    return weights


class Ridge:
    """A ridge regression for each task, fitted when the task is first asked for."""

    def __init__(self, trials: Trials) -> None:
        self.moments = training_moments(trials)
        self.held = trials.select("validation")
        self.regions = trials.regions
        self._chosen: dict[str, tuple[ndarray, float]] = {}

    def rates(self, task: str, part: Trials) -> Float[ndarray, "K T N"]:
        """Expected counts per bin, each neuron predicted from what the task leaves visible."""
        if task not in self._chosen:
            self._chosen[task] = self._choose(task)
        weights, floor = self._chosen[task]
        return self._floored(self._line(task, part, weights), floor)

    def _line(self, task: str, part: Trials, weights: ndarray) -> Float[ndarray, "K T N"]:
        m = self.moments
        if task != "forward_prediction":
            return smoothed_deviations(part, m.mean) / m.scale @ weights * m.scale + m.mean
        last = part.n_bins - n_future_bins(part.n_bins)
        past, _ = _before_and_after(part, m.psth, last)
        return m.psth + (past / m.past_scale @ weights)[:, None]

    def _weights(self, task: str, penalty: float) -> Float[ndarray, "N N"]:
        m = self.moments
        if task == "forward_prediction":
            return _inverse(m.past_covariance, penalty) @ m.past_future
        return task_weights(task, m.covariance, self.regions, penalty)

    def _floored(self, rates: ndarray, floor: float) -> ndarray:
        return np.maximum(rates, floor * self.moments.mean + SMALLEST_RATE)

    def _choose(self, task: str) -> tuple[ndarray, float]:
        """Weights and floor that predict the validation trials best."""
        target = np.broadcast_to(target_entries(task, self.held), self.held.counts.shape)
        best, chosen = -np.inf, None
        for penalty in PENALTIES:
            weights = self._weights(task, penalty)
            line = self._line(task, self.held, weights)
            for floor in FLOORS:
                sums = SpikeSums.empty(self.held.n_neurons)
                sums.add(self.held.counts, self._floored(line, floor), target)
                score = sums.pooled(self.moments.mean)
                if chosen is None or score > best:
                    best, chosen = score, (weights, floor)
        return chosen

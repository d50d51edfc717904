"""Ridge regression between neurons, in closed form: the baseline that a population model must beat.

All neurons' deviations from their training mean are smoothed in time and scaled to unit variance. With the covariance C
of these and P = (C + penalty I)^-1, the best linear prediction of neuron n from all others has weights
-P[m, n] / P[n, n]: one inverse answers every leave-one-neuron-out question. Forward prediction regresses the next tenth
of the window on the tenth before it.

Lines become rates by a Poisson regression per neuron (calibration.py), fitted on training trials that the line has not
seen: the training trials are predicted in turn from the others. Penalties are chosen per task on validation trials.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.linalg import inv
from scipy.ndimage import gaussian_filter1d

from ..masking import region_codes
from ..session import Trials
from .calibration import calibrated, fit_calibration, log_gain
from .poisson import log_likelihood
from .psth import tuned_psth
from .questions import TASKS, groups, n_future_bins
from .tasks import target_entries, train_means

SMOOTHING = 2.0  # bins, standard deviation of the Gaussian
PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # in variances of one scaled neuron
STRIDE = 5  # bins between the training examples of forward prediction
FOLDS = 4  # parts in which the training trials are predicted from the others
BLOCK = 10  # trials that stay together in a part


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
    """Deviations from the mean, Gaussian in time; a bin without data, or a count of NaN, counts as the mean."""
    deviations = np.where(part.valid[:, :, None] & np.isfinite(part.counts), part.counts - mean, 0.0)
    return gaussian_filter1d(deviations, SMOOTHING, axis=1, mode="nearest")


def _before_and_after(part: Trials, psth: ndarray, start: int) -> tuple[ndarray, ndarray]:
    """Mean deviation from the PSTH in the tenth of the window before bin `start` and the tenth from it on: (K, N)."""
    width = n_future_bins(part.n_bins)
    pieces = (slice(max(0, start - width), start), slice(start, start + width))
    return tuple(np.where(part.valid[:, p, None], part.counts[:, p] - psth[p], 0.0).mean(axis=1) for p in pieces)


def training_moments(trials: Trials) -> Moments:
    """One pass over the training trials."""
    train, mean, psth = trials.select("train"), train_means(trials), tuned_psth(trials)
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
    smooth, past = smooth / scale, past / past_scale
    return Moments(
        mean,
        scale,
        smooth.T @ smooth / len(smooth),
        psth,
        past_scale,
        past.T @ past / len(past),
        past.T @ future / len(past),
    )


def _inverse(covariance: ndarray, penalty: float) -> ndarray:
    return inv(covariance + penalty * np.eye(len(covariance)), assume_a="pos", check_finite=False)


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
    precision = _inverse(covariance, penalty) if task == "inter_region" else None
    for region in range(codes.max() + 1):
        inside = codes == region
        if precision is None:
            weights[np.ix_(inside, inside)] = leave_one_out(covariance[np.ix_(inside, inside)], penalty)
        else:
            weights[np.ix_(~inside, inside)] = from_the_rest(precision, inside)
    return weights


def without_duplicates(
    task: str, weights: Float[ndarray, "N N"], covariance: ndarray, regions: ndarray, guard: Guard
) -> Float[ndarray, "N N"]:
    """The weights of `task_weights`, those of neurons with likely duplicates fitted anew without these."""
    weights = weights.copy()
    for group in groups(task, regions, grouped=False):
        twins = guard.duplicates[:, group].any(axis=1)
        if not twins.any():
            continue
        asked = np.isin(np.arange(len(regions)), group)
        same = regions == regions[group[0]]
        visible = {"co_smoothing": ~asked, "intra_region": same & ~asked, "inter_region": ~same}[task] & ~twins
        weights[:, group] = 0.0
        ridge = covariance[np.ix_(visible, visible)] + guard.penalty * np.eye(visible.sum())
        weights[np.ix_(visible, group)] = np.linalg.solve(ridge, covariance[np.ix_(visible, group)])
    return weights


@dataclass(frozen=True, eq=False)
class Guard:
    """duplicates[m, n]: m may be the same cell as n, so a regression of n must not read it."""

    duplicates: Bool[ndarray, "N N"]
    penalty: float


def from_the_rest(precision: Float[ndarray, "n n"], hidden: ndarray) -> Float[ndarray, "v h"]:
    """Ridge weights from the visible to the hidden neurons (flags), by the inverse of a partitioned matrix."""
    return -precision[np.ix_(~hidden, hidden)] @ inv(precision[np.ix_(hidden, hidden)], check_finite=False)


@dataclass(frozen=True, eq=False)
class Piece:
    """Trials that a line predicts, and the moments of other trials that it is made from."""

    moments: Moments
    part: Trials

    @cached_property
    def smooth(self) -> Float[ndarray, "K T N"]:
        """Inputs of the regressions; single precision, as they are noisy and many."""
        m = self.moments
        return (smoothed_deviations(self.part, m.mean) / m.scale).astype(np.float32)

    @cached_property
    def past(self) -> Float[ndarray, "K N"]:
        part = self.part
        return _before_and_after(part, self.moments.psth, part.n_bins - n_future_bins(part.n_bins))[0]

    def reference(self, task: str) -> Float[ndarray, "*T N"]:
        """The rates from which a line deviates."""
        return self.moments.psth if task == "forward_prediction" else self.moments.mean

    def gain(self, task: str, weights: Float[ndarray, "N N"]) -> Float[ndarray, "K T N"]:
        """`log_gain` of the line that the weights draw."""
        m = self.moments
        if task == "forward_prediction":
            line = m.psth + (self.past / m.past_scale @ weights)[:, None]
        else:
            line = self.smooth @ weights.astype(np.float32) * m.scale + m.mean
        return log_gain(line, self.reference(task))


class CalibratedLine(ABC):
    """A linear regression for each task, fitted when the task is first asked for."""

    tasks = TASKS

    def __init__(self, trials: Trials) -> None:
        self.moments = training_moments(trials)
        self.held, self.regions = trials.select("validation"), trials.regions
        parts = training_parts(trials)
        self.pieces = [_piece(trials, part) for part in parts]
        self.train = trials.select(np.concatenate(parts))  # in the order of the pieces
        self._chosen: dict[str, tuple[ndarray, ndarray]] = {}

    @abstractmethod
    def _weights(self, task: str, moments: Moments, setting: Any) -> Float[ndarray, "N N"]:
        """What each neuron (row) says of each other (column)."""

    @abstractmethod
    def _choose(self, task: str) -> tuple[Float[ndarray, "N N"], Float[ndarray, "2 N"]]:
        """Weights and calibration that predict the validation trials best."""

    def rates(self, task: str, part: Trials) -> Float[ndarray, "K T N"]:
        """Expected counts per bin, each neuron predicted from what the task leaves visible."""
        if task not in self._chosen:
            self._chosen[task] = self._choose(task)
        weights, calibration = self._chosen[task]
        piece = Piece(self.moments, part)
        return calibrated(piece.gain(task, weights), piece.reference(task), calibration)

    def _best(self, task: str, settings: Iterable[Any]) -> tuple[Any, ndarray, ndarray]:
        """Setting, weights and calibration. Stops where the score falls: it has one maximum along the settings."""
        held, best, chosen = Piece(self.moments, self.held), -np.inf, None
        for setting in settings:
            weights, calibration = self._weights(task, self.moments, setting), self._calibration(task, setting)
            rates = calibrated(held.gain(task, weights), held.reference(task), calibration)
            score = log_likelihood(rates, self.held, target_entries(task, self.held))
            if chosen is not None and score <= best:
                break
            best, chosen = score, (setting, weights, calibration)
        return chosen

    def _calibration(self, task: str, setting: Any) -> Float[ndarray, "2 N"]:
        """From lines through training trials that they were not fitted on."""
        gains = [piece.gain(task, self._weights(task, piece.moments, setting)) for piece in self.pieces]
        reference = Piece(self.moments, self.train).reference(task)
        return fit_calibration(np.concatenate(gains), reference, self.train, target_entries(task, self.train))


def training_parts(trials: Trials) -> list[Int[ndarray, " k"]]:
    """The training trials' positions in a few parts: blocks of neighbors, alternating over the recording.

    As the split's own blocks: rates drift, and what lies between known blocks is predicted better than what lies beyond
    them. A calibration on such harder trials would trust the line too little.
    """
    train = np.flatnonzero(trials.split == "train")
    part = np.arange(len(train)) // max(1, min(BLOCK, len(train) // FOLDS)) % FOLDS
    return [train[part == number] for number in np.unique(part)]


def _piece(trials: Trials, part: Int[ndarray, " k"]) -> Piece:
    """A part of the training trials, with the moments of the other training trials."""
    others = np.setdiff1d(np.arange(trials.n_trials), part)
    return Piece(training_moments(trials.select(others)), trials.select(part))


class Ridge(CalibratedLine):
    """Every neuron from all visible ones; likely duplicates of a neuron, where given, are not visible to it."""

    def __init__(self, trials: Trials, duplicates: Bool[ndarray, "N N"] | None = None) -> None:
        super().__init__(trials)
        self.duplicates = duplicates

    def _weights(self, task: str, moments: Moments, setting: float) -> Float[ndarray, "N N"]:
        if task == "forward_prediction":
            return _inverse(moments.past_covariance, setting) @ moments.past_future
        weights = task_weights(task, moments.covariance, self.regions, setting)
        if self.duplicates is None:
            return weights
        guard = Guard(self.duplicates, setting)
        return without_duplicates(task, weights, moments.covariance, self.regions, guard)

    def _choose(self, task: str) -> tuple[ndarray, ndarray]:
        return self._best(task, PENALTIES)[1:]

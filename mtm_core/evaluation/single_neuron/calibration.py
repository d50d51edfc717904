"""Are the predicted rates honest? Observed against predicted rate.

A calibrated prediction of 10 Hz is followed by 10 spikes per second on average, and so for every rate. Slope and
intercept are those of a Poisson regression log E[y] = intercept + slope * log(rate / mean rate) (Cox 1958, two further
applications of a model for binary regression; for counts: Czado, Gneiting & Held 2009, Biometrics 65).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.stats import chi2
from scipy.stats import t as student
from sklearn.linear_model import PoissonRegressor

from ..bootstrap import LEVEL, interval, resamples
from .measured import Measured, bootstrapped
from .trials import NeuronTrials

N_GROUPS = 10
NO_SPIKE = "no spike in the scored bins of these trials"
CONSTANT = "the predicted rate is the same everywhere"


@dataclass(frozen=True, eq=False)
class Calibration:
    """Groups of entries by predicted rate, G <= 10 of about equal size, from low to high. Rates in Hz."""

    predicted: Float[ndarray, " G"]  # mean of the group
    observed: Float[ndarray, " G"]
    low: Float[ndarray, " G"]  # 95 % of the observed rate: the wider of resampled trials and of exact Poisson
    high: Float[ndarray, " G"]
    n_entries: Int[ndarray, " G"]
    slope: Measured  # 1 if calibrated; below 1: the prediction is too sure of itself
    intercept: Measured  # 0 if calibrated: log of observed over predicted rate at the mean predicted rate
    ratio: Measured  # 1 if calibrated: spikes observed over spikes expected
    mean_rate: float  # Hz, mean of the predicted rates

    def line(self, rates: Float[ndarray, " X"]) -> Float[ndarray, " X"] | None:
        """Observed rate that the regression expects at predicted rates, both in Hz; None if there is no regression."""
        if self.slope.value is None or self.intercept.value is None:
            return None
        return np.exp(self.intercept.value) * self.mean_rate * (rates / self.mean_rate) ** self.slope.value


def calibration(neuron: NeuronTrials, rng: np.random.Generator) -> Calibration:
    """Groups, regression and overall ratio of one neuron."""
    trial, _ = np.nonzero(neuron.scored)
    rates, counts = neuron.rates[neuron.scored], neuron.counts[neuron.scored].astype(np.float64)
    weights = resamples(neuron.n_trials, rng)
    predicted, observed, low, high, n_entries = _groups(rates, counts, trial, weights)
    slope, intercept = _regression(rates, counts, trial)
    hz = 1 / neuron.bin_size
    mean_rate = float(rates.mean() * hz) if len(rates) else 0.0
    ratio = _ratio(neuron, weights)
    return Calibration(
        predicted * hz, observed * hz, low * hz, high * hz, n_entries, slope, intercept, ratio, mean_rate
    )


def _groups(rates: ndarray, counts: ndarray, trial: ndarray, weights: ndarray) -> tuple[ndarray, ...]:
    """Mean rate, mean count, its interval and the number of entries of each group. Equal rates share a group."""
    if len(rates) == 0:
        return (*(np.zeros(0) for _ in range(4)), np.zeros(0, dtype=np.int64))
    edges = np.unique(np.quantile(rates, np.arange(1, N_GROUPS) / N_GROUPS))
    _, group = np.unique(np.searchsorted(edges, rates), return_inverse=True)
    n_groups, n_trials = int(group.max()) + 1, weights.shape[1]
    n, expected, spikes = (
        np.bincount(trial * n_groups + group, weights=each, minlength=n_trials * n_groups).reshape(n_trials, n_groups)
        for each in (np.ones(len(rates)), rates, counts)
    )
    drawn = weights @ n
    low, high = interval(np.divide(weights @ spikes, drawn, out=np.full(drawn.shape, np.nan), where=drawn > 0))
    n, expected, spikes = n.sum(axis=0), expected.sum(axis=0), spikes.sum(axis=0)
    # Where a group holds few spikes, resampled trials know too little; where trials differ, Poisson does.
    tail = (1 - LEVEL) / 2
    exact_low = np.where(spikes > 0, chi2.ppf(tail, 2 * np.maximum(spikes, 1)) / 2, 0.0) / n
    exact_high = chi2.ppf(1 - tail, 2 * (spikes + 1)) / 2 / n
    return expected / n, spikes / n, np.fmin(low, exact_low), np.fmax(high, exact_high), n.astype(np.int64)


def _ratio(neuron: NeuronTrials, weights: ndarray) -> Measured:
    spikes = np.where(neuron.scored, neuron.counts, 0).sum(axis=1, dtype=np.float64)
    expected = np.where(neuron.scored, neuron.rates, 0.0).sum(axis=1)
    if spikes.sum() == 0:
        return Measured(None, reason=NO_SPIKE)
    drawn = weights @ expected
    resampled = np.divide(weights @ spikes, drawn, out=np.full(len(drawn), np.nan), where=drawn > 0)
    return bootstrapped(spikes.sum() / expected.sum(), resampled, neuron.n_trials, NO_SPIKE)


def _regression(rates: ndarray, counts: ndarray, trial: ndarray) -> tuple[Measured, Measured]:
    """Slope and intercept with intervals from errors that are robust to whatever varies within a trial.

    The cluster-robust covariance (Liang & Zeger 1986, Biometrika 73): trials are independent, bins need not be.
    """
    n_trials = len(np.unique(trial))
    reason = NO_SPIKE if counts.sum() == 0 else CONSTANT if np.ptp(np.log(rates)) < 1e-6 else ""
    if n_trials < 3:
        reason = reason or "fewer than three trials"
    if reason:
        return Measured(None, reason=reason), Measured(None, reason=reason)
    x = np.log(rates / rates.mean())
    fitted = PoissonRegressor(alpha=0, solver="newton-cholesky", tol=1e-8, max_iter=100).fit(x[:, None], counts)
    design = np.stack([np.ones_like(x), x], axis=1)
    expected = np.exp(fitted.intercept_ + fitted.coef_[0] * x)
    bread = np.linalg.pinv(design.T @ (expected[:, None] * design))
    scores = np.zeros((int(trial.max()) + 1, 2))
    np.add.at(scores, trial, (counts - expected)[:, None] * design)
    errors = np.sqrt(np.diag(bread @ scores.T @ scores @ bread) * n_trials / (n_trials - 1))
    reach = errors * student.ppf((1 + LEVEL) / 2, n_trials - 1)
    slope, intercept = (
        Measured(float(value), (float(value - r), float(value + r)))
        for value, r in ((fitted.coef_[0], reach[1]), (fitted.intercept_ - np.log(rates.mean()), reach[0]))
    )
    return slope, intercept

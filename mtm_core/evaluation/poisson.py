"""Poisson regression of many neurons at once: expected counts = exposure * exp(intercept + features @ weights).

Every neuron has its own features. Newton's method with step halving, all neurons of a chunk together; the same numbers
as sklearn.linear_model.PoissonRegressor, which fits one neuron at a time and takes no exposure.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Num
from numpy import ndarray

from ..session import Trials
from .tasks import HALF_A_SPIKE

CHUNK = 16  # neurons at a time: their entries should fit the cache
STEPS, HALVINGS = 50, 30
TOLERANCE = 1e-7  # of a coefficient; the step after it would be its square
LARGEST_LOG_GAIN = 15.0  # keeps exp finite while a step is too long


def log_likelihood(rates: Float[ndarray, "K T N"], part: Trials, target: Bool[ndarray, "K T 1"]) -> float:
    """Summed over the target entries of all neurons, without log y!; what settings are chosen by."""
    target = np.broadcast_to(target, rates.shape)
    counts, rates = part.counts[target], rates[target]
    return float(np.sum(counts * np.log(rates) - rates, dtype=np.float64))


@dataclass(frozen=True, eq=False)
class _Neurons:
    """The entries of a chunk of n neurons; the first feature is 1."""

    features: Float[ndarray, "n p E"]
    counts: Float[ndarray, "n E"]
    exposure: Float[ndarray, "n E"]
    penalty: Float[ndarray, " p"]

    @cached_property
    def spikes(self) -> Float[ndarray, "n p"]:
        """Each feature summed over spikes."""
        return self._summed(self.counts)

    def _summed(self, over: Float[ndarray, "n E"]) -> Float[ndarray, "n p"]:
        return (self.features @ over[:, :, None])[:, :, 0]

    def rates(self, weights: Float[ndarray, "n p"]) -> Float[ndarray, "n E"]:
        log_gain = (weights[:, None] @ self.features)[:, 0]
        return self.exposure * np.exp(np.minimum(log_gain, LARGEST_LOG_GAIN))

    def objective(self, weights: Float[ndarray, "n p"], rates: Float[ndarray, "n E"]) -> Float[ndarray, " n"]:
        return (self.spikes * weights).sum(1) - rates.sum(1) - 0.5 * (self.penalty * weights**2).sum(1)

    def newton_step(self, weights: Float[ndarray, "n p"], rates: Float[ndarray, "n E"]) -> Float[ndarray, "n p"]:
        gradient = self.spikes - self._summed(rates) - self.penalty * weights
        curvature = (self.features * rates[:, None]) @ self.features.transpose(0, 2, 1) + np.diag(self.penalty)
        # A neuron of hardly any spikes has a curvature of almost 0 in its intercept.
        return np.linalg.solve(curvature + 1e-9 * np.eye(len(self.penalty)), gradient[:, :, None])[:, :, 0]


def _maximized(neurons: _Neurons, weights: Float[ndarray, "n p"]) -> Float[ndarray, "n p"]:
    rates = neurons.rates(weights)
    value = neurons.objective(weights, rates)
    for _ in range(STEPS):
        step = neurons.newton_step(weights, rates)
        for _ in range(HALVINGS):
            rates = neurons.rates(weights + step)
            found = neurons.objective(weights + step, rates)
            worse = found < value - 1e-9 * np.abs(value)
            if not worse.any():
                break
            step = np.where(worse[:, None], step / 2, step)
        weights, value = weights + step, found
        if np.abs(step).max() < TOLERANCE:
            break
    return weights


def fit_poisson(
    features: Float[ndarray, "E N p"],
    counts: Num[ndarray, "E N"],
    exposure: Float[ndarray, "E N"],
    penalty: float,
) -> tuple[Float[ndarray, "N"], Float[ndarray, "N p"]]:
    """Intercepts and weights that maximize log likelihood - penalty / 2 * |weights|^2, for every neuron by itself.

    The intercept is not penalized. A neuron without a spike gets weights 0 and half a spike over its exposure.
    """
    n_entries, n_neurons, n_features = features.shape
    found = np.zeros((n_neurons, 1 + n_features))
    spikes, total = counts.sum(0, dtype=np.float64), np.maximum(exposure.sum(0, dtype=np.float64), 1e-12)
    found[:, 0] = np.log(np.maximum(spikes, HALF_A_SPIKE) / total)
    firing = np.flatnonzero(spikes > 0)
    penalties = np.r_[0.0, np.full(n_features, penalty)]
    for start in range(0, len(firing), CHUNK):
        chunk = firing[start : start + CHUNK]
        columns = np.ones((len(chunk), 1 + n_features, n_entries))
        columns[:, 1:] = features[:, chunk].transpose(1, 2, 0)
        entries = (np.ascontiguousarray(each[:, chunk].T, dtype=np.float64) for each in (counts, exposure))
        found[chunk] = _maximized(_Neurons(columns, *entries, penalties), found[chunk])
    return found[:, 0], found[:, 1:]

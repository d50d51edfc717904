"""Poisson regression of many neurons on the same inputs at once.

    minimize over w, b:   sum over samples of [ exp(x w + b) - y (x w + b) ] + penalty / 2 |w|^2

for each neuron apart. Divided by the number of samples M this is scikit-learn's `PoissonRegressor` with alpha =
penalty / M, which the tests compare with; there one neuron is fitted at a time. The penalty is not divided by M here:
it stands for how large weights are thought to be, which does not depend on how many samples there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Num
from numpy import ndarray
from scipy.optimize import minimize

MOST_STEPS = 1000
MEMORY = 20  # gradients that L-BFGS remembers
LARGEST_LOG_RATE = 12.0  # 160,000 spikes in a bin: a far-off input must not make a rate infinite
SILENT = 0.5  # spikes assumed of a neuron that did not fire in the samples, so that its rate is not 0


@dataclass(frozen=True, eq=False)
class PoissonFit:
    """Log rates are x @ weights + intercept."""

    weights: Float[ndarray, "D n"]
    intercept: Float[ndarray, " n"]

    def rates(self, x: Float[ndarray, "... D"]) -> Float[ndarray, "... n"]:
        """Expected counts per bin."""
        return np.exp(np.minimum(x @ self.weights + self.intercept, LARGEST_LOG_RATE))

    def some(self, neurons: slice) -> PoissonFit:
        """The fit of some of the neurons."""
        return PoissonFit(self.weights[:, neurons], self.intercept[neurons])

    @classmethod
    def joined(cls, fits: Sequence[PoissonFit]) -> PoissonFit:
        """Fits of different neurons as one."""
        weights, intercepts = zip(*((fit.weights, fit.intercept) for fit in fits), strict=True)
        return cls(np.concatenate(weights, axis=1), np.concatenate(intercepts))


def fit_poisson(
    x: Float[ndarray, "M D"],
    y: Num[ndarray, "M n"],
    penalty: float,
    start: PoissonFit | None = None,
    precision: float = 1e-3,
) -> PoissonFit:
    """Fit n neurons with counts y to inputs x, which should be about uncorrelated and of mean 0.

    start: a fit to begin with, as one with a similar penalty. precision: largest gradient left, in units of the square
    root of a nat. A neuron without a spike in y gets weights 0 and the rate of half a spike in all samples.
    """
    spikes = y.sum(axis=0, dtype=np.float64)
    fires = spikes > 0
    weights = np.zeros((x.shape[1], len(spikes)))
    intercept = np.log(np.where(fires, spikes, SILENT) / len(y))
    scale = _scale(x, spikes[fires], penalty)
    first = _joined(weights, intercept, fires) if start is None else _joined(start.weights, start.intercept, fires)
    found = minimize(
        _loss(x, np.asarray(y[:, fires], dtype=np.float64), penalty, scale),
        (first * scale).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": MOST_STEPS, "gtol": precision, "ftol": 0.0, "maxcor": MEMORY},
    )
    joined = found.x.reshape(scale.shape) / scale
    intercept[fires], weights[:, fires] = joined[0], joined[1:]
    return PoissonFit(weights, intercept)


def _joined(weights: ndarray, intercept: ndarray, fires: Bool[ndarray, " n"]) -> Float[ndarray, "D1 fires"]:
    return np.vstack([intercept[None, fires], weights[:, fires]])


def _scale(x: ndarray, spikes: ndarray, penalty: float) -> Float[ndarray, "D1 fires"]:
    """Square root of the curvature along each parameter where all weights are 0.

    In units of it the problem is round, whatever the neurons' rates and the inputs' sizes, and few steps suffice.
    """
    squares = np.concatenate([[1.0], np.square(x).mean(axis=0)])
    penalties = np.concatenate([[0.0], np.full(x.shape[1], penalty)])
    return np.sqrt(np.maximum(np.outer(squares, spikes) + penalties[:, None], 1e-12))


def _loss(x: ndarray, y: ndarray, penalty: float, scale: ndarray) -> Callable[[ndarray], tuple[float, ndarray]]:
    """Loss and gradient of the scaled parameters."""

    def loss(scaled: ndarray) -> tuple[float, ndarray]:
        joined = scaled.reshape(scale.shape) / scale
        weights = joined[1:]
        log_rates = np.minimum(x @ weights + joined[0], LARGEST_LOG_RATE)
        rates = np.exp(log_rates)
        surplus = rates - y
        gradient = np.vstack([surplus.sum(axis=0), x.T @ surplus + penalty * weights]) / scale
        value = rates.sum() - (y * log_rates).sum() + penalty / 2 * np.square(weights).sum()
        return float(value), gradient.ravel()

    return loss

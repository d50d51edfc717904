"""Does the prediction say more than the mean response? Recorded and predicted departures from the training PSTH.

The correlation of the two is over trials x bins after smoothing each trial in time. Its null pairs every recorded trial
with the prediction of another one: what remains then is what all trials share, such as drift since training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from ..bootstrap import interval, resamples
from .measured import Interval, Measured, bootstrapped
from .smoothing import smoothed
from .trials import NeuronTrials

WIDTH = 0.04  # s, standard deviation of the Gaussian; single 20 ms bins are mostly Poisson noise
N_SHUFFLES = 1000


@dataclass(frozen=True, eq=False)
class Residuals:
    """Departures from the training PSTH, smoothed, in Hz; NaN where not scored. And how well they agree."""

    recorded: Float[ndarray, "K T"]
    predicted: Float[ndarray, "K T"]
    width: float  # s, standard deviation of the smoothing Gaussian
    correlation: Measured  # Pearson; interval over resampled trials
    shuffled: Measured  # mean and 95 % of the correlations with shuffled trials
    p: float | None  # share of shuffles, the observed pairing among them, that correlate at least as well


def residuals(neuron: NeuronTrials, rng: np.random.Generator, width: float = WIDTH) -> Residuals:
    """Residual maps and their correlation; width in s. A prediction that is the same in all trials has none."""
    scored, bins = neuron.scored, width / neuron.bin_size
    recorded = smoothed(neuron.counts - neuron.psth, scored, bins)
    predicted = smoothed(neuron.rates - neuron.psth, scored, bins)
    a, b = _centered(recorded, scored), _centered(predicted, scored)
    reason = _why_none(neuron, a, b)
    if reason:
        correlation, shuffled, p = Measured(None, reason=reason), Measured(None, reason=reason), None
    else:
        correlation = _correlation(a, b, scored, rng)
        shuffled, p = _shuffled(a, b, correlation.value, rng)
    return Residuals(neuron.hz(recorded), neuron.hz(predicted), width, correlation, shuffled, p)


def _centered(values: Float[ndarray, "K T"], scored: Bool[ndarray, "K T"]) -> Float[ndarray, "K T"]:
    return np.where(scored, values - values[scored].mean(), 0.0) if scored.any() else values


def _why_none(neuron: NeuronTrials, a: ndarray, b: ndarray) -> str:
    if neuron.n_spikes == 0:
        return "no spike in the scored bins of these trials"
    if not (a**2).sum() > 0:
        return "the recorded rate does not vary"
    return "" if (b**2).sum() > 1e-12 * neuron.scored.sum() else "the prediction does not depart from the PSTH"


def _pearson(sums: Float[ndarray, "R 6"]) -> Float[ndarray, " R"]:
    """From sums of a, b, a^2, b^2, ab and the number of entries."""
    a, b, aa, bb, ab, n = sums.T
    n = np.maximum(n, 1.0)
    spread = np.sqrt(np.maximum(aa - a * a / n, 0.0) * np.maximum(bb - b * b / n, 0.0))
    return np.divide(ab - a * b / n, spread, out=np.full(len(n), np.nan), where=spread > 0)


def _correlation(a: ndarray, b: ndarray, scored: ndarray, rng: np.random.Generator) -> Measured:
    per_trial = np.stack([x.sum(axis=1) for x in (a, b, a * a, b * b, a * b, scored.astype(np.float64))], axis=1)
    value = float(_pearson(per_trial.sum(axis=0)[None])[0])
    return bootstrapped(value, _pearson(resamples(len(a), rng) @ per_trial), len(a), "the recorded rate does not vary")


def _shuffled(a: ndarray, b: ndarray, observed: float, rng: np.random.Generator) -> tuple[Measured, float | None]:
    """Correlations with the trials of the prediction shuffled; the p-value counts the observed pairing as one of them.

    Entries that only one trial of a pair has count as 0, the mean.
    """
    n_trials = len(a)
    if n_trials < 3:
        return Measured(None, reason="too few trials to shuffle"), None
    products = a @ b.T
    orders = rng.permuted(np.tile(np.arange(n_trials), (N_SHUFFLES, 1)), axis=1)
    spread = np.sqrt((a * a).sum() * (b * b).sum())
    values = products[np.arange(n_trials), orders].sum(axis=1) / spread
    low, high = interval(values)
    ends: Interval = (float(low), float(high))
    p = (1 + int((values >= observed).sum())) / (1 + N_SHUFFLES)
    return Measured(float(values.mean()), ends), p

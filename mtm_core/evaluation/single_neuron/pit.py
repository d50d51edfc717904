"""Are the predicted distributions honest? The probability integral transform of the recorded spikes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import kstest, poisson

from ..bootstrap import interval, resamples
from .trials import NeuronTrials
from .windows import windows

N_SHARES = 10
WINDOW = 0.2  # s; in single bins of 20 ms the transform is little but its own random part


@dataclass(frozen=True, eq=False)
class Pit:
    """Randomised probability integral transform of the spikes per window: uniform if rates and Poisson are right."""

    values: Float[ndarray, " W"]  # 0..1, one per window
    share: Float[ndarray, "10"]  # of the windows in each tenth, times 10: 1 where uniform
    low: Float[ndarray, "10"]  # 95 % over resampled trials
    high: Float[ndarray, "10"]
    window: float  # s
    p: float | None  # Kolmogorov-Smirnov against uniform; None without windows


def poisson_pit(neuron: NeuronTrials, rng: np.random.Generator, window: float = WINDOW) -> Pit:
    """The transform u = F(y - 1) + v * P(y), v uniform, of the spikes y of each window of `window` s.

    F is the Poisson distribution with the summed rates of the window (Brockwell 2007; Czado et al. 2009, section 2).
    """
    cut = windows(neuron, max(1, round(window / neuron.bin_size)))
    trial, _ = np.nonzero(cut.complete)
    y, r = cut.counts[cut.complete], cut.rates[cut.complete]
    below = poisson.cdf(y - 1, r)
    values = np.clip(below + rng.random(len(y)) * poisson.pmf(y, r), 0.0, 1.0)
    tenth = np.minimum((values * N_SHARES).astype(np.int64), N_SHARES - 1)
    per_trial = np.bincount(trial * N_SHARES + tenth, minlength=neuron.n_trials * N_SHARES).reshape(-1, N_SHARES)
    weights = np.concatenate([np.ones((1, neuron.n_trials)), resamples(neuron.n_trials, rng)])
    drawn = weights @ per_trial
    n = drawn.sum(axis=1, keepdims=True)
    shares = np.divide(N_SHARES * drawn, n, out=np.full(drawn.shape, np.nan), where=n > 0)
    low, high = interval(shares[1:])
    p = float(kstest(values, "uniform").pvalue) if len(values) else None
    return Pit(values, shares[0], low, high, cut.n_bins * neuron.bin_size, p)

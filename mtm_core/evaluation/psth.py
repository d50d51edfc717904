"""The peri-stimulus time histogram: mean counts per bin over training trials, smoothed in time and kept near the mean.

    psth[t] = (spikes[t] + prior) / (trials[t] + prior / mean)

is the posterior mean of a rate with a Gamma prior around the neuron's mean: `prior` spikes' worth of it. A neuron that
hardly fires stays at its mean, a busy one follows its data. Without it, a neuron with three spikes in training is
predicted to fire in their bins only, and a PSTH looks far worse than it has to.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.ndimage import gaussian_filter1d

from ..session import Trials
from .tasks import train_means

WIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0)  # bins, standard deviation of the Gaussian
PRIORS = (0.3, 1.0, 3.0, 10.0, 30.0)  # spikes


def sums_per_bin(part: Trials) -> tuple[Float[ndarray, "T N"], Float[ndarray, "T 1"]]:
    """Spikes and number of trials with data, per bin."""
    spikes = np.where(part.valid[:, :, None], part.counts, 0).sum(axis=0, dtype=np.float64)
    return spikes, part.valid.sum(axis=0)[:, None].astype(np.float64)


def smoothed(sums: tuple[ndarray, ndarray], width: float) -> tuple[Float[ndarray, "T N"], Float[ndarray, "T 1"]]:
    """Spikes and trials, each Gaussian of `width` bins: bins without data must not pull the rate to 0."""
    spikes, n_trials = (gaussian_filter1d(each, width, axis=0, mode="nearest") for each in sums)
    return spikes, n_trials


def posterior(sums: tuple[ndarray, ndarray], around: Float[ndarray, "*T N"], prior: float) -> Float[ndarray, "T N"]:
    """Expected counts per bin; around: the rates that `prior` spikes' worth of belief is in."""
    spikes, n_trials = sums
    return (spikes + prior) / (n_trials + prior / around)


def log_likelihood_of(rates: Float[ndarray, "T N"], sums: tuple[ndarray, ndarray]) -> float:
    """Of trials that all have the same rates, from their sums per bin."""
    spikes, n_trials = sums
    return float((spikes * np.log(rates) - n_trials * rates).sum())


def training_sums(trials: Trials) -> tuple[Float[ndarray, "T N"], Float[ndarray, "T 1"]]:
    """`sums_per_bin` of the training trials."""
    return sums_per_bin(trials.select("train"))


def tuned_psth(trials: Trials) -> Float[ndarray, "T N"]:
    """The smoothed PSTH with the width and prior that predict the validation trials best."""
    sums, mean, held = training_sums(trials), train_means(trials), sums_per_bin(trials.select("validation"))
    found = (posterior(smoothed(sums, width), mean, prior) for width, prior in product(WIDTHS, PRIORS))
    return max(found, key=lambda psth: log_likelihood_of(psth, held))

"""The peri-stimulus time histogram: mean counts per bin over training trials, smoothed in time."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.ndimage import gaussian_filter1d

from ..session import Trials
from .metrics import SMALLEST_RATE, SpikeSums
from .tasks import train_means

WIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0)  # bins, standard deviation of the Gaussian
MEAN_WEIGHT = 1.0  # trials' worth of the neuron's mean that is mixed in, so that no rate is 0


def smoothed_psth(trials: Trials, width: float) -> Float[ndarray, "T N"]:
    """Expected counts per bin from the valid entries of training trials, Gaussian of `width` bins."""
    train = trials.select("train")
    spikes = np.where(train.valid[:, :, None], train.counts, 0).sum(axis=0, dtype=np.float64)
    n_valid = train.valid.sum(axis=0)[:, None].astype(np.float64)
    mean = np.maximum(train_means(trials), SMALLEST_RATE)
    # Numerator and denominator are smoothed apart: bins without data must not pull the rate to 0.
    spikes, n_valid = (gaussian_filter1d(a, width, axis=0, mode="nearest") for a in (spikes, n_valid))
    return (spikes + MEAN_WEIGHT * mean) / (n_valid + MEAN_WEIGHT)


def tuned_psth(trials: Trials) -> Float[ndarray, "T N"]:
    """The smoothed PSTH with the width that predicts the validation trials best."""
    held = trials.select("validation")
    target = np.broadcast_to(held.valid[:, :, None], held.counts.shape)

    def score(width: float) -> float:
        sums = SpikeSums.empty(trials.n_neurons)
        sums.add(held.counts, np.broadcast_to(smoothed_psth(trials, width), held.counts.shape), target)
        return sums.pooled(train_means(trials))

    return smoothed_psth(trials, max(WIDTHS, key=score))

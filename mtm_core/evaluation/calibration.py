"""From a line to a rate: what a linear regression predicts becomes the input of a Poisson regression per neuron.

    rate = reference * exp(intercept + slope * log(max(line / reference, FLOOR)))

A line goes below 0, and it is as steep for a neuron that it predicts badly as for one that it predicts well. The slope
is drawn towards 0, so a neuron about which nothing is known keeps its own mean.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from ..session import Trials
from .poisson import fit_poisson

FLOOR = 0.4  # of the reference; lower floors let lines that go astray promise silence
LARGEST_GAIN = 100.0  # times the reference; a burst unlike any in training must not promise thousands of spikes
PENALTY = 2.0  # on the squared slope, against log likelihood in nats: 1 to 4 gave the same scores
POOLED_BINS = 4  # lines are smooth over about as many; summing their counts saves three quarters of the work


def log_gain(line: Float[ndarray, "K T N"], reference: Float[ndarray, "*T N"]) -> Float[ndarray, "K T N"]:
    return np.log(np.maximum(line / reference, FLOOR))


def fit_calibration(
    gain: Float[ndarray, "K T N"], reference: Float[ndarray, "*T N"], part: Trials, target: Bool[ndarray, "K T 1"]
) -> Float[ndarray, "2 N"]:
    """Intercept and slope of each neuron over the target entries; gain: `log_gain` of lines that did not see them."""
    starts = np.arange(0, part.n_bins, POOLED_BINS)

    def pooled(values: ndarray) -> Float[ndarray, "E N"]:
        sums = np.add.reduceat(np.where(target, values, 0.0), starts, axis=1)
        return sums.reshape(-1, sums.shape[-1])

    n_bins = np.maximum(pooled(np.ones((*gain.shape[:2], 1))), 1.0)
    exposure = pooled(np.broadcast_to(reference, gain.shape))
    intercept, slope = fit_poisson((pooled(gain) / n_bins)[:, :, None], pooled(part.counts), exposure, PENALTY)
    return np.stack([intercept, slope[:, 0]])


def calibrated(
    gain: Float[ndarray, "K T N"], reference: Float[ndarray, "*T N"], calibration: Float[ndarray, "2 N"]
) -> Float[ndarray, "K T N"]:
    """Expected counts per bin."""
    intercept, slope = calibration
    return reference * np.exp(np.minimum(intercept + slope * gain, np.log(LARGEST_GAIN)))

"""Spikes of whole windows: counts and expected counts summed over consecutive bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from .trials import NeuronTrials


@dataclass(frozen=True, eq=False)
class Windows:
    """K trials x W windows that do not overlap; bins that do not fill a window at the end are left out."""

    n_bins: int  # of a window
    counts: Float[ndarray, "K W"]
    rates: Float[ndarray, "K W"]  # expected counts
    complete: Bool[ndarray, "K W"]  # all bins are scored


def windows(neuron: NeuronTrials, n_bins: int) -> Windows:
    """The trials cut into windows of n_bins bins, or of the whole trial if that is shorter."""
    n_trials, n_all = neuron.counts.shape
    n_bins = min(n_bins, n_all)
    used = n_all // n_bins * n_bins

    def cut(values: ndarray) -> ndarray:
        return values[:, :used].reshape(n_trials, -1, n_bins)

    counts = cut(np.where(neuron.scored, neuron.counts, 0)).sum(axis=2, dtype=np.float64)
    rates = cut(np.where(neuron.scored, neuron.rates, 0.0)).sum(axis=2)
    return Windows(n_bins, counts, rates, cut(neuron.scored).all(axis=2))

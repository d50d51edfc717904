"""Simulated trials of one neuron, for the tests of single-neuron evaluation."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mtm_core.evaluation.single_neuron.trials import NeuronTrials


def simulated_rates(
    rng: np.random.Generator, shape: tuple[int, int], mean: float = 0.3, spread: float = 0.6
) -> np.ndarray:
    """Expected counts per bin (K, T) that vary smoothly in time and over trials."""
    steps = rng.normal(size=shape).cumsum(axis=1)
    steps = (steps - steps.mean()) / max(float(steps.std()), 1e-9)
    return mean * np.exp(spread * steps - spread**2 / 2)


def locked(array: np.ndarray) -> np.ndarray:
    """A read-only copy: whoever writes into it fails."""
    copy = np.array(array)
    copy.flags.writeable = False
    return copy


def one_neuron(counts: np.ndarray, rates: np.ndarray, **changes) -> NeuronTrials:
    """All bins scored, no behavior, a flat training PSTH; any field may be changed."""
    n_trials, n_bins = np.shape(counts)
    mean = float(np.mean(rates))
    fields = {
        "unit_id": "a",
        "region": "CA1",
        "task": "co_smoothing",
        "counts": locked(counts),
        "rates": locked(rates).astype(np.float64),
        "scored": locked(np.ones((n_trials, n_bins), dtype=bool)),
        "psth": locked(np.full(n_bins, mean)),
        "train_mean": mean,
        "bin_size": 0.02,
        "bin_starts": 0.02 * np.arange(n_bins),
        "behaviors": {},
        "table": pd.DataFrame({"stimOn_times": 3.0 * np.arange(n_trials)}),
        "true_rates": None,
    }
    return NeuronTrials(**(fields | changes))

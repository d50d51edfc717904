"""Confidence intervals by resampling trials with replacement (Efron & Tibshirani 1993, chapters 6 and 13).

Trials, not bins or neurons, are what an experiment repeats: bins of a trial and neurons of a population vary together.
The interval says how much a score would move with other trials of the same neurons and the same model; it says nothing
about other neurons, other animals or other training seeds.
"""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float
from numpy import ndarray

LEVEL = 0.95
N_RESAMPLES = 1000


def resamples(n_trials: int, rng: np.random.Generator, n: int = N_RESAMPLES) -> Float[ndarray, "R K"]:
    """How often each trial occurs in each of n samples of n_trials trials, drawn with replacement."""
    return rng.multinomial(n_trials, np.full(n_trials, 1.0 / n_trials), size=n).astype(np.float64)


def interval(values: Float[ndarray, "R ..."], level: float = LEVEL) -> Float[ndarray, "2 ..."]:
    """Percentile interval over the resamples, undefined (NaN) resamples left out; NaN where all are. Low, then high."""
    tails = np.array([(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # "All-NaN slice": the NaN says it
        return np.nanquantile(np.where(np.isfinite(values), values, np.nan), tails, axis=0)

"""What few-shot regressions read: a model's latents, or principal components of the visible neurons' counts.

Both are centered, turned to their principal axes and scaled by one number, all three found on the training trials.
Turning and one common scale change no distances: a latent of small variance stays small, so that a model is not
charged for dimensions it hardly uses. Nothing here reads the hidden neurons.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.ndimage import gaussian_filter1d

from ..checkpoint import Checkpoint
from ..predict import latents
from ..session import Trials
from .held_out_sets import hold_out
from .linear import SMOOTHING

CHUNK = 32  # trials in one pass through the model
EMPTY = 1e-9  # of the total variance; axes below it hold rounding errors


def latent_inputs(
    model: Checkpoint, trials: Trials, hidden: Int[ndarray, " n"]
) -> Generator[None, None, Float[ndarray, "K T D"]]:
    """Latents of a model that does not see the hidden neurons (positions); yields None after every few trials."""
    mask, pieces = hold_out(trials.counts.shape, hidden), []
    for start in range(0, trials.n_trials, CHUNK):
        some = slice(start, start + CHUNK)
        pieces.append(latents(model, trials.select(np.arange(trials.n_trials)[some]), mask.rows(some)))
        yield None
    return on_principal_axes(np.concatenate(pieces), _training(trials))


def component_inputs(trials: Trials, hidden: Int[ndarray, " n"], n_axes: int) -> Float[ndarray, "K T D"]:
    """At most n_axes components of the other neurons' counts, Gaussian in time and of unit variance as in the ridge."""
    counts = np.delete(trials.counts, hidden, axis=2).astype(np.float32)
    train, valid = _training(trials), trials.valid[:, :, None]
    deviations = np.where(valid, counts - counts[train].mean(axis=0), np.float32(0))
    smooth = gaussian_filter1d(deviations, SMOOTHING, axis=1, mode="nearest")
    smooth /= np.sqrt(smooth[train].var(axis=0) + 1e-6)  # a silent neuron must not be divided by 0
    return on_principal_axes(smooth, train, n_axes)


def _training(trials: Trials) -> Bool[ndarray, "K T"]:
    """The bins with data of the training trials."""
    return trials.valid & (trials.split == "train")[:, None]


def on_principal_axes(
    values: Float[ndarray, "K T D"], fitted_on: Bool[ndarray, "K T"], n_axes: int | None = None
) -> Float[ndarray, "K T axes"]:
    """The values on the principal axes of those that `fitted_on` picks, largest first, with mean variance 1 there."""
    values = values - values[fitted_on].mean(axis=0, dtype=np.float64)
    chosen = values[fitted_on]
    variances, axes = np.linalg.eigh(chosen.T @ chosen / len(chosen))
    variances, axes = variances[::-1][:n_axes], axes[:, ::-1][:, :n_axes]
    kept = variances > EMPTY * variances.sum()
    return values @ axes[:, kept] / np.sqrt(variances[kept].mean())

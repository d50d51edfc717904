"""A trace as a linear function of spikes: of all the trial, or of the counts around each bin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import solve
from scipy.ndimage import gaussian_filter1d

from ..decoding.features import in_wider_bins
from ..decoding.linear_decoders import RidgePath
from ..decoding.row_space import row_space
from .features import no_news


@dataclass(frozen=True, eq=False)
class Spikes:
    """Counts of the trials learned from, tuned on and asked about; zeros where there is no data."""

    train: Float[ndarray, "n T N"]
    held: Float[ndarray, "h T N"]
    asked: Float[ndarray, "m T N"]
    bin_size: float  # s

    def bins_of(self, width: float) -> int:
        """Number of bins in about `width` s."""
        return min(max(1, round(width / self.bin_size)), self.train.shape[1])


@dataclass(frozen=True, eq=False)
class Deviations:
    """A trace of training and validation trials minus the average trace; NaN where unknown."""

    train: Float[ndarray, "n T"]
    held: Float[ndarray, "h T"]


def wide(counts: Float[ndarray, "K T N"], n_bins: int) -> Float[ndarray, "K F"]:
    """All of a trial in one row, in bins of n_bins bins."""
    return in_wider_bins(counts, n_bins).reshape(len(counts), -1)


class WholeTrial:
    """Ridge regression of each bin of the trace on all of the trial; an unknown bin counts as the average trace.

    unit: a penalty that weighs about as much as the data.
    """

    def __init__(self, counts: Float[ndarray, "n T N"], deviations: Float[ndarray, "n T"], n_bins: int) -> None:
        self.train, self.targets, self.n_bins = wide(counts, n_bins), no_news(deviations), n_bins
        self.unit = row_space(self.train, self.train[:0]).unit
        self.about = {"reads": "the whole trial", "bins_joined": n_bins}

    def predictions(
        self, counts: Float[ndarray, "m T N"], penalties: Sequence[float]
    ) -> Iterator[Float[ndarray, "m T"]]:
        space = row_space(self.train, wide(counts, self.n_bins))
        return RidgePath.of(space.train).predictions(self.targets, space.test, penalties)


class Around:
    """Ridge regression of a bin on its smoothed counts, the same in all bins; an unknown bin is left out.

    Counts are deviations from their average over training trials, per bin, in standard deviations of the neuron.
    """

    def __init__(self, counts: Float[ndarray, "n T N"], deviations: Float[ndarray, "n T"], sigma: float) -> None:
        self.sigma = sigma  # bins
        smooth = self._smooth(counts)
        self.mean = smooth.mean(axis=0)
        spread = np.sqrt(np.square(smooth - self.mean).mean(axis=(0, 1)))
        self.scale = np.where(spread > 0, spread, np.inf)  # a silent neuron says nothing
        known = np.isfinite(deviations)
        x = ((smooth - self.mean) / self.scale)[known]
        self.gram, self.cross = x.T @ x, x.T @ deviations[known]
        self.unit = max(float(np.trace(self.gram)) / 10, np.finfo(float).tiny)
        self.about = {"reads": "the bin", "smoothing_bins": sigma}

    def _smooth(self, counts: Float[ndarray, "K T N"]) -> Float[ndarray, "K T N"]:
        return gaussian_filter1d(counts, self.sigma, axis=1, mode="nearest")

    def predictions(
        self, counts: Float[ndarray, "m T N"], penalties: Sequence[float]
    ) -> Iterator[Float[ndarray, "m T"]]:
        x = (self._smooth(counts) - self.mean) / self.scale
        for penalty in penalties:
            weights = solve(self.gram + penalty * np.eye(len(self.gram)), self.cross, assume_a="pos")
            yield x @ weights


def tuned(
    lines: Sequence[tuple[WholeTrial | Around, Sequence[float]]], spikes: Spikes, values: Deviations
) -> tuple[Float[ndarray, "m T"], dict[str, Any]]:
    """Prediction and settings of the line and penalty with the smallest squared error in the validation trials."""
    known = np.isfinite(values.held)
    best, chosen = np.inf, (lines[0][0], lines[0][1][0])
    for line, penalties in lines:
        for penalty, found in zip(penalties, line.predictions(spikes.held, penalties), strict=True):
            error = float(np.square((found - values.held)[known]).sum())
            if error < best:
                best, chosen = error, (line, penalty)
    line, penalty = chosen
    return next(line.predictions(spikes.asked, [penalty])), {**line.about, "alpha": penalty}

"""Population coupling: a neuron's rate from the summed activity of its neighbors (Okun et al. 2015, Nature 521:511).

    rate of n = exp(intercept_n + coupling_n * x_n),   x_n = log((population + 1) / (its mean + 1))

The population is the spikes per bin of all neurons that the task leaves visible when it asks about n, never n itself,
smoothed in time; for forward prediction, the last smoothed value before the future. One number per bin and two
parameters per neuron: what is left when nothing is known of who fires, only of how many.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.ndimage import gaussian_filter1d

from ..masking import region_codes
from ..session import Trials
from .calibration import calibrated, fit_calibration
from .poisson import log_likelihood
from .questions import TASKS, n_future_bins
from .tasks import target_entries, train_means

WIDTHS = (1.0, 2.0, 4.0, 8.0)  # bins, standard deviation of the Gaussian
ONE_SPIKE = 1.0  # added to the population: a logarithm of no spikes is nothing to compute with


def visible_spikes(task: str, part: Trials) -> Float[ndarray, "K T N"]:
    """Spikes per bin of the neurons that each neuron is predicted from. Sums of whole numbers, so they are exact."""
    counts = np.where(part.valid[:, :, None] & np.isfinite(part.counts), part.counts, 0).astype(np.float64)
    total = counts.sum(axis=2, keepdims=True)
    if task == "co_smoothing":
        return total - counts
    if task == "forward_prediction":
        return np.broadcast_to(total, counts.shape)
    codes, spikes = region_codes(part.regions).numpy(), np.zeros_like(counts)
    for region in range(codes.max() + 1):
        inside = codes == region
        own = counts[:, :, inside]
        within = own.sum(axis=2, keepdims=True)
        spikes[:, :, inside] = within - own if task == "intra_region" else total - within
    return spikes


def population(task: str, part: Trials, width: float) -> Float[ndarray, "K T N"]:
    """Spikes per bin that each neuron is predicted from, a Gaussian mean over the bins with data."""
    spikes, valid = visible_spikes(task, part), part.valid[:, :, None].astype(np.float64)
    if task == "forward_prediction":
        last = part.n_bins - n_future_bins(part.n_bins)
        spikes, valid = spikes[:, :last, :1], valid[:, :last]
    spikes, valid = (gaussian_filter1d(each, width, axis=1, mode="nearest") for each in (spikes, valid))
    mean = spikes / np.maximum(valid, 1e-12)
    return np.broadcast_to(mean[:, -1:], part.counts.shape) if task == "forward_prediction" else mean


class Coupling:
    """The couplings of each task, fitted when the task is first asked for; the width is tuned."""

    tasks = TASKS

    def __init__(self, trials: Trials) -> None:
        self.train, self.held = trials.select("train"), trials.select("validation")
        self.mean = train_means(trials)
        self._chosen: dict[str, tuple[float, ndarray, ndarray]] = {}

    def rates(self, task: str, part: Trials) -> Float[ndarray, "K T N"]:
        """Expected counts per bin, each neuron predicted from what the task leaves visible."""
        if task not in self._chosen:
            fits = [self._fit(task, width) for width in WIDTHS]
            self._chosen[task] = max(fits, key=lambda fit: self._score(task, *fit))
        return self._rates(task, part, *self._chosen[task])

    def _fit(self, task: str, width: float) -> tuple[float, Float[ndarray, "N"], Float[ndarray, "2 N"]]:
        """Width, mean population, and intercepts and couplings from the training trials."""
        target = target_entries(task, self.train)
        seen = population(task, self.train, width)
        usual = seen.mean(axis=(0, 1), where=target)
        return width, usual, fit_calibration(_log_population(seen, usual), self.mean, self.train, target)

    def _rates(self, task: str, part: Trials, width: float, usual: ndarray, calibration: ndarray) -> ndarray:
        return calibrated(_log_population(population(task, part, width), usual), self.mean, calibration)

    def _score(self, task: str, width: float, usual: ndarray, calibration: ndarray) -> float:
        rates = self._rates(task, self.held, width, usual, calibration)
        return log_likelihood(rates, self.held, target_entries(task, self.held))


def _log_population(population: Float[ndarray, "K T N"], usual: Float[ndarray, "N"]) -> Float[ndarray, "K T N"]:
    return np.log((population + ONE_SPIKE) / (usual + ONE_SPIKE))

"""Does the prediction leave as much variance as there is? Variance of spike counts across the trials of a condition.

If the rates are right and spikes are Poisson given the rate, the variance of a count is the mean of its rates plus
their variance over trials (law of total variance; Goris, Movshon & Simoncelli 2014, Nature Neuroscience 17). A recorded
variance above that is variability the prediction misses; below it, the neuron is more regular than Poisson.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .conditions import triples
from .jackknife import FEWEST, stratified_jackknife
from .measured import Measured
from .trials import NeuronTrials
from .windows import Windows, windows

COUNTING = (0.02, 0.04, 0.1, 0.2, 0.5, 1.0)  # s, lengths of the counting windows
SHOWN = 0.2  # s, the window of the points


@dataclass(frozen=True)
class Fano:
    """Variance over mean of the counts in windows of one length, trials of a condition compared with one another."""

    window: float  # s
    recorded: Measured
    predicted: Measured  # of Poisson spikes with the predicted rates


@dataclass(frozen=True, eq=False)
class Variability:
    """One point per condition and window of `window` s, and the Fano factor for several lengths of window."""

    window: float  # s
    mean: Float[ndarray, " P"]  # recorded spikes per window
    recorded: Float[ndarray, " P"]  # variance of the counts over trials, spikes^2
    predicted: Float[ndarray, " P"]  # mean plus variance of the predicted rates
    fano: tuple[Fano, ...]
    n_conditions: int
    n_trials: int  # used: of conditions with enough trials


def variability(neuron: NeuronTrials) -> Variability:
    """Variances within (block, choice, reward) conditions of at least three trials."""
    groups = triples(neuron, FEWEST)
    used = groups >= 0
    shown = windows(neuron, max(1, round(SHOWN / neuron.bin_size)))
    sums = _Sums.of(shown, groups)
    enough = sums.n >= FEWEST
    mean, recorded, predicted = (each[enough] for each in sums.moments())
    lengths = sorted({min(max(1, round(s / neuron.bin_size)), neuron.counts.shape[1]) for s in COUNTING})
    return Variability(
        shown.n_bins * neuron.bin_size,
        mean,
        recorded,
        predicted,
        tuple(_fano(windows(neuron, n), groups, neuron.bin_size) for n in lengths),
        int(groups.max(initial=-1)) + 1,
        int(used.sum()),
    )


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums over trials: of 1, y, y^2, r, r^2, each per condition and window (or per trial and window)."""

    n: ndarray
    y: ndarray
    yy: ndarray
    r: ndarray
    rr: ndarray

    @classmethod
    def of(cls, cut: Windows, groups: ndarray) -> _Sums:
        member = (groups[None] == np.arange(groups.max(initial=-1) + 1)[:, None]).astype(np.float64)
        return cls(*(member @ each for each in cls.terms(cut)))

    @staticmethod
    def terms(cut: Windows) -> list[ndarray]:
        known = cut.complete.astype(np.float64)
        y, r = cut.counts * known, cut.rates * known
        return [known, y, y * y, r, r * r]

    def without(self, cut: Windows, groups: ndarray) -> _Sums:
        """Sums of each trial's own condition with that trial left out: (K, W)."""
        mine = (self.n, self.y, self.yy, self.r, self.rr)
        return _Sums(*(each[groups] - term for each, term in zip(mine, self.terms(cut), strict=True)))

    def moments(self) -> tuple[ndarray, ndarray, ndarray]:
        """Mean count, variance of the counts, and predicted variance."""
        n = np.maximum(self.n, 2.0)
        variance = (self.yy - self.y**2 / n) / (n - 1)
        return self.y / n, variance, self.r / n + (self.rr - self.r**2 / n) / (n - 1)

    def ratios(self, enough: ndarray) -> ndarray:
        """(..., 4): recorded variance, recorded mean, predicted variance, predicted mean, summed over windows."""
        mean, recorded, predicted = self.moments()
        parts = (recorded, mean, predicted, self.r / np.maximum(self.n, 2.0))
        return np.stack([np.where(enough, part, 0.0).sum(axis=-1) for part in parts], axis=-1)


def _fano(cut: Windows, groups: ndarray, bin_size: float) -> Fano:
    used = groups >= 0
    cut = Windows(cut.n_bins, cut.counts[used], cut.rates[used], cut.complete[used])
    groups, window = groups[used], cut.n_bins * bin_size
    sums = _Sums.of(cut, groups)
    enough = sums.n >= FEWEST
    per_group = sums.ratios(enough)
    total = per_group.sum(axis=0)
    if not enough.any() or total[1] == 0:
        nothing = Measured(None, reason="no spike in conditions of at least three trials")
        return Fano(window, nothing, nothing)
    # The windows that count stay the same when a trial is left out.
    left_out = total - per_group[groups] + sums.without(cut, groups).ratios(enough[groups])

    def ratio(above: int, values: ndarray) -> Measured:
        """A variance over the mean beside it in `total`."""
        deviations = np.where(cut.complete & enough[groups], values - _group_means(values, groups), 0.0)

        def products(members: ndarray) -> ndarray:
            x, n = deviations[members], len(members)
            return -(x @ x.T) / (n * (n - 1) * total[above + 1])

        with np.errstate(divide="ignore", invalid="ignore"):
            value, rest = total[above] / total[above + 1], left_out[:, above] / left_out[:, above + 1]
        return stratified_jackknife(float(value), rest, groups, products)

    return Fano(window, ratio(0, cut.counts), ratio(2, cut.rates))


def _group_means(values: Float[ndarray, "K W"], groups: ndarray) -> Float[ndarray, "K W"]:
    """The mean of each trial's condition."""
    member = (groups[None] == np.arange(groups.max() + 1)[:, None]).astype(np.float64)
    return (member @ values / member.sum(axis=1, keepdims=True))[groups]

"""Autoregression with a nonlinearity, for forward prediction only: Poisson regression on the past.

    rate of n in the future = PSTH of n * exp(intercept_n + history_n . weights_n + population . couplings_n)

(the history filters of the point-process GLM: Truccolo et al. 2005, J Neurophysiol 93:1074; the few shared dimensions
stand for its coupling filters.) History: the neuron's own past counts over stretches of 1, 2, 4, 8 ... bins before the
future. Population: the leading principal components of all neurons' mean deviations in the tenth of the window before
it. The future is predicted directly, in stretches of growing length with weights of their own: a prediction that is fed
back into itself would have to believe its own guesses.

Training examples are all moments of the training trials, the PSTH taking care of the time in the trial; penalty and
number of components are tuned on the validation trials, at the end of the window, where the task asks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..session import Trials
from .linear import STRIDE
from .poisson import fit_poisson, log_likelihood
from .psth import tuned_psth
from .questions import n_future_bins
from .tasks import target_entries

TASK = "forward_prediction"
PENALTIES = (3.0, 30.0, 300.0)  # on the squared weights, against log likelihood in nats; the inputs have variance 1
COMPONENTS = (0, 10)
LONGEST = 32  # bins of history
LARGEST_INPUT = 5.0  # standard deviations; a burst must not promise a bigger one


def stretches(longest: int) -> list[slice]:
    """Bins 0, 1-2, 3-6, 7-14 ... until `longest`, counted from the border between past and future."""
    edges = [0]
    while edges[-1] < longest:
        edges.append(min(2 * edges[-1] + 1, longest))
    return [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]


@dataclass(frozen=True, eq=False)
class Past:
    """What can be known before a bin: sums per stretch of history, nearest first, and of the last tenth."""

    own: Float[ndarray, "K N L"]
    together: Float[ndarray, "K N"]


def past_of(part: Trials, psth: Float[ndarray, "T N"], start: int) -> Past:
    """Deviations from the PSTH before bin `start`, in Poisson standard deviations; nothing from `start` on is read."""
    known = slice(max(0, start - LONGEST), start)
    valid = part.valid[:, known, None] & np.isfinite(part.counts[:, known])
    deviation = np.where(valid, part.counts[:, known] - psth[known], 0.0)[:, ::-1]
    expected = np.where(valid, psth[known], 0.0)[:, ::-1]

    def scaled(bins: slice) -> Float[ndarray, "K N"]:
        return deviation[:, bins].sum(axis=1) / np.sqrt(expected[:, bins].sum(axis=1) + 0.25)

    own = [scaled(bins) for bins in stretches(LONGEST)]
    return Past(np.stack(own, axis=2), scaled(slice(0, n_future_bins(part.n_bins))))


@dataclass(frozen=True, eq=False)
class Fit:
    """One setting, fitted."""

    axes: Float[ndarray, "N D"]  # `together` times these are the components, of variance 1
    per_stretch: list[tuple[Float[ndarray, "N"], Float[ndarray, "N p"]]]  # intercepts and weights

    def features(self, past: Past) -> Float[ndarray, "K N p"]:
        shared = past.together @ self.axes
        shape = (*past.together.shape, shared.shape[1])
        both = np.concatenate([past.own, np.broadcast_to(shared[:, None], shape)], axis=2)
        return np.clip(both, -LARGEST_INPUT, LARGEST_INPUT)


class Autoregression:
    """Poisson regression on the past; exists for forward prediction only."""

    tasks = (TASK,)

    def __init__(self, trials: Trials) -> None:
        self.psth = tuned_psth(trials)
        self.width = n_future_bins(trials.n_bins)
        train, held = trials.select("train"), trials.select("validation")
        settings = [(penalty, n) for n in COMPONENTS for penalty in PENALTIES]
        examples = self._examples(train)
        fits = [self._fit(examples, *setting) for setting in settings]
        target = target_entries(TASK, held)
        self.fit = max(fits, key=lambda fit: log_likelihood(self._predict(fit, held), held, target))

    def rates(self, task: str, part: Trials) -> Float[ndarray, "K T N"]:
        """Expected counts per bin: the PSTH, and from the first future bin on what the past makes of it.

        Raises ValueError for other tasks than forward prediction.
        """
        if task != TASK:
            raise ValueError(f"autoregression knows the past only; it has no answer to {task}")
        return self._predict(self.fit, part)

    def _examples(self, train: Trials) -> tuple[Past, list[tuple[ndarray, ndarray]]]:
        """Pasts at many moments of the training trials; counts and expected counts of each stretch after them."""
        starts = range(train.n_bins - self.width, self.width - 1, -STRIDE)
        pasts = [past_of(train, self.psth, start) for start in starts]
        together = Past(*(np.concatenate(each) for each in zip(*((p.own, p.together) for p in pasts), strict=True)))
        after = [[self._sums(train, start, bins) for start in starts] for bins in stretches(self.width)]
        return together, [tuple(np.concatenate(each) for each in zip(*sums, strict=True)) for sums in after]

    def _sums(self, part: Trials, start: int, bins: slice) -> tuple[Float[ndarray, "K N"], Float[ndarray, "K N"]]:
        bins = slice(start + bins.start, start + bins.stop)
        valid = part.valid[:, bins, None]
        return tuple(np.where(valid, each, 0.0).sum(axis=1) for each in (part.counts[:, bins], self.psth[bins]))

    def _fit(self, examples: tuple[Past, list], penalty: float, n_components: int) -> Fit:
        past, after = examples
        values, vectors = np.linalg.eigh(past.together.T @ past.together / max(len(past.together), 1))
        leading = np.argsort(values)[::-1][:n_components]
        axes = vectors[:, leading] / np.sqrt(values[leading] + 1e-9)
        features = Fit(axes, []).features(past)
        return Fit(axes, [fit_poisson(features, counts, expected, penalty) for counts, expected in after])

    def _predict(self, fit: Fit, part: Trials) -> Float[ndarray, "K T N"]:
        first = part.n_bins - self.width
        features = fit.features(past_of(part, self.psth, first))
        rates = np.broadcast_to(self.psth, part.counts.shape).copy()
        for bins, (intercept, weights) in zip(stretches(self.width), fit.per_stretch, strict=True):
            gain = np.exp(intercept + np.einsum("knp,np->kn", features, weights))
            rates[:, first + bins.start : first + bins.stop] *= gain[:, None]
        return rates

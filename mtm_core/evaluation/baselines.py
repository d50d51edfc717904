"""What a model has to beat, on the same trials and entries. Fitted on training trials, tuned on validation trials.

train_mean   each neuron's mean count per bin
psth         mean over trials per bin, smoothed in time
ridge        linear regression on the other neurons' smoothed counts, in closed form (linear.py)
true_rates   the rates that generated a simulated session: the ceiling
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..session import Trials
from .linear import Ridge
from .metrics import SMALLEST_RATE, SpikeSums
from .psth import tuned_psth
from .score import TaskScore, task_score
from .tasks import neurons_of, protocol, target_entries, train_means


class Baseline(Protocol):
    """Expected counts per bin of every neuron, each as the task allows it to be predicted."""

    def rates(self, task: str, part: Trials) -> Float[ndarray, "K T N"]: ...


@dataclass(frozen=True)
class FixedRates:
    """The same prediction in every trial."""

    per_bin: Float[ndarray, "T N"]

    def rates(self, task: str, part: Trials) -> Float[ndarray, "K T N"]:
        return np.broadcast_to(self.per_bin, part.counts.shape)


class TrueRates:
    """The generating rates."""

    def rates(self, task: str, part: Trials) -> Float[ndarray, "K T N"]:
        return np.maximum(part.true_rates, SMALLEST_RATE)


def fit_train_mean(trials: Trials) -> FixedRates:
    mean = np.maximum(train_means(trials), SMALLEST_RATE)
    return FixedRates(np.broadcast_to(mean, trials.counts.shape[1:]))


def fit_psth(trials: Trials) -> FixedRates:
    return FixedRates(tuned_psth(trials))


FITS: dict[str, Callable[[Trials], Baseline]] = {
    "train_mean": fit_train_mean,
    "psth": fit_psth,
    "ridge": Ridge,
    "true_rates": lambda trials: TrueRates(),
}


def baseline_names(trials: Trials) -> tuple[str, ...]:
    """The baselines that exist for a session: true rates only for simulated ones."""
    return tuple(name for name in FITS if name != "true_rates" or trials.true_rates is not None)


def score_baseline(name: str, trials: Trials, tasks: Iterable[str], split: str = "test") -> dict[str, TaskScore]:
    """Fit one baseline and score it on several tasks."""
    baseline, part, scores = FITS[name](trials), trials.select(split), {}
    for task in tasks:
        neurons = neurons_of(task, trials)
        able = np.flatnonzero(neurons.eligible)
        target = np.broadcast_to(target_entries(task, part), (part.n_trials, part.n_bins, len(able)))
        sums = SpikeSums.empty(trials.n_neurons)
        sums.add(part.counts[:, :, able], baseline.rates(task, part)[:, :, able], target, able)
        scores[task] = task_score(task, sums, neurons, protocol(trials, task, split, {"model": name}), complete=True)
    return scores

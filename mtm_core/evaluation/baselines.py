"""What a model has to beat, on the same trials and entries. Fitted on training trials, tuned on validation trials.

`ABOUT` says of each what it is. Two are oracles, to be told apart from what a model competes with: `test_mean` reads
the entries that are scored, `true_rates` knows what generated them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..session import Trials
from .autoregression import Autoregression
from .condition_psth import ConditionPsth, labels_of
from .coupling import Coupling
from .linear import Ridge
from .metrics import SMALLEST_RATE, SpikeSums
from .psth import tuned_psth
from .questions import TASKS, Asking
from .reduced_rank import ReducedRank
from .score import Score
from .tasks import EXACT, ceiling_of, neurons_of, part_of, protocol, target_entries, train_means


@runtime_checkable
class Baseline(Protocol):
    """Expected counts per bin of every neuron, each as the task allows it to be predicted."""

    tasks: tuple[str, ...]  # where it exists

    def rates(self, task: str, part: Trials) -> Float[ndarray, "K T N"]: ...


@dataclass(frozen=True)
class FixedRates:
    """The same prediction in every trial."""

    per_bin: Float[ndarray, "T N"]
    tasks: tuple[str, ...] = TASKS

    def rates(self, task: str, part: Trials) -> Float[ndarray, "K T N"]:
        return np.broadcast_to(self.per_bin, part.counts.shape)


class TestMean:
    """An oracle: the mean of the entries that the task scores, which no predictor may know. Scores 0 by definition."""

    tasks = TASKS

    def rates(self, task: str, part: Trials) -> Float[ndarray, "K T N"]:
        mean = part.counts.mean(axis=(0, 1), where=target_entries(task, part), dtype=np.float64)
        return np.broadcast_to(np.maximum(mean, SMALLEST_RATE), part.counts.shape)


class TrueRates:
    """An oracle: the generating rates."""

    tasks = TASKS

    def rates(self, task: str, part: Trials) -> Float[ndarray, "K T N"]:
        return np.maximum(part.true_rates, SMALLEST_RATE)


def fit_train_mean(trials: Trials) -> FixedRates:
    mean = np.maximum(train_means(trials), SMALLEST_RATE)
    return FixedRates(np.broadcast_to(mean, trials.counts.shape[1:]))


def fit_psth(trials: Trials) -> FixedRates:
    return FixedRates(tuned_psth(trials))


FITS: dict[str, Callable[[Trials], Baseline]] = {
    "train_mean": fit_train_mean,
    "test_mean": lambda trials: TestMean(),
    "psth": fit_psth,
    "condition_psth": ConditionPsth,
    "coupling": Coupling,
    "reduced_rank": ReducedRank,
    "ridge": Ridge,
    "autoregression": Autoregression,
    "true_rates": lambda trials: TrueRates(),
}
ORACLES = ("test_mean", "true_rates")
BLIND = ("train_mean", "test_mean", "psth", "condition_psth", "true_rates")  # read no other neuron
ABOUT = {
    "train_mean": "Each neuron's mean rate in the training trials, in every bin.",
    "test_mean": "An oracle: the mean rate of the very entries that are scored; the score is measured from here.",
    "psth": "The mean over training trials per bin, smoothed in time: the same answer in every trial.",
    "condition_psth": (
        "A PSTH per kind of trial (stimulus side, choice, block, reward): reads the labels of the test trial, some of "
        "which lie in the future of the bins, but none of its spikes."
    ),
    "coupling": "How strongly a neuron follows the summed activity of the neurons that the task shows (Okun 2015).",
    "reduced_rank": (
        "Linear regression through a few shared dimensions, each tenth of the neurons predicted from the others, made "
        "into rates by a Poisson regression per neuron."
    ),
    "ridge": "Linear regression on all visible neurons, made into rates by a Poisson regression per neuron.",
    "autoregression": (
        "Poisson regression on the neuron's own past and the population's main dimensions; forward prediction only."
    ),
    "true_rates": "An oracle: the rates that generated the simulated spikes; no model can do better on average.",
}


def baseline_names(trials: Trials) -> tuple[str, ...]:
    """The baselines that exist for a session: true rates of simulated ones, conditions where trials have labels."""
    missing = {"true_rates": trials.true_rates is None, "condition_psth": not labels_of(trials)}
    return tuple(name for name in FITS if not missing.get(name, False))


def score_baseline(name: str, trials: Trials, tasks: Iterable[str], asking: Asking = EXACT) -> dict[str, Score]:
    """Fit one baseline and score it on those of the tasks for which it exists.

    Where likely duplicates are hidden from the model they are from the baselines, and those that cannot do without them
    have no score. A baseline is always exact.
    """
    if asking.duplicates is not None and name not in (*BLIND, "ridge"):
        return {}
    guarded = asking.duplicates is not None and name == "ridge"
    baseline = Ridge(trials, asking.duplicates) if guarded else FITS[name](trials)
    return {task: score_fitted(name, baseline, trials, task, asking) for task in tasks if task in baseline.tasks}


def score_fitted(name: str, baseline: Baseline, trials: Trials, task: str, asking: Asking = EXACT) -> Score:
    """The score of a baseline that is fitted already, on a task for which it exists."""
    part, who = part_of(trials, asking.split), neurons_of(task, trials)
    able = np.flatnonzero(who.eligible)
    sums = SpikeSums.empty(part.n_trials, part.n_neurons)
    rates = baseline.rates(task, part)[:, :, able]
    sums.add(part.counts[:, :, able], rates, target_entries(task, part), neurons=able)
    about = protocol(trials, task, asking.split, {"model": name})
    about["duplicates_hidden"] = asking.duplicates is not None
    return Score(task, sums, who, about, True, ceiling_of(task, part, who))

"""A PSTH per kind of trial: what the task alone predicts, without a look at any neuron of the trial.

The kind of a test trial is read from its labels (what was shown, chosen and rewarded), never from its spikes. That is
more than a model of spikes alone is given, and choice and reward lie later than the bins they predict: this baseline
says how much of the activity the task explains, not how well it could be foreseen.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..session import Trials
from .psth import WIDTHS, log_likelihood_of, posterior, smoothed, sums_per_bin, tuned_psth
from .questions import TASKS

LABELS = ("contrast", "choice", "block", "reward")  # contrast by its sign: the side of the stimulus, or none
UNKNOWN = ()
PRIORS = (3.0, 10.0, 30.0, 100.0)  # spikes' worth of the PSTH of all trials

Condition = tuple[float, ...]


def labels_of(trials: Trials) -> tuple[str, ...]:
    """The labels that differ between the training trials."""
    train = trials.select("train")
    known = (name for name in LABELS if name in train.behaviors)
    return tuple(name for name in known if len(np.unique(_values(train, name))) > 1)


def _values(part: Trials, label: str) -> Float[ndarray, "K"]:
    values = np.asarray(part.behaviors[label], dtype=np.float64)
    return np.sign(values) if label == "contrast" else values


def conditions(part: Trials, labels: tuple[str, ...]) -> list[Condition]:
    """The values of the labels, per trial; UNKNOWN where one of them is."""
    found = zip(*(_values(part, label).tolist() for label in labels), strict=True)
    return [UNKNOWN if np.isnan(values).any() else values for values in found]


class ConditionPsth:
    """PSTHs of the conditions, each drawn towards the PSTH of all trials.

    labels: those that predict the validation trials best, chosen together with smoothing and strength of the draw.
    """

    tasks = TASKS

    def __init__(self, trials: Trials) -> None:
        self.overall = tuned_psth(trials)
        known, best = labels_of(trials), -np.inf
        self.labels: tuple[str, ...] = ()
        self.per_condition: dict[Condition, ndarray] = {}
        held = trials.select("validation")
        for n_labels in range(1, len(known) + 1):
            for labels in combinations(known, n_labels):
                seen = _sums(held, labels)
                for psths in self._fits(trials.select("train"), labels):
                    score = sum(log_likelihood_of(psths.get(c, self.overall), sums) for c, sums in seen.items())
                    if score > best:
                        best, self.labels, self.per_condition = score, labels, psths

    def _fits(self, train: Trials, labels: tuple[str, ...]) -> Iterator[dict[Condition, ndarray]]:
        sums = {condition: each for condition, each in _sums(train, labels).items() if condition != UNKNOWN}
        for width in WIDTHS:
            smooth = {condition: smoothed(each, width) for condition, each in sums.items()}
            for prior in PRIORS:
                yield {condition: posterior(each, self.overall, prior) for condition, each in smooth.items()}

    def rates(self, task: str, part: Trials) -> Float[ndarray, "K T N"]:
        """Expected counts per bin from the labels of the trials; a new condition has the PSTH of all trials."""
        if not self.labels:
            return np.broadcast_to(self.overall, part.counts.shape)
        found = conditions(part, self.labels)
        return np.stack([self.per_condition.get(condition, self.overall) for condition in found])


def _sums(part: Trials, labels: tuple[str, ...]) -> dict[Condition, tuple[ndarray, ndarray]]:
    """Sums per bin of each condition."""
    found = conditions(part, labels)
    return {
        condition: sums_per_bin(part.select(np.array([each == condition for each in found])))
        for condition in sorted(set(found))
    }

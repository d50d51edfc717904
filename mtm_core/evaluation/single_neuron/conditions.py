"""Trials grouped by what the animal saw, chose and got, and the neuron's PSTH in each group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from numpy import ndarray

from .smoothing import smoothed
from .trials import NeuronTrials

FEWEST = 3  # trials; a mean of fewer is an anecdote
TRIPLE = ("block", "choice", "reward")  # what MtM's PSTH R2 groups trials by (released code; not in the paper)


@dataclass(frozen=True, eq=False)
class ConditionPsth:
    """Mean and s.e.m. over the trials of one condition, in Hz; NaN in bins where too few trials are scored."""

    label: str
    n_trials: int
    recorded: Float[ndarray, " T"]
    recorded_sem: Float[ndarray, " T"]
    predicted: Float[ndarray, " T"]
    predicted_sem: Float[ndarray, " T"]
    true: Float[ndarray, " T"] | None  # of simulated sessions


@dataclass(frozen=True, eq=False)
class Psths:
    """The PSTHs of one grouping."""

    by: str
    conditions: tuple[ConditionPsth, ...]
    left_out: dict[str, int]  # conditions with fewer than FEWEST trials: label -> trials
    n_unknown: int  # trials of which the condition is not known


# --- groupings ----------------------------------------------------------------------------------------------------


def _named(names: dict[float, str], values: ndarray) -> list[tuple[str, ndarray]]:
    return [(label, values == value) for value, label in names.items() if (values == value).any()]


def _blocks(values: ndarray) -> list[tuple[str, ndarray]]:
    found = np.unique(values[np.isfinite(values)])
    return [(f"{share:.0%} left", values == share) for share in found]


def _sides(values: ndarray) -> list[tuple[str, ndarray]]:
    return _named({-1.0: "left", 0.0: "none", 1.0: "right"}, np.sign(values))


def _contrasts(values: ndarray) -> list[tuple[str, ndarray]]:
    found = np.unique(np.abs(values[np.isfinite(values)]))
    return [(f"{100 * contrast:g} %", np.abs(values) == contrast) for contrast in found]


# name -> behavior it reads, how its values become groups of trials
GROUPINGS: dict[str, tuple[str, Callable[[ndarray], list[tuple[str, ndarray]]]]] = {
    "choice": ("choice", partial(_named, {1.0: "left", -1.0: "right", 0.0: "none"})),
    "block": ("block", _blocks),
    "stimulus side": ("contrast", _sides),
    "stimulus contrast": ("contrast", _contrasts),
    "feedback": ("reward", partial(_named, {1.0: "reward", 0.0: "error"})),
}


def psths(neuron: NeuronTrials, width: float = 0.0) -> tuple[Psths, ...]:
    """The PSTHs of every grouping whose behavior is known; all trials together where none is.

    width: standard deviation (s) of a Gaussian that smooths each trial beforehand.
    """
    neuron, found = _smoothed(neuron, width / neuron.bin_size), []
    for by, (behavior, groups_of) in GROUPINGS.items():
        values = neuron.behaviors.get(behavior)
        if values is not None and np.isfinite(values).any():
            found.append(_psths(neuron, by, groups_of(np.asarray(values, dtype=np.float64))))
    return tuple(found) or (_psths(neuron, "all trials", [("all", np.ones(neuron.n_trials, dtype=bool))]),)


def _smoothed(neuron: NeuronTrials, width: float) -> NeuronTrials:
    true = neuron.true_rates
    return replace(
        neuron,
        counts=smoothed(neuron.counts, neuron.scored, width),
        rates=smoothed(neuron.rates, neuron.scored, width),
        true_rates=None if true is None else smoothed(true, neuron.scored, width),
    )


def _psths(neuron: NeuronTrials, by: str, groups: list[tuple[str, ndarray]]) -> Psths:
    sizes = {label: int(members.sum()) for label, members in groups}
    return Psths(
        by=by,
        conditions=tuple(_psth(neuron, label, m) for label, m in groups if sizes[label] >= FEWEST),
        left_out={label: n for label, n in sizes.items() if n < FEWEST},
        n_unknown=neuron.n_trials - sum(sizes.values()),
    )


def _psth(neuron: NeuronTrials, label: str, members: Bool[ndarray, " K"]) -> ConditionPsth:
    scored = neuron.scored[members]
    recorded = mean_and_sem(neuron.counts[members] / neuron.bin_size, scored)
    predicted = mean_and_sem(neuron.rates[members] / neuron.bin_size, scored)
    true = None
    if neuron.true_rates is not None:
        true, _ = mean_and_sem(neuron.true_rates[members] / neuron.bin_size, scored)
    return ConditionPsth(label, int(members.sum()), *recorded, *predicted, true)


def mean_and_sem(values: Num[ndarray, "K T"], scored: Bool[ndarray, "K T"]) -> tuple[ndarray, ndarray]:
    """Mean over the scored trials of each bin and its standard error; NaN where fewer than one or two are."""
    n = scored.sum(axis=0).astype(np.float64)
    known = np.where(scored, values, 0.0)
    mean = np.divide(known.sum(axis=0), n, out=np.full(n.shape, np.nan), where=n > 0)
    squares = np.where(scored, (known - np.where(n > 0, mean, 0.0)) ** 2, 0.0).sum(axis=0)
    variance = np.divide(squares, n - 1, out=np.full(n.shape, np.nan), where=n > 1)
    return mean, np.sqrt(variance / np.maximum(n, 1.0))


# --- one group per trial --------------------------------------------------------------------------------------------


def triples(neuron: NeuronTrials, fewest: int = FEWEST) -> Int[ndarray, " K"]:
    """Number of each trial's (block, choice, reward) triple, from 0; -1 for unknown and for triples of few trials.

    Behaviors that the recording lacks are left out of the triple; without any, all trials are one condition.
    """
    known = [np.asarray(neuron.behaviors[name], dtype=np.float64) for name in TRIPLE if name in neuron.behaviors]
    known = [values for values in known if np.isfinite(values).any()]
    if not known:
        return np.zeros(neuron.n_trials, dtype=np.int64)
    table = np.stack(known, axis=1)
    complete = np.isfinite(table).all(axis=1)
    _, member, sizes = np.unique(table[complete], axis=0, return_inverse=True, return_counts=True)
    number = np.where(sizes >= fewest, np.cumsum(sizes >= fewest) - 1, -1)
    groups = np.full(neuron.n_trials, -1, dtype=np.int64)
    groups[complete] = number[member.ravel()]
    return groups

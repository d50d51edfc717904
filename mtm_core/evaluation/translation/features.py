"""Behaviors as the inputs of a regression: scaled by the training trials, unknown values are no news.

A class counts as its deviation from the share that it has in the training trials, a trace as its deviation from their
average trace, in standard deviations. An unknown value becomes 0, which is what both expect of a trial on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ...modality import BEHAVIORS, UNKNOWN, class_of, present
from ...session import Trials

# Chosen on validation trials of four recordings, where a reach of .1 and .4 s and spacings of .05 to .4 s were worth
# the same within .007 bits per spike, and a reach over the whole trial, as NEDS's linear baseline has it, .01 to .09
# less.
REACH = 0.2  # s before and after a bin in which a trace is read for it
SPACING = 0.2  # s between the raised cosines in which the weight of a class varies over the trial


def chosen_behaviors(trials: Trials, behaviors: Sequence[str] | None = None) -> tuple[str, ...]:
    """The behaviors to translate from, in the order of the table; None: all that the session has.

    Raises ValueError for one that the session does not have (in its training trials), and if there is none.
    """
    there = present(trials.behaviors, trials.split == "train")
    asked = there if behaviors is None else tuple(behaviors)
    missing = [name for name in asked if name not in there]
    if missing or not asked:
        what = f"does not have {', '.join(missing)}" if missing else "needs at least one behavior"
        raise ValueError(f"session {trials.session_id} {what}; choose from {', '.join(there) or 'none'}")
    return tuple(name for name in there if name in asked)


def only(trials: Trials, names: Sequence[str]) -> Trials:
    """The same trials with these behaviors alone; a value of no class, as a no-go choice, is unknown to all alike."""
    return replace(trials, behaviors={name: _classed(name, trials.behaviors[name]) for name in names})


def _classed(name: str, values: Float[ndarray, "K ..."]) -> Float[ndarray, "K ..."]:
    values = np.asarray(values, dtype=np.float64)
    return np.where(class_of(BEHAVIORS[name], values) != UNKNOWN, values, np.nan) if BEHAVIORS[name].static else values


@dataclass(frozen=True, eq=False)
class Scaling:
    """What the training trials say of each behavior."""

    shares: dict[str, Float[ndarray, " C"]]  # of each class among the trials with a known class
    averages: dict[str, Float[ndarray, " T"]]  # of a trace per bin, in its unit
    scales: dict[str, float]  # standard deviation of a trace around its average; 1 where there is none

    @classmethod
    def of(cls, train: Trials) -> Scaling:
        """Of all behaviors that `train` holds."""
        shares, averages, scales = {}, {}, {}
        for name, values in train.behaviors.items():
            if BEHAVIORS[name].static:
                counts = one_hot(name, values).sum(axis=0)
                shares[name] = counts / max(counts.sum(), 1.0)
            else:
                averages[name] = average_trace(values)
                deviations = (values - averages[name])[np.isfinite(values)]
                scales[name] = float(deviations.std()) if deviations.size and deviations.std() > 0 else 1.0
        return cls(shares, averages, scales)

    def statics(self, part: Trials) -> Float[ndarray, "K S"]:
        """All classes of all static behaviors, side by side."""
        found = [np.zeros((part.n_trials, 0))]
        for name, shares in self.shares.items():
            flags = one_hot(name, part.behaviors[name])
            found.append(np.where(flags.any(axis=1, keepdims=True), flags - shares, 0.0))
        return np.concatenate(found, axis=1)

    def traces(self, part: Trials) -> Float[ndarray, "K T R"]:
        """One column per trace."""
        found = np.zeros((part.n_trials, part.n_bins, len(self.averages)))
        for column, (name, average) in enumerate(self.averages.items()):
            found[:, :, column] = no_news((part.behaviors[name] - average) / self.scales[name])
        return found


def no_news(deviations: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
    """Unknown values become 0."""
    return np.where(np.isfinite(deviations), deviations, 0.0)


def one_hot(name: str, values: Float[ndarray, " K"]) -> Float[ndarray, "K C"]:
    """A one in the column of the trial's class; zeros where the class is unknown."""
    modality = BEHAVIORS[name]
    return (class_of(modality, values)[:, None] == np.arange(len(modality.classes))).astype(np.float64)


def average_trace(values: Float[ndarray, "K T"]) -> Float[ndarray, " T"]:
    """Mean over trials of each bin, of what is known there; the mean of all bins where nothing is."""
    known = np.isfinite(values)
    overall = values[known].mean() if known.any() else 0.0
    sums = np.where(known, values, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), sums / np.maximum(known.sum(axis=0), 1), overall)


def raised_cosines(n_bins: int, bin_size: float) -> Float[ndarray, "T B"]:
    """Bumps over the window, SPACING apart, which sum to 1 in every bin."""
    length = n_bins * bin_size
    n_bumps = max(2, round(length / SPACING) + 1)
    centers = np.linspace(0.0, length, n_bumps)
    distance = np.abs((np.arange(n_bins) + 0.5)[:, None] * bin_size - centers) / (length / (n_bumps - 1))
    return np.where(distance < 1, 0.5 + 0.5 * np.cos(np.pi * distance), 0.0)


def shifted(traces: Float[ndarray, "K T R"], n_bins: int) -> Float[ndarray, "K T L"]:
    """Each trace n_bins before to n_bins after every bin; 0 beyond the window."""
    padded = np.pad(traces, ((0, 0), (n_bins, n_bins), (0, 0)))
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * n_bins + 1, axis=1)
    return around.reshape(*traces.shape[:2], -1)


def per_bin(scaling: Scaling, part: Trials) -> Float[ndarray, "K T P"]:
    """Inputs of every bin: the classes times the raised cosines at this bin, and the traces around it."""
    bumps = raised_cosines(part.n_bins, part.bin_size)
    statics = np.einsum("ks,tb->ktsb", scaling.statics(part), bumps).reshape(part.n_trials, part.n_bins, -1)
    around = shifted(scaling.traces(part), max(1, round(REACH / part.bin_size)))
    return np.concatenate([statics, around], axis=2)


def whole_trial(scaling: Scaling, part: Trials) -> Float[ndarray, "K F"]:
    """Inputs of every trial: the classes, and the traces in all bins."""
    traces = scaling.traces(part)
    return np.concatenate([scaling.statics(part), traces.reshape(part.n_trials, -1)], axis=1)

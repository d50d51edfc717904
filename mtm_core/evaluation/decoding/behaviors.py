"""Which behaviors can be decoded, and which trials of each are left out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from ...session import Trials

FEWEST_PER_CLASS = 5  # training trials; one per inner fold
FEWEST_TRIALS = 20  # training trials with a known stream


@dataclass(frozen=True)
class TwoSided:
    """A behavior with one value per trial, above or below a middle that belongs to neither side."""

    middle: float
    names: tuple[str, str]  # of the values below and above
    neither: str  # why a trial at the middle is left out


TWO_SIDED = {
    "choice": TwoSided(0.0, ("right", "left"), "no-go"),
    "block": TwoSided(0.5, ("mostly right", "mostly left"), "unbiased block"),
    "reward": TwoSided(0.5, ("not rewarded", "rewarded"), "undecided"),
    "contrast": TwoSided(0.0, ("left", "right"), "contrast zero"),
}


@dataclass(frozen=True, eq=False)
class Target:
    """What is decoded: labels 0 or 1 per trial (K,), or a stream (K, T). NaN marks trials that are left out."""

    name: str
    values: Float[ndarray, "K"] | Float[ndarray, "K T"]
    left_out: dict[str, ndarray] = field(default_factory=dict)  # reason -> flags (K,)

    @property
    def two_sided(self) -> bool:
        return self.values.ndim == 1

    @property
    def class_names(self) -> tuple[str, str]:
        return TWO_SIDED[self.name].names

    @property
    def known(self) -> ndarray:
        """Flags (K,) of the trials that take part."""
        return np.isfinite(self.values if self.two_sided else self.values[:, 0])

    def n_left_out(self, among: Int[ndarray, " n"]) -> dict[str, int]:
        counts = {reason: int(np.count_nonzero(flags[among])) for reason, flags in self.left_out.items()}
        return {reason: n for reason, n in counts.items() if n}


def behavior_names(trials: Trials) -> tuple[str, ...]:
    """The behaviors of this recording that can be decoded: those of the task first, then the streams."""
    streams = (name for name, values in trials.behaviors.items() if values.ndim == 2)
    return (*(name for name in TWO_SIDED if name in trials.behaviors), *streams)


def target_of(name: str, values: Float[ndarray, "K ..."], train: ndarray | slice = slice(None)) -> Target:
    """The target that raw values of a behavior make, as `Trials.behaviors` or a null holds them.

    A stream takes part only in trials where it is known in every bin in which it is known at all in the training trials
    (positions `train`; a test trial must not decide which trials are learned from).
    """
    values = np.asarray(values, dtype=np.float64)
    if name in TWO_SIDED:
        kind = TWO_SIDED[name]
        # Blocks are .2 and .8 in single precision, so sides are told by sign and not by equality.
        side = np.sign(np.round(values - kind.middle, 6))
        labels = np.where(side == 0, np.nan, (side + 1) / 2)
        return Target(name, labels, {kind.neither: side == 0, "missing value": ~np.isfinite(values)})
    recorded = np.isfinite(values[train]).any(axis=0)
    missing = ~np.isfinite(values[:, recorded]).all(axis=1)
    stream = np.where(missing[:, None], np.nan, values[:, recorded])
    return Target(name, stream, {"missing values": missing})


def too_little(target: Target, train: Int[ndarray, " n"], test: Int[ndarray, " m"]) -> str:
    """Why this behavior cannot be decoded from these trials, in words; "" if it can."""
    if target.values.size == 0:
        return f"{target.name} is not known in any trial"
    seen, asked = target.values[train][target.known[train]], target.values[test][target.known[test]]
    if not target.two_sided:
        enough = len(seen) >= FEWEST_TRIALS and len(asked) >= 2 and np.var(asked) > 0 and np.var(seen) > 0
        return "" if enough else f"{target.name} is known in too few trials, or never changes"
    fewest = min(np.count_nonzero(seen == label) for label in (0, 1))
    if fewest < FEWEST_PER_CLASS or len(np.unique(asked)) < 2:
        return f"{target.name} is nearly always the same ({fewest} training trials on the rarer side)"
    return ""

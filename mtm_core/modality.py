"""The one table of modalities: what is translated into what, with unit, likelihood and classes.

NEDS (Zhang et al., ICML 2025, arXiv 2504.08201, section 3.1) has spikes, choice, block, wheel speed and whisker motion
energy; the other behaviors of a recording are rows like these. Values are those of `Trials.behaviors`, raw: models and
baselines scale them by statistics of the training trials.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

FEWEST_KNOWN = 10  # training trials with a known value, below which a session counts as without the modality
UNKNOWN = -1  # class of a trial whose value is not known, or belongs to no class


class Likelihood(Enum):
    POISSON = "poisson"  # counts per bin
    GAUSSIAN = "gaussian"  # a trace, one value per bin
    CATEGORICAL = "categorical"  # one class per trial


@dataclass(frozen=True)
class Modality:
    """classes: names, with the value that each stands for in `values`."""

    name: str
    label: str
    likelihood: Likelihood
    unit: str = ""
    classes: tuple[str, ...] = ()
    values: tuple[float, ...] = ()

    @property
    def static(self) -> bool:
        """One value per trial. Such a value is hidden all or nothing: a copy in another bin would give it away."""
        return self.likelihood is Likelihood.CATEGORICAL


SPIKES = Modality("spikes", "Spikes", Likelihood.POISSON, "spikes per bin")
BEHAVIORS: dict[str, Modality] = {
    modality.name: modality
    for modality in (
        Modality("choice", "Choice", Likelihood.CATEGORICAL, "", ("right", "left"), (-1.0, 1.0)),
        Modality(
            "block", "Block", Likelihood.CATEGORICAL, "", ("mostly right", "unbiased", "mostly left"), (0.2, 0.5, 0.8)
        ),
        Modality("contrast", "Stimulus side", Likelihood.CATEGORICAL, "", ("left", "equal", "right"), (-1.0, 0.0, 1.0)),
        Modality("reward", "Reward", Likelihood.CATEGORICAL, "", ("not rewarded", "rewarded"), (0.0, 1.0)),
        Modality("wheel_speed", "Wheel speed", Likelihood.GAUSSIAN, "rad/s"),
        Modality("whisker_motion_energy", "Whisker motion energy", Likelihood.GAUSSIAN, "a.u."),
        Modality("pupil", "Pupil", Likelihood.GAUSSIAN, "px"),
        Modality("paw_speed", "Paw speed", Likelihood.GAUSSIAN, "px/s"),
    )
}
PUBLISHED = ("choice", "block", "wheel_speed", "whisker_motion_energy")  # the behaviors of NEDS


def class_of(modality: Modality, values: Float[ndarray, " K"]) -> Int[ndarray, " K"]:
    """Class number of each trial's value; UNKNOWN (-1) for NaN and for values of no class, such as a no-go choice.

    A contrast counts by its side, whatever its strength; raises ValueError for a modality without classes.
    """
    if not modality.static:
        raise ValueError(f"{modality.name} is a trace; it has no classes")
    values = np.asarray(values, dtype=np.float64)
    if modality.name == "contrast":
        values = np.where(np.isfinite(values), np.sign(values) * (np.abs(values) > 1e-6), np.nan)
    distance = np.abs(values[:, None] - np.array(modality.values))
    nearest = np.where(np.isfinite(distance), distance, np.inf).argmin(axis=1)
    # Blocks are .2 and .8 in single precision.
    fits = np.nan_to_num(distance[np.arange(len(values)), nearest], nan=np.inf) < 1e-3
    return np.where(fits, nearest, UNKNOWN)


def known(modality: Modality, values: Float[ndarray, "K ..."]) -> ndarray:
    """Where values can be read or scored: flags (K,) of a static modality, (K, T) of a trace."""
    return class_of(modality, values) != UNKNOWN if modality.static else np.isfinite(values)


def present(behaviors: Mapping[str, ndarray], train: ndarray) -> tuple[str, ...]:
    """Names of the behaviors that a session has, in the order of the table.

    train: positions or flags of the training trials, by which alone it is decided: known in enough of them, and not
    the same in all.
    """
    found = []
    for name, modality in BEHAVIORS.items():
        if name not in behaviors:
            continue
        values = np.asarray(behaviors[name])[train]
        flags = known(modality, values)
        n_trials = int((flags if modality.static else flags.any(axis=1)).sum())
        seen = class_of(modality, values)[flags] if modality.static else values[flags]
        if n_trials >= FEWEST_KNOWN and _varies(seen):
            found.append(name)
    return tuple(found)


def _varies(seen: ndarray) -> bool:
    """Beyond the rounding of single precision: a trace is divided by its standard deviation."""
    return float(np.std(seen, dtype=np.float64)) > 1e-6 * float(np.abs(seen).max(initial=0))

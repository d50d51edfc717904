"""Orders of trials for rasters: by what was observed, or, said plainly, by what was predicted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from .trials import NeuronTrials


class SortKey(str, Enum):
    """What trials are sorted by. Only PREDICTED_RATE looks at the prediction, which such an order flatters."""

    TRIAL = "trial number"
    RESPONSE_TIME = "response time"
    REACTION_TIME = "reaction time"
    WHEEL_SPEED = "wheel speed"
    CHOICE = "choice"
    STIMULUS = "stimulus"
    RECORDED_RATE = "recorded rate"
    PREDICTED_RATE = "predicted rate"


@dataclass(frozen=True, eq=False)
class TrialOrder:
    """Positions of the trials from first to last; equal values stay in the order of trials, unknown ones come last."""

    key: SortKey
    unit: str
    positions: Int[ndarray, " K"]
    values: Float[ndarray, " K"]  # of the key, per trial and not in this order; NaN where unknown
    n_unknown: int


def _behavior(neuron: NeuronTrials, name: str) -> ndarray | None:
    """One value per trial: the mean over bins of a stream."""
    values = neuron.behaviors.get(name)
    if values is None or np.ndim(values) == 1:
        return values
    known = np.isfinite(values)
    n = known.sum(axis=1)
    return np.divide(np.where(known, values, 0.0).sum(axis=1), n, out=np.full(len(n), np.nan), where=n > 0)


def _reaction_time(neuron: NeuronTrials) -> ndarray | None:
    """From stimulus to the first movement of the wheel."""
    columns = ("firstMovement_times", "stimOn_times")
    if not set(columns) <= set(neuron.table.columns):
        return None
    moved, seen = (neuron.table[name].to_numpy(dtype=np.float64) for name in columns)
    return moved - seen


def _mean_rate(neuron: NeuronTrials, per_bin: ndarray) -> ndarray:
    """Over the scored bins, Hz."""
    n = neuron.scored.sum(axis=1)
    spikes = np.where(neuron.scored, per_bin, 0.0).sum(axis=1)
    return np.divide(spikes, n * neuron.bin_size, out=np.full(len(n), np.nan), where=n > 0)


_READ: dict[SortKey, tuple[str, Callable[[NeuronTrials], ndarray | None]]] = {
    SortKey.TRIAL: ("", lambda neuron: neuron.table.index.to_numpy(dtype=np.float64)),
    SortKey.RESPONSE_TIME: ("s", lambda neuron: _behavior(neuron, "response_time")),
    SortKey.REACTION_TIME: ("s", _reaction_time),
    SortKey.WHEEL_SPEED: ("rad/s, mean over the window", lambda neuron: _behavior(neuron, "wheel_speed")),
    SortKey.CHOICE: ("right to left", lambda neuron: _behavior(neuron, "choice")),
    SortKey.STIMULUS: ("contrast, left to right", lambda neuron: _behavior(neuron, "contrast")),
    SortKey.RECORDED_RATE: ("Hz", lambda neuron: _mean_rate(neuron, neuron.counts)),
    SortKey.PREDICTED_RATE: ("Hz", lambda neuron: _mean_rate(neuron, neuron.rates)),
}


def sort_keys(neuron: NeuronTrials) -> tuple[SortKey, ...]:
    """The keys that this recording knows in at least one trial."""
    return tuple(key for key in SortKey if _known(_READ[key][1](neuron)))


def _known(values: ndarray | None) -> bool:
    return values is not None and bool(np.isfinite(values).any())


def trial_order(neuron: NeuronTrials, key: SortKey) -> TrialOrder:
    """Order of the trials by one key; raises ValueError if the recording does not know it."""
    unit, read = _READ[key]
    values = read(neuron)
    if not _known(values):
        raise ValueError(f"the recording has no {key.value}; choose one of {', '.join(sort_keys(neuron))}")
    values = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    unknown = int(np.isnan(values).sum())
    return TrialOrder(key, unit, np.argsort(values, kind="stable"), values, unknown)

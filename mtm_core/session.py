"""What a recording is (`Session`) and what an analysis sees of it (`Trials`).

Axes, here and everywhere: K trials, B batch, T bins, N neurons, D width. Times are in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Num
from numpy import ndarray

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Coverage:
    """Where spikes exist around an event. Outside it there is no data, which is not silence."""

    event: str  # column of the trials table, for example stimOn_times
    start: float  # s relative to the event
    end: float  # s
    bin_size: float  # s; finest bin the source supports (0.0: true spike times)


@dataclass(frozen=True, eq=False)
class TrueRates:
    """Rates that generated a simulated session: the ceiling of every score."""

    rates_hz: ndarray  # (K, T, N) float32, spikes per second
    event: str
    start: float  # s, left edge of the first bin relative to the event
    bin_size: float  # s


@dataclass(frozen=True, eq=False)
class Session:
    """One recording, whatever file it came from.

    spike_times are sorted; spike_units[i] is the row of `units` that fired spike i.
    units: uuid, region (Allen acronym), probe, depth (um, NaN if unknown), quality (0..1, NaN if unknown).
    trials: IBL column names (stimOn_times, choice, feedbackType, ...); unknown columns are absent.
    behaviors: name -> (times in s, values); wheel_speed rad/s, whisker_motion_energy and pupil in source units.
    problems: one sentence each on what the reader found wrong and did about it.
    """

    id: str
    subject: str
    date: str
    number: int
    source: str  # "ibl" or "simulated"
    spike_times: ndarray
    spike_units: ndarray
    units: pd.DataFrame
    trials: pd.DataFrame
    behaviors: dict[str, tuple[ndarray, ndarray]] = field(default_factory=dict)
    coverage: Coverage | None = None
    true_rates: TrueRates | None = None
    problems: tuple[str, ...] = ()

    @property
    def n_neurons(self) -> int:
        return len(self.units)

    @property
    def n_trials(self) -> int:
        return len(self.trials)

    def align(
        self,
        event: str = "stimOn_times",
        window: tuple[float, float] = (-0.5, 1.5),
        bin_size: float = 0.02,
        region_level: str = "beryl",
    ) -> Trials:
        """Cut trials around an event; see `mtm_core.data.alignment.align` for rules and errors."""
        # data imports session, so the function lives there and is looked up late.
        from .data.alignment import align

        return align(self, event, window, bin_size, region_level)


@dataclass(frozen=True, eq=False)
class Trials:
    """Spike counts and behaviors of one session on a common grid of bins around an event.

    counts[k, t, n] is the number of spikes of neuron n in [event + window[0] + t * bin_size, + bin_size).
    valid[k, t] is False where the recording holds no data: such bins are hidden from models and never scored.
    behaviors: name -> (K, T) on the bins, or (K,) per trial; NaN where unknown. choice +1 left, -1 right, 0 no-go;
    contrast in -1..1 (right minus left); block = probability of a left stimulus; reward 0 or 1.
    table: the kept rows of the session's trials; its index is the trial number in the recording.
    excluded: reason -> number of trials left out.
    split: "train", "validation" or "test" per trial.
    true_rates: expected counts per bin of a simulated session, else None.
    """

    session_id: str
    counts: Num[ndarray, "K T N"]
    valid: Bool[ndarray, "K T"]
    bin_size: float
    window: tuple[float, float]
    event: str
    unit_ids: ndarray
    regions: ndarray
    region_level: str
    behaviors: dict[str, ndarray]
    table: pd.DataFrame
    excluded: dict[str, int]
    split: ndarray
    true_rates: Float[ndarray, "K T N"] | None = None

    @property
    def n_trials(self) -> int:
        return self.counts.shape[0]

    @property
    def n_bins(self) -> int:
        return self.counts.shape[1]

    @property
    def n_neurons(self) -> int:
        return self.counts.shape[2]

    @property
    def bin_starts(self) -> Float[ndarray, "T"]:
        """Left edges of the bins, s relative to the event."""
        return self.window[0] + self.bin_size * np.arange(self.n_bins)

    def select(self, chosen: str | ndarray) -> Trials:
        """The trials of one split, or at the given positions (int) or flags (bool)."""
        keep = np.flatnonzero(self.split == chosen) if isinstance(chosen, str) else np.arange(self.n_trials)[chosen]
        return replace(
            self,
            counts=self.counts[keep],
            valid=self.valid[keep],
            behaviors={name: values[keep] for name, values in self.behaviors.items()},
            table=self.table.iloc[keep],
            split=self.split[keep],
            true_rates=None if self.true_rates is None else self.true_rates[keep],
        )


def identity(trials: Trials) -> dict[str, Any]:
    """What a score or a checkpoint must say about its data, as JSON: equal exactly if data and split are equal."""
    # Which trial is in which split: labels alone would agree for trials that are shifted by one.
    places = [f"{trial} {label}" for trial, label in zip(trials.table.index, trials.split, strict=True)]
    return {
        "session": trials.session_id,
        "event": trials.event,
        "window": list(trials.window),
        "bin_size": trials.bin_size,
        "region_level": trials.region_level,
        "n_trials": trials.n_trials,
        "n_neurons": trials.n_neurons,
        "n_per_split": {name: int((trials.split == name).sum()) for name in SPLITS},
        "counts_sha256": sha256(np.ascontiguousarray(trials.counts).tobytes()).hexdigest(),
        "split_sha256": sha256("\n".join(places).encode()).hexdigest(),
    }

"""Spike counts on a grid of bins: binary search for the bin edges, then one bincount per trial.

Edges are whole nanoseconds, so a window shifted by whole bins gives the same counts shifted, and no division decides
where a spike belongs. Recordings store times as float seconds: a spike at sample k of 30 kHz and an edge at the same
instant differ in the last bit. Each edge is therefore lowered by half a nanosecond before it is compared: a spike that
rounds to the edge is in the bin that begins there, whichever way the float fell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt
from numpy import ndarray

NS_PER_S = 1e9
HALF_NS = 0.5e-9  # s


@dataclass(frozen=True, eq=False)
class Grid:
    """n_bins half-open bins of bin_size seconds from each of starts (K,), in seconds; windows may overlap.

    bin_size is rounded to whole nanoseconds: after 100 bins of 1/60 s the last edge is off by 33 ns.
    """

    starts: Float[ndarray, " K"]
    bin_size: float
    n_bins: int

    def __post_init__(self) -> None:
        if not np.isfinite(self.starts).all():
            raise ValueError("a bin grid needs finite start times; leave out trials whose event time is missing")
        if round(self.bin_size * NS_PER_S) < 1 or self.n_bins < 1:
            raise ValueError(f"{self.n_bins} bins of {self.bin_size} s: give at least one bin of at least 1 ns")

    @property
    def centers(self) -> Float[ndarray, "K T"]:
        """Middle of every bin, s."""
        return np.asarray(self.starts)[:, None] + (np.arange(self.n_bins) + 0.5) * self.bin_size

    @property
    def edges(self) -> Float[ndarray, "K edges"]:
        """Edges that decide where a spike belongs: whole nanoseconds less half a nanosecond, in s."""
        first = np.rint(np.asarray(self.starts, dtype=np.float64) * NS_PER_S).astype(np.int64)
        steps = np.arange(self.n_bins + 1) * np.int64(round(self.bin_size * NS_PER_S))
        return (first[:, None] + steps) / NS_PER_S - HALF_NS


def count_spikes(
    spike_times: Float[ndarray, " S"], spike_units: Int[ndarray, " S"], n_units: int, grid: Grid
) -> UInt[ndarray, "K T N"]:
    """Number of spikes of each unit in each bin of each trial.

    spike_times in seconds, sorted; spike_units in 0..n_units-1. The result is uint8 and widens to uint16 or uint32 as
    soon as one count needs it: a count never wraps. Raises ValueError if lengths differ or a unit is out of range.
    """
    _check_units(spike_times, spike_units, n_units)
    edges = grid.edges
    windows = np.searchsorted(spike_times, edges[:, [0, -1]])
    first_cell = np.arange(grid.n_bins) * n_units
    counts = np.zeros((len(edges), grid.n_bins * n_units), dtype=np.uint8)
    for trial, (begin, end) in enumerate(windows):
        # Searching the trial's own spikes keeps the search in the processor's cache.
        per_bin = np.diff(np.searchsorted(spike_times[begin:end], edges[trial]))
        cells = np.repeat(first_cell, per_bin)
        cells += spike_units[begin:end]
        # No unit fires more than its whole bin holds: hardly a trial can overflow, and the others count in place.
        if per_bin.max() <= np.iinfo(counts.dtype).max:
            np.add.at(counts[trial], cells, counts.dtype.type(1))
            continue
        found = np.bincount(cells, minlength=counts.shape[1])
        counts = counts.astype(np.promote_types(counts.dtype, np.min_scalar_type(found.max())), copy=False)
        counts[trial] = found
    return counts.reshape(len(edges), grid.n_bins, n_units)


def _check_units(spike_times: ndarray, spike_units: ndarray, n_units: int) -> None:
    """An index out of range would be counted for another unit in another bin."""
    if len(spike_times) != len(spike_units):
        raise ValueError(f"{len(spike_times)} spike times but {len(spike_units)} unit numbers; give one per spike")
    if len(spike_units) and not (spike_units.min() >= 0 and spike_units.max() < n_units):
        raise ValueError(f"unit numbers run from {spike_units.min()} to {spike_units.max()}; expected 0..{n_units - 1}")

"""Behaviors on the bins of trials: streams interpolated to bin centers, and one value per trial from the table."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from .binning import Grid

EDGE = 1e-9  # s; a sample on an edge is in the bin that begins there, whichever way the float fell


def sample_stream(times: Float[ndarray, " S"], values: Float[ndarray, " S"], grid: Grid) -> Float[ndarray, "K T"]:
    """Values of a stream at the bin centers, linearly interpolated; NaN where the stream holds no data.

    times (s, sorted) and values must have one length; samples that are not finite count as absent.

    The bin center stands for the bin. (The MtM and NEDS code takes the right edge, which for a bin that a model must
    predict is already half a bin of the next one.)

    Data are interpolated only between neighbours that belong together: at most one bin, or two median sample intervals
    (one dropped frame), apart. Beside a longer gap the nearest sample counts if it lies inside the bin.
    """
    known = np.isfinite(times) & np.isfinite(values)
    times, values = np.asarray(times)[known], np.asarray(values)[known]
    centers = grid.centers
    if not len(times):
        return np.full(centers.shape, np.nan, dtype=np.float32)
    longest = max(grid.bin_size, 2 * np.median(np.diff(times))) if len(times) > 1 else grid.bin_size
    after = np.searchsorted(times, centers)
    left, right = np.maximum(after - 1, 0), np.minimum(after, len(times) - 1)
    inside = (after > 0) & (after < len(times))
    joined = inside & (times[right] - times[left] <= longest + EDGE)
    nearest = np.where(np.abs(times[left] - centers) <= np.abs(times[right] - centers), left, right)
    offset, half = times[nearest] - centers + EDGE, grid.bin_size / 2
    in_bin = (offset >= -half) & (offset < half)
    at_nearest = np.where(in_bin, values[nearest], np.nan)
    return np.where(joined, np.interp(centers, times, values), at_nearest).astype(np.float32)


def trial_behaviors(table: pd.DataFrame) -> dict[str, Float[ndarray, " K"]]:
    """choice, block, contrast, reward and response_time, as far as the table has their columns; NaN where unknown."""
    found: dict[str, ndarray] = {}
    columns = {name: column.to_numpy(dtype=np.float64) for name, column in table.items() if name in _NEEDED}
    if "choice" in columns:
        found["choice"] = columns["choice"]
    if "probabilityLeft" in columns:
        found["block"] = columns["probabilityLeft"]
    if {"contrastLeft", "contrastRight"} <= columns.keys():
        # The IBL writes NaN on the side without a stimulus.
        found["contrast"] = np.nan_to_num(columns["contrastRight"]) - np.nan_to_num(columns["contrastLeft"])
    if "feedbackType" in columns:
        feedback = columns["feedbackType"]
        found["reward"] = np.where(np.isfinite(feedback), feedback > 0, np.nan)
    if {"response_times", "stimOn_times"} <= columns.keys():
        found["response_time"] = columns["response_times"] - columns["stimOn_times"]
    return {name: values.astype(np.float32) for name, values in found.items()}


_NEEDED = {
    "choice",
    "probabilityLeft",
    "contrastLeft",
    "contrastRight",
    "feedbackType",
    "response_times",
    "stimOn_times",
}

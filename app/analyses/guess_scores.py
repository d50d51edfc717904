"""How good a drawn guess is, and all guesses of a visitor so far, beside those of others on the same spikes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from mtm_core.evaluation.metrics import SMALLEST_RATE, bits_per_spike

FLOOR_HZ = 0.5  # a drawn rate below counts as this: at 0 a single spike would cost more than all the rest can win
YOU, SHAPE = "you", "shape"
OTHERS = ("model", "ridge", "psth", "mean", "true")
FEWEST = 3  # rounds for an interval


@dataclass(frozen=True)
class Total:
    """Mean over rounds, and its 95 % interval (Student's t); none with fewer than FEWEST rounds."""

    mean: float
    interval: tuple[float, float] | None
    n: int


def floored(drawn: np.ndarray, bin_size: float) -> np.ndarray:
    """(T,) expected spikes per bin of a drawing, none below the floor; raises ValueError for what is no rate."""
    drawn = np.asarray(drawn, dtype=np.float64)
    if not np.isfinite(drawn).all() or (drawn < 0).any():
        raise ValueError("a drawing holds rates of 0 Hz or more")
    return np.maximum(drawn, FLOOR_HZ * bin_size)


def shape_of(drawn: np.ndarray, bin_size: float, mean: float) -> np.ndarray:
    """The same drawing, scaled so that its mean is the neuron's usual one: what its ups and downs alone are worth."""
    drawn = floored(drawn, bin_size)
    return floored(drawn * (mean / drawn.mean()), bin_size)


def bits_of(counts: np.ndarray, rates: np.ndarray, scored: np.ndarray, mean: float) -> float:
    """Bits per spike of (T,) rates above the training mean in the scored bins of one trial; NaN without a spike."""
    columns = (np.asarray(each)[:, None] for each in (rates, counts, scored))
    rates, counts, scored = columns
    return float(bits_per_spike(np.maximum(rates, SMALLEST_RATE), counts, np.array([mean]), scored)[0])


def total(bits: Sequence[float]) -> Total:
    """Of the rounds that could be scored."""
    values = np.array([each for each in bits if np.isfinite(each)])
    if not values.size:
        return Total(float("nan"), None, 0)
    mean = float(values.mean())
    if values.size < FEWEST:
        return Total(mean, None, values.size)
    half = float(student.ppf(0.975, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size))
    return Total(mean, (mean - half, mean + half), values.size)

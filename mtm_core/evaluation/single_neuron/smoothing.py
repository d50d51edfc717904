"""Smoothing of single trials in time."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Num
from numpy import ndarray
from scipy.ndimage import gaussian_filter1d


def smoothed(values: Num[ndarray, "K T"], scored: Bool[ndarray, "K T"], width: float) -> Float[ndarray, "K T"]:
    """Gaussian of `width` bins over the scored bins of each trial, weights renewed at gaps and ends; 0 elsewhere."""
    known = np.where(scored, values, 0.0).astype(np.float64)
    if width <= 0:
        return known
    total = gaussian_filter1d(known, width, axis=1, mode="constant")
    weight = gaussian_filter1d(scored.astype(np.float64), width, axis=1, mode="constant")
    return np.divide(total, weight, out=np.zeros_like(total), where=scored)

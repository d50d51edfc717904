"""Reduce images to the pixels that show them.

A browser draws an image with more rows than pixels by leaving rows out: a single neuron, hidden or bright, disappears.
The maximum of each block of rows keeps every one of them visible.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray


def block_starts(low: int, high: int, n_most: int) -> ndarray:
    """First index of each of at most n_most blocks that cover low..high (end excluded)."""
    n_blocks = max(1, min(high - low, n_most))
    return low + (np.arange(n_blocks) * (high - low)) // n_blocks


def block_max(image: ndarray, rows: ndarray, columns: ndarray, end: int) -> ndarray:
    """Maximum over blocks of rows and columns; rows stop at `end`, columns go on to the last."""
    by_row = np.maximum.reduceat(image[:end], rows, axis=0)
    return np.maximum.reduceat(by_row, columns, axis=1)

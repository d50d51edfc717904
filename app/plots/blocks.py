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


def value_of_max(values: ndarray, image: ndarray, rows: ndarray, columns: ndarray, end: int) -> ndarray:
    """Value of the entry that `block_max(image, ...)` shows for each block; of equals, the largest value."""
    low, n_columns = rows[0], image.shape[1]
    if rows.size == end - low and columns.size == n_columns:
        return values[low:end]
    shown = block_max(image, rows, columns, end)
    shown = np.repeat(shown, np.diff([*rows, end]), axis=0)
    shown = np.repeat(shown, np.diff([*columns, n_columns]), axis=1)
    chosen = np.where(image[low:end] == shown, values[low:end], 0)
    return block_max(chosen, rows - low, columns, end - low)

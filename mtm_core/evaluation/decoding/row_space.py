"""Trials in the space they span: 70,000 features and 300 trials become 300 numbers per trial, and nothing is lost.

A linear decoder with an L2 penalty never uses a direction in which no training trial extends: such a weight costs
penalty and changes no training prediction. So training trials X = L Q (Q orthonormal rows) may be replaced by L, test
trials Y by Y Q^T, and logistic and ridge regression give the same predictions as with all features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray


@dataclass(frozen=True, eq=False)
class RowSpace:
    """Training and test trials, and what was fitted (on training trials alone) to get there."""

    train: Float[ndarray, "n r"]
    test: Float[ndarray, "m r"]
    mean: Float[ndarray, " F"]
    scale: Float[ndarray, " F"]

    @property
    def unit(self) -> float:
        """Mean squared length of a training trial: penalties are in this unit, or they would depend on F."""
        return max(float(np.mean(np.sum(self.train**2, axis=1))), np.finfo(float).tiny)


def row_space(train: Float[ndarray, "n F"], test: Float[ndarray, "m F"], standardized: bool = True) -> RowSpace:
    """Rotate trials onto the row space of the training trials; in double precision.

    standardized: first subtract the mean and divide by the standard deviation of the training trials, as scikit-learn's
    StandardScaler does; a feature that is constant there is left out, as no weight could be learned for it.
    """
    n_features = train.shape[1]
    mean, scale = np.zeros(n_features), np.ones(n_features)
    if standardized:
        mean, deviation = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
        # Rounding makes a constant column vary in its last digit, which must not be blown up to variance one.
        varies = deviation > 1e-6 * np.maximum(np.abs(mean), 1e-6)
        scale = np.where(varies, deviation, np.inf)
    basis, triangle = np.linalg.qr(((train - mean) / scale).T)
    return RowSpace(triangle.T, ((test - mean) / scale) @ basis, mean, scale)

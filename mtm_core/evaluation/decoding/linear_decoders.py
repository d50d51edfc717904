"""Logistic and ridge regression for trials in their row space, many penalties and many labels on the same trials.

Penalties are the factor of the squared weights: scikit-learn's `C` is 1 / penalty in its logistic regression, and its
`alpha` is the penalty of its ridge regression. Solutions agree with scikit-learn's; its own solvers took ten times as
long, and a null repeats the search for penalties dozens of times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

MOST_STEPS = 100
CONVERGED = 1e-10  # relative change of the objective


@dataclass(frozen=True, eq=False)
class Logistic:
    """A fitted logistic regression."""

    weights: Float[ndarray, " r"]
    intercept: float

    def probabilities(self, trials: Float[ndarray, "m r"]) -> Float[ndarray, " m"]:
        """Probability of label 1."""
        return expit(trials @ self.weights + self.intercept)


@dataclass(frozen=True, eq=False)
class _Dual:
    """A solution as one number per training trial: weights are the sum of the trials times these numbers."""

    trials: Float[ndarray, " n"]
    intercept: float


def logistic_path(
    train: Float[ndarray, "n r"], labels: Float[ndarray, " n"], penalties: Sequence[float], balanced: bool = True
) -> Iterator[Logistic]:
    """L2-penalized logistic regression. balanced: both classes weigh the same, however many trials they have.

    labels are 0 or 1, both present. Penalties should fall, as each solution starts from the one before.
    """
    share = labels.mean() if balanced else 0.5
    importance = np.where(labels == 1, 0.5 / share, 0.5 / (1 - share))  # as class_weight="balanced"
    kernel, found = train @ train.T, _Dual(np.zeros(len(labels)), 0.0)
    for penalty in penalties:
        found = _newton(kernel, labels, importance, penalty, found)
        yield Logistic(train.T @ found.trials, found.intercept)


def _newton(kernel: ndarray, labels: ndarray, importance: ndarray, penalty: float, start: _Dual) -> _Dual:
    """Newton's method with step halving, on the objective
    sum of importance * log loss + penalty / 2 * |weights|^2 (Rasmussen & Williams 2006, algorithm 3.1, which has no
    intercept)."""
    now, value = start, _objective(kernel, labels, importance, penalty, start)
    for _ in range(MOST_STEPS):
        goal, size = _newton_goal(kernel, labels, importance, penalty, now), 1.0
        while True:
            step = _Dual(
                now.trials + size * (goal.trials - now.trials),
                now.intercept + size * (goal.intercept - now.intercept),
            )
            new = _objective(kernel, labels, importance, penalty, step)
            if new <= value or size < 1e-6:
                break
            size /= 2
        converged = value - new <= CONVERGED * abs(new)
        now, value = step, new
        if converged:
            break
    return now


def _objective(kernel: ndarray, labels: ndarray, importance: ndarray, penalty: float, at: _Dual) -> float:
    pull = kernel @ at.trials
    margin = np.where(labels == 1, 1.0, -1.0) * (pull + at.intercept)
    return float(importance @ np.logaddexp(0.0, -margin) + penalty / 2 * at.trials @ pull)


def _newton_goal(kernel: ndarray, labels: ndarray, importance: ndarray, penalty: float, at: _Dual) -> _Dual:
    """Minimum of the quadratic approximation: a weighted ridge regression with an intercept."""
    decision = kernel @ at.trials + at.intercept
    probability = expit(decision)
    # A trial that is beyond doubt has no curvature; the floor keeps the division below finite.
    root = np.sqrt(importance * np.maximum(probability * (1 - probability), 1e-12))
    system = root[:, None] * kernel * root
    system[np.diag_indices_from(system)] += penalty
    factor = cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
    working = root * decision + importance * (labels - probability) / root
    of_working, of_ones = cho_solve(factor, np.column_stack([working, root]), check_finite=False).T
    intercept = float(root @ of_working / (root @ of_ones))
    return _Dual(root * (of_working - intercept * of_ones), intercept)


@dataclass(frozen=True, eq=False)
class RidgePath:
    """Ridge regressions of any targets with any penalty on the same trials: one decomposition serves all of them."""

    mean: Float[ndarray, " r"]
    left: Float[ndarray, "n s"]  # singular vectors of the centered training trials, and values
    values: Float[ndarray, " s"]
    right: Float[ndarray, "s r"]

    @classmethod
    def of(cls, train: Float[ndarray, "n r"]) -> RidgePath:
        mean = train.mean(axis=0)
        return cls(mean, *np.linalg.svd(train - mean, full_matrices=False))

    def predictions(
        self, targets: Float[ndarray, "n T"], trials: Float[ndarray, "m r"], penalties: Sequence[float]
    ) -> Iterator[Float[ndarray, "m T"]]:
        """Predicted targets of `trials` for each penalty; the intercept is not penalized."""
        average = targets.mean(axis=0)
        along = self.left.T @ (targets - average)
        turned = (trials - self.mean) @ self.right.T
        # With penalty 0 and more features than trials the shortest weights are wanted, without flat directions.
        extent = np.where(self.values > 1e-10 * self.values.max(initial=0.0), self.values, np.inf)
        for penalty in penalties:
            yield average + turned @ (along / (extent + penalty / extent)[:, None])

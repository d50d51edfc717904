"""How well behavior was decoded, per set of trials: point estimates are the same sums with every trial once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Num, Shaped
from numpy import ndarray

from ..bootstrap import interval, resamples

SEED = 0  # of the resampling, so that the same predictions have the same intervals


@dataclass(frozen=True)
class Measured:
    """The headline number and its companion, with 95 % intervals over resampled test trials."""

    score: float
    second: float
    ci: tuple[float, float]
    second_ci: tuple[float, float]


@dataclass(frozen=True)
class Measures:
    """Names and functions of two numbers. A function takes truth, prediction and trial weights (R, K), gives (R,)."""

    metric: str
    second: str
    chance: float
    of_score: Callable[[ndarray, ndarray, ndarray], ndarray]
    of_second: Callable[[ndarray, ndarray, ndarray], ndarray]

    def point(self, truth: ndarray, predicted: ndarray) -> tuple[float, float]:
        once = np.ones((1, len(truth)))
        return tuple(float(of(truth, predicted, once)[0]) for of in (self.of_score, self.of_second))

    def with_intervals(self, truth: ndarray, predicted: ndarray) -> Measured:
        weights = resamples(len(truth), np.random.default_rng(SEED))
        score, second = self.point(truth, predicted)
        bounds = [interval(of(truth, predicted, weights)) for of in (self.of_score, self.of_second)]
        return Measured(score, second, *(tuple(map(float, pair)) for pair in bounds))

    def difference(self, truth: ndarray, predicted: ndarray, other: ndarray) -> tuple[float, tuple[float, float]]:
        """By how much one prediction of the same trials scores higher than another; trials are resampled together."""
        weights = resamples(len(truth), np.random.default_rng(SEED))
        low, high = interval(self.of_score(truth, predicted, weights) - self.of_score(truth, other, weights))
        return self.point(truth, predicted)[0] - self.point(truth, other)[0], (float(low), float(high))


def balanced_accuracy(
    labels: Float[ndarray, "K"], probability: Float[ndarray, "K"], weights: Float[ndarray, "R K"]
) -> Float[ndarray, " R"]:
    """Mean over both classes of the share of their trials that is decoded right; NaN where a class is absent."""
    return mean_recall(labels, probability > 0.5, weights, np.arange(2))


def mean_recall(
    labels: Num[ndarray, "K"], named: Shaped[ndarray, "K"], weights: Float[ndarray, "R K"], classes: Int[ndarray, " C"]
) -> Float[ndarray, " R"]:
    """The same of any classes, of which every trial has one and was decoded as one."""
    with np.errstate(invalid="ignore"):
        shares = [(weights * (named == labels)) @ of / (weights @ of) for of in (labels == each for each in classes)]
    return sum(shares) / len(shares)


def accuracy(
    labels: Float[ndarray, "K"], probability: Float[ndarray, "K"], weights: Float[ndarray, "R K"]
) -> Float[ndarray, " R"]:
    """Share of trials that is decoded right."""
    return weights @ ((probability > 0.5) == (labels == 1)) / weights.sum(axis=1)


def roc_auc(
    labels: Float[ndarray, "K"], probability: Float[ndarray, "K"], weights: Float[ndarray, "R K"]
) -> Float[ndarray, " R"]:
    """Chance that a random trial of class 1 gets a higher probability than one of class 0; ties count half."""
    ones, zeros = labels == 1, labels == 0
    above = np.sign(probability[ones][:, None] - probability[zeros]) / 2 + 0.5
    up, down = weights[:, ones], weights[:, zeros]
    with np.errstate(invalid="ignore"):
        return np.sum((up @ above) * down, axis=1) / (up.sum(axis=1) * down.sum(axis=1))


def r2(
    values: Float[ndarray, "K T"], predicted: Float[ndarray, "K T"], weights: Float[ndarray, "R K"]
) -> Float[ndarray, " R"]:
    """Explained share of the variance over all known (not NaN) bins of all trials (`r2_score` of these)."""
    known = np.isfinite(values)
    n = weights @ known.sum(axis=1)
    offset = values[known].mean()  # without it the difference below would cancel most digits of a pupil of 30 px
    first, square = (weights @ np.where(known, (values - offset) ** power, 0.0).sum(axis=1) for power in (1, 2))
    error = weights @ np.where(known, (values - predicted) ** 2, 0.0).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return 1 - error / (square - first**2 / n)


def r2_beyond(average: Float[ndarray, "T"]) -> Callable[[ndarray, ndarray, ndarray], ndarray]:
    """R2 after the average trace of the training trials was subtracted from truth and prediction (NEDS, arXiv
    2504.08201, section 5): what is known of single trials beyond what is alike in all of them."""
    return lambda values, predicted, weights: r2(values - average, predicted - average, weights)


BALANCED = Measures("balanced accuracy", "auc", 0.5, balanced_accuracy, roc_auc)
PLAIN = Measures("accuracy", "auc", 0.5, accuracy, roc_auc)


def of_stream(average: Float[ndarray, "T"]) -> Measures:
    return Measures("R2", "r2_residual", 0.0, r2, r2_beyond(average))

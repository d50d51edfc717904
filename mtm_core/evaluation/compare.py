"""Is one prediction better than another? Paired over neurons and trials, and only where both answered one question."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import binomtest

from .bootstrap import interval, resamples
from .score import SEED, Interval, Score

# What may differ: who predicted, and how it was asked. All else makes two numbers answers to different questions.
MAY_DIFFER = {"model", "path", "prompt", "exact", "group_size", "precision"}


class NotComparable(ValueError):
    """Two scores of different protocol."""


@dataclass(frozen=True)
class Comparison:
    """First minus second, bits per spike against the test mean, over the neurons that both scored."""

    n: int
    mean_difference: float
    mean_ci: Interval
    median_difference: float
    pooled_difference: float
    pooled_ci: Interval
    n_better: int  # neurons that the first predicts better
    n_worse: int
    p_sign: float  # two-sided sign test over neurons; they share trials, so it is too sure of itself


def differing(a: Score, b: Score) -> dict[str, tuple[object, object]]:
    """Protocol entries in which two scores differ though they should not: name -> both values."""
    names = (a.protocol.keys() | b.protocol.keys()) - MAY_DIFFER
    pairs = {name: (a.protocol.get(name), b.protocol.get(name)) for name in sorted(names)}
    found = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if a.task != b.task:
        found["task"] = (a.task, b.task)
    if not np.array_equal(a.who.unit_ids, b.who.unit_ids):
        found["neurons"] = (len(a.who.unit_ids), len(b.who.unit_ids))
    return found


def compare(a: Score, b: Score) -> Comparison:
    """Paired difference of two scores; raises NotComparable with the reasons, ValueError if no neuron has both."""
    if found := differing(a, b):
        reasons = "; ".join(f"{name}: {first} and {second}" for name, (first, second) in found.items())
        raise NotComparable(f"these scores answer different questions ({reasons}); score both with one protocol")
    both, asked = np.isfinite(a.bits) & np.isfinite(b.bits), (a.total.n_entries > 0) & (b.total.n_entries > 0)
    if not both.any():
        raise ValueError(f"no neuron has a score in both; is {a.task} possible in this session?")
    difference = a.bits[both] - b.bits[both]
    n_better, n_worse = int((difference > 0).sum()), int((difference < 0).sum())
    weights, null = a.weights(), a.total.test_mean()
    # Both resample the same trials in the same order, so the difference of resamples is a resample of the difference.
    drawn = [each.sums.resampled_bits(weights)[:, both].mean(axis=1) for each in (a, b)]
    # Neurons that are silent count in what is pooled: with what was expected of them in vain.
    pooled = [each.sums.total(weights).pooled(null, asked) for each in (a, b)]
    return Comparison(
        n=int(both.sum()),
        mean_difference=float(difference.mean()),
        mean_ci=tuple(interval(drawn[0] - drawn[1]).tolist()),
        median_difference=float(np.median(difference)),
        pooled_difference=a.total.pooled(None, asked) - b.total.pooled(None, asked),
        pooled_ci=tuple(interval(pooled[0] - pooled[1]).tolist()),
        n_better=n_better,
        n_worse=n_worse,
        p_sign=float(binomtest(n_better, n_better + n_worse).pvalue) if n_better + n_worse else 1.0,
    )


def over_neurons(difference: Float[ndarray, " n"]) -> Interval | None:
    """95 % of the mean over neurons drawn anew: how far it would move with other neurons like these, same trials.

    None for fewer than two neurons. Neurons of one recording depend on each other, so it is too narrow.
    """
    if len(difference) < 2:
        return None
    weights = resamples(len(difference), np.random.default_rng(SEED))
    return tuple(interval(weights @ difference / len(difference)).tolist())

"""Scores as tables of numbers, for scripts and notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..regions import sort_regions
from .compare import Comparison
from .score import Interval, Score, Summary


def summary_table(scores: Mapping[str, Score]) -> pd.DataFrame:
    """One row per task: bits per spike of all neurons, with the ends of 95 % intervals. NaN: not measurable.

    mean, median and pooled compare with the mean of the scored entries; those that end in _train with the mean of the
    training trials.
    """
    return pd.DataFrame.from_dict({task: _row(score) for task, score in scores.items()}, orient="index")


def _row(score: Score) -> dict[str, Any]:
    own, train = score.summary, score.against_train_mean
    return {
        **_with_ends("mean", own.mean, own.mean_ci),
        **_with_ends("median", own.median, own.median_ci),
        **_with_ends("pooled", own.pooled, own.pooled_ci),
        "poisson_d2": _number(own.poisson_d2),
        "ceiling": _number(score.ceiling.mean),
        **_with_ends("mean_train", train.mean, train.mean_ci),
        **_with_ends("pooled_train", train.pooled, train.pooled_ci),
        **_who(own),
    }


def region_table(score: Score) -> pd.DataFrame:
    """One row per region, in the order of the Allen table: bits per spike against the mean of the scored entries."""
    rows = {}
    for region in sort_regions(score.who.regions):
        s = score.per_region[region]
        values = {"median": s.median, "pooled": s.pooled, "poisson_d2": s.poisson_d2}
        numbers = {name: _number(value) for name, value in values.items()}
        rows[region] = {**_with_ends("mean", s.mean, s.mean_ci), **numbers, **_who(s)}
    return pd.DataFrame.from_dict(rows, orient="index")


def comparison_table(comparisons: Mapping[str, Comparison]) -> pd.DataFrame:
    """One row per other prediction: the model's score minus its, paired over neurons and trials."""
    rows = {
        name: {
            **_with_ends("mean", c.mean_difference, c.mean_ci),
            **_with_ends("pooled", c.pooled_difference, c.pooled_ci),
            "n_better": c.n_better,
            "n_worse": c.n_worse,
            "p_sign": c.p_sign,
        }
        for name, c in comparisons.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _with_ends(name: str, value: float | None, ends: Interval | None) -> dict[str, float]:
    low, high = ends or (None, None)
    return {name: _number(value), f"{name}_low": _number(low), f"{name}_high": _number(high)}


def _who(s: Summary) -> dict[str, int]:
    return {"n": s.n, "n_silent": s.n_silent, "n_excluded": s.n_excluded}


def _number(value: float | None) -> float:
    return np.nan if value is None else value

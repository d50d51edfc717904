"""From one score to the tables that a page shows: of all neurons, by region, by neuron, and against a baseline."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mtm_core.evaluation.bootstrap import interval
from mtm_core.evaluation.compare import Comparison, NotComparable, compare
from mtm_core.evaluation.questions import exclusion
from mtm_core.evaluation.score import Ceiling, Score, Summary
from mtm_core.regions import region_color, sort_regions

from ..words import plain


@dataclass(frozen=True, eq=False)
class Against:
    """A baseline on the same task. Differences are the model's minus the baseline's, in bits per spike."""

    summary: Summary
    comparison: Comparison | None  # None: not comparable
    reason: str  # why not
    neurons: np.ndarray  # (N,) difference, NaN where one of the two has no score
    regions: pd.DataFrame  # by region: difference, low, high


@dataclass(frozen=True, eq=False)
class TaskTables:
    """One task. `regions` and `neurons` hold harmless text only."""

    task: str
    summary: Summary  # against the mean of the scored entries
    against_train_mean: Summary
    ceiling: Ceiling
    regions: pd.DataFrame  # in the order of the Allen table, by region: n, mean, low, high, median, ...
    neurons: pd.DataFrame  # in the order of the recording: neuron, region, status, bits_per_spike, ...
    colours: dict[str, str]  # region -> "#rrggbb"
    excluded: dict[str, int]  # reason -> neurons
    protocol: dict[str, Any]
    complete: bool
    against: dict[str, Against] = field(default_factory=dict)


def tables(score: Score) -> TaskTables:
    order = sort_regions(score.who.regions)
    return TaskTables(
        task=score.task,
        summary=score.summary,
        against_train_mean=score.against_train_mean,
        ceiling=score.ceiling,
        regions=_regions(score, order),
        neurons=_neurons(score),
        colours={plain(region): region_color(region) for region in order},
        excluded=_excluded(score),
        protocol=score.protocol,
        complete=score.complete,
    )


def _regions(score: Score, order: tuple[str, ...]) -> pd.DataFrame:
    rows = []
    for region in order:
        s = score.per_region[region]
        low, high = s.mean_ci or (None, None)
        values = (plain(region), s.n, s.mean, low, high, s.median, s.pooled, s.poisson_d2, s.n_silent, s.n_excluded)
        rows.append(values)
    names = ["region", "n", "mean", "low", "high", "median", "pooled", "poisson_d2", "n_silent", "n_excluded"]
    table = pd.DataFrame(rows, columns=names)
    numbers = names[2:8]
    return table.astype(dict.fromkeys(numbers, float))


def _neurons(score: Score) -> pd.DataFrame:
    table = score.neuron_table.copy()
    for name in ("region", "uuid"):
        table[name] = [plain(value) for value in table[name]]
    uuid = table.pop("uuid")
    table.insert(0, "neuron", np.arange(len(table)))
    return table.assign(uuid=uuid)


def _excluded(score: Score) -> dict[str, int]:
    who = score.who
    reasons = (
        exclusion(score.task, str(region), bool(able)) for region, able in zip(who.regions, who.eligible, strict=True)
    )
    return dict(Counter(filter(None, reasons)))


def against(mine: Score, other: Score) -> Against:
    """The paired difference of two scores, with the reason where there is none."""
    nothing = np.full(len(mine.bits), np.nan)
    try:
        found = compare(mine, other)
    except NotComparable as error:
        return Against(other.summary, None, str(error), nothing, _no_regions())
    except ValueError as error:  # no neuron has both
        return Against(other.summary, None, str(error), nothing, _no_regions())
    return Against(other.summary, found, "", mine.bits - other.bits, _region_differences(mine, other))


def _no_regions() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=float) for name in ("difference", "low", "high")})


def _region_differences(mine: Score, other: Score) -> pd.DataFrame:
    """Mean difference over the neurons of each region, with its interval over resampled trials."""
    difference = mine.bits - other.bits
    weights = mine.weights()
    resampled = mine.sums.resampled_bits(weights) - other.sums.resampled_bits(weights)
    rows = {}
    for region in np.unique(mine.who.regions):
        both = (mine.who.regions == region) & np.isfinite(difference)
        if both.any():
            low, high = interval(resampled[:, both].mean(axis=1))
            rows[plain(region)] = float(difference[both].mean()), float(low), float(high)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["difference", "low", "high"])

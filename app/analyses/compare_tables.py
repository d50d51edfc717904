"""From two scores of one protocol to what a page shows of their difference: over all, by region, by neuron."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mtm_core.evaluation.bootstrap import interval
from mtm_core.evaluation.compare import Comparison, over_neurons
from mtm_core.evaluation.score import Interval, Score
from mtm_core.regions import region_color, sort_regions

from ..words import plain
from .score_tables import against


@dataclass(frozen=True, eq=False)
class Pair:
    """Differences are B minus A, in bits per spike against the mean of the scored entries."""

    comparison: Comparison | None  # None: not comparable
    reason: str  # why not
    over_neurons: Interval | None  # of the mean difference, neurons drawn anew
    neurons: pd.DataFrame  # in the order of the recording: neuron, region, rate_hz, n_spikes, a, b, difference, ...
    regions: pd.DataFrame  # in the order of the Allen table; two intervals of each difference
    colours: dict[str, str]  # region -> "#rrggbb"
    n: int  # neurons of the recording
    n_scored: int
    n_silent: int
    n_excluded: int


def pair_of(a: Score, b: Score) -> Pair:
    """Both complete; whatever makes them incomparable becomes `reason`."""
    found = against(b, a)
    neurons = _neurons(a, b, found.neurons)
    status = neurons.status
    difference = found.neurons[np.isfinite(found.neurons)]
    return Pair(
        comparison=found.comparison,
        reason=found.reason,
        over_neurons=over_neurons(difference),
        neurons=neurons,
        regions=_regions(neurons, found.regions),
        colours={plain(region): region_color(region) for region in sort_regions(a.who.regions)},
        n=len(neurons),
        n_scored=len(difference),
        n_silent=int((status == "silent").sum()),
        n_excluded=int((status == "excluded").sum()),
    )


def _neurons(a: Score, b: Score, difference: np.ndarray) -> pd.DataFrame:
    """The interval of one neuron's difference is over trials."""
    weights = a.weights()
    low, high = interval(b.sums.resampled_bits(weights) - a.sums.resampled_bits(weights))
    table = a.neuron_table
    return pd.DataFrame(
        {
            "neuron": np.arange(len(table)),
            "region": [plain(name) for name in table.region],
            "status": table.status,
            "a": a.bits,
            "b": b.bits,
            "difference": difference,
            "low": low,
            "high": high,
            "n_spikes": table.n_spikes,
            "rate_hz": table.rate_hz,
            "uuid": [plain(name) for name in table.uuid],
        }
    )


def _regions(neurons: pd.DataFrame, differences: pd.DataFrame) -> pd.DataFrame:
    """differences: by region, with their interval over trials."""
    rows = []
    for region in sort_regions(neurons.region.unique()):
        inside = neurons[neurons.region == region]
        scored = inside[np.isfinite(inside.difference)]
        status = inside.status
        ends = over_neurons(scored.difference.to_numpy()) or (np.nan, np.nan)
        rows.append(
            {
                "region": region,
                "n": len(scored),
                "a": scored.a.mean(),
                "b": scored.b.mean(),
                "neurons_low": ends[0],
                "neurons_high": ends[1],
                "n_better": int((scored.difference > 0).sum()),
                "n_worse": int((scored.difference < 0).sum()),
                "n_silent": int((status == "silent").sum()),
                "n_excluded": int((status == "excluded").sum()),
            }
        )
    return pd.DataFrame(rows).join(differences, on="region")


@dataclass(frozen=True)
class Line:
    """One contender beside the others; differences are its score minus A's."""

    letter: str
    name: str
    score: Score | None  # None: refused, or not computed yet
    pair: Pair | None  # None for A, and where there is no score
    reason: str = ""  # why there is no score or no difference


COLUMNS = ("mean", "low", "high", "pooled", "difference", "trials_low", "trials_high", "neurons_low", "neurons_high")


def contender_table(lines: list[Line]) -> pd.DataFrame:
    """One row per contender; harmless text only."""
    return pd.DataFrame([_row(line) for line in lines])


def _row(line: Line) -> dict[str, object]:
    row: dict[str, object] = {"who": line.letter, "name": line.name, **dict.fromkeys(COLUMNS, np.nan)}
    row |= {"p_sign": np.nan, "n_better": np.nan, "n_worse": np.nan, "n": np.nan, "note": line.reason}
    if line.score is not None and line.score.summary.mean is not None:
        s = line.score.summary
        low, high = s.mean_ci or (np.nan, np.nan)
        row |= {"mean": s.mean, "low": low, "high": high, "pooled": s.pooled, "n": s.n}
    if line.pair is not None and (c := line.pair.comparison) is not None:
        row |= {"difference": c.mean_difference, "trials_low": c.mean_ci[0], "trials_high": c.mean_ci[1]}
        row |= {"n_better": c.n_better, "n_worse": c.n_worse, "p_sign": c.p_sign}
        low, high = line.pair.over_neurons or (np.nan, np.nan)
        row |= {"neurons_low": low, "neurons_high": high}
    return row

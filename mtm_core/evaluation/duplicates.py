"""Units that may be one neuron twice. A spike sorter splits neurons and sorts some spikes into two units; hiding one of
such a pair and showing the other lets a model copy the answer.

Two units are likely duplicates if one or both of these hold:

* neighbors: same probe, depths at most 20 um apart. Rows of Neuropixels sites are 20 um apart and a unit's depth is
  that of its largest site, so halves of one split neuron come out in the same row or in the next. Their spikes are
  shared out between them, so their trains need not resemble each other: only the place gives them away.
* coincidences: the counts are more alike in the same bin than one bin apart, by more than a tenth. For units n and m,

      excess = [C(0) - (C(+1) + C(-1)) / 2] / sqrt(sum y_n^2  sum y_m^2),   C(lag) = sum over t of y_n(t) y_m(t + lag)

  and C(0) must be beyond Poisson chance, given the two neighboring lags (p < 1e-10; 1,769 units make 1.6e6 pairs).
  A plain correlation would not do: neurons that share their input correlate as well (to 0.49 in the simulated cohort,
  where no unit is double), but their rates change slowly, so a lag of one bin makes little difference to them.

A tenth was chosen from the distribution: independent neurons of the simulated cohort, with shared inputs, reach 0.07.
In 16 real recordings 171 pairs of 6 million lie above 0.1, 84 % of them within one region, as neighbors on a probe do
(11 to 43 % of all pairs are). Such a pair may also be two neurons in tight synchrony, or an artifact in both trains.
The guard takes them too: hiding one neuron too many costs some information, hiding one too few gives the answer away.

Read are the counts of training trials and the table of units; test trials are not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.stats import poisson

from ..session import Trials

NEIGHBORS, COINCIDENCES = "neighbors on the probe", "coincident spikes"  # the reasons
NEAR = 20.0  # um, one row of sites
ROUNDING = 1e-3  # um; depths may come as float32
EXCESS = 0.1
CHANCE = 1e-10
FEWEST_EXPECTED = 0.5  # coincidences; two empty neighboring lags do not prove that none is expected
CHUNK = 32  # trials at a time


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Which units may be the same neuron.

    matrix[n, m]: n and m are likely duplicates; symmetric, no diagonal.
    reasons: number of pairs for each reason; a pair may have both.
    positions_known: probe and depth of every unit are known. If not, split neurons remain unseen where they are not.
    """

    matrix: Bool[ndarray, "N N"]
    reasons: dict[str, int]
    positions_known: bool

    @property
    def n_pairs(self) -> int:
        return int(self.matrix.sum()) // 2


def likely_duplicates(trials: Trials, units: pd.DataFrame | None = None) -> Duplicates:
    """Pairs of units that may be one neuron; the rule is at the top of this file.

    units: `Session.units` (uuid, probe, depth in um), in any order; None if positions are not known.
    Raises ValueError if `units` lacks one of the trials' units.
    """
    probes, depths = _positions(trials.unit_ids, units)
    found = {NEIGHBORS: _near(probes, depths), COINCIDENCES: coincident(trials)}
    counted = {reason: int(pairs.sum()) // 2 for reason, pairs in found.items()}
    return Duplicates(np.logical_or(*found.values()), counted, bool(np.isfinite(depths).all()))


def _positions(unit_ids: ndarray, units: pd.DataFrame | None) -> tuple[ndarray, Float[ndarray, "N"]]:
    """Probe and depth of each unit; depth NaN where unknown."""
    if units is None:
        return np.full(len(unit_ids), ""), np.full(len(unit_ids), np.nan)
    table = units.set_index(units["uuid"].astype(str))
    missing = [uuid for uuid in unit_ids if uuid not in table.index]
    if missing:
        raise ValueError(f"the table of units lacks {len(missing)} of {len(unit_ids)} units, first {missing[0]}")
    rows = table.loc[list(unit_ids)]
    return rows["probe"].to_numpy(dtype=np.str_), rows["depth"].to_numpy(dtype=np.float64)


def _near(probes: ndarray, depths: Float[ndarray, "N"]) -> Bool[ndarray, "N N"]:
    same_probe = probes[:, None] == probes[None]
    # A comparison with an unknown depth is False.
    near = same_probe & (np.abs(depths[:, None] - depths[None]) <= NEAR + ROUNDING)
    np.fill_diagonal(near, False)
    return near


def coincident(trials: Trials) -> Bool[ndarray, "N N"]:
    """Pairs that fire in the same bin far more often than one bin apart, in the training trials."""
    together, apart, squares = _products(trials.select("train"))
    scale = np.sqrt(np.maximum(squares, 1.0))
    candidates = np.triu((together - apart) / np.outer(scale, scale) > EXCESS, k=1)
    first, second = np.nonzero(candidates)
    expected = np.maximum(apart[first, second], FEWEST_EXPECTED)
    beyond = poisson.sf(together[first, second] - 1, expected) < CHANCE
    pairs = np.zeros_like(candidates)
    pairs[first[beyond], second[beyond]] = True
    return pairs | pairs.T


def _products(train: Trials) -> tuple[Float[ndarray, "N N"], Float[ndarray, "N N"], Float[ndarray, "N"]]:
    """C(0), the mean of C(+1) and C(-1), and the sums of squares, over bins with data on both sides."""
    n = train.n_neurons
    together, apart = np.zeros((n, n)), np.zeros((n, n))
    for start in range(0, train.n_trials, CHUNK):
        valid = train.valid[start : start + CHUNK]
        inner = (valid[:, 1:-1] & valid[:, 2:] & valid[:, :-2])[:, :, None]
        # float32 products of counts are exact up to 2^24, far beyond what 32 trials hold.
        counts = train.counts[start : start + CHUNK].astype(np.float32)
        now = np.where(inner, counts[:, 1:-1], 0).reshape(-1, n)
        aside = np.where(inner, counts[:, 2:] + counts[:, :-2], 0).reshape(-1, n)
        together += now.T @ now
        apart += now.T @ aside / 2
    return together, (apart + apart.T) / 2, np.diag(together).copy()

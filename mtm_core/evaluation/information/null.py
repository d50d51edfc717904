"""What a source region would seem to add by chance: its activity taken from other trials of the same split.

The activity of the source is shifted by a number of trials, around the end of the split, and nothing else is changed:
the source keeps its rates, its own statistics and its slow drift, but knows nothing of the trial at hand. If it tells
nothing of the target and of the other regions, real and shifted source are exchangeable and their difference in log
likelihood is as often above 0 as below, trial by trial: the signs are flipped (Fisher 1935; Good 2005, section 3.2). A
source that agrees with other regions but tells nothing beyond them also differs from its shifted self, because the
shift breaks that agreement; whether it adds anything is said by the gain and its interval, not by p alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.stats import false_discovery_control

from ...session import Trials
from ..bootstrap import resamples

N_FLIPS = 10_000
TIE = 1e-9  # relative; sums that differ by rounding only are equal


@dataclass(frozen=True)
class Draws:
    """All that is random, drawn once: every cell sees the same trials and the same signs, so cells are paired."""

    weights: Float[ndarray, "R K"]  # resampled trials
    signs: Float[ndarray, "F K"]  # -1 or 1
    shifts: tuple[int, ...]  # trials, different from one another and never 0

    @classmethod
    def draw(cls, n_trials: int, n_shifts: int, rng: np.random.Generator) -> Draws:
        """At most n_trials - 1 shifts exist."""
        shifts = rng.permutation(np.arange(1, n_trials))[:n_shifts]
        signs = rng.integers(0, 2, (N_FLIPS, n_trials)) * 2.0 - 1.0
        return cls(resamples(n_trials, rng), signs, tuple(int(shift) for shift in shifts))


def with_moved(
    part: Trials, rows: Int[ndarray, " k"], moved: Bool[ndarray, "N"], shift: int
) -> tuple[Trials, Bool[ndarray, "k T N"]]:
    """The trials at positions `rows`, in which the `moved` neurons show what they did `shift` trials earlier.

    Also the entries that must be hidden for it: where the earlier trial holds no data, its counts are not silence.
    """
    piece, earlier = part.select(rows), (rows - shift) % part.n_trials
    if shift == 0:
        return piece, np.zeros(piece.counts.shape, dtype=bool)
    counts = np.where(moved, part.counts[earlier], piece.counts)
    return replace(piece, counts=counts), moved & ~part.valid[earlier][:, :, None]


def sign_flip_p(difference: Float[ndarray, "K"], signs: Float[ndarray, "F K"]) -> float:
    """One-sided p of a mean difference above 0: the share of sign flips, the real signs included, that reach it.

    NaN if any difference is unknown.
    """
    if not np.isfinite(difference).all():
        return float("nan")
    observed = difference.sum() - TIE * np.abs(difference).sum()
    return float((1 + (signs @ difference >= observed).sum()) / (1 + len(signs)))


def q_values(p: Float[ndarray, " cells"]) -> Float[ndarray, " cells"]:
    """Benjamini & Hochberg (1995): the smallest false discovery rate at which a cell would be a finding; NaN stays."""
    q, known = np.full(p.shape, np.nan), np.isfinite(p)
    if known.any():
        q[known] = false_discovery_control(p[known])
    return q

"""The curves of a training run for the page "Train": its loss, and its validation scores by what they are called."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mtm_core.modality import BEHAVIORS
from mtm_core.runs import Point

from ..recordings import runs_now
from ..words import PROMPT_NAMES, plain
from .training import progress_of

MOST_POINTS = 100  # of a loss curve: single batches are noise, what is drawn are means
BITS = "bits per spike"
# Everything that a validation may report -> its name, and the unit of its axis; MtM's first, then NEDS's.
SCORES = {
    **{name: (words, BITS) for name, words in PROMPT_NAMES.items()},
    "encoding": ("Spikes from behavior", BITS),
    **{
        name: (f"{modality.label} from spikes", "AUC" if modality.static else "R²")
        for name, modality in BEHAVIORS.items()
    },
}


@dataclass(frozen=True, eq=False)
class Curve:
    """One quantity of one run. All arrays have one value per point."""

    steps: np.ndarray
    minutes: np.ndarray  # of training
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Learned:
    """What a run has learned so far."""

    id: str
    name: str
    loss: Curve  # nats per target entry, mean over neighbouring steps
    scores: dict[str, Curve] = field(default_factory=dict)  # scheme -> bits per spike in validation
    best: tuple[int, float] | None = None  # step and minutes of the weights that are kept
    best_scores: dict[str, float] = field(default_factory=dict)  # scheme, or "mean" -> bits per spike


def learned(run_id: str) -> Learned | None:
    """The curves of a run; None if there is no such run."""
    run = next((run for run in runs_now() if run.id == run_id), None)
    if run is None:
        return None
    progress = progress_of(run)
    validated = [point for point in progress.points if point.validation]
    names = dict.fromkeys(name for point in validated for name in point.validation if name != "mean")
    scores = {name: _curve([(p, p.validation.get(name, math.nan)) for p in validated]) for name in names}
    best = progress.best
    return Learned(
        id=run.id,
        name=plain(run.title),
        loss=_thinned(_curve([(point, point.loss) for point in progress.points])),
        scores=scores,
        best=None if best is None else (best.step, best.elapsed / 60),
        best_scores={} if best is None else dict(best.validation or {}),
    )


def _curve(points: Sequence[tuple[Point, float]]) -> Curve:
    table = np.array([(point.step, point.elapsed / 60, value) for point, value in points], dtype=float).reshape(-1, 3)
    return Curve(*table.T)


def _thinned(curve: Curve) -> Curve:
    """Means of neighbouring points, at most MOST_POINTS of them."""
    n = curve.steps.size
    if n <= MOST_POINTS:
        return curve
    edges = np.linspace(0, n, MOST_POINTS + 1).astype(int)[:-1]
    sizes = np.diff(np.append(edges, n))
    return Curve(*(np.add.reduceat(values, edges) / sizes for values in (curve.steps, curve.minutes, curve.values)))

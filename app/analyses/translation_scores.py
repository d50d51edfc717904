"""How well what is hidden now is predicted in the test trials, which the model has never seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from mtm_core.evaluation.hidden_modalities import hidden_scores
from mtm_core.evaluation.tasks import neurons_of
from mtm_core.evaluation.translation.scores import Measure
from mtm_core.masking_modalities import ModalityMask, hide
from mtm_core.modality import SPIKES
from mtm_core.translate import Translated, translate

from ..recordings import Recording, checkpoint, recording
from ..translation import Translation
from .kept import Kept

TRIALS_PER_STEP = 8  # one turn of the gate
_kept = Kept(24)  # complete results, shared by all visitors


@dataclass(frozen=True)
class TestScores:
    """Scores by (modality, measure), with what chance or a constant answer scores; so far, or of all test trials."""

    n_done: int
    n_trials: int
    measures: dict[tuple[str, str], Measure]
    chance: dict[str, float]  # behavior -> balanced accuracy of a constant answer, or 0
    ceiling: float | None = None  # pooled bits per spike of the rates that generated the spikes, all bins


def score_steps(opened: Recording, told: Translation) -> Iterator[TestScores]:
    """Progress, and at last the scores; nothing if nothing is hidden or there are no test trials."""
    told = replace(told, classes=(), bends=())
    key = (opened.entry.id, opened.model, told)
    positions = np.flatnonzero(opened.trials.split == "test")
    if not told.hidden or not positions.size:
        return
    if key not in _kept:
        pieces = []
        for step in range(-(-positions.size // TRIALS_PER_STEP)):
            pieces.append(_predicted(*key, step))
            yield TestScores(min((step + 1) * TRIALS_PER_STEP, positions.size), positions.size, {}, {})
        _kept.keep(key, _score(opened, told, pieces))
    yield _kept[key]


@lru_cache(maxsize=48)
def _predicted(session: str, model: str, told: Translation, step: int) -> Translated:
    """Predictions for one step of test trials; kept, as a visitor who drags something comes back for them."""
    trials = recording(session, model).trials
    positions = np.flatnonzero(trials.split == "test")
    some = trials.select(positions[step * TRIALS_PER_STEP : (step + 1) * TRIALS_PER_STEP])
    return translate(checkpoint(model), some, mask_of(told, some.n_trials, some.n_bins))


def hidden_bins(told: Translation, n_bins: int) -> np.ndarray:
    """(T,) the bins in which what is hidden is hidden; a span beyond the trial counts as all of it."""
    flags = np.zeros(n_bins, dtype=bool)
    flags[told.span[0] : told.span[1]] = True
    return flags if flags.any() else ~flags


def mask_of(told: Translation, n_trials: int, n_bins: int) -> ModalityMask:
    """The same mask for every trial."""
    flags = hidden_bins(told, n_bins)
    span = int(flags.argmax()), int(flags.argmax() + flags.sum())
    behaviors = {name: span for name in told.hidden if name != SPIKES.name}
    return hide((n_trials, n_bins), span if SPIKES.name in told.hidden else None, behaviors)


@lru_cache(maxsize=6)
def null_rates(session: str, model: str) -> np.ndarray:
    """(N,) mean counts per bin of the training trials."""
    return neurons_of("encoding", replace(recording(session, model).trials, true_rates=None)).train_mean


def _score(opened: Recording, told: Translation, pieces: list[Translated]) -> TestScores:
    trials = opened.trials
    n = int((trials.split == "test").sum())
    found = hidden_scores(_joined(pieces), trials, mask_of(told, n, trials.n_bins))
    return TestScores(n, n, found.measures, found.chance, found.ceiling)


def _joined(pieces: list[Translated]) -> Translated:
    first = pieces[0]
    return Translated(
        np.concatenate([piece.rates for piece in pieces]),
        {name: np.concatenate([piece.traces[name] for piece in pieces]) for name in first.traces},
        {name: np.concatenate([piece.probabilities[name] for piece in pieces]) for name in first.probabilities},
    )

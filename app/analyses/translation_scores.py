"""How well what is hidden now is predicted in the test trials, which the model has never seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from mtm_core.evaluation.metrics import SpikeSums
from mtm_core.evaluation.score import Score
from mtm_core.evaluation.tasks import ceiling_of, neurons_of, protocol
from mtm_core.evaluation.translation.scores import Measure, decoding_score
from mtm_core.masking_modalities import ModalityMask, hide
from mtm_core.modality import BEHAVIORS, SPIKES
from mtm_core.session import Trials
from mtm_core.translate import Translated, translate

from ..recordings import Recording, checkpoint, recording
from ..translation import Translation

TRIALS_PER_STEP = 8  # one turn of the gate
MOST_KEPT = 24  # complete results, shared by all visitors
_kept: dict[tuple[str, str, Translation], TestScores] = {}  # written in the model thread only


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
        _keep(key, _score(opened, told, pieces))
    yield _kept[key]


def _keep(key: tuple[str, str, Translation], scores: TestScores) -> None:
    while len(_kept) >= MOST_KEPT:
        del _kept[next(iter(_kept))]
    _kept[key] = scores


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
    measures, chance, ceiling = {}, {}, None
    trials = opened.trials
    flags = hidden_bins(told, trials.n_bins)
    if SPIKES.name in told.hidden:
        score = _encoding(trials, np.concatenate([piece.rates for piece in pieces]), flags)
        for kind, summary in (("test", score.summary), ("train", score.against_train_mean)):
            measures[SPIKES.name, f"pooled_{kind}"] = Measure(summary.pooled, summary.pooled_ci)
            measures[SPIKES.name, f"mean_{kind}"] = Measure(summary.mean, summary.mean_ci)
        ceiling = score.ceiling.pooled if flags.all() else None
    for name in told.hidden:
        found = [piece.probabilities.get(name, piece.traces.get(name)) for piece in pieces]
        if found[0] is None or name not in trials.behaviors:
            continue
        scored = decoding_score(np.concatenate(found), _only(trials, name, flags), name)
        measures |= {(name, measure): value for measure, value in scored.measures.items()}
        if scored.chance is not None:
            chance[name] = scored.chance
    n = int((trials.split == "test").sum())
    return TestScores(n, n, measures, chance, ceiling)


def _encoding(trials: Trials, rates: np.ndarray, flags: np.ndarray) -> Score:
    """As `encoding_score`, of the hidden bins alone."""
    part = trials.select("test")
    sums = SpikeSums.empty(part.n_trials, part.n_neurons)
    sums.add(part.counts, rates, (part.valid & flags)[:, :, None])
    who = neurons_of("encoding", trials)
    return Score(
        "encoding", sums, who, protocol(trials, "encoding", "test", {}), True, ceiling_of("encoding", part, who)
    )


def _only(trials: Trials, name: str, flags: np.ndarray) -> Trials:
    """The trials, of which the test trials hold a trace in the hidden bins alone: only these are scored."""
    trials = replace(trials, true_rates=None)  # selecting trials would copy them
    if BEHAVIORS[name].static or flags.all():
        return trials
    values = np.array(trials.behaviors[name], dtype=np.float64)
    values[np.ix_(trials.split == "test", ~flags)] = np.nan
    return replace(trials, behaviors={**trials.behaviors, name: values})

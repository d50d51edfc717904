"""One trial between spikes and behavior: what the model cannot see, and what it makes of the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from mtm_core.evaluation.decoding.measures import r2
from mtm_core.evaluation.metrics import spike_sums
from mtm_core.modality import BEHAVIORS, SPIKES, UNKNOWN, class_of
from mtm_core.translate import translate

from ..recordings import Recording, checkpoint, recording
from ..spec import Spec
from ..translation import Translation
from .models import translator_of
from .suppose import Supposed, suppose
from .translation_scores import TestScores, hidden_bins, mask_of, null_rates, score_steps

READS = ("session", "translator", "trial", "sort", "translation")


@dataclass(frozen=True, eq=False)
class Static:
    """A behavior with one value per trial."""

    name: str
    recorded: int  # class number; UNKNOWN (-1) if it is not known
    hidden: bool
    probabilities: np.ndarray  # of the classes (C,)

    @property
    def right(self) -> bool | None:
        """Whether the most probable class is the recorded one; None if that is not known, or was not asked."""
        return (
            None if self.recorded == UNKNOWN or not self.hidden else int(self.probabilities.argmax()) == self.recorded
        )


@dataclass(frozen=True, eq=False)
class Trace:
    """A behavior with a value per bin, in its unit."""

    name: str
    recorded: np.ndarray  # (T,), NaN where unknown
    predicted: np.ndarray  # (T,)
    hidden: np.ndarray  # (T,) bool


@dataclass(frozen=True, eq=False)
class Shown:
    """One trial as recorded and as predicted from what the model saw of it."""

    recording: Recording
    trial: int
    order: np.ndarray  # neurons from the bottom row to the top row
    dark: np.ndarray  # (T,) bins without spikes for the model
    rates: np.ndarray  # (T, N) expected spikes per bin
    statics: tuple[Static, ...]
    traces: tuple[Trace, ...]
    absent: dict[str, str]  # behavior -> why there is nothing of it
    measures: dict[tuple[str, str], float]  # (modality, measure) -> score of this trial
    translation: Translation
    supposed: Supposed | None

    @property
    def counts(self) -> np.ndarray:
        return self.recording.trials.counts[self.trial]

    @property
    def hidden(self) -> np.ndarray:
        """(T, N), as rasters show it."""
        return np.broadcast_to(self.dark[:, None], self.rates.shape)

    @property
    def target(self) -> np.ndarray:
        """(T, N) hidden entries that can be scored."""
        return self.hidden & self.recording.trials.valid[self.trial][:, None]

    @property
    def present(self) -> tuple[str, ...]:
        return tuple(name for name in BEHAVIORS if name not in self.absent)


@dataclass(frozen=True)
class Newest:
    """What there is to see: one trial and, once they are there, the scores of all test trials."""

    shown: Shown | None = None
    scores: TestScores | None = None
    problem: str = ""  # why there is nothing, in a sentence


def newest(spec: Spec) -> Iterator[Newest]:
    """The trial first, then the scores as they come."""
    model = translator_of(spec.session, spec.translator)
    if not model:
        yield Newest(problem="There is no model that translates between spikes and behavior yet.")
        return
    opened = recording(spec.session, model)
    if not opened.known:
        yield Newest(problem=f"The model {model} has not been trained on this recording.")
        return
    shown = show(replace(spec, translator=model))
    yield Newest(shown)
    for scores in score_steps(opened, spec.translation):
        yield Newest(shown, scores)


def show(spec: Spec) -> Shown:
    """The chosen trial as the named model sees it."""
    opened = recording(spec.session, spec.translator)
    told = replace(spec.translation, classes=(), bends=())
    shown = _seen(spec.session, spec.translator, opened.trial(spec.trial), told)
    supposed = None
    if spec.translation.supposes:
        supposed = suppose(opened, shown.trial, spec.translation)
    return replace(shown, order=opened.order(spec.sort), supposed=supposed, translation=spec.translation)


@lru_cache(maxsize=128)
def _seen(session: str, model: str, trial: int, told: Translation) -> Shown:
    opened = recording(session, model)
    one = opened.trials.select(np.array([trial]))
    mask = mask_of(told, 1, one.n_bins)
    found = translate(checkpoint(model), one, mask)
    present = {**found.probabilities, **found.traces}
    span, values = hidden_bins(told, one.n_bins), one.behaviors
    statics, traces = [], []
    for name in (name for name in BEHAVIORS if name in present):
        recorded, flag = values.get(name), name in told.hidden
        if BEHAVIORS[name].static:
            number = UNKNOWN if recorded is None else int(class_of(BEHAVIORS[name], recorded)[0])
            statics.append(Static(name, number, flag, found.probabilities[name][0]))
        else:
            trace = np.full(one.n_bins, np.nan) if recorded is None else np.asarray(recorded[0], dtype=np.float64)
            traces.append(Trace(name, trace, found.traces[name][0], span & flag))
    shown = Shown(
        recording=opened,
        trial=trial,
        order=opened.order("region"),
        dark=(span & (SPIKES.name in told.hidden)) | ~one.valid[0],
        rates=found.rates[0],
        statics=tuple(statics),
        traces=tuple(traces),
        absent={name: _why_absent(name, opened) for name in BEHAVIORS if name not in present},
        measures={},
        translation=told,
        supposed=None,
    )
    return replace(shown, measures=_measures(shown))


def _why_absent(name: str, opened: Recording) -> str:
    if name not in opened.trials.behaviors:
        return "not recorded"
    return "the model does not know it: in the training trials it is almost never known, or always the same"


def _measures(shown: Shown) -> dict[tuple[str, str], float]:
    """Scores of this one trial; its spikes count against the mean of the training trials, as it has none of use."""
    found = {}
    if shown.target.any() and SPIKES.name in shown.translation.hidden:
        sums = spike_sums(shown.rates, shown.counts, shown.target)
        null = null_rates(shown.recording.entry.id, shown.recording.model)
        found[SPIKES.name, "pooled_train"] = float(sums.pooled(null))
    for trace in shown.traces:
        scored = trace.hidden & np.isfinite(trace.recorded)
        truth, predicted = trace.recorded[scored][None], trace.predicted[scored][None].astype(np.float64)
        if scored.any() and np.ptp(truth) > 0:
            found[trace.name, "r2"] = float(r2(truth, predicted, np.ones((1, 1)))[0])
    return found

"""What if the behavior had been another: the predicted spikes of a changed trial, minus those of the trial as it was.

The model sees no spikes here, or it would read in them what really happened. It sees the behaviors that are shown, and
those that are changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from mtm_core.masking_modalities import hide
from mtm_core.modality import BEHAVIORS, class_of
from mtm_core.session import Trials
from mtm_core.translate import translate

from ..recordings import Recording, checkpoint, recording
from ..translation import MOST_BEND, N_KNOTS, Bend, Translation


@dataclass(frozen=True, eq=False)
class Supposed:
    difference: np.ndarray  # (T, N) expected spikes per bin, as supposed minus as recorded
    read: tuple[str, ...]  # the behaviors that the model saw
    expected: tuple[float, float]  # spikes per bin and neuron on average: as recorded, as supposed


@dataclass(frozen=True)
class Range:
    """How far a trace goes in the training trials."""

    mean: float
    deviation: float  # standard
    low: float
    high: float


@lru_cache(maxsize=64)
def range_of(session: str, model: str, name: str) -> Range:
    trials = recording(session, model).trials
    train = np.asarray(trials.behaviors[name], dtype=np.float64)[trials.split == "train"]
    some = train[np.isfinite(train)]
    return Range(float(some.mean()), float(some.std()), float(some.min()), float(some.max()))


def knot_times(opened: Recording) -> np.ndarray:
    """Where the knots of a bent trace are, s."""
    trials = opened.trials
    middles = trials.bin_starts + trials.bin_size / 2
    return np.linspace(middles[0], middles[-1], N_KNOTS)


def bent(opened: Recording, trial: int, name: str, bend: Bend) -> np.ndarray:
    """(T,) a trace as supposed. One that is never negative in training does not become so."""
    recorded = np.asarray(opened.trials.behaviors[name][trial], dtype=np.float64)
    if bend == Bend():
        return recorded
    trials, reach = opened.trials, range_of(opened.entry.id, opened.model, name)
    moved = np.interp(trials.bin_starts + trials.bin_size / 2, knot_times(opened), bend.knots)
    values = recorded * (bend.percent / 100) + moved / 100 * reach.deviation
    return np.maximum(values, 0.0) if reach.low >= 0 else values


def knot_values(opened: Recording, trial: int, name: str, bend: Bend) -> np.ndarray:
    """Values of the bent trace at its knots, in its unit; where nothing was recorded, of the average."""
    reach = range_of(opened.entry.id, opened.model, name)
    values = _recorded_at_knots(opened, trial, name) * (bend.percent / 100)
    values = values + np.array(bend.knots) / 100 * reach.deviation
    return np.maximum(values, 0.0) if reach.low >= 0 else values


def bend_to(opened: Recording, trial: int, name: str, bend: Bend, dragged: np.ndarray) -> Bend:
    """The bend whose knots are where they were dragged to; a knot that was not moved stays as it is."""
    reach = range_of(opened.entry.id, opened.model, name)
    moved = np.abs(dragged - knot_values(opened, trial, name, bend)) > 1e-3 * reach.deviation
    start = _recorded_at_knots(opened, trial, name) * (bend.percent / 100)
    wanted = np.rint((dragged - start) / (reach.deviation or 1.0) * 100)
    knots = np.where(moved & np.isfinite(wanted), np.clip(wanted, -MOST_BEND, MOST_BEND), bend.knots)
    return Bend(bend.percent, tuple(int(knot) for knot in knots))


def _recorded_at_knots(opened: Recording, trial: int, name: str) -> np.ndarray:
    trials = opened.trials
    recorded = np.asarray(trials.behaviors[name][trial], dtype=np.float64)
    recorded = np.where(np.isfinite(recorded), recorded, range_of(opened.entry.id, opened.model, name).mean)
    return np.interp(knot_times(opened), trials.bin_starts + trials.bin_size / 2, recorded)


def suppose(opened: Recording, trial: int, what: Translation) -> Supposed:
    """The difference that the supposed behaviors make; those that the model does not know make none."""
    known = checkpoint(opened.model).model.present(_session_row(opened))
    what = replace(
        what,
        span=(0, 0),
        classes=tuple((name, number) for name, number in what.classes if name in known),
        bends=tuple((name, bend) for name, bend in what.bends if name in known),
    )
    read = tuple(name for name in known if name not in what.hidden or name in what.supposed)
    before = _rates(opened, trial, read, Translation())
    after = _rates(opened, trial, read, replace(what, hidden=Translation().hidden))
    return Supposed(after - before, read, (float(before.mean()), float(after.mean())))


def _session_row(opened: Recording) -> int:
    trials = opened.trials
    return checkpoint(opened.model).model.rows(trials.session_id, tuple(trials.unit_ids))[1]


def _rates(opened: Recording, trial: int, read: tuple[str, ...], what: Translation) -> np.ndarray:
    """(T, N) what the model expects, having read these behaviors of the changed trial and no spikes."""
    one = changed(opened, trial, what)
    everything = (0, one.n_bins)
    unseen = {name: everything for name in BEHAVIORS if name not in read}
    return translate(checkpoint(opened.model), one, hide((1, one.n_bins), everything, unseen)).rates[0]


def changed(opened: Recording, trial: int, what: Translation) -> Trials:
    """One trial with behaviors as supposed."""
    one = opened.trials.select(np.array([trial]))
    values = {name: np.array([BEHAVIORS[name].values[number]]) for name, number in what.classes}
    values |= {name: bent(opened, trial, name, bend)[None] for name, bend in what.bends}
    return replace(one, behaviors={**one.behaviors, **values})


def recorded_class(opened: Recording, trial: int, name: str) -> int:
    """Class number of a trial; -1 if it is not known."""
    return int(class_of(BEHAVIORS[name], opened.trials.behaviors[name][trial : trial + 1])[0])

"""A round of guessing where a neuron lies: what its spikes look like, and what linear probes make of it.

All that is shown comes from training trials. The probes learn from all other neurons of the recording.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter1d

from mtm_core import open_session
from mtm_core.evaluation.firing_features import firing_features
from mtm_core.evaluation.linear_probe import fit_probe
from mtm_core.evaluation.region_probe import FEWEST_NEURONS, class_names
from mtm_core.evaluation.unit_embeddings import unit_embeddings
from mtm_core.session import Trials

from ..recordings import checkpoint, recording
from ..spec import Spec
from ..words import plain
from .guess_fits import FITS, until_done

LONGEST_LAG = 0.4  # s
SMOOTHING = 2.0  # bins
SEED = 0
SIDES = {"choice left": 1.0, "choice right": -1.0}


@dataclass(frozen=True, eq=False)
class AskedRegion:
    """What is shown before the guess. Rates in Hz, times in s."""

    number: int
    session: str
    model: str
    regions: tuple[str, ...]  # to choose from
    colours: tuple[str, ...]  # of these
    mean_hz: float
    times: np.ndarray  # middles of the bins (T,)
    responses: dict[str, np.ndarray]  # condition -> (T,) mean response
    lags: np.ndarray  # (L,)
    rhythm: np.ndarray  # (L,) autocorrelation beyond the mean response
    usual: np.ndarray  # (regions, L) the same, mean over the other neurons of each region


@dataclass(frozen=True, eq=False)
class AnswerRegion:
    neuron: int
    region: str
    firing: str  # what a linear probe says, from firing statistics
    embedding: str  # and from what the model has learned about the neuron


@dataclass(frozen=True, eq=False)
class PlayRegion:
    asked: AskedRegion | None = None
    answer: AnswerRegion | None = None
    problem: str = ""


def play_region(spec: Spec) -> Iterator[PlayRegion]:
    """The question at once, then the answer as well."""
    opened = recording(spec.session, spec.model)
    names = class_names(opened.trials.regions, FEWEST_NEURONS)
    if not opened.known:
        yield PlayRegion(problem="This model has not been trained on this recording, so it cannot play. Pick another.")
    elif len(names) < 2:
        yield PlayRegion(problem=f"Fewer than two regions of this recording have {FEWEST_NEURONS} neurons.")
    else:
        neuron, asked = _asked(spec.session, spec.model, spec.guess.number)
        question = PlayRegion(asked)
        yield question
        found = _answer(spec.session, spec.model, neuron)
        for _ in until_done(found):
            yield question
        yield PlayRegion(asked, found.result())


@lru_cache(maxsize=64)
def _asked(session: str, model: str, number: int) -> tuple[int, AskedRegion]:
    opened = recording(session, model)
    trials, names = opened.trials, class_names(opened.trials.regions, FEWEST_NEURONS)
    rng = np.random.default_rng([number, 2])
    # first the region, so that a large one is not the best guess
    inside = np.flatnonzero(trials.regions == names[rng.integers(len(names))])
    neuron = int(rng.choice(inside))
    rhythms = _rhythms(session, model)
    others = np.arange(trials.n_neurons) != neuron
    usual = np.array([rhythms[others & (trials.regions == name)].mean(0) for name in names])
    shown = dict(zip(opened.region_names.tolist(), opened.colours.tolist(), strict=True))
    asked = AskedRegion(
        number=number,
        session=session,
        model=model,
        regions=tuple(plain(name) for name in names),
        colours=tuple(shown[plain(name)] for name in names),
        mean_hz=float(_train(trials)[:, :, neuron].mean(dtype=np.float64) / trials.bin_size),
        times=trials.bin_starts + trials.bin_size / 2,
        responses=_responses(trials, neuron),
        lags=np.arange(1, rhythms.shape[1] + 1) * trials.bin_size,
        rhythm=rhythms[neuron],
        usual=usual,
    )
    return neuron, asked


@lru_cache(maxsize=64)
def _answer(session: str, model: str, neuron: int) -> Future[AnswerRegion]:
    return FITS.submit(_asked_probes, session, model, neuron)


def _asked_probes(session: str, model: str, neuron: int) -> AnswerRegion:
    said = (_said(kind, session, model, neuron) for kind in ("firing", "embedding"))
    return AnswerRegion(neuron, str(recording(session, model).region_names[neuron]), *said)


def _train(trials: Trials) -> np.ndarray:
    return trials.counts[(trials.split == "train") & trials.valid.all(axis=1)]


def _responses(trials: Trials, neuron: int) -> dict[str, np.ndarray]:
    """Mean responses of the training trials by choice, or of all where it is not known."""
    used = (trials.split == "train") & trials.valid.all(axis=1)
    choice = trials.behaviors.get("choice", np.full(trials.n_trials, np.nan))
    groups = {name: used & (choice == side) for name, side in SIDES.items()}
    if not all(flags.any() for flags in groups.values()):
        groups = {"all trials": used}
    return {
        name: gaussian_filter1d(trials.counts[flags, :, neuron].mean(0, dtype=np.float64), SMOOTHING) / trials.bin_size
        for name, flags in groups.items()
    }


@lru_cache(maxsize=2)
def _rhythms(session: str, model: str) -> np.ndarray:
    """(N, L) autocorrelation of the training counts after the mean response is taken away; 0 for silent neurons."""
    trials = recording(session, model).trials
    counts = _train(trials).astype(np.float32)
    counts -= counts.mean(0)
    n_lags = max(1, min(round(LONGEST_LAG / trials.bin_size), trials.n_bins // 2))
    power = np.maximum((counts**2).mean((0, 1)), 1e-9)
    return np.stack([(counts[:, lag:] * counts[:, :-lag]).mean((0, 1)) / power for lag in range(1, n_lags + 1)], axis=1)


@lru_cache(maxsize=4)
def _features(kind: str, session: str, model: str) -> np.ndarray:
    opened, trials = open_session(session), recording(session, model).trials
    if kind == "firing":
        return firing_features(opened, trials)
    return unit_embeddings(checkpoint(model), session, opened.units, trials.region_level).embedding


def _said(kind: str, session: str, model: str, neuron: int) -> str:
    """The region that a linear probe, which learned from the other neurons, gives this one."""
    trials, features = recording(session, model).trials, _features(kind, session, model)
    names = class_names(trials.regions, FEWEST_NEURONS)
    labels = np.array([names.index(name) if name in names else -1 for name in trials.regions.astype(str)])
    learned = (labels >= 0) & (np.arange(len(labels)) != neuron)
    probe = fit_probe(features[learned], labels[learned], SEED)
    return plain(names[int(probe.predict(features[neuron : neuron + 1])[0])])

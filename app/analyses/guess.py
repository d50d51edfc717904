"""A round of guessing: the activity of one neuron in one held-out trial, hidden until the visitor has drawn a guess.

`Asked` is all that may be shown before; nothing in it depends on the hidden spikes. `Answer` is for afterwards. Which
neuron and trial a round is about follows from its number, the mean rates in the training trials and the split alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from mtm_core.evaluation.linear import Ridge
from mtm_core.evaluation.single_neuron.trials import NeuronTrials, one_neuron, predicted_trials
from mtm_core.evaluation.tasks import part_of, train_means
from mtm_core.session import Trials

from ..recordings import Recording, checkpoint, recording
from ..spec import Spec
from ..teaching import REGION
from .guess_fits import FITS, until_done
from .guess_region import PlayRegion, play_region
from .guess_scores import bits_of

READS = ("session", "model", "guess")
SLOWEST = 4.0  # Hz in training: of a slower neuron one trial holds too few spikes to be judged by
N_MOMENTS = 20  # of a drawing
N_COMPANIONS = 12


@dataclass(frozen=True, eq=False)
class Asked:
    """What is known before the guess. Times in s, rates in Hz."""

    number: int  # of the round
    session: str
    model: str
    trial: int  # position; not to be shown before the guess, nor is the neuron
    neuron: int
    region: str
    colour: str
    mean_hz: float  # in the training trials
    top_hz: float  # of the axis: hardly any moment of a training trial lies above
    times: np.ndarray  # edges of the bins (T + 1,)
    moments: np.ndarray  # edges of the moments of a drawing, in bins (M + 1,)
    companions: np.ndarray  # (T, C) spikes of the neurons that go along with it in the training trials
    names: tuple[str, ...]  # of the companions, with their correlation

    @property
    def edges(self) -> np.ndarray:
        """Of the moments, s (M + 1,)."""
        return self.times[self.moments]

    def per_bin(self, drawn_hz: np.ndarray) -> np.ndarray:
        """(T,) expected spikes per bin of a drawing (M,) in Hz."""
        return np.repeat(drawn_hz, np.diff(self.moments)) * (self.times[1] - self.times[0])


@dataclass(frozen=True, eq=False)
class Answer:
    """What was recorded, and what others expected. (T,) in spikes per bin."""

    counts: np.ndarray
    scored: np.ndarray  # bool: bins with data
    train_mean: float
    rates: dict[str, np.ndarray]  # by guess_scores.OTHERS; "true" only where a simulation knows it
    bits: dict[str, float]  # of this trial; NaN if it is silent
    usual: tuple[float, float]  # between which lie 80 % of the model's scores in single test trials of this neuron
    n_trials: int  # behind `usual`

    @property
    def n_spikes(self) -> int:
        return int(self.counts[self.scored].sum())


@dataclass(frozen=True, eq=False)
class Play:
    """A round as far as it is made: first the question, then the answer as well, or why there is no round."""

    asked: Asked | None = None
    answer: Answer | None = None
    problem: str = ""


def play(spec: Spec) -> Iterator[Play | PlayRegion]:
    """The round of a spec: the question at once, then the answer as well."""
    yield from play_region(spec) if spec.guess.what == REGION else play_activity(spec)


def play_activity(spec: Spec) -> Iterator[Play]:
    opened = recording(spec.session, spec.model)
    if not opened.known:
        yield Play(problem="This model has not been trained on this recording, so it cannot play. Pick another one.")
        return
    try:
        asked = _asked(spec.session, spec.model, spec.guess.number)
    except ValueError as error:
        yield Play(problem=f"No round can be played with this recording: {error}.")
        return
    question = Play(asked)
    yield question
    for _ in until_done(_ridge(spec.session, spec.model)):
        yield question
    yield Play(asked, _answer(spec.session, spec.model, spec.guess.number))


# --- the question -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _asked(session: str, model: str, number: int) -> Asked:
    opened = recording(session, model)
    trials, (neuron, trial) = opened.trials, pick(opened.trials, number)
    size = trials.bin_size
    moments = np.linspace(0, trials.n_bins, min(N_MOMENTS, trials.n_bins) + 1).round().astype(int)
    blocks = _in_moments(trials.counts[trials.split == "train"], moments)
    chosen, strength = companions(blocks, neuron)
    seconds = np.diff(moments) * size
    return Asked(
        number=number,
        session=session,
        model=model,
        trial=trial,
        neuron=neuron,
        region=str(opened.region_names[neuron]),
        colour=str(opened.colours[neuron]),
        mean_hz=float(train_means(one_neuron(replace(trials, true_rates=None), neuron))[0]) / size,
        top_hz=_round_up(float(np.quantile(blocks[:, :, neuron] / seconds, 0.995))),
        times=opened.times,
        moments=moments,
        companions=trials.counts[trial][:, chosen].copy(),
        names=tuple(f"{opened.region_names[n]}, r = {r:.2f}" for n, r in zip(chosen, strength, strict=True)),
    )


def pick(trials: Trials, number: int) -> tuple[int, int]:
    """(neuron, trial) of a round; raises ValueError if there is no held-out trial or no neuron that fires enough."""
    test = np.flatnonzero((trials.split == "test") & trials.valid.all(axis=1))
    busy = np.flatnonzero(train_means(replace(trials, true_rates=None)) / trials.bin_size >= SLOWEST)
    if not test.size or not busy.size:
        raise ValueError(f"it needs held-out trials and a neuron that fires at {SLOWEST:g} Hz or more")
    rng = np.random.default_rng([number, 1])
    return int(rng.choice(busy)), int(rng.choice(test))


def _in_moments(counts: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """(K, M, N) spikes per moment."""
    return np.add.reduceat(counts, moments[:-1], axis=1, dtype=np.float32)


def companions(blocks: np.ndarray, neuron: int) -> tuple[np.ndarray, np.ndarray]:
    """The neurons whose spikes per moment correlate most with this one's in the training trials, and how much."""
    flat = blocks.reshape(-1, blocks.shape[2])
    flat = flat - flat.mean(0)
    scale = np.maximum(np.sqrt((flat**2).sum(0)), 1e-9)
    strength = flat.T @ flat[:, neuron] / (scale * scale[neuron])
    strength[neuron] = -np.inf
    chosen = np.argsort(-strength, kind="stable")[: min(N_COMPANIONS, len(strength) - 1)]
    return chosen, strength[chosen]


def _round_up(hz: float) -> float:
    """A round number at or above, at least 20."""
    return max(20.0, float(np.ceil(1.15 * hz / 10) * 10))


# --- the answer -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _answer(session: str, model: str, number: int) -> Answer:
    opened, asked = recording(session, model), _asked(session, model, number)
    one = _predicted(session, model, asked.neuron)
    row = int(np.flatnonzero(np.flatnonzero(opened.trials.split == "test") == asked.trial)[0])
    rates = {
        "model": one.rates[row],
        "ridge": _ridge(session, model).result()[row, :, asked.neuron].astype(np.float64),
        "psth": one.psth,
        "mean": np.full(one.psth.shape, one.train_mean),
    }
    if one.oracle is not None:
        rates["true"] = one.oracle.rates[row]
    counts, scored = one.counts[row], one.scored[row]
    single = np.array(
        [bits_of(y, r, s, one.train_mean) for y, r, s in zip(one.counts, one.rates, one.scored, strict=True)]
    )
    single = single[np.isfinite(single)]
    usual = tuple(np.quantile(single, [0.1, 0.9]).tolist()) if single.size else (np.nan, np.nan)
    bits = {name: bits_of(counts, r, scored, one.train_mean) for name, r in rates.items()}
    return Answer(counts, scored, one.train_mean, rates, bits, usual, int(single.size))


@lru_cache(maxsize=16)
def _predicted(session: str, model: str, neuron: int) -> NeuronTrials:
    """The neuron as the model predicts it in co-smoothing: hidden throughout, all others visible."""
    return predicted_trials(checkpoint(model), recording(session, model).trials, neuron)


@lru_cache(maxsize=2)
def _ridge(session: str, model: str) -> Future[np.ndarray]:
    """(test trials, T, N) expected spikes per bin of every neuron from all others; as wide as the test trials."""
    return FITS.submit(_fit_ridge, recording(session, model))


def _fit_ridge(opened: Recording) -> np.ndarray:
    trials = replace(opened.trials, true_rates=None)
    return Ridge(trials).rates("co_smoothing", part_of(trials, "test")).astype(np.float32)

"""Few-shot co-smoothing: how many trials does it take to read held-out neurons out of a model's latents?

Dabholkar & Barak, "When predict can also explain: few-shot prediction to select better neural latents", PLoS
Computational Biology 2025 (doi 10.1371/journal.pcbi.1013789; arXiv 2405.14425). Models with equally high co-smoothing
scores may carry superfluous dynamics in their latents. A regression from latents to held-out neurons that has only k
trials to learn from suffers from these, so among good models it favors those that hold little else than the signal.

The held-out neurons are hidden from the model in every trial; the latents come from the others. With k training trials
of the held-out neurons, a Poisson regression from latents to counts is fitted and scored on the test trials. Its
penalty is chosen by cross-validation within these k trials: nothing else is known of the held-out neurons. Draws of k
trials are repeated. For comparison the same is done with principal components of the visible neurons' smoothed counts,
as many of them as the model has latents, and with the same draws.

Differences from the paper. The penalty is cross-validated where the authors fix it. And there the held-out neurons are
unknown to the model; here it may have been trained on their training trials, together with all others, so latents may
have room for them. Compare models that were trained on the same neurons; do not compare with the paper's numbers.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from ..checkpoint import Checkpoint
from ..session import Trials
from .bootstrap import interval, resamples
from .few_shot_inputs import component_inputs, latent_inputs
from .metrics import SpikeSums
from .poisson_regression import PoissonFit, fit_poisson
from .tasks import check_protocol

LATENTS, COMPONENTS = "latents", "principal components"  # the predictors
PENALTIES = (1e5, 3e4, 1e4, 3000.0, 1000.0, 300.0, 100.0, 30.0, 10.0)  # strongest first
MANY, FEW_FOLDS, FOLDS = 64, 2, 4  # from 64 trials on two folds choose the same penalty as four, in a third of the time
ROUGH, FINE = 0.1, 1e-3  # precision of the fits that only choose a penalty, and of those that are scored
LARGEST_FIT = 5e6  # samples x inputs x neurons of one fit, a fraction of a second: a job can be canceled between fits


@dataclass(frozen=True, eq=False)
class FewShot:
    """What is asked."""

    shots: tuple[int, ...] = (4, 8, 16, 32, 64, 128)  # training trials; those that exist, and all training trials
    n_repeats: int = 5  # draws of trials for each number; one of all trials
    split: str = "test"  # the scored trials
    # duplicates[m, n]: hide m as well where n is held out; it may be the same cell, split in two by the sorter.
    duplicates: Bool[ndarray, "N N"] | None = None

    def __post_init__(self) -> None:
        if min(self.shots, default=2) < 2 or self.n_repeats < 1:
            raise ValueError(f"{self.shots} shots, {self.n_repeats} repeats; give 2 or more trials, 1 or more repeats")


DEFAULT = FewShot()


@dataclass(frozen=True, eq=False)
class Point:
    """The score of one predictor with k trials, pooled over held-out neurons: summed gain over summed spikes.

    interval: 95 %, over test trials and over draws of the k trials; one draw of all trials adds no spread of its own.
    """

    predictor: str
    k: int
    sums: tuple[SpikeSums, ...]  # one per repeat, (test trials, held-out neurons)
    penalties: tuple[float, ...]  # one per repeat
    interval: tuple[float, float]

    @property
    def pooled(self) -> float:
        """Bits per spike, mean over repeats."""
        return float(np.mean([sums.total().pooled() for sums in self.sums]))

    @property
    def bits(self) -> Float[ndarray, " n"]:
        """Bits per spike of each held-out neuron, mean over repeats; NaN where it is silent in the test trials."""
        return np.mean([sums.total().bits_per_spike() for sums in self.sums], axis=0)


@dataclass(frozen=True)
class FewShotProgress:
    """How far the work is (share 0..1), and the points that are done."""

    share: float
    points: list[Point] = field(default_factory=list)

    def table(self) -> pd.DataFrame:
        """A row per point: predictor, k, n_repeats; bits per spike pooled, its interval, mean and median of neurons."""
        rows = []
        for point in self.points:
            bits = point.bits[np.isfinite(point.bits)]
            mean, median = (float(bits.mean()), float(np.median(bits))) if len(bits) else (np.nan, np.nan)
            rows.append((point.predictor, point.k, len(point.sums), point.pooled, *point.interval, mean, median))
        columns = ["predictor", "k", "n_repeats", "pooled", "low", "high", "mean", "median"]
        return pd.DataFrame(rows, columns=columns)

    def to_json(self) -> list[dict[str, Any]]:
        """The rows of the table; None where there is no number."""
        rows = self.table().to_dict("records")
        return [{name: None if value != value else value for name, value in row.items()} for row in rows]


@dataclass(frozen=True, eq=False)
class Case:
    """One predictor's inputs and the counts to be predicted, all trials of the session."""

    predictor: str
    inputs: Float[ndarray, "K T D"]
    counts: ndarray  # (K, T, n), held-out neurons only
    valid: Bool[ndarray, "K T"]

    def samples(self, chosen: Int[ndarray, " k"]) -> tuple[Float[ndarray, "M D"], ndarray]:
        """Inputs and counts of the bins with data."""
        valid = self.valid[chosen]
        return self.inputs[chosen][valid], self.counts[chosen][valid]

    def sums(self, fit: PoissonFit, chosen: Int[ndarray, " k"]) -> SpikeSums:
        """What the fit predicts of the chosen trials, (k, n)."""
        sums = SpikeSums.empty(len(chosen), self.counts.shape[2])
        sums.add(self.counts[chosen], fit.rates(self.inputs[chosen]), self.valid[chosen][:, :, None])
        return sums


def few_shot(
    model: Checkpoint, trials: Trials, neurons: Int[ndarray, " n"], rng: np.random.Generator, asked: FewShot = DEFAULT
) -> Iterator[FewShotProgress]:
    """Few-shot co-smoothing of the neurons at these positions; stop iterating to cancel. Every step is short.

    trials: the whole session with its splits. Raises ValueError for a split that is not the model's, or too few trials.
    """
    check_protocol(model, trials)
    train, test = (np.flatnonzero(trials.split == name) for name in ("train", asked.split))
    if len(train) < 2 or len(test) == 0:
        raise ValueError(f"{len(train)} training and {len(test)} {asked.split} trials; give 2 or more and some")
    cases: list[Case] = []
    for case in _cases(model, trials, neurons, asked.duplicates):
        cases += [case] if case else []
        yield FewShotProgress(0.0)
    draws, points, done = draw_trials(train, asked, rng), [], 0
    total = len(cases) * sum(k * len(chosen) for k, chosen in draws.items())
    for k, case in ((k, case) for k in draws for case in cases):
        for share, point in _points(case, draws[k], test, rng):
            points += [point] if point else []
            yield FewShotProgress((done + share * k * len(draws[k])) / total, list(points))
        done += k * len(draws[k])


def draw_trials(
    train: Int[ndarray, " K"], asked: FewShot, rng: np.random.Generator
) -> dict[int, list[Int[ndarray, " k"]]]:
    """k -> draws of k training trials, ascending; the last k is all of them, which is one draw."""
    draws = {
        k: [np.sort(rng.choice(train, k, replace=False)) for _ in range(asked.n_repeats)]
        for k in sorted(set(asked.shots))
        if k < len(train)
    }
    return draws | {len(train): [train]}


def _cases(
    model: Checkpoint, trials: Trials, neurons: Int[ndarray, " n"], duplicates: Bool[ndarray, "N N"] | None
) -> Iterator[Case | None]:
    """Both predictors, and None after each bit of work."""
    hidden = neurons if duplicates is None else np.union1d(neurons, np.flatnonzero(duplicates[:, neurons].any(axis=1)))
    inputs = yield from latent_inputs(model, trials, hidden)
    counts = trials.counts[:, :, neurons]
    yield Case(LATENTS, inputs, counts, trials.valid)
    yield Case(COMPONENTS, component_inputs(trials, hidden, inputs.shape[2]), counts, trials.valid)


def _points(
    case: Case, draws: list[ndarray], scored: Int[ndarray, " s"], rng: np.random.Generator
) -> Iterator[tuple[float, Point | None]]:
    """The share of the draws that are done, after each bit of work; at last the point."""
    sums, penalties = [], []
    for chosen in draws:
        for found in tuned_fit(case, chosen):
            if found:
                penalties.append(found[0])
                sums.append(case.sums(found[1], scored))
            yield len(sums) / len(draws), None
    yield 1.0, Point(case.predictor, len(draws[0]), tuple(sums), tuple(penalties), _interval(sums, rng))


def _interval(sums: list[SpikeSums], rng: np.random.Generator) -> tuple[float, float]:
    """Of the mean over repeats of the pooled score: test trials and repeats are both drawn with replacement."""
    weights, null = resamples(sums[0].spikes.shape[0], rng), sums[0].total().test_mean()
    scores = np.stack([each.total(weights).pooled(null) for each in sums], axis=1)
    repeats = rng.integers(len(sums), size=scores.shape)
    low, high = interval(np.take_along_axis(scores, repeats, axis=1).mean(axis=1))
    return float(low), float(high)


# --- one fit ----------------------------------------------------------------------------------------------------------


def tuned_fit(case: Case, chosen: Int[ndarray, " k"]) -> Iterator[tuple[float, PoissonFit] | None]:
    """None after each bit of work, at last the penalty and the fit, from the chosen trials alone.

    From the strongest penalty on, weaker ones are tried until the cross-validated likelihood of all neurons falls.
    """
    folds = folds_of(chosen)
    fits: list[PoissonFit | None] = [None] * len(folds)
    best, penalty = -np.inf, PENALTIES[0]
    for candidate in PENALTIES:
        likelihood = 0.0
        for i, fold in enumerate(folds):
            x, y = case.samples(np.setdiff1d(chosen, fold))
            fits[i] = yield from _gradual_fit(x, y, candidate, fits[i], ROUGH)
            likelihood += case.sums(fits[i], fold).log_likelihood().sum()
        if likelihood <= best:
            break
        best, penalty = likelihood, candidate
    fit = yield from _gradual_fit(*case.samples(chosen), penalty, None, FINE)
    yield penalty, fit


def folds_of(chosen: Int[ndarray, " k"]) -> list[Int[ndarray, " fold"]]:
    """The trials dealt into folds in turn, so that each fold spans the session."""
    n_folds = min(len(chosen), FEW_FOLDS if len(chosen) >= MANY else FOLDS)
    return [chosen[i::n_folds] for i in range(n_folds)]


def _gradual_fit(
    x: Float[ndarray, "M D"], y: ndarray, penalty: float, start: PoissonFit | None, precision: float
) -> Generator[None, None, PoissonFit]:
    """`fit_poisson` of some neurons after the other."""
    n_at_once = max(1, int(LARGEST_FIT / x.size))
    parts = []
    for first in range(0, y.shape[1], n_at_once):
        some = slice(first, first + n_at_once)
        parts.append(fit_poisson(x, y[:, some], penalty, start and start.some(some), precision))
        yield None
    return PoissonFit.joined(parts)

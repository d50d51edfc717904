"""Spikes from behaviors, without a network: what a model that encodes has to beat.

A regression draws a line for every neuron, from which a Poisson regression per neuron makes a rate, as it does for the
baselines between neurons (calibration.py): fitted on training trials that the line has not seen. Penalty and rank are
those whose rates predict the validation trials best. Of the scored trials nothing is read but their behaviors.

linear        NEDS's baseline (Zhang et al., ICML 2025, arXiv 2504.08201, appendix): all of a trial's behaviors predict
              each bin apart. There the line is the rate, cut at 1e-9 spikes; here it is calibrated, or each spike that
              the line misses would cost 20 nats.
ridge         every bin from the traces around it, with the same weights in all bins, and from the classes with weights
              that vary smoothly over the trial.
reduced_rank  the same, in a few directions of the population (Izenman 1975, as in ../reduced_rank.py). NEDS's has rank
              4 in time and is fitted by descent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import solve

from ...session import Trials
from ..baselines import FixedRates, fit_psth
from ..calibration import calibrated, fit_calibration, log_gain
from ..condition_psth import ConditionPsth
from ..decoding.linear_decoders import RidgePath
from ..linear import training_parts
from ..poisson import log_likelihood
from ..psth import tuned_psth
from ..reduced_rank import RANKS, Size, narrowed
from ..tasks import part_of, target_entries
from .features import REACH, Scaling, chosen_behaviors, only, per_bin, whole_trial

TASK = "encoding"
PENALTIES = (1e5, 3e4, 1e4, 3e3, 1e3, 300.0, 100.0, 30.0, 10.0)  # as scikit-learn's alpha, of inputs of variance one


class Regression(Protocol):
    """Fitted to the training trials of `trials`; every size is at hand."""

    psth: Float[ndarray, "T N"]  # what the line deviates from

    def line(self, part: Trials, size: Size) -> Float[ndarray, "K T N"]:
        """Expected counts per bin, unbounded below."""
        ...


class PerBin:
    """Ridge regression of counts on the inputs of each bin; a bin without data is left out."""

    def __init__(self, trials: Trials) -> None:
        train, self.psth = trials.select("train"), tuned_psth(trials)
        self.scaling = Scaling.of(train)
        x = per_bin(self.scaling, train)[train.valid]
        y = (train.counts - self.psth)[train.valid]
        self.scale = np.sqrt(np.square(y).mean(axis=0) + 1e-6)  # a silent neuron must not be divided by 0
        self.gram, self.cross = x.T @ x, x.T @ (y / self.scale)

    def weights(self, size: Size) -> Float[ndarray, "P N"]:
        """Directions count by the neurons' own scale."""
        penalized = self.gram + size.penalty * np.eye(len(self.gram))
        weights = solve(penalized, self.cross, assume_a="pos")
        return narrowed(weights, self.cross.T @ weights, size.rank) * self.scale

    def line(self, part: Trials, size: Size) -> Float[ndarray, "K T N"]:
        return self.psth + per_bin(self.scaling, part) @ self.weights(size)


class WholeTrial:
    """Ridge regression of the counts of a trial on its inputs; the rank is always full."""

    def __init__(self, trials: Trials) -> None:
        train, self.psth = trials.select("train"), tuned_psth(trials)
        self.scaling = Scaling.of(train)
        self.path = RidgePath.of(whole_trial(self.scaling, train))
        self.deviations = np.where(train.valid[:, :, None], train.counts - self.psth, 0.0).reshape(train.n_trials, -1)

    def line(self, part: Trials, size: Size) -> Float[ndarray, "K T N"]:
        x = whole_trial(self.scaling, part)
        return self.psth + next(self.path.predictions(self.deviations, x, [size.penalty])).reshape(part.counts.shape)


class Calibrated:
    """A regression of the size that predicts the validation trials best, with its calibration."""

    def __init__(self, trials: Trials, regression: Callable[[Trials], Regression]) -> None:
        self.whole, self.held = regression(trials), trials.select("validation")
        positions = training_parts(trials)
        everyone = np.arange(trials.n_trials)
        self.parts = [
            (regression(trials.select(np.setdiff1d(everyone, part))), trials.select(part)) for part in positions
        ]
        self.train = trials.select(np.concatenate(positions))
        self.size, self.calibration, self.score = Size(0.0, None), np.zeros((2, trials.n_neurons)), -np.inf

    def tune(self, sizes: Sequence[Size]) -> Calibrated:
        """Keep the size that predicts the validation trials best, if better than what is there; of equals the first."""
        for size in sizes:
            calibration = self._calibration(size)
            rates = self._rates(self.held, size, calibration)
            score = log_likelihood(rates, self.held, target_entries(TASK, self.held))
            if score > self.score:
                self.size, self.calibration, self.score = size, calibration, score
        return self

    def rates(self, part: Trials) -> Float[ndarray, "K T N"]:
        return self._rates(part, self.size, self.calibration)

    def _rates(self, part: Trials, size: Size, calibration: Float[ndarray, "2 N"]) -> Float[ndarray, "K T N"]:
        return calibrated(log_gain(self.whole.line(part, size), self.whole.psth), self.whole.psth, calibration)

    def _calibration(self, size: Size) -> Float[ndarray, "2 N"]:
        gains = [log_gain(one.line(part, size), one.psth) for one, part in self.parts]
        reference = [np.broadcast_to(one.psth, part.counts.shape) for one, part in self.parts]
        target = target_entries(TASK, self.train)
        return fit_calibration(np.concatenate(gains), np.concatenate(reference), self.train, target)


def _ridge(trials: Trials, regression: Callable[[Trials], Regression] = PerBin) -> Calibrated:
    return Calibrated(trials, regression).tune([Size(penalty, None) for penalty in PENALTIES])


def _reduced_rank(trials: Trials) -> Calibrated:
    """First the penalty is chosen at full rank, then the rank."""
    full = _ridge(trials)
    return full.tune([Size(full.size.penalty, rank) for rank in reversed(RANKS)])


@dataclass(frozen=True, eq=False)
class Psth:
    """One PSTH for all trials, or one per condition: reads no trace."""

    baseline: FixedRates | ConditionPsth

    def rates(self, part: Trials) -> Float[ndarray, "K T N"]:
        return self.baseline.rates(TASK, part)


class Encoder(Protocol):
    """Fitted to training and validation trials; predicts any trials from their behaviors."""

    def rates(self, part: Trials) -> Float[ndarray, "K T N"]: ...


ENCODERS: dict[str, Callable[[Trials], Encoder]] = {
    "psth": lambda trials: Psth(fit_psth(trials)),
    "condition_psth": lambda trials: Psth(ConditionPsth(trials)),
    "linear": lambda trials: _ridge(trials, WholeTrial),
    "ridge": _ridge,
    "reduced_rank": _reduced_rank,
}
ABOUT = {
    "psth": "The mean over training trials per bin, smoothed in time: the same answer in every trial.",
    "condition_psth": "A PSTH per class of choice, block, stimulus side and reward, as far as they are given.",
    "linear": "Linear regression of each bin on all behaviors of the trial, as NEDS's baseline, made into rates by a "
    "Poisson regression per neuron.",
    "ridge": f"Linear regression of each bin on the traces within {REACH} s and the classes, made into rates by a "
    "Poisson regression per neuron.",
    "reduced_rank": "The same in a few directions of the population.",
}


def encode(
    trials: Trials, method: str, behaviors: Sequence[str] | None = None, split: str = "test"
) -> Float[ndarray, "K T N"]:
    """Expected counts per bin of the trials of a split, from their behaviors alone.

    trials: the whole session, with its splits. behaviors: those that are read; None: all. Raises ValueError for an
    unknown method, and for behaviors that the session does not have.
    """
    if method not in ENCODERS:
        raise ValueError(f"unknown method {method!r}; choose from {', '.join(ENCODERS)}")
    trials = only(trials, chosen_behaviors(trials, behaviors))
    encoder = ENCODERS[method](trials.select(np.isin(trials.split, ("train", "validation"))))
    part = part_of(trials, split)
    # No encoder is given the spikes that it predicts.
    return encoder.rates(replace(part, counts=np.zeros_like(part.counts), true_rates=None))

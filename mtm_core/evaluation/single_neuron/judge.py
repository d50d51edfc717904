"""All scores of one neuron's prediction, each with interval and ceiling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..bootstrap import resamples
from ..metrics import SpikeSums
from .explained import NO_REPEATS, NO_SPIKE, Explained, psth_r2, trial_r2
from .measured import Ceiling, CeilingKind, Measured, bootstrapped, not_measurable
from .residuals import Residuals, residuals
from .trials import NeuronTrials


@dataclass(frozen=True, eq=False)
class Judgement:
    """Scores of one neuron on one split. The ceilings are those of the same trials."""

    n_trials: int
    n_entries: int  # scored bins
    n_spikes: int  # in them
    rate: float | None  # Hz, in them
    bits_per_spike: Explained  # null: the neuron's mean over the same entries
    bits_per_spike_train_null: Explained  # null: its mean over training trials
    poisson_d2: Explained  # null: the mean over the same entries
    psth_r2: Explained
    trial_r2: Explained
    residual_correlation: Explained
    residuals: Residuals


def judge(neuron: NeuronTrials, rng: np.random.Generator) -> Judgement:
    """Every score; without a spike in the scored bins each is None with the reason."""
    weights = resamples(neuron.n_trials, rng)
    scores = poisson_scores(neuron, weights)
    oracle = None if neuron.oracle is None else poisson_scores(neuron.oracle, weights)
    bits, train_null, d2 = (
        Explained(score, _ceiling(score, None if oracle is None else oracle[i])) for i, score in enumerate(scores)
    )
    found = residuals(neuron, rng)
    best = None if neuron.oracle is None else residuals(neuron.oracle, rng).correlation
    n_entries = int(neuron.scored.sum())
    return Judgement(
        n_trials=neuron.n_trials,
        n_entries=n_entries,
        n_spikes=neuron.n_spikes,
        rate=neuron.n_spikes / n_entries / neuron.bin_size if n_entries else None,
        bits_per_spike=bits,
        bits_per_spike_train_null=train_null,
        poisson_d2=d2,
        psth_r2=psth_r2(neuron),
        trial_r2=trial_r2(neuron, rng),
        residual_correlation=Explained(found.correlation, _ceiling(found.correlation, best)),
        residuals=found,
    )


def _ceiling(score: Measured, true: Measured | None) -> Ceiling:
    if score.value is None:
        return not_measurable(score.reason)
    return not_measurable(NO_REPEATS) if true is None else Ceiling(CeilingKind.TRUE_RATES, true)


def poisson_scores(neuron: NeuronTrials, weights: Float[ndarray, "R K"]) -> tuple[Measured, Measured, Measured]:
    """Bits per spike against both nulls, and D2."""
    sums = SpikeSums.empty(neuron.n_trials, 1)
    sums.add(neuron.counts[:, :, None], neuron.rates[:, :, None], neuron.scored[:, :, None])
    total, resampled, null = sums.total(), sums.total(weights), np.array([neuron.train_mean])
    pairs = (
        (total.bits_per_spike(), sums.resampled_bits(weights)),
        (total.bits_per_spike(null), sums.resampled_bits(weights, null)),
        (total.poisson_d2(), resampled.poisson_d2()),
    )
    bits, train_null, d2 = (bootstrapped(float(v[0]), r[:, 0], neuron.n_trials, NO_SPIKE) for v, r in pairs)
    return bits, train_null, d2

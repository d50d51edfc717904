"""Poisson scores from sums over bins, kept apart per trial: memory does not grow with bins; trials can be resampled.

Bits per spike of neuron n over its scored entries (MtM, arXiv 2407.14668, section 4.2; Pei et al. 2021, NLB):

    bps_n = [ sum(y log r - r) - sum(y log r0 - r0) ] / ( sum(y) log 2 )

with counts y, predicted counts r and a null rate r0 that is constant in time. log y! cancels. Two nulls are in use and
both are offered: the mean of the same test entries (MtM, NLB; an oracle no model may know) and the mean of the training
trials. A session's score is the mean over neurons (MtM), their median, or pooled: the summed gain over the summed
spikes (NLB, BrainWideBench). A neuron without a spike among the scored entries has no score; it is counted, not
dropped.

Poisson D2, the share of deviance explained (primary score of BrainWideBench), divides the same gain by the largest
possible one, that of a prediction r = y:

    D2_n = [ LL(r) - LL(r0) ] / [ LL(y) - LL(r0) ]
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Num
from numpy import ndarray
from scipy.special import xlogy

LOG_2 = math.log(2.0)
SMALLEST_RATE = 1e-9  # expected counts per bin; a rate of 0 would make one spike infinitely surprising


def _check_rates(rates: ndarray) -> ndarray:
    """Float64 copy of the rates, floored; refuses what no rate can be."""
    rates = np.asarray(rates, dtype=np.float64)
    if not np.isfinite(rates).all() or (rates < 0).any():
        raise ValueError("rates hold negative or non-finite values; give expected counts per bin, not log rates")
    return np.maximum(rates, SMALLEST_RATE)


@dataclass
class SpikeSums:
    """Sufficient statistics, float64. Shape (K, N) while trials are kept apart, (N,) in total, (R, N) resampled."""

    n_entries: ndarray  # scored bins
    spikes: ndarray  # sum of y
    expected: ndarray  # sum of r
    log_likelihood_gain: ndarray  # sum of y log r
    saturated_gain: ndarray  # sum of y log y

    @classmethod
    def empty(cls, *shape: int) -> SpikeSums:
        return cls(*(np.zeros(shape) for _ in range(5)))

    def add(
        self,
        counts: Num[ndarray, "k t n"],
        rates: Float[ndarray, "k t n"],
        target: Bool[ndarray, "..."] | None = None,
        *,
        trials: slice = slice(None),
        neurons: ndarray | slice = slice(None),
    ) -> None:
        """Add scored entries: counts and expected counts per bin; target picks entries, trials and neurons the place.

        Only for sums of shape (K, N). Raises ValueError for shapes that differ, and for values that are no counts or
        rates where the target looks.
        """
        if np.shape(counts) != np.shape(rates):
            raise ValueError(f"counts have shape {np.shape(counts)}, rates {np.shape(rates)}; give the same shape")
        y = np.asarray(counts, dtype=np.float64)
        scored = np.broadcast_to(True if target is None else target, y.shape)
        # Rates outside the target are never looked at, so nothing there can reach a score.
        r = _check_rates(np.where(scored, rates, 1.0))
        y = np.where(scored, y, 0.0)
        if not (y >= 0).all():
            raise ValueError("counts hold negative values or NaN; give numbers of spikes")
        place = (trials, neurons)
        self.n_entries[place] += scored.sum(-2)
        self.spikes[place] += y.sum(-2)
        self.expected[place] += np.where(scored, r, 0.0).sum(-2)
        self.log_likelihood_gain[place] += (y * np.log(r)).sum(-2)
        self.saturated_gain[place] += xlogy(y, y).sum(-2)

    def _all(self) -> list[ndarray]:
        return [getattr(self, each.name) for each in fields(self)]

    def copy(self) -> SpikeSums:
        return SpikeSums(*(each.copy() for each in self._all()))

    def total(self, weights: Float[ndarray, "R K"] | None = None) -> SpikeSums:
        """Sums over trials: (K, N) -> (N,); with weights, how often each trial counts in R resamples, (R, N)."""
        if weights is None:
            return SpikeSums(*(each.sum(0) for each in self._all()))
        return SpikeSums(*(weights @ each for each in self._all()))

    def some(self, neurons: ndarray) -> SpikeSums:
        """The same for some neurons (positions or flags)."""
        return SpikeSums(*(each[..., neurons] for each in self._all()))

    def log_likelihood(self) -> Float[ndarray, "... N"]:
        """Poisson log likelihood in nats, without the term log y! that no model changes."""
        return self.log_likelihood_gain - self.expected

    def null_log_likelihood(self, null_rates: Float[ndarray, "N"] | None = None) -> Float[ndarray, "... N"]:
        """The same of a constant rate per neuron, in expected counts per bin; None: the mean of the scored entries."""
        if null_rates is None:
            null_rates = self.test_mean()
        null_rates = _check_rates(null_rates)
        return self.spikes * np.log(null_rates) - self.n_entries * null_rates

    def gain(self, null_rates: Float[ndarray, "N"] | None = None) -> Float[ndarray, "... N"]:
        """Log likelihood above the null, nats."""
        return self.log_likelihood() - self.null_log_likelihood(null_rates)

    def bits_per_spike(self, null_rates: Float[ndarray, "N"] | None = None) -> Float[ndarray, "... N"]:
        """Per neuron; NaN for silent neurons."""
        gain = self.gain(null_rates)
        return np.divide(gain, self.spikes * LOG_2, out=np.full_like(gain, np.nan), where=self.spikes > 0)

    def test_mean(self) -> Float[ndarray, "... N"]:
        """Mean of the scored entries, counts per bin: the null of MtM and NLB."""
        return self.spikes / np.maximum(self.n_entries, 1.0)

    def resampled_bits(
        self, weights: Float[ndarray, "R K"], null_rates: ndarray | None = None
    ) -> Float[ndarray, "R N"]:
        """Bits per spike of resampled trials, to first order in the weights (Efron & Tibshirani 1993, chapter 22).

        For sums of shape (K, N). Resampling the ratio itself misleads where spikes are few: a neuron whose only spike
        is not drawn drops out, and its poor score with it, so that the interval of a mean lies too high. For the same
        reason the null (None: the test mean) stays that of the actual trials: the mean of a resample fits that resample
        better than any fixed null.
        """
        total, resampled = self.total(), self.total(weights)
        null = total.test_mean() if null_rates is None else null_rates
        bits = total.bits_per_spike(null)
        return bits + (resampled.gain(null) / LOG_2 - bits * resampled.spikes) / np.maximum(total.spikes, 1.0)

    def poisson_d2(self, null_rates: Float[ndarray, "N"] | None = None) -> Float[ndarray, "... N"]:
        """Share of deviance explained per neuron; NaN where the null leaves nothing to explain, as in silence."""
        null = self.null_log_likelihood(null_rates)
        possible = self.saturated_gain - self.spikes - null
        enough = (self.spikes > 0) & (possible > 1e-9 * np.maximum(self.spikes, 1.0))
        return np.divide(self.log_likelihood() - null, possible, out=np.full_like(possible, np.nan), where=enough)

    def pooled(
        self, null_rates: Float[ndarray, "N"] | None = None, neurons: ndarray | slice = slice(None)
    ) -> float | Float[ndarray, "R"]:
        """Summed gain over summed spikes; silent neurons count with what the model wrongly expected of them."""
        # Neurons without a scored entry have gain 0 and no spikes.
        spikes = self.spikes[..., neurons].sum(-1)
        gain = np.where(self.n_entries > 0, self.gain(null_rates), 0.0)[..., neurons].sum(-1)
        pooled = np.divide(gain, spikes * LOG_2, out=np.full_like(gain, np.nan), where=spikes > 0)
        return float(pooled) if pooled.ndim == 0 else pooled


def spike_sums(
    rates: Float[ndarray, "*K T N"],
    counts: Num[ndarray, "*K T N"],
    target: Bool[ndarray, "*K T N"] | None = None,
) -> SpikeSums:
    """The sums (N,) of one set of predictions."""
    shape = np.shape(counts)
    as_trials = (-1, *shape[-2:])
    sums = SpikeSums.empty(int(np.prod(shape[:-2], dtype=int)), shape[-1])
    if np.shape(rates) != shape:
        raise ValueError(f"counts have shape {shape}, rates {np.shape(rates)}; give the same shape")
    scored = None if target is None else np.broadcast_to(target, shape).reshape(as_trials)
    sums.add(np.reshape(counts, as_trials), np.reshape(rates, as_trials), scored)
    return sums.total()


def bits_per_spike(
    rates: Float[ndarray, "*K T N"],
    counts: Num[ndarray, "*K T N"],
    null_rates: Float[ndarray, "N"] | None = None,
    target: Bool[ndarray, "*K T N"] | None = None,
) -> Float[ndarray, "N"]:
    """Bits per spike of each neuron (NaN where it is silent); see the top of this file.

    rates: expected counts per bin. null_rates: constant rate per neuron, counts per bin; None: the mean of the same
    entries. Raises ValueError for negative or non-finite rates and for shapes that differ. Arguments stay unchanged.
    """
    return spike_sums(rates, counts, target).bits_per_spike(null_rates)


def poisson_d2(
    rates: Float[ndarray, "*K T N"],
    counts: Num[ndarray, "*K T N"],
    null_rates: Float[ndarray, "N"] | None = None,
    target: Bool[ndarray, "*K T N"] | None = None,
) -> Float[ndarray, "N"]:
    """Poisson D2 of each neuron, arguments as in `bits_per_spike`; NaN where there is nothing to explain."""
    return spike_sums(rates, counts, target).poisson_d2(null_rates)

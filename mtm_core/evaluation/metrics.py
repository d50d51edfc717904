"""Poisson scores from sums that stream: memory does not grow with trials.

Bits per spike of neuron n over its scored entries (MtM, arXiv 2407.14668, section 4.2; Pei et al. 2021, NLB):

    bps_n = [ sum(y log r - r) - sum(y log r0 - r0) ] / ( sum(y) log 2 )

with counts y, predicted counts r and a null rate r0 that is constant in time. log y! cancels. Two nulls are in use and
both are offered: the mean of the same test entries (MtM, NLB; an oracle no model may know) and the mean of the training
trials. A session's score is the mean over neurons (MtM), their median, or pooled: the summed gain over the summed
spikes (NLB, BrainWideBench). A neuron without a spike among the scored entries has no score; it is counted, not
dropped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Num
from numpy import ndarray

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
    """Sufficient statistics per neuron, all of shape (N,) and float64."""

    n_entries: ndarray  # scored bins
    spikes: ndarray  # sum of y
    expected: ndarray  # sum of r
    log_likelihood_gain: ndarray  # sum of y log r

    @classmethod
    def empty(cls, n_neurons: int) -> SpikeSums:
        return cls(*(np.zeros(n_neurons) for _ in range(4)))

    def add(
        self,
        counts: Num[ndarray, "... N"],
        rates: Float[ndarray, "... N"],
        target: Bool[ndarray, "... N"] | None = None,
        neurons: ndarray | slice = slice(None),
    ) -> None:
        """Add scored entries: counts and expected counts per bin; target picks entries, neurons the columns' places."""
        if np.shape(counts) != np.shape(rates):
            raise ValueError(f"counts have shape {np.shape(counts)}, rates {np.shape(rates)}; give the same shape")
        y = np.asarray(counts, dtype=np.float64)
        scored = np.broadcast_to(True if target is None else target, y.shape)
        # Rates outside the target are never looked at, so nothing there can reach a score.
        r = _check_rates(np.where(scored, rates, 1.0))
        over = tuple(range(y.ndim - 1))
        y = np.where(scored, y, 0.0)
        if not (y >= 0).all():
            raise ValueError("counts hold negative values or NaN; give numbers of spikes")
        self.n_entries[neurons] += scored.sum(over)
        self.spikes[neurons] += y.sum(over)
        self.expected[neurons] += np.where(scored, r, 0.0).sum(over)
        self.log_likelihood_gain[neurons] += (y * np.log(r)).sum(over)

    def log_likelihood(self) -> Float[ndarray, "N"]:
        """Poisson log likelihood in nats, without the term log y! that no model changes."""
        return self.log_likelihood_gain - self.expected

    def null_log_likelihood(self, null_rates: Float[ndarray, "N"] | None = None) -> Float[ndarray, "N"]:
        """The same of a constant rate per neuron, in expected counts per bin; None: the mean of the scored entries."""
        if null_rates is None:
            null_rates = self.spikes / np.maximum(self.n_entries, 1.0)
        null_rates = _check_rates(null_rates)
        return self.spikes * np.log(null_rates) - self.n_entries * null_rates

    def bits_per_spike(self, null_rates: Float[ndarray, "N"] | None = None) -> Float[ndarray, "N"]:
        """Per neuron; NaN for silent neurons."""
        gain = self.log_likelihood() - self.null_log_likelihood(null_rates)
        return np.divide(gain, self.spikes * LOG_2, out=np.full_like(gain, np.nan), where=self.spikes > 0)

    def pooled(self, null_rates: Float[ndarray, "N"] | None = None, neurons: ndarray | slice = slice(None)) -> float:
        """Summed gain over summed spikes; silent neurons count with what the model wrongly expected of them."""
        gain = self.log_likelihood() - self.null_log_likelihood(null_rates)
        scored = self.n_entries > 0
        chosen = np.zeros(len(scored), dtype=bool)
        chosen[neurons] = True
        chosen &= scored
        spikes = self.spikes[chosen].sum()
        return float(gain[chosen].sum() / (spikes * LOG_2)) if spikes > 0 else math.nan


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
    sums = SpikeSums.empty(np.shape(counts)[-1])
    sums.add(counts, rates, target)
    return sums.bits_per_spike(null_rates)

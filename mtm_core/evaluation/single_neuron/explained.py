"""R2 of condition PSTHs and of single trials, each with its ceiling.

PSTH R2 (released code of MtM): one mean per condition and bin, recorded and predicted, conditions being the triples
(block, choice, reward), concatenated; R2 of the one list from the other, not clipped. Few test trials leave much noise
in a recorded PSTH, so even the true rates explain only a part of it. The ceiling is that part:

    ceiling = 1 - noise / total,   total = squares of the means around their grand mean,
                                   noise = what the means' own variances add to it

the limit over all halves of the split-half reliability with Spearman-Brown correction, in its closed form (Sahani &
Linden 2003, NIPS 15: signal power). It counts all differences between trials of a condition as noise; a prediction that
knows the single trial can do better. Where the interval reaches 0 or nearly everything, nothing is known about the
ceiling and no number is given (Pospisil & Bair 2021, PLoS Comput. Biol. 17: about SNR and confidence intervals).

Single trials have no repeats, so their R2 has a ceiling only where the true rates are known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from ..bootstrap import resamples
from .conditions import FEWEST, triples
from .jackknife import stratified_jackknife
from .measured import Ceiling, CeilingKind, Measured, bootstrapped, not_measurable
from .trials import NeuronTrials

WIDEST = 0.8  # of an interval within 0..1 that still says something
FEWEST_PAIRS = 30  # of spikes in one bin; with fewer the interval missed the true value in more than 5 % of simulations
NO_REPEATS = "no two trials are repeats of one another, so their reliability is not known"
NO_SPIKE = "no spike in the scored bins of these trials"
FLAT = "the recorded PSTHs do not vary"
ERROR, NOISE, POISSON = 2, 3, 4  # places of the terms in the sums over cells
NO_CONDITION = f"no condition has {FEWEST} trials"


@dataclass(frozen=True)
class Explained:
    """A share of variance explained, and the most there is to explain."""

    measured: Measured
    ceiling: Ceiling


# --- PSTHs ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Cells:
    """Sums over the cells (condition x bin) of P, P^2, (P - Q)^2, noise and P / n; and without each trial."""

    n_cells: int
    total: ndarray  # (5,)
    left_out: ndarray  # (K, 5)
    groups: ndarray  # (K,) conditions of the trials that are used
    products: ndarray  # (K, K) of the counts less the mean of their condition, summed over cells, less their sums'
    error_products: ndarray  # (K, K) the same of counts less rates, summed over cells

    def spread(self, sums: ndarray) -> ndarray:
        """Squares of the PSTHs around their grand mean, for each row of sums."""
        return np.asarray(sums[..., 1] - sums[..., 0] ** 2 / self.n_cells)

    def share(self, term: int) -> Measured:
        """1 - term / spread, with interval."""
        with np.errstate(divide="ignore", invalid="ignore"):
            value, left_out = (1 - sums[..., term] / self.spread(sums) for sums in (self.total, self.left_out))
        spread = float(self.spread(self.total))

        def products(members: ndarray) -> ndarray:
            """How pairs of trials enter: P^2 is the mean over all pairs of y y, and noise holds the same pairs."""
            n, pairs = len(members), np.ix_(members, members)
            own = {ERROR: self.error_products[pairs], NOISE: -self.products[pairs] / (n - 1)}.get(term, 0.0)
            return ((1 - value) * self.products[pairs] - own) / (n**2 * spread)

        return stratified_jackknife(float(value), left_out, self.groups, products)


def psth_r2(neuron: NeuronTrials) -> Explained:
    """R2 of the condition PSTHs over conditions of at least three trials, with ceiling.

    MtM's own number takes conditions of one trial as well: `plain_psth_r2(neuron, fewest=1)`.
    """
    groups = triples(neuron)
    reason = NO_SPIKE if neuron.n_spikes == 0 else "" if (groups >= 0).any() else NO_CONDITION
    if reason:
        return Explained(Measured(None, reason=reason), not_measurable(reason))
    cells = _cells(neuron, groups)
    if cells.n_cells == 0 or not cells.spread(cells.total) > 0:
        return Explained(Measured(None, reason=FLAT), not_measurable(FLAT))
    if_poisson = _possible(cells.share(POISSON))
    if neuron.oracle is not None:
        true = _cells(neuron.oracle, groups).share(ERROR)
        return Explained(cells.share(ERROR), Ceiling(CeilingKind.TRUE_RATES, true, if_poisson))
    return Explained(cells.share(ERROR), judged_ceiling(cells.share(NOISE), if_poisson))


def _possible(if_poisson: Measured) -> Measured:
    """No rates, however they vary, give Poisson spikes a negative share; such spikes are more regular than Poisson."""
    if if_poisson.interval is not None and if_poisson.interval[1] < 0:
        return Measured(None, reason="the recorded counts vary less than Poisson counts with any rates")
    return if_poisson


def repeat_ceiling(neuron: NeuronTrials) -> Measured:
    """Share of the PSTHs' variance that is not noise, whether or not it can be told from 0 (see `judged_ceiling`)."""
    groups = triples(neuron)
    if not (groups >= 0).any():
        return Measured(None, reason=NO_CONDITION)
    return _cells(neuron, groups).share(NOISE)


def judged_ceiling(measured: Measured, if_poisson: Measured | None = None) -> Ceiling:
    """The ceiling, or NOT_MEASURABLE with the reason where its interval leaves everything open."""
    if measured.value is None or measured.interval is None:
        return not_measurable(measured.reason, if_poisson)
    low, high = measured.interval
    span = f"its interval is {low:.2f} to {high:.2f}"
    if low <= 0:
        return not_measurable(f"the conditions' PSTHs cannot be told from noise: {span}", if_poisson)
    if min(high, 1.0) - low > WIDEST:
        return not_measurable(f"these trials say nearly nothing about it: {span}", if_poisson)
    return Ceiling(CeilingKind.REPEATS, measured, if_poisson)


def plain_psth_r2(neuron: NeuronTrials, fewest: int = 1) -> float | None:
    """R2 of the condition PSTHs as MtM's code has it: conditions of any number of trials, no interval."""
    groups = triples(neuron, fewest)
    if not (groups >= 0).any():
        return None
    member = (groups[None] == np.arange(groups.max() + 1)[:, None]).astype(np.float64)
    n, spikes, expected = (member @ np.where(neuron.scored, x, 0.0) for x in (1.0, neuron.counts, neuron.rates))
    known = n > 0
    p, q = spikes[known] / n[known], expected[known] / n[known]
    spread = ((p - p.mean()) ** 2).sum()
    return float(1 - ((p - q) ** 2).sum() / spread) if spread > 0 else None


def _cells(neuron: NeuronTrials, groups: Int[ndarray, " K"]) -> _Cells:
    """Terms of all cells with at least FEWEST scored trials."""
    used = groups >= 0
    groups, scored = groups[used], neuron.scored[used].astype(np.float64)
    y, r = neuron.counts[used] * scored, neuron.rates[used] * scored
    member = (groups[None] == np.arange(groups.max() + 1)[:, None]).astype(np.float64)
    enough = member @ scored >= FEWEST
    n_cells, kept = int(enough.sum()), enough[groups]

    def deviations(values: ndarray) -> ndarray:
        """From the mean of the condition, in the cells that count."""
        mean = (member @ values) / np.maximum(member @ scored, 1.0)
        return np.where(kept, (values - mean[groups]) * scored, 0.0)

    dy, de = deviations(y), deviations(y - r)
    sums = dy.sum(axis=1, keepdims=True)
    own = [scored, y, y * y, r, np.ones((len(y), 1)), sums, sums**2]
    of_group = [member @ each for each in own]
    per_group = _terms(of_group, enough, n_cells)
    total = per_group.sum(axis=0)
    rest = _terms([each[groups] - mine for each, mine in zip(of_group, own, strict=True)], kept, n_cells)
    left_out = total - per_group[groups] + rest
    return _Cells(n_cells, total, left_out, groups, dy @ dy.T - sums @ sums.T / max(n_cells, 1), de @ de.T)


def _terms(of_group: list[ndarray], enough: ndarray, n_cells: int) -> ndarray:
    """(G, 5) sums over the bins that have enough trials, from sums over trials (G, T) or (G, 1)."""
    n, y, yy, r, n_trials, z, zz = of_group
    n, n_trials = np.maximum(n, 2.0), np.maximum(n_trials, 2.0)
    p = y / n
    noise = (yy - y * p) / (n - 1) / n
    terms = np.stack([np.where(enough, x, 0.0).sum(axis=1) for x in (p, p * p, (p - r / n) ** 2, noise, p / n)], axis=1)
    # Squares around the grand mean do not hold the noise of the grand mean, which all bins of a trial share.
    shared = (zz - z**2 / n_trials) / (n_trials - 1) / n_trials
    terms[:, NOISE] -= shared[:, 0] / max(n_cells, 1)
    terms[:, POISSON] *= 1 - 1 / max(n_cells, 1)
    return terms


# --- single trials ----------------------------------------------------------------------------------------------------


def trial_r2(neuron: NeuronTrials, rng: np.random.Generator) -> Explained:
    """R2 over trials x bins as they are, without smoothing; the interval is over resampled trials.

    Ceiling: the true rates' R2 where they are known. if_poisson: 1 - mean / variance of the counts, which is the R2 of
    the true rates, whatever they are, if spikes are Poisson.
    """
    weights = resamples(neuron.n_trials, rng)
    if_poisson = _if_poisson(neuron, weights)
    measured = _trial_share(neuron, (neuron.counts - neuron.rates) ** 2, weights)
    if neuron.oracle is None or measured.value is None:
        return Explained(measured, not_measurable(measured.reason or NO_REPEATS, if_poisson))
    true = _trial_share(neuron, (neuron.counts - neuron.oracle.rates) ** 2, weights)
    return Explained(measured, Ceiling(CeilingKind.TRUE_RATES, true, if_poisson))


def _if_poisson(neuron: NeuronTrials, weights: ndarray) -> Measured:
    """1 - mean / variance of the counts, unless too few bins hold several spikes to tell their variance from Poisson's.

    What the variance adds to the mean is known from pairs of spikes in one bin alone: E[y (y - 1)] = E[rate^2].
    """
    y = np.where(neuron.scored, neuron.counts, 0).astype(np.int64)
    n_pairs = int((y * (y - 1)).sum()) // 2
    if n_pairs < FEWEST_PAIRS:
        return Measured(None, reason=f"only {n_pairs} pairs of spikes share a bin; {FEWEST_PAIRS} are needed")
    return _possible(_trial_share(neuron, neuron.counts, weights))


def _trial_share(neuron: NeuronTrials, rest: ndarray, weights: ndarray) -> Measured:
    """1 - sum of `rest` over the squares of the counts around their mean."""
    scored, y = neuron.scored, neuron.counts.astype(np.float64)
    per_trial = np.stack([np.where(scored, x, 0.0).sum(axis=1) for x in (1.0, y, y * y, rest)], axis=1)
    sums = np.concatenate([per_trial.sum(axis=0)[None], weights @ per_trial])
    spread = sums[:, 2] - sums[:, 1] ** 2 / np.maximum(sums[:, 0], 1.0)
    values = 1 - np.divide(sums[:, 3], spread, out=np.full(len(spread), np.nan), where=spread > 0)
    return bootstrapped(float(values[0]), values[1:], neuron.n_trials, NO_SPIKE)

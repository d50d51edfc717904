"""How well a neuron could be predicted at best: on simulations, where the answer is known."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from one_neuron import one_neuron, simulated_rates
from scipy.stats import t as student
from sklearn.metrics import r2_score
from test_single_neuron import NEURON, rng

from mtm_core.evaluation.bootstrap import resamples
from mtm_core.evaluation.single_neuron.conditions import triples
from mtm_core.evaluation.single_neuron.explained import (
    _cells,
    judged_ceiling,
    plain_psth_r2,
    psth_r2,
    repeat_ceiling,
    trial_r2,
)
from mtm_core.evaluation.single_neuron.jackknife import stratified_jackknife
from mtm_core.evaluation.single_neuron.judge import judge, poisson_scores
from mtm_core.evaluation.single_neuron.measured import CeilingKind, Measured

SIZES = (10, 10, 10, 10, 10, 10)  # trials per condition


def condition_rates(draw, mean, spread, n_bins, n_conditions=6):
    """Expected counts (C, T), one time course per condition; flat without spread."""
    phase = draw.uniform(0, 6, (n_conditions, 1))
    return mean * np.exp(spread * np.sin(np.linspace(0, 6, n_bins) + phase))


def recorded(draw, per_condition, gain, sizes=SIZES):
    """Poisson spikes of trials that also share a random gain of this coefficient of variation; no true rates given."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    width = np.sqrt(np.log1p(gain**2))
    gains = np.exp(width * draw.normal(size=(len(groups), 1)) - width**2 / 2)
    rates = per_condition[groups] * gains
    return one_neuron(draw.poisson(rates), rates, behaviors={"choice": groups.astype(np.float64)})


def true_ceiling(per_condition, gain, sizes=SIZES):
    """Signal over signal and noise, from the law of the simulation."""
    signal = ((per_condition - per_condition.mean()) ** 2).sum()
    variance = per_condition + gain**2 * per_condition**2
    of_sums = per_condition.sum(axis=1) + gain**2 * per_condition.sum(axis=1) ** 2  # bins share the trial's gain
    noise = (variance.sum(axis=1) / sizes).sum() - (of_sums / sizes).sum() / per_condition.size
    return signal / (signal + noise)


def coverage(n_runs, case):
    """Share of runs whose interval covers the true ceiling, and share in which there is a ceiling."""
    mean, spread, gain, sizes, n_bins = case
    draw = rng(int(1000 * mean) + len(sizes))
    per_condition = condition_rates(draw, mean, spread, n_bins, len(sizes))
    truth = true_ceiling(per_condition, gain, sizes)
    found = [repeat_ceiling(recorded(draw, per_condition, gain, sizes)) for _ in range(n_runs)]
    covered = np.mean([m.interval[0] <= truth <= m.interval[1] for m in found])
    return covered, np.mean([judged_ceiling(m).kind is CeilingKind.REPEATS for m in found])


# --- the ceiling of PSTHs ---------------------------------------------------------------------------------------------


def test_the_ceiling_is_what_split_halves_give_with_spearman_and_brown():
    """Over all halves of the trials, with covariance and variances averaged over them, in place of the closed form."""
    draw = rng(1)
    neuron = recorded(draw, condition_rates(draw, 1.0, 0.6, 40, 1), 0.3, sizes=(8,))
    counts = neuron.counts.astype(np.float64)
    covariance, variance = [], []
    for half in itertools.combinations(range(8), 4):
        rest = [k for k in range(8) if k not in half]
        a, b = counts[list(half)].mean(axis=0), counts[rest].mean(axis=0)
        covariance.append(np.cov(a, b, ddof=0)[0, 1])
        variance.append((a.var() + b.var()) / 2)
    r = np.mean(covariance) / np.mean(variance)
    assert repeat_ceiling(neuron).value == pytest.approx(2 * r / (1 + r), rel=1e-9)


@pytest.mark.parametrize("case", [(0.3, 0.5, 0.0, SIZES, 50), (1.0, 0.5, 0.3, SIZES, 50)])
def test_the_ceilings_interval_covers_the_truth(case):
    covered, measurable = coverage(200, case)
    assert 0.90 <= covered <= 0.995 and measurable > 0.8


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",  # mean, spread, gain, trials per condition, bins
    [
        (0.3, 0.5, 0.0, SIZES, 50),
        (0.05, 0.5, 0.0, SIZES, 50),
        (0.3, 0.5, 0.4, SIZES, 50),
        (1.0, 0.5, 0.3, (5,) * 8, 100),
        (0.1, 0.5, 0.0, (60,), 100),
        (0.1, 0.6, 0.3, (8, 20, 3, 25, 4, 5), 100),
        (0.3, 0.0, 0.4, SIZES, 50),
    ],
)
def test_the_ceilings_interval_covers_the_truth_in_95_of_100_runs(case):
    covered, _ = coverage(1000, case)
    assert 0.93 <= covered <= 0.98


@pytest.mark.parametrize("gain", [0.0, 0.4])
def test_the_ceiling_of_noise_is_not_measurable(gain):
    _, measurable = coverage(150, (0.3, 0.0, gain, SIZES, 50))
    assert measurable <= 0.06


def test_a_ceiling_that_is_not_measurable_says_why():
    draw = rng(2)
    noise = recorded(draw, np.full((6, 50), 0.3), 0.0)
    found = psth_r2(noise)
    assert found.ceiling.kind is CeilingKind.NOT_MEASURABLE and found.ceiling.measured.value is None
    assert "cannot be told from noise" in found.ceiling.measured.reason
    assert found.measured.value is not None  # the R2 itself is still a number
    assert "say nearly nothing" in judged_ceiling(Measured(0.5, (0.05, 0.95))).measured.reason
    assert judged_ceiling(Measured(0.9, (0.6, 1.5))).kind is CeilingKind.REPEATS
    few = replace(noise, behaviors={"choice": np.arange(60.0)})
    assert "no condition has 3 trials" in psth_r2(few).measured.reason


def test_the_true_psth_reaches_the_ceiling_on_average():
    draw = rng(4)
    per_condition = condition_rates(draw, 0.5, 0.5, 40)
    groups = np.repeat(np.arange(6), 10)
    reached, ceilings = [], []
    for _ in range(150):
        neuron = recorded(draw, per_condition, 0.0)
        reached.append(plain_psth_r2(replace(neuron, rates=per_condition[groups])))
        ceilings.append(repeat_ceiling(neuron).value)
    error = np.std(np.subtract(reached, ceilings)) / np.sqrt(150)
    assert abs(np.mean(reached) - np.mean(ceilings)) < 3 * error + 0.005


def test_a_prediction_that_knows_the_trial_may_exceed_the_ceiling_of_repeats():
    draw = rng(5)
    neuron = recorded(draw, condition_rates(draw, 3.0, 0.3, 50), 0.6, sizes=(40, 40, 40))
    assert plain_psth_r2(neuron) > repeat_ceiling(neuron).interval[1]


def test_unscored_bins_do_not_touch_the_ceiling():
    draw = rng(6)
    neuron = recorded(draw, condition_rates(draw, 0.5, 0.5, 40), 0.2)
    scored = np.ones(neuron.counts.shape, dtype=bool)
    scored[:, 30:] = False
    short = one_neuron(neuron.counts[:, :30], neuron.rates[:, :30], behaviors=neuron.behaviors)
    poisoned = replace(neuron, scored=scored, counts=np.where(scored, neuron.counts, 99))
    left, right = psth_r2(poisoned), psth_r2(short)
    assert left.measured.value == pytest.approx(right.measured.value)
    assert left.ceiling.measured.interval == pytest.approx(right.ceiling.measured.interval)


# --- the true rates ---------------------------------------------------------------------------------------------------


def test_the_true_rates_are_at_their_own_ceiling():
    draw = rng(7)
    rates = simulated_rates(draw, (60, 40))
    neuron = one_neuron(draw.poisson(rates), rates, true_rates=rates)
    found = judge(neuron, rng())
    for name in ("bits_per_spike", "bits_per_spike_train_null", "poisson_d2", "psth_r2", "trial_r2"):
        each = getattr(found, name)
        assert each.ceiling.kind is CeilingKind.TRUE_RATES
        assert each.measured.value == pytest.approx(each.ceiling.measured.value, rel=1e-6)
    worse = judge(replace(neuron, rates=np.full_like(rates, rates.mean())), rng())
    low, _ = worse.bits_per_spike.ceiling.measured.interval
    assert worse.bits_per_spike.measured.value < low
    assert worse.trial_r2.measured.value < worse.trial_r2.ceiling.measured.interval[0]


def test_without_true_rates_only_the_psth_has_a_ceiling():
    found = judge(replace(NEURON, true_rates=None), rng())
    for name in ("bits_per_spike", "poisson_d2", "trial_r2", "residual_correlation"):
        ceiling = getattr(found, name).ceiling
        assert ceiling.kind is CeilingKind.NOT_MEASURABLE and "repeats" in ceiling.measured.reason


def test_the_expected_bits_of_the_true_rates_are_in_the_interval():
    """Expectations of the log likelihoods over the expectation of the spikes."""
    draw = rng(8)
    rates = simulated_rates(draw, (60, 30), mean=0.5)
    null = rates.mean()
    gain = (rates * np.log(rates / null)).sum() - (rates - null).sum()
    expected = gain / rates.sum() / np.log(2)
    hits = 0
    for _ in range(200):
        neuron = one_neuron(draw.poisson(rates), rates, train_mean=float(null))
        low, high = poisson_scores(neuron, resamples(60, draw))[1].interval
        hits += low <= expected <= high
    assert 0.88 <= hits / 200 <= 0.995


def test_the_r2_expected_of_poisson_spikes_is_that_of_the_true_rates():
    inside = []
    for seed in range(100):
        draw = rng(seed)
        rates = simulated_rates(draw, (64, 40), mean=0.4)
        found = trial_r2(one_neuron(draw.poisson(rates), rates, true_rates=rates), draw)
        low, high = found.ceiling.if_poisson.interval
        inside.append(low <= found.ceiling.measured.value <= high)
    assert np.mean(inside) >= 0.95


def test_spikes_more_regular_than_poisson_have_no_expectation_either():
    counts = np.tile([0, 1, 1, 2], (40, 10))
    found = trial_r2(one_neuron(counts, np.full(counts.shape, 1.0)), rng())
    assert found.ceiling.if_poisson.value is None and "less than Poisson" in found.ceiling.if_poisson.reason


def test_rates_too_low_to_know_the_variance_have_no_expectation():
    draw = rng(9)
    rates = simulated_rates(draw, (40, 40), mean=0.02)
    found = trial_r2(one_neuron(draw.poisson(rates), rates), draw)
    assert found.ceiling.if_poisson.value is None and "pairs of spikes" in found.ceiling.if_poisson.reason


# --- the jackknife ----------------------------------------------------------------------------------------------------


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = rng(1).normal(size=30)
    left_out = np.array([np.delete(values, k).mean() for k in range(30)])
    found = stratified_jackknife(values.mean(), left_out, np.zeros(30, dtype=int), lambda m: np.zeros((len(m), len(m))))
    reach = student.ppf(0.975, 29) * values.std(ddof=1) / np.sqrt(30)
    assert found.interval == pytest.approx((values.mean() - reach, values.mean() + reach))


def test_leaving_out_a_trial_equals_doing_it():
    neuron = one_neuron(NEURON.counts, NEURON.rates)
    groups = triples(NEURON)
    cells = _cells(neuron, groups)
    used = np.flatnonzero(groups >= 0)
    for i, k in enumerate(used):
        if (groups == groups[k]).sum() < 4:
            continue  # its condition would be too small to count
        keep = np.delete(np.arange(60), k)
        rest = _cells(one_neuron(neuron.counts[keep], neuron.rates[keep]), groups[keep])
        np.testing.assert_allclose(cells.left_out[i], rest.total)


def test_the_interval_of_squared_means_of_noise_is_not_too_wide():
    """Products of two trials are all there is: the plain jackknife is off by a factor of about 1.4."""
    covered, widths, values = [], [], []
    draw = rng(3)
    for _ in range(300):
        x = draw.normal(size=(12, 40))
        pairs = x @ x.T

        def mean_product(p):
            return (p.sum() - np.trace(p)) / (len(p) * (len(p) - 1))

        left_out = np.array([mean_product(np.delete(np.delete(pairs, k, 0), k, 1)) for k in range(12)])
        found = stratified_jackknife(
            mean_product(pairs), left_out, np.zeros(12, dtype=int), lambda members, p=pairs: p / (12 * 11)
        )
        covered.append(found.interval[0] <= 0 <= found.interval[1])
        widths.append(found.interval[1] - found.interval[0])
        values.append(found.value)
    assert 0.91 <= np.mean(covered) <= 0.985
    assert np.mean(widths) < 1.25 * 2 * 2.2 * np.std(values)


def test_r2_of_psths_by_hand():
    # Two conditions of three trials, one bin: means 1 and 3, predicted 1 and 2: 1 - 1 / 2.
    counts = np.array([[0], [1], [2], [2], [3], [4]])
    rates = np.array([[1.0], [1.0], [1.0], [2.0], [2.0], [2.0]])
    neuron = one_neuron(counts, rates, behaviors={"choice": np.array([1.0, 1, 1, -1, -1, -1])})
    assert psth_r2(neuron).measured.value == pytest.approx(0.5) == r2_score([1, 3], [1, 2])
    # Variance 1 in each condition, so each mean has noise 1/3, of which half is that of the grand mean: 1 - (1/3) / 2.
    assert repeat_ceiling(neuron).value == pytest.approx(1 - (1 / 3) / 2)

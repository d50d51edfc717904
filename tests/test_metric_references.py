"""Bits per spike and Poisson D2 equal what other implementations say: plain Python, scikit-learn, BrainWideBench.

BrainWideBench's scorer is the package ibl-bwb-eval; it pins old versions of NumPy and others, so it is installed with
`pip install --no-deps ibl-bwb-eval==0.1.0`, and its tests skip where it is absent.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import d2_tweedie_score
from small import small_trials

from mtm_core.data.catalogue import open_session
from mtm_core.evaluation.metrics import SMALLEST_RATE, spike_sums

LOG_2 = math.log(2.0)


@st.composite
def predictions(draw):
    """Counts and rates of a few neurons (lists of lists), and a null rate for each or None."""
    n_bins, n_neurons = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    shape = {"min_size": n_bins, "max_size": n_bins}
    counts = [draw(st.lists(st.integers(0, 200), **shape)) for _ in range(n_neurons)]
    rates = [draw(st.lists(st.floats(0, 500), **shape)) for _ in range(n_neurons)]
    return counts, rates, draw(st.none() | st.lists(st.floats(1e-6, 50), min_size=n_neurons, max_size=n_neurons))


def log_likelihood(counts, rates):
    """Poisson log likelihood in nats, term by term, log y! included."""
    rates = [max(r, SMALLEST_RATE) for r in rates]
    return math.fsum(
        term for y, r in zip(counts, rates, strict=True) for term in (y * math.log(r), -r, -math.lgamma(y + 1))
    )


def saturated(counts):
    """The largest log likelihood there is: every rate is the count itself, and 0 is certain where nothing fired."""
    return math.fsum(y * math.log(y) - y - math.lgamma(y + 1) for y in counts if y)


def nulls_of(counts, given_nulls):
    """The null rate of each neuron: what was given, else the mean of its counts."""
    return [math.fsum(y) / len(y) for y in counts] if given_nulls is None else given_nulls


def constant(null, y):
    return [null] * len(y)


def scale_of(counts, rates, nulls):
    """The size of the terms whose sums are taken: their rounding cannot be smaller than 1e-16 of it."""
    sizes = [50 * (y + 1) + r for ys, rs in zip(counts, rates, strict=True) for y, r in zip(ys, rs, strict=True)]
    return math.fsum(sizes) + math.fsum(null * len(y) for null, y in zip(nulls, counts, strict=True))


def near(expected, scale, spikes):
    return pytest.approx(expected, rel=1e-10, abs=1e-14 * scale / max(spikes, 1), nan_ok=True)


@settings(max_examples=200, deadline=None)
@given(predictions())
def test_bits_per_spike_of_neurons_and_of_all_spikes_equal_plain_python(case):
    counts, rates, given_nulls = case
    nulls = nulls_of(counts, given_nulls)
    sums = spike_sums(np.array([rates]).transpose(0, 2, 1), np.array([counts]).transpose(0, 2, 1))
    gains = [
        log_likelihood(y, r) - log_likelihood(y, constant(null, y))
        for y, r, null in zip(counts, rates, nulls, strict=True)
    ]
    scale, spikes = scale_of(counts, rates, nulls), [sum(y) for y in counts]
    for n, found in enumerate(sums.bits_per_spike(None if given_nulls is None else np.array(nulls))):
        assert found == near(gains[n] / spikes[n] / LOG_2 if spikes[n] else math.nan, scale, spikes[n])
    pooled = math.fsum(gains) / sum(spikes) / LOG_2 if sum(spikes) else math.nan
    assert sums.pooled(None if given_nulls is None else np.array(nulls)) == near(pooled, scale, sum(spikes))


@settings(max_examples=200, deadline=None)
@given(predictions())
def test_poisson_d2_equals_one_minus_deviance_over_null_deviance(case):
    counts, rates, given_nulls = case
    nulls = nulls_of(counts, given_nulls)
    sums = spike_sums(np.array([rates]).transpose(0, 2, 1), np.array([counts]).transpose(0, 2, 1))
    found = sums.poisson_d2(None if given_nulls is None else np.array(nulls))
    scale = scale_of(counts, rates, nulls)
    for n, (y, r, null) in enumerate(zip(counts, rates, nulls, strict=True)):
        best = saturated(y)
        deviance, null_deviance = best - log_likelihood(y, r), best - log_likelihood(y, constant(null, y))
        if sum(y) == 0 or null_deviance < 1e-6 * sum(y):
            continue  # nothing to explain; the next test says what is told then
        assert found[n] == pytest.approx(1 - deviance / null_deviance, rel=1e-10, abs=1e-13 * scale / null_deviance)


def test_ten_thousand_neurons_equal_plain_python():
    rng = np.random.default_rng(0)
    n = 10_000
    rates = rng.gamma(0.5, 2.0, (1, 12, n)) * rng.choice([1e-3, 0.1, 1.0, 30.0], n)
    counts = rng.poisson(rates * rng.gamma(1.0, 1.0, n))
    sums = spike_sums(rates, counts)
    bits, d2 = sums.bits_per_spike(), sums.poisson_d2()
    for i, (y, r) in enumerate(zip(counts[0].T.tolist(), rates[0].T.tolist(), strict=True)):
        null = constant(sum(y) / len(y), y)
        gain = log_likelihood(y, r) - log_likelihood(y, null) if sum(y) else 0.0
        scale = scale_of([y], [r], [null[0]])
        assert bits[i] == near(gain / sum(y) / LOG_2 if sum(y) else math.nan, scale, sum(y))
        possible = saturated(y) - log_likelihood(y, null)
        if sum(y) and possible > 1e-6 * sum(y):
            assert d2[i] == pytest.approx(gain / possible, rel=1e-10, abs=1e-13 * scale / possible)


def test_there_is_no_d2_where_the_null_explains_everything():
    counts = np.array([[[0, 2, 1], [0, 2, 0]]])
    d2 = spike_sums(np.full(counts.shape, 0.5), counts).poisson_d2()
    assert np.isnan(d2[:2]).all() and np.isfinite(d2[2])  # silent; constant; one spike in two bins


def real_looking():
    """Rates and counts (K, T, N) with silent, sparse and busy neurons."""
    trials = open_session("simulated-1").align().select("test")
    counts = trials.counts.astype(np.int64)
    counts[..., 3] = 0
    rng = np.random.default_rng(0)
    thinned = rng.binomial(counts[..., 100:160], 0.02)
    counts = np.concatenate([counts, thinned], axis=2)
    wobble = np.exp(0.3 * rng.normal(size=counts.shape))
    mean = np.concatenate([trials.true_rates, 0.02 * trials.true_rates[..., 100:160]], axis=2)
    return np.maximum(mean * wobble, 1e-6), counts


def test_poisson_d2_equals_scikit_learn():
    rates, counts = real_looking()
    found = spike_sums(rates, counts).poisson_d2()
    for n in range(0, counts.shape[2], 7):
        y, r = counts[..., n].ravel(), rates[..., n].ravel()
        if y.any():
            assert found[n] == pytest.approx(d2_tweedie_score(y, r, power=1), rel=1e-10)


# --- BrainWideBench ---------------------------------------------------------------------------------------------------


def bench_scores(rates, counts):
    """(Poisson D2, bits per spike) of BrainWideBench's metrics, and their clipped mean as its ranking takes it."""
    metrics = pytest.importorskip("ibl_bwb_eval.metrics", reason="pip install --no-deps ibl-bwb-eval==0.1.0")
    from ibl_bwb_eval.scoring.aggregation import aggregate

    log_rates = torch.as_tensor(np.log(rates)).float().reshape(-1, rates.shape[-1])
    target = torch.as_tensor(counts).float().reshape(-1, rates.shape[-1])
    raw = {}
    for name, metric in (("poisson_d2", metrics.PoissonD2Score()), ("bps", metrics.BPS())):
        metric.update(log_rates, target)
        raw[name] = metric.compute().item()
    clipped = aggregate({("us", "ts2-co_smoothing", "recording", 43): raw})
    return raw, {name: value[0] for name, value in clipped[("us", "ts2-co_smoothing", "recording")].items()}


def our_scores(rates, counts):
    """The same from our sums: the benchmark leaves silent neurons out of both."""
    sums = spike_sums(rates, counts)
    return {"poisson_d2": float(np.nanmean(sums.poisson_d2())), "bps": sums.pooled(neurons=sums.spikes > 0)}


@pytest.mark.parametrize("gain", [1.0, 4.0], ids=["better than the mean", "worse than the mean"])
def test_scores_equal_those_of_brain_wide_bench(gain):
    rates, counts = real_looking()
    rates = rates * gain
    raw, clipped = bench_scores(rates, counts)
    ours = our_scores(rates, counts)
    assert (ours["bps"] > 0) == (gain == 1.0)
    for name in ("poisson_d2", "bps"):
        assert ours[name] == pytest.approx(raw[name], rel=1e-5, abs=1e-5)
        assert max(ours[name], 0.0) == pytest.approx(clipped[name], rel=1e-5, abs=1e-5)


def test_scores_of_recorded_spikes_equal_those_of_brain_wide_bench(recordings_dir):
    trials = open_session("d23a44ef", recordings_dir).align("stimOn_times", (-0.2, 0.8), 0.02)
    mean = trials.select("train").counts.mean(axis=0) + 0.01
    test = trials.select("test")
    rates = np.broadcast_to(mean, test.counts.shape).astype(np.float64)
    raw, _ = bench_scores(rates, test.counts)
    assert our_scores(rates, test.counts) == pytest.approx(raw, rel=1e-5, abs=1e-5)


def test_brain_wide_bench_leaves_out_silent_neurons_and_our_pooled_score_counts_them():
    rates, counts = real_looking()
    rates[..., 3] = 5.0  # 250 spikes a second expected of a neuron that never fired
    silent = spike_sums(rates, counts)
    raw, _ = bench_scores(rates, counts)
    assert our_scores(rates, counts)["bps"] == pytest.approx(raw["bps"], abs=1e-5)
    assert silent.pooled() < raw["bps"] - 0.1


def test_the_form_of_the_neural_latents_benchmark():
    """nlb_tools pools: NLL of each neuron's mean minus NLL, over all spikes, each summed from r - y log r."""
    rates, counts = real_looking()
    mean = np.broadcast_to(counts.mean(axis=(0, 1)), counts.shape)
    flat = [np.where(r > 0, r - counts * np.log(np.maximum(r, 1e-300)), 0.0).sum() for r in (mean, rates)]
    # A silent neuron's null is 0 there and costs nothing; what is expected of it costs the model.
    assert spike_sums(rates, counts).pooled() == pytest.approx((flat[0] - flat[1]) / counts.sum() / LOG_2, rel=1e-6)


def test_our_sums_do_not_change_their_input():
    trials = small_trials()
    rates, counts = trials.true_rates.copy(), trials.counts.copy()
    for array in (rates, counts):
        array.flags.writeable = False
    sums = spike_sums(rates, counts)
    sums.poisson_d2()
    sums.pooled()  # a write into a read-only array would have raised

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtm_core.evaluation.metrics import LOG_2, SMALLEST_RATE, SpikeSums, bits_per_spike, poisson_d2, spike_sums


def log_likelihood(counts, rates):
    """Poisson log likelihood in nats, one term at a time, log y! included."""
    return math.fsum(
        y * math.log(max(r, SMALLEST_RATE)) - max(r, SMALLEST_RATE) - math.lgamma(y + 1)
        for y, r in zip(counts, rates, strict=True)
    )


def reference(rates, counts, null=None):
    """Bits per spike of one neuron from lists, in plain Python."""
    spikes = math.fsum(counts)
    null = spikes / len(counts) if null is None else null
    gain = log_likelihood(counts, rates) - log_likelihood(counts, [null] * len(counts))
    return gain / spikes / math.log(2) if spikes else math.nan


def simulated(seed=0, shape=(20, 10, 5)):
    rng = np.random.default_rng(seed)
    rates = rng.gamma(1.0, 0.5, shape)
    return rates, rng.poisson(rates)


def locked(*arrays):
    """Read-only copies: whoever writes into an argument fails."""
    copies = [np.array(a) for a in arrays]
    for copy in copies:
        copy.flags.writeable = False
    return copies


@st.composite
def cases(draw):
    n = draw(st.integers(1, 12))
    counts = draw(st.lists(st.integers(0, 50), min_size=n, max_size=n))
    rates = draw(st.lists(st.floats(1e-6, 100), min_size=n, max_size=n))
    return rates, counts, draw(st.none() | st.floats(1e-6, 50))


# --- the number -------------------------------------------------------------------------------------------------------


@settings(max_examples=500, deadline=None)
@given(cases())
def test_equals_the_formula_in_plain_python(case):
    rates, counts, null = case
    given_null = None if null is None else np.array([null])
    (found,) = bits_per_spike(np.array(rates)[:, None], np.array(counts)[:, None], given_null)
    expected = reference(rates, counts, null)
    scale = sum(counts) + sum(rates) + 50 * len(rates)  # of the sums whose difference is taken
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-12 * scale / max(sum(counts), 1), nan_ok=True)


def test_float32_rates_are_as_good_as_they_can_be():
    rates, counts = simulated()
    np.testing.assert_allclose(
        bits_per_spike(rates.astype(np.float32), counts), bits_per_spike(rates, counts), rtol=1e-5
    )


def test_by_hand():
    # One neuron, two bins, spikes 2 and 0, rates 2 and 1: gain = 2 log 2 - 3 - (2 log 1 - 2) = 2 log 2 - 1.
    assert bits_per_spike(np.array([[2.0], [1.0]]), np.array([[2], [0]])) == pytest.approx(
        (2 * LOG_2 - 1) / (2 * LOG_2)
    )


def test_the_form_of_nlb_tools():
    """nlb_tools: (NLL of the null - NLL) / spikes / log 2, each NLL summed from rates - counts * log(rates)."""
    rates, counts = simulated()
    for n in range(rates.shape[-1]):
        y, r = counts[..., n], rates[..., n]
        null = np.full_like(r, y.mean())
        nll = [(x - y * np.log(x)).sum() for x in (null, r)]
        assert bits_per_spike(rates, counts)[n] == pytest.approx((nll[0] - nll[1]) / y.sum() / np.log(2), rel=1e-10)


# --- identities -------------------------------------------------------------------------------------------------------


def test_the_null_itself_scores_nothing():
    _, counts = simulated()
    mean = counts.mean(axis=(0, 1))
    np.testing.assert_allclose(bits_per_spike(np.broadcast_to(mean, counts.shape), counts), 0, atol=1e-12)
    other = mean * 1.3
    np.testing.assert_allclose(bits_per_spike(np.broadcast_to(other, counts.shape), counts, other), 0, atol=1e-12)


def test_order_of_trials_bins_and_neurons_does_not_matter():
    rates, counts = simulated()
    rng, expected = np.random.default_rng(1), bits_per_spike(*simulated())
    for axis in range(2):
        order = rng.permutation(rates.shape[axis])
        shuffled = bits_per_spike(np.take(rates, order, axis), np.take(counts, order, axis))
        np.testing.assert_allclose(shuffled, expected, rtol=1e-12)
    order = rng.permutation(rates.shape[2])
    np.testing.assert_allclose(bits_per_spike(rates[..., order], counts[..., order]), expected[order], rtol=1e-12)


def test_scaled_rates_score_best_where_they_expect_the_number_of_spikes():
    rates, counts = simulated()
    best = counts.sum((0, 1)) / rates.sum((0, 1))
    top = bits_per_spike(rates * best, counts)
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0):
        assert (bits_per_spike(rates * best * factor, counts) < top).all()


def test_both_nulls_are_offered_and_the_test_mean_is_the_harder_one():
    rates, counts = simulated()
    train_mean = simulated(seed=1)[1].mean(axis=(0, 1))
    against_test, against_train = bits_per_spike(rates, counts), bits_per_spike(rates, counts, train_mean)
    assert (against_train > against_test).all()
    for n, null in enumerate(train_mean):
        assert against_train[n] == pytest.approx(
            reference(rates[..., n].ravel(), counts[..., n].ravel().tolist(), null)
        )


# --- silence, refusals ------------------------------------------------------------------------------------------------


def test_silent_neurons_have_no_score_but_count_where_sums_are_taken():
    rates, counts = simulated()
    counts[..., 1] = 0
    bits = bits_per_spike(rates, counts)
    assert np.isnan(bits).tolist() == [False, True, False, False, False]
    sums = spike_sums(rates, counts)
    assert sums.log_likelihood()[1] == pytest.approx(-rates[..., 1].sum())
    spoken = np.array([0, 2, 3, 4])
    assert sums.pooled() < sums.pooled(neurons=spoken)  # what was expected of the silent one in vain
    assert math.isnan(sums.pooled(neurons=np.array([1])))


@pytest.mark.parametrize("bad", [-1e-3, np.nan, np.inf, -np.inf])
def test_impossible_rates_are_refused(bad):
    rates, counts = simulated()
    rates[3, 4, 2] = bad
    with pytest.raises(ValueError, match="negative or non-finite"):
        bits_per_spike(rates, counts)
    with pytest.raises(ValueError, match="negative or non-finite"):
        bits_per_spike(np.abs(np.nan_to_num(rates, posinf=1.0)), counts, np.full(5, bad))


@pytest.mark.parametrize("bad", [-1.0, np.nan])
def test_impossible_counts_are_refused(bad):
    rates, counts = simulated()
    counts = np.where(np.arange(5) == 2, bad, counts)
    with pytest.raises(ValueError, match="counts hold negative values or NaN"):
        bits_per_spike(rates, counts, np.ones(5))


def test_a_rate_of_0_is_floored_at_the_stated_rate():
    counts = np.array([[1], [1]])
    rates = np.array([[0.0], [1.0]])
    floored = np.array([[SMALLEST_RATE], [1.0]])
    assert bits_per_spike(rates, counts) == bits_per_spike(floored, counts)
    assert np.isfinite(bits_per_spike(rates, counts)).all()


def test_rates_outside_the_target_are_never_looked_at():
    rates, counts = simulated()
    target = np.random.default_rng(2).random(counts.shape) < 0.5
    expected = bits_per_spike(rates, counts, target=target)
    assert np.array_equal(bits_per_spike(np.where(target, rates, np.nan), counts, target=target), expected)
    for n in range(5):
        chosen = target[..., n]
        assert expected[n] == pytest.approx(reference(rates[..., n][chosen], counts[..., n][chosen].tolist()), rel=1e-9)


def test_other_shapes_are_refused(unchecked):
    rates, counts = simulated()
    with pytest.raises(ValueError, match="give the same shape"):
        bits_per_spike(rates[:3], counts)
    with pytest.raises(ValueError):
        bits_per_spike(rates, counts, target=np.ones((7, 10, 5), dtype=bool))


def test_a_target_for_all_trials_may_be_given_once(unchecked):
    rates, counts = simulated()
    target = np.random.default_rng(2).random(counts.shape[1:]) < 0.5
    one = bits_per_spike(rates, counts, target=target)
    np.testing.assert_array_equal(one, bits_per_spike(rates, counts, target=np.broadcast_to(target, counts.shape)))


def test_arguments_stay_unchanged():
    rates, counts = simulated()
    rates[0, 0, 0] = 0.0  # the place where a floor would be written
    target, null = counts >= 0, counts.mean((0, 1))
    arguments = locked(rates, counts, null, target)
    np.testing.assert_array_equal(bits_per_spike(*arguments), bits_per_spike(rates, counts, null, target))
    for before, after in zip((rates, counts, null, target), arguments, strict=True):
        np.testing.assert_array_equal(before, after)


# --- sums -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.float32])
def test_sums_that_stream_equal_sums_at_once(dtype):
    rates, counts = simulated()
    counts = (counts + 60).astype(dtype)  # sums of uint8 must not wrap
    whole, streamed = (SpikeSums.empty(len(counts), 5) for _ in range(2))
    whole.add(counts, rates)
    for trial in range(len(counts)):
        one = slice(trial, trial + 1)
        streamed.add(counts[one, :, :2], rates[one, :, :2], trials=one, neurons=np.array([0, 1]))
        streamed.add(counts[one, :, 2:], rates[one, :, 2:], trials=one, neurons=slice(2, 5))
    whole, streamed = whole.total(), streamed.total()
    for name in vars(whole):
        np.testing.assert_allclose(getattr(streamed, name), getattr(whole, name), rtol=1e-12)
    np.testing.assert_array_equal(whole.n_entries, np.full(5, 200))
    assert streamed.pooled() == pytest.approx(whole.pooled(), rel=1e-10)


def test_pooled_is_summed_gain_over_summed_spikes_and_not_the_mean():
    rates, counts = simulated()
    sums = spike_sums(rates, counts)
    bits, spikes = bits_per_spike(rates, counts), counts.sum((0, 1))
    assert sums.pooled() == pytest.approx((bits * spikes).sum() / spikes.sum(), rel=1e-10)
    assert abs(sums.pooled() - bits.mean()) > 1e-4


def test_neurons_without_scored_entries_are_not_pooled():
    rates, counts = simulated()
    sums = SpikeSums.empty(len(counts), 7)
    sums.add(counts, rates, neurons=np.array([0, 1, 2, 4, 5]))
    sums = sums.total()
    assert sums.pooled() == pytest.approx(spike_sums(rates, counts).pooled(), rel=1e-12)
    assert np.isnan(sums.bits_per_spike()[[3, 6]]).all()
    assert math.isnan(SpikeSums.empty(3).pooled())


def test_total_of_weights_counts_trials_as_often_as_the_weights_say():
    rates, counts = simulated()
    sums = SpikeSums.empty(len(counts), 5)
    sums.add(counts, rates)
    chosen = np.random.default_rng(3).integers(0, len(counts), len(counts))
    weights = np.bincount(chosen, minlength=len(counts))[None].astype(float)
    expected = bits_per_spike(rates[chosen], counts[chosen])
    np.testing.assert_allclose(sums.total(weights).bits_per_spike()[0], expected, rtol=1e-10)
    assert sums.total(weights).pooled()[0] == pytest.approx(spike_sums(rates[chosen], counts[chosen]).pooled())


# --- Poisson D2 -------------------------------------------------------------------------------------------------------


def test_poisson_d2_by_hand():
    # y = 2, 0 and r = 1, 1 is the null itself; r = 2, 0 is perfect; r = 1.5, .5 lies between.
    counts = np.array([[2], [0]])
    assert poisson_d2(np.array([[1.0], [1.0]]), counts) == pytest.approx(0.0, abs=1e-12)
    assert poisson_d2(np.array([[2.0], [0.0]]), counts) == pytest.approx(1.0, abs=1e-8)
    expected = (2 * math.log(1.5) - 2) - (2 * math.log(1.0) - 2)
    possible = (2 * math.log(2.0) - 2) - (2 * math.log(1.0) - 2)
    assert poisson_d2(np.array([[1.5], [0.5]]), counts) == pytest.approx(expected / possible, rel=1e-12)


def test_poisson_d2_equals_scikit_learn():
    from sklearn.metrics import d2_tweedie_score

    rates, counts = simulated()
    for n, found in enumerate(poisson_d2(rates, counts)):
        y, r = counts[..., n].ravel().astype(float), rates[..., n].ravel()
        assert found == pytest.approx(d2_tweedie_score(y, r, power=1), rel=1e-9)


def test_nothing_to_explain_has_no_d2():
    counts = np.ones((3, 4, 2), dtype=np.uint8)
    counts[..., 1] = 0
    assert np.isnan(poisson_d2(np.ones((3, 4, 2)), counts)).all()

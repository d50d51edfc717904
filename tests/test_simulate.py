import time

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from mtm_core.data.simulate import ANIMALS, SIMULATED_IDS, WINDOW, simulated_session


@pytest.fixture(scope="module", params=SIMULATED_IDS)
def session(request):
    return simulated_session(request.param)


@pytest.fixture(scope="module")
def trials(session):
    return session.align()


def bits_per_spike(rates, counts):
    """Per neuron against its mean over the same entries; rates and counts (K, T, N) per bin."""
    rates = rates.reshape(-1, rates.shape[-1]).astype(np.float64)
    counts = counts.reshape(rates.shape).astype(np.float64)
    total = counts.sum(axis=0)
    gain = (counts * np.log(rates)).sum(axis=0) - rates.sum(axis=0) - total * np.log(total / len(counts)) + total
    return gain / (total * np.log(2))


def ridge_from_the_others(train, test, strength=3000.0, floor=0.3):
    """Counts of each neuron from the smoothed counts of all others; exact for all of them from one inverse."""

    def smooth(counts):
        return gaussian_filter1d(counts.astype(np.float64), 2, axis=1, mode="nearest").reshape(-1, counts.shape[2])

    inputs = smooth(train.counts)
    center, spread = inputs.mean(axis=0), inputs.std(axis=0)
    inputs = (inputs - center) / spread
    outputs = train.counts.reshape(len(inputs), -1).astype(np.float64)
    mean = outputs.mean(axis=0)
    inverse = np.linalg.inv(inputs.T @ inputs + strength * np.eye(inputs.shape[1]))
    weights = inverse @ (inputs.T @ (outputs - mean))
    weights -= inverse * (np.diag(weights) / np.diag(inverse))
    predicted = (smooth(test.counts) - center) / spread @ weights + mean
    return np.maximum(predicted, floor * mean).reshape(test.counts.shape)


def test_a_session_is_a_pure_function_of_its_id():
    np.random.seed(1)  # noqa: NPY002  the global state must not matter
    one = simulated_session("simulated-2")
    np.random.seed(2)  # noqa: NPY002
    two = simulated_session("simulated-2")
    np.testing.assert_array_equal(one.spike_times, two.spike_times)
    np.testing.assert_array_equal(one.true_rates.rates_hz, two.true_rates.rates_hz)
    assert one.trials.equals(two.trials)
    assert one.units.equals(two.units)


def test_an_unknown_id_is_refused():
    with pytest.raises(KeyError):
        simulated_session("simulated-9")


def test_the_whole_cohort_takes_less_than_three_seconds_of_one_core():
    simulated_session(SIMULATED_IDS[0])
    begin = time.process_time()
    for session_id in SIMULATED_IDS:
        simulated_session(session_id)
    assert time.process_time() - begin < 3.0


def test_animals_differ_in_size_and_shares():
    shares = {
        tuple(np.round(np.array(list(a.neurons.values())) / sum(a.neurons.values()), 2)) for a in ANIMALS.values()
    }
    assert len(shares) == len({animal.subject for animal in ANIMALS.values()}) == 4


def test_the_parts_of_a_session_fit_together(session):
    assert 150 <= session.n_neurons <= 300
    assert session.n_trials == 320
    assert set(session.units["region"]) == {"PO", "LP", "DG", "CA1", "VISa"}
    assert session.units["uuid"].is_unique
    assert np.all(np.diff(session.spike_times) >= 0)
    assert session.true_rates.rates_hz.shape == (320, 100, session.n_neurons)
    assert session.true_rates.rates_hz.dtype == np.float32
    assert set(session.behaviors) == {"wheel_speed", "whisker_motion_energy", "pupil"}


def test_spikes_exist_only_inside_the_windows(session, trials):
    assert trials.valid.all()
    assert trials.counts.sum() == len(session.spike_times)
    assert np.diff(session.trials["stimOn_times"]).min() > WINDOW[1] - WINDOW[0]


def test_rates_are_in_the_range_of_real_neurons(session, trials):
    mean = trials.counts.mean(axis=(0, 1)) / trials.bin_size
    assert 0.3 < mean.min() and mean.max() < 60
    assert 3 < np.median(mean) < 12
    rates = session.true_rates.rates_hz
    assert rates.max() <= 150.01
    assert 0.7 < np.log(rates).std(axis=(0, 1)).mean() < 1.0


def test_counts_are_poisson_given_the_true_rates(trials):
    expected = trials.true_rates.astype(np.float64)
    residual = trials.counts - expected
    n_entries = expected.size
    # Sums of n independent Poisson residuals: five standard errors are generous and still below half a percent.
    assert abs(residual.sum()) < 5 * np.sqrt(expected.sum())
    assert (residual**2).sum() / expected.sum() == pytest.approx(1, abs=5 * np.sqrt(3 / n_entries / expected.mean()))
    per_neuron = residual.sum(axis=(0, 1)) / np.sqrt(expected.sum(axis=(0, 1)))
    assert np.abs(per_neuron).max() < 5
    # Independent across neurons and bins, too.
    assert abs((residual[:, 1:] * residual[:, :-1]).sum()) < 5 * np.sqrt((expected[:, 1:] * expected[:, :-1]).sum())
    assert abs((residual[..., 1:] * residual[..., :-1]).sum()) < 5 * np.sqrt(
        (expected[..., 1:] * expected[..., :-1]).sum()
    )


def test_spikes_are_uniform_within_their_bins(session, trials):
    starts = session.trials["stimOn_times"].to_numpy() + WINDOW[0]
    trial = np.searchsorted(starts, session.spike_times, side="right") - 1
    phase = (session.spike_times - starts[trial]) / trials.bin_size % 1
    share = np.histogram(phase, 10, (0, 1))[0] / len(phase)
    np.testing.assert_allclose(share, 0.1, atol=0.003)


def test_the_mouse_is_a_plausible_one(session):
    table = session.trials
    strong = table[(table["contrastLeft"] == 1) | (table["contrastRight"] == 1)]
    assert (strong["feedbackType"] > 0).mean() > 0.85
    assert 0.65 < (table["feedbackType"] > 0).mean() < 0.9
    assert ((table["contrastLeft"].isna()) != (table["contrastRight"].isna())).all()
    assert (table["probabilityLeft"][:90] == 0.5).all()
    assert set(table["probabilityLeft"]) == {0.2, 0.5, 0.8}
    unclear = table[(table["contrastLeft"].fillna(table["contrastRight"]) < 0.1) & (table["choice"] != 0)]
    left = unclear.groupby("probabilityLeft")["choice"].mean()
    assert left[0.8] > left[0.2]
    assert 0 < (table["choice"] == 0).mean() < 0.05
    reaction = (table["firstMovement_times"] - table["stimOn_times"]).dropna()
    assert 0.15 < reaction.median() < 0.5
    assert reaction.max() < WINDOW[1]


def test_behavior_follows_the_movement(trials):
    wheel, whiskers = trials.behaviors["wheel_speed"], trials.behaviors["whisker_motion_energy"]
    assert np.isfinite(wheel).all() and np.isfinite(whiskers).all()
    assert wheel[:, 30:60].mean() > 3 * wheel[:, :25].mean()
    assert np.corrcoef(wheel.ravel(), whiskers.ravel())[0, 1] > 0.3


@pytest.mark.slow
def test_the_truth_beats_a_ridge_regression_by_a_margin(trials):
    train, test = trials.select("train"), trials.select("test")
    ceiling = bits_per_spike(test.true_rates, test.counts).mean()
    ridge = bits_per_spike(ridge_from_the_others(train, test), test.counts).mean()
    assert 0.35 < ceiling < 0.6
    assert 0.45 < ridge / ceiling < 0.6

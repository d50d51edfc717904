from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from sklearn.linear_model import Ridge as SklearnRidge
from small import small_trials

from mtm_core.data.catalogue import open_session
from mtm_core.evaluation.baselines import FITS, baseline_names, score_baseline
from mtm_core.evaluation.linear import (
    FLOORS,
    PENALTIES,
    SMOOTHING,
    Ridge,
    _before_and_after,
    leave_one_out,
    smoothed_deviations,
    task_weights,
)
from mtm_core.evaluation.metrics import SpikeSums
from mtm_core.evaluation.psth import MEAN_WEIGHT, WIDTHS, smoothed_psth, tuned_psth
from mtm_core.evaluation.tasks import TASKS, train_means


def with_gaps(shape=(40, 20, 9)):
    """Trials in which a tenth of the bins hold no data, with counts there that must not matter."""
    trials = small_trials(shape=shape)
    valid = np.random.default_rng(4).random(trials.valid.shape) < 0.9
    return replace(trials, valid=valid, counts=np.where(valid[..., None], trials.counts, 99).astype(np.uint8))


TRIALS = with_gaps()


# --- means and histograms ---------------------------------------------------------------------------------------------


def test_the_train_mean_equals_a_loop():
    train = TRIALS.select("train")
    expected = [
        np.mean([train.counts[k, t, n] for k in range(train.n_trials) for t in range(20) if train.valid[k, t]])
        for n in range(9)
    ]
    np.testing.assert_allclose(train_means(TRIALS), expected, rtol=1e-12)
    rates = FITS["train_mean"](TRIALS).rates("co_smoothing", TRIALS.select("test"))
    np.testing.assert_allclose(rates, np.broadcast_to(expected, rates.shape), rtol=1e-12)


@pytest.mark.parametrize("width", [WIDTHS[0], WIDTHS[-1]])
def test_the_psth_equals_a_loop(width):
    train, mean = TRIALS.select("train"), train_means(TRIALS)
    for n in (0, 5):
        spikes, trials = np.zeros(20), np.zeros(20)
        for k in range(train.n_trials):
            for t in range(20):
                if train.valid[k, t]:
                    spikes[t] += train.counts[k, t, n]
                    trials[t] += 1
        spikes, trials = (gaussian_filter1d(a, width, mode="nearest") for a in (spikes, trials))
        expected = (spikes + MEAN_WEIGHT * mean[n]) / (trials + MEAN_WEIGHT)
        np.testing.assert_allclose(smoothed_psth(TRIALS, width)[:, n], expected, rtol=1e-12)


def test_the_psth_of_flat_counts_is_flat_whatever_is_missing():
    flat = replace(TRIALS, counts=np.where(TRIALS.valid[..., None], 3, 77).astype(np.uint8).repeat(9, 2))
    np.testing.assert_allclose(tuned_psth(flat), 3.0, rtol=1e-12)


def test_the_width_that_predicts_validation_trials_best_is_chosen():
    held = TRIALS.select("validation")

    def score(width):
        sums, shape = SpikeSums.empty(9), held.counts.shape
        target = np.broadcast_to(held.valid[..., None], shape)
        sums.add(held.counts, np.broadcast_to(smoothed_psth(TRIALS, width), shape), target)
        return sums.pooled(train_means(TRIALS))

    np.testing.assert_array_equal(tuned_psth(TRIALS), smoothed_psth(TRIALS, max(WIDTHS, key=score)))


# --- ridge ------------------------------------------------------------------------------------------------------------


def scaled_inputs():
    train = TRIALS.select("train")
    smooth = smoothed_deviations(train, train_means(TRIALS))[train.valid]
    return smooth / np.sqrt(smooth.var(axis=0) + 1e-6)


def fitted(x, y, penalty):
    """Ridge weights from scikit-learn; its penalty is on sums, ours on means."""
    return SklearnRidge(alpha=penalty * len(x), fit_intercept=False, solver="cholesky").fit(x, y).coef_


@pytest.mark.parametrize("penalty", [PENALTIES[0], PENALTIES[-1]])
@pytest.mark.parametrize("task", ["co_smoothing", "intra_region", "inter_region"])
def test_ridge_weights_equal_one_regression_per_neuron(task, penalty):
    x = scaled_inputs()
    weights = task_weights(task, Ridge(TRIALS).moments.covariance, TRIALS.regions, penalty)
    for n in range(9):
        same, itself = TRIALS.regions == TRIALS.regions[n], np.arange(9) == n
        visible = {"co_smoothing": ~itself, "intra_region": same & ~itself, "inter_region": ~same}[task]
        expected = np.zeros(9)
        if task == "co_smoothing" or TRIALS.regions[n] != "root":
            expected[visible] = fitted(x[:, visible], x[:, n], penalty)
        np.testing.assert_allclose(weights[:, n], expected, atol=1e-6)


def test_forward_weights_equal_one_regression_per_neuron():
    ridge, train = Ridge(TRIALS), TRIALS.select("train")
    pairs = [_before_and_after(train, ridge.moments.psth, start) for start in range(2, 19, 5)]
    past, future = (np.concatenate(side) for side in zip(*pairs, strict=True))
    past = past / np.sqrt(past.var(axis=0) + 1e-6)
    weights = ridge._weights("forward_prediction", 1.0)
    for n in range(9):
        np.testing.assert_allclose(weights[:, n], fitted(past, future[:, n], 1.0), atol=1e-6)


def test_no_neuron_predicts_itself():
    assert (np.diag(leave_one_out(Ridge(TRIALS).moments.covariance, 0.1)) == 0).all()


def test_inputs_are_smoothed_deviations_and_bins_without_data_count_as_the_mean():
    mean = train_means(TRIALS)
    for k in range(3):
        deviation = np.where(TRIALS.valid[k, :, None], TRIALS.counts[k] - mean, 0.0)
        expected = gaussian_filter1d(deviation, SMOOTHING, axis=0, mode="nearest")
        np.testing.assert_allclose(smoothed_deviations(TRIALS, mean)[k], expected)


@pytest.mark.parametrize("task", TASKS)
def test_ridge_rates_are_positive_and_floored(task):
    rates = Ridge(TRIALS).rates(task, TRIALS.select("test"))
    assert rates.shape == TRIALS.select("test").counts.shape
    assert (rates >= min(FLOORS) * train_means(TRIALS)).all() and np.isfinite(rates).all()


# --- scores -----------------------------------------------------------------------------------------------------------


def test_true_rates_beat_the_ridge_and_the_ridge_beats_the_psth():
    trials = open_session("simulated-4").align()
    chosen = np.arange(0, trials.n_neurons, 4)
    trials = replace(
        trials,
        counts=trials.counts[..., chosen],
        unit_ids=trials.unit_ids[chosen],
        regions=trials.regions[chosen],
        true_rates=trials.true_rates[..., chosen],
    )
    scores = {name: score_baseline(name, trials, TASKS) for name in baseline_names(trials)}
    for task in TASKS:
        values = {name: by_task[task].summary.mean for name, by_task in scores.items()}
        assert values["true_rates"] > values["ridge"] + 0.05, task
        assert values["ridge"] > values["psth"], task
        assert values["psth"] > values["train_mean"], task
        assert values["train_mean"] <= 0 or task == "forward_prediction"


def test_the_train_mean_scores_nothing_against_itself():
    score = score_baseline("train_mean", TRIALS, ["co_smoothing"])["co_smoothing"]
    assert score.against_train_mean.mean == pytest.approx(0, abs=1e-12)
    assert score.against_train_mean.pooled == pytest.approx(0, abs=1e-12)
    assert score.summary.mean < 0


def test_baselines_are_scored_on_the_same_entries():
    for task in TASKS:
        scores = [score_baseline(name, TRIALS, [task])[task] for name in baseline_names(TRIALS)]
        for name in ("n", "n_silent", "n_excluded"):
            assert len({getattr(score.summary, name) for score in scores}) == 1
        keys = [{k: v for k, v in score.protocol.items() if k != "model"} for score in scores]
        assert all(each == keys[0] for each in keys)


def test_only_simulated_sessions_have_true_rates():
    assert baseline_names(TRIALS) == ("train_mean", "psth", "ridge", "true_rates")
    assert baseline_names(replace(TRIALS, true_rates=None)) == ("train_mean", "psth", "ridge")


@pytest.mark.parametrize(
    "changes",
    [
        {"regions": np.full(9, "root")},
        {"regions": np.full(9, "CA1")},
        {"regions": np.array([f"r{n}" for n in range(9)])},
        {"counts": np.zeros((40, 20, 9), dtype=np.uint8)},
        {"split": np.resize(["train", "test"], 40)},  # nothing to tune on
    ],
    ids=["no region", "one region", "one neuron per region", "no spikes", "no validation"],
)
def test_unusual_sessions_have_scores_or_say_that_they_have_none(changes):
    trials = replace(TRIALS, **changes)
    for name in FITS:
        for task, score in score_baseline(name, trials, TASKS).items():
            s = score.summary
            assert s.n + s.n_silent + s.n_excluded == 9, (name, task)
            assert (s.mean is None) == (s.n == 0) and (s.mean is None or np.isfinite(s.mean))


def test_a_window_of_one_bin_is_refused():
    with pytest.raises(ValueError, match="one bin has no past"):
        score_baseline("ridge", small_trials(shape=(20, 1, 4)), ["co_smoothing"])


def test_fits_change_nothing_they_are_given():
    arrays = TRIALS.counts, TRIALS.valid, TRIALS.true_rates, TRIALS.split
    copies = [array.copy() for array in arrays]
    for name in FITS:
        score_baseline(name, TRIALS, TASKS)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)

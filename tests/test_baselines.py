from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from sklearn.linear_model import Ridge as SklearnRidge
from small import small_trials

from mtm_core.checkpoint import load_checkpoint
from mtm_core.data.catalogue import open_session
from mtm_core.evaluation.baselines import ABOUT, FITS, ORACLES, baseline_names, score_baseline
from mtm_core.evaluation.linear import (
    PENALTIES,
    SMOOTHING,
    Guard,
    Ridge,
    _before_and_after,
    leave_one_out,
    smoothed_deviations,
    task_weights,
    without_duplicates,
)
from mtm_core.evaluation.metrics import spike_sums
from mtm_core.evaluation.psth import PRIORS, WIDTHS, posterior, smoothed, training_sums, tuned_psth
from mtm_core.evaluation.questions import TASKS, Asking, questions
from mtm_core.evaluation.tasks import HALF_A_SPIKE, score_task, train_means
from mtm_core.evaluation.untrained import untrained

SIMULATED = Path(__file__).resolve().parents[1] / "assets" / "checkpoints" / "simulated-mtm"
FITTED = tuple(name for name in FITS if name not in ORACLES)


def with_gaps(shape=(40, 20, 9)):
    """Trials with labels, in which a tenth of the bins hold no data, with counts there that must not matter."""
    trials, rng = small_trials(shape=shape), np.random.default_rng(4)
    valid = rng.random(trials.valid.shape) < 0.9
    counts = np.where(valid[..., None], trials.counts, 99).astype(np.uint8)
    labels = {"contrast": rng.choice([-1.0, -0.25, 0.0, 1.0], shape[0]), "reward": rng.choice([0.0, 1.0], shape[0])}
    return replace(trials, valid=valid, counts=counts, behaviors={**trials.behaviors, **labels})


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


def smoothed_psth(width, prior):
    return posterior(smoothed(training_sums(TRIALS), width), train_means(TRIALS), prior)


@pytest.mark.parametrize(("width", "prior"), [(WIDTHS[0], PRIORS[0]), (WIDTHS[-1], PRIORS[-1])])
def test_the_psth_equals_a_loop(width, prior):
    train, mean = TRIALS.select("train"), train_means(TRIALS)
    for n in (0, 5):
        spikes, trials = np.zeros(20), np.zeros(20)
        for k in range(train.n_trials):
            for t in range(20):
                if train.valid[k, t]:
                    spikes[t] += train.counts[k, t, n]
                    trials[t] += 1
        spikes, trials = (gaussian_filter1d(a, width, mode="nearest") for a in (spikes, trials))
        expected = (spikes + prior) / (trials + prior / mean[n])
        np.testing.assert_allclose(smoothed_psth(width, prior)[:, n], expected, rtol=1e-12)


def test_the_psth_of_flat_counts_is_flat_whatever_is_missing():
    flat = replace(TRIALS, counts=np.where(TRIALS.valid[..., None], 3, 77).astype(np.uint8).repeat(9, 2))
    np.testing.assert_allclose(tuned_psth(flat), 3.0, rtol=1e-12)


def test_the_width_and_prior_that_predict_validation_trials_best_are_chosen():
    held = TRIALS.select("validation")

    def score(setting):
        shape = held.counts.shape
        rates = np.broadcast_to(smoothed_psth(*setting), shape)
        return spike_sums(rates, held.counts, np.broadcast_to(held.valid[..., None], shape)).pooled(train_means(TRIALS))

    best = max(product(WIDTHS, PRIORS), key=score)
    np.testing.assert_array_equal(tuned_psth(TRIALS), smoothed_psth(*best))


def test_a_neuron_silent_in_training_is_not_ruled_out():
    counts = np.where((TRIALS.split == "train")[:, None, None] & (np.arange(9) == 2), 0, TRIALS.counts).astype(np.uint8)
    trials = replace(TRIALS, counts=counts)
    n_bins = trials.select("train").valid.sum()
    assert train_means(trials)[2] == HALF_A_SPIKE / n_bins
    for name in set(FITTED) - {"train_mean"}:
        baseline = FITS[name](trials)
        rates = baseline.rates(baseline.tasks[0], trials.select("test"))[..., 2]
        assert (rates > 0.1 * HALF_A_SPIKE / n_bins).all() and (rates < 30 * HALF_A_SPIKE / n_bins).all(), name


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
    weights = ridge._weights("forward_prediction", ridge.moments, 1.0)
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


# --- every baseline ---------------------------------------------------------------------------------------------------

CASES = [(name, task) for name in FITTED for task in TASKS if name != "autoregression" or task == "forward_prediction"]


@pytest.fixture(scope="module")
def fitted_baselines():
    return {name: FITS[name](TRIALS) for name in FITTED}


@pytest.mark.parametrize(("name", "task"), CASES)
def test_rates_are_positive_and_finite(fitted_baselines, name, task):
    for part in (TRIALS.select("test"), replace(TRIALS.select("test"), counts=np.full((8, 20, 9), 255, np.uint8))):
        rates = fitted_baselines[name].rates(task, part)
        assert rates.shape == part.counts.shape
        assert (rates > 0).all() and (rates < 1e4).all()


@pytest.mark.parametrize(("name", "task"), CASES)
def test_what_the_task_hides_changes_no_rate_whatever_is_there(fitted_baselines, name, task):
    part, rng = TRIALS.select("test"), np.random.default_rng(0)
    expected = fitted_baselines[name].rates(task, part)
    for question in list(questions(task, part))[::2]:
        mask = question.mask
        hidden, scored = mask.hidden.numpy(), mask.target.numpy()
        for poison in (np.nan, 1e6, rng.integers(0, 9, hidden.shape)):
            found = fitted_baselines[name].rates(task, replace(part, counts=np.where(hidden, poison, part.counts)))
            np.testing.assert_array_equal(found[scored], expected[scored])


@pytest.mark.parametrize(("name", "task"), [(n, t) for n, t in CASES if n in ("coupling", "reduced_rank", "ridge")])
def test_what_the_task_shows_is_read(fitted_baselines, name, task):
    part = TRIALS.select("test")
    expected = fitted_baselines[name].rates(task, part)
    for question in list(questions(task, part))[::3]:
        hidden, scored = question.mask.hidden.numpy(), question.mask.target.numpy()
        counts = np.where(hidden, part.counts, part.counts + 1)
        found = fitted_baselines[name].rates(task, replace(part, counts=counts))
        assert (found[scored] != expected[scored]).mean() > 0.3


@pytest.mark.parametrize(("name", "task"), CASES)
def test_trials_are_predicted_one_by_one(fitted_baselines, name, task):
    part = TRIALS.select("test")
    expected = fitted_baselines[name].rates(task, part)
    others = np.where((np.arange(part.n_trials) == 2)[:, None, None], part.counts, 77).astype(np.uint8)
    behaviors = {n: np.where(np.arange(part.n_trials) == 2, x, np.nan) for n, x in part.behaviors.items()}
    found = fitted_baselines[name].rates(task, replace(part, counts=others, behaviors=behaviors))
    np.testing.assert_array_equal(found[2], expected[2])


@pytest.mark.parametrize("name", FITTED)
def test_poisoned_test_trials_change_no_fit(fitted_baselines, name):
    test = TRIALS.split == "test"
    poisoned = replace(
        TRIALS,
        counts=np.where(test[:, None, None], np.nan, TRIALS.counts),
        behaviors={label: np.where(test, np.nan, values) for label, values in TRIALS.behaviors.items()},
        true_rates=None,
    )
    baseline = FITS[name](poisoned)
    for task in baseline.tasks:
        found, expected = (each.rates(task, TRIALS) for each in (baseline, fitted_baselines[name]))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", FITTED)
def test_training_trials_do_change_fits(fitted_baselines, name):
    """Else the test above would pass for a fit that reads nothing."""
    train = (TRIALS.split == "train")[:, None, None]
    baseline = FITS[name](replace(TRIALS, counts=np.where(train, TRIALS.counts[:, ::-1] // 2, TRIALS.counts)))
    for task in baseline.tasks:
        assert (baseline.rates(task, TRIALS) != fitted_baselines[name].rates(task, TRIALS)).any()


def test_the_penalty_that_predicts_validation_trials_best_is_chosen():
    ridge, held = Ridge(TRIALS), TRIALS.select("validation")
    scores = []
    for penalty in PENALTIES:
        weights, calibration = ridge._best("co_smoothing", [penalty])[1:]
        ridge._chosen["co_smoothing"] = weights, calibration
        target = np.broadcast_to(held.valid[..., None], held.counts.shape)
        scores.append(spike_sums(ridge.rates("co_smoothing", held), held.counts, target).pooled(train_means(TRIALS)))
    chosen = PENALTIES[int(np.argmax(scores))]
    assert Ridge(TRIALS)._best("co_smoothing", PENALTIES)[0] == chosen
    assert PENALTIES[0] < chosen < PENALTIES[-1] or len(set(scores)) == len(scores)


def test_every_baseline_is_explained_in_a_sentence():
    assert tuple(ABOUT) == tuple(FITS) and set(ORACLES) <= set(FITS)
    assert all(text.endswith(".") and len(text) < 220 for text in ABOUT.values())
    assert all(ABOUT[name].startswith("An oracle") for name in ORACLES)


def test_autoregression_exists_for_forward_prediction_only():
    baseline = FITS["autoregression"](TRIALS)
    assert baseline.tasks == ("forward_prediction",)
    assert set(score_baseline("autoregression", TRIALS, TASKS)) == {"forward_prediction"}
    with pytest.raises(ValueError, match="no answer to co_smoothing"):
        baseline.rates("co_smoothing", TRIALS)


# --- scores -----------------------------------------------------------------------------------------------------------


def test_true_rates_beat_the_ridge_and_the_ridge_beats_the_psth():
    trials = open_session("simulated-4").align(bin_size=0.04)
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
        values = {name: by_task[task].summary.mean for name, by_task in scores.items() if task in by_task}
        assert all(values["true_rates"] > values[name] + 0.05 for name in values if name != "true_rates"), values
        assert values["ridge"] > values["psth"] > values["train_mean"], values
        assert values["test_mean"] == pytest.approx(0, abs=1e-12)
        assert values["train_mean"] <= 0 or task == "forward_prediction"


def test_the_train_mean_scores_nothing_against_itself():
    score = score_baseline("train_mean", TRIALS, ["co_smoothing"])["co_smoothing"]
    assert score.against_train_mean.mean == pytest.approx(0, abs=1e-12)
    assert score.against_train_mean.pooled == pytest.approx(0, abs=1e-12)
    assert score.summary.mean < 0


def test_baselines_are_scored_on_the_same_entries():
    every = [score_baseline(name, TRIALS, TASKS) for name in baseline_names(TRIALS)]
    for task in TASKS:
        scores = [by_task[task] for by_task in every if task in by_task]
        for name in ("n", "n_silent", "n_excluded"):
            assert len({getattr(score.summary, name) for score in scores}) == 1
        keys = [{k: v for k, v in score.protocol.items() if k != "model"} for score in scores]
        assert all(each == keys[0] for each in keys)


def test_only_simulated_sessions_have_true_rates_and_only_labeled_trials_conditions():
    assert baseline_names(TRIALS) == tuple(FITS)
    assert "true_rates" not in baseline_names(replace(TRIALS, true_rates=None))
    assert "condition_psth" not in baseline_names(replace(TRIALS, behaviors={}))
    same = {"choice": np.ones(TRIALS.n_trials), "reward": np.full(TRIALS.n_trials, np.nan)}
    assert "condition_psth" not in baseline_names(replace(TRIALS, behaviors=same))


def test_the_test_mean_is_the_mean_of_the_scored_entries_by_a_loop():
    part = TRIALS.select("test")
    for task, first in (("co_smoothing", 0), ("forward_prediction", 18)):
        entries = [part.counts[k, t, 4] for k in range(8) for t in range(first, 20) if part.valid[k, t]]
        rates = FITS["test_mean"](TRIALS).rates(task, part)
        np.testing.assert_allclose(rates[..., 4], np.mean(entries), rtol=1e-12)


def test_an_untrained_model_scores_like_the_mean():
    checkpoint = load_checkpoint(SIMULATED)
    session = open_session(checkpoint.session_ids[0]).align()
    fresh, again, other = (untrained(checkpoint, seed) for seed in (0, 0, 1))
    for task in ("forward_prediction", "inter_region"):
        *_, last = score_task(fresh, session, task)
        summary = last.score.summary
        assert -0.3 < summary.mean <= 0.02 and summary.n > 0
        assert abs(last.score.against_train_mean.mean) < 0.1
    state, twin, stranger = (each.model.state_dict() for each in (fresh, again, other))
    assert all((state[key] == twin[key]).all() for key in state)
    trained = checkpoint.model.state_dict()
    assert {key for key in state if (state[key] == trained[key]).all()} >= {"units.mean"}
    assert all((state[key] != stranger[key]).any() for key in ("units.input", "units.readout"))
    assert fresh.model.config == checkpoint.model.config and fresh.manifest["hash"] != checkpoint.manifest["hash"]


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


# --- likely duplicates ------------------------------------------------------------------------------------------------


def twins(*pairs):
    found = np.zeros((TRIALS.n_neurons, TRIALS.n_neurons), dtype=bool)
    for a, b in pairs:
        found[a, b] = found[b, a] = True
    return found


@pytest.mark.parametrize(
    ("task", "neuron", "twin"),
    [("co_smoothing", 0, 1), ("co_smoothing", 2, -2), ("intra_region", 0, 1), ("inter_region", 2, -2)],
)
def test_a_guarded_ridge_reads_no_duplicate_of_what_it_predicts(task, neuron, twin):
    twin %= TRIALS.n_neurons
    part = TRIALS.select("test")
    poisoned = part.counts.copy()
    poisoned[:, :, twin] = 200
    for duplicates, reads in ((twins((neuron, twin)), False), (None, True)):
        baseline = Ridge(TRIALS, duplicates)
        clean, changed = (baseline.rates(task, replace(part, counts=c))[:, :, neuron] for c in (part.counts, poisoned))
        assert (not np.array_equal(clean, changed)) == reads


def test_a_guarded_ridge_equals_scikit_learn_without_the_duplicates():
    moments = Ridge(TRIALS).moments
    guard, penalty = twins((0, 1), (0, 4)), 0.7
    free = task_weights("co_smoothing", moments.covariance, TRIALS.regions, penalty)
    found = without_duplicates("co_smoothing", free, moments.covariance, TRIALS.regions, Guard(guard, penalty))
    # A square root of the covariance is a data set with that covariance.
    inputs = np.linalg.cholesky(moments.covariance + 1e-12 * np.eye(TRIALS.n_neurons)).T
    visible = [n for n in range(TRIALS.n_neurons) if n not in (0, 1, 4)]
    expected = SklearnRidge(alpha=penalty, fit_intercept=False).fit(inputs[:, visible], inputs[:, 0]).coef_
    np.testing.assert_allclose(found[visible, 0], expected, atol=1e-6)
    assert (found[[0, 1, 4], 0] == 0).all()
    np.testing.assert_array_equal(found[:, 2:4], free[:, 2:4])


def test_with_duplicates_hidden_only_baselines_that_can_do_without_them_are_scored():
    asking = Asking(duplicates=twins((0, 1)))
    names = {name for name in FITS if name != "true_rates" and score_baseline(name, TRIALS, ["co_smoothing"], asking)}
    assert {"train_mean", "psth", "ridge"} <= names and not {"coupling", "reduced_rank", "autoregression"} & names
    score = score_baseline("ridge", TRIALS, ["co_smoothing"], asking)["co_smoothing"]
    assert score.protocol["duplicates_hidden"] is True

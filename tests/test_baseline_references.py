"""The baselines' regressions against scikit-learn, closed forms and loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from sklearn.linear_model import PoissonRegressor
from small import small_trials

from mtm_core.evaluation import calibration as calibration_module
from mtm_core.evaluation.autoregression import LARGEST_INPUT, Autoregression, past_of, stretches
from mtm_core.evaluation.calibration import FLOOR, PENALTY, POOLED_BINS, calibrated, fit_calibration, log_gain
from mtm_core.evaluation.condition_psth import ConditionPsth, conditions, labels_of
from mtm_core.evaluation.coupling import Coupling, population
from mtm_core.evaluation.linear import Moments, Ridge, _inverse
from mtm_core.evaluation.poisson import fit_poisson
from mtm_core.evaluation.psth import tuned_psth
from mtm_core.evaluation.questions import questions
from mtm_core.evaluation.reduced_rank import (
    GROUPS,
    ReducedRank,
    Size,
    by_groups,
    deal,
    forward_weights,
    hidden_from_the_rest,
    rank_weights,
)
from mtm_core.evaluation.tasks import HALF_A_SPIKE, train_means


def sklearn_poisson(features, counts, exposure, penalty):
    """Intercept and weights; exposure is a weight of the rates, and scikit-learn's penalty is per unit of weight."""
    some = exposure > 0
    model = PoissonRegressor(alpha=penalty / exposure.sum(), solver="newton-cholesky", tol=1e-10, max_iter=1000)
    model.fit(features[some], counts[some] / exposure[some], sample_weight=exposure[some])
    return np.r_[model.intercept_, model.coef_]


# --- Poisson regression -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [0.01, 3.0, 100.0])
@pytest.mark.parametrize("n_features", [1, 4])
def test_poisson_regression_equals_scikit_learn(penalty, n_features):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 20, n_features))
    exposure = rng.uniform(0.01, 2.0, size=(300, 20)) * (rng.random((300, 20)) < 0.9)
    rates = exposure * np.exp(rng.normal(-1, 1, 20) + (features @ rng.normal(0, 0.7, n_features)))
    counts = rng.poisson(rates)
    intercept, weights = fit_poisson(features, counts, exposure, penalty)
    for n in range(20):
        expected = sklearn_poisson(features[:, n], counts[:, n], exposure[:, n], penalty)
        np.testing.assert_allclose(np.r_[intercept[n], weights[n]], expected, atol=1e-5)


def test_poisson_regression_of_a_burst_and_of_a_single_spike_equals_scikit_learn():
    """The first Newton step is far too long for both."""
    rng = np.random.default_rng(1)
    features, counts = rng.normal(size=(400, 2, 1)), np.zeros((400, 2))
    features[7], counts[7] = 9.0, (1, 250)
    exposure = np.full((400, 2), 0.02)
    intercept, weights = fit_poisson(features, counts, exposure, 1.0)
    for n in range(2):
        expected = sklearn_poisson(features[:, n], counts[:, n], exposure[:, n], 1.0)
        np.testing.assert_allclose([intercept[n], weights[n, 0]], expected, atol=1e-5)


def test_a_silent_neuron_is_given_half_a_spike():
    features, exposure = np.random.default_rng(0).normal(size=(50, 3, 2)), np.full((50, 3), 0.1)
    counts = np.zeros((50, 3))
    counts[4, 1] = 1
    intercept, weights = fit_poisson(features, counts, exposure, 1.0)
    np.testing.assert_allclose(intercept[[0, 2]], np.log(HALF_A_SPIKE / 5.0))
    assert (weights[[0, 2]] == 0).all() and (weights[1] != 0).all()


def test_entries_without_exposure_say_nothing():
    rng = np.random.default_rng(2)
    features, counts, exposure = rng.normal(size=(80, 3, 2)), rng.poisson(1.0, (80, 3)), np.ones((80, 3))
    some = np.arange(80) < 60
    longer = fit_poisson(features, counts * some[:, None], exposure * some[:, None], 1.0)
    shorter = fit_poisson(features[some], counts[some], exposure[some], 1.0)
    for one, two in zip(longer, shorter, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-9)


# --- calibration ------------------------------------------------------------------------------------------------------


def with_gaps(shape=(40, 20, 9), **changes):
    trials, rng = small_trials(shape=shape), np.random.default_rng(4)
    return replace(trials, valid=rng.random(trials.valid.shape) < 0.9, **changes)


TRIALS = with_gaps()


def test_calibration_equals_scikit_learn_on_pooled_bins():
    rng = np.random.default_rng(3)
    reference = train_means(TRIALS)
    line = reference * (1 + rng.normal(size=TRIALS.counts.shape))
    gain, target = log_gain(line, reference), TRIALS.valid[:, :, None]
    found = fit_calibration(gain, reference, TRIALS, target)
    for n in (0, 4, 8):
        x, y, e = [], [], []
        for k in range(TRIALS.n_trials):
            for start in range(0, TRIALS.n_bins, POOLED_BINS):
                bins = [t for t in range(start, start + POOLED_BINS) if TRIALS.valid[k, t]]
                x.append(np.mean([np.log(max(line[k, t, n] / reference[n], FLOOR)) for t in bins]) if bins else 0.0)
                y.append(sum(int(TRIALS.counts[k, t, n]) for t in bins))
                e.append(reference[n] * len(bins))
        expected = sklearn_poisson(np.array(x)[:, None], np.array(y), np.array(e), PENALTY)
        np.testing.assert_allclose(found[:, n], expected, atol=1e-5)


def test_rates_that_are_right_are_left_alone_and_noise_is_ignored():
    rng, mean = np.random.default_rng(0), np.full(6, 0.5)
    rates = mean * np.exp(0.4 * rng.normal(size=(400, 1, 6))) * np.ones((1, 20, 1))
    trials = small_trials(shape=(400, 20, 6), counts=rng.poisson(rates).astype(np.uint8))
    target = trials.valid[:, :, None]
    right, noise = log_gain(rates, mean), log_gain(mean * (1 + rng.normal(size=rates.shape)), mean)
    np.testing.assert_allclose(fit_calibration(right, mean, trials, target)[1], 1.0, atol=0.15)
    np.testing.assert_allclose(fit_calibration(noise, mean, trials, target)[1], 0.0, atol=0.1)


def test_calibrated_rates_by_hand():
    gain, reference = np.log(np.full((1, 1, 2), 2.0)), np.array([0.5, 3.0])
    rates = calibrated(gain, reference, np.array([[0.0, np.log(2.0)], [1.0, 2.0]]))
    np.testing.assert_allclose(rates[0, 0], [1.0, 24.0])
    assert np.exp(log_gain(np.array([[[-9.0]]]), np.array([3.0]))).item() == pytest.approx(calibration_module.FLOOR)


def test_lines_are_calibrated_on_trials_that_they_were_not_fitted_on():
    ridge, train = Ridge(TRIALS), np.flatnonzero(TRIALS.split == "train")
    parts = [piece.part.table.index.to_numpy() for piece in ridge.pieces]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), train)
    np.testing.assert_array_equal(np.concatenate(parts), ridge.train.table.index)
    for piece, part in zip(ridge.pieces, parts, strict=True):
        changed = np.isin(np.arange(40), part)[:, None, None]
        other = Ridge(replace(TRIALS, counts=np.where(changed, 200, TRIALS.counts).astype(np.uint8)))
        twin = next(p for p in other.pieces if p.part.table.index[0] == part[0])
        for one, two in zip(vars(piece.moments).values(), vars(twin.moments).values(), strict=True):
            np.testing.assert_array_equal(one, two)
        assert (other.moments.covariance != ridge.moments.covariance).any()


def test_parts_are_blocks_that_alternate_over_the_recording():
    trials = small_trials(shape=(100, 4, 2), split=np.full(100, "train"))
    parts = [piece.part.table.index.to_numpy() for piece in Ridge(trials).pieces]
    assert [part[0] for part in parts] == [0, 10, 20, 30] and [len(part) for part in parts] == [30, 30, 20, 20]
    assert parts[0].tolist() == [*range(10), *range(40, 50), *range(80, 90)]


# --- reduced rank -----------------------------------------------------------------------------------------------------


def data(n_rows=400, n_neurons=12, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_rows, 3)) @ rng.normal(size=(3, n_neurons)) + rng.normal(size=(n_rows, n_neurons))


def by_svd(x, y, penalty, rank):
    """Reduced-rank ridge regression: the SVD of the fitted values of the data with the penalty's rows appended."""
    x = np.vstack([x / np.sqrt(len(x)), np.sqrt(penalty) * np.eye(x.shape[1])])
    y = np.vstack([y / np.sqrt(len(y)), np.zeros((x.shape[1], y.shape[1]))])
    weights = np.linalg.lstsq(x, y, rcond=None)[0]
    _, _, directions = np.linalg.svd(x @ weights, full_matrices=False)
    return weights @ directions[:rank].T @ directions[:rank]


@pytest.mark.parametrize("rank", [1, 2, 4])
@pytest.mark.parametrize("penalty", [0.3, 10.0])
def test_reduced_rank_weights_equal_the_closed_form_by_svd(rank, penalty):
    values = data()
    covariance, hidden = values.T @ values / len(values), np.arange(12) % 3 == 0
    found = hidden_from_the_rest(covariance, _inverse(covariance, penalty), hidden, Size(penalty, rank))
    np.testing.assert_allclose(found, by_svd(values[:, ~hidden], values[:, hidden], penalty, rank), atol=1e-8)
    assert np.linalg.matrix_rank(found) == rank


def test_no_weights_of_the_rank_predict_better():
    values = data()
    covariance, hidden, rng = values.T @ values / len(values), np.arange(12) < 5, np.random.default_rng(5)
    found = hidden_from_the_rest(covariance, _inverse(covariance, 1.0), hidden, Size(1.0, 2))

    def loss(weights):
        error = ((values[:, hidden] - values[:, ~hidden] @ weights) ** 2).sum() / len(values)
        return error + (weights**2).sum()

    left, _, right = np.linalg.svd(found, full_matrices=False)
    for size in (1e-3, 1e-2, 0.1):
        for _ in range(20):
            u = found @ right[:2].T + size * rng.normal(size=(7, 2))
            v = right[:2] + size * rng.normal(size=(2, 5))
            assert loss(u @ v) > loss(found)


def test_forward_weights_of_reduced_rank_equal_the_closed_form():
    rng = np.random.default_rng(6)
    past, future, scale = data(), data(seed=1) * rng.uniform(0.5, 2, 12), rng.uniform(0.5, 2, 12)
    nothing = np.ones(12)
    moments = Moments(nothing, nothing, np.eye(12), np.ones((5, 12)), scale, past.T @ past / 400, past.T @ future / 400)
    expected = by_svd(past, future / scale, 1.0, 3) * scale
    np.testing.assert_allclose(forward_weights(moments, Size(1.0, 3)), expected, atol=1e-8)


def test_groups_are_spread_over_regions_and_differ_in_size_by_one():
    codes = np.random.default_rng(0).integers(-1, 4, 137)
    group = deal(codes)
    for region in (*range(-1, 4), None):
        sizes = np.bincount(group[codes == region] if region is not None else group, minlength=GROUPS)
        assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("n_neurons", [1, 2, 7, 25])
def test_a_group_reads_nothing_of_itself(n_neurons):
    values, codes = data(n_neurons=n_neurons), np.zeros(n_neurons, dtype=int)
    weights = by_groups(values.T @ values / len(values), codes, Size(0.3, 2))
    group = deal(codes)
    assert (weights[group[:, None] == group] == 0).all()
    assert (weights[group[:, None] != group] != 0).all()


@pytest.mark.parametrize("task", ["co_smoothing", "intra_region", "inter_region"])
def test_weights_are_zero_where_the_task_hides(task):
    values = data()
    weights = rank_weights(task, values.T @ values / len(values), small_trials().regions, Size(1.0, None))
    for question in questions(task, small_trials()):
        hidden = question.mask.hidden[0, 0].numpy()
        assert (weights[np.ix_(hidden, question.neurons)] == 0).all()
        assert (weights[:, question.neurons] != 0).any()


def test_a_population_of_one_latent_is_predicted_with_one_dimension():
    rng = np.random.default_rng(7)
    latent = np.cumsum(rng.normal(size=(60, 20)), axis=1) / 4
    rates = np.exp(0.8 * latent[:, :, None] * rng.choice([-1, 1], 30) - 0.5)
    trials = small_trials(shape=(60, 20, 30), counts=rng.poisson(rates).clip(0, 255).astype(np.uint8))
    model, part = ReducedRank(trials), trials.select("test")
    # Penalty and rank as they are chosen: the smallest rank wins where there is nothing more to say.
    size, *_ = model._best("co_smoothing", [Size(1.0, 2), Size(1.0, 16)])
    assert size.rank == 2
    assert np.linalg.matrix_rank(model._weights("co_smoothing", model.moments, Size(1.0, 1))) <= GROUPS
    assert np.corrcoef(model.rates("co_smoothing", part).ravel(), rates[trials.split == "test"].ravel())[0, 1] > 0.85


# --- population coupling ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["co_smoothing", "intra_region", "inter_region", "forward_prediction"])
def test_the_population_is_what_the_task_shows_by_a_loop(task):
    part, width = TRIALS.select("validation"), 2.0
    found = population(task, part, width)
    for question in list(questions(task, part))[::2]:
        visible = ~question.mask.hidden.numpy() & part.valid[:, :, None]
        for k in range(part.n_trials):
            bins = visible[k].any(axis=1) if task != "forward_prediction" else np.arange(20) < 18
            spikes = np.where(visible[k], part.counts[k], 0).sum(axis=1).astype(float)
            valid = part.valid[k].astype(float)
            if task == "forward_prediction":
                spikes, valid = spikes[bins], valid[bins]
            smooth = [gaussian_filter1d(each, width, mode="nearest") for each in (spikes, valid)]
            expected = smooth[0] / smooth[1]
            expected = expected[-1] if task == "forward_prediction" else expected
            for n in question.neurons:
                np.testing.assert_allclose(found[k, :, n], expected, rtol=1e-10, atol=1e-12)


def test_coupling_finds_who_follows_the_population():
    rng = np.random.default_rng(8)
    drive = np.exp(gaussian_filter1d(rng.normal(size=(80, 20)), 2.0, axis=1) * 1.5)
    strength = np.repeat([0.0, 1.0, -1.0], (4, 22, 4))
    counts = rng.poisson(0.8 * drive[:, :, None] ** strength).clip(0, 255).astype(np.uint8)
    coupling = Coupling(small_trials(shape=(80, 20, 30), counts=counts))
    coupling.rates("co_smoothing", coupling.held)
    found = coupling._chosen["co_smoothing"][2][1]
    assert found[4:26].min() > found[:4].max() > found[:4].min() > found[26:].max()
    assert np.abs(found[:4]).max() < 0.3 and (found[26:] < -0.4).all()


# --- condition PSTH ---------------------------------------------------------------------------------------------------


def labeled(seed=0, **labels):
    trials, rng = small_trials(shape=(60, 20, 6)), np.random.default_rng(seed)
    choice = trials.behaviors["choice"]
    rates = np.where((choice[:, None, None] > 0) & (np.arange(20)[:, None] > 9), 2.0, 0.3)
    noise = {"contrast": rng.choice([-1.0, -0.1, 0.5], 60), "reward": rng.choice([0.0, 1.0], 60)}
    counts = rng.poisson(np.broadcast_to(rates, trials.counts.shape)).astype(np.uint8)
    return replace(trials, counts=counts, behaviors={**trials.behaviors, **noise, **labels})


def test_condition_psths_find_the_label_that_matters_and_equal_a_loop():
    trials = labeled()
    found = ConditionPsth(trials)
    assert found.labels == ("choice",) and set(found.per_condition) == {(-1.0,), (1.0,)}
    train, psth = trials.select("train"), tuned_psth(trials)
    chosen = train.behaviors["choice"] == 1
    candidates = []
    for width in (1.0, 2.0, 4.0, 8.0, 16.0):
        spikes = gaussian_filter1d(train.counts[chosen].sum(0, dtype=float), width, axis=0, mode="nearest")
        for prior in (3.0, 10.0, 30.0, 100.0):
            candidates.append((spikes + prior) / (chosen.sum() + prior / psth))
    assert any(np.allclose(found.per_condition[1.0,], each, rtol=1e-12) for each in candidates)
    rates = found.rates("co_smoothing", trials)
    np.testing.assert_array_equal(rates[trials.behaviors["choice"] == 1][0], found.per_condition[1.0,])


def test_the_contrast_counts_by_its_side_only():
    trials = labeled()
    sides = conditions(trials, ("contrast", "reward"))
    assert {side for side, _ in sides} == {-1.0, 1.0}


def test_a_trial_of_an_unknown_or_new_condition_has_the_psth_of_all_trials():
    trials = labeled()
    found = ConditionPsth(trials)
    choice = np.where(np.arange(60) == 3, np.nan, np.where(np.arange(60) == 4, 0.0, 1.0))
    rates = found.rates("co_smoothing", replace(trials, behaviors={**trials.behaviors, "choice": choice}))
    np.testing.assert_array_equal(rates[3], found.overall)
    np.testing.assert_array_equal(rates[4], found.overall)
    assert (rates[5] != found.overall).any()


def test_labels_that_never_differ_or_are_unknown_are_no_labels():
    trials = labeled(reward=np.ones(60), block=np.full(60, np.nan))
    assert labels_of(trials) == ("contrast", "choice")
    plain = replace(trials, behaviors={})
    np.testing.assert_array_equal(ConditionPsth(plain).rates("co_smoothing", plain)[0], tuned_psth(plain))


def test_spikes_of_the_predicted_trial_are_not_read():
    trials = labeled()
    found, part = ConditionPsth(trials), trials.select("test")
    noise = replace(part, counts=np.full(part.counts.shape, np.nan))
    np.testing.assert_array_equal(found.rates("co_smoothing", noise), found.rates("co_smoothing", part))


# --- autoregression ---------------------------------------------------------------------------------------------------


def test_stretches_double_and_cover_every_bin_once():
    assert stretches(10) == [slice(0, 1), slice(1, 3), slice(3, 7), slice(7, 10)]
    for longest in (1, 2, 5, 32):
        bins = [t for s in stretches(longest) for t in range(s.start, s.stop)]
        assert bins == list(range(longest))


def test_the_past_is_the_past_by_a_loop():
    psth = tuned_psth(TRIALS)
    for start in (2, 9, 18):
        past = past_of(TRIALS, psth, start)
        for k, n in ((0, 0), (5, 3), (17, 8)):
            for place, bins in enumerate(stretches(32)):
                seen = [start - 1 - lag for lag in range(bins.start, bins.stop)]
                seen = [t for t in seen if t >= 0 and TRIALS.valid[k, t]]
                deviation = sum(TRIALS.counts[k, t, n] - psth[t, n] for t in seen)
                expected = deviation / np.sqrt(sum(psth[t, n] for t in seen) + 0.25)
                assert past.own[k, n, place] == pytest.approx(expected, abs=1e-12)


def test_autoregression_equals_scikit_learn_neuron_by_neuron():
    model, train = Autoregression(TRIALS), TRIALS.select("train")
    x, y, e = [], [], []
    for start in range(18, 1, -5):
        valid = train.valid[:, start : start + 1, None]
        x.append(model.fit.features(past_of(train, model.psth, start)))
        y.append(np.where(valid, train.counts[:, start : start + 1], 0).sum(1))
        e.append(np.where(valid, model.psth[start : start + 1], 0.0).sum(1))
    x, y, e = (np.concatenate(each) for each in (x, y, e))
    assert np.abs(x).max() <= LARGEST_INPUT
    # which penalty was chosen is not kept: exactly one explains the weights
    agree = []
    for penalty in (3.0, 30.0, 300.0):
        expected = [sklearn_poisson(x[:, n], y[:, n], e[:, n], penalty) for n in range(9)]
        found = np.c_[model.fit.per_stretch[0][0], model.fit.per_stretch[0][1]]
        agree.append(np.allclose(found, expected, atol=1e-5))
    assert sum(agree) == 1


def test_a_neuron_that_remembers_is_predicted_better_than_its_psth():
    rng = np.random.default_rng(9)
    level = rng.choice([0.2, 2.0], size=(150, 1, 5))
    trials = small_trials(shape=(150, 20, 5), counts=rng.poisson(np.broadcast_to(level, (150, 20, 5))).astype(np.uint8))
    part = trials.select("test")
    rates, first = Autoregression(trials).rates("forward_prediction", part)[:, 18:], level[trials.split == "test"]
    assert np.corrcoef(np.log(rates.mean(1)).ravel(), np.log(first).ravel())[0, 1] > 0.9

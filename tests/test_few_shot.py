"""Few-shot co-smoothing: the regression is right, and k trials are all it knows of the held-out neurons."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import PoissonRegressor
from small import small_model, small_trials

from mtm_core.checkpoint import Checkpoint, load_checkpoint
from mtm_core.commands.evaluate import trials_of
from mtm_core.evaluation.bootstrap import resamples
from mtm_core.evaluation.few_shot import (
    COMPONENTS,
    LATENTS,
    PENALTIES,
    Case,
    FewShot,
    draw_trials,
    few_shot,
    folds_of,
    tuned_fit,
)
from mtm_core.evaluation.few_shot_inputs import component_inputs, latent_inputs, on_principal_axes
from mtm_core.evaluation.metrics import spike_sums
from mtm_core.evaluation.poisson_regression import fit_poisson
from mtm_core.paths import assets_dir
from mtm_core.session import identity

HELD_OUT = np.array([1, 5, 9])


def trials_with_gaps():
    trials = small_trials(shape=(60, 12, 12))
    valid = np.random.default_rng(3).random(trials.valid.shape) < 0.9
    return replace(trials, valid=valid, counts=np.where(valid[:, :, None], trials.counts, 0).astype(np.uint8))


TRIALS = trials_with_gaps()
CHECKPOINT = Checkpoint(small_model(TRIALS), {"hash": "0" * 64, "data": [identity(TRIALS)]}, Path("some/model"))


def result(generator):
    """What a generator returns."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


def points_of(trials, asked, seed=0):
    *_, last = few_shot(CHECKPOINT, trials, HELD_OUT, np.random.default_rng(seed), asked)
    assert last.share == 1.0
    return {(point.predictor, point.k): point for point in last.points}


def regression(n_samples=400, n_neurons=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_samples, 5)) * np.array([2.0, 1.0, 1.0, 0.5, 0.1])
    weights = rng.normal(size=(5, n_neurons)) * 0.4
    return x, rng.poisson(np.exp(x @ weights + np.array([-2.0, 0.0, 1.0])[:n_neurons]))


# --- the regression ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [1e5, 300.0, 10.0, 0.1])
def test_poisson_regression_equals_scikit_learn(penalty):
    x, y = regression()
    found = fit_poisson(x, y, penalty, precision=1e-6)
    for n in range(y.shape[1]):
        one = PoissonRegressor(alpha=penalty / len(x), tol=1e-10, max_iter=1000, solver="newton-cholesky")
        one.fit(x, y[:, n])
        np.testing.assert_allclose(found.weights[:, n], one.coef_, rtol=1e-5, atol=1e-7)
        assert found.intercept[n] == pytest.approx(one.intercept_, rel=1e-5, abs=1e-7)
        np.testing.assert_allclose(found.rates(x)[:, n], one.predict(x), rtol=1e-5)


def test_a_start_changes_nothing_and_nothing_is_written_into():
    x, y = regression()
    x.flags.writeable = y.flags.writeable = False
    cold = fit_poisson(x, y, 30.0, precision=1e-7)
    warm = fit_poisson(x, y, 30.0, start=fit_poisson(x, y, 1000.0), precision=1e-7)
    np.testing.assert_allclose(warm.weights, cold.weights, rtol=1e-6, atol=1e-8)


def test_a_neuron_without_spikes_gets_the_rate_of_half_a_spike():
    x, y = regression()
    y[:, 1] = 0
    found = fit_poisson(x, y, 10.0)
    np.testing.assert_allclose(found.rates(x)[:, 1], 0.5 / len(x))
    alone = fit_poisson(x, y[:, [0, 2]], 10.0, precision=1e-6)
    np.testing.assert_allclose(found.weights[:, [0, 2]], alone.weights, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(fit_poisson(x, y[:, [1]], 10.0).rates(x), 0.5 / len(x))


def test_rates_of_far_off_inputs_stay_finite():
    x, y = regression()
    assert np.isfinite(fit_poisson(x, y, 0.1).rates(1e6 * x)).all()


# --- the inputs -------------------------------------------------------------------------------------------------------


def test_principal_axes_keep_distances_up_to_one_factor():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(10, 8, 4)) @ np.diag([3.0, 1.0, 0.3, 0.1]) + 5.0
    turned = on_principal_axes(values, np.ones((10, 8), dtype=bool))
    before = np.linalg.norm(values[:, None] - values[None], axis=-1)
    after = np.linalg.norm(turned[:, None] - turned[None], axis=-1)
    factors = after[before > 0] / before[before > 0]
    np.testing.assert_allclose(factors, factors[0], rtol=1e-9)
    flat = turned.reshape(-1, 4)
    covariance = flat.T @ flat / len(flat)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-12)
    assert np.diag(covariance).mean() == pytest.approx(1) and (np.diff(np.diag(covariance)) < 0).all()
    np.testing.assert_allclose(flat.mean(axis=0), 0, atol=1e-12)


def test_axes_without_variance_are_left_out():
    values = np.random.default_rng(0).normal(size=(10, 8, 3))
    doubled = np.concatenate([values, values[..., :1]], axis=2)
    fitted_on = np.ones((10, 8), dtype=bool)
    assert on_principal_axes(doubled, fitted_on).shape == (10, 8, 3)
    assert on_principal_axes(doubled, fitted_on, n_axes=2).shape == (10, 8, 2)


def scrambled(trials, where, seed=5):
    """Other counts of the held-out neurons in some trials."""
    counts = trials.counts.copy()
    place = np.ix_(where, np.arange(trials.n_bins), HELD_OUT)
    counts[place] = np.random.default_rng(seed).integers(0, 250, counts[place].shape)
    return replace(trials, counts=counts)


def test_inputs_do_not_read_the_held_out_neurons():
    changed = scrambled(TRIALS, np.arange(TRIALS.n_trials))
    for make in (lambda t: result(latent_inputs(CHECKPOINT, t, HELD_OUT)), lambda t: component_inputs(t, HELD_OUT, 4)):
        np.testing.assert_array_equal(make(changed), make(TRIALS))


def test_inputs_of_training_trials_do_not_read_the_other_trials():
    counts = TRIALS.counts.copy()
    train = TRIALS.split == "train"
    counts[~train] = 250
    changed = replace(TRIALS, counts=counts)
    for make in (lambda t: result(latent_inputs(CHECKPOINT, t, HELD_OUT)), lambda t: component_inputs(t, HELD_OUT, 4)):
        np.testing.assert_array_equal(make(changed)[train], make(TRIALS)[train])


# --- few shots --------------------------------------------------------------------------------------------------------


def test_draws_come_from_training_trials_and_the_last_is_all_of_them():
    train = np.flatnonzero(TRIALS.split == "train")
    draws = draw_trials(train, FewShot((16, 4, 4, 500), 3), np.random.default_rng(0))
    assert {k: len(chosen) for k, chosen in draws.items()} == {4: 3, 16: 3, 36: 1}
    for k, chosen in draws.items():
        assert all(len(set(each)) == k and set(each) <= set(train) for each in chosen)
    assert len({tuple(each) for each in draws[4]}) == 3 and draws[36][0].tolist() == train.tolist()


def test_the_penalty_is_the_best_before_the_first_fall_in_cross_validation():
    """Against scikit-learn, one neuron, one fold and one penalty at a time."""
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(8, 30, 4)) * np.array([2.0, 1.0, 1.0, 0.5])
    counts = rng.poisson(0.3 * np.exp(0.1 * inputs @ rng.normal(size=(4, 2))))
    case = Case("any", inputs, counts, rng.random((8, 30)) < 0.9)
    chosen = np.array([0, 2, 3, 5, 6, 7])
    *_, (penalty, fit) = tuned_fit(case, chosen)

    def likelihood(candidate):
        total = 0.0
        for fold in (chosen[[0, 4]], chosen[[1, 5]], chosen[[2]], chosen[[3]]):
            (x, y), (x_new, y_new) = case.samples(np.setdiff1d(chosen, fold)), case.samples(fold)
            for n in range(2):
                one = PoissonRegressor(alpha=candidate / len(x), tol=1e-8, max_iter=1000).fit(x, y[:, n])
                rates = one.predict(x_new)
                total += (y_new[:, n] * np.log(rates) - rates).sum()
        return total

    scores = [likelihood(candidate) for candidate in PENALTIES]
    falls = [i for i in range(1, len(scores)) if scores[i] <= scores[i - 1]]
    assert falls[0] > 1 and penalty == PENALTIES[falls[0] - 1]
    expected = fit_poisson(*case.samples(chosen), penalty, precision=1e-6)
    np.testing.assert_allclose(fit.weights, expected.weights, atol=1e-4)


@pytest.mark.parametrize(("k", "n_folds"), [(2, 2), (3, 3), (4, 4), (63, 4), (64, 2)])
def test_folds_hold_every_trial_once(k, n_folds):
    chosen = 3 * np.arange(k)
    folds = folds_of(chosen)
    assert len(folds) == n_folds and sorted(np.concatenate(folds).tolist()) == chosen.tolist()
    assert max(map(len, folds)) - min(map(len, folds)) <= 1


def test_likely_duplicates_of_held_out_neurons_are_hidden_too():
    duplicates = np.zeros((12, 12), dtype=bool)
    duplicates[5, 6] = duplicates[6, 5] = duplicates[2, 3] = duplicates[3, 2] = True
    counts = TRIALS.counts.copy()
    counts[..., 6] = 200
    changed = replace(TRIALS, counts=counts)
    for asked, same in ((FewShot((), 1, duplicates=duplicates), True), (FewShot((), 1), False)):
        before, after = points_of(TRIALS, asked), points_of(changed, asked)
        for one, two in zip(before.values(), after.values(), strict=True):
            assert np.array_equal(one.sums[0].expected, two.sums[0].expected) == same


def test_only_the_chosen_trials_of_the_held_out_neurons_are_read():
    asked = FewShot((6,), 1)
    train = np.flatnonzero(TRIALS.split == "train")
    (chosen,) = draw_trials(train, asked, np.random.default_rng(0))[6]
    others = np.setdiff1d(np.arange(TRIALS.n_trials), chosen)
    before, after = points_of(TRIALS, asked), points_of(scrambled(TRIALS, others), asked)
    for predictor in (LATENTS, COMPONENTS):
        one, two = before[predictor, 6], after[predictor, 6]
        # Sums of the predicted rates over test bins are the predictions; the counts they are scored with did change.
        np.testing.assert_array_equal(one.sums[0].expected, two.sums[0].expected)
        assert one.penalties == two.penalties and one.pooled != two.pooled
        assert not np.array_equal(before[predictor, 36].sums[0].expected, after[predictor, 36].sums[0].expected)


def test_scores_are_those_of_the_fitted_rates_on_valid_test_bins():
    asked = FewShot((6,), 2)
    found = points_of(TRIALS, asked)
    train, test = np.flatnonzero(TRIALS.split == "train"), np.flatnonzero(TRIALS.split == "test")
    inputs = result(latent_inputs(CHECKPOINT, TRIALS, HELD_OUT))
    case = Case(LATENTS, inputs, TRIALS.counts[:, :, HELD_OUT], TRIALS.valid)
    scores = []
    for chosen in draw_trials(train, asked, np.random.default_rng(0))[6]:
        *_, (_, fit) = tuned_fit(case, chosen)
        target = np.broadcast_to(TRIALS.valid[test][:, :, None], (len(test), TRIALS.n_bins, len(HELD_OUT)))
        scores.append(spike_sums(fit.rates(inputs[test]), case.counts[test], target).pooled())
    assert found[LATENTS, 6].pooled == pytest.approx(np.mean(scores), rel=1e-12)
    low, high = found[LATENTS, 6].interval
    assert low < found[LATENTS, 6].pooled < high


def test_the_interval_of_one_draw_is_that_of_resampled_test_trials():
    point = points_of(TRIALS, FewShot((), 5))[LATENTS, 36]
    assert len(point.sums) == 1
    weights = resamples(point.sums[0].spikes.shape[0], np.random.default_rng(0), 4000)
    null = point.sums[0].total().test_mean()
    low, high = np.quantile([point.sums[0].total(w[None]).pooled(null)[0] for w in weights], [0.025, 0.975])
    assert point.interval == pytest.approx((low, high), abs=0.15 * (high - low))


def test_progress_grows_and_the_same_seed_gives_the_same_table():
    steps = list(few_shot(CHECKPOINT, TRIALS, HELD_OUT, np.random.default_rng(0), FewShot((4,), 2)))
    shares = [step.share for step in steps]
    assert shares == sorted(shares) and shares[0] == 0.0 and shares[-1] == 1.0
    assert len(set(shares)) >= 7  # it moves with every draw: two and one for each predictor
    table = steps[-1].table()
    assert table[["predictor", "k", "n_repeats"]].values.tolist() == [
        [LATENTS, 4, 2],
        [COMPONENTS, 4, 2],
        [LATENTS, 36, 1],
        [COMPONENTS, 36, 1],
    ]
    *_, again = few_shot(CHECKPOINT, TRIALS, HELD_OUT, np.random.default_rng(0), FewShot((4,), 2))
    assert again.table().equals(table) and np.isfinite(table["pooled"]).all()
    assert [row["k"] for row in again.to_json()] == [4, 4, 36, 36] and json.dumps(again.to_json(), allow_nan=False)
    assert steps[0].points == [] and list(steps[0].table().columns) == list(table.columns)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="2 or more trials"):
        FewShot((1,))
    with pytest.raises(ValueError, match="1 training and 0 test trials"):
        split = np.where(np.arange(60) == 0, "train", "validation")
        trials = replace(TRIALS, split=split)
        next(few_shot(replace(CHECKPOINT, manifest={"data": []}), trials, HELD_OUT, np.random.default_rng(0)))
    with pytest.raises(ValueError, match="not the one"):
        next(few_shot(CHECKPOINT, replace(TRIALS, split=TRIALS.split[::-1]), HELD_OUT, np.random.default_rng(0)))


@pytest.mark.slow
def test_scores_grow_with_the_number_of_trials_on_a_simulated_session():
    checkpoint = load_checkpoint(assets_dir() / "checkpoints" / "simulated-mtm")
    trials = trials_of(checkpoint, "simulated-1", None)
    neurons = np.arange(20, 260, 40)
    *_, last = few_shot(checkpoint, trials, neurons, np.random.default_rng(0), FewShot((4, 16, 64), 2))
    for predictor in (LATENTS, COMPONENTS):
        points = [point for point in last.points if point.predictor == predictor]
        scores = [point.pooled for point in points]
        noise = max(point.interval[1] - point.interval[0] for point in points) / 4
        assert (np.diff(scores) > -noise).all() and scores[-1] > scores[0] + noise > noise
    by_predictor = last.table().pivot(index="k", columns="predictor", values="pooled")
    assert (by_predictor[LATENTS] > by_predictor[COMPONENTS]).all()

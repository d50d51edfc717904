from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small import small_model, small_trials

from mtm_core.__main__ import main
from mtm_core.checkpoint import Checkpoint
from mtm_core.evaluation.decoding import nested
from mtm_core.evaluation.decoding.behaviors import behavior_names, target_of, too_little
from mtm_core.evaluation.decoding.decode import Plan, decode
from mtm_core.evaluation.decoding.features import (
    decodable_regions,
    default_sources,
    features,
    in_wider_bins,
    open_source,
)
from mtm_core.evaluation.decoding.linear_decoders import RidgePath, logistic_path
from mtm_core.evaluation.decoding.measures import BALANCED, accuracy, balanced_accuracy, of_stream, r2, roc_auc
from mtm_core.evaluation.decoding.mtm_protocol import ALPHAS, CS, MtmProtocol
from mtm_core.evaluation.decoding.nested import N_FOLDS, RAREST, Nested
from mtm_core.evaluation.decoding.row_space import row_space
from mtm_core.session import identity

RNG = np.random.default_rng(0)
EXACT = LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000)


def returned(steps):
    """What a generator returns after its last step."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def behaving_trials(n_trials=120, **changes):
    """Trials in which choice and wheel speed move the first three neurons; NaN, no-go and zero contrast occur."""
    trials = small_trials(shape=(n_trials, 10, 8))
    rng = np.random.default_rng(5)
    choice = rng.choice([-1.0, 1.0], n_trials)
    wheel = np.abs(rng.normal(size=(n_trials, 10)).cumsum(axis=1))
    counts = trials.counts.copy()
    counts[:, :, 0] = rng.poisson(1.0 + 0.8 * choice[:, None], counts.shape[:2])
    counts[:, :, 1:3] = rng.poisson(1.0 + wheel[:, :, None], (*wheel.shape, 2))
    choice[::17] = 0.0
    wheel[3, 4] = np.nan
    behaviors = {
        "choice": choice.astype(np.float32),
        "wheel_speed": wheel.astype(np.float32),
        "block": np.repeat([0.5, 0.2, 0.8, 0.2], n_trials // 4).astype(np.float32),
        "contrast": rng.choice([-1.0, -0.25, 0.0, 0.25, 1.0], n_trials).astype(np.float32),
        "reward": rng.choice([0.0, 1.0], n_trials).astype(np.float32),
        "response_time": rng.random(n_trials).astype(np.float32),
    }
    return replace(trials, counts=counts, behaviors=behaviors, **changes)


TRIALS = behaving_trials()


def a_checkpoint(trials, tmp_path):
    return Checkpoint(small_model(trials), {"data": [identity(trials)], "hash": "abc"}, tmp_path / "model")


# --- solvers against scikit-learn -------------------------------------------------------------------------------------


def many_features(n_train=40, n_test=9, n_features=300):
    """More features than trials, of unlike scale, some constant in training."""
    values = RNG.normal(size=(n_train + n_test, n_features)) * RNG.uniform(0.1, 20, n_features) + 3.0
    values[:n_train, 7] = 2.0
    labels = (values[:n_train, 0] + 5 * RNG.normal(size=n_train) > 4.0).astype(float)
    return values[:n_train], values[n_train:], labels


@pytest.mark.parametrize("penalty", [100.0, 1.0, 0.01])
def test_the_logistic_decoder_equals_scikit_learn_on_all_features(penalty):
    train, test, labels = many_features()
    whole = make_pipeline(StandardScaler(), LogisticRegression(**EXACT.get_params() | {"C": 1 / penalty}))
    whole.set_params(logisticregression__class_weight="balanced").fit(train, labels)
    space = row_space(train, test)
    ours = next(logistic_path(space.train, labels, [penalty])).probabilities(space.test)
    # A feature that is constant in training has no weight, so it may be anything in the test trials.
    test[:, 7] = 2.0
    np.testing.assert_allclose(ours, whole.predict_proba(test)[:, 1], rtol=0, atol=1e-6)


def test_a_path_of_penalties_gives_what_each_penalty_gives_alone():
    train, test, labels = many_features()
    space = row_space(train, test)
    penalties = [1000.0, 10.0, 1e-1, 1e-3]
    for penalty, model in zip(penalties, logistic_path(space.train, labels, penalties), strict=True):
        alone = next(logistic_path(space.train, labels, [penalty]))
        np.testing.assert_allclose(model.weights, alone.weights, rtol=0, atol=1e-6 * np.abs(alone.weights).max())


@pytest.mark.parametrize("n_features", [300, 12])
@pytest.mark.parametrize("penalty", [1e-3, 1.0, 1e4])
def test_the_ridge_decoder_equals_scikit_learn_on_all_features(penalty, n_features):
    train, test, _ = many_features(n_features=n_features)
    values = RNG.normal(size=(len(train), 6)) + 40.0
    scaler = StandardScaler().fit(train)
    test[:, 7] = 2.0
    whole = Ridge(penalty, solver="svd").fit(scaler.transform(train), values).predict(scaler.transform(test))
    space = row_space(train, test)
    ours = next(RidgePath.of(space.train).predictions(values, space.test, [penalty]))
    np.testing.assert_allclose(ours, whole, rtol=0, atol=1e-6)


def test_without_a_penalty_the_ridge_decoder_has_the_shortest_weights_that_fit():
    train, test, _ = many_features()
    values = RNG.normal(size=(len(train), 6)) + 40.0
    mean = train.mean(axis=0)
    weights = np.linalg.lstsq(train - mean, values - values.mean(axis=0), rcond=1e-10)[0]
    space = row_space(train, test, standardized=False)
    ours = next(RidgePath.of(space.train).predictions(values, space.test, [0.0]))
    np.testing.assert_allclose(ours, (test - mean) @ weights + values.mean(axis=0), rtol=0, atol=1e-6)


def test_the_row_space_keeps_all_products_between_trials():
    train, test, _ = many_features()
    space = row_space(train, test, standardized=False)
    assert space.train.shape == (40, 40)
    np.testing.assert_allclose(space.train @ space.train.T, train @ train.T, rtol=1e-10)
    np.testing.assert_allclose(space.test @ space.train.T, test @ train.T, rtol=1e-8, atol=1e-6)


# --- protocols against brute force ------------------------------------------------------------------------------------


def balanced_log_loss(labels, probability):
    right = np.where(labels == 1, probability, 1 - probability).clip(RAREST)
    return -np.mean([np.log(right[labels == label]).mean() for label in (0, 1)])


def nested_on(trials, train, test, bin_size=0.1):
    return returned(Nested.on(trials.counts.astype(np.float32), bin_size, train, test))


TRAIN, TEST = np.flatnonzero(TRIALS.split != "test"), np.flatnonzero(TRIALS.split == "test")


def test_nested_cross_validation_of_labels_equals_a_loop_over_scikit_learn():
    target, decoder = target_of("choice", TRIALS.behaviors["choice"]), nested_on(TRIALS, TRAIN, TEST)
    known = np.isfinite(target.values)
    fold_of = dict(zip(TRAIN, np.arange(len(TRAIN)) // nested.BLOCK % N_FOLDS, strict=True))
    rows = [k for k in TRAIN if known[k]]
    tried = {}
    for n_bins in (1, 2, 4):
        wide = in_wider_bins(TRIALS.counts.astype(float), n_bins).reshape(len(known), -1)
        scaler = StandardScaler().fit(wide[TRAIN])
        flat = scaler.transform(wide)
        unit = np.mean(np.sum(flat[TRAIN] ** 2, axis=1))
        for penalty in nested.LOGISTIC_PENALTIES:
            solver = LogisticRegression(**EXACT.get_params() | {"C": 1 / (penalty * unit), "class_weight": "balanced"})
            found = np.zeros(len(rows))
            for fold in range(N_FOLDS):
                held = np.array([fold_of[k] == fold for k in rows])
                fit = [k for k, out in zip(rows, held, strict=True) if not out]
                solver.fit(flat[fit], target.values[fit])
                found[held] = solver.predict_proba(flat[[k for k, out in zip(rows, held, strict=True) if out]])[:, 1]
            loss = balanced_log_loss(target.values[rows], found)
            asked = [k for k in TEST if known[k]]
            tried[loss] = (
                n_bins,
                1 / (penalty * unit),
                solver.fit(flat[rows], target.values[rows]).predict_proba(flat[asked]),
            )
    n_bins, c, probability = tried[min(tried)]
    decoded = decoder.decode(target)
    assert decoded.settings["bin_width_s"] == pytest.approx(0.1 * n_bins)
    assert decoded.settings["C"] == pytest.approx(c)
    np.testing.assert_allclose(decoded.predicted, probability[:, 1], atol=1e-6)
    np.testing.assert_array_equal(decoded.truth, target.values[[k for k in TEST if known[k]]])


def test_nested_cross_validation_of_streams_equals_a_loop_over_scikit_learn():
    target, decoder = target_of("wheel_speed", TRIALS.behaviors["wheel_speed"]), nested_on(TRIALS, TRAIN, TEST)
    fold_of = np.full(TRIALS.n_trials, -1)
    fold_of[TRAIN] = np.arange(len(TRAIN)) // nested.BLOCK % N_FOLDS
    rows = TRAIN[target.known[TRAIN]]
    assert 3 not in rows and len(rows) == len(TRAIN) - 1
    tried = {}
    for n_bins in (1, 2, 4):
        wide = in_wider_bins(TRIALS.counts.astype(float), n_bins).reshape(TRIALS.n_trials, -1)
        flat = StandardScaler().fit(wide[TRAIN]).transform(wide)
        unit = np.mean(np.sum(flat[TRAIN] ** 2, axis=1))
        for penalty in nested.RIDGE_PENALTIES:
            error, solver = 0.0, Ridge(penalty * unit)
            for fold in range(N_FOLDS):
                fit, held = rows[fold_of[rows] != fold], rows[fold_of[rows] == fold]
                error += np.sum(
                    (solver.fit(flat[fit], target.values[fit]).predict(flat[held]) - target.values[held]) ** 2
                )
            tried[error] = penalty * unit, solver.fit(flat[rows], target.values[rows]).predict(flat[TEST])
    alpha, predicted = tried[min(tried)]
    decoded = decoder.decode(target)
    assert decoded.settings["alpha"] == pytest.approx(alpha)
    np.testing.assert_allclose(decoded.predicted, predicted, atol=1e-6)


@pytest.mark.parametrize("name", ["choice", "wheel_speed"])
def test_the_mtm_protocol_equals_a_grid_search_on_all_features(name):
    target, flat = target_of(name, TRIALS.behaviors[name]), TRIALS.counts.reshape(TRIALS.n_trials, -1).astype(float)
    rows, asked = TRAIN[target.known[TRAIN]], TEST[target.known[TEST]]
    solver, grid = (EXACT, {"C": CS}) if name == "choice" else (Ridge(solver="svd"), {"alpha": ALPHAS})
    search = GridSearchCV(solver, grid, cv=4).fit(flat[rows], target.values[rows])
    expected = search.predict_proba(flat[asked])[:, 1] if name == "choice" else search.predict(flat[asked])
    decoder = returned(MtmProtocol.on(TRIALS.counts.astype(np.float32), 0.1, TRAIN, TEST))
    decoded = decoder.decode(target)
    assert {name: decoded.settings[name] for name in search.best_params_} == search.best_params_
    np.testing.assert_allclose(decoded.predicted, expected, atol=1e-6)
    assert decoded.measures.metric == ("accuracy" if name == "choice" else "R2")


def test_wider_bins_are_means_and_the_last_may_be_short():
    values = RNG.random((3, 7, 2))
    expected = np.stack([values[:, start : start + 3].mean(axis=1) for start in (0, 3, 6)], axis=1)
    np.testing.assert_allclose(in_wider_bins(values, 3), expected)


# --- measures ---------------------------------------------------------------------------------------------------------


def test_measures_equal_scikit_learn():
    labels, probability = RNG.integers(0, 2, 50).astype(float), RNG.integers(0, 8, 50) / 7
    once = np.ones((1, 50))
    assert balanced_accuracy(labels, probability, once)[0] == pytest.approx(
        balanced_accuracy_score(labels, probability > 0.5)
    )
    assert accuracy(labels, probability, once)[0] == pytest.approx(np.mean((probability > 0.5) == labels))
    assert roc_auc(labels, probability, once)[0] == pytest.approx(roc_auc_score(labels, probability))
    values, predicted = RNG.normal(size=(50, 6)) + 30, RNG.normal(size=(50, 6)) + 30
    assert r2(values, predicted, once)[0] == pytest.approx(r2_score(values.ravel(), predicted.ravel()))


def test_a_weight_of_three_is_a_trial_that_occurs_three_times():
    labels, probability = RNG.integers(0, 2, 30).astype(float), RNG.random(30)
    values, predicted = RNG.normal(size=(30, 4)), RNG.normal(size=(30, 4))
    weights = RNG.integers(0, 4, (1, 30)).astype(float)
    again = np.repeat(np.arange(30), weights[0].astype(int))
    once = np.ones((1, len(again)))
    for of in (balanced_accuracy, accuracy, roc_auc):
        assert of(labels, probability, weights)[0] == pytest.approx(of(labels[again], probability[again], once)[0])
    assert r2(values, predicted, weights)[0] == pytest.approx(r2(values[again], predicted[again], once)[0])


def test_r2_beyond_the_average_is_zero_for_the_average_and_one_for_the_truth():
    values = RNG.normal(size=(400, 5)) + np.arange(5) * 10
    average = values.mean(axis=0)
    measures = of_stream(average)
    plain, beyond = measures.point(values, np.broadcast_to(average, values.shape))
    assert plain > 0.9 and beyond == pytest.approx(0.0, abs=1e-12)
    assert measures.point(values, values) == (1.0, 1.0)


def test_an_absent_class_has_no_balanced_accuracy():
    assert np.isnan(balanced_accuracy(np.ones(4), np.ones(4), np.ones((1, 4)))[0])


def test_intervals_cover_the_true_score():
    rng, inside = np.random.default_rng(3), 0
    for _ in range(120):
        labels = rng.integers(0, 2, 80).astype(float)
        right = rng.random(80) < 0.7
        low, high = BALANCED.with_intervals(labels, np.where(right, labels, 1 - labels)).ci
        inside += low <= 0.7 <= high
    assert 0.88 <= inside / 120 <= 1.0


# --- behaviors --------------------------------------------------------------------------------------------------------


def test_trials_in_the_middle_are_left_out_and_counted():
    choice = target_of("choice", np.array([1.0, -1.0, 0.0, np.nan]))
    np.testing.assert_array_equal(choice.values, [1.0, 0.0, np.nan, np.nan])
    assert choice.n_left_out(np.arange(4)) == {"no-go": 1, "missing value": 1}
    assert choice.n_left_out(np.arange(2)) == {}
    block = target_of("block", np.array([0.5, 0.2, 0.8], dtype=np.float32))
    np.testing.assert_array_equal(block.values, [np.nan, 0.0, 1.0])
    assert block.n_left_out(np.arange(3)) == {"unbiased block": 1}
    np.testing.assert_array_equal(target_of("reward", np.array([0.0, 1.0])).values, [0.0, 1.0])
    contrast = target_of("contrast", np.array([-0.0625, 0.0, 1.0]))
    np.testing.assert_array_equal(contrast.values, [0.0, np.nan, 1.0])


def test_a_stream_is_left_out_where_single_bins_are_missing_but_not_where_it_was_never_recorded():
    values = np.arange(12.0).reshape(3, 4)
    values[:, 3], values[1, 0] = np.nan, np.nan
    target = target_of("pupil", values)
    np.testing.assert_array_equal(target.values[[0, 2]], values[[0, 2], :3])
    assert np.isnan(target.values[1]).all()
    assert target.n_left_out(np.arange(3)) == {"missing values": 1}


def test_only_what_the_recording_holds_is_decoded():
    assert behavior_names(TRIALS) == ("choice", "block", "reward", "contrast", "wheel_speed")
    assert behavior_names(replace(TRIALS, behaviors={"pupil": np.zeros((120, 10))})) == ("pupil",)


def test_a_behavior_that_hardly_varies_cannot_be_decoded():
    always = target_of("reward", np.ones(120))
    assert "rarer side" in too_little(always, TRAIN, TEST)
    assert "never changes" in too_little(target_of("pupil", np.ones((120, 4))), TRAIN, TEST)
    assert "not known in any trial" in too_little(target_of("pupil", np.full((120, 4), np.nan)), TRAIN, TEST)
    assert too_little(target_of("choice", TRIALS.behaviors["choice"]), TRAIN, TEST) == ""


# --- leaks ------------------------------------------------------------------------------------------------------------

SOURCES = ("counts", "rates", "latents", "region:CA1", "without:CA1", "reconstruction:CA1")


def all_features(trials, checkpoint, name, positions):
    return returned(features(open_source(name, trials), checkpoint, trials, positions))


@pytest.mark.parametrize("name", SOURCES)
def test_features_do_not_change_with_the_behavior_or_copies_of_it(name, tmp_path):
    checkpoint = a_checkpoint(TRIALS, tmp_path)
    wild = {
        key: np.where(TRIALS.split.reshape(-1, *[1] * (v.ndim - 1)) == "test", 1e6, v)
        for key, v in TRIALS.behaviors.items()
    }
    table = TRIALS.table.assign(choice=-TRIALS.behaviors["choice"], feedback_times=1e6, firstMovement_times=np.nan)
    other = replace(TRIALS, behaviors=wild, table=table)
    at = np.arange(TRIALS.n_trials)
    expected = all_features(TRIALS, checkpoint, name, at)
    np.testing.assert_array_equal(all_features(other, checkpoint, name, at), expected)
    assert np.isfinite(expected).all()


def test_a_reconstructed_region_is_not_read_and_an_excluded_one_neither(tmp_path):
    checkpoint, at = a_checkpoint(TRIALS, tmp_path), np.arange(TRIALS.n_trials)
    inside = TRIALS.regions == "CA1"
    scrambled = replace(
        TRIALS, counts=np.where(inside, RNG.integers(0, 200, TRIALS.counts.shape), TRIALS.counts).astype(np.uint8)
    )
    for name in ("reconstruction:CA1", "without:CA1"):
        before, after = (all_features(trials, checkpoint, name, at) for trials in (TRIALS, scrambled))
        np.testing.assert_array_equal(before, after)
    outside = replace(TRIALS, counts=np.where(inside, TRIALS.counts, 99).astype(np.uint8))
    before, after = (all_features(trials, checkpoint, "region:CA1", at) for trials in (TRIALS, outside))
    np.testing.assert_array_equal(before, after)
    assert before.shape[2] == inside.sum() == all_features(TRIALS, checkpoint, "reconstruction:CA1", at).shape[2]


def test_bins_without_data_hold_no_feature():
    valid = np.ones_like(TRIALS.valid)
    valid[::2, 3] = False
    garbage = np.where(valid[..., None], TRIALS.counts, 99).astype(np.uint8)
    found = [
        all_features(replace(TRIALS, valid=valid, counts=c), None, "counts", np.arange(9))
        for c in (garbage, TRIALS.counts)
    ]
    np.testing.assert_array_equal(*found)


def poisoned(trials, kept):
    """All test trials but `kept` hold impossible counts and behavior."""
    bad = (trials.split == "test") & (np.arange(trials.n_trials) != kept)
    behaviors = {}
    for name, values in trials.behaviors.items():
        behaviors[name] = np.where(
            bad.reshape(-1, *[1] * (values.ndim - 1)), np.nan if name == "reward" else 1e6, values
        )
    counts = np.where(bad[:, None, None], 255, trials.counts).astype(np.uint8)
    return replace(trials, counts=counts, behaviors=behaviors)


@pytest.mark.parametrize("protocol", ["nested", "mtm"])
@pytest.mark.parametrize("source", ["counts", "rates", "latents"])
def test_poisoned_test_trials_change_no_decoder_scaler_or_penalty(source, protocol, tmp_path):
    first = TEST[1]  # neither no-go nor missing
    checkpoint = a_checkpoint(TRIALS, tmp_path)
    for name in ("choice", "wheel_speed"):
        plan = Plan((name,), (source,), protocol, n_nulls=0)
        found = []
        for trials in (TRIALS, poisoned(TRIALS, first)):
            known = replace(checkpoint, manifest={"data": [identity(trials)], "hash": "abc"})
            newest = [step.newest for step in decode(known, trials, (), plan) if step.newest][-1]
            place = int(np.flatnonzero(newest.trials == first)[0])
            settings = (newest.decoded.settings, newest.decoded.n_train)
            found.append((settings, newest.decoded.predicted[place]))
        assert found[0][0] == found[1][0]
        np.testing.assert_array_equal(found[0][1], found[1][1])


def test_scaling_comes_from_training_trials_alone():
    train, test, _ = many_features()
    clean, dirty = row_space(train, test), row_space(train, test * np.nan)
    for name in ("train", "mean", "scale"):
        np.testing.assert_array_equal(getattr(clean, name), getattr(dirty, name))


def test_validation_trials_are_training_trials_only_if_the_test_trials_are_scored():
    run = {
        split: list(decode(None, TRIALS, (), Plan(("choice",), n_nulls=0, split=split)))[-1]
        for split in ("test", "validation")
    }
    n = {
        name: int(np.isfinite(target_of("choice", TRIALS.behaviors["choice"]).values[TRIALS.split == name]).sum())
        for name in ("train", "validation", "test")
    }
    of_test, of_validation = (run[split].records["choice"]["counts"] for split in run)
    assert (of_test["n_train"], of_test["n_trials"]) == (n["train"] + n["validation"], n["test"])
    assert (of_validation["n_train"], of_validation["n_trials"]) == (n["train"], n["validation"])


# --- the whole --------------------------------------------------------------------------------------------------------


def test_planted_behavior_is_decoded_and_unrelated_behavior_is_at_chance():
    names = ("choice", "reward", "contrast", "wheel_speed")
    records = list(decode(None, TRIALS, (), Plan(names, n_nulls=19)))[-1].records
    assert records["choice"]["counts"]["score"] > 0.9 and not records["choice"]["counts"]["at_null"]
    assert records["wheel_speed"]["counts"]["r2_residual"] > 0.5
    for name in ("contrast", "reward"):
        assert records[name]["counts"]["at_null"]
        assert records[name]["counts"]["auc_ci"][0] < 0.5 < records[name]["counts"]["auc_ci"][1]


def test_shuffled_labels_are_decoded_at_chance():
    rng, decoder = np.random.default_rng(1), nested_on(TRIALS, TRAIN, TEST)
    scores = []
    for _ in range(20):
        decoded = decoder.decode(target_of("choice", rng.permutation(TRIALS.behaviors["choice"])))
        scores.append(BALANCED.point(decoded.truth, decoded.predicted))
    # 99 % of the mean of 20 scores; they share features, but their labels are independent
    for values in np.array(scores).T:
        assert abs(values.mean() - 0.5) < 2.58 * values.std(ddof=1) / np.sqrt(len(values))


def test_a_record_says_all_that_a_reader_needs(tmp_path):
    plan = Plan(("choice", "wheel_speed"), ("counts", "rates", "reconstruction:CA1"), n_nulls=3)
    steps = list(decode(a_checkpoint(TRIALS, tmp_path), TRIALS, (), plan))
    records = json.loads(json.dumps(steps[-1].records, allow_nan=False))
    assert {behavior: list(sources) for behavior, sources in records.items()} == dict.fromkeys(
        plan.behaviors, list(plan.sources)
    )
    choice, wheel = records["choice"]["rates"], records["wheel_speed"]["rates"]
    shared = {"score", "metric", "ci", "null", "null_95", "p", "at_null", "n_trials", "n_train", "n_left_out", "chance"}
    shared |= {
        "features",
        "decoder",
        "null_kind",
        "n_nulls",
        "against_counts",
        "caveat",
        "protocol",
        "session",
        "split",
    }
    assert shared | {"auc"} <= choice.keys() and shared | {"r2_residual"} <= wheel.keys()
    assert choice["n_left_out"] == {"no-go": 8} and wheel["n_left_out"] == {"missing values": 1}
    assert "all of CA1 hidden" in records["choice"]["reconstruction:CA1"]["features"]
    assert records["choice"]["counts"]["model"] is None and choice["model"] == "abc"


def test_the_difference_to_counts_is_that_of_the_scores(tmp_path):
    records = list(decode(a_checkpoint(TRIALS, tmp_path), TRIALS, (), Plan(("choice",), n_nulls=0)))[-1].records[
        "choice"
    ]
    assert records["counts"]["against_counts"] is None
    for name in ("rates", "latents"):
        versus = records[name]["against_counts"]
        assert versus["difference"] == pytest.approx(records[name]["score"] - records["counts"]["score"])
        assert versus["ci"][0] <= versus["difference"] <= versus["ci"][1]


def test_progress_rises_to_one_and_what_is_there_when_cancelled_is_usable():
    steps = decode(None, TRIALS, (), Plan(n_nulls=2))
    seen = [next(steps) for _ in range(12)]
    steps.close()
    shares = [step.share for step in decode(None, TRIALS, (), Plan(n_nulls=2))]
    assert shares == sorted(shares) and shares[-1] == 1.0 and all(0 <= share <= 1 for share in shares)
    assert [step.share for step in seen] == shares[:12]
    assert seen[-1].records["choice"]["counts"]["n_nulls"] == 2


def test_the_same_seed_gives_the_same_nulls():
    first, again, other = (
        list(decode(None, TRIALS, (), Plan(("choice",), n_nulls=5, seed=s)))[-1].records for s in (0, 0, 1)
    )
    assert first == again != other


def test_default_sources_ask_a_model_only_if_it_knows_the_session(tmp_path):
    checkpoint = a_checkpoint(TRIALS, tmp_path)
    assert default_sources(checkpoint, TRIALS) == ("counts", "rates", "latents")
    assert default_sources(checkpoint, replace(TRIALS, session_id="b")) == default_sources(None, TRIALS) == ("counts",)
    assert decodable_regions(TRIALS) == ("CA1", "LP", "VISp")


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (Plan(("lick",)), "does not hold lick; it holds choice"),
        (Plan(("choice",), ("region:XX",)), "with a region of CA1, LP, VISp"),
        (Plan(("choice",), ("reconstruction",)), "nothing can be decoded from 'reconstruction'"),
        (Plan(("choice",), ("rates",)), "needs a model that was trained on session a"),
        (Plan(("choice",), split="train"), "score them on test or validation"),
        (Plan(("choice",), protocol="best"), "choose one of nested, mtm"),
    ],
)
def test_what_cannot_be_decoded_is_refused_in_words(plan, words):
    with pytest.raises(ValueError, match=words):
        list(decode(None, TRIALS, (), plan))


def test_a_model_of_another_split_is_refused(tmp_path):
    other = replace(TRIALS, split=np.roll(TRIALS.split, 1))
    with pytest.raises(ValueError, match="not the one"):
        list(decode(a_checkpoint(TRIALS, tmp_path), other, (), Plan(("choice",))))


def test_the_command_writes_a_table_and_its_records(untrained_model, tmp_path, capsys):
    out = tmp_path / "new" / "decode.json"
    arguments = ["decode", str(untrained_model), "--behaviors", "choice", "pupil", "--nulls", "1", "--json", str(out)]
    assert main([*arguments, "--sources", "counts", "region:CA1"]) == 0
    records = json.loads(out.read_text())
    assert {name: set(sources) for name, sources in records.items()} == dict.fromkeys(
        ("choice", "pupil"), {"counts", "region:CA1"}
    )
    assert records["choice"]["counts"]["null_kind"] == "sessions drawn from a model of the task"
    printed = capsys.readouterr().out
    assert (
        "balanced accuracy" in printed
        and "no-go" in printed
        and f"{records['pupil']['counts']['score']:.3f}" in printed
    )
    assert main([*arguments, "--split", "train"]) == 1


def test_a_test_trial_does_not_decide_which_bins_of_a_stream_count():
    values = np.random.default_rng(0).normal(size=(40, 10))
    values[:, 9] = np.nan
    values[7, 9] = 0.3
    train = np.flatnonzero(np.arange(40) != 7)
    target = target_of("wheel_speed", values, train)
    assert target.values.shape == (40, 9) and target.known.all()

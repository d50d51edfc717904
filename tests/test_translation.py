"""Baselines between spikes and behavior, and the scores of translations."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score
from sklearn.preprocessing import StandardScaler
from small import small_trials

from mtm_core.evaluation.decoding.measures import mean_recall, r2
from mtm_core.evaluation.decoding.reduced_rank import Settings
from mtm_core.evaluation.metrics import bits_per_spike
from mtm_core.evaluation.reduced_rank import Size
from mtm_core.evaluation.translation import decoders
from mtm_core.evaluation.translation.decoders import DECODERS, decode_from_spikes
from mtm_core.evaluation.translation.encoders import ABOUT, ENCODERS, PerBin, WholeTrial, encode
from mtm_core.evaluation.translation.features import (
    Scaling,
    average_trace,
    chosen_behaviors,
    only,
    per_bin,
    raised_cosines,
    shifted,
    whole_trial,
)
from mtm_core.evaluation.translation.scores import decoding_score, encoding_score
from mtm_core.evaluation.translation.trace_lines import Around
from mtm_core.modality import BEHAVIORS, class_of
from mtm_core.session import Trials

K, T, N = 150, 10, 8
NAMES = ("choice", "block", "contrast", "wheel_speed", "pupil")
POISONS = ("NaN", "1e6", "scramble")


@pytest.fixture(autouse=True)
def few_ranks(monkeypatch):
    monkeypatch.setattr(decoders, "RANKS", (2,))
    monkeypatch.setattr(decoders, "Settings", lambda rank: Settings(rank, learning_rate=0.02, most_epochs=10))


@cache
def session() -> Trials:
    """Neurons 0 to 3 follow the wheel, 4 the choice, 5 the block, 6 the contrast; 7 follows nothing."""
    rng = np.random.default_rng(0)
    wheel = np.abs(np.cumsum(rng.normal(size=(K, T)), axis=1))
    choice = rng.choice([-1.0, 1.0, 0.0], K, p=[0.45, 0.45, 0.1])
    block = rng.choice([0.2, 0.5, 0.8], K)
    contrast = rng.choice([-1.0, -0.25, 0.0, 0.25, 1.0], K)
    pupil = 30 + rng.normal(size=(K, 1)) + 0.1 * rng.normal(size=(K, T))
    rates = np.full((K, T, N), 1.5)
    rates[:, :, :4] = 0.4 + 0.8 * wheel[:, :, None]
    rates[:, :, 4] += choice[:, None]
    rates[:, :, 5] += 4 * (block[:, None] - 0.5)
    rates[:, :, 6] += np.sign(contrast)[:, None]
    choice[4], wheel[3, 2:5], pupil[7] = np.nan, np.nan, np.nan
    return small_trials(
        shape=(K, T, N),
        counts=rng.poisson(rates).astype(np.uint8),
        true_rates=rates.astype(np.float32),
        behaviors={"choice": choice, "block": block, "contrast": contrast, "wheel_speed": wheel, "pupil": pupil},
        bin_size=0.05,
        window=(0.0, 0.5),
    )


def with_poison(trials: Trials, poison: str, counts: bool, behaviors: tuple[str, ...]) -> Trials:
    """The test trials' counts and these behaviors replaced."""
    test = trials.split == "test"
    order = np.arange(trials.n_trials)
    order[test] = np.random.default_rng(1).permutation(order[test])

    def dirty(values):
        if poison == "scramble":
            return values[order]
        values = values.astype(np.float64)
        values[test] = float(poison)
        return values

    return replace(
        trials,
        counts=dirty(trials.counts) if counts else trials.counts,
        behaviors={name: dirty(x) if name in behaviors else x for name, x in trials.behaviors.items()},
    )


# --- features ---------------------------------------------------------------------------------------------------------


def test_an_unknown_value_is_the_training_mean():
    train = session().select("train")
    scaling = Scaling.of(train)
    unknown = replace(train, behaviors={name: np.full_like(x, np.nan) for name, x in train.behaviors.items()})
    assert (per_bin(scaling, unknown) == 0).all() and (whole_trial(scaling, unknown) == 0).all()
    known = np.isin(train.behaviors["choice"], (-1, 1))
    np.testing.assert_allclose(scaling.statics(train)[known][:, :2].mean(axis=0), 0, atol=1e-12)
    assert (scaling.statics(train)[~known][:, :2] == 0).all() and (~known).sum() > 2


def test_a_trace_has_unit_variance_around_its_average_in_training_trials():
    train = session().select("train")
    traces = Scaling.of(train).traces(train)
    known = np.isfinite(train.behaviors["wheel_speed"])
    assert np.std(traces[:, :, 0][known]) == pytest.approx(1)
    np.testing.assert_allclose(traces[:, :, 0].sum(axis=0), 0, atol=1e-9)
    assert (traces[:, :, 0][~known] == 0).all() and (~known).any()


def test_the_average_trace_skips_what_is_unknown():
    values = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]])
    np.testing.assert_array_equal(average_trace(values), [2.0, 5.0, 3.0])


def test_raised_cosines_sum_to_one_and_lie_over_the_window():
    bumps = raised_cosines(40, 0.05)
    np.testing.assert_allclose(bumps.sum(axis=1), 1)
    assert bumps.shape == (40, 11) and (bumps >= 0).all()
    assert list(bumps.argmax(axis=0)) == sorted(bumps.argmax(axis=0))


def test_lags_reach_the_bins_around_and_end_at_the_window():
    traces = np.arange(1.0, 9.0).reshape(1, 4, 2)
    found = shifted(traces, 1)
    np.testing.assert_array_equal(found[0, 0], [0, 1, 3, 0, 2, 4])
    np.testing.assert_array_equal(found[0, 3], [5, 7, 0, 6, 8, 0])


def test_behaviors_are_chosen_by_name_in_the_order_of_the_table():
    assert chosen_behaviors(session()) == NAMES
    assert chosen_behaviors(session(), ("pupil", "choice")) == ("choice", "pupil")
    with pytest.raises(ValueError, match="does not have reward.*choice"):
        chosen_behaviors(session(), ("reward",))
    with pytest.raises(ValueError, match="at least one"):
        chosen_behaviors(session(), ())
    assert np.isnan(only(session(), ("choice",)).behaviors["choice"]).sum() > 2  # no-go


# --- encoders ---------------------------------------------------------------------------------------------------------


def test_ridge_weights_are_those_of_scikit_learn():
    trials = replace(session(), valid=np.arange(T)[None] < np.where(np.arange(K) % 3, T, T - 2)[:, None])
    fit, train = PerBin(trials), trials.select("train")
    x, y = per_bin(fit.scaling, train)[train.valid], (train.counts - fit.psth)[train.valid]
    expected = SklearnRidge(alpha=30.0, fit_intercept=False).fit(x, y)
    np.testing.assert_allclose(fit.weights(Size(30.0, None)), expected.coef_.T, atol=1e-8)


def test_the_line_of_the_whole_trial_is_that_of_scikit_learn():
    trials = session()
    fit, train, test = WholeTrial(trials), trials.select("train"), trials.select("test")
    y = (train.counts - fit.psth).reshape(train.n_trials, -1)
    expected = SklearnRidge(alpha=10.0).fit(whole_trial(fit.scaling, train), y).predict(whole_trial(fit.scaling, test))
    found = fit.line(test, Size(10.0, None)) - fit.psth
    np.testing.assert_allclose(found.reshape(len(expected), -1), expected, atol=1e-8)


@pytest.mark.parametrize("rank", [1, 3])
def test_reduced_rank_weights_are_the_truncated_singular_value_decomposition(rank):
    """Of the ridge predictions, with the penalty as further rows of the inputs (Izenman 1975)."""
    fit = PerBin(session())
    full = fit.weights(Size(30.0, None)) / fit.scale
    root = np.linalg.cholesky(fit.gram + 30.0 * np.eye(len(fit.gram))).T
    _, _, directions = np.linalg.svd(root @ full, full_matrices=False)
    expected = full @ directions[:rank].T @ directions[:rank]
    found = fit.weights(Size(30.0, rank)) / fit.scale
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.linalg.matrix_rank(found) == rank


@cache
def encoded(method: str, behaviors: tuple[str, ...] | None = None) -> np.ndarray:
    return encode(session(), method, behaviors)


@pytest.mark.parametrize("method", ["linear", "ridge", "reduced_rank"])
def test_counts_that_follow_the_wheel_are_encoded_far_better_than_by_a_psth(method):
    psth, score, ceiling = (
        encoding_score(rates, session()).summary.pooled
        for rates in (encoded("psth"), encoded(method), session().select("test").true_rates)
    )
    assert psth + 0.15 < score < ceiling


def test_a_class_is_encoded_by_all_but_the_psth():
    trials, part = session(), session().select("test")
    for method, better in {"psth": False, "condition_psth": True, "linear": True, "ridge": True}.items():
        bits = bits_per_spike(encode(trials, method, ("choice",)), part.counts)
        assert (bits[4] > 0.1) == better, method
        assert bits[7] > -0.05, method


def test_one_behavior_alone_tells_less_than_all():
    of_all = encoding_score(encoded("ridge"), session()).summary.pooled
    alone = [encoding_score(encoded("ridge", (name,)), session()).summary.pooled for name in ("choice", "wheel_speed")]
    assert alone[0] < alone[1] < of_all


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("method", ENCODERS)
def test_poisoned_spikes_and_unread_behaviors_of_test_trials_change_no_encoding(method, poison):
    dirty = with_poison(session(), poison, counts=True, behaviors=("pupil", "block"))
    names = ("choice", "contrast", "wheel_speed")
    found = encode(dirty, method, names)
    assert np.isfinite(found).all() and np.array_equal(found, encoded(method, names))


@pytest.mark.parametrize("method", ["linear", "ridge", "reduced_rank"])
def test_behaviors_of_other_test_trials_change_no_encoding(method):
    """So neither scaling nor tuning has seen them."""
    trials = session()
    first = np.flatnonzero(trials.split == "test")[0]
    behaviors = {name: x.copy() for name, x in trials.behaviors.items()}
    for values in behaviors.values():
        values[(trials.split == "test") & (np.arange(K) != first)] = 1e6
    found = encode(replace(trials, behaviors=behaviors), method)[0]
    np.testing.assert_array_equal(found, encoded(method)[0])


@pytest.mark.parametrize("method", ENCODERS)
def test_a_trial_without_any_known_behavior_is_still_predicted(method):
    trials = session()
    first = np.flatnonzero(trials.split == "test")[0]
    behaviors = {name: x.copy() for name, x in trials.behaviors.items()}
    for values in behaviors.values():
        values[first] = np.nan
    rates = encode(replace(trials, behaviors=behaviors), method)
    assert np.isfinite(rates).all() and (rates > 0).all()
    np.testing.assert_array_equal(rates[1:], encoded(method)[1:])


def test_every_encoder_is_described_and_an_unknown_one_refused():
    assert list(ABOUT) == list(ENCODERS)
    with pytest.raises(ValueError, match="unknown method 'mlp'"):
        encode(session(), "mlp")


# --- decoders ---------------------------------------------------------------------------------------------------------


@cache
def decoded(behavior: str, method: str) -> np.ndarray:
    return decode_from_spikes(session(), behavior, method).values


@pytest.mark.parametrize("method", DECODERS)
def test_behaviors_are_recovered_from_spikes(method):
    scores = {name: decoding_score(decoded(name, method), session(), name).measures for name in NAMES}
    assert scores["choice"]["balanced_accuracy"].value > 0.75
    assert scores["block"]["balanced_accuracy"].value > 0.5
    assert scores["contrast"]["balanced_accuracy"].value > 0.5
    assert scores["wheel_speed"]["r2"].value > 0.5 and scores["wheel_speed"]["r2_residual"].value > 0.4
    assert scores["pupil"]["r2_residual"].value < 0.2  # no neuron knows


@pytest.mark.parametrize("method", DECODERS)
def test_probabilities_of_classes_sum_to_one(method):
    found = decoded("block", method)
    assert found.shape == (30, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("method", DECODERS)
def test_a_class_that_no_training_trial_has_gets_probability_zero(method):
    block = session().behaviors["block"].copy()
    block[(block == 0.5) & (session().split == "train")] = 0.8
    found = decode_from_spikes(replace(session(), behaviors={"block": block}), "block", method).values
    assert (found[:, 1] == 0).all() and (found[:, [0, 2]] > 0).all()


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("method", DECODERS)
@pytest.mark.parametrize("behavior", ["choice", "block", "wheel_speed"])
def test_poisoned_behaviors_of_test_trials_change_no_decoding(behavior, method, poison):
    dirty = with_poison(session(), poison, counts=False, behaviors=NAMES)
    np.testing.assert_array_equal(decode_from_spikes(dirty, behavior, method).values, decoded(behavior, method))


@pytest.mark.parametrize("method", DECODERS)
@pytest.mark.parametrize("behavior", ["choice", "wheel_speed"])
def test_spikes_of_other_test_trials_change_no_decoding(behavior, method):
    trials = session()
    first = np.flatnonzero(trials.split == "test")[0]
    counts = trials.counts.copy()
    counts[(trials.split == "test") & (np.arange(K) != first)] = 255
    found = decode_from_spikes(replace(trials, counts=counts), behavior, method).values[0]
    np.testing.assert_array_equal(found, decoded(behavior, method)[0])


def test_the_linear_decoder_of_classes_is_scikit_learns_on_standardized_counts():
    trials, penalty = session(), 100.0
    train, held, test = (trials.select(split) for split in ("train", "validation", "test"))
    labels = class_of(BEHAVIORS["block"], train.behaviors["block"])
    spikes = decoders.Spikes(*(part.counts.astype(float) for part in (train, held, test)), trials.bin_size)
    space = decoders.row_space(decoders.wide(spikes.train, 1), decoders.wide(spikes.asked, 1))
    found = decoders._probabilities(space, decoders.Labels(labels, labels[:0], 3), penalty, None)
    flat = [part.counts.reshape(part.n_trials, -1).astype(float) for part in (train, test)]
    scaler = StandardScaler().fit(flat[0])
    model = LogisticRegression(C=1 / penalty, tol=1e-8, max_iter=5000).fit(scaler.transform(flat[0]), labels)
    np.testing.assert_allclose(found, model.predict_proba(scaler.transform(flat[1])), atol=2e-3)


def test_a_bin_decoded_from_its_own_counts_is_scikit_learns_ridge():
    rng = np.random.default_rng(3)
    counts, values = rng.poisson(2.0, (20, 6, 3)).astype(float), rng.normal(size=(20, 6))
    values[2, 3:], values[5] = np.nan, np.nan
    line, known = Around(counts, values, 1.0), np.isfinite(values)
    x = (line._smooth(counts) - line.mean) / line.scale
    expected = SklearnRidge(alpha=4.0, fit_intercept=False).fit(x[known], values[known]).predict(x.reshape(-1, 3))
    np.testing.assert_allclose(next(line.predictions(counts, [4.0])).ravel(), expected, atol=1e-10)


def test_what_cannot_be_decoded_is_refused():
    with pytest.raises(ValueError, match="unknown method"):
        decode_from_spikes(session(), "choice", "mlp")
    with pytest.raises(ValueError, match="does not have reward"):
        decode_from_spikes(session(), "reward", "linear")


# --- scores -----------------------------------------------------------------------------------------------------------


def test_an_encoding_score_is_bits_per_spike_over_all_valid_bins():
    trials = session()
    valid = np.ones((K, T), dtype=bool)
    valid[trials.split == "test", -1] = False
    trials = replace(trials, valid=valid)
    part, rates = trials.select("test"), encoded("ridge")
    score = encoding_score(rates, trials, predictor={"model": "ridge"})
    expected = bits_per_spike(rates[:, :-1], part.counts[:, :-1])
    np.testing.assert_allclose(score.bits, expected)
    written = score.to_json()
    assert written["task"] == "encoding" and written["protocol"]["model"] == "ridge" and written["pooled_ci"]
    assert written["ceiling"]["kind"] == "true_rates" and len(written["neurons"]) == N
    json.dumps(written, allow_nan=False)


def test_predictions_of_another_shape_or_without_a_number_are_refused(unchecked):
    with pytest.raises(ValueError, match="the test trials need"):
        encoding_score(np.ones((K, T, N)), session())
    with pytest.raises(ValueError, match=r"need \(30, 3\)"):
        decoding_score(np.ones((30, 2)), session(), "block")
    with pytest.raises(ValueError, match="does not hold 'reward'"):
        decoding_score(np.ones((30, 2)), session(), "reward")
    with pytest.raises(ValueError, match="NaN or infinity"):
        decoding_score(np.full((30, T), np.nan), session(), "wheel_speed")
    with pytest.raises(ValueError, match="has no nothing trials"):
        decoding_score(np.ones((30, 2)), session(), "choice", "nothing")


@pytest.mark.parametrize("behavior", ["choice", "contrast"])
def test_decoding_scores_of_classes_are_scikit_learns(behavior):
    part, found = session().select("test"), decoded(behavior, "ridge")
    labels = class_of(BEHAVIORS[behavior], part.behaviors[behavior])
    known = labels >= 0
    score = decoding_score(found, session(), behavior)
    named = found[known].argmax(axis=1)
    assert score.measures["balanced_accuracy"].value == pytest.approx(balanced_accuracy_score(labels[known], named))
    assert score.measures["accuracy"].value == pytest.approx(np.mean(named == labels[known]))
    if behavior == "choice":
        assert score.measures["auc"].value == pytest.approx(roc_auc_score(labels[known], found[known, 1]))
        assert score.n_left_out == {"no-go": int((~known).sum())} and (~known).any()
    else:
        assert score.measures["auc"] == decoding_score(found, session(), behavior).measures["auc"]
        assert score.measures["auc"].value is None and "3 classes" in score.measures["auc"].reason
    low, high = score.measures["balanced_accuracy"].ci
    assert low <= score.measures["balanced_accuracy"].value <= high
    assert behavior == "choice" or low < high  # all choices are decoded right
    assert score.n == known.sum() == sum(score.classes.values())


def test_recall_is_averaged_over_the_classes_that_occur():
    labels, named = np.array([0, 0, 0, 2]), np.array([0, 0, 1, 2])
    assert mean_recall(labels, named, np.ones((1, 4)), np.array([0, 2]))[0] == pytest.approx((2 / 3 + 1) / 2)
    trials = session().select(session().split == "test")
    block = np.resize([0.2, 0.8], trials.n_trials)
    found = np.tile([0.6, 0.3, 0.1], (trials.n_trials, 1))
    score = decoding_score(found, replace(trials, behaviors={"block": block}), "block")
    assert score.measures["balanced_accuracy"].value == 0.5 == score.chance
    assert score.measures["auc"].value == 0.5 and score.constant is None


def test_a_single_class_in_the_test_trials_has_no_balanced_accuracy():
    trials = session()
    choice = np.where(trials.split == "test", 1.0, trials.behaviors["choice"])
    score = decoding_score(decoded("choice", "linear"), replace(trials, behaviors={"choice": choice}), "choice")
    for name in ("balanced_accuracy", "auc"):
        assert score.measures[name].value is None
        assert score.measures[name].reason == "only one class in the test trials"
    assert score.measures["accuracy"].value is not None
    json.dumps(score.to_json(), allow_nan=False)


def test_scores_of_a_trace_are_scikit_learns_over_the_known_entries():
    trials = session()
    test = np.flatnonzero(trials.split == "test")
    wheel = trials.behaviors["wheel_speed"].copy()
    wheel[test[0]], wheel[test[1], :4] = np.nan, np.nan
    valid = np.arange(T)[None] < np.where(np.arange(K) == test[2], 6, T)[:, None]
    trials, found = replace(trials, valid=valid, behaviors={"wheel_speed": wheel}), decoded("wheel_speed", "ridge")
    found = np.concatenate([np.full((1, T), np.nan), found[1:]])  # what is not known is not looked at
    truth, average = wheel[test], average_trace(trials.select("train").behaviors["wheel_speed"])
    known = np.isfinite(truth) & valid[test]
    score = decoding_score(found, trials, "wheel_speed")
    assert score.measures["r2"].value == pytest.approx(r2_score(truth[known], found[known]))
    residual = r2_score((truth - average)[known], (found - average)[known])
    assert score.measures["r2_residual"].value == pytest.approx(residual)
    assert score.n == len(test) - 1 and score.n_left_out == {"missing values": 1}
    json.dumps(score.to_json(), allow_nan=False)


def test_r2_of_resampled_trials_with_gaps_is_that_of_repeated_trials():
    rng = np.random.default_rng(5)
    values, found = rng.normal(30, 1, (4, 6)), rng.normal(30, 1, (4, 6))
    values[1, 2:] = np.nan
    rows = [0, 1, 1, 3]
    known = np.isfinite(values[rows])
    expected = r2_score(values[rows][known], found[rows][known])
    assert r2(values, found, np.array([[1.0, 2.0, 0.0, 1.0]]))[0] == pytest.approx(expected)


def test_a_trace_that_is_unknown_or_never_changes_has_no_score():
    trials, found = session(), decoded("wheel_speed", "ridge")
    test = (trials.split == "test")[:, None]
    for value, reason in ((np.nan, "no known test trial"), (2.0, "it never changes in the test trials")):
        wheel = np.where(test, value, trials.behaviors["wheel_speed"])
        score = decoding_score(found, replace(trials, behaviors={"wheel_speed": wheel}), "wheel_speed")
        assert score.measures["r2"].value is None and score.measures["r2"].reason == reason
        json.dumps(score.to_json(), allow_nan=False)


def test_the_training_trials_average_trace_has_residual_r2_of_at_most_zero():
    average = average_trace(session().select("train").behaviors["wheel_speed"])
    score = decoding_score(np.tile(average, (30, 1)), session(), "wheel_speed")
    assert -0.2 < score.measures["r2_residual"].value <= 0 < score.measures["r2"].value

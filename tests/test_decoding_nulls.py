from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import kstest
from small import small_trials

from mtm_core.data.catalogue import open_session
from mtm_core.data.donors import behaviors_around, donor_ids, donors
from mtm_core.data.splits import interleaved_blocks
from mtm_core.evaluation.decoding import nested
from mtm_core.evaluation.decoding.behaviors import target_of, too_little
from mtm_core.evaluation.decoding.measures import BALANCED
from mtm_core.evaluation.decoding.nested import Decoded, Nested
from mtm_core.evaluation.decoding.nulls import (
    FEWEST_DONORS,
    SMALLEST_SHIFT,
    choose_null,
    of_other_sessions,
    of_shifts,
    shifted,
)
from mtm_core.evaluation.decoding.records import NullScores
from mtm_core.evaluation.decoding.task_model import BLOCK_RANGE, draw_blocks, fit_task, regressors

N_TRIALS = 250


def draws(null, n=50, seed=0):
    return list(null.draws(n, np.random.default_rng(seed)))


# --- shifted trials and other sessions --------------------------------------------------------------------------------


def test_shifted_trials_get_the_values_of_later_or_earlier_trials():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(shifted(values, 1), [2, 3, 4, np.nan])
    np.testing.assert_array_equal(shifted(values, -3), [np.nan, np.nan, np.nan, 1])
    np.testing.assert_array_equal(shifted(values[:, None], 2)[:, 0], [3, 4, np.nan, np.nan])


def test_no_shift_is_small_long_or_used_twice():
    values = np.arange(60.0)
    found = [np.nanmean(drawn - values) for drawn in draws(of_shifts(values), 1000)]
    assert sorted(found) == [s for s in range(-20, 21) if abs(s) >= SMALLEST_SHIFT]


def test_another_session_is_used_once_with_its_first_trials():
    others = [np.full(length, float(length)) for length in (3, 5, 8)]
    found = draws(of_other_sessions(5, others))
    assert sorted(drawn[0] for drawn in found) == [3, 5, 8]
    shortest = next(drawn for drawn in found if drawn[0] == 3)
    np.testing.assert_array_equal(shortest, [3, 3, 3, np.nan, np.nan])
    assert all(len(drawn) == 5 for drawn in found)


def test_the_order_of_trials_survives_in_every_null():
    """A null that shuffles trials has no neighbours that resemble each other."""
    values = np.repeat(np.arange(30.0), 10)
    for null in (of_shifts(values), of_other_sessions(300, [values] * 20)):
        for drawn in draws(null, 5):
            known = drawn[np.isfinite(drawn)]
            assert np.mean(np.diff(known) == 0) > 0.85


# --- which null -------------------------------------------------------------------------------------------------------


def task_trials(rng, weights=(-4.0, -2.0, 0.5, 0.6), no_go=(), n_trials=N_TRIALS):
    """Behavior of a mouse that follows the task model with these weights."""
    block = draw_blocks(n_trials, 90, rng)
    contrast = np.where(rng.random(n_trials) < block, -1, 1) * rng.choice([0.0, 0.0625, 0.25, 1.0], n_trials)
    choice = np.zeros(n_trials)
    for k in range(n_trials):
        before = choice[k - 1] if k else 0.0
        evidence = regressors(contrast[k : k + 1], block[k : k + 1], np.array([before])) @ np.array(weights)
        choice[k] = 1.0 if evidence[0] > rng.logistic() else -1.0
        if k in no_go:
            choice[k] = 0.0
    reward = (choice == -np.sign(contrast)).astype(float)
    behaviors = {"choice": choice, "block": block, "contrast": contrast, "reward": reward}
    trials = small_trials(shape=(n_trials, 2, 3))
    behaviors = {name: values.astype(np.float32) for name, values in behaviors.items()}
    return replace(trials, behaviors=behaviors, split=interleaved_blocks(np.arange(n_trials)))


def test_the_null_is_the_best_one_there_is():
    trials = task_trials(np.random.default_rng(0))
    trials.behaviors["pupil"] = np.zeros((N_TRIALS, 2), dtype=np.float32)
    training = trials.split != "test"
    many = [dict(trials.behaviors)] * FEWEST_DONORS

    def kind(name, others=(), trials=trials):
        return choose_null(name, trials, training, others).kind

    assert kind("choice", many) == "behavior of 19 other sessions"
    assert kind("choice", many[1:]) == kind("choice") == "sessions drawn from a model of the task"
    assert kind("pupil", many) == "behavior of 19 other sessions"
    assert kind("pupil").startswith("true behavior shifted by 5 to 83")
    assert kind("pupil", [{"pupil": np.zeros((300, 9))}] * 30).startswith("true behavior")  # other bins
    no_block = replace(trials, behaviors={k: v for k, v in trials.behaviors.items() if k != "block"})
    assert kind("choice", trials=no_block).startswith("true behavior")


# --- drawn sessions ---------------------------------------------------------------------------------------------------


def test_drawn_blocks_are_those_of_the_task():
    rng = np.random.default_rng(0)
    lengths, sides = [], []
    for _ in range(200):
        blocks = draw_blocks(400, 90, rng)
        assert np.all(blocks[:90] == 0.5) and set(blocks[90:]) <= {0.2, 0.8}
        starts = np.flatnonzero(np.diff(blocks)) + 1
        lengths += np.diff(starts).tolist()
        sides.append(blocks[90])
    assert min(lengths) >= BLOCK_RANGE[0] and max(lengths) <= BLOCK_RANGE[1]
    # Mean of an exponential of mean 60 within 20..100, by integration
    grid = np.arange(20, 101)
    weight = np.exp(-grid / 60)
    # long blocks are cut off by the end of the session more often, hence the tolerance
    assert np.mean(lengths) == pytest.approx((grid * weight).sum() / weight.sum(), abs=3)
    assert 0.35 < np.mean(np.array(sides) == 0.2) < 0.65


def test_the_task_model_finds_the_weights_of_a_planted_mouse():
    planted = np.array([-4.0, -2.0, 0.5, 0.6])
    trials = task_trials(np.random.default_rng(1), planted, n_trials=6000)
    model = fit_task(trials, np.ones(6000, dtype=bool))
    at = regressors(np.array([-0.25, 0.0, 0.0625]), np.array([0.2, 0.8, 0.5]), np.array([1.0, -1.0, 0.0]))
    np.testing.assert_allclose(at @ model.weights + model.bias, at @ planted, atol=0.25)


def test_a_drawn_session_keeps_no_go_trials_and_rewards_right_answers():
    no_go = set(range(40, 60)) | {3}
    trials = task_trials(np.random.default_rng(2), no_go=no_go)
    trials.behaviors["reward"][45] = 1.0  # whatever happened there
    drawn = fit_task(trials, trials.split != "test").draw(np.random.default_rng(0))
    assert set(np.flatnonzero(drawn["choice"] == 0)) == no_go
    assert drawn["reward"][45] == 1.0 and drawn["reward"][46] == 0.0
    seen = (drawn["contrast"] != 0) & (drawn["choice"] != 0)
    np.testing.assert_array_equal(drawn["reward"][seen], drawn["choice"][seen] == -np.sign(drawn["contrast"][seen]))
    easy = np.abs(drawn["contrast"]) == 1
    assert drawn["reward"][easy & seen].mean() > 0.9
    assert set(np.abs(drawn["contrast"])) <= set(np.abs(trials.behaviors["contrast"]))


def test_drawn_sessions_differ_and_share_nothing_with_the_true_one():
    trials = task_trials(np.random.default_rng(3))
    model, rng = fit_task(trials, trials.split != "test"), np.random.default_rng(0)
    agreement = [np.mean(model.draw(rng)["contrast"] == trials.behaviors["contrast"]) for _ in range(50)]
    # by chance: the same strength in a quarter of the trials; then zero, or the same side half of the time
    assert np.mean(agreement) == pytest.approx(0.25 * (0.25 + 0.75 * 0.5), abs=0.02)
    assert np.std(agreement) > 0


def test_a_task_model_reads_no_test_trial():
    trials = task_trials(np.random.default_rng(4))
    test = trials.split == "test"
    wrong = {name: np.where(test, np.float32(1e6), values) for name, values in trials.behaviors.items()}
    wrong["choice"] = np.where(test, -trials.behaviors["choice"], trials.behaviors["choice"])
    clean, dirty = (fit_task(one, ~test) for one in (trials, replace(trials, behaviors=wrong)))
    np.testing.assert_array_equal(clean.weights, dirty.weights)
    np.testing.assert_array_equal(clean.strengths, dirty.strengths)
    assert clean.bias == dirty.bias and clean.n_unbiased == dirty.n_unbiased


# --- p ----------------------------------------------------------------------------------------------------------------


def a_result(n_right, n=20):
    labels = np.resize([0.0, 1.0], n)
    return Decoded(labels, np.where(np.arange(n) < n_right, labels, 1 - labels), BALANCED, {}, 100)


def test_p_counts_the_nulls_that_score_as_high():
    scores = NullScores("", a_result(16))
    assert scores.to_json()["p"] is None and scores.to_json()["at_null"] is None
    for n_right in (10, 16, 18, 12):
        scores = scores.with_one(a_result(n_right))
    found = scores.with_one(None).to_json()
    assert found["p"] == (1 + 2) / (1 + 4) and found["at_null"]
    assert found["null"] == pytest.approx(np.mean([10, 16, 18, 12]) / 20)
    assert (found["n_nulls"], found["n_nulls_unusable"]) == (4, 1)
    best = NullScores("", a_result(20))
    for _ in range(50):
        best = best.with_one(a_result(10))
    assert best.to_json()["p"] == 1 / 51 and not best.to_json()["at_null"]


def drift(rng, n_trials, n_features, time_constant):
    """Slow independent series of variance one."""
    decay = np.exp(-1 / time_constant)
    noise = rng.normal(size=(n_trials + 300, n_features))
    return lfilter([np.sqrt(1 - decay**2)], [1, -decay], noise, axis=0)[300:]


@pytest.fixture
def one_penalty(monkeypatch):
    """Whatever the penalty, the null must be right; one without a search is enough, and quicker."""
    monkeypatch.setattr(nested, "N_FOLDS", 1)
    monkeypatch.setattr(nested, "LOGISTIC_PENALTIES", (0.1,))
    monkeypatch.setattr(nested, "RIDGE_PENALTIES", (1.0,))


def drifting_decoder(rng, split):
    """A decoder from neurons that drift and know nothing of any behavior."""
    values = drift(rng, len(split), 8, 60) + 0.5 * rng.normal(size=(len(split), 8))
    train, test = np.flatnonzero(split != "test"), np.flatnonzero(split == "test")
    steps = Nested.on(values[:, None].astype(np.float32), 0.1, train, test)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def p_of(decoder, name, truth, nulls):
    scores = NullScores("", decoder.decode(target_of(name, truth)))
    for values in nulls:
        target = target_of(name, values)
        scores = scores.with_one(None if too_little(target, decoder.train, decoder.test) else decoder.decode(target))
    return scores.to_json()["p"]


def uniform(p, n_nulls, rng):
    """p of the Kolmogorov-Smirnov test; ties are broken at random, as p has n_nulls + 1 values only."""
    return kstest(np.array(p) - rng.uniform(0, 1 / (n_nulls + 1), len(p)), "uniform").pvalue


@pytest.mark.parametrize("name", ["block", "choice"])
def test_drawn_sessions_give_uniform_p_where_shuffled_trials_find_what_is_not_there(name, one_penalty):
    """Harris 2020: neurons that drift and behavior that is slow go along with each other by chance."""
    rng, drawn, shuffled, n_nulls = np.random.default_rng(0), [], [], 19
    for _ in range(40):
        # A mouse that goes by the block and by what it chose before: its choices come in runs.
        trials = task_trials(rng, weights=(-0.3, -0.3, 1.2, 1.5))
        truth, training = trials.behaviors[name], trials.split != "test"
        decoder = drifting_decoder(rng, trials.split)
        drawn.append(p_of(decoder, name, truth, choose_null(name, trials, training, ()).draws(n_nulls, rng)))
        shuffled.append(p_of(decoder, name, truth, (rng.permutation(truth) for _ in range(n_nulls))))
    assert uniform(drawn, n_nulls, rng) > 0.01
    assert np.mean(np.array(drawn) <= 0.05) <= 0.16  # 40 sessions: 99 % of a level of .05
    assert np.mean(np.array(shuffled) <= 0.05) > 0.2


def test_shifted_trials_hold_the_level_where_shuffled_trials_do_not(one_penalty):
    rng, moved, shuffled, n_nulls = np.random.default_rng(0), [], [], 19
    split = interleaved_blocks(np.arange(N_TRIALS))
    for _ in range(60):
        decoder, truth = drifting_decoder(rng, split), drift(rng, N_TRIALS, 3, 30)
        moved.append(p_of(decoder, "pupil", truth, of_shifts(truth).draws(n_nulls, rng)))
        shuffled.append(p_of(decoder, "pupil", truth, (rng.permutation(truth) for _ in range(n_nulls))))
    assert np.mean(np.array(moved) <= 0.05) <= 0.15
    assert np.mean(np.array(shuffled) <= 0.05) > 0.4


# --- behaviors of other sessions --------------------------------------------------------------------------------------


def test_behavior_of_another_session_is_cut_as_its_own_trials_would_be():
    mine, other = open_session("simulated-1").align(), open_session("simulated-2")
    found, own = behaviors_around(other, mine), other.align().behaviors
    assert found.keys() == own.keys()
    for name in own:
        np.testing.assert_array_equal(found[name], own[name])


def test_simulated_sessions_are_donors_for_each_other_only():
    assert donor_ids("simulated-2") == ("simulated-1", "simulated-3", "simulated-4")
    assert len(list(donors(open_session("simulated-2").align()))) == 3


def test_the_same_recording_under_another_id_is_no_donor(recordings_dir):
    twins = "b0cda810-3512-4d33-b5b8-4675923e3c46", "b2d90972-3d97-4f11-9bf5-cb879f990225"
    for own in twins:
        found = donor_ids(own, recordings_dir)
        assert not set(twins) & set(found) and len(found) == 14
        assert not any(each.startswith("simulated") for each in found)

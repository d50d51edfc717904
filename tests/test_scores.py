from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest
from small import small_model, small_trials

from mtm_core.checkpoint import Checkpoint
from mtm_core.evaluation.answers import BLOCK, STEP, answers, blocks
from mtm_core.evaluation.bootstrap import interval, resamples
from mtm_core.evaluation.compare import NotComparable, compare
from mtm_core.evaluation.metrics import LOG_2, SpikeSums, bits_per_spike
from mtm_core.evaluation.questions import GROUP, TASKS, Asking, exclusion, groups, questions
from mtm_core.evaluation.score import NOT_MEASURABLE, Neurons, Score
from mtm_core.evaluation.session_scores import MODEL, Plan, score_session
from mtm_core.evaluation.tasks import grouped_difference, score_held_out, score_task
from mtm_core.predict import predict
from mtm_core.session import identity

FULL = Asking(bf16=False)
TRIALS = small_trials(shape=(400, 12, 50))  # 80 test trials: several steps; 50 neurons: several blocks
TEST = TRIALS.select("test")
MODEL_A, MODEL_B = small_model(TRIALS), small_model(TRIALS, seed=5)


def checkpoint_of(model, *sessions, digest="0"):
    return Checkpoint(model, {"hash": digest * 64, "data": [identity(each) for each in sessions]}, Path("some/model"))


A, B = checkpoint_of(MODEL_A, TRIALS), checkpoint_of(MODEL_B, TRIALS, digest="1")


def last(steps):
    *_, final = steps
    return final


def a_score(task="forward_prediction", model=A, trials=TRIALS, asking=FULL):
    return last(score_task(model, trials, task, asking)).score


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("grouped", [False, True])
def test_answers_with_shared_work_equal_plain_predictions(task, grouped):
    valid = np.random.default_rng(0).random(TEST.valid.shape) < 0.9
    part = replace(TEST, valid=valid)
    duplicates = np.zeros((50, 50), dtype=bool)
    duplicates[3, 40] = duplicates[40, 3] = True
    asked = list(questions(task, part, Asking(grouped=grouped, duplicates=duplicates)))
    found = list(answers(MODEL_A, part, asked, bf16=False))
    assert sum(answer.last for answer in found) == len(asked) and part.n_trials > STEP["cpu"]
    for question in asked[:: max(1, len(asked) // 7)]:
        rates = np.concatenate([answer.rates for answer in found if answer.question is question])
        np.testing.assert_allclose(rates, predict(MODEL_A, part, question.mask, question.neurons), rtol=2e-5)


def test_blocks_keep_the_questions_and_share_most_of_what_they_see():
    asked = list(questions("co_smoothing", TEST))
    found = list(blocks(asked))
    assert [question for block in found for question in block] == asked
    assert [len(block) for block in found] == [BLOCK + 1, 50 - BLOCK - 1]


@pytest.mark.parametrize("poison", ["nan", "1e6", "scramble"])
@pytest.mark.parametrize("grouped", [False, True])
def test_what_a_question_hides_leaves_no_trace_in_its_answer(poison, grouped):
    part = replace(TEST, counts=TEST.counts.astype(np.float32))
    for task in TASKS:
        asked = list(questions(task, part, Asking(grouped=grouped)))
        for question in asked[:: max(1, len(asked) // 3)]:
            poisoned = part.counts.copy()
            hidden = question.mask.hidden.numpy()
            noise = np.random.default_rng(1).integers(0, 9, hidden.sum())
            poisoned[hidden] = {"nan": np.nan, "1e6": 1e6, "scramble": noise}[poison]
            for bf16 in (False, True):
                clean, changed = (
                    np.concatenate([a.rates for a in answers(MODEL_A, replace(part, counts=c), [question], bf16)])
                    for c in (part.counts, poisoned)
                )
                assert np.isfinite(clean).all()
                np.testing.assert_array_equal(clean, changed)


def test_a_question_reads_nothing_of_its_neighbors_in_a_block():
    asked = list(questions("co_smoothing", TEST))[:6]
    alone = np.concatenate([a.rates for a in answers(MODEL_A, TEST, [asked[2]], bf16=False)])
    counts = TEST.counts.copy()
    counts[:, :, asked[2].neurons] = 250
    among = answers(MODEL_A, replace(TEST, counts=counts), asked, bf16=False)
    np.testing.assert_allclose(np.concatenate([a.rates for a in among if a.question is asked[2]]), alone, rtol=2e-5)


# --- ways of asking ---------------------------------------------------------------------------------------------------


def test_groups_ask_every_neuron_once_and_spread_over_regions():
    regions = np.repeat(["CA1", "LP", "VISp", "root"], [160, 160, 160, 20])
    found = groups("co_smoothing", regions, grouped=True)
    assert sorted(np.concatenate(found)) == list(range(500))
    assert max(len(group) for group in found) == GROUP
    for group in found:
        _, n = np.unique(regions[group], return_counts=True)
        assert n.max() <= 6  # of 16, a third of them in each of three regions
    assert [len(group) for group in groups("co_smoothing", regions[:30], grouped=True)] == [1] * 30
    inside = groups("intra_region", regions, grouped=True)
    assert all(len(set(regions[group])) == 1 and len(group) <= 8 for group in inside)


def test_likely_duplicates_of_a_target_are_hidden_but_not_scored():
    duplicates = np.zeros((50, 50), dtype=bool)
    duplicates[3, 9] = duplicates[9, 3] = True
    asked = {int(q.neurons[0]): q for q in questions("co_smoothing", TEST, Asking(duplicates=duplicates))}
    assert np.flatnonzero(asked[3].hidden).tolist() == [3, 9] and np.flatnonzero(asked[4].hidden).tolist() == [4]
    assert np.flatnonzero(asked[3].mask.target[0, 0]).tolist() == [3]
    guarded = a_score("co_smoothing", asking=Asking(duplicates=duplicates, bf16=False))
    free = a_score("co_smoothing")
    changed = [n for n in range(50) if guarded.bits[n] != pytest.approx(free.bits[n], abs=1e-6)]
    assert changed == [3, 9] and guarded.protocol["duplicates_hidden"] is True
    with pytest.raises(NotComparable, match="duplicates_hidden: True and False"):
        compare(guarded, free)


def test_why_a_neuron_is_no_target():
    assert exclusion("intra_region", "CA1", False) == "the only neuron of its region"
    assert exclusion("inter_region", "root", False) == "its region is not known"
    assert exclusion("co_smoothing", "root", True) == ""


def test_the_grouped_difference_is_that_of_the_scores():
    asking = Asking(grouped=True, bf16=False)
    found = grouped_difference(A, TRIALS, asking)
    grouped, exact = a_score("co_smoothing", asking=asking), a_score("co_smoothing")
    chosen = np.unique(np.linspace(0, 49, 24).round().astype(int))
    difference = (grouped.bits - exact.bits)[chosen]
    assert found.n == 24 and found.mean == pytest.approx(difference.mean(), abs=1e-6)
    assert found.largest == pytest.approx(np.abs(difference).max(), abs=1e-6) and found.largest > 0
    assert grouped.protocol["exact"] is False and exact.protocol["exact"] is True


def test_a_set_of_held_out_neurons_is_hidden_together_and_scored_alone():
    neurons = np.array([2, 11, 30])
    (only,) = [step for step in score_held_out(A, TRIALS, neurons, FULL) if step.done]
    mask = next(questions("co_smoothing", TEST)).mask
    hidden = np.zeros(TEST.counts.shape, dtype=bool)
    hidden[:, :, neurons] = True
    import torch

    mask = type(mask)(torch.as_tensor(hidden), torch.as_tensor(hidden), mask.scheme)
    expected = bits_per_spike(predict(MODEL_A, TEST, mask), TEST.counts)[neurons]
    np.testing.assert_allclose(only.score.bits[neurons], expected, atol=1e-5)
    assert only.score.summary.n == 3 and only.score.summary.n_excluded == 47
    assert set(only.score.status) == {"scored", "excluded"}


def test_low_precision_is_named_and_hardly_changes_a_score():
    low, full = a_score(asking=Asking(bf16=True)), a_score()
    assert (low.protocol["precision"], full.protocol["precision"]) == ("bfloat16", "float32")
    assert 0 < np.abs(low.bits - full.bits).max() < 0.05
    assert abs(low.summary.mean - full.summary.mean) < 0.005


# --- intervals --------------------------------------------------------------------------------------------------------


def test_resamples_draw_as_many_trials_as_there_are():
    weights = resamples(30, np.random.default_rng(0), n=2000)
    assert weights.shape == (2000, 30) and (weights.sum(1) == 30).all() and (weights >= 0).all()
    assert np.abs(weights.mean(0) - 1).max() < 0.15


def test_resampled_scores_follow_the_weights_of_trials_to_first_order():
    """A finite difference: one trial counted a little more."""
    score = a_score()
    null, step, trial = score.total.test_mean(), 1e-6, 7
    weights = np.ones((1, TEST.n_trials))
    weights[0, trial] += step
    moved = (score.sums.total(weights).bits_per_spike(null)[0] - score.bits) / step
    gain = (score.sums.some(np.arange(50)).total(np.eye(TEST.n_trials)).gain(null) / LOG_2)[trial]
    linear = (gain - score.bits * score.sums.spikes[trial]) / score.total.spikes
    np.testing.assert_allclose(moved, linear, rtol=1e-3, atol=1e-7)
    drawn = resamples(TEST.n_trials, np.random.default_rng(0))
    by_trial = score.sums.total(np.eye(TEST.n_trials)).gain(null) / LOG_2 - score.bits * score.sums.spikes
    expected = score.bits + (drawn - 1) @ by_trial / score.total.spikes
    np.testing.assert_allclose(score.sums.resampled_bits(drawn), expected, rtol=1e-9, atol=1e-9)


def test_resamples_without_a_value_are_left_out_of_the_interval():
    values = np.array([[np.nan, 1.0], [np.nan, 3.0], [np.nan, np.nan]])
    low, high = interval(values, level=1.0)
    assert np.isnan([low[0], high[0]]).all() and (low[1], high[1]) == (1.0, 3.0)


@pytest.mark.slow
@pytest.mark.parametrize("mean_count", [0.2, 0.003])
def test_intervals_hold_the_expected_score_as_often_as_they_say(mean_count):
    """Coverage over 400 recordings of one population, also where many neurons fire a handful of spikes or none."""
    rng, (n_trials, n_bins, n_neurons) = np.random.default_rng(0), (80, 20, 40)
    who = Neurons(
        np.arange(n_neurons).astype(str), np.full(n_neurons, "LP"), np.ones(n_neurons, bool), np.ones(n_neurons)
    )
    found, ends = [], []
    for _ in range(400):
        gain = rng.gamma(8.0, 1 / 8.0, size=(n_trials, 1, 1))  # trials differ, as in a brain
        rates = mean_count * gain * np.exp(0.5 * np.sin(np.arange(n_bins)))[:, None] * np.ones(n_neurons)
        sums = SpikeSums.empty(n_trials, n_neurons)
        sums.add(rng.poisson(rates), rates)
        summary = Score("co_smoothing", sums, who, {}, complete=True).summary
        found.append((summary.mean, summary.pooled))
        ends.append((summary.mean_ci, summary.pooled_ci))
    truth, ends = np.mean(found, axis=0), np.array(ends)
    for i in range(2):
        inside = ((ends[:, i, 0] <= truth[i]) & (truth[i] <= ends[:, i, 1])).mean()
        assert 0.91 <= inside <= 0.98, inside


def test_an_incomplete_score_has_no_interval():
    first = next(score_task(A, TRIALS, "co_smoothing", FULL)).score
    assert not first.complete and first.summary.mean is not None and first.summary.mean_ci is None
    assert first.neuron_table["low"].isna().all()
    assert set(first.status) == {"scored", "not asked yet"}


# --- scores -----------------------------------------------------------------------------------------------------------


def test_the_ceiling_is_the_score_of_the_true_rates_or_not_measurable():
    score = a_score("co_smoothing")
    assert score.ceiling.kind == "true_rates"
    expected = bits_per_spike(TEST.true_rates, TEST.counts)
    assert score.ceiling.mean == pytest.approx(np.nanmean(expected), rel=1e-6)
    real = replace(TRIALS, true_rates=None)
    score = a_score("co_smoothing", checkpoint_of(MODEL_A, real), real)
    assert score.ceiling.kind == NOT_MEASURABLE and score.ceiling.mean is None and "repeats" in score.ceiling.reason


def test_both_nulls_are_reported_and_a_drift_between_them_shows():
    counts = TRIALS.counts.copy()
    counts[TRIALS.split == "test"] //= 2  # the test trials are quieter than training
    drifted = replace(TRIALS, counts=counts)
    score = a_score("co_smoothing", checkpoint_of(MODEL_A, drifted), drifted)
    assert score.against_train_mean.mean > score.summary.mean + 0.05
    assert score.summary.n == score.against_train_mean.n


def test_the_neuron_table_equals_the_metrics_of_each_neuron():
    score = a_score("co_smoothing")
    table = score.neuron_table
    total = score.sums.total()
    np.testing.assert_allclose(table["bits_per_spike"], total.bits_per_spike())
    np.testing.assert_allclose(table["poisson_d2"], total.poisson_d2())
    assert (table["low"] < table["bits_per_spike"]).all() and (table["bits_per_spike"] < table["high"]).all()
    assert table["n_spikes"].tolist() == TEST.counts.sum((0, 1)).tolist()
    train = TRIALS.select("train").counts.mean((0, 1)) / TRIALS.bin_size
    np.testing.assert_allclose(table["rate_hz"], train)


def test_a_score_is_json_with_everything_to_judge_it():
    text = json.dumps(a_score("intra_region").to_json(), allow_nan=False)
    found = json.loads(text)
    assert set(found) >= {"mean", "median", "pooled", "mean_ci", "median_ci", "pooled_ci", "poisson_d2", "n"}
    assert set(found) >= {"n_silent", "n_excluded", "against_train_mean", "per_region", "per_neuron", "ceiling"}
    assert found["mean_ci"][0] < found["mean"] < found["mean_ci"][1]
    assert len(found["neurons"]) == 50 and found["neurons"][-1]["status"] == "excluded"


# --- comparisons ------------------------------------------------------------------------------------------------------


def test_a_paired_difference_by_hand():
    a, b = a_score(model=A), a_score(model=B)
    found = compare(a, b)
    difference = a.bits - b.bits
    assert found.mean_difference == pytest.approx(difference.mean()) and found.n == 50
    assert found.median_difference == pytest.approx(np.median(difference))
    assert found.pooled_difference == pytest.approx(a.summary.pooled - b.summary.pooled)
    assert found.mean_ci[0] < found.mean_difference < found.mean_ci[1]
    assert found.n_better + found.n_worse == 50
    assert found.p_sign == pytest.approx(binomtest(found.n_better, 50).pvalue)
    back = compare(b, a)
    assert back.mean_difference == pytest.approx(-found.mean_difference) and back.n_better == found.n_worse


def test_a_score_does_not_differ_from_itself():
    found = compare(a_score(), a_score())
    assert (found.mean_difference, found.n_better, found.n_worse, found.p_sign) == (0.0, 0, 0, 1.0)
    assert found.mean_ci == (0.0, 0.0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"split": "validation"}, "split: test and validation"),
        ({"bin_size": 0.01}, "bin_size: 0.02 and 0.01"),
        ({"unit_filter": "1 Hz"}, "unit_filter: none and 1 Hz"),
        ({"split_sha256": "x"}, "split_sha256"),
    ],
)
def test_scores_of_different_protocols_are_not_compared(change, named):
    score = a_score()
    with pytest.raises(NotComparable, match=named):
        compare(score, replace(score, protocol={**score.protocol, **change}))


def test_different_tasks_are_not_compared():
    with pytest.raises(NotComparable, match="task: forward_prediction and inter_region"):
        compare(a_score(), a_score("inter_region"))


# --- a whole session --------------------------------------------------------------------------------------------------


def test_a_session_is_scored_with_models_baselines_and_differences():
    plan = Plan(("forward_prediction", "inter_region"), FULL, ("train_mean", "psth"), {"other": B})
    steps = list(score_session(A, TRIALS, plan))
    shares = [step.share for step in steps]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0)
    scores = steps[-1].scores
    assert list(scores.by_predictor) == [MODEL, "other", "train_mean", "psth"]
    found = scores.comparisons()
    assert set(found) == {"other", "train_mean", "psth"} and set(found["psth"]) == set(plan.tasks)
    as_json = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert set(as_json["baselines"]) == set(found) and set(as_json["tasks"]) == set(plan.tasks)
    assert as_json["comparisons"]["psth"]["inter_region"]["n"] == found["psth"]["inter_region"].n
    partial = steps[0].scores
    assert partial.comparisons() == {} and partial.model["forward_prediction"].complete is False

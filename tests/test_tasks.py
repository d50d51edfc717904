from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small import small_model, small_trials

from mtm_core.checkpoint import Checkpoint
from mtm_core.evaluation.questions import TASKS, Asking, eligible, n_questions, questions
from mtm_core.evaluation.tasks import score_task
from mtm_core.masking import Mask, Scheme
from mtm_core.predict import predict
from mtm_core.session import identity

REGIONS = np.array(["CA1", "CA1", "CA1", "CA1", "LP", "LP", "LP", "VISp", "root", "void"])
SILENT = 2


def trials_with(**changes):
    """Ten neurons: two regions with several of them, one with a single one, two of unknown place; one silent."""
    trials = small_trials(shape=(20, 20, 10))
    counts = trials.counts.copy()
    counts[..., SILENT] = 0
    valid = np.random.default_rng(3).random(trials.valid.shape) < 0.9
    return replace(trials, **{"counts": counts, "valid": valid, "regions": REGIONS, **changes})


TRIALS = trials_with()
MODEL = small_model(TRIALS)


def checkpoint_of(*sessions):
    return Checkpoint(MODEL, {"hash": "0" * 64, "data": [identity(trials) for trials in sessions]}, Path("some/model"))


CHECKPOINT = checkpoint_of(TRIALS)


def scored(task, trials=TRIALS, **asking):
    """All steps, in full precision, as the oracle computes."""
    how = Asking(**{"bf16": False, **asking})
    return list(score_task(CHECKPOINT if trials is TRIALS else checkpoint_of(trials), trials, task, how))


def asked(task, n):
    """(hidden neurons, hidden bins, prompt) of the question about neuron n; None: it is not asked."""
    same = REGIONS == REGIONS[n]
    unknown = REGIONS[n] in ("root", "void")
    if task == "co_smoothing":
        return np.arange(10) == n, slice(None), Scheme.NEURON
    if task == "forward_prediction":
        return np.ones(10, dtype=bool), slice(18, None), Scheme.CAUSAL
    if unknown or task == "intra_region" and same.sum() < 2:
        return None
    if task == "intra_region":
        return ~same | (np.arange(10) == n), slice(None), Scheme.INTRA_REGION
    return same, slice(None), Scheme.INTER_REGION


def by_brute_force(task):
    """Gain over the null, spikes and scored bins of each neuron, one question and one entry at a time."""
    test, found = TRIALS.select("test"), {}
    for n in range(10):
        if (question := asked(task, n)) is None:
            continue
        neurons, bins, scheme = question
        hidden = np.zeros(test.counts.shape, dtype=bool)
        hidden[:, bins] = neurons
        hidden[~test.valid] = True
        garbage = np.where(hidden, 199, test.counts).astype(np.uint8)  # the question cannot depend on it
        target = torch.zeros(hidden.shape, dtype=torch.bool)
        rates = predict(MODEL, replace(test, counts=garbage), Mask(torch.as_tensor(hidden), target, scheme))
        where = [(k, t) for k in range(test.n_trials) for t in range(20)[bins] if test.valid[k, t]]
        y = [int(test.counts[k, t, n]) for k, t in where]
        r = [float(rates[k, t, n]) for k, t in where]
        null = math.fsum(y) / len(y)
        gain = math.fsum((a * math.log(b / null) if a else 0.0) - b + null for a, b in zip(y, r, strict=True))
        found[n] = gain / math.log(2), sum(y)
    return found


@pytest.mark.parametrize("task", TASKS)
def test_scores_equal_a_loop_over_neurons_trials_and_bins(task):
    score, expected = scored(task)[-1].score, by_brute_force(task)
    bits = {n: gain / spikes for n, (gain, spikes) in expected.items() if spikes}
    for n, unit_id in enumerate(TRIALS.unit_ids):
        assert score.per_neuron[unit_id] == (pytest.approx(bits[n], abs=1e-5) if n in bits else None), n
    summary = score.summary
    assert summary.mean == pytest.approx(np.mean(list(bits.values())), abs=1e-5)
    assert summary.median == pytest.approx(np.median(list(bits.values())), abs=1e-5)
    gain, spikes = (sum(values) for values in zip(*expected.values(), strict=True))
    assert summary.pooled == pytest.approx(gain / spikes, abs=1e-5)
    assert summary.n == len(bits) and summary.n_silent == len(expected) - len(bits)
    assert summary.n_excluded == 10 - len(expected)
    for region, part in score.per_region.items():
        inside = [bits[n] for n in bits if REGIONS[n] == region]
        assert part.n == len(inside)
        assert part.mean == (pytest.approx(np.mean(inside), abs=1e-5) if inside else None)


@pytest.mark.parametrize(("task", "excluded"), list(zip(TASKS, (0, 0, 3, 2), strict=True)))
def test_every_neuron_is_scored_silent_or_excluded(task, excluded):
    score = scored(task)[-1].score
    for summary in (score.summary, score.against_train_mean):
        assert summary.n + summary.n_silent + summary.n_excluded == 10
        assert summary.n_excluded == excluded and summary.n_silent >= 1
    parts = score.per_region.values()
    for name in ("n", "n_silent", "n_excluded"):
        assert sum(getattr(part, name) for part in parts) == getattr(score.summary, name)
    assert set(score.per_region) == set(REGIONS) and list(score.per_neuron) == list(TRIALS.unit_ids)
    assert score.per_neuron[TRIALS.unit_ids[SILENT]] is None


@pytest.mark.parametrize("task", TASKS)
def test_progress_is_a_usable_score_of_the_neurons_asked_so_far(task):
    steps = scored(task)
    assert [step.done for step in steps] == list(range(1, n_questions(task, TRIALS) + 1))
    assert {step.total for step in steps} == {len(steps)} and len(steps) == len(list(questions(task, TRIALS)))
    assert [step.score.complete for step in steps] == [False] * (len(steps) - 1) + [True]
    final = steps[-1].score.per_neuron
    for step in steps:
        known = {unit_id: bits for unit_id, bits in step.score.per_neuron.items() if bits is not None}
        assert step.score.summary.n == len(known)
        assert all(final[unit_id] == bits for unit_id, bits in known.items())


def test_every_target_is_asked_once_and_hidden():
    for task in TASKS:
        found = [n for question in questions(task, TRIALS) for n in question.neurons]
        assert sorted(found) == np.flatnonzero(eligible(task, REGIONS)).tolist()
        for question in questions(task, TRIALS):
            assert question.mask.hidden[:, -1, question.neurons].all()


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="unknown task 'smoothing'; the tasks are co_smoothing"):
        list(questions("smoothing", TRIALS))


@pytest.mark.parametrize("task", ["intra_region", "inter_region"])
def test_a_session_without_regions_has_region_scores_that_say_so(task):
    (only,) = scored(task, trials_with(regions=np.full(10, "root")))
    assert (only.done, only.total, only.score.complete) == (0, 0, True)
    assert only.score.summary.mean is None and only.score.summary.pooled is None
    assert only.score.summary.n_excluded == 10


def test_trials_that_may_have_been_trained_on_are_refused():
    other = replace(TRIALS, split=np.roll(TRIALS.split, 1))
    with pytest.raises(ValueError, match="this split is not the one model was trained with"):
        next(score_task(CHECKPOINT, other, "co_smoothing"))
    fewer = TRIALS.select(np.arange(19))
    with pytest.raises(ValueError, match="this split is not the one"):
        next(score_task(CHECKPOINT, fewer, "co_smoothing"))


def test_a_split_without_trials_is_refused():
    trials = replace(TRIALS, split=np.where(TRIALS.split == "test", "train", TRIALS.split))
    with pytest.raises(ValueError, match="has no test trials"):
        next(score_task(checkpoint_of(trials), trials, "co_smoothing"))


def test_the_split_that_is_scored_can_be_chosen():
    scores = [scored("forward_prediction", split=split)[-1].score for split in ("train", "validation", "test")]
    assert len({score.summary.mean for score in scores}) == 3
    assert [score.protocol["n_trials"] for score in scores] == [12, 4, 4]


def test_the_protocol_says_what_scores_must_share():
    one = scored("co_smoothing")[0].score.protocol
    assert one["session"] == "a" and one["split"] == "test" and one["split_sha256"] == identity(TRIALS)["split_sha256"]
    assert one["event"] == "stimOn_times" and one["bin_size"] == 0.02 and one["window"] == list(TRIALS.window)
    assert one["model"] == "0" * 64


def test_scores_are_json_without_nan():
    for trials in (TRIALS, trials_with(regions=np.full(10, "void")), trials_with(counts=np.zeros_like(TRIALS.counts))):
        for task in TASKS:
            text = json.dumps(scored(task, trials)[-1].score.to_json(), allow_nan=False)
            assert set(json.loads(text)) >= {"mean", "median", "pooled", "n", "n_silent", "n_excluded", "per_region"}


def test_scoring_changes_nothing_it_is_given():
    locked = trials_with()
    for array in (locked.counts, locked.valid, locked.split, locked.regions, locked.unit_ids):
        array.flags.writeable = False
    assert scored("intra_region", locked)[-1].score.summary == scored("intra_region")[-1].score.summary
    np.testing.assert_array_equal(locked.counts, TRIALS.counts)

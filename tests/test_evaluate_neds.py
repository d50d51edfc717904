from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace

import numpy as np
import pytest
import torch
from small import small_model
from small_neds import neds_trials, small_neds

from mtm_core.checkpoint import Checkpoint, save_checkpoint
from mtm_core.commands import evaluate_neds
from mtm_core.commands.evaluate import other_models
from mtm_core.evaluation.metrics import SpikeSums
from mtm_core.evaluation.tasks import score_task
from mtm_core.evaluation.translation.session_scores import ALL, score_model, score_translation, sources
from mtm_core.experiments.measure import as_checkpoint
from mtm_core.masking import free_mask
from mtm_core.masking_modalities import hold_out_behaviors, hold_out_spikes
from mtm_core.predict import predict
from mtm_core.session import Trials, identity
from mtm_core.translate import translate

TRIALS = neds_trials(without=("pupil", "paw_speed", "block", "reward"))
PRESENT = ("choice", "contrast", "wheel_speed", "whisker_motion_energy")


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return as_checkpoint(small_neds(TRIALS), [TRIALS], "neds")


def scored(checkpoint: Checkpoint, trials: Trials, split: str = "test") -> dict[tuple[str, str], dict]:
    return {(way, what): score.to_json() for way, what, score in score_model(checkpoint, trials, split)}


def test_every_source_and_every_behavior_is_scored_once(checkpoint):
    found = [(way, what) for way, what, _ in score_model(checkpoint, TRIALS)]
    assert found == [("encoding", each) for each in (ALL, *PRESENT)] + [("decoding", each) for each in PRESENT]
    assert sources(("choice",)) == (ALL,)


def test_scores_are_those_of_what_translate_predicts(checkpoint):
    part = TRIALS.select("test")
    rates = translate(checkpoint, part, hold_out_spikes(part.counts.shape[:2], ("wheel_speed",), PRESENT)).rates
    sums = SpikeSums.empty(part.n_trials, part.n_neurons)
    sums.add(part.counts, rates, np.ones((*part.counts.shape[:2], 1), bool))
    found = scored(checkpoint, TRIALS)["encoding", "wheel_speed"]
    assert found["pooled"] == pytest.approx(sums.total().pooled(), rel=1e-6)


def test_what_is_predicted_cannot_reach_the_prediction(checkpoint):
    """Of the test trials: other spikes leave decoding as it is, other behaviors leave encoding from the rest."""
    test, rng = TRIALS.split == "test", np.random.default_rng(0)
    usual = {name: values.copy() for name, values in TRIALS.behaviors.items()}
    part = TRIALS.select("test")
    shape = part.counts.shape[:2]
    hidden = {name: np.where(rng.random(v.shape) < 0.5, np.nan, 1e6).astype(np.float32) for name, v in usual.items()}
    poisoned = replace(part, behaviors={name: values[test] for name, values in hidden.items()})
    mask = hold_out_behaviors(shape, PRESENT)
    one, other = translate(checkpoint, part, mask), translate(checkpoint, poisoned, mask)
    assert np.array_equal(one.rates, other.rates)
    assert all(np.array_equal(one.traces[name], other.traces[name]) for name in one.traces)
    assert all(np.array_equal(one.probabilities[name], other.probabilities[name]) for name in one.probabilities)
    mask = hold_out_spikes(shape, ("choice",), PRESENT)
    spikes = replace(part, counts=np.full_like(part.counts, 200), behaviors={"choice": part.behaviors["choice"]})
    assert np.array_equal(translate(checkpoint, part, mask).rates, translate(checkpoint, spikes, mask).rates)


def test_another_split_than_that_of_the_training_is_refused(checkpoint):
    other = replace(TRIALS, split=np.roll(TRIALS.split, 1))
    with pytest.raises(ValueError, match="split"):
        list(score_model(checkpoint, other))


def test_models_of_both_kinds_are_not_compared(tmp_path, checkpoint):
    neds, mtm = tmp_path / "neds", tmp_path / "mtm"
    save_checkpoint(neds, checkpoint.model, {"data": [identity(TRIALS)]})
    save_checkpoint(mtm, small_model(TRIALS), {"data": [identity(TRIALS)]})
    for path, translates in ((mtm, True), (neds, False)):
        with pytest.raises(ValueError, match="models of one kind"):
            other_models([str(path)], torch.device("cpu"), translates)
    assert list(other_models([str(neds)], torch.device("cpu"), True)) == ["neds"]


def test_a_neds_model_is_asked_nothing_about_single_neurons(checkpoint):
    mask = free_mask(TRIALS.counts.shape, neurons=[0])
    with pytest.raises(ValueError, match="NEDS model translates"):
        predict(checkpoint, TRIALS, mask)
    with pytest.raises(ValueError, match="NEDS model translates"):
        list(score_task(checkpoint, TRIALS, "co_smoothing"))
    with pytest.raises(ValueError, match="--few-shot"):
        evaluate_neds.refuse_options(asked(few_shot=True))


def asked(**changes) -> Namespace:
    """The options of `mtm evaluate` that matter to a NEDS model."""
    usual = dict.fromkeys(("fast", "hide_duplicates", "few_shot", "held_out", "report", "json"))
    return Namespace(**{**usual, "split": "test", "no_baselines": True, **changes})


def test_the_command_prints_both_directions_and_writes_all(checkpoint, tmp_path, capsys):
    file = tmp_path / "scores.json"
    evaluate_neds.run(checkpoint, TRIALS, asked(json=str(file)), {})
    said = capsys.readouterr().out
    assert all(f"from {what}" in said for what in (ALL, *PRESENT)) and "balanced accuracy" in said
    found = json.loads(file.read_text())
    assert set(found["encoding"]["neds"]) == {ALL, *PRESENT} and set(found["decoding"]["neds"]) == set(PRESENT)
    assert found["encoding"]["neds"]["choice"]["protocol"]["read"] == ["choice"]


def test_baselines_are_scored_beside_the_model_and_progress_ends_at_one(checkpoint):
    few = replace(TRIALS, behaviors={name: TRIALS.behaviors[name] for name in ("wheel_speed",)})
    own = as_checkpoint(small_neds(few), [few], "neds")
    steps = list(score_translation({"neds": own}, few))
    assert steps[-1].share == 1.0 and all(a.share < b.share for a, b in zip(steps, steps[1:], strict=False))
    assert {"neds", "psth", "ridge", "reduced_rank"} <= set(steps[-1].scores.encoding)
    assert {"neds", "linear", "ridge", "reduced_rank"} == set(steps[-1].scores.decoding)

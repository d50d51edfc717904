"""From a spec to arrays, on a simulated recording with an untrained model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app import compute, recordings
from app.pages.explore.hidden_scores import neurons_sentence, null_rows
from app.pages.explore.leak import verdict
from app.pages.explore.neuron import average_lines
from app.sentences import hidden_sentence, status, tallies, trial_sentence, unknown_session
from app.spec import HAND, SCHEMES, Box, Hide, Spec
from app.words import plain
from app.work import Job

KNOWN = Spec(session="simulated-1")
UNKNOWN = Spec(session="simulated-2")


@pytest.fixture(autouse=True)
def only_the_untrained_model(untrained_model, monkeypatch):
    cached = (recordings.checkpoint, recordings.recording, compute.mask, compute._inferred)
    cached += (compute._predicted, compute._average)
    for function in cached:
        function.cache_clear()
    monkeypatch.setattr(recordings, "models", lambda: {"simulated-mtm": untrained_model})
    yield
    for function in cached:
        function.cache_clear()


def by_hand(**chosen) -> Spec:
    return replace(KNOWN, hide=Hide(scheme=HAND, **chosen))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_seen_scored_and_unscored_entries_add_up(scheme):
    shown = compute.picture(replace(KNOWN, hide=Hide(scheme=scheme, seed=3)))
    groups = tallies(shown)
    assert sum(group.entries for group in groups.values()) == shown.counts.size
    assert groups["scored"].entries > 0
    assert (groups["unscored"].entries > 0) == (scheme == "intra_region")
    assert shown.rates.shape == shown.counts.shape and (shown.rates > 0).all()


def test_the_same_seed_hides_the_same_and_another_seed_does_not():
    hidden = [compute.picture(replace(KNOWN, hide=Hide(scheme="neuron", seed=s))).hidden for s in (1, 1, 2)]
    assert (hidden[0] == hidden[1]).all() and (hidden[0] != hidden[2]).any()


def test_hiding_by_hand_hides_exactly_that():
    region = recordings.recording("simulated-1", "simulated-mtm").regions[0]
    box = Box("rate", 0, 10, 5, 20)
    shown = compute.picture(by_hand(neurons=(3, 99_999), regions=(region, "nowhere"), window=(90, 500), boxes=(box,)))
    expected = np.zeros_like(shown.hidden)
    expected[:, 3] = True
    expected[:, shown.recording.region_names == region] = True
    expected[90:] = True
    expected[5:20, shown.recording.order("rate")[:10]] = True
    assert (shown.hidden == expected).all() and (shown.target == expected).all()


def test_a_box_stays_on_its_neurons_when_the_order_changes():
    spec = by_hand(boxes=(Box("rate", 0, 10, 0, 50),))
    assert (compute.picture(spec).hidden == compute.picture(replace(spec, sort="similarity")).hidden).all()


@pytest.mark.parametrize("sort", ["region", "rate", "similarity"])
def test_every_order_has_every_neuron_once(sort):
    opened = recordings.recording("simulated-1", "simulated-mtm")
    assert sorted(opened.order(sort)) == list(range(opened.trials.n_neurons))


@pytest.mark.parametrize(
    ("hide", "prompt"),
    [
        (Hide(scheme="causal"), "causal"),
        (Hide(scheme=HAND, neurons=(1,)), "neuron"),
        (Hide(scheme=HAND, regions=("CA1",)), "inter_region"),
        (Hide(scheme=HAND, window=(60, 100)), "causal"),
        (Hide(scheme=HAND, regions=("CA1",), neurons=(1,)), "neuron"),
    ],
)
def test_the_prompt_follows_what_is_hidden(hide, prompt):
    assert compute.default_prompt(hide) == prompt
    chosen = compute.picture(replace(KNOWN, hide=replace(hide, prompt="intra_region")))
    assert chosen.prompt == "intra_region"


def test_scores_cover_held_out_trials_only_and_grow():
    steps = list(compute.scores(KNOWN))
    opened = steps[-1].recording
    assert (opened.trials.split[opened.test] == "test").all()
    assert [s.n_done for s in steps] == [8, 16, 16, 32] and steps[-1].n_trials == 32
    last = steps[-1]
    assert (np.isfinite(last.bits) == (last.scored & ~last.silent)).all()
    # the untrained model knows each neuron's mean rate and no more
    assert abs(last.pooled) < 0.2
    # the mean of the scored entries is the best flat guess in hindsight: no other null leaves a model more to gain
    counted = np.isfinite(last.bits)
    assert (last.bits_train[counted] >= last.bits[counted] - 1e-9).all() and last.pooled_train >= last.pooled
    assert "260 neurons" in neurons_sentence(last) and [row[0] for row in null_rows(last)][-1] == "Pooled"


def test_nothing_hidden_has_no_score():
    *_, last = compute.scores(by_hand())
    assert not last.scored.any() and np.isnan(last.pooled)


def test_a_session_the_model_does_not_know_is_shown_without_rates():
    shown = compute.picture(UNKNOWN)
    assert shown.rates is None and shown.hidden.any() and list(compute.scores(UNKNOWN)) == []
    lines = average_lines(shown, None, 3, 0.02)
    test = shown.recording.trials.counts[shown.recording.test][:, :, 3] / 0.02
    np.testing.assert_allclose(lines["recorded"], test.mean(0), rtol=1e-5)
    np.testing.assert_allclose(lines["high"] - lines["recorded"], test.std(0, ddof=1) / len(test) ** 0.5, atol=1e-4)
    assert "predicted" not in lines
    assert "mtm train --session simulated-2 --out" in unknown_session(shown.recording)


def test_the_leak_check_of_the_model_finds_none():
    *_, (share, rows) = compute.leak(KNOWN)
    assert share == 1 and len(rows) == compute.NOISE_DRAWS + 2
    assert all(row.n_changed == 0 and row.largest == 0 for row in rows)


def test_the_leak_check_finds_a_leak(monkeypatch):
    honest = compute.predict

    def leaking(model, trials, mask):
        return honest(model, trials, mask) + 1e-6 * np.asarray(trials.counts, np.float32).sum((1, 2), keepdims=True)

    monkeypatch.setattr(compute, "predict", leaking)
    *_, (_, rows) = compute.leak(KNOWN)
    assert all(row.n_changed > 0 for row in rows) and rows[-1].largest == float("inf")
    assert verdict(Job("leak", KNOWN, rows, state="done")).startswith("LEAK")


def test_the_leak_check_refuses_when_nothing_is_hidden():
    with pytest.raises(ValueError, match="nothing is hidden"):
        next(compute.leak(by_hand()))


def test_a_trial_beyond_the_session_is_its_last():
    assert compute.picture(replace(KNOWN, trial=19_999)).trial == 319


def test_the_status_names_neurons_regions_and_the_score():
    *_, scores = compute.scores(by_hand(neurons=(3,)))
    shown = compute.picture(by_hand(neurons=(3,)))
    assert hidden_sentence(shown) == f"Hidden: 1 neuron of {shown.recording.region_names[3]}."
    assert "bits per spike: mean of 1 neuron over 32 held-out trials; 0 silent." in status(shown, scores)
    assert hidden_sentence(compute.picture(by_hand(window=(60, 100)))) == "Hidden: all neurons from 0.70 s to 1.50 s."
    assert "nothing" in hidden_sentence(compute.picture(by_hand())).lower()
    assert "held out" in trial_sentence(shown.recording, shown.trial)


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "a & b", "x" * 500, "line\nbreak", "`code`"])
def test_names_from_files_lose_their_markup(name):
    shown = plain(name)
    assert not set(shown) & set('<>&"`\n') and len(shown) <= 64

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score
from small import small_trials

from mtm_core.__main__ import main
from mtm_core.evaluation.decoding import joint
from mtm_core.evaluation.decoding.decode import Plan
from mtm_core.evaluation.decoding.joint import decode_jointly
from mtm_core.evaluation.decoding.reduced_rank import Examples, Settings, _smooth, fit_reduced_rank

QUICK = Settings(rank=2, learning_rate=5e-3, most_epochs=60)


def planted(session_id, rng, n_trials=120, n_neurons=15, shared=None):
    """Counts, and a stream that is a rank-2 function of them; shared: (2, T, T), the same in all sessions."""
    counts = rng.poisson(3.0, (n_trials, 10, n_neurons))
    loadings = rng.normal(size=(n_neurons, 2)) / n_neurons**0.5
    smooth = _smooth(counts)
    stream = np.einsum("ktr,rtd->kd", (smooth - smooth.mean(axis=0)) @ loadings, shared)
    split = np.resize(["train", "train", "train", "validation", "test"], n_trials)
    return Examples(session_id, counts, stream + 7.0, split)


@pytest.fixture(scope="module")
def sessions():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(2, 10, 10))
    return [planted(name, rng, shared=shared, n_neurons=n) for name, n in (("a", 15), ("b", 15), ("c", 9))]


def last(steps):
    return list(steps)[-1]


def score(decoder, one):
    test = one.split == "test"
    return r2_score(one.values[test].ravel(), decoder.predict(one.session_id, one.counts[test]).ravel())


def test_a_planted_decoder_of_low_rank_is_recovered_in_all_sessions(sessions):
    decoder = last(fit_reduced_rank(sessions, QUICK))
    assert all(score(decoder, one) > 0.9 for one in sessions)
    too_low = last(fit_reduced_rank(sessions, replace(QUICK, rank=1)))
    assert all(score(too_low, one) < score(decoder, one) - 0.1 for one in sessions)


def test_other_sessions_help_a_session_with_few_trials(sessions):
    few = np.flatnonzero((sessions[0].split != "train") | (np.arange(120) < 40))
    poor = Examples("a", sessions[0].counts[few], sessions[0].values[few], sessions[0].split[few])
    alone = last(fit_reduced_rank([poor], QUICK))
    together = last(fit_reduced_rank([poor, *sessions[1:]], QUICK))
    assert score(together, poor) > score(alone, poor)


def test_the_regression_is_the_formula(sessions):
    decoder = next(fit_reduced_rank(sessions, replace(QUICK, most_epochs=1)))
    one, model = sessions[1], decoder.model
    x = decoder.scalings["b"].inputs(one.counts[:2]).numpy()
    u, v, b = (p.detach().numpy() for p in (model.per_neuron[1], model.shared, model.bias[1]))
    expected = np.zeros((2, 10))
    for k in range(2):
        for d in range(10):
            terms = [x[k, t, n] * u[n, r] * v[r, t, d] for t in range(10) for n in range(15) for r in range(2)]
            expected[k, d] = sum(terms) + b[d]
    scaling = decoder.scalings["b"]
    np.testing.assert_allclose(
        decoder.predict("b", one.counts[:2]), expected * scaling.value_scale + scaling.value_mean, rtol=1e-4
    )


def test_sessions_with_equal_numbers_of_neurons_share_no_row(sessions):
    decoder = last(fit_reduced_rank(sessions, replace(QUICK, most_epochs=2)))
    first, second = decoder.model.per_neuron[0], decoder.model.per_neuron[1]
    assert first.shape == second.shape and not torch.equal(first, second)


def test_poisoned_test_trials_change_no_weight(sessions):
    dirty = []
    for one in sessions:
        test = one.split == "test"
        counts, values = one.counts.copy(), one.values.copy()
        counts[test], values[test] = 255, np.nan
        dirty.append(Examples(one.session_id, counts, values, one.split))
    clean, poisoned = (last(fit_reduced_rank(each, replace(QUICK, most_epochs=3))) for each in (sessions, dirty))
    for name, weights in clean.model.state_dict().items():
        assert torch.equal(weights, poisoned.model.state_dict()[name]), name
    assert clean.validation_loss == poisoned.validation_loss


def test_the_same_seed_gives_the_same_decoder_and_leaves_the_global_generator_alone(sessions):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    losses = [
        last(fit_reduced_rank(sessions, replace(QUICK, most_epochs=3, seed=s))).validation_loss for s in (0, 0, 1)
    ]
    assert losses[0] == losses[1] != losses[2]
    assert torch.equal(torch.get_rng_state(), state)


def test_the_decoder_of_the_best_epoch_is_kept(sessions):
    noise = replace(sessions[0], values=np.random.default_rng(0).normal(size=(120, 10)))  # nothing to learn
    steps = list(fit_reduced_rank([noise], replace(QUICK, learning_rate=0.05, most_epochs=40, patience=5)))
    losses = [step.validation_loss for step in steps]
    assert losses == sorted(losses, reverse=True)
    assert len(steps) < 40 and steps[-1] is steps[-6]


def trials_with_choice(session_id, seed, **changes):
    trials = small_trials(session_id, shape=(120, 10, 8), seed=seed)
    choice = np.random.default_rng(seed).choice([-1.0, 1.0, 0.0], 120, p=[0.45, 0.45, 0.1])
    counts = trials.counts.copy()
    counts[:, 3:, :2] = np.random.default_rng(seed + 1).poisson(1.5 + 1.2 * choice[:, None, None], (120, 7, 2))
    return replace(trials, counts=counts, behaviors={"choice": choice}, **changes)


def test_choices_of_several_sessions_are_decoded_together():
    sessions = [trials_with_choice("a", 1), trials_with_choice("b", 2)]
    steps = list(decode_jointly(sessions, Plan(("choice",))))
    records = steps[-1].records["choice"]
    assert list(records) == ["reduced_rank:a", "reduced_rank:b"]
    assert all(record["score"] > 0.85 and record["p"] is None for record in records.values())
    assert records["reduced_rank:a"]["n_left_out"] == {"no-go": int((sessions[0].behaviors["choice"] == 0).sum())}
    assert "rank 4, 2 session(s)" in records["reduced_rank:a"]["decoder"]
    shares = [step.share for step in steps]
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_the_rank_of_a_single_session_is_chosen_on_validation_trials(monkeypatch):
    monkeypatch.setattr(joint, "RANKS", (1, 2))
    monkeypatch.setattr(joint, "Settings", lambda rank: Settings(rank, most_epochs=20))
    last_step = list(decode_jointly([trials_with_choice("a", 1)], Plan(("choice",))))[-1]
    assert last_step.newest is None and "1 session" in last_step.records["choice"]["reduced_rank:a"]["decoder"]
    found = {}
    for rank in joint.RANKS:
        monkeypatch.setattr(joint, "RANKS", (rank,))
        found[rank] = list(decode_jointly([trials_with_choice("a", 1)], Plan(("choice",))))[-1].records
    assert last_step.records in found.values()


def test_what_cannot_be_decoded_jointly_is_refused_or_said(monkeypatch):
    monkeypatch.setattr(joint, "RANKS", (1,))
    monkeypatch.setattr(joint, "Settings", lambda rank: Settings(rank, most_epochs=5))
    one, other = trials_with_choice("a", 1), trials_with_choice("b", 2)
    with pytest.raises(ValueError, match="given twice"):
        list(decode_jointly([one, one], Plan()))
    with pytest.raises(ValueError, match="score it on test"):
        list(decode_jointly([one, other], Plan(split="validation")))
    shorter = replace(other, counts=other.counts[:, :5], valid=other.valid[:, :5], true_rates=None)
    with pytest.raises(ValueError, match="same window and bins"):
        list(decode_jointly([one, shorter], Plan(("choice",))))
    steps = list(decode_jointly([one, replace(other, behaviors={})], Plan(("choice",))))
    assert steps[-1].problems == ("session b does not hold choice",)
    assert list(steps[-1].records["choice"]) == ["reduced_rank:a"]


def test_the_command_decodes_with_a_reduced_rank_beside_the_counts(untrained_model, tmp_path, monkeypatch):
    monkeypatch.setattr(joint, "RANKS", (2,))
    monkeypatch.setattr(joint, "Settings", lambda rank: Settings(rank, most_epochs=2))
    out = tmp_path / "decode.json"
    arguments = ["decode", str(untrained_model), "--behaviors", "choice", "--nulls", "1", "--json", str(out)]
    assert main([*arguments, "--sources", "counts", "reduced_rank"]) == 0
    assert set(json.loads(out.read_text())["choice"]) == {"counts", "reduced_rank:simulated-1"}

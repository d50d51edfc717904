"""The information map: brute force on a tiny model, what hidden entries may do (nothing), and planted truth."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from small import small_model, small_trials

from mtm_core.checkpoint import Checkpoint, load_checkpoint
from mtm_core.evaluation.information import questions as information_questions
from mtm_core.evaluation.information.context import context_loss
from mtm_core.evaluation.information.map import Kind, Settings, information_map, n_questions
from mtm_core.evaluation.information.null import Draws, q_values, sign_flip_p, with_moved
from mtm_core.evaluation.information.questions import Question, ask, groups_of, n_steps
from mtm_core.evaluation.information.table import Cell, InformationMap
from mtm_core.masking import Mask, Scheme
from mtm_core.predict import predict
from mtm_core.session import identity

REGIONS = np.array(["LP", "LP", "LP", "CA1", "CA1", "VISp", "VISp", "VISp", "VISp", "VISp", "VISp", "DG", "root"])
ORDER = ("VISp", "CA1", "LP")  # Allen: cortex, hippocampus, thalamus
SILENT = 1  # a neuron of LP
SIMULATED = Path(__file__).resolve().parents[1] / "assets" / "checkpoints" / "simulated-mtm"


def trials_with(**changes):
    trials = small_trials(shape=(40, 10, len(REGIONS)))
    counts = trials.counts.copy()
    counts[..., SILENT] = 0
    valid = np.random.default_rng(3).random(trials.valid.shape) < 0.9
    return replace(trials, **{"counts": counts, "valid": valid, "regions": REGIONS, **changes})


TRIALS = trials_with()
TEST = TRIALS.select("test")
MODEL = small_model(TRIALS)


def checkpoint_of(model, trials):
    return Checkpoint(model, {"hash": "0" * 64, "data": [identity(trials)]}, Path("some/model"))


CHECKPOINT = checkpoint_of(MODEL, TRIALS)


def last(steps):
    return list(steps)[-1][1]


@pytest.fixture(scope="module", params=list(Kind))
def found(request):
    return last(information_map(CHECKPOINT, TRIALS, Settings(request.param, nulls=2)))


# --- brute force ------------------------------------------------------------------------------------------------------


def rates_of(hidden, scheme, source=(), shift=0):
    """Rates of all test trials, entry by entry; hidden entries hold garbage, `source` comes from another trial."""
    counts, gone = TEST.counts.copy(), np.repeat(~TEST.valid[:, :, None], TEST.n_neurons, axis=2)
    for k, t, n in np.ndindex(counts.shape):
        if n in source:
            earlier = (k - shift) % TEST.n_trials
            counts[k, t, n] = TEST.counts[earlier, t, n]
            gone[k, t, n] |= not TEST.valid[earlier, t]
        if n in hidden:
            gone[k, t, n] = True
    counts[gone] = 77
    return predict(MODEL, replace(TEST, counts=counts), Mask(torch.as_tensor(gone), torch.as_tensor(gone), scheme))


def log_likelihoods(rates, neurons):
    """(trial, neuron) -> sum over bins with data of y log r - r."""
    return {
        (k, n): math.fsum(
            int(TEST.counts[k, t, n]) * math.log(float(rates[k, t, n])) - float(rates[k, t, n])
            for t in range(TEST.n_bins)
            if TEST.valid[k, t]
        )
        for k in range(TEST.n_trials)
        for n in neurons
    }


def members(region):
    return [int(n) for n in np.flatnonzero(REGIONS == region)]


def own_region(kind, region, source=(), shift=0):
    """The rest of the region is visible: up to five groups, each hidden in turn."""
    inside, answers = members(region), {}
    others = [n for n in range(len(REGIONS)) if n not in inside] if kind is Kind.ALONE else []
    scheme = Scheme.INTRA_REGION if kind is Kind.ALONE else Scheme.NEURON
    for group in (inside[first::5] for first in range(min(5, len(inside)))):
        rest = [n for n in source if n not in group]
        answers |= log_likelihoods(rates_of([*others, *group], scheme, rest, shift), group)
    return answers


def other_region(kind, source, target, shift=0):
    """The source is visible, moved or not."""
    everyone = range(len(REGIONS))
    hidden = members(target) if kind is Kind.LOST else [n for n in everyone if n not in members(source)]
    moved = members(source) if shift else ()
    return log_likelihoods(rates_of(hidden, Scheme.INTER_REGION, moved, shift), members(target))


def answers_of(kind, source, target, shift=0):
    """(with the source, without it), each (trial, neuron) -> log likelihood."""
    if kind is Kind.ALONE:
        without = list(range(len(REGIONS)))
    else:
        without = [*members(target), *(members(source) if source != target else ())]
    worse = log_likelihoods(rates_of(without, Scheme.INTER_REGION), members(target))
    if source == target:
        return own_region(kind, target, members(source) if shift else (), shift), worse
    return other_region(kind, source, target, shift), worse


def bits(answers, neurons, trials):
    """Per neuron that fires: gain in bits per spike over the given trials (with repeats), and the pooled gain."""
    better, worse = answers
    gain = {n: math.fsum(better[k, n] - worse[k, n] for k in trials) for n in neurons}
    spikes = {n: sum(int(TEST.counts[k, :, n][TEST.valid[k]].sum()) for k in trials) for n in neurons}
    per_neuron = [gain[n] / (spikes[n] * math.log(2)) for n in neurons if spikes[n]]
    return per_neuron, math.fsum(gain.values()) / (sum(spikes.values()) * math.log(2))


CELLS = list(product(ORDER, ORDER))


@pytest.mark.parametrize(("source", "target"), CELLS)
def test_gain_and_control_equal_brute_force(found, source, target):
    kind, neurons, everything = Kind(found.kind), members(target), range(TEST.n_trials)
    row = found.table.set_index(["source", "target"]).loc[(source, target)]
    per_neuron, pooled = bits(answers_of(kind, source, target), neurons, everything)
    assert row["gain_mean"] == pytest.approx(np.mean(per_neuron), abs=1e-6)
    assert row["gain_pooled"] == pytest.approx(pooled, abs=1e-6)
    shifts = found.protocol["shifts"]
    controls = [np.mean(bits(answers_of(kind, source, target, s), neurons, everything)[0]) for s in shifts]
    assert len(shifts) == 2 and row["control"] == pytest.approx(np.mean(controls), abs=1e-6)


@pytest.mark.parametrize(("source", "target"), [("CA1", "LP"), ("VISp", "VISp")])
def test_the_interval_is_that_of_trials_drawn_in_pairs(found, source, target):
    answers, neurons = answers_of(Kind(found.kind), source, target), members(target)
    weights = Draws.draw(TEST.n_trials, 2, np.random.default_rng(0)).weights[:300]
    drawn = [np.repeat(np.arange(TEST.n_trials), w.astype(int)) for w in weights]
    means, pooled = zip(*(bits(answers, neurons, trials) for trials in drawn), strict=True)
    row = found.table.set_index(["source", "target"]).loc[(source, target)]
    means = [np.mean(each) for each in means]
    edges, pooled_edges = np.quantile(means, [0.025, 0.975]), np.quantile(pooled, [0.025, 0.975])
    # 300 resamples here, 1000 there
    assert [row["ci_low"], row["ci_high"]] == pytest.approx(edges, abs=0.15 * np.ptp(edges) + 1e-9)
    assert [row["pooled_low"], row["pooled_high"]] == pytest.approx(pooled_edges, abs=0.15 * np.ptp(pooled_edges))


@pytest.mark.parametrize(("source", "target"), [("CA1", "LP"), ("VISp", "VISp")])
def test_p_is_that_of_all_sign_flips(found, source, target):
    kind, neurons = Kind(found.kind), members(target)
    real = answers_of(kind, source, target)[0]
    moved = [answers_of(kind, source, target, shift)[0] for shift in found.protocol["shifts"]]
    difference = [
        math.fsum(real[k, n] - sum(each[k, n] for each in moved) / len(moved) for n in neurons)
        for k in range(TEST.n_trials)
    ]
    flips = [sum(np.array(signs) * difference) for signs in product((1, -1), repeat=TEST.n_trials)]
    exact = np.mean(np.array(flips) >= sum(difference) - 1e-9)
    row = found.table.set_index(["source", "target"]).loc[(source, target)]
    assert TEST.n_trials == 8 and row["p"] == pytest.approx(exact, abs=0.02)


def test_a_context_of_one_region_loses_what_that_region_adds():
    table = last(information_map(CHECKPOINT, TRIALS, Settings(nulls=0))).table
    lost = last(context_loss(CHECKPOINT, TRIALS, REGIONS == "CA1"))
    cells = table[table["source"] == "CA1"].set_index("target")
    assert list(lost.regions["region"]) == ["VISp", "LP"]
    for row in lost.regions.to_dict("records"):
        cell = cells.loc[row["region"]]
        expected = [cell[name] for name in ("gain_mean", "gain_pooled", "ci_low", "ci_high")]
        assert [row[name] for name in ("loss_mean", "loss_pooled", "ci_low", "ci_high")] == pytest.approx(
            expected, abs=1e-6
        )


def test_the_loss_of_each_neuron_equals_brute_force():
    context = [0, 3, 5, 12]  # parts of three regions, and the neuron of unknown place
    hidden = np.isin(np.arange(len(REGIONS)), context)
    lost = last(context_loss(CHECKPOINT, TRIALS, hidden))
    assert list(lost.regions["region"]) == list(ORDER) and lost.n_hidden == 4 and lost.complete
    for region in ORDER:
        inside = members(region)
        better = log_likelihoods(rates_of(inside, Scheme.INTER_REGION), inside)
        worse = log_likelihoods(rates_of([*inside, *context], Scheme.INTER_REGION), inside)
        expected, pooled = bits((better, worse), inside, range(TEST.n_trials))
        rows = lost.neurons[lost.neurons["region"] == region]
        assert rows["loss"].dropna().to_numpy() == pytest.approx(expected, abs=1e-6)
        row = lost.regions.set_index("region").loc[region]
        assert (row["loss_mean"], row["loss_pooled"]) == pytest.approx((np.mean(expected), pooled), abs=1e-6)
        fired = rows.dropna()
        assert ((fired["ci_low"] <= fired["loss"]) & (fired["loss"] <= fired["ci_high"])).all()
    assert lost.neurons.set_index("uuid").loc[str(TRIALS.unit_ids[SILENT])].isna()["loss"]


def test_a_region_that_holds_the_whole_context_is_no_target():
    lost = last(context_loss(CHECKPOINT, TRIALS, np.isin(np.arange(len(REGIONS)), [0, 2])))
    assert list(lost.regions["region"]) == ["VISp", "CA1"]
    assert "LP" in [each.region for each in lost.excluded]


# --- nothing hidden matters -------------------------------------------------------------------------------------------


def poisons(counts):
    rng = np.random.default_rng(5)
    return (np.full(counts.shape, np.nan), np.full(counts.shape, 1e6), rng.poisson(3.0, counts.shape))


@pytest.mark.parametrize("which", range(3), ids=["NaN", "1e6", "scrambled"])
@pytest.mark.parametrize("kind", list(Kind))
def test_hidden_sources_and_targets_do_not_matter(monkeypatch, kind, which):
    def poisoned(model, trials, mask, neurons):
        counts = np.where(mask.hidden.numpy(), poisons(trials.counts)[which], trials.counts)
        return predict(model, replace(trials, counts=counts.astype(np.float32)), mask, neurons)

    settings = Settings(kind, nulls=1)
    expected = last(information_map(CHECKPOINT, TRIALS, settings)).to_json()
    monkeypatch.setattr(information_questions, "predict", poisoned)
    assert last(information_map(CHECKPOINT, TRIALS, settings)).to_json() == expected


def rates_asked(monkeypatch, part, question):
    seen = []

    def watched(*given):
        seen.append(predict(*given))
        return seen[-1]

    monkeypatch.setattr(information_questions, "predict", watched)
    list(ask(MODEL, part, [question]))
    return np.concatenate(seen)


@pytest.mark.parametrize("which", range(3), ids=["NaN", "1e6", "scrambled"])
def test_a_shift_lets_in_no_hidden_entry_of_any_trial(monkeypatch, which):
    """Neither the hidden neurons of another trial, nor what stands in its bins without data."""
    hidden, moved = REGIONS == "LP", REGIONS != "VISp"  # overlapping: what is hidden is not moved
    question = Question(hidden, np.flatnonzero(hidden), Scheme.INTER_REGION, moved, 3)
    part = replace(TEST, counts=TEST.counts.astype(np.float32))
    expected = rates_asked(monkeypatch, part, question)
    unseen = np.broadcast_to(hidden, TEST.counts.shape) | ~TEST.valid[:, :, None]
    poison = np.where(unseen, np.minimum(poisons(TEST.counts)[which], 1e6), TEST.counts).astype(np.float32)
    finite = np.nan_to_num(poison, nan=0.0)  # the scores themselves need counts; predictions must not
    monkeypatch.setattr(information_questions.SpikeSums, "add", lambda *given, **named: None)
    assert np.array_equal(rates_asked(monkeypatch, replace(TEST, counts=poison), question), expected)
    assert np.array_equal(rates_asked(monkeypatch, replace(TEST, counts=finite), question), expected)


def test_trials_of_other_splits_do_not_matter():
    counts = TRIALS.counts.copy()
    counts[TRIALS.split != "test"] = 200
    both = (last(information_map(CHECKPOINT, t, Settings(nulls=1))) for t in (TRIALS, replace(TRIALS, counts=counts)))
    first, second = (each.table for each in both)
    assert first.equals(second)


def test_the_shown_source_matters():
    """Else the tests above would pass for a map that reads nothing."""
    counts = TRIALS.counts.copy()
    counts[:, :, 3] += 1
    before, after = (
        last(information_map(checkpoint_of(MODEL, t), t, Settings(nulls=0))).matrix("gain_mean")
        for t in (TRIALS, replace(TRIALS, counts=counts))
    )
    assert (before[1, [0, 2]] != after[1, [0, 2]]).all()


def test_arguments_stay_unchanged():
    before = TRIALS.counts.copy(), TRIALS.regions.copy()
    last(information_map(CHECKPOINT, TRIALS, Settings(nulls=1)))
    assert np.array_equal(TRIALS.counts, before[0]) and np.array_equal(TRIALS.regions, before[1])


def test_a_scored_neuron_must_be_hidden():
    with pytest.raises(ValueError, match="hide what is scored"):
        Question(REGIONS == "LP", np.array([5]), Scheme.NEURON)


# --- what chance does -------------------------------------------------------------------------------------------------


def test_a_shift_moves_the_chosen_neurons_only():
    moved = REGIONS == "CA1"
    piece, missing = with_moved(TEST, np.arange(2, 5), moved, 3)
    assert np.array_equal(piece.counts[:, :, ~moved], TEST.counts[2:5][:, :, ~moved])
    assert np.array_equal(piece.counts[:, :, moved], TEST.counts[[7, 0, 1]][:, :, moved])
    assert np.array_equal(missing[:, :, moved].all(axis=2), ~TEST.valid[[7, 0, 1]]) and not missing[:, :, ~moved].any()


def test_shifts_differ_and_none_is_the_trial_itself():
    for n_trials in (2, 3, 5, 50):
        shifts = Draws.draw(n_trials, 3, np.random.default_rng(n_trials)).shifts
        assert len(set(shifts)) == len(shifts) == min(3, n_trials - 1) and all(0 < s < n_trials for s in shifts)


def test_p_of_no_difference_is_one_and_of_a_clear_one_is_smallest():
    signs = Draws.draw(40, 0, np.random.default_rng(0)).signs
    assert sign_flip_p(np.zeros(40), signs) == 1.0
    assert sign_flip_p(np.full(40, 0.3), signs) == 1 / 10_001
    assert sign_flip_p(np.full(40, -0.3), signs) == 1.0
    assert math.isnan(sign_flip_p(np.full(40, np.nan), signs))


def test_q_values_are_those_of_benjamini_and_hochberg():
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.5])
    assert q_values(p) == pytest.approx([0.04, np.nan, 0.16 / 3, 0.16 / 3, 0.5], nan_ok=True)
    assert np.isnan(q_values(np.full(2, np.nan))).all()


def test_p_of_sources_that_are_pure_noise_is_uniform():
    """Every neuron fires on its own, so that no source tells anything of any target."""
    names, found = np.repeat(["VISp", "CA1", "DG", "LP", "PO", "MD"], 2), []
    for seed in range(2):
        noise = np.random.default_rng(seed).poisson(0.5, (125, 8, len(names))).astype(np.uint8)
        trials = small_trials(shape=noise.shape, counts=noise, regions=names)
        model = checkpoint_of(small_model(trials, seed=seed), trials)
        found.append(last(information_map(model, trials, Settings(nulls=3))))
    p = np.concatenate([each.table["p"] for each in found])
    assert p.size == 2 * 36 and (p < 0.1).mean() <= 0.2 and 0.3 < (p < 0.5).mean() < 0.7 and (p > 0.8).any()
    # In this untrained model a hidden neuron shifts rates by chance, and some gains are above 0: the shifted source
    # shifts them as well, so none of it is a finding.
    assert any((each.matrix("ci_low") > 0).any() for each in found)
    assert not any(each.found.any() for each in found)


def test_a_source_that_the_model_does_not_read_adds_exactly_nothing():
    deaf = small_model(TRIALS)
    with torch.no_grad():
        for table in (deaf.units.input, deaf.units.hidden_signal):
            table[np.flatnonzero(REGIONS == "CA1")] = 0
    found = last(information_map(checkpoint_of(deaf, TRIALS), TRIALS, Settings(nulls=2)))
    row, others = ORDER.index("CA1"), [0, 2]
    for column in ("gain_mean", "gain_pooled", "ci_low", "ci_high", "pooled_low", "pooled_high", "control"):
        assert found.matrix(column)[row, others] == pytest.approx(0, abs=1e-6)
    assert (found.matrix("p")[row, others] > 0.05).all() and not found.found[row, others].any()


# --- planted coupling -------------------------------------------------------------------------------------------------

COUPLED = ({"LP", "VISa"}, {"VISa", "PO"}, {"PO", "CA1"}, {"CA1", "DG"})  # in data/simulate.py each drives the next


@pytest.mark.slow
@pytest.mark.parametrize("session", ["simulated-1", "simulated-4"])
def test_a_planted_coupling_appears(session):
    from mtm_core.data.catalogue import open_session

    trials = open_session(session).align()
    found = last(information_map(load_checkpoint(SIMULATED), trials, Settings(nulls=0)))
    table = found.table[found.table["source"] != found.table["target"]]
    coupled = np.array([{a, b} in COUPLED for a, b in zip(table["source"], table["target"], strict=True)])
    gain = table["gain_mean"].to_numpy()
    assert coupled.sum() == 8 and coupled[np.argsort(gain)[-6:]].all()
    assert gain[coupled].mean() > 4 * gain[~coupled].mean()
    assert (table["ci_low"][coupled] > 0).all()
    assert (np.diag(found.matrix("ci_low")) > 0).all()


# --- steps, tables, files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(Kind))
def test_every_step_brings_a_usable_map_and_only_the_last_is_complete(kind):
    settings = Settings(kind, nulls=2)
    shares, maps = zip(*information_map(CHECKPOINT, TRIALS, settings), strict=True)
    assert len(shares) == n_questions(kind, groups_of(TEST), 2) * n_steps(TEST) + 1
    assert list(shares) == sorted(shares) and shares[-2:] == (1.0, 1.0) and 0 < shares[0] < 0.1
    assert [each.complete for each in maps] == [False] * (len(maps) - 1) + [True]
    n_known = [int(np.isfinite(each.matrix("gain_mean")).sum()) for each in maps]
    assert n_known[0] == 0 and n_known == sorted(n_known) and n_known[-1] == 9
    half, whole = maps[len(maps) // 2].matrix("gain_mean"), maps[-1].matrix("gain_mean")
    assert np.array_equal(half[np.isfinite(half)], whole[np.isfinite(half)])


def test_steps_do_not_change_the_result(monkeypatch):
    whole = last(information_map(CHECKPOINT, TRIALS, Settings(nulls=1)))
    monkeypatch.setattr(information_questions, "TRIALS_PER_STEP", 3)
    pieces = last(information_map(CHECKPOINT, TRIALS, Settings(nulls=1)))
    assert pieces.matrix("gain_mean") == pytest.approx(whole.matrix("gain_mean"), abs=1e-6)


def test_regions_are_in_allen_order_and_the_left_out_ones_are_counted(found):
    assert found.regions == ORDER and found.n_neurons == (6, 2, 3) and found.n_silent == (0, 0, 1)
    assert {each.region: each.n_neurons for each in found.excluded} == {"DG": 1, "root": 1}
    assert sum(found.n_neurons) + sum(each.n_neurons for each in found.excluded) == TRIALS.n_neurons
    reasons = {each.region: each.reason for each in found.excluded}
    assert "fewer than 2" in reasons["DG"] and "no region" in reasons["root"]


def test_a_region_of_one_neuron_has_no_diagonal():
    found = last(information_map(CHECKPOINT, TRIALS, Settings(nulls=1, min_neurons=1)))
    place = found.regions.index("DG")
    for column in ("gain_mean", "gain_pooled", "ci_low", "p", "q", "control"):
        matrix = found.matrix(column)
        assert np.isnan(matrix[place, place]) and np.isfinite(matrix).sum() == 15


def test_without_shifts_there_is_no_control_and_no_p():
    found = last(information_map(CHECKPOINT, TRIALS, Settings(nulls=0)))
    assert found.table[["control", "p", "q"]].isna().all(axis=None) and not found.found.any()
    assert np.isfinite(found.matrix("ci_low")).all()


def test_the_protocol_says_how_it_was_asked(found):
    about, alone = found.protocol, found.kind == "alone"
    assert about["split"] == "test" and about["n_trials"] == TEST.n_trials and about["model"] == "0" * 64
    own = "intra_region" if alone else "neuron"
    assert about["prompt"] == {"own region": own, "other regions": "inter_region"}
    assert bool(about["outside_training"]) == alone


@pytest.mark.parametrize(
    ("trials", "settings", "said"),
    [
        (TRIALS, Settings(split="holdout"), "no holdout trials"),
        (TRIALS, Settings(min_neurons=7), "at least 7 neurons"),
        (replace(TRIALS, split=np.roll(TRIALS.split, 1)), Settings(), "split"),
    ],
    ids=["no such split", "no region", "other split"],
)
def test_what_cannot_be_measured_is_refused(trials, settings, said):
    with pytest.raises(ValueError, match=said):
        next(information_map(CHECKPOINT, trials, settings))


def test_an_empty_context_is_refused():
    with pytest.raises(ValueError, match="hides none"):
        next(context_loss(CHECKPOINT, TRIALS, np.zeros(TRIALS.n_neurons, dtype=bool)))


def test_json_holds_the_matrices_and_no_nan(found):
    text = json.dumps(found.to_json(), allow_nan=False)
    read = json.loads(text)
    assert read["regions"] == list(ORDER) and read["kind"] == found.kind and read["complete"] is True
    for name, column in {
        "gain": "gain_mean",
        "low": "ci_low",
        "high": "ci_high",
        "control": "control",
        "q": "q",
    }.items():
        assert np.array_equal(np.array(read[name], dtype=float), found.matrix(column))
    first = next(information_map(CHECKPOINT, TRIALS))[1].to_json()
    assert first["gain"] == [[None] * 3] * 3 and first["complete"] is False


def test_csv_holds_every_cell_once(found):
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert [(row["source"], row["target"]) for row in rows] == CELLS
    assert [float(row["gain_mean"]) for row in rows] == list(found.table["gain_mean"])


def test_names_that_a_spreadsheet_would_compute_get_an_apostrophe():
    names = ("=cmd()", "+1", "-1", "@SUM", "CA1")
    empty = InformationMap("=s", "lost", names, (2,) * 5, (0,) * 5, (), {}, {}, False)
    rows = list(csv.DictReader(io.StringIO(empty.to_csv())))
    assert [row["target"] for row in rows[:5]] == ["'=cmd()", "'+1", "'-1", "'@SUM", "CA1"]
    assert {row["session"] for row in rows} == {"'=s"} and rows[0]["gain_mean"] == ""


def test_a_finding_needs_both_an_interval_above_zero_and_a_small_q():
    def cell(low, p):
        gain = information_questions.Gain(0.1, low, 0.2, 0.1, low, 0.2)
        return Cell(gain, 0.0, p)

    cells = {(0, 0): cell(0.05, 1e-4), (0, 1): cell(-0.05, 1e-4), (1, 0): cell(0.05, 0.9)}
    two = InformationMap("s", "lost", ("VISp", "CA1"), (2, 2), (0, 0), (), cells, {}, False)
    assert two.found.tolist() == [[True, False], [False, False]]

from __future__ import annotations

import argparse
import json
import pickle
from dataclasses import asdict, replace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import torch
from small import small_trials

from mtm_core import jobs
from mtm_core.checkpoint import load_checkpoint
from mtm_core.commands import ablation as ablation_command
from mtm_core.commands import experiment_options, score_sessions
from mtm_core.commands import options as shared_options
from mtm_core.commands import scaling as scaling_command
from mtm_core.data.catalogue import open_session
from mtm_core.evaluation.baselines import FITS
from mtm_core.evaluation.questions import TASKS, Asking
from mtm_core.evaluation.tasks import score_task
from mtm_core.experiments import many_sessions, published, scaling
from mtm_core.experiments.ablation import ROWS, Part, cells, run_part, usual_rows, values
from mtm_core.experiments.ablation_tables import markdown, plain
from mtm_core.experiments.gains import SCRATCH, gains, scores
from mtm_core.experiments.measure import as_checkpoint
from mtm_core.experiments.paired import paired
from mtm_core.experiments.results import Results
from mtm_core.masking import MTM_SCHEMES, Scheme
from mtm_core.models.mtm import MtMConfig
from mtm_core.training.build import build_model
from mtm_core.training.config import TrainConfig
from mtm_core.training.fit import finished, fit
from mtm_core.training.loop import best_model
from mtm_core.training.presets import PRESETS

CPU = torch.device("cpu")
SIZE = MtMConfig(width=16, n_layers=1, n_heads=2)
BUDGET = TrainConfig(steps=3, batch_size=8, n_validations=1)
TINY = ["--width", "16", "--layers", "1", "--steps", "2", "--device", "cpu"]


def parsed(add, *arguments):
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers(dest="command"))
    return parser.parse_args([str(argument) for argument in arguments])


def test_options_name_what_there_is():
    assert experiment_options.ROWS == tuple(ROWS) and experiment_options.TASKS == TASKS
    assert set(experiment_options.BASELINES) < set(FITS) and set(shared_options.PRESETS) == set(PRESETS)


# --- finished parts ---------------------------------------------------------------------------------------------------


def test_a_result_is_found_again_by_all_of_its_settings(tmp_path):
    kept, settings = Results(tmp_path / "new"), {"seed": 1, "schemes": ("neuron",)}
    assert kept.get("a", settings) is None
    kept.put("a", settings, {"score": 0.5})
    assert kept.get("a", {"schemes": ["neuron"], "seed": 1}) == {"score": 0.5}
    assert kept.get("a", {**settings, "seed": 2}) is None


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"result": {"score": 1}}'])
def test_a_damaged_result_is_none(tmp_path, damage):
    kept = Results(tmp_path)
    kept.put("a", {"seed": 1}, {"score": 0.5})
    kept.file("a", {"seed": 1}).write_text(damage)
    assert kept.get("a", {"seed": 1}) is None


# --- ablation: models -------------------------------------------------------------------------------------------------


def test_rows_train_on_what_their_names_say_with_one_budget():
    configs = {name: Part(name, 4, SIZE, BUDGET).configs for name in ROWS}
    assert configs["causal"][1].schemes == (Scheme.CAUSAL,) and configs["mtm_prompted"][1].schemes == MTM_SCHEMES
    assert [name for name, (model, _) in configs.items() if model.prompted] == ["mtm_prompted"]
    assert {replace(train, schemes=MTM_SCHEMES) for _, train in configs.values()} == {replace(BUDGET, seed=4)}


@pytest.mark.parametrize("tokens", ["ndt1", "ndt2"])
def test_the_usual_rows_are_those_of_the_paper(tokens):
    assert set(usual_rows(tokens)) == set(published.TABLES[tokens])


def test_published_numbers_are_those_of_the_tables():
    assert published.published("ndt1", "mtm_prompted", "co_smoothing") == 0.98
    assert published.published("ndt2", "intra_region", "motion_energy") == 0.43
    assert published.published("ndt1", "random_token", "choice") is None


def test_an_ablation_without_a_number_of_steps_is_refused():
    with pytest.raises(ValueError, match="number of steps"):
        Part("neuron", 0, SIZE, TrainConfig())
    with pytest.raises(ValueError, match="no row"):
        Part("nothing", 0, SIZE, BUDGET)


@pytest.fixture(scope="module")
def trials():
    rng = np.random.default_rng(5)
    found = small_trials(shape=(60, 12, 12))
    energy = found.counts.sum(axis=2) + rng.normal(size=(60, 12))
    return replace(found, behaviors={**found.behaviors, "whisker_motion_energy": energy})


@pytest.fixture(scope="module")
def result(trials):
    return run_part(Part("mtm_prompted", 3, SIZE, BUDGET), trials, CPU)


def test_numbers_of_the_table_are_those_of_score_task(trials, result):
    model_config, config = Part("mtm_prompted", 3, SIZE, BUDGET).configs
    trainer = fit(build_model(model_config, [trials], 3), [trials], config)
    models = {"as_trained": best_model(trainer.run), "calibrated": finished(trainer)[0]}
    table = cells(values([result])).set_index(["weights", "measure", "column"])["mean"]
    for weights, model in models.items():
        for task in TASKS:
            *_, last = score_task(as_checkpoint(model, [trials], "x"), trials, task, Asking(grouped=True))
            assert table[weights, "mean", task] == last.score.summary.mean
            assert table[weights, "pooled", task] == last.score.summary.pooled


def test_behavior_is_decoded_where_the_recording_has_it(trials, result):
    assert set(result["as_trained"]["decoding"]) == {"choice", "motion_energy"}
    assert 0 <= result["as_trained"]["decoding"]["choice"] <= 1
    patches = replace(SIZE, patch_neurons=4)
    bare = run_part(Part("random_token", 0, patches, BUDGET), replace(trials, behaviors={}), CPU)
    assert bare["as_trained"]["decoding"] == {} and bare["tokens"] == "ndt2"
    assert set(bare["calibrated"]["tasks"]) == set(TASKS)


# --- ablation: tables -------------------------------------------------------------------------------------------------


def fake(row, seed, score):
    both = {"tasks": {"co_smoothing": {"mean": score, "pooled": 2 * score}}, "decoding": {"choice": 0.5}}
    return {"session": "a", "tokens": "ndt1", "row": row, "seed": seed, "as_trained": both, "calibrated": both}


def test_cells_are_mean_and_standard_deviation_over_seeds():
    table = cells(values([fake("neuron", 0, 0.1), fake("neuron", 1, 0.3), fake("causal", 0, 0.2)]))
    by_cell = table.set_index(["weights", "measure", "row", "column"])
    one = by_cell.loc["calibrated", "pooled", "neuron", "co_smoothing"]
    assert one["mean"] == pytest.approx(0.4) and one["sd"] == pytest.approx(0.2 * 2**0.5) and one["n"] == 2
    assert np.isnan(by_cell.loc["calibrated", "mean", "causal", "co_smoothing"]["sd"])


def test_the_markdown_table_has_the_papers_number_beside_the_mean_and_not_beside_the_pooled_score():
    text = markdown(cells(values([fake("neuron", 0, 0.1), fake("neuron", 1, 0.3)])))
    assert "| neuron | 0.200 ± 0.141 (1.04) | 0.500 ± 0.000 (0.68) |" in text
    assert "| neuron | 0.400 ± 0.283 | 0.500 ± 0.000 |" in text and "arXiv 2407.14668" in text


def test_what_could_not_be_measured_is_a_dash():
    missing = fake("causal", 0, 0.2)
    missing["as_trained"] = missing["calibrated"] = {"tasks": missing["as_trained"]["tasks"], "decoding": {}}
    text = plain(cells(values([fake("neuron", 0, 0.1), missing])))
    assert [line.split() for line in text.splitlines() if "causal" in line][0] == ["causal", "0.200", "-"]


# --- ablation: the command --------------------------------------------------------------------------------------------


def test_a_killed_ablation_goes_on_and_repeats_nothing(trials, tmp_path, monkeypatch, capsys):
    names, begun = ["neuron", "causal"], []
    options = parsed(
        experiment_options.add_ablation, "ablation", "--simulated", *TINY, "--rows", *names,
        "--out", tmp_path / "parts", "--json", tmp_path / "all.json", "--markdown", tmp_path / "all.md",
    )  # fmt: skip
    monkeypatch.setattr(ablation_command, "open_trials", lambda session, options: trials)

    def killed_at(row):
        def run(part, *others):
            begun.append(part.row)
            if part.row == row:
                raise KeyboardInterrupt
            return run_part(part, *others)

        return run

    monkeypatch.setattr(ablation_command, "run_part", killed_at("causal"))
    with pytest.raises(KeyboardInterrupt):
        ablation_command.run(options)
    assert begun == ["neuron", "causal"] and len(list((tmp_path / "parts").iterdir())) == 1
    for times in (1, 2):
        monkeypatch.setattr(ablation_command, "run_part", killed_at(None))
        assert ablation_command.run(options) == 0
        assert begun == ["neuron", "causal", "causal"], f"time {times}"
    results = json.loads((tmp_path / "all.json").read_text())
    assert [each["row"] for each in results] == names and {each["steps"] for each in results} == {2}
    assert "0 of them done" in capsys.readouterr().out and "| causal |" in (tmp_path / "all.md").read_text()


def test_parts_that_workers_compute_are_those_computed_here(tmp_path, monkeypatch):
    base = ["ablation", "--session", "a", *TINY, "--rows", "neuron", "--out"]
    here = parsed(experiment_options.add_ablation, *base, tmp_path / "here")
    there = parsed(experiment_options.add_ablation, *base, tmp_path / "there", "--workers", "1")
    trials = small_trials("a", behaviors={})
    sent = []

    def in_process(function, items, **about):
        sent.append(about)
        return ((item, function(pickle.loads(pickle.dumps(item)))) for item in items)

    monkeypatch.setattr(ablation_command, "spread", in_process)
    monkeypatch.setattr(many_sessions.Cut, "trials", lambda cut, session, folder: trials)
    local, sent_away = (ablation_command.results_of(trials, options, CPU)[0] for options in (here, there))
    assert {**local, "seconds": 0} == {**sent_away, "seconds": 0}
    assert sent == [{"scheduler": None, "gpu": False, "workers": 1}]


def test_a_part_that_failed_is_named_after_all_others_are_kept(tmp_path, monkeypatch):
    options = parsed(
        experiment_options.add_ablation, "ablation", "--session", "a", *TINY, "--rows", "neuron", "causal",
        "--out", tmp_path, "--workers", "1",
    )  # fmt: skip

    def one_fails(function, items, **about):
        return zip(items, (jobs.Failed(ValueError("no")), {"score": 1}), strict=True)

    monkeypatch.setattr(ablation_command, "spread", one_fails)
    with pytest.raises(RuntimeError, match="neuron-seed0 failed"):
        ablation_command.results_of(small_trials("a"), options, CPU)
    assert [path.name.split("-")[1] for path in tmp_path.iterdir()] == ["causal"]


# --- scaling ----------------------------------------------------------------------------------------------------------

ANIMALS = {"a1": "A", "a2": "A", "a3": "A", "b1": "B", "b2": "B", "c1": "C"}


def test_sessions_of_the_held_out_animal_and_twins_are_never_trained_on():
    for each in scaling.held_out(ANIMALS, {"a2": "a1", "a1": "a2", "c1": ""}):
        used = [*each.targets, *each.pool]
        assert len(set(used)) == len(used) == 5 and "a2" not in used
        assert {ANIMALS[session] for session in each.targets} == {each.animal}
        assert each.animal not in {ANIMALS[session] for session in each.pool}


def test_a_twin_under_another_animals_name_is_on_one_side_only():
    for each in scaling.held_out({"a1": "A", "b1": "B", "b2": "B"}, {"b1": "a1", "a1": "b1"}):
        assert "b1" not in (*each.targets, *each.pool)


def test_fewer_sessions_are_among_more_in_an_order_that_stays():
    for each in scaling.held_out(ANIMALS, {}):
        assert each.pool[:2] == each.first("2") == each.first("all")[:2]
        assert each.sizes(["1", "4", "all"]) == (("1", "all") if each.animal == "A" else ("1", "4", "all"))
    assert scaling.held_out(ANIMALS, {}) == scaling.held_out(ANIMALS, {})
    assert [len(each.targets) for each in scaling.held_out(ANIMALS, {}, 1)] == [1, 1, 1]
    with pytest.raises(ValueError, match="second one"):
        scaling.held_out({"a1": "A"}, {})


def test_pre_training_grows_with_the_sessions_and_the_targets_budget_does_not(trials):
    plan = scaling.Plan(
        SIZE, replace(BUDGET, sessions_per_batch=4), replace(BUDGET, steps=None, trunk_learning_rate=0.5)
    )
    assert [plan.pretraining(n, 7).steps for n in (1, 3)] == [3, 9]
    assert [plan.pretraining(n, 7).sessions_per_batch for n in (1, 9)] == [1, 4]
    tuned, fresh = plan.tuning(trials, 7, False), plan.tuning(trials, 7, True)
    assert tuned.steps == fresh.steps == 300 and (tuned.trunk_learning_rate, fresh.trunk_learning_rate) == (0.5, 1.0)


def test_test_trials_of_other_animals_leave_no_trace_in_the_trunk():
    plan, worker = scaling.Plan(SIZE, BUDGET, BUDGET), scaling.Worker(CPU)
    sessions = [small_trials(name, seed=i) for i, name in enumerate("ab")]
    spoiled = []
    for each in sessions:
        counts = each.counts.copy()
        counts[each.split == "test"] = 200
        spoiled.append(replace(each, counts=counts))
    clean, other = (worker.pretrain(plan, some, 1) for some in (sessions, spoiled))
    assert clean.session_ids == () and clean.unit_ids == ()
    for (name, weight), (_, same) in zip(clean.trunk(), other.trunk(), strict=True):
        assert torch.equal(weight, same), name


def scaled(session, size, seed, score):
    numbers = {"co_smoothing": {"mean": score, "pooled": None}}
    return {"animal": "A", "session": session, "size": size, "n_sessions": 3, "seed": seed, "tasks": numbers}


def test_gains_are_paired_over_sessions_after_seeds_were_averaged():
    fresh = [scaled("x", SCRATCH, 0, 0.1), scaled("x", SCRATCH, 1, 0.3), scaled("y", SCRATCH, 0, 0.5)]
    tuned = [scaled("x", "3", 0, 0.2), scaled("x", "3", 1, 0.6), scaled("y", "3", 0, 0.9), scaled("z", "3", 0, 9.0)]
    found = {each["task"]: each for each in gains(scores(fresh + tuned))}
    one = found["co_smoothing"]
    assert one["gain"] == pytest.approx((0.2 + 0.4) / 2) and one["n_targets"] == one["n_better"] == 2
    assert one["tuned"] - one["fresh"] == pytest.approx(one["gain"])
    half = 12.7062 * np.std([0.2, 0.4], ddof=1) / 2**0.5  # Student's t, one degree of freedom
    assert one["interval"] == pytest.approx((0.3 - half, 0.3 + half), rel=1e-4)
    assert found["mean of tasks"]["gain"] == pytest.approx(one["gain"])


def test_a_paired_interval_is_students():
    found = paired(np.array([1.0, 2.0, 3.0]))
    assert found.interval == pytest.approx((2 - 4.30265 / 3**0.5, 2 + 4.30265 / 3**0.5), rel=1e-5)
    assert (found.n, found.mean, found.n_better) == (3, 2.0, 3)
    assert paired(np.array([1.0])).interval is None
    with pytest.raises(ValueError, match="no numbers"):
        paired(np.array([1.0, np.nan]))


def test_a_scaling_experiment_goes_on_and_draws(tmp_path, monkeypatch):
    sessions = {name: small_trials(name, seed=i) for i, name in enumerate(("a1", "b1", "b2"))}
    animals = scaling.held_out({"a1": "A", "b1": "B", "b2": "B"}, {}, 1)
    monkeypatch.setattr(scaling_command, "opened", lambda options: (sessions, animals))
    options = parsed(
        experiment_options.add_scaling, "scaling", "--animals", "A", "B", "--sizes", "1", "all", *TINY,
        "--pretrain-steps-per-session", "2", "--out", tmp_path / "parts", "--json", tmp_path / "all.json",
        "--figure", tmp_path / "all.svg",
    )  # fmt: skip
    assert scaling_command.run(options) == 0
    first = json.loads((tmp_path / "all.json").read_text())
    assert {(each["animal"], each["size"], each["n_sessions"]) for each in first["results"]} == {
        ("A", "0", 0), ("A", "1", 1), ("A", "all", 2), ("B", "0", 0), ("B", "1", 1), ("B", "all", 1),
    }  # fmt: skip
    assert ElementTree.parse(tmp_path / "all.svg").getroot().tag.endswith("svg")  # noqa: S314 (just written)
    (trunk,) = (path for path in (tmp_path / "parts").iterdir() if path.name.startswith("after-2"))
    assert load_checkpoint(trunk).session_ids == ()
    for part in (tmp_path / "parts").glob("a1*after-2*.json"):
        part.unlink()  # as if killed after pre-training: only the target is tuned again
    trained = []
    train = scaling.Worker.train
    monkeypatch.setattr(
        scaling.Worker, "train", lambda self, *about: trained.append(len(about[1])) or train(self, *about)
    )
    assert scaling_command.run(options) == 0
    again = json.loads((tmp_path / "all.json").read_text())
    assert trained == [1] and again["gains"] == first["gains"]


# --- many sessions ----------------------------------------------------------------------------------------------------


def test_differences_are_over_the_sessions_that_both_scored():
    found = {"mean": 1.0, "pooled": 0.5, "mean_ci": (0.0, 2.0), "pooled_ci": None, "n": 7}
    results = [{"session": s, "predictor": "m", "tasks": {"co_smoothing": {**found, "mean": float(i)}}}
               for i, s in enumerate("abc")]  # fmt: skip
    results += [{"session": s, "predictor": "psth", "tasks": {"co_smoothing": found}} for s in "bc"]
    scored = many_sessions.table(results)
    (mean, pooled) = many_sessions.differences(scored, "m")
    assert (mean["minus"], mean["n"], mean["mean"], mean["n_better"]) == ("psth", 2, 0.5, 1)
    assert pooled["mean"] == 0.0 and pooled["interval"] is None
    over = many_sessions.over_sessions(scored).set_index(["measure", "predictor"])["mean"]
    assert over["mean", "m"] == 1.0 and over["mean", "psth"] == 1.0


def test_scores_of_many_sessions_are_those_of_score_task(untrained_model, tmp_path, monkeypatch, capsys):
    def in_process(function, items, **about):
        return ((item, function(pickle.loads(pickle.dumps(item)))) for item in reversed(items))

    monkeypatch.setattr(score_sessions, "spread", in_process)
    options = parsed(
        experiment_options.add_score_sessions, "score-sessions", untrained_model, "--tasks", "forward_prediction",
        "--baselines", "psth", "--json", tmp_path / "all.json", "--csv", tmp_path / "all.csv", "--device", "cpu",
    )  # fmt: skip
    assert score_sessions.run(options) == 0
    found = json.loads((tmp_path / "all.json").read_text())
    *_, last = score_task(load_checkpoint(untrained_model), open_session("simulated-1").align(), "forward_prediction")
    expected = json.loads(json.dumps(asdict(last.score.summary)))
    assert found["sessions"][0] == {
        "session": "simulated-1", "predictor": "untrained", "tasks": {"forward_prediction": expected},
    }  # fmt: skip
    table = pd.read_csv(tmp_path / "all.csv")
    assert set(table["predictor"]) == {"untrained", "psth"} and len(table) == 4
    assert "untrained minus others" in capsys.readouterr().out

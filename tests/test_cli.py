from __future__ import annotations

import json
from dataclasses import fields

import pytest

from mtm_core.__main__ import main
from mtm_core.checkpoint import load_checkpoint, save_checkpoint
from mtm_core.evaluation.baselines import FITS
from mtm_core.evaluation.questions import TASKS
from mtm_core.evaluation.score import Summary
from mtm_core.training.loop import Trainer

SIZE = ["--width", "16", "--layers", "1", "--bin-size", "0.1", "--device", "cpu"]
SUMMARY = {field.name for field in fields(Summary)}
ABOUT = {"task", "against_train_mean", "per_region", "per_neuron", "neurons", "ceiling", "protocol", "complete"}


def train(*options):
    return main(["train", "--session", "simulated-4", *SIZE, *map(str, options)])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    assert train("--steps", 6, "--out", folder) == 0
    return folder


def refusal(capsys, *arguments):
    """The one sentence with which a command refuses."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("mtm: ") and not any("Traceback" in line for line in said)
    return said[-1]


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_sessions_are_listed_as_json_and_as_a_table(capsys):
    assert main(["sessions", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"id", "n_neurons", "n_trials", "regions", "problem"} <= rows[0].keys()
    assert [row["id"] for row in rows][:4] == [f"simulated-{n}" for n in range(1, 5)]
    assert main(["sessions"]) == 0
    table = capsys.readouterr().out
    assert "simulated-4" in table and "n_neurons" in table


# --- train ------------------------------------------------------------------------------------------------------------


def test_a_checkpoint_says_what_it_was_trained_on(checkpoint):
    manifest = load_checkpoint(checkpoint).manifest
    assert [about["session"] for about in manifest["data"]] == ["simulated-4"]
    assert manifest["training"]["steps_done"] == 6 and manifest["training"]["best_step"] > 0
    assert manifest["schemes"] == ["neuron", "causal", "intra_region", "inter_region"]
    assert not list(checkpoint.glob("*resume*"))


def test_a_folder_that_cannot_be_written_is_refused_before_the_first_step(tmp_path, monkeypatch, capsys):
    file = tmp_path / "file"
    file.write_text("here", "utf-8")
    monkeypatch.setattr(Trainer, "steps", pytest.fail)
    assert str(file) in refusal(capsys, "train", "--session", "simulated-4", "--steps", 1, *SIZE, "--out", file)
    assert file.read_text("utf-8") == "here"


def test_a_killed_command_keeps_its_run_until_the_checkpoint_is_written(tmp_path, monkeypatch):
    from mtm_core.commands import running as command

    def die(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(command, "save_checkpoint", die)
        assert train("--steps", 2, "--out", tmp_path) == 130
    assert (tmp_path / "resume.json").exists()
    assert train("--steps", 2, "--out", tmp_path) == 0
    assert load_checkpoint(tmp_path).manifest["training"]["steps_done"] == 2


def test_a_run_that_failed_says_so_in_its_exit_status(tmp_path, monkeypatch, capsys):
    from mtm_core.training import loss as loss_module

    original = loss_module.poisson_loss
    monkeypatch.setattr(loss_module, "poisson_loss", lambda *given: original(*given) * float("nan"))
    assert train("--steps", 30, "--out", tmp_path) == 1
    assert "10 steps had a loss that is not finite; try another --seed" in capsys.readouterr().out
    load_checkpoint(tmp_path)


# --- evaluate ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def evaluated(checkpoint, tmp_path_factory):
    file = tmp_path_factory.mktemp("scores") / "scores.json"
    assert main(["evaluate", str(checkpoint), "--device", "cpu", "--json", str(file)]) == 0
    return json.loads(file.read_text("utf-8"), parse_constant=pytest.fail)  # NaN and Infinity are no JSON


def test_evaluate_writes_what_later_work_reads(evaluated):
    assert set(evaluated) == {"session", "protocol", "checkpoint", "tasks", "baselines", "comparisons"}
    assert evaluated["session"] == "simulated-4" and evaluated["protocol"]["split"] == "test"
    assert set(evaluated["baselines"]) == {*FITS, "untrained"} == set(evaluated["comparisons"])
    assert all(set(baseline) == {"tasks"} for baseline in evaluated["baselines"].values())
    assert set(evaluated["baselines"]["autoregression"]["tasks"]) == {"forward_prediction"}
    for name, tasks in {
        "mtm": evaluated["tasks"],
        **{n: b["tasks"] for n, b in evaluated["baselines"].items()},
    }.items():
        assert set(tasks) == set(TASKS) or name == "autoregression"
        for task, score in tasks.items():
            assert set(score) == SUMMARY | ABOUT
            assert score["complete"] and score["task"] == task
            assert len(score["per_neuron"]) == len(score["neurons"]) == 240
            assert score["n"] + score["n_silent"] + score["n_excluded"] == 240
            assert all(set(part) == SUMMARY for part in [*score["per_region"].values(), score["against_train_mean"]])


def test_evaluate_ranks_the_baselines(evaluated):
    for task in TASKS:
        means = {name: b["tasks"][task]["mean"] for name, b in evaluated["baselines"].items() if task in b["tasks"]}
        assert means["true_rates"] > means["ridge"] > means["train_mean"]


def test_evaluate_prints_a_table_of_the_chosen_tasks(checkpoint, capsys):
    assert (
        main(["evaluate", str(checkpoint), "--device", "cpu", "--tasks", "forward_prediction", "--split", "train"]) == 0
    )
    text = capsys.readouterr().out
    assert "224 train trials" in text and "forward_prediction" in text and "co_smoothing" not in text
    assert all(name in text for name in ("mtm", "ridge", "true_rates", "scored, silent, excluded"))


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "--session", "nobody", "--out", "x"], "'nobody' is not the id of a session"),
        (["train", "--session", "simulated", "--out", "x"], "matches 4 sessions"),
        (["train", "--session", "simulated-4", "simulated-4", "--out", "x"], "same uuid"),
        (["train", "--session", "simulated-4", "--width", "10", "--out", "x"], "width 10"),
        (["train", "--session", "simulated-4", "--layers", "0", "--out", "x"], "0 layers"),
        (["train", "--session", "simulated-4", "--steps", "0", "--out", "x"], "0 steps"),
        (["train", "--session", "simulated-4", "--minutes", "nan", "--out", "x"], "nan minutes"),
        (["train", "--session", "simulated-4", "--minutes", "inf", "--out", "x"], "inf minutes"),
        (["train", "--session", "simulated-4", "--event", "lunch", "--out", "x"], "no event 'lunch'"),
        (["train", "--session", "simulated-4", "--bin-size", "0.025", "--out", "x"], "multiple"),
        (["train", "--session", "simulated-4", "--window", "1", "0", "--out", "x"], "must end after it starts"),
        (["train", "--session", "simulated-4", "--device", "warp", "--out", "x"], "warp"),
        (["evaluate", "nowhere"], "nowhere/checkpoint.json: no such file"),
        (["sessions", "--cache-dir", "nowhere"], "nowhere"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_a_wrong_command_is_refused_in_a_sentence(arguments, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sentence in refusal(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_session_that_the_model_does_not_know_is_refused(checkpoint, capsys):
    assert "does not know session simulated-3" in refusal(capsys, "evaluate", checkpoint, "--session", "simulated-3")


def test_a_checkpoint_that_names_no_data_is_refused(checkpoint, tmp_path, capsys):
    save_checkpoint(tmp_path, load_checkpoint(checkpoint).model, {})
    assert "does not say which data" in refusal(capsys, "evaluate", tmp_path)


@pytest.mark.parametrize(
    "arguments", [[], ["train"], ["train", "--out", "x"], ["dance"], ["evaluate", "x", "--tasks", "y"]]
)
def test_an_incomplete_command_shows_its_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2 and "usage: mtm" in capsys.readouterr().err

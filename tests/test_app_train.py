"""The page "Train": what is asked of a run, what is said of it, how its curves are drawn, and where its model shows."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from app import recordings
from app.analyses import learning, train_form, training
from app.analyses import models as model_list
from app.analyses.learning import Learned
from app.analyses.train_form import Form
from app.pages import controls, frame, train
from app.pages.train.curves import MOST_DRAWN, Curves
from app.plots.learning import DASHES, ON_DARK, ON_LIGHT, Line, draw_learning, make_learning, recolour_learning
from app.spec import Hide, Spec, decode, encode
from app.state import State
from app.theme import DARK, LIGHT
from app.work import Work
from mtm_core import runs
from mtm_core.runs import Point, Progress, Request, control, folder
from mtm_core.runs import State as Phase

ROOT = Path(__file__).resolve().parents[1]
FORM = Form("scratch", "mtm", ("simulated-1",), "simulated-mtm", ("neuron", "causal"), "small", 5.0, "", False)
PATIENCE = 60.0  # s


@pytest.fixture(autouse=True)
def own_runs(tmp_path, monkeypatch):
    """Runs count instead of training, in a folder of this test; whatever still runs is killed afterwards."""
    monkeypatch.setenv("MTM_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("MTM_ALLOW_TRAINING", "1")
    monkeypatch.delenv("MTM_CACHE_DIR", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(control, "PROGRAM", (sys.executable, str(ROOT / "tests" / "counting_run.py")))
    monkeypatch.setattr(recordings, "RUNS_FRESH", -1.0)
    recordings.runs_changed()
    yield
    for run in runs.list_runs():
        if (process := folder.process_of(run.folder)) is not None:
            os.kill(process.pid, signal.SIGKILL)
    recordings.runs_changed()


def begin(n_steps: int, name: str = "Mine") -> runs.Run:
    return runs.start(Request("train", ("simulated-1",), name=name, minutes=None, steps=n_steps))


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def finished(name: str = "Mine") -> runs.Run:
    run = begin(20, name)
    until(lambda: now(run.id).state is Phase.DONE)
    return now(run.id)


def now(run_id: str) -> runs.Run:
    return next(run for run in runs.list_runs() if run.id == run_id)


def visitor(**spec) -> State:
    """A state that computes nothing."""
    nothing = Work(lambda spec: spec, lambda spec: iter([spec]))
    state = State(nothing, spec=Spec(page="train", **spec), pages=("explore", "train", "translate"))
    state.close()
    return state


def sent(act: str, run_id: str) -> SimpleNamespace:
    return SimpleNamespace(data={"act": act, "id": run_id})


def a_run(state: Phase, request: Request | None = None, **changes) -> runs.Run:
    asked = request or Request("train", ("simulated-1",), name="Mine")
    given = {"wish": "", "reason": "", "has_result": False, **changes}
    return runs.Run("mine-1", Path("runs/mine-1"), asked, "2025-01-02T03:04:05+00:00", state, **given)


def points(*steps: int, best: int = 0) -> Progress:
    """A validation at every step: 0.1 bits per spike at step 10, and so on."""
    made = [Point(s, s / 100, 30.0, 6.0 * s, 1 / s, {"neuron": s / 100, "mean": s / 100}, s <= best) for s in steps]
    return Progress(Path("runs/mine-1"), made)


# --- who may train ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "environment", "may"),
    [
        ("panel serve app --address 127.0.0.1 --port 5006", {}, True),
        ("panel serve app --address=localhost", {}, True),
        ("panel serve app", {}, True),
        ("panel serve app --address 0.0.0.0", {}, False),
        ("panel serve app --address lab.example --allow-websocket-origin lab.example:5006", {}, False),
        ("panel serve app --address 127.0.0.1 --allow-websocket-origin=lab.example", {}, False),
        ("panel serve app --address 127.0.0.1", {"BOKEH_ALLOW_WS_ORIGIN": "lab.example"}, False),
        ("panel serve app --address lab.example", {"MTM_ALLOW_TRAINING": "1"}, True),
        ("panel serve app --address 127.0.0.1", {"MTM_ALLOW_TRAINING": "0"}, False),
    ],
)
def test_training_is_on_where_nobody_comes_from_elsewhere_or_where_it_is_allowed(command, environment, may):
    assert training.allowed(command.split(), environment) is may


def test_the_command_that_opens_the_app_for_this_machine_allows_training():
    from mtm_core.serve import serve_command

    assert training.allowed(serve_command(), {}) and not training.allowed(serve_command(address="lab.example"), {})


def test_where_training_is_off_nothing_is_started_or_changed(monkeypatch):
    run = finished()
    monkeypatch.setenv("MTM_ALLOW_TRAINING", "0")
    with pytest.raises(ValueError, match="Training is off"):
        train_form.start(FORM)
    with pytest.raises(ValueError, match="Training is off"):
        training.act("delete", run.id)
    assert len(runs.list_runs()) == 1 and "delete" not in training.actions(run, training.allowed())
    page = train.FormView(visitor(), lambda run_id: None)
    assert page.begin.disabled and "Training is off" in page.said.text


# --- what is asked ----------------------------------------------------------------------------------------------------


def test_a_form_becomes_the_command_of_its_kind():
    assert train_form.request_of(FORM).command == "train"
    assert train_form.request_of(replace(FORM, kind="pretrain", sessions=("a", "b"))).command == "pretrain"
    tuned = train_form.request_of(replace(FORM, kind="finetune", only_stitcher=True))
    assert tuned.command == "finetune" and tuned.only_stitcher
    assert tuned.checkpoint == str(recordings.models()["simulated-mtm"].absolute())
    assert not train_form.request_of(replace(FORM, only_stitcher=True)).only_stitcher


def test_only_a_model_of_the_list_is_fine_tuned():
    for model in ("/etc", "../simulated-mtm", ""):
        assert "no model named" in train_form.problem(replace(FORM, kind="finetune", model=model))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sessions": ()}, "choose a recording"),
        ({"kind": "pretrain"}, "choose at least two recordings"),
        ({"schemes": ()}, "choose at least one masking scheme"),
        ({"sessions": ("<b>",)}, "no recording named"),
        ({}, ""),
        ({"kind": "finetune", "schemes": ()}, ""),
    ],
)
def test_the_form_says_what_is_missing_before_it_is_sent(changes, sentence):
    found = train_form.problem(replace(FORM, **changes))
    assert sentence in found if sentence else found == ""


def test_runs_without_a_name_get_names_that_differ():
    first = train_form.start(FORM).title
    assert first == "Scratch: sim-A 2025-01-01" and train_form.start(FORM).title == f"{first}, 2"


def test_a_link_fills_in_the_form():
    spec, understood = decode("page=train&train=finetune&session=simulated-3&model=simulated-mtm")
    assert understood and decode(encode(spec)) == (spec, True)
    view = train.FormView(visitor(train=spec.train, session=spec.session), lambda run_id: None)
    form = view.form()
    assert (form.kind, form.sessions, form.model) == ("finetune", ("simulated-3",), "simulated-mtm")
    assert view.model.visible and not view.scratch_only.visible and not view.several.visible
    assert "knows this recording already" in view.said.text


def test_an_unknown_kind_in_the_address_is_not_understood():
    assert decode("page=train&train=--help") == (Spec(page="train"), False)


# --- what is said -----------------------------------------------------------------------------------------------------


def test_every_state_is_a_sentence():
    seen, none = points(10, 20, best=10), Progress(Path("runs/mine-1"))
    best = "Best validation 0.100 bits per spike, at step 10."
    said = [
        (a_run(Phase.WAITING), none, "Waiting for its turn: one run at a time."),
        (a_run(Phase.RUNNING), none, "Opening the recordings…"),
        (a_run(Phase.RUNNING), seen, f"Step 20, 20%, about 30 s left. {best}"),
        (a_run(Phase.RUNNING, wish="pause"), seen, "Pausing…"),
        (a_run(Phase.RUNNING, wish="stop"), seen, "Stopping; the best weights so far will be kept…"),
        (a_run(Phase.PAUSED), seen, f"Paused at 20%. {best}"),
        (a_run(Phase.PAUSED), none, "Paused."),
        (a_run(Phase.DONE, has_result=True), seen, f"Done after 20 steps, 2 min. {best}"),
        (a_run(Phase.STOPPED, has_result=True), seen, f"Stopped after 20 steps, 2 min. {best}"),
        (a_run(Phase.STOPPED), none, "Stopped before there was a result."),
        (a_run(Phase.FAILED, reason="<b>no</b> space."), seen, "Failed: ‹b›no‹/b› space."),
    ]
    for run, progress, sentence in said:
        assert training.sentence(run, progress).startswith(sentence)


def test_what_was_asked_is_one_harmless_line():
    tuned = Request("finetune", ("simulated-2",), checkpoint="/models/<i>x", only_stitcher=True)
    assert training.about(a_run(Phase.DONE, tuned)).startswith(
        "Fine-tuning · sim-B 2025-01-01 · of ‹i›x, stitcher only · 5 min · "
    )
    many = Request("pretrain", ("simulated-1", "a", "b", "c"), schemes=("neuron",), minutes=None, steps=1200)
    assert training.about(a_run(Phase.DONE, many)).startswith(
        "Pre-training · sim-A 2025-01-01, a, b and 1 more · small model · neuron · 1,200 steps · "
    )


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (a_run(Phase.RUNNING), ("pause", "stop")),
        (a_run(Phase.RUNNING, wish="pause"), ("stop",)),
        (a_run(Phase.RUNNING, wish="stop"), ()),
        (a_run(Phase.WAITING), ("pause", "stop")),
        (a_run(Phase.PAUSED), ("resume", "stop", "delete")),
        (a_run(Phase.FAILED), ("resume", "delete")),
        (a_run(Phase.STOPPED), ("delete",)),
        (a_run(Phase.DONE, has_result=True), ("fine-tune", "delete")),  # its checkpoint knows no recording
    ],
)
def test_only_what_is_possible_is_offered(run, expected):
    assert training.actions(run, may=True) == expected
    assert set(training.actions(run, may=False)) <= {"explore", "fine-tune"}


# --- curves -----------------------------------------------------------------------------------------------------------


def test_curves_are_what_the_run_reported():
    run = finished()
    shown = learning.learned(run.id)
    np.testing.assert_allclose(shown.loss.values, 1 / np.arange(1, 21))
    assert shown.scores["neuron"].steps.tolist() == [5, 10, 15, 20] and set(shown.scores) == {"neuron"}
    np.testing.assert_allclose(shown.scores["neuron"].values, [0.05, 0.1, 0.15, 0.2])
    assert shown.best[0] == 20 and shown.best_scores == {"neuron": 0.2, "mean": 0.2}
    assert learning.learned("no-such-run") is None


def test_a_long_curve_is_drawn_as_means_of_neighbours():
    values = np.arange(1000.0)
    thin = learning._thinned(learning.Curve(values, values / 60, values**2))
    blocks = values.reshape(learning.MOST_POINTS, -1)
    np.testing.assert_allclose(thin.steps, blocks.mean(1))
    np.testing.assert_allclose(thin.values, (blocks**2).mean(1))


def line(slot: int, *steps: int, best: int) -> Line:
    at = np.array(steps, dtype=float)
    return Line(slot, f"run {slot}", at, at / 10, at / 100, (best, best / 10))


def test_every_run_has_its_colour_and_a_star_at_its_best():
    shown = make_learning("Validation: neuron", "bits per spike", dotted=True)
    draw_learning(shown, [line(0, 10, 20, 30, best=20), line(2, 10, 20, best=10)], "minutes", LIGHT)
    assert shown.lines.data["colour"] == [ON_LIGHT[0], ON_LIGHT[2]] and shown.lines.data["dash"][1] == DASHES[2]
    assert [list(x) for x in shown.lines.data["x"]] == [[1, 2, 3], [1, 2]]
    assert shown.best.data["x"] == [2.0, 1.0] and shown.best.data["y"] == [0.2, 0.1]
    assert "minutes" in shown.figure.xaxis[0].axis_label and shown.figure.yaxis[0].axis_label == "bits per spike"
    recolour_learning(shown, DARK)
    assert shown.best.data["colour"] == [ON_DARK[0], ON_DARK[2]] and len(shown.dots.data["colour"]) == 5
    draw_learning(shown, [], "steps", DARK)
    assert len(shown.dots.data["x"]) == 0 and shown.figure.xaxis[0].axis_label == "steps"


def test_colours_differ_and_are_kept_by_runs_that_stay(monkeypatch):
    assert len(set(ON_LIGHT)) == len(set(ON_DARK)) == len(set(DASHES)) == MOST_DRAWN
    curves = Curves(visitor())
    for name in "abc":
        curves.choose(name)
    curves.toggle("a")
    assert curves.slots == {"b": 1, "c": 2}
    curves.toggle("d")
    assert curves.slots == {"b": 1, "c": 2, "d": 0}
    for name in "efgh":
        curves.choose(name)
    assert "b" not in curves.slots and sorted(curves.slots.values()) == list(range(MOST_DRAWN))


def test_names_are_escaped_where_they_become_html(monkeypatch):
    curve = learning.Curve(*np.ones((3, 1)))
    hostile = Learned("a", "<img src=x>", curve, {"neuron": curve}, (1, 1.0), {"neuron": 0.1, "mean": 0.1})
    monkeypatch.setattr("app.pages.train.curves.learned", lambda run_id: hostile)
    curves = Curves(visitor())
    curves.choose("a")
    curves.draw()
    for pane in (curves.legend, curves.table):
        assert "<img" not in pane.object and "&lt;img" in pane.object


# --- the list ---------------------------------------------------------------------------------------------------------


def test_the_page_lists_follows_and_draws_runs():
    run = finished("<b>Mine</b>")
    board = train.Board(visitor())
    row = board.list.rows[0]
    assert row["title"] == "‹b›Mine‹/b›" and row["state"] == "done" and row["share"] < 0 and row["chosen"]
    assert row["colour"] == ON_LIGHT[0] and row["said"].startswith("Done after 20 steps")
    board.act(sent("draw", run.id))
    assert not board.list.rows[0]["chosen"] and board.curves.found == []


def test_a_deleted_run_is_taken_back():
    run = finished()
    board = train.Board(visitor())
    board.act(sent("delete", run.id))
    assert board.list.rows == [] and board.gone_row.visible and "Mine" in board.gone.text
    board.restore()
    assert [row["id"] for row in board.list.rows] == [run.id] and not board.gone_row.visible


@pytest.mark.parametrize("data", [None, [], {}, {"act": "delete"}, {"act": "delete", "id": "../x"}, {"id": ["a"]}])
def test_a_message_that_names_no_run_is_one_sentence(data):
    state = visitor()
    board = train.Board(state)
    with pytest.raises(ValueError, match="no such run"):
        board.act(SimpleNamespace(data=data))


def test_an_action_that_is_not_offered_does_nothing():
    run = finished()
    board = train.Board(visitor())
    for act in ("resume", "stop", "rm -rf", None, "__class__"):
        board.act(sent(act, run.id))
    assert now(run.id) == run


def test_buttons_reach_the_process():
    run = begin(100_000)
    board = train.Board(visitor())
    until(lambda: (run.folder / "progress.jsonl").exists())
    board.act(sent("pause", run.id))
    until(lambda: now(run.id).state is Phase.PAUSED)
    board.act(sent("resume", run.id))
    until(lambda: now(run.id).state is Phase.RUNNING)
    board.act(sent("stop", run.id))
    until(lambda: now(run.id).state is Phase.STOPPED)


def test_what_breaks_the_list_is_said_once(monkeypatch):
    state = visitor()
    board, calls = train.Board(state), []
    monkeypatch.setattr(train, "runs_now", lambda: calls.append(1) or 1 / 0)
    for _ in range(3):
        board.poll()
    assert len(calls) == 1 and state.message.startswith("Something went wrong")


# --- models -----------------------------------------------------------------------------------------------------------


def facts_of(run: runs.Run, **facts) -> None:
    (run.folder / "checkpoint.json").write_text(json.dumps(facts))


def test_the_model_of_a_run_is_listed_once_it_cannot_change_any_more():
    run = begin(100_000)
    until(lambda: (run.folder / "resume.json").exists())
    runs.pause(run.id)
    until(lambda: now(run.id).state is Phase.PAUSED)
    assert (run.folder / "checkpoint.json").exists() and run.id not in recordings.models()
    runs.stop(run.id)
    assert recordings.models()[run.id] == run.folder and next(iter(recordings.models())) is not None
    runs.delete(run.id)
    assert run.id not in recordings.models()


def test_a_run_never_takes_the_name_of_a_bundled_model(monkeypatch):
    run = replace(finished(), id="simulated-mtm")
    monkeypatch.setattr(recordings, "runs_now", lambda: [run])
    assert recordings.models()["simulated-mtm"] != run.folder


def test_a_model_is_called_what_its_run_is_called_and_a_trunk_is_marked():
    run = finished("My <trunk>")
    facts_of(run, data=[], session_ids=[], model="mtm")
    assert model_list.model_facts(run.id).label == f"My ‹trunk› · {model_list.TRUNK}"
    facts_of(run, data=[{"session": "simulated-1"}], session_ids=["simulated-1"], model="mtm", more="bytes")
    os.utime(run.folder / "checkpoint.json", ns=(1, 1))
    assert model_list.model_facts(run.id).label == "My ‹trunk›"
    assert training.actions(run, may=False) == ("explore",)


def test_released_weights_say_so_and_are_not_fine_tuned():
    run = finished("Theirs")
    facts_of(run, model="mtm_released", session_ids=["x"], label="released weights; causal mode sees the future")
    found = model_list.model_facts(run.id)
    assert found.label == "Theirs · released weights; causal mode sees the future" and found.released
    assert "released weights" in train_form.problem(replace(FORM, kind="finetune", model=run.id))


def test_models_of_one_name_have_labels_that_differ():
    first, second = finished("Same"), finished("Same")
    labels = model_list.model_labels()
    assert {first.id, second.id} <= set(labels.values()) and len(labels) == len(recordings.predictors())


def test_a_model_that_is_not_there_has_a_harmless_name():
    assert model_list.model_facts("<x>").label == "‹x›"


def test_a_finished_run_opens_in_explore():
    run, state = finished(), visitor(session="simulated-3", neuron=5, hide=Hide(scheme="hand", neurons=(5,)))
    facts_of(run, data=[{"session": "simulated-1"}], session_ids=["simulated-1"])
    train.Board(state).act(sent("explore", run.id))
    assert (state.spec.page, state.spec.model, state.spec.session) == ("explore", run.id, "simulated-1")
    assert state.spec.neuron == -1 and state.spec.hide == Hide(), "neurons of another recording"


def test_a_finished_run_of_neds_opens_in_translate():
    run, state = finished(), visitor(session="simulated-3")
    facts_of(run, model="neds", data=[{"session": "simulated-1"}], session_ids=["simulated-1"])
    train.Board(state).act(sent("explore", run.id))
    assert (state.spec.page, state.spec.translator, state.spec.session) == ("translate", run.id, "simulated-1")


def test_a_form_for_neds_trains_neds_with_its_own_masks():
    asked = train_form.request_of(replace(FORM, network="neds", schemes=()))
    assert not train_form.problem(replace(FORM, network="neds", schemes=()))
    line = replace(asked, schemes=("neuron",)).arguments(Path("out"))
    assert line[line.index("--model") + 1] == "neds" and "--schemes" not in line
    assert "NEDS" in train_form.default_name(replace(FORM, network="neds"))


def test_a_model_of_spikes_and_behavior_is_fine_tuned_with_bins_of_another_length():
    tuned = replace(FORM, kind="finetune", network="neds", model="simulated-neds", bin_ms=40)
    line = " ".join(train_form.request_of(tuned).arguments(Path("out")))
    assert "assets/checkpoints/simulated-neds --session simulated-1 --bin-size 0.04 --minutes 5" in line
    assert "predicts something else" in train_form.problem(replace(tuned, network="mtm"))
    assert "bins have 20, 40, 100 ms" in refused_bins(30)


def refused_bins(ms):
    with pytest.raises(ValueError, match="bins have") as refusal:
        train_form.request_of(replace(FORM, bin_ms=ms)).check()
    return str(refusal.value)


def test_fine_tuning_a_finished_run_of_neds_fills_in_the_form():
    run, state = finished(), visitor()
    facts_of(run, model="neds", data=[], session_ids=[])
    form = train.FormView(state, lambda run_id: None)
    assert (form.form().network, form.model.visible, form.translator.visible) == ("mtm", False, False)
    train.Board(state).act(sent("fine-tune", run.id))
    asked = form.form()
    assert (asked.kind, asked.network, asked.model) == ("finetune", "neds", run.id)
    assert form.translator.visible and not form.model.visible and not form.begin.disabled


def test_the_warning_about_an_unknown_recording_leads_to_fine_tuning():
    state = visitor()
    state.go(page="explore", session="simulated-2")
    entry = SimpleNamespace(id="simulated-2")
    state.picture = SimpleNamespace(
        recording=SimpleNamespace(known=False, entry=entry), trained_prompts=(), prompt="neuron"
    )
    box = frame.warning(state)
    line, tune = box.objects
    assert box.visible and tune.visible and "has not been trained on this recording" in line.text
    tune.clicks += 1
    assert (state.spec.page, state.spec.train, state.spec.session) == ("train", "finetune", "simulated-2")
    assert not box.visible, "on the page where it is cured it need not be said"


def test_choosing_a_model_that_is_newer_than_the_lists_keeps_it_chosen():
    state = visitor(train="finetune")
    sidebar = next(w for w in controls.view(state) if getattr(w, "label", "") == "Model")
    form = train.FormView(state, lambda run_id: None)
    run = finished()
    assert run.id not in sidebar.options.values() and run.id not in form.model.options.values()
    state.go(model=run.id)
    assert state.spec.model == sidebar.value == form.model.value == run.id
    sidebar.value = "simulated-mtm"
    assert state.spec.model == form.model.value == "simulated-mtm"


def test_whoever_looks_at_a_model_that_is_deleted_gets_another_one():
    run = finished()
    state = visitor(model=run.id)
    sidebar = next(w for w in controls.view(state) if getattr(w, "label", "") == "Model")
    runs.delete(run.id)
    controls.offer_models(state, sidebar)
    assert state.spec.model == sidebar.value == next(iter(recordings.models()))

"""Training runs are processes of their own: started, paused, killed and resumed, one at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mtm_core import runs
from mtm_core.__main__ import SCHEMES as KNOWN_SCHEMES
from mtm_core.runs import Progress, Request, State, control, folder, request
from mtm_core.runs.processes import Process, born, from_json, this_process

pytestmark = pytest.mark.skipif(os.name != "posix", reason="runs are started on Linux and macOS")

ROOT = Path(__file__).resolve().parents[1]
LONG = 100_000  # steps: for ever, as far as a test is concerned
PATIENCE = 60.0  # s; shared machines are slow
ASKED = Request("train", ("simulated-1",), name="First try", minutes=None, steps=20)


@pytest.fixture(autouse=True)
def counting(tmp_path, monkeypatch):
    """Runs count instead of training, in a folder of this test; whatever still runs is killed afterwards."""
    monkeypatch.setenv("MTM_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("MTM_CACHE_DIR", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(control, "PROGRAM", (sys.executable, str(ROOT / "tests" / "counting_run.py")))
    yield
    for run in runs.list_runs():
        if (process := folder.process_of(run.folder)) is not None:
            os.kill(process.pid, signal.SIGKILL)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, [(run.id, run.state, run.reason) for run in runs.list_runs()]
        time.sleep(0.02)


def state(run_id: str) -> State:
    return next(run.state for run in runs.list_runs() if run.id == run_id)


def steps(run: runs.Run) -> list[int]:
    progress = Progress(run.folder)
    progress.update()
    return [point.step for point in progress.points]


def started(n_steps: int = LONG) -> runs.Run:
    """A run that has done some steps."""
    run = runs.start(replace(ASKED, steps=n_steps))
    until(lambda: len(steps(run)) >= 3)
    return run


def kill(run: runs.Run) -> None:
    process = folder.process_of(run.folder)
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: not process.alive)


# --- from start to end ------------------------------------------------------------------------------------------------


def test_a_run_waits_runs_and_is_done():
    run = runs.start(ASKED)
    assert run.state in (State.WAITING, State.RUNNING) and run.title == "First try"
    until(lambda: state(run.id) is State.DONE)
    assert steps(run) == list(range(1, 21))
    assert [r.has_result for r in runs.list_runs()] == [True]


def test_the_process_is_polite_and_in_a_session_of_its_own():
    run = started()
    process = folder.process_of(run.folder)
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    runs.stop(run.id)
    until(lambda: state(run.id) is State.STOPPED)
    result = json.loads((run.folder / "checkpoint.json").read_text())
    assert result["nice"] == min(19, os.nice(0) + 10) and result["pid"] == process.pid


def test_a_paused_run_goes_on_where_it_was():
    run = started(n_steps=60)
    runs.pause(run.id)
    until(lambda: state(run.id) is State.PAUSED)
    done = len(steps(run))
    assert done < 60 and not runs.list_runs()[0].has_result, "its weights are not final"
    runs.resume(run.id)
    until(lambda: state(run.id) is State.DONE)
    assert steps(run) == list(range(1, 61))


def test_a_run_killed_at_any_moment_is_failed_and_goes_on():
    run = started(n_steps=60)
    kill(run)
    found = runs.list_runs()[0]
    assert found.state is State.FAILED and "killed" in found.reason
    runs.resume(run.id)
    until(lambda: state(run.id) is State.DONE)
    assert steps(run) == list(range(1, 61))


def test_a_run_killed_while_it_is_paused_goes_on():
    run = started(n_steps=60)
    runs.pause(run.id)
    kill(run)
    assert state(run.id) in (State.PAUSED, State.FAILED)
    runs.resume(run.id)
    until(lambda: state(run.id) is State.DONE)


def test_a_stopped_run_keeps_its_best_weights_and_no_way_to_go_on():
    run = started()
    runs.stop(run.id)
    until(lambda: state(run.id) is State.STOPPED)
    assert runs.list_runs()[0].has_result and not (run.folder / "resume.json").exists()
    with pytest.raises(ValueError, match="only a paused or failed run"):
        runs.resume(run.id)


def test_a_paused_run_can_still_be_stopped():
    run = started()
    runs.pause(run.id)
    until(lambda: state(run.id) is State.PAUSED)
    runs.stop(run.id)
    assert state(run.id) is State.STOPPED and not (run.folder / "resume.json").exists()


def test_to_pause_and_then_to_stop_sends_one_signal(monkeypatch):
    run, sent = started(), []
    monkeypatch.setattr(Process, "interrupt", lambda process: sent.append(process.pid))
    runs.pause(run.id)
    runs.pause(run.id)
    runs.stop(run.id)
    assert len(sent) == 1, "a second signal would end it without its result"
    assert runs.list_runs()[0].wish == "stop"


def test_a_refusal_is_the_reason_why_a_run_failed():
    run = runs.start(replace(ASKED, steps=13))
    until(lambda: state(run.id) is State.FAILED)
    assert runs.list_runs()[0].reason == "thirteen steps are too many"


def test_a_defect_is_the_reason_why_a_run_failed():
    run = runs.start(replace(ASKED, steps=14))
    until(lambda: state(run.id) is State.FAILED)
    assert runs.list_runs()[0].reason == "ZeroDivisionError: of a defect"


# --- one at a time ----------------------------------------------------------------------------------------------------


def test_the_second_run_waits_for_the_first():
    first = started()
    second = runs.start(replace(ASKED, name="Second"))
    until(lambda: (second.folder / "worker.json").exists())
    time.sleep(1.0)  # two attempts to get the lock
    assert [run.state for run in runs.list_runs()] == [State.WAITING, State.RUNNING] and not steps(second)
    runs.stop(first.id)
    until(lambda: state(second.id) is State.DONE)


def test_the_lock_does_not_outlive_a_killed_run():
    first = started()
    second = runs.start(ASKED)
    kill(first)
    until(lambda: state(second.id) is State.DONE)


def test_a_waiting_run_can_be_paused_and_stopped():
    started()
    second = runs.start(ASKED)
    until(lambda: (second.folder / "worker.json").exists())
    runs.pause(second.id)
    until(lambda: state(second.id) is State.PAUSED)
    runs.stop(second.id)
    assert state(second.id) is State.STOPPED and not runs.list_runs()[0].has_result


def test_too_many_runs_are_refused(monkeypatch):
    monkeypatch.setattr(control, "MOST_AT_ONCE", 1)
    started()
    with pytest.raises(ValueError, match="at work or waiting"):
        runs.start(ASKED)


# --- it survives ------------------------------------------------------------------------------------------------------


def test_a_run_survives_the_process_that_started_it():
    code = "from mtm_core.runs import control, start, Request; import sys\n"
    code += f"control.PROGRAM = {control.PROGRAM!r}\n"
    code += "start(Request('train', ('simulated-1',), minutes=None, steps=30))"
    subprocess.run([sys.executable, "-c", code], check=True)
    run = runs.list_runs()[0]
    until(lambda: state(run.id) is State.DONE)


def test_a_recycled_process_id_is_not_mistaken_for_a_run():
    run = started()
    kill(run)
    ours = this_process()
    (run.folder / "process.json").write_text(json.dumps({"pid": ours.pid, "born": "another time"}))
    assert ours.alive and state(run.id) is State.FAILED


def test_a_process_that_ended_but_was_not_waited_for_is_not_alive():
    child = subprocess.Popen([sys.executable, "-c", ""])
    process = Process(child.pid, born(child.pid))
    until(lambda: not process.alive)
    child.wait()


@pytest.mark.parametrize("value", [None, [], {"pid": -1, "born": "x"}, {"pid": True, "born": "x"}, {"pid": 5}, {}])
def test_what_is_no_process_gets_no_signal(value):
    assert from_json(value) is None


# --- the trash --------------------------------------------------------------------------------------------------------


def test_a_deleted_run_comes_back_until_another_one_is_started():
    run = runs.start(ASKED)
    until(lambda: state(run.id) is State.DONE)
    runs.delete(run.id)
    assert runs.list_runs() == []
    runs.restore(run.id)
    assert state(run.id) is State.DONE
    runs.delete(run.id)
    other = runs.start(ASKED)
    assert other.id != run.id, "caches may still know the deleted one by its id"
    with pytest.raises(ValueError, match="for good"):
        runs.restore(run.id)


def test_a_run_at_work_is_not_deleted():
    run = started()
    with pytest.raises(ValueError, match="stop it first"):
        runs.delete(run.id)


# --- hostile words ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run_id", ["", ".", "..", "../other", "/etc", ".trash", "a/b", "A", "x" * 65, "-rf"])
def test_only_ids_of_runs_name_folders(run_id, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "runs" / ".trash").mkdir(parents=True)
    for act in (runs.pause, runs.stop, runs.resume, runs.delete, runs.restore):
        with pytest.raises(ValueError, match="no such run|for good"):
            act(run_id)
    assert (tmp_path / "other").is_dir()


def test_a_link_out_of_the_folder_is_no_run(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="no such run"):
        runs.delete("link")


def test_a_name_is_only_ever_text():
    name = "--out /etc; $(rm -rf ~) <b>"
    run = runs.start(replace(ASKED, name=name, steps=1))
    assert run.folder.parent == runs.runs_dir() and run.title == name
    assert run.id.startswith("out-etc-rm-rf-b-")
    assert name not in " ".join(run.request.arguments(run.folder))
    until(lambda: state(run.id) is State.DONE)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"command": "app"}, "a run can"),
        ({"sessions": ("--help",)}, "no recording named"),
        ({"sessions": ("../x",)}, "no recording named"),
        ({"sessions": ()}, "choose a recording"),
        ({"sessions": ("simulated-1", "simulated-1")}, "choose a recording"),
        ({"command": "pretrain"}, "at least two"),
        ({"schemes": ()}, "at least one masking scheme"),
        ({"schemes": ("--out",)}, "at least one masking scheme"),
        ({"preset": "--help"}, "sizes of a model"),
        ({"name": "two\nlines"}, "printable"),
        ({"name": "x" * 65}, "at most 64"),
        ({"steps": 0}, "steps lie between"),
        ({"steps": None, "minutes": float("nan")}, "minutes lie between"),
        ({"steps": None, "minutes": -1.0}, "minutes lie between"),
        ({"minutes": 1.0}, "minutes or steps"),
        ({"command": "finetune"}, "model that is to be fine-tuned"),
        ({"checkpoint": "/some/model"}, "model that is to be fine-tuned"),
        ({"command": "finetune", "checkpoint": "/nowhere"}, "no longer there"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        runs.start(replace(ASKED, **changes))
    assert not runs.runs_dir().exists()


def test_two_records_of_one_recording_are_refused():
    row = {"problem": "", "same_recording_as": ""}
    rows = [{"id": "a", **row, "same_recording_as": "b"}, {"id": "b", **row, "same_recording_as": "a"}]
    with pytest.raises(ValueError, match="two records of one recording"):
        request.check_recordings(("a", "b"), rows)
    request.check_recordings(("a",), rows)


# --- commands ---------------------------------------------------------------------------------------------------------


def test_the_command_lines():
    out = Path("/runs/x")
    many = Request("pretrain", ("simulated-1", "simulated-2"), preset="paper", schemes=("neuron", "causal"))
    assert " ".join(many.arguments(out)) == (
        "pretrain --sessions simulated-1 simulated-2 --preset paper --schemes neuron causal --minutes 5 --out /runs/x"
    )
    tuned = Request("finetune", ("simulated-3",), checkpoint="/models/m", minutes=None, steps=50, only_stitcher=True)
    assert tuned.arguments(out) == (
        "finetune /models/m --session simulated-3 --only-stitcher --steps 50 --out /runs/x".split()
    )


def test_what_was_asked_survives_the_file():
    for asked in (ASKED, replace(ASKED, minutes=2.5, steps=None), replace(ASKED, sessions=("a", "b"))):
        assert request.parse_request(json.loads(json.dumps(asked.to_json()))) == asked


@pytest.mark.parametrize("text", ["", "[]", '{"request": {}}', '{"request": {"command": "app", "sessions": []}}'])
def test_a_folder_without_a_request_is_no_run(text):
    damaged = runs.runs_dir() / "damaged"
    damaged.mkdir(parents=True)
    (damaged / "run.json").write_text(text)
    (damaged / "process.json").write_text("{}")
    assert runs.list_runs() == []


def test_the_schemes_are_those_of_the_command_line():
    assert set(request.SCHEMES) == set(KNOWN_SCHEMES)


# --- progress ---------------------------------------------------------------------------------------------------------


def line(step: int, **changes) -> str:
    value = {"step": step, "progress": 0.5, "seconds_left": 3.0, "elapsed": 2.0, "loss": 0.3}
    return json.dumps({**value, "validation": None, "is_best": False, **changes}) + "\n"


def test_a_half_written_line_is_read_once_it_is_whole(tmp_path):
    file, progress = tmp_path / "progress.jsonl", Progress(tmp_path)
    assert not progress.update()
    text = line(1) + line(2)
    file.write_text(text[:-9])
    assert progress.update() and [p.step for p in progress.points] == [1]
    assert not progress.update()
    file.write_text(text)
    assert progress.update() and [p.step for p in progress.points] == [1, 2]


def test_only_new_lines_are_read(tmp_path):
    file, progress = tmp_path / "progress.jsonl", Progress(tmp_path)
    file.write_text(line(1))
    progress.update()
    file.write_text("x" * (len(line(1)) - 1) + "\n" + line(2))  # what was read is not read again
    progress.update()
    assert [p.step for p in progress.points] == [1, 2]


def test_what_a_killed_process_left_is_skipped(tmp_path):
    file, progress = tmp_path / "progress.jsonl", Progress(tmp_path)
    broken = ['{"step": 2, "progr' + line(3), "null\n", "[1]\n", '{"step": "x"}\n', "\n", '{"step": 4}\n']
    file.write_text(line(1) + "".join(broken) + line(5))
    progress.update()
    assert [p.step for p in progress.points] == [1, 5]


def test_steps_that_are_done_again_replace_those_before(tmp_path):
    file, progress = tmp_path / "progress.jsonl", Progress(tmp_path)
    file.write_text(line(1) + line(2) + line(3) + line(2, loss=0.7) + line(3))
    progress.update()
    assert [(p.step, p.loss) for p in progress.points] == [(1, 0.3), (2, 0.7), (3, 0.3)]


def test_another_file_is_read_from_its_beginning(tmp_path):
    file, progress = tmp_path / "progress.jsonl", Progress(tmp_path)
    file.write_text(line(1) + line(2))
    progress.update()
    file.write_text(line(7))
    progress.update()
    assert [p.step for p in progress.points] == [7]


def test_the_best_is_the_last_validation_that_was_one(tmp_path):
    scores = {"neuron": 0.2, "mean": 0.2}
    lines = line(1, validation=scores, is_best=True) + line(2, validation=scores, is_best=True)
    (tmp_path / "progress.jsonl").write_text(lines + line(3, validation=scores) + line(4))
    progress = Progress(tmp_path)
    progress.update()
    assert progress.best.step == 2 and progress.last.step == 4


def test_the_folder_of_runs_is_never_inside_the_package(monkeypatch):
    monkeypatch.delenv("MTM_RUNS")
    assert ROOT not in runs.runs_dir().parents and runs.runs_dir().is_absolute()

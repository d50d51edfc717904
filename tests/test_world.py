"""Several processes train one model as one process does: torchrun with two of them on the CPU (gloo)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import world_run
from torch import nn

from mtm_core.checkpoint import load_checkpoint
from mtm_core.training import loop, translation, validation
from mtm_core.training.world import World

ROOT = Path(__file__).resolve().parents[1]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
TRAIN = ["-m", "mtm_core", "train", "--session", "simulated-4", "--width", "16", "--layers", "1", "--bin-size", "0.1"]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "tests")}


@pytest.fixture(scope="module")
def by_two(tmp_path_factory):
    """What world_run.py finds with two processes."""
    file = tmp_path_factory.mktemp("world") / "found.json"
    command = [*TORCHRUN, str(ROOT / "tests" / "world_run.py"), str(file)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(file.read_text("utf-8"))


@pytest.fixture
def exact(monkeypatch):
    for module in (loop, validation, translation):
        monkeypatch.setattr(module, "has_bf16", lambda device: False)


# --- without other processes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_trials", "size"), [(16, 2), (7, 3), (2, 5), (1, 2)])
def test_every_trial_has_one_process(n_trials, size):
    shares = [range(n_trials)[World(rank, size).share(n_trials)] for rank in range(size)]
    assert [trial for share in shares for trial in share] == list(range(n_trials))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_nothing_travels():
    table = nn.Parameter(torch.zeros(3, 2))
    World().add_rows(table)
    assert table.grad is None and World().agreed(0.25, torch.device("cpu")) == 0.25
    assert World().total(torch.tensor(2.0)) == 2.0


# --- two processes ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", world_run.CASES)
def test_two_processes_learn_as_one(name, by_two, exact):
    one, two = world_run.learned(name, World()), by_two[name]
    assert len(two["losses"]) == world_run.CONFIG.steps
    assert two["losses"] == pytest.approx(one["losses"], abs=1e-4)
    assert two["scores"] == pytest.approx(one["scores"], abs=2e-3, nan_ok=True)
    behavior = ("trace_in.wheel_speed", "class_out.block.bias") if "spikes" in name else ()
    for table in ("units.input", "units.readout", "session.weight", *behavior):
        assert two["weights"][table] == pytest.approx(one["weights"][table], abs=5e-3), table


@pytest.mark.slow
def test_of_the_tables_only_the_rows_of_the_batch_travel(by_two):
    found = by_two["travel"]
    assert 0 < found["longest"] <= 8 + 5  # 313 neurons in the table
    assert found["n_exchanges"] == 5 * 3  # five tables: how many rows, which, and their gradients
    assert found["averaged"] == found["trunk"]


@pytest.mark.slow
def test_processes_end_a_timed_run_together(by_two):
    first, second = by_two["timed"]
    assert first == second and first[0] > 5 and first[1] >= 3


@pytest.mark.slow
def test_shared_validation_gives_the_numbers_of_one_process(by_two, exact):
    (expected,) = world_run.validated(World())
    for scores in by_two["validated"]:
        assert scores == pytest.approx(expected, abs=1e-6, nan_ok=True)


# --- the command ------------------------------------------------------------------------------------------------------


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads the children of a process from /proc")
def test_a_killed_worker_is_started_again_and_the_run_ends_well(tmp_path):
    command = [*TORCHRUN, "--max-restarts", "2", *TRAIN, "--steps", "24", "--device", "cpu", "--out", str(tmp_path)]
    log = tmp_path / "log"
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, env=environment(), stdout=file, stderr=subprocess.STDOUT)
        while process.poll() is None and not (tmp_path / "resume.json").exists():
            time.sleep(0.05)
        os.kill(children(process.pid)[-1], signal.SIGKILL)
        assert process.wait(timeout=500) == 0, log.read_text("utf-8")[-3000:]
    said = log.read_text("utf-8")
    assert "going on at step" in said
    manifest = load_checkpoint(tmp_path).manifest
    assert manifest["training"]["steps_done"] == 24 and manifest["training"]["best_step"] > 0
    assert not list(tmp_path.glob("resume*"))


@pytest.mark.slow
def test_only_the_first_process_speaks(tmp_path):
    command = [*TORCHRUN, *TRAIN, "--steps", "2", "--device", "cpu", "--out", str(tmp_path)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    said = done.stdout.splitlines()
    assert len(said) == len(set(said)) and any("2 processes" in line for line in said)
    assert sum(line.startswith("simulated-4 ") for line in said) == 1
    records = [json.loads(line) for line in (tmp_path / "progress.jsonl").read_text("utf-8").splitlines()]
    assert records[-1]["step"] == 2 and records[-1]["validation"]

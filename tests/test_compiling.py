from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mtm_core.training.compiling import MINUTES_THAT_PAY, STEPS_THAT_PAY, pays
from mtm_core.training.config import TrainConfig

HERE = Path(__file__).resolve().parent


def test_transformer_and_loss_are_one_graph_each_with_the_same_gradients():
    command = [sys.executable, str(HERE / "compiled.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "one graph" in done.stdout, done.stderr[-2000:]


@pytest.mark.parametrize("config", [TrainConfig(steps=STEPS_THAT_PAY), TrainConfig(minutes=MINUTES_THAT_PAY)])
def test_a_cpu_runs_the_code_as_it_stands(config):
    assert not pays(torch.device("cpu"), config)


def test_only_long_runs_wait_for_a_compiler(monkeypatch):
    monkeypatch.setattr("mtm_core.training.compiling.find_spec", lambda name: object())
    monkeypatch.setattr("mtm_core.training.compiling.which", lambda name: "/usr/bin/cc")
    card = torch.device("cuda")
    assert pays(card, TrainConfig(steps=STEPS_THAT_PAY)) and pays(card, TrainConfig(minutes=MINUTES_THAT_PAY))
    assert not pays(card, TrainConfig(steps=STEPS_THAT_PAY - 1)) and not pays(card, TrainConfig(minutes=5))
    monkeypatch.setattr("mtm_core.training.compiling.which", lambda name: None)
    assert not pays(card, TrainConfig(steps=10**6))

"""Trainings without dropout, the same whether one process computes them or several that torchrun started.

python -m torch.distributed.run --standalone --nproc-per-node 2 tests/world_run.py FILE.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from small import SIZE, small_trials
from small_neds import NEDS_SIZE, neds_trials

from mtm_core.masking_modalities import NEDS_SCHEMES
from mtm_core.training import loop, translation, validation
from mtm_core.training.build import build_model
from mtm_core.training.config import TrainConfig
from mtm_core.training.loop import Trainer, new_run
from mtm_core.training.validation import validate
from mtm_core.training.world import World, join_world, leave_world

MODEL = replace(SIZE, dropout=0.0, token_dropout=0.0)
CONFIG = TrainConfig(steps=8, batch_size=8, n_validations=2, sessions_per_batch=2)
SESSIONS = [small_trials("a", (20, 6, 8)), small_trials("b", (20, 5, 5), seed=1)]
NEVER_DRAWN = small_trials("c", (10, 6, 300), seed=2)
LONE = small_trials("d", (3, 6, 8), split=np.array(["train", "validation", "test"]))
# Each process has trials of one session, and so other behaviors than the other process.
BEHAVING = [neds_trials("e", (30, 6, 8)), neds_trials("f", (30, 5, 5), seed=1, without=("wheel_speed", "choice"))]

CASES = {
    "two sessions": (SESSIONS, CONFIG, MODEL),
    "rows only": (SESSIONS, replace(CONFIG, trunk_learning_rate=0.0), MODEL),
    "one trial for two processes": ([LONE], CONFIG, MODEL),
    "patches, no prompt": (SESSIONS, CONFIG, replace(MODEL, patch_neurons=3, prompted=False, hidden_signal=False)),
    "spikes and behavior": (
        BEHAVING,
        replace(CONFIG, schemes=NEDS_SCHEMES),
        replace(NEDS_SIZE, dropout=0.0, token_dropout=0.0),
    ),
}


def learned(name: str, world: World) -> dict[str, Any]:
    """Loss of every step, last validation, and weights."""
    sessions, config, size = CASES[name]
    run = new_run(build_model(size, sessions), config)
    steps = list(Trainer(run, sessions, config, world).steps())
    weights = {name: value.flatten().tolist() for name, value in run.model.state_dict().items()}
    return {"losses": [step.loss for step in steps], "scores": steps[-1].validation, "weights": weights}


def rows_that_travel(world: World) -> dict[str, Any]:
    """The longest list of rows in any exchange of a step, and the bytes of the gradients that are averaged."""
    sessions, lengths, original = [*SESSIONS, NEVER_DRAWN], [], dist.all_gather

    def counted(found: list[torch.Tensor], value: torch.Tensor) -> None:
        lengths.append(len(value))
        original(found, value)

    run = new_run(build_model(MODEL, sessions), CONFIG)
    trainer = Trainer(run, sessions, CONFIG, world)
    trainer.train = trainer.train[:2]
    dist.all_gather = counted
    next(trainer.steps())
    dist.all_gather = original
    bytes_averaged = trainer.loss._get_ddp_logging_data()["total_parameter_size_bytes"]
    trunk = sum(weight.numel() * weight.element_size() for _, weight in run.model.trunk())
    return {"longest": max(lengths), "n_exchanges": len(lengths), "averaged": bytes_averaged, "trunk": trunk}


def timed(world: World) -> list[tuple[int, int]]:
    """(steps, validations) of every process in a run of half a minute, each by a clock of its own speed."""
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1.0 + 2.0 * world.rank
        return now

    original, loop.time.perf_counter = loop.time.perf_counter, clock
    config = TrainConfig(minutes=0.5, batch_size=8, n_validations=3)
    run = new_run(build_model(MODEL, SESSIONS), config)
    list(Trainer(run, SESSIONS, config, world).steps())
    loop.time.perf_counter = original
    return in_all((run.step, run.n_validations), world)


def validated(world: World) -> list[dict[str, float]]:
    """Scores in every process of three sessions that the processes share."""
    sessions = [*SESSIONS, NEVER_DRAWN]
    run = new_run(build_model(MODEL, sessions), CONFIG)
    trainer = Trainer(run, sessions, CONFIG, world)
    return in_all(validate(run.average, trainer.validation, CONFIG.schemes, world), world)


def in_all(value: Any, world: World) -> list[Any]:
    if world.size == 1:
        return [value]
    found: list[Any] = [None] * world.size
    dist.all_gather_object(found, value)
    return found


def without_rounding() -> None:
    for module in (loop, validation, translation):
        module.has_bf16 = lambda device: False


def main(file: Path) -> None:
    without_rounding()
    world = join_world(torch.device("cpu"))
    found: dict[str, Any] = {name: learned(name, world) for name in CASES}
    measures: dict[str, Callable[[World], Any]] = {"travel": rows_that_travel, "timed": timed, "validated": validated}
    found.update({name: measure(world) for name, measure in measures.items()})
    if world.is_first:
        file.write_text(json.dumps(found), "utf-8")
    leave_world()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""A training run of a command: progress line and journal, saved states, Ctrl-C, and the checkpoint at the end."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from ..checkpoint import Checkpoint, save_checkpoint
from ..device import describe, pick_device
from ..models.tables import AnimalTables
from ..session import Trials
from ..training.config import TrainConfig
from ..training.film import Camera
from ..training.fit import finished
from ..training.loop import MOST_SKIPPED, Run, Step, Trainer, TrainingFailed, best_model, new_run
from ..training.manifest import facts
from ..training.resume import delete_run, load_run, save_run
from ..training.transfer import trunk_only
from ..training.world import World, join_world, leave_world, own_device
from .console import ProgressLine, clock

JOURNAL = "progress.jsonl"
JOURNAL_EVERY = 0.5  # s
INTERRUPTED = 130  # exit status, as of a shell


@dataclass(frozen=True, eq=False)
class Job:
    """What a command wants trained."""

    model: AnimalTables
    sessions: list[Trials]
    config: TrainConfig
    out: Path
    origin: dict[str, str] = field(default_factory=dict)  # checkpoint that the trunk comes from
    pretrained_on: list[dict[str, Any]] = field(default_factory=list)  # what that trunk was trained on
    refused: Mapping[str, str] = field(default_factory=dict)  # session -> why it was not used
    trunk_only: bool = False  # keep the shared weights, drop the rows of neurons


def line(step: Step) -> str:
    share = f"{100 * step.progress:3.0f} %  {clock(step.seconds_left)} left"
    return f"step {step.number}  epoch {step.epoch:.1f}  {share}  loss {step.loss:.4f}"


class Saver:
    """Keeps a resumable state on disk: after validations, at most every `save_every` seconds."""

    def __init__(self, job: Job, run: Run) -> None:
        self.job, self.run, self.last = job, run, monotonic()

    def save(self) -> None:
        save_run(self.job.out, self.run, self.job.sessions, self.job.config)

    def after(self, step: Step) -> None:
        if monotonic() - self.last >= self.job.config.save_every or step.is_best:
            self.save()
            self.last = monotonic()


class Journal:
    """One JSON object per line for whoever watches the run from outside; a resumed run goes on in the same file."""

    def __init__(self, out: Path, run: Run) -> None:
        self.file, self.run, self.last = out / JOURNAL, run, 0.0

    def add(self, step: Step) -> None:
        if step.validation is None and not step.notices and monotonic() - self.last < JOURNAL_EVERY:
            return
        self.last = monotonic()
        about = {**asdict(step), "step": step.number, "elapsed": round(self.run.elapsed, 2)}
        del about["number"]
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(_finite(about)) + "\n")


def _finite(value: object) -> object:
    """JSON knows no NaN."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    return None if isinstance(value, float) and not abs(value) < float("inf") else value


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed. Within a step the weights are half old, half new, and such a run could not go on
    exactly; so the first Ctrl-C waits for the end of the step, and only the second one stops at once."""
    pressed = threading.Event()

    def press(number: int, frame: object) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    if threading.current_thread() is not threading.main_thread():  # only the main thread gets signals
        yield pressed.is_set
        return
    previous = signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, previous)


def show(shown: ProgressLine, step: Step, scores_are: str) -> None:
    shown.show(line(step), step.progress)
    for notice in step.notices:
        shown.say(notice)
    if step.validation:
        scores = "  ".join(f"{name} {value:.3f}" for name, value in step.validation.items())
        shown.say(f"step {step.number}  validation, {scores_are}: {scores}{'  *' * step.is_best}")


def train_to_end(trainer: Trainer, saver: Saver) -> str:
    """Run all steps; the reason why they ended early, or an empty string."""
    shown, journal, first = ProgressLine(), Journal(saver.job.out, saver.run), trainer.world.is_first
    camera = Camera(saver.job.out, trainer) if first else None
    try:
        with interrupts() as interrupted:
            for step in trainer.steps():
                if camera is not None:
                    show(shown, step, trainer.objective.scores)
                    journal.add(step)
                    saver.after(step)
                    camera.take(step.number) if step.progress >= 1.0 else camera.after(step.number)
                if trainer.world.agreed(float(interrupted()), trainer.device):
                    return "interrupted; run the same command again to go on"
    except TrainingFailed as error:
        return str(error)
    finally:
        shown.end()
    return ""


def train(job: Job, options: argparse.Namespace) -> int:
    """Train, or go on with the interrupted run of this folder, and write the checkpoint; the exit status."""
    device = own_device(pick_device(options.device))
    world = join_world(device)
    try:
        return _train(job, job.model.to(device), world)
    finally:
        leave_world()


def _train(job: Job, model: AnimalTables, world: World) -> int:
    run = new_run(model, job.config)
    run.origin = job.origin
    job.out.mkdir(parents=True, exist_ok=True)  # a folder that cannot be written is refused now, not after the training
    found = load_run(job.out, run, job.sessions, job.config)
    if world.agreed(run.step, run.model.device) != run.step:
        raise ValueError(f"{job.out}: not the same folder for all processes; give one that all machines see")
    if found and world.is_first:
        print(f"going on at step {run.step} of the run in {job.out}")
    saver, trainer = Saver(job, run), Trainer(run, job.sessions, job.config, world)
    if world.is_first:
        _announce(run, world)
    stopped = train_to_end(trainer, saver)
    if world.is_first:
        _finish(job, trainer, saver, stopped)
    if run.n_skipped >= MOST_SKIPPED:
        return 1
    return INTERRUPTED if stopped else 0


def _announce(run: Run, world: World) -> None:
    n_parameters = sum(p.numel() for p in run.model.parameters())
    n_trunk = sum(weight.numel() for _, weight in run.model.trunk())
    processes = f", {world.size} processes" if world.size > 1 else ""
    print(f"{n_parameters:,} parameters, {n_trunk:,} of them shared, on {describe(run.model.device)}{processes}")


def _finish(job: Job, trainer: Trainer, saver: Saver, stopped: str) -> None:
    run = saver.run
    goes_on = stopped and run.n_skipped < MOST_SKIPPED
    if goes_on:
        saver.save()
    saved = save_result(job, trainer)
    if not goes_on:  # only now: whoever is killed before this line loses nothing
        delete_run(job.out)
    print(f"{job.out}: weights of step {run.best_step} of {run.step}, checkpoint {saved.manifest['hash'][:12]}")
    if stopped:
        print(stopped)


def save_result(job: Job, trainer: Trainer) -> Checkpoint:
    """The checkpoint: the best weights, calibrated; of a trunk, only what animals share."""
    run = trainer.run
    about = facts(run, job.sessions, job.config, job.refused) | {"pretrained_on": job.pretrained_on}
    if job.trunk_only:
        units = [{"unit_ids": trials.unit_ids.tolist()} for trials in job.sessions]
        data = [{**each, **own} for each, own in zip(about["data"], units, strict=True)]
        about = {**about, "data": [], "pretrained_on": [*job.pretrained_on, *data]}
        return save_checkpoint(job.out, trunk_only(best_model(run)), about)
    model, groups = finished(trainer)
    return save_checkpoint(job.out, model, {**about, "calibration": [asdict(group) for group in groups]})

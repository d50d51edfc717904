"""`mtm scaling`: what pre-training on other animals brings to one that is held out, by the number of sessions."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..atomic import write_bytes, write_json
from ..checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from ..data.catalogue import list_sessions
from ..device import describe, pick_device
from ..experiments.gains import SCRATCH, gains, scores, table
from ..experiments.results import Results
from ..experiments.scaling import HeldOut, Plan, Worker, held_out, target_settings, trunk_settings
from ..models.mtm import MtM
from ..report.scaling_figure import scaling_figure
from ..session import Trials
from ..training.presets import FINE_TUNING, PRESETS
from .console import ProgressLine
from .pretrain import pretrain_settings
from .recordings import of_subjects, open_usable, twins_of
from .running import line
from .train import model_settings

STEPS_PER_SESSION = 300


def plan_of(options: argparse.Namespace) -> Plan:
    per_session = options.pretrain_steps_per_session or STEPS_PER_SESSION
    pretrain = replace(pretrain_settings(options), steps=per_session)
    tune = replace(FINE_TUNING, steps=options.steps, fixed_ratios=PRESETS[options.preset].train.fixed_ratios)
    return Plan(model_settings(options), pretrain, tune)


@dataclass(frozen=True)
class Experiment:
    """What all parts share: data by session, budgets, and where finished parts lie."""

    plan: Plan
    trials: dict[str, Trials]
    kept: Results
    worker: Worker


@dataclass
class Trunk:
    """A pre-trained trunk, made or read when first asked for."""

    of: Experiment
    name: str
    sessions: list[Trials]
    seed: int

    @cached_property
    def settings(self) -> dict[str, Any]:
        return trunk_settings(self.of.plan, self.sessions, self.seed)

    @cached_property
    def model(self) -> MtM:
        folder = self.of.kept.file(f"{self.name}-seed{self.seed}", self.settings).with_suffix("")
        try:
            return load_checkpoint(folder).model
        except (CheckpointError, OSError):
            print(f"{self.name}, seed {self.seed}: pre-training on {len(self.sessions)} sessions", flush=True)
        model = self.of.worker.pretrain(self.of.plan, self.sessions, self.seed)
        save_checkpoint(folder, model, {"data": [], "pretrained_on": self.settings["data"], "settings": self.settings})
        return model


def target_result(experiment: Experiment, target: Trials, seed: int, trunk: Trunk | None) -> dict[str, Any]:
    """The score of one target, from `--out` if it lies there."""
    name = f"{target.session_id[:8]}-{trunk.name if trunk else 'from-scratch'}-seed{seed}"
    settings = target_settings(experiment.plan, target, seed, trunk and trunk.settings)
    result = experiment.kept.get(name, settings)
    if result is None:
        model = trunk and trunk.model
        print(name, flush=True)
        result = experiment.worker.score(experiment.plan, target, seed, model)
        experiment.kept.put(name, settings, result)
    return result


def results_of(experiment: Experiment, animal: HeldOut, sizes: list[str], seed: int) -> Iterator[dict[str, Any]]:
    """All results of one held-out animal and one seed, the fresh models first."""
    targets = [experiment.trials[session] for session in animal.targets]
    about = {"animal": animal.animal}
    for target in targets:
        result = target_result(experiment, target, seed, None)
        yield {**result, **about, "size": SCRATCH, "n_sessions": 0, "pretrained_on": []}
    for size in animal.sizes(sizes):
        names = animal.first(size)
        sessions = [experiment.trials[session] for session in names]
        trunk = Trunk(experiment, f"after-{len(names)}-without-{animal.animal}", sessions, seed)
        for target in targets:
            result = target_result(experiment, target, seed, trunk)
            yield {**result, **about, "size": size, "n_sessions": len(names), "pretrained_on": list(names)}


def opened(options: argparse.Namespace) -> tuple[dict[str, Trials], list[HeldOut]]:
    """Usable sessions by id, and each animal in turn with targets and pool."""
    subjects = dict(zip(*list_sessions(options.cache_dir)[["id", "subject"]].to_numpy().T, strict=True))
    found, _ = open_usable(of_subjects(options.animals, options.cache_dir), options)
    trials = {each.session_id: each for each in found}
    animals = {session: subjects[session] for session in trials}
    return trials, held_out(animals, twins_of(options.cache_dir), options.targets)


def run(options: argparse.Namespace) -> int:
    device = pick_device(options.device)
    for file in filter(None, (options.json, options.figure)):
        Path(file).parent.mkdir(parents=True, exist_ok=True)  # refused now, not after hours
    Path(options.out).mkdir(parents=True, exist_ok=True)
    trials, animals = opened(options)
    for each in animals:
        print(f"{each.animal} held out: {len(each.targets)} targets, {len(each.pool)} sessions of others")
    print(f"on {describe(device)}")
    shown = ProgressLine()
    worker = Worker(device, lambda step: shown.show(line(step), step.progress))
    experiment = Experiment(plan_of(options), trials, Results(Path(options.out)), worker)
    sizes = list(dict.fromkeys(options.sizes))
    results = [
        each for seed in options.seeds for animal in animals for each in results_of(experiment, animal, sizes, seed)
    ]
    shown.end()
    finish(results, options)
    return 0


def finish(results: list[dict[str, Any]], options: argparse.Namespace) -> None:
    found = gains(scores(results))
    print(table(found))
    if options.json:
        write_json(Path(options.json), {"results": results, "gains": found})
    if options.figure:
        write_bytes(Path(options.figure), scaling_figure(found).encode())

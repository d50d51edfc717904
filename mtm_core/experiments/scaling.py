"""What pre-training on other animals brings to an animal that it has never seen, by the number of their sessions.

After figure 4 of the MtM paper (arXiv 2407.14668, section 5.3: 1, 10 and 34 sessions), with animals held out in turn:
the transformer learns from sessions of the others, then new rows for the neurons of one session of the held-out animal
and all weights are tuned together. Its opponent has the same network, session, steps and seed, and fresh weights.

Sessions for pre-training stand in one order, so that fewer are always among more. Steps of pre-training grow with the
number of sessions, as epochs would; the target's budget does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from ..models.mtm import MtM, MtMConfig
from ..session import Trials, identity
from ..training.build import build_model
from ..training.config import TrainConfig, steps_that_pay
from ..training.fit import finished, fit
from ..training.loop import Step, Trainer, best_model
from ..training.transfer import transfer, trunk_only
from .measure import as_checkpoint, measured_tasks

ORDER_SEED = 0  # of the order of sessions, which no seed of a run changes
ALL = "all"
Watch = Callable[[Step], None]


@dataclass(frozen=True)
class HeldOut:
    """One animal in turn: sessions to score, and sessions of the others to pre-train on, in their order."""

    animal: str
    targets: tuple[str, ...]
    pool: tuple[str, ...]

    def first(self, size: str) -> tuple[str, ...]:
        """The sessions of a pre-training of this size: a number, or "all"; raises ValueError for too large a one."""
        n = len(self.pool) if size == ALL else int(size)
        if not 1 <= n <= len(self.pool):
            raise ValueError(f"{n} sessions to pre-train on; the other animals have {len(self.pool)}")
        return self.pool[:n]

    def sizes(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Those of the wanted sizes that there are sessions for."""
        return tuple(size for size in wanted if size == ALL or int(size) <= len(self.pool))


def held_out(animals: Mapping[str, str], twins: Mapping[str, str], n_targets: int | None = None) -> list[HeldOut]:
    """Every animal in turn. animals: session -> animal; twins: session -> another entry of the same recording, or "".

    Of twins the first one is used, on one side only. Raises ValueError for fewer than two animals.
    """
    if len(set(animals.values())) < 2:
        raise ValueError("holding out an animal needs a second one to pre-train on; name two or more with sessions")
    single: list[str] = []
    for session in animals:
        if twins.get(session, "") not in single:
            single.append(session)
    order = [single[i] for i in np.random.default_rng(ORDER_SEED).permutation(len(single))]
    found = []
    for animal in dict.fromkeys(animals.values()):
        targets = tuple(session for session in order if animals[session] == animal)[:n_targets]
        found.append(HeldOut(animal, targets, tuple(session for session in order if animals[session] != animal)))
    return found


@dataclass(frozen=True)
class Plan:
    """Network and budgets. pretrain.steps are those per session; tune.steps None: by the size of the target."""

    model: MtMConfig
    pretrain: TrainConfig
    tune: TrainConfig

    def pretraining(self, n_sessions: int, seed: int) -> TrainConfig:
        base = self.pretrain
        n_in_batch = min(base.sessions_per_batch, n_sessions)
        return replace(base, steps=base.steps * n_sessions, sessions_per_batch=n_in_batch, seed=seed)

    def tuning(self, target: Trials, seed: int, from_scratch: bool) -> TrainConfig:
        steps = self.tune.steps or steps_that_pay(int(target.select("train").valid.sum()))
        config = replace(self.tune, steps=steps, seed=seed)
        return replace(config, trunk_learning_rate=1.0) if from_scratch else config


def trunk_settings(plan: Plan, sessions: Sequence[Trials], seed: int) -> dict[str, Any]:
    """All that a pre-trained trunk depends on."""
    return {
        "experiment": "scaling, trunk",
        "data": [identity(trials) for trials in sessions],
        "model": asdict(plan.model),
        "training": plan.pretraining(len(sessions), seed).to_json(),
    }


def target_settings(plan: Plan, target: Trials, seed: int, trunk: dict[str, Any] | None) -> dict[str, Any]:
    """All that the score of one target depends on; trunk: its settings, None for a model from scratch."""
    return {
        "experiment": "scaling",
        "data": identity(target),
        "model": asdict(plan.model),
        "training": plan.tuning(target, seed, trunk is None).to_json(),
        "trunk": trunk,
    }


@dataclass(frozen=True)
class Worker:
    """Where models are trained, and who watches; `watch` sees every step and may raise to stop."""

    device: torch.device
    watch: Watch = lambda step: None

    def train(self, model: MtM, sessions: list[Trials], config: TrainConfig) -> Trainer:
        return fit(model.to(self.device), sessions, config, self.watch)

    def pretrain(self, plan: Plan, sessions: list[Trials], seed: int) -> MtM:
        """The trunk, without the rows of the sessions that it learned from."""
        model = build_model(plan.model, sessions, seed)
        trainer = self.train(model, sessions, plan.pretraining(len(sessions), seed))
        return trunk_only(best_model(trainer.run).cpu())

    def score(self, plan: Plan, target: Trials, seed: int, trunk: MtM | None) -> dict[str, Any]:
        """Tune the trunk (None: fresh weights) to the target and score its test trials, as JSON."""
        config = plan.tuning(target, seed, trunk is None)
        model = build_model(plan.model, [target], seed) if trunk is None else transfer(trunk, [target], seed)
        trainer = self.train(model, [target], config)
        run, tuned = trainer.run, as_checkpoint(finished(trainer)[0], [target], "scaling")
        numbers = {"steps": run.step, "best_step": run.best_step, "seconds": round(run.elapsed, 1)}
        return {"session": target.session_id, "seed": seed, **numbers, "tasks": measured_tasks(tuned, target)}

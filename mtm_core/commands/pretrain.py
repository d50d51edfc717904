"""`mtm pretrain`: one transformer over the recordings of many animals. A session that cannot be used is left out with
the reason, which the checkpoint keeps beside what was used."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..data.simulate import SIMULATED_IDS
from ..modality import present
from ..models.neds import NedsConfig
from ..session import Trials
from ..training.build import build_model
from ..training.config import TrainConfig
from .recordings import of_subjects, open_usable
from .running import Job, train
from .train import model_settings, preset_of, train_settings

FULL_BATCH = 4  # sessions in a batch, where the preset says one: what a trunk learns should not be one animal's
TRIALS_OF_ONE = 8  # of each session in a batch, at least


def pretrain_settings(options: argparse.Namespace) -> TrainConfig:
    base = preset_of(options).train
    n_sessions = options.sessions_per_batch or max(FULL_BATCH, base.sessions_per_batch)
    alpha = base.alpha if options.alpha is None else options.alpha
    batch_size = max(base.batch_size, n_sessions * TRIALS_OF_ONE)
    return replace(base, sessions_per_batch=n_sessions, alpha=alpha, batch_size=batch_size)


def with_behavior(sessions: list[Trials]) -> tuple[list[Trials], dict[str, str]]:
    """The sessions that NEDS can learn from, and why it cannot from the others; raises ValueError if none is left."""
    found = [trials for trials in sessions if present(trials.behaviors, trials.split == "train")]
    bare = [trials.session_id for trials in sessions if all(trials is not each for each in found)]
    for session_id in bare:
        print(f"not used: {session_id}: no behavior to translate")
    if not found:
        raise ValueError("no session has a behavior to translate; train MtM on them")
    return found, dict.fromkeys(bare, "no behavior to translate")


def run(options: argparse.Namespace) -> int:
    if options.simulated:
        chosen = list(SIMULATED_IDS)
    else:
        chosen = options.sessions or of_subjects(options.subjects, options.cache_dir)
    sessions, refused = open_usable(chosen, options)
    if isinstance(preset_of(options).model, NedsConfig):
        sessions, bare = with_behavior(sessions)
        refused = {**refused, **bare}
    base = pretrain_settings(options)
    base = replace(base, sessions_per_batch=min(base.sessions_per_batch, len(sessions)))
    config = train_settings(options, base, sessions)
    n_trials = sum(int((trials.split == "train").sum()) for trials in sessions)
    print(f"{len(sessions)} sessions, {n_trials} training trials: an epoch is {n_trials / config.batch_size:.0f} steps")
    model = build_model(model_settings(options), sessions, config.seed)
    return train(Job(model, sessions, config, Path(options.out), refused=refused, trunk_only=options.trunk), options)

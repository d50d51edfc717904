"""`mtm train`: from recordings to a checkpoint. Ctrl-C keeps the best weights; the same command goes on with it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..data.simulate import SIMULATED_IDS
from ..masking import PATCH_NEURONS, Scheme
from ..models.mtm import MtMConfig
from ..session import Trials
from ..training.config import TrainConfig, steps_that_pay
from ..training.loop import build_model
from ..training.presets import PRESETS
from .recordings import open_trials, refuse_twins
from .running import Job, train


def model_settings(options: argparse.Namespace) -> MtMConfig:
    """The preset's model with what the options change."""
    size = {"width": options.width, "n_layers": options.layers}
    if options.tokens == "ndt2":
        size["patch_neurons"] = PATCH_NEURONS
    if options.no_prompt:
        size["prompted"] = False
    return replace(PRESETS[options.preset].model, **{name: value for name, value in size.items() if value is not None})


def train_settings(options: argparse.Namespace, base: TrainConfig, sessions: list[Trials]) -> TrainConfig:
    """`base` with the budget, the schemes and the seed of the options."""
    mix = tuple(Scheme[name.upper()] for name in options.schemes) if options.schemes else base.schemes
    config = replace(base, schemes=mix, seed=options.seed)
    epochs = PRESETS[options.preset].epochs if "preset" in options else 0
    if options.steps is not None:
        return replace(config, steps=options.steps)
    if options.minutes is None and epochs:
        n_trials = sum(int((trials.split == "train").sum()) for trials in sessions)
        return replace(config, steps=max(1, epochs * n_trials // config.batch_size))
    most = steps_that_pay(sum(int(trials.select("train").valid.sum()) for trials in sessions))
    return replace(config, minutes=base.minutes if options.minutes is None else options.minutes, most_steps=most)


def run(options: argparse.Namespace) -> int:
    if options.session and len(options.session) > 1:
        refuse_twins(options.session, options.cache_dir)
    sessions = [open_trials(each, options) for each in (SIMULATED_IDS if options.simulated else options.session)]
    config = train_settings(options, PRESETS[options.preset].train, sessions)
    model = build_model(model_settings(options), sessions, config.seed)
    return train(Job(model, sessions, config, Path(options.out)), options)

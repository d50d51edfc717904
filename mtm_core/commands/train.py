"""`mtm train`: from recordings to a checkpoint. Ctrl-C keeps the best weights; the same command goes on with it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..data.simulate import SIMULATED_IDS
from ..masking import PATCH_NEURONS
from ..models.mtm import MtMConfig
from ..models.neds import NedsConfig
from ..session import Trials
from ..training.build import build_model
from ..training.config import TrainConfig, steps_that_pay
from ..training.presets import BY_MODEL, Preset
from .recordings import open_trials, refuse_twins
from .running import Job, train

SWITCHES = "--tokens, --no-prompt and --no-hidden-signal"


def preset_of(options: argparse.Namespace) -> Preset:
    return BY_MODEL[getattr(options, "model", "mtm")][options.preset]


def model_settings(options: argparse.Namespace) -> MtMConfig | NedsConfig:
    """The preset's model with what the options change; raises ValueError for what the model has no switch for."""
    base = preset_of(options).model
    size = {"width": options.width, "n_layers": options.layers}
    if isinstance(base, NedsConfig) and (options.tokens != "ndt1" or options.no_prompt or options.no_hidden_signal):
        raise ValueError(f"{SWITCHES} are switches of MtM; leave them out with --model neds")
    if options.tokens == "ndt2":
        size["patch_neurons"] = PATCH_NEURONS
    if options.no_prompt:
        size["prompted"] = False
    if options.no_hidden_signal:
        size["hidden_signal"] = False
    return replace(base, **{name: value for name, value in size.items() if value is not None})


def mix_of(names: list[str] | None, base: TrainConfig) -> TrainConfig:
    """`base` with the schemes of these names; raises ValueError for those of another kind of model."""
    if not names:
        return base
    known = {scheme.label: scheme for scheme in type(base.schemes[0])}
    foreign = [name for name in names if name not in known]
    if foreign:
        raise ValueError(f"scheme {foreign[0]!r} is none of this model's; choose from {', '.join(known)}")
    return replace(base, schemes=tuple(known[name] for name in names))


def train_settings(options: argparse.Namespace, base: TrainConfig, sessions: list[Trials]) -> TrainConfig:
    """`base` with the budget, the schemes and the seed of the options."""
    config = replace(mix_of(options.schemes, base), seed=options.seed)
    epochs = preset_of(options).epochs if "preset" in options else 0
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
    config = train_settings(options, preset_of(options).train, sessions)
    model = build_model(model_settings(options), sessions, config.seed)
    return train(Job(model, sessions, config, Path(options.out)), options)

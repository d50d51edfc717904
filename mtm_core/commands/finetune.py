"""`mtm finetune`: a trained model learns recordings that it has never seen, by new rows for their neurons."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..checkpoint import Checkpoint, load_checkpoint
from ..modality import BEHAVIORS
from ..models.neds import Neds
from ..models.tables import AnimalTables
from ..session import Trials, identity
from ..training.build import build_model
from ..training.config import TrainConfig
from ..training.objective import objective_of
from ..training.presets import FINE_TUNING
from ..training.transfer import transfer
from .recordings import open_trials, refuse_twins, twins_of
from .running import Job, train
from .train import train_settings

FROM_SCRATCH = "from-scratch"  # folder of the comparison, below --out


def run(options: argparse.Namespace) -> int:
    out = Path(options.out)
    if out.resolve() == Path(options.checkpoint).resolve():
        raise ValueError(f"{out}: the model to fine-tune lies there; give another --out folder")
    trunk = load_checkpoint(options.checkpoint)
    if not isinstance(trunk.model, AnimalTables):
        raise ValueError(f"{options.checkpoint}: released weights run as they are; fine-tune a model of this program")
    refuse_twins(options.session, options.cache_dir)
    sessions = [open_trials(each, options) for each in options.session]
    seen = pretrained_on(trunk)
    known = {about["session"]: about for about in seen}
    for trials in sessions:
        refuse_leak(trials, known, twins_of(options.cache_dir))
    if options.only_stitcher and isinstance(trunk.model, Neds):
        sessions = [only_seen(trunk.model, trials) for trials in sessions]
    config = train_settings(options, tuning_settings(trunk, options.only_stitcher), sessions)
    origin = {"checkpoint": trunk.manifest["hash"]}
    half_done = is_half_done(out) and options.compare
    model = transfer(trunk.model, sessions, config.seed)
    status = 0 if half_done else train(Job(model, sessions, config, out, origin, seen), options)
    if status or not options.compare:
        return status
    print("from scratch, with the same budget:")
    fresh = build_model(trunk.model.config, sessions, config.seed)
    scratch = replace(config, trunk_learning_rate=1.0)
    return train(Job(fresh, sessions, scratch, out / FROM_SCRATCH), options)


def only_seen(trunk: Neds, trials: Trials) -> Trials:
    """A session without the behaviors that the trunk has never seen: at rest, it cannot learn to read or tell them."""
    new = [name for name in trials.behaviors if name in BEHAVIORS and name not in trunk.seen()]
    if new:
        print(f"left out, as the trunk has not seen it and stays as it is: {', '.join(new)} of {trials.session_id}")
    return replace(trials, behaviors={name: trials.behaviors[name] for name in trials.behaviors if name not in new})


def tuning_settings(trunk: Checkpoint, only_stitcher: bool) -> TrainConfig:
    """The schemes that the model was trained on, and no higher rate than it was trained with."""
    about = trunk.manifest
    objective = objective_of(trunk.model)
    schemes = tuple(objective.schemes[name.upper()] for name in about.get("schemes", ())) or objective.mix
    rate = min(FINE_TUNING.learning_rate, about.get("training", {}).get("learning_rate", FINE_TUNING.learning_rate))
    base = replace(FINE_TUNING, schemes=schemes, learning_rate=rate)
    return replace(base, trunk_learning_rate=0.0) if only_stitcher else base


def is_half_done(out: Path) -> bool:
    """Whether the comparison was interrupted after the fine-tuning had ended."""
    return (out / FROM_SCRATCH / "resume.json").is_file() and not (out / "resume.json").is_file()


def pretrained_on(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """The sessions whose training trials the shared weights have seen."""
    return [*checkpoint.manifest.get("data", []), *checkpoint.manifest.get("pretrained_on", [])]


def refuse_leak(trials: Trials, known: dict[str, dict[str, Any]], twins: dict[str, str]) -> None:
    """Test trials that the trunk has trained on would be no test; raises ValueError."""
    twin = twins.get(trials.session_id, "")
    if twin in known:
        raise ValueError(f"session {trials.session_id} is the same recording as {twin}, on which the model was trained")
    about, own = known.get(trials.session_id), identity(trials)
    if about is None:
        return
    # A window outside the trained one may show the next trial, which may have been a training trial.
    inside = about["window"][0] <= own["window"][0] and own["window"][1] <= about["window"][1]
    if not inside or any(about[name] != own[name] for name in ("event", "split_sha256")):
        window = f"{about['window'][0]:g} {about['window'][1]:g}"
        raise ValueError(
            f"session {trials.session_id}: the model was trained on it with other training trials; its test trials "
            f"would be no test. Give those of that training: --event {about['event']} --window {window}"
        )

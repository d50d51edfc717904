"""`mtm finetune`: a trained model learns recordings that it has never seen, by new rows for their neurons."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..checkpoint import Checkpoint, load_checkpoint
from ..models.mtm import MtM
from ..session import Trials, identity
from ..training.loop import build_model
from ..training.presets import FINE_TUNING
from ..training.transfer import transfer
from .recordings import open_trials, refuse_twins, twins_of
from .running import Job, train
from .train import train_settings

FROM_SCRATCH = "from-scratch"  # folder of the comparison, below --out


def run(options: argparse.Namespace) -> int:
    trunk = load_checkpoint(options.checkpoint)
    if not isinstance(trunk.model, MtM):
        raise ValueError(f"{options.checkpoint}: released weights run as they are; fine-tune a model of this program")
    refuse_twins(options.session, options.cache_dir)
    sessions = [open_trials(each, options) for each in options.session]
    seen = pretrained_on(trunk)
    known = {about["session"]: about for about in seen}
    for trials in sessions:
        refuse_leak(trials, known, twins_of(options.cache_dir))
    base = replace(FINE_TUNING, trunk_learning_rate=0.0, rows_first=0.0) if options.only_stitcher else FINE_TUNING
    config = train_settings(options, base, sessions)
    origin = {"checkpoint": trunk.manifest["hash"]}
    out = Path(options.out)
    model = transfer(trunk.model, sessions, config.seed)
    status = train(Job(model, sessions, config, out, origin, seen), options)
    if status or not options.compare:
        return status
    print("from scratch, with the same budget:")
    fresh = build_model(trunk.model.config, sessions, config.seed)
    scratch = replace(config, trunk_learning_rate=1.0, rows_first=0.0)
    return train(Job(fresh, sessions, scratch, out / FROM_SCRATCH), options)


def pretrained_on(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """The sessions whose training trials the shared weights have seen."""
    return [*checkpoint.manifest.get("data", []), *checkpoint.manifest.get("pretrained_on", [])]


def refuse_leak(trials: Trials, known: dict[str, dict[str, Any]], twins: dict[str, str]) -> None:
    """Test trials that the trunk has trained on would be no test; raises ValueError."""
    twin = twins.get(trials.session_id, "")
    if twin in known:
        raise ValueError(f"session {trials.session_id} is the same recording as {twin}, on which the model was trained")
    about = known.get(trials.session_id)
    if about is not None and about["split_sha256"] != identity(trials)["split_sha256"]:
        raise ValueError(
            f"session {trials.session_id}: the model was trained on it with other training trials; its test trials "
            f"would be no test. Give the window of that training: --window {about['window'][0]} {about['window'][1]}"
        )

"""The untrained model: what the architecture and the neurons' means score before anything has been learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from ..checkpoint import Checkpoint
from ..models.mtm import MtM

NAME = "untrained"


def untrained(checkpoint: Checkpoint, seed: int = 0) -> Checkpoint:
    """The same architecture, neurons and training means with fresh random weights; can be scored like any model.

    Keeps the session and split identity of the checkpoint, so that it is scored by the same protocol.
    """
    model = checkpoint.model
    if not isinstance(model, MtM):
        raise ValueError("released weights can be asked, not trained; give a checkpoint of this program")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = MtM(model.config, model.unit_ids, model.session_ids)
    fresh.units.set_means(torch.arange(len(model.unit_ids)), model.units.mean.cpu())
    manifest = {**checkpoint.manifest, "hash": f"{NAME}, seed {seed}"}
    return replace(checkpoint, model=fresh.to(model.device).eval(), manifest=manifest, path=Path(NAME))

"""Models by name, so that a script means the same model on every computer."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from .checkpoint import NAME, Checkpoint, load_checkpoint
from .device import pick_device
from .paths import assets_dir
from .runs import list_runs
from .tensorfolder import TensorFolder


def installed_models() -> dict[str, Path]:
    """The bundled models, and those in or below the folders that MTM_CHECKPOINTS lists, by name of folder."""
    extra = filter(None, os.environ.get("MTM_CHECKPOINTS", "").split(os.pathsep))
    roots = [assets_dir() / "checkpoints", *map(Path, extra)]
    found: dict[str, Path] = {}
    for root in roots:
        folders = [root, *sorted(p for p in root.iterdir() if p.is_dir())] if root.is_dir() else []
        found |= {f.name: f for f in folders if TensorFolder(f, NAME).manifest_file.is_file() and f.name not in found}
    return found


def open_model(name: str, device: str | torch.device | None = None) -> Checkpoint:
    """Load a model by its name, on the GPU if there is one: bundled, below MTM_CHECKPOINTS, or a run that has ended.

    Raises FileNotFoundError if no model has the name, CheckpointError if it cannot be read.
    """
    found = {**{run.id: run.folder for run in list_runs() if run.has_result}, **installed_models()}
    if name not in found:
        raise FileNotFoundError(
            f"there is no model named {name!r} here, only {', '.join(sorted(found))}; set MTM_CHECKPOINTS to the "
            "folder that holds it, or give its folder to load_checkpoint"
        )
    return load_checkpoint(found[name], pick_device() if device is None else device)

"""A trained model on disk: `checkpoint.json` (what it is) and a safetensors file (its weights), verified on load."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import __version__
from .models.mtm import MtM, MtMConfig
from .tensorfolder import CheckpointError, TensorFolder

FORMAT = 1
NAME = "checkpoint"


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model and what is known about its training."""

    model: MtM
    manifest: dict[str, Any]
    path: Path

    @property
    def session_ids(self) -> tuple[str, ...]:
        return self.model.session_ids

    @property
    def unit_ids(self) -> tuple[str, ...]:
        return self.model.unit_ids


def save_checkpoint(path: str | Path, model: MtM, facts: dict[str, Any]) -> Checkpoint:
    """Write `model` to the folder `path`; `facts` is JSON: training settings, sessions with data and split identity."""
    about = {
        "format": FORMAT,
        "model": "mtm",
        "version": __version__,
        "config": asdict(model.config),
        "unit_ids": list(model.unit_ids),
        "session_ids": list(model.session_ids),
        "n_parameters": sum(p.numel() for p in model.parameters()),
    }
    manifest = TensorFolder(Path(path), NAME).write(model.state_dict(), {**facts, **about})
    return Checkpoint(model, manifest, Path(path))


def read_manifest(path: str | Path) -> dict[str, Any]:
    """What a checkpoint folder says of itself, verified, without its weights; raises CheckpointError."""
    folder = TensorFolder(Path(path), NAME)
    manifest = folder.read_manifest()
    if manifest.get("format") != FORMAT or manifest.get("model") != "mtm":
        found = f"model {manifest.get('model')!r}, format {manifest.get('format')!r}"
        raise CheckpointError(f"{folder.manifest_file}: {found}; this version reads model 'mtm', format {FORMAT}")
    return manifest


def _check_fit(file: Path, expected: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    missing, foreign = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    both = sorted(expected.keys() & found.keys())
    unlike = [n for n in both if (expected[n].shape, expected[n].dtype) != (found[n].shape, found[n].dtype)]
    if missing or foreign or unlike:
        difference = f"missing {missing[:3]}, foreign {foreign[:3]}, other shape or type {unlike[:3]}"
        raise CheckpointError(f"{file}: weights of another model ({difference}); take the folder's own file")
    broken = sorted(n for n, value in found.items() if not bool(torch.isfinite(value).all()))
    if broken:
        raise CheckpointError(f"{file}: weights {broken[:3]} hold values that are not finite; train again")


def load_checkpoint(path: str | Path, device: str | torch.device = "cpu") -> Checkpoint:
    """Load and verify the checkpoint folder `path`; raises CheckpointError with the file and the reason."""
    path = Path(path)
    manifest = read_manifest(path)
    weights = TensorFolder(path, NAME).read_tensors(manifest)
    try:
        config = MtMConfig(**manifest["config"])
        with torch.device("meta"):  # shapes only: no memory and no random numbers for weights that are read anyway
            model = MtM(config, tuple(manifest["unit_ids"]), tuple(manifest["session_ids"]))
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path / NAME}.json: unusable config ({error}); train again") from error
    _check_fit(path / manifest["tensors"], model.state_dict(), weights)
    model.load_state_dict(weights, assign=True)
    return Checkpoint(model.to(device).eval(), manifest, path)

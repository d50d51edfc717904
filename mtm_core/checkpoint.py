"""A trained model on disk: `checkpoint.json` (what it is) and a safetensors file (its weights), verified on load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from . import __version__
from .models.mtm import MtM, MtMConfig
from .models.neds import Neds, NedsConfig
from .models.released import LABEL, ReleasedConfig, ReleasedMtM
from .models.released_neds import LABEL as NEDS_LABEL
from .models.released_neds import ReleasedNeds, ReleasedNedsConfig
from .tensorfolder import CheckpointError, TensorFolder

FORMAT = 1
NAME = "checkpoint"
Model: TypeAlias = MtM | Neds | ReleasedMtM | ReleasedNeds


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model and what is known about its training."""

    model: Model
    manifest: dict[str, Any]
    path: Path

    @property
    def session_ids(self) -> tuple[str, ...]:
        return self.model.session_ids

    @property
    def unit_ids(self) -> tuple[str, ...]:
        return self.model.unit_ids


def _build_mtm(manifest: dict[str, Any]) -> MtM:
    return MtM(MtMConfig(**manifest["config"]), tuple(manifest["unit_ids"]), tuple(manifest["session_ids"]))


def _build_neds(manifest: dict[str, Any]) -> Neds:
    return Neds(NedsConfig(**manifest["config"]), tuple(manifest["unit_ids"]), tuple(manifest["session_ids"]))


def _build_released(manifest: dict[str, Any]) -> ReleasedMtM:
    return ReleasedMtM(ReleasedConfig(**_with_tuples(manifest["config"])))


def _build_released_neds(manifest: dict[str, Any]) -> ReleasedNeds:
    return ReleasedNeds(ReleasedNedsConfig(**_with_tuples(manifest["config"])))


def _with_tuples(config: dict[str, Any]) -> dict[str, Any]:
    return {name: _tuples(value) for name, value in config.items()}  # JSON knows no tuples


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value


# manifest["model"] -> how to build it. Released weights carry their label with them wherever they are copied.
BUILD: dict[str, Callable[[dict[str, Any]], Model]] = {
    "mtm": _build_mtm,
    "neds": _build_neds,
    "mtm_released": _build_released,
    "neds_released": _build_released_neds,
}
FACTS: dict[type[Model], dict[str, Any]] = {
    MtM: {"model": "mtm"},
    Neds: {"model": "neds"},
    ReleasedMtM: {"model": "mtm_released", "label": LABEL},
    ReleasedNeds: {"model": "neds_released", "label": NEDS_LABEL},
}


def save_checkpoint(path: str | Path, model: Model, facts: dict[str, Any]) -> Checkpoint:
    """Write `model` to the folder `path`; `facts` is JSON: training settings, sessions with data and split identity."""
    about = {
        "format": FORMAT,
        "version": __version__,
        "config": asdict(model.config),
        "unit_ids": list(model.unit_ids),
        "session_ids": list(model.session_ids),
        "n_parameters": sum(p.numel() for p in model.parameters()),
    }
    manifest = TensorFolder(Path(path), NAME).write(model.state_dict(), {**facts, **about, **FACTS[type(model)]})
    return Checkpoint(model, manifest, Path(path))


def read_manifest(path: str | Path) -> dict[str, Any]:
    """What a checkpoint folder says of itself, verified, without its weights; raises CheckpointError."""
    folder = TensorFolder(Path(path), NAME)
    manifest = folder.read_manifest()
    known = isinstance(manifest.get("model"), str) and manifest["model"] in BUILD
    if manifest.get("format") != FORMAT or not known:
        found = f"model {manifest.get('model')!r}, format {manifest.get('format')!r}"
        raise CheckpointError(
            f"{folder.manifest_file}: {found}; this version reads {', '.join(BUILD)}, format {FORMAT}"
        )
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
    """Load and verify the checkpoint folder `path`; raises CheckpointError with the file and the reason.

    A checkpoint may know no session ("trunk only", `session_ids` empty): it can be fine-tuned, but predicts nothing.
    """
    path = Path(path)
    manifest = read_manifest(path)
    weights = TensorFolder(path, NAME).read_tensors(manifest)
    try:
        with torch.device("meta"):  # shapes only: no memory and no random numbers for weights that are read anyway
            model = BUILD[manifest["model"]](manifest)
        _check_names(model, manifest)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path / NAME}.json: unusable config ({error}); train again") from error
    _check_fit(path / manifest["tensors"], model.state_dict(), weights)
    model.load_state_dict(weights, assign=True)
    return Checkpoint(model.to(device).eval(), manifest, path)


def _check_names(model: Model, manifest: dict[str, Any]) -> None:
    """The released network makes its names from its config; a manifest must not give it others."""
    for name, own in (("unit_ids", model.unit_ids), ("session_ids", model.session_ids)):
        if list(own) != list(manifest[name]):
            raise ValueError(f"{name} are not those of the config")

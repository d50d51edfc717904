"""A training run on disk, so that a killed one goes on where it was."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..session import Trials, identity
from ..tensorfolder import CheckpointError, TensorFolder
from .averaging import REACH
from .config import TrainConfig
from .loop import Run

NAME = "resume"
LARGEST = 64 * 2**30  # bytes; five copies of the tables: 31 kB per neuron at width 512
NUMBERS = (
    "step",
    "elapsed",
    "n_skipped",
    "n_validations",
    "n_worse",
    "micro_batch",
    "best_score",
    "best_step",
    "history",
)


def _settings(sessions: list[Trials], config: TrainConfig, run: Run) -> dict[str, Any]:
    """What has to be equal for a run to be the same run."""
    training = {**config.to_json(), "averaging": REACH}
    data = [identity(trials) for trials in sessions]
    return {"training": training, "model": asdict(run.model.config), "data": data, "origin": run.origin}


def _differences(wanted: dict[str, Any], found: Any) -> str:
    """Names of the settings that differ: "training seed, model width, data"."""
    parts = {part: found.get(part) if isinstance(found, dict) else None for part in wanted}
    names = [part for part in wanted if not isinstance(parts[part], dict) and parts[part] != wanted[part]]
    for part, values in parts.items():
        if isinstance(values, dict):
            keys = wanted[part].keys() | values.keys()
            names += sorted(f"{part} {key}" for key in keys if values.get(key) != wanted[part].get(key))
    return ", ".join(names)


def _moments(run: Run) -> dict[str, Tensor]:
    """Optimizer state by parameter name."""
    names = {parameter: name for name, parameter in run.model.named_parameters()}
    return {
        f"optimizer/{names[parameter]}/{key}": value
        for parameter, state in run.optimizers.states()
        for key, value in state.items()
    }


def save_run(path: Path, run: Run, sessions: list[Trials], config: TrainConfig) -> None:
    """Write the run to the folder `path`; raises OSError and keeps the last state if the disk refuses."""
    both = {"model": run.model, "average": run.average}
    weights = {f"{which}/{name}": value for which, model in both.items() for name, value in model.state_dict().items()}
    best = {f"best/{name}": value for name, value in run.best.items()}
    numbers = {name: getattr(run, name) for name in NUMBERS}
    numbers["best_score"] = run.best_score if run.best else None  # JSON has no -inf
    facts = {"settings": _settings(sessions, config, run), "numbers": numbers}
    TensorFolder(path, NAME, LARGEST).write({**weights, **_moments(run), **best}, facts)


def load_run(path: Path, run: Run, sessions: list[Trials], config: TrainConfig) -> bool:
    """Put a saved run's state into the fresh `run`; False if there is none.

    Raises CheckpointError if the saved run had other data or settings, or is damaged.
    """
    folder = TensorFolder(path, NAME, LARGEST)
    if not folder.exists():
        return False
    manifest = folder.read_manifest()
    wanted, found = _settings(sessions, config, run), manifest.get("settings")
    if wanted != found:
        raise CheckpointError(
            f"{folder.manifest_file}: an unfinished run with other settings ({_differences(wanted, found)}); give the "
            "same options to go on with it, or another --out folder to start anew"
        )
    _restore(run, folder.read_tensors(manifest), manifest["numbers"])
    return True


def _restore(run: Run, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    run.model.load_state_dict(_under("model/", tensors))
    run.average.load_state_dict(_under("average/", tensors))
    run.best = _under("best/", tensors)
    for name, parameter in run.model.named_parameters():
        if state := _under(f"optimizer/{name}/", tensors):
            run.optimizers.restore(parameter, state)
    for name in NUMBERS:
        setattr(run, name, numbers[name])
    run.best_score = float("-inf") if numbers["best_score"] is None else numbers["best_score"]


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def delete_run(path: Path) -> None:
    TensorFolder(path, NAME, LARGEST).delete()

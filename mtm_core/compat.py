"""The MtM authors' released weights: a safetensors file and a JSON file of sizes and sessions -> `ReleasedMtM`.

The release is a pickle, which is never opened here: `mtm convert-pickle` writes the safetensors file. The JSON file
says what the weights do not. As an example, with sizes of the release:

    {"model": "NDT1", "act": "softsign", "n_bins": 100, "hidden_size": 512, "n_heads": 8, "n_layers": 5,
     "inter_size": 1024, "n_channels": 668, "mult": 2, "n_session_embeddings": 40,
     "prompts": ["neuron", "causal", "inter-region", "intra-region"],
     "session_ids": ["5dcee0eb-...", ...], "sessions": [{"eid": "5dcee0eb-...", "n_neurons": 721}, ...]}

`prompts` and `session_ids` stand in the order of their embedding rows; `sessions` says which stitcher a session uses.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .models.released import ReleasedConfig, ReleasedMtM
from .tensorfolder import LARGEST_TENSORS, CheckpointError

LARGEST_CONFIG = 4 * 2**20  # bytes; 10,000 sessions fit
DEAD = ("decoder.0.weight", "decoder.0.bias")  # the release keeps a read-out that models with stitchers never use
FLOAT32 = "F32"


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError("expected a list of texts")
    return tuple(value)


def _neurons(value: Any) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, list) or not all(
        isinstance(row, dict) and {"eid", "n_neurons"} <= row.keys() for row in value
    ):
        raise ValueError('expected a list of {"eid": ..., "n_neurons": ...}')
    return tuple((str(row["eid"]), row["n_neurons"]) for row in value)


def _as_it_is(value: Any) -> Any:
    return value  # sizes are checked by ReleasedConfig


# name in the file -> name in ReleasedConfig, reader
FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "n_bins": ("n_bins", _as_it_is),
    "hidden_size": ("width", _as_it_is),
    "n_heads": ("n_heads", _as_it_is),
    "n_layers": ("n_layers", _as_it_is),
    "inter_size": ("inter_size", _as_it_is),
    "n_channels": ("n_channels", _as_it_is),
    "mult": ("mult", _as_it_is),
    "n_session_embeddings": ("n_session_embeddings", _as_it_is),
    "prompts": ("prompts", _texts),
    "session_ids": ("session_ids", _texts),
    "sessions": ("n_neurons", _neurons),
}
FIXED = {"model": "NDT1", "act": "softsign"}  # what the network is written for


def read_config(file: str | Path) -> ReleasedConfig:
    """Sizes and sessions from a JSON file; raises CheckpointError naming what is missing or wrong."""
    file = Path(file)
    found = _json(file)
    missing = [name for name in (*FIXED, *FIELDS) if name not in found]
    if missing:
        raise CheckpointError(f"{file}: lacks {', '.join(missing)}; {_needed()}")
    for name, value in FIXED.items():
        if found[name] != value:
            raise CheckpointError(f"{file}: {name} is {found[name]!r}; only {value!r} weights can be read")
    values = {}
    for name, (ours, read) in FIELDS.items():
        try:
            values[ours] = read(found[name])
        except ValueError as error:
            raise CheckpointError(f"{file}: {name}: {error}") from error
    try:
        return ReleasedConfig(**values)
    except ValueError as error:
        raise CheckpointError(f"{file}: {error}") from error


def _needed() -> str:
    return f"the file must give {', '.join((*FIXED, *FIELDS))}"


def _json(file: Path) -> dict[str, Any]:
    _check_file(file, LARGEST_CONFIG)
    try:
        found = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: not JSON ({error}); {_needed()}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{file}: JSON, but no object; {_needed()}")
    return found


def _check_file(file: Path, largest: int) -> None:
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file")
    if file.stat().st_size > largest:
        raise CheckpointError(f"{file}: {file.stat().st_size} bytes, more than the {largest} such a file may have")


def empty_released(config: ReleasedConfig) -> ReleasedMtM:
    """The network without memory for its weights: shapes only."""
    with torch.device("meta"):
        return ReleasedMtM(config)


def read_released(weights: str | Path, config: str | Path) -> ReleasedMtM:
    """The released network with its weights, on the CPU.

    The file's table of contents is compared with the network before any weight is read. Raises CheckpointError for
    files that cannot be read and for missing, foreign and misshapen weights.
    """
    weights = Path(weights)
    model = empty_released(read_config(config))
    _check_file(weights, LARGEST_TENSORS)
    try:
        with safe_open(weights, "pt") as file:
            names = _fitting(weights, model.state_dict(), {name: file.get_slice(name) for name in file.keys()})
            # cloned: the file stays mapped otherwise, and whoever changes it would change the model
            found = {name: file.get_tensor(name).clone() for name in names}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{weights}: not a safetensors file ({error}); convert a pickle with `mtm convert-pickle`"
        ) from error
    broken = sorted(name for name, value in found.items() if not bool(torch.isfinite(value).all()))
    if broken:
        raise CheckpointError(f"{weights}: weights {broken[:3]} hold values that are not finite")
    model.load_state_dict(found, assign=True)
    return model.eval()


def _fitting(file: Path, expected: dict[str, Tensor], found: dict[str, Any]) -> list[str]:
    """Names of the weights to read, once the file has them all in the right shape and no others."""
    for name, part in found.items():
        if part.get_dtype() != FLOAT32:
            raise CheckpointError(f"{file}: {name} is {part.get_dtype()}, not float32; convert it first")
    shapes = {name: tuple(part.get_shape()) for name, part in found.items() if name not in DEAD}
    missing, foreign = sorted(expected.keys() - shapes.keys()), sorted(shapes.keys() - expected.keys())
    unlike = [
        f"{name} {shape} instead of {tuple(expected[name].shape)}"
        for name, shape in sorted(shapes.items())
        if name in expected and shape != tuple(expected[name].shape)
    ]
    if missing or foreign or unlike:
        difference = f"missing {missing[:3]}, foreign {foreign[:3]}, other shape {unlike[:3]}"
        hint = "; stitchers are named by numbers of neurons: list their sessions" if "stitch" in difference else ""
        raise CheckpointError(f"{file}: not the weights that the config describes ({difference}){hint}")
    return sorted(expected)

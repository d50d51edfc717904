"""The authors' released weights: a safetensors file and a JSON file of sizes and sessions -> the network with them.

The release is a pickle, which is never opened here: `mtm convert-pickle` writes the safetensors file. The JSON file
says what the weights do not. As an example of MtM, with sizes of the release:

    {"model": "NDT1", "act": "softsign", "n_bins": 100, "hidden_size": 512, "n_heads": 8, "n_layers": 5,
     "inter_size": 1024, "n_channels": 668, "mult": 2, "n_session_embeddings": 40,
     "prompts": ["neuron", "causal", "inter-region", "intra-region"],
     "session_ids": ["5dcee0eb-...", ...], "sessions": [{"eid": "5dcee0eb-...", "n_neurons": 721}, ...]}

`prompts` and `session_ids` stand in the order of their embedding rows; `sessions` says which stitcher a session uses.
Of NEDS:

    {"model": "NEDS", "n_bins": 100, "hidden_size": 256, "n_heads": 8, "n_layers": 5, "inter_size": 512,
     "n_neurons": 300, "modalities": ["spike", "choice", "block", "wheel", "whisker"], "n_session_embeddings": 84,
     "session_ids": ["754b74d5-...", ...], "sessions": [{"eid": "754b74d5-...", "n_neurons": 300}, ...]}

`n_neurons` is the size of all stitchers of spikes, `sessions` says who has stitchers, and how many neurons; without it,
all of `session_ids` have, with that number. `session_id` instead of `session_ids` names the first embedding row; beside
`session_ids`, the only session with stitchers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .models.released import ReleasedConfig, ReleasedMtM
from .models.released_neds import MODALITIES, ReleasedNeds, ReleasedNedsConfig
from .tensorfolder import LARGEST_TENSORS, CheckpointError

LARGEST_CONFIG = 4 * 2**20  # bytes; 10,000 sessions fit
DEAD = ("decoder.0.weight", "decoder.0.bias")  # the release keeps a read-out that models with stitchers never use
FLOAT32 = "F32"
Config: TypeAlias = ReleasedConfig | ReleasedNedsConfig
Network: TypeAlias = ReleasedMtM | ReleasedNeds


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
    return value  # sizes are checked by the config


def _same(names: dict[str, Any]) -> dict[str, Any]:
    return names


def _neds_sessions(found: dict[str, Any]) -> dict[str, Any]:
    """The JSON object with `session_ids` and `sessions` in place of what is shorter for one session."""
    if "session_id" not in found and "session_ids" not in found:
        return found
    ids = found.get("session_ids", [found.get("session_id")])
    own = [found["session_id"]] if "session_id" in found else ids
    sessions = [{"eid": each, "n_neurons": found.get("n_neurons")} for each in own] if isinstance(own, list) else own
    return {"session_ids": ids, "sessions": sessions, **found}


# name in the file -> name in the config, reader
_SIZES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "n_bins": ("n_bins", _as_it_is),
    "hidden_size": ("width", _as_it_is),
    "n_heads": ("n_heads", _as_it_is),
    "n_layers": ("n_layers", _as_it_is),
    "inter_size": ("inter_size", _as_it_is),
}
FIELDS = {
    **_SIZES,
    "n_channels": ("n_channels", _as_it_is),
    "mult": ("mult", _as_it_is),
    "n_session_embeddings": ("n_session_embeddings", _as_it_is),
    "prompts": ("prompts", _texts),
    "session_ids": ("session_ids", _texts),
    "sessions": ("n_neurons", _neurons),
}
NEDS_FIELDS = {
    **_SIZES,
    "n_neurons": ("n_neurons", _as_it_is),
    "n_session_embeddings": ("n_session_embeddings", _as_it_is),
    "session_ids": ("session_ids", _texts),
    "sessions": ("sessions", _neurons),
}
# What the networks are written for.
FIXED: dict[str, Any] = {"model": "NDT1", "act": "softsign"}
NEDS_FIXED: dict[str, Any] = {"model": "NEDS", "modalities": list(MODALITIES)}


@dataclass(frozen=True)
class Release:
    """How the files of a network are read."""

    fixed: dict[str, Any]
    fields: dict[str, tuple[str, Callable[[Any], Any]]]
    completed: Callable[[dict[str, Any]], dict[str, Any]]  # the JSON object with all its fields
    config: type[Config]
    network: type[Network]
    unused: tuple[str, ...]  # weights of the file that the network never reads
    stitchers: str  # what they are named by

    @property
    def needed(self) -> str:
        return f"the file must give {', '.join((*self.fixed, *self.fields))}"


# by "model" in the file
RELEASES = {
    "NDT1": Release(FIXED, FIELDS, _same, ReleasedConfig, ReleasedMtM, DEAD, "numbers of neurons"),
    "NEDS": Release(NEDS_FIXED, NEDS_FIELDS, _neds_sessions, ReleasedNedsConfig, ReleasedNeds, (), "session ids"),
}


def _release_of(config: Config) -> Release:
    return next(release for release in RELEASES.values() if isinstance(config, release.config))


def read_config(file: str | Path) -> Config:
    """Sizes and sessions from a JSON file; raises CheckpointError naming what is missing or wrong."""
    file = Path(file)
    found = _json(file)
    if "model" not in found:
        raise CheckpointError(f"{file}: lacks model; {_needed()}")
    release = RELEASES.get(found["model"]) if isinstance(found["model"], str) else None
    if release is None:
        known = " and ".join(repr(name) for name in RELEASES)
        raise CheckpointError(f"{file}: model is {found['model']!r}; only {known} weights can be read")
    found = release.completed(found)
    missing = [name for name in (*release.fixed, *release.fields) if name not in found]
    if missing:
        raise CheckpointError(f"{file}: lacks {', '.join(missing)}; {release.needed}")
    for name, value in release.fixed.items():
        if found[name] != value:
            raise CheckpointError(f"{file}: {name} is {found[name]!r}; only {value!r} weights can be read")
    try:
        return release.config(**_values(found, release))
    except ValueError as error:
        raise CheckpointError(f"{file}: {error}") from error


def _values(found: dict[str, Any], release: Release) -> dict[str, Any]:
    values = {}
    for name, (ours, read) in release.fields.items():
        try:
            values[ours] = read(found[name])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return values


def _needed() -> str:
    return "; or ".join(release.needed for release in RELEASES.values())


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


def empty_released(config: Config) -> Network:
    """The network without memory for its weights: shapes only."""
    with torch.device("meta"):
        return _release_of(config).network(config)


def read_released(weights: str | Path, config: str | Path) -> Network:
    """The released network with its weights, on the CPU.

    The file's table of contents is compared with the network before any weight is read. Raises CheckpointError for
    files that cannot be read and for missing, foreign and misshapen weights.
    """
    weights = Path(weights)
    sizes = read_config(config)
    model, release = empty_released(sizes), _release_of(sizes)
    _check_file(weights, LARGEST_TENSORS)
    try:
        with safe_open(weights, "pt") as file:
            parts = {name: file.get_slice(name) for name in file.keys() if name not in release.unused}
            names = _fitting(weights, model.state_dict(), parts, release)
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


def _fitting(file: Path, expected: dict[str, Tensor], found: dict[str, Any], release: Release) -> list[str]:
    """Names of the weights to read, once the file has them all in the right shape and no others."""
    for name, part in found.items():
        if part.get_dtype() != FLOAT32:
            raise CheckpointError(f"{file}: {name} is {part.get_dtype()}, not float32; convert it first")
    shapes = {name: tuple(part.get_shape()) for name, part in found.items()}
    missing, foreign = sorted(expected.keys() - shapes.keys()), sorted(shapes.keys() - expected.keys())
    unlike = [
        f"{name} {shape} instead of {tuple(expected[name].shape)}"
        for name, shape in sorted(shapes.items())
        if name in expected and shape != tuple(expected[name].shape)
    ]
    if missing or foreign or unlike:
        difference = f"missing {missing[:3]}, foreign {foreign[:3]}, other shape {unlike[:3]}"
        hint = f"; stitchers are named by {release.stitchers}: list their sessions" if "stitch" in difference else ""
        raise CheckpointError(f"{file}: not the weights that the config describes ({difference}){hint}")
    return sorted(expected)

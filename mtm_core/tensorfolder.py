"""Named tensors plus JSON facts in a folder, written atomically and verified before use.

The JSON manifest names the tensor file by its content. Replacing the manifest is the one step that makes a new state
valid, so a process killed at any moment leaves either the old state or the new one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from .atomic import json_sha256, sha256, write_bytes, write_json

LARGEST_MANIFEST = 64 * 2**20  # bytes; 500,000 unit uuids fit
LARGEST_TENSORS = 8 * 2**30  # bytes


class CheckpointError(ValueError):
    """A file that cannot be trusted or does not fit; the message names the file and the reason."""


@dataclass(frozen=True)
class TensorFolder:
    """One kind of state: `<name>.json` beside `<name>-<hash>.safetensors`."""

    path: Path
    name: str
    largest: int = LARGEST_TENSORS  # bytes of tensors that are read

    @property
    def manifest_file(self) -> Path:
        return self.path / f"{self.name}.json"

    def exists(self) -> bool:
        return self.manifest_file.is_file()

    def write(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> dict[str, Any]:
        """Replace what the folder holds; `facts` is JSON. Raises OSError, the old state kept, if the disk refuses."""
        self.path.mkdir(parents=True, exist_ok=True)
        data = save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
        digest = sha256(data)
        manifest = {**facts, "tensors": f"{self.name}-{digest[:12]}.safetensors", "tensors_sha256": digest}
        manifest["hash"] = json_sha256(manifest)
        write_bytes(self.path / manifest["tensors"], data)
        write_json(self.manifest_file, manifest)
        self._remove_tensors(except_for=manifest["tensors"])
        return manifest

    def delete(self) -> None:
        self.manifest_file.unlink(missing_ok=True)
        self._remove_tensors(except_for="")

    def _remove_tensors(self, except_for: str) -> None:
        """Files of earlier states, and temporary ones of writers that were killed."""
        for pattern in (f"{self.name}-*.safetensors", f".{self.name}[-.]*"):
            for old in self.path.glob(pattern):
                if old.name != except_for:
                    old.unlink(missing_ok=True)

    def read_manifest(self) -> dict[str, Any]:
        """The facts, once they match their own hash; raises CheckpointError."""
        file = self.manifest_file
        try:
            manifest = json.loads(_read(file, LARGEST_MANIFEST))
            claimed = manifest.pop("hash")
            actual = json_sha256(manifest)
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise CheckpointError(f"{file}: truncated or not JSON ({error}); copy the folder again") from error
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"{file}: JSON, but not a manifest; copy the folder again") from error
        if claimed != actual:
            raise CheckpointError(f"{file}: its content does not match its own hash; copy the folder again")
        return {**manifest, "hash": claimed}

    def read_tensors(self, manifest: dict[str, Any]) -> dict[str, Tensor]:
        """The tensors that a manifest names; raises CheckpointError."""
        file = self.path / Path(str(manifest.get("tensors"))).name
        data = _read(file, self.largest)
        if sha256(data) != manifest.get("tensors_sha256"):
            raise CheckpointError(f"{file}: damaged or another file (its sha256 is not the manifest's); copy it again")
        try:
            return load(data)
        except SafetensorError as error:
            raise CheckpointError(f"{file}: not a safetensors file ({error}); copy it again") from error


def _read(file: Path, largest: int) -> bytes:
    try:
        if not file.is_file():
            raise CheckpointError(f"{file}: no such file; give a folder written by `mtm train`")
        if file.stat().st_size > largest:
            raise CheckpointError(f"{file}: {file.stat().st_size} bytes, more than the {largest} such a file may have")
        return file.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read ({error.strerror}); check its name and permissions") from error

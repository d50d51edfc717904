"""What both forms of `mtm predict` share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy import ndarray

from ..checkpoint import Checkpoint, CheckpointError
from ..device import describe
from ..models.released import ReleasedMtM
from ..models.tables import UnknownSessionError

LARGEST_FILE = 16 * 2**30  # bytes
BIN_SIZE = 0.02  # s; the released weights count bins and know no times


def refuse_nowhere(out: Path) -> None:
    """Refuse a file that cannot be written now, not after the predictions; raises ValueError."""
    if not out.absolute().parent.is_dir():
        raise ValueError(f"{out}: there is no folder {out.absolute().parent}; make it first")


def check_file(file: Path, written_by: str) -> None:
    """Raises ValueError for a file that is not there or too large to be read."""
    if not file.is_file():
        raise ValueError(f"{file}: no such file; give one written by {written_by}")
    if file.stat().st_size > LARGEST_FILE:
        raise ValueError(f"{file}: {file.stat().st_size} bytes, more than the {LARGEST_FILE} such a file may have")


def session_named(checkpoint: Checkpoint, beginning: str | None) -> str:
    """The session with that id, or the only one whose id begins so (None: the only one); UnknownSessionError."""
    known = checkpoint.session_ids
    if not known:
        raise UnknownSessionError(f"{checkpoint.path}: knows no session; fine-tune it on one with `mtm finetune`")
    if beginning is None and len(known) > 1:
        raise UnknownSessionError(
            f"{checkpoint.path}: knows {len(known)} sessions; give --session, one of {', '.join(known[:3])} ..."
        )
    start = beginning or ""
    found = [start] if start in known else [each for each in known if each.startswith(start)]
    if len(found) != 1:
        listed = ", ".join(found[:3] or known[:3])
        raise UnknownSessionError(
            f"{len(found)} sessions of {checkpoint.path} begin with {beginning!r}; give one of {listed} ..."
        )
    return found[0]


def who_and_where(checkpoint: Checkpoint, device: torch.device) -> str:
    """The checkpoint with its label, and the device."""
    label = f" ({checkpoint.manifest['label']})" if "label" in checkpoint.manifest else ""
    return f"{checkpoint.path.name}{label} on {describe(device)}"


def units_and_bins(checkpoint: Checkpoint, session_id: str, n_bins: int) -> tuple[tuple[str, ...], ndarray]:
    """Neurons of a session in the order of the table, and the left edges of its bins in s from the event."""
    model = checkpoint.model
    if isinstance(model, ReleasedMtM):
        own = tuple(unit for unit in model.unit_ids if unit.startswith(f"{session_id}/"))
        return own, BIN_SIZE * np.arange(n_bins)
    first = 0
    for about in checkpoint.manifest.get("data", []):
        end = first + about["n_neurons"]
        if about["session"] == session_id:
            return model.unit_ids[first:end], about["window"][0] + about["bin_size"] * np.arange(n_bins)
        first = end
    raise CheckpointError(f"{checkpoint.path}: does not say which neurons session {session_id} has")

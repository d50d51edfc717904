"""`mtm predict`: counts and what is hidden of them, as numpy files, to a checkpoint's log rates as a numpy file."""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Num
from numpy import ndarray

from ..atomic import write_bytes
from ..checkpoint import Checkpoint, CheckpointError, load_checkpoint
from ..device import describe, pick_device
from ..masking import Mask, Scheme
from ..models.mtm import Batch, UnknownSessionError
from ..models.released import ReleasedMtM
from ..predict import MICRO_BATCH, in_pieces

LARGEST_FILE = 16 * 2**30  # bytes
BIN_SIZE = 0.02  # s; the released weights count bins and know no times


def run(options: argparse.Namespace) -> int:
    out = Path(options.out)
    if not out.absolute().parent.is_dir():  # refused now, not after the predictions
        raise ValueError(f"{out}: there is no folder {out.absolute().parent}; make it first")
    scheme = scheme_named(options.prompt)
    counts, hidden = read_counts(Path(options.counts), Path(options.hidden))
    device = pick_device(options.device)
    checkpoint = load_checkpoint(options.checkpoint, device)
    session_id = session_named(checkpoint, options.session)
    found = log_rates(checkpoint, session_id, counts, Mask(torch.as_tensor(hidden), torch.as_tensor(hidden), scheme))
    write_array(out, found)
    label = f" ({checkpoint.manifest['label']})" if "label" in checkpoint.manifest else ""
    print(f"{out}: log rates of session {session_id}, {' x '.join(map(str, found.shape))}, prompt {scheme.label}")
    print(f"{Path(options.checkpoint).name}{label} on {describe(device)}")
    return 0


def scheme_named(name: str) -> Scheme:
    """The prompt of that name, with hyphens or underscores; raises ValueError."""
    for scheme in Scheme:
        if scheme.label == name.replace("-", "_").lower():
            return scheme
    names = ", ".join(scheme.label.replace("_", "-") for scheme in Scheme)
    raise ValueError(f"there is no prompt {name!r}; give one of {names}")


def session_named(checkpoint: Checkpoint, beginning: str) -> str:
    """The session with that id, or the only one whose id begins so; raises UnknownSessionError."""
    known = checkpoint.session_ids
    if not known:
        raise UnknownSessionError(f"{checkpoint.path}: knows no session; fine-tune it on one with `mtm finetune`")
    found = [beginning] if beginning in known else [each for each in known if each.startswith(beginning)]
    if len(found) != 1:
        listed = ", ".join(found[:3] or known[:3])
        raise UnknownSessionError(
            f"{len(found)} sessions of {checkpoint.path} begin with {beginning!r}; give one of {listed} ..."
        )
    return found[0]


def read_counts(counts_file: Path, hidden_file: Path) -> tuple[Num[ndarray, "K T N"], Bool[ndarray, "K T N"]]:
    """Counts (uint8, or float32 of whatever was given; NaN only where hidden) and what is hidden of them.

    Raises ValueError, with the file and the reason, for files that are no such arrays.
    """
    counts, hidden = _array(counts_file), _array(hidden_file)
    if counts.ndim != 3 or counts.dtype.kind not in "uif":
        raise ValueError(f"{counts_file}: {_what(counts)}; give numbers of axes trials, bins, neurons")
    if hidden.dtype != np.bool_ or hidden.shape != counts.shape:
        raise ValueError(f"{hidden_file}: {_what(hidden)}; give bool of shape {counts.shape}, as the counts")
    counts = np.array(counts, dtype=np.uint8 if counts.dtype == np.uint8 else np.float32)
    visible = counts[~hidden]
    if not (np.isfinite(visible).all() and (visible >= 0).all()):
        raise ValueError(f"{counts_file}: visible counts are negative or not finite; give numbers of spikes per bin")
    return counts, np.array(hidden)


def _what(array: ndarray) -> str:
    return f"{array.dtype} of shape {array.shape}"


def _array(file: Path) -> ndarray:
    """A mapped file, so that a header that promises more than the file holds takes no memory."""
    if not file.is_file():
        raise ValueError(f"{file}: no such file; give one written by numpy.save")
    if file.stat().st_size > LARGEST_FILE:
        raise ValueError(f"{file}: {file.stat().st_size} bytes, more than the {LARGEST_FILE} such a file may have")
    try:
        found: Any = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy raises many kinds for what is no array; the user needs one sentence
        raise ValueError(f"{file}: not an array written by numpy.save ({error})") from error
    if not isinstance(found, ndarray):  # an .npz of several
        raise ValueError(f"{file}: holds several arrays; give one, written by numpy.save")
    if found.size == 0:
        raise ValueError(f"{file}: {_what(found)} is empty")
    return found


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


def log_rates(
    checkpoint: Checkpoint, session_id: str, counts: Num[ndarray, "K T N"], mask: Mask
) -> Float[ndarray, "K T N"]:
    """Log expected counts per bin, float32, of all entries; raises ValueError for another number of neurons."""
    model = checkpoint.model
    units, starts = units_and_bins(checkpoint, session_id, counts.shape[1])
    if len(units) != counts.shape[2]:
        raise ValueError(
            f"counts of {counts.shape[2]} neurons, but session {session_id} has {len(units)} in {checkpoint.path}; "
            "give all, in the order of the checkpoint's unit_ids"
        )
    rows, session_row = model.rows(session_id, units)
    bins = torch.as_tensor(starts, dtype=torch.float32, device=model.device)
    batch = Batch(torch.as_tensor(counts, device=model.device), rows, session_row, bins)
    with torch.inference_mode():
        found = in_pieces(model, batch, mask, MICRO_BATCH[model.device.type])
    return found.float().cpu().numpy()


def write_array(file: Path, array: ndarray) -> None:
    """Replace `file` in one step."""
    data = io.BytesIO()
    np.save(data, array, allow_pickle=False)
    write_bytes(file, data.getvalue())

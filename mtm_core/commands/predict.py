"""`mtm predict`: counts and what is hidden of them, as numpy files, to a checkpoint's log rates as a numpy file.

With --inputs and --task instead, one modality is translated into the others: predict_neds.py.
"""

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
from ..checkpoint import Checkpoint, load_checkpoint
from ..device import pick_device
from ..masking import Mask, Scheme
from ..models.mtm import Batch
from ..predict import MICRO_BATCH, in_pieces
from . import predict_neds
from .predictions import check_file, refuse_nowhere, session_named, units_and_bins, who_and_where

# The options of each form; the second takes --session too, where the checkpoint knows several.
COUNTS_FORM, MODALITIES_FORM = ("counts", "hidden", "prompt", "session"), ("inputs", "task")


def run(options: argparse.Namespace) -> int:
    return predict_neds.run(options) if asks_modalities(options) else predict_counts(options)


def asks_modalities(options: argparse.Namespace) -> bool:
    """Which form the options have; raises ValueError for a mixture and for what is missing."""
    given = {name for name in (*COUNTS_FORM, *MODALITIES_FORM) if getattr(options, name, None) is not None}
    counts, modalities = (", ".join(f"--{name}" for name in form) for form in (COUNTS_FORM, MODALITIES_FORM))
    if given & {*MODALITIES_FORM} and given & {"counts", "hidden", "prompt"}:
        raise ValueError(f"options of two forms; give either {counts}, or {modalities}")
    form = MODALITIES_FORM if given & {*MODALITIES_FORM} else COUNTS_FORM
    if missing := [f"--{name}" for name in form if name not in given]:
        raise ValueError(f"{', '.join(missing)} missing; give {counts}, or for NEDS {modalities}")
    return form is MODALITIES_FORM


def predict_counts(options: argparse.Namespace) -> int:
    """The form for spikes alone."""
    out = Path(options.out)
    refuse_nowhere(out)
    scheme = scheme_named(options.prompt)
    counts, hidden = read_counts(Path(options.counts), Path(options.hidden))
    device = pick_device(options.device)
    checkpoint = load_checkpoint(options.checkpoint, device)
    if type(checkpoint.model) in predict_neds.TRANSLATORS:
        raise ValueError(f"{checkpoint.path}: a model of spikes and behaviors; ask it with --inputs and --task")
    session_id = session_named(checkpoint, options.session)
    found = log_rates(checkpoint, session_id, counts, Mask(torch.as_tensor(hidden), torch.as_tensor(hidden), scheme))
    write_array(out, found)
    print(f"{out}: log rates of session {session_id}, {' x '.join(map(str, found.shape))}, prompt {scheme.label}")
    print(who_and_where(checkpoint, device))
    return 0


def scheme_named(name: str) -> Scheme:
    """The prompt of that name, with hyphens or underscores; raises ValueError."""
    for scheme in Scheme:
        if scheme.label == name.replace("-", "_").lower():
            return scheme
    names = ", ".join(scheme.label.replace("_", "-") for scheme in Scheme)
    raise ValueError(f"there is no prompt {name!r}; give one of {names}")


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
    check_file(file, "numpy.save")
    try:
        found: Any = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy raises many kinds for what is no array; the user needs one sentence
        raise ValueError(f"{file}: not an array written by numpy.save ({error})") from error
    if not isinstance(found, ndarray):  # an .npz of several
        raise ValueError(f"{file}: holds several arrays; give one, written by numpy.save")
    if found.size == 0:
        raise ValueError(f"{file}: {_what(found)} is empty")
    return found


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

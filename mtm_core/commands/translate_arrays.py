"""What a NEDS model of this program makes of arrays: `mtm predict --inputs --task`.

`input.spikes_data` holds counts; `input.choice`, `input.block`, `input.wheel`, `input.whisker` and other behaviors by
their name in the table (`input.contrast`, `input.pupil`) hold class numbers or traces in the unit of the recording. A
behavior that the file lacks is unknown, and so is a NaN or a class of -1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Num
from numpy import ndarray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..checkpoint import Checkpoint
from ..masking_modalities import hold_out_behaviors, hold_out_spikes
from ..modality import BEHAVIORS, UNKNOWN
from ..models.neds import N_CLASSES, Neds, NedsBatch
from ..translate import in_pieces
from .predictions import LARGEST_FILE, units_and_bins

SPIKES = "input.spikes_data"
SHORT = {"wheel_speed": "wheel", "whisker_motion_energy": "whisker"}  # names in files, as the released code's


def translate_own(checkpoint: Checkpoint, inputs: Path, session_id: str, encoding: bool) -> dict[str, ndarray]:
    """One array per modality: log rates, traces, and of classes their log probabilities (encoding) or number.

    Raises ValueError, with the file and the reason, for arrays that do not fit the session.
    """
    model = checkpoint.model
    names = model.present(model.session_ids.index(session_id))
    wanted = [_name(name) for name in names] if encoding else [SPIKES]
    arrays = read(inputs, wanted)
    if not arrays or (not encoding and SPIKES not in arrays):
        raise ValueError(f"{inputs}: holds none of {', '.join(wanted)}; give what is not hidden")
    batch = batch_of(checkpoint, session_id, arrays, inputs)
    shape = batch.counts.shape[:2]
    mask = hold_out_spikes(shape, names, names) if encoding else hold_out_behaviors(shape, names)
    with torch.inference_mode():
        found = in_pieces(model, batch, mask.to(model.device))
    outputs = {"spike": found.log_rates.float()}
    for name, logits in found.logits.items():
        outputs[name] = logits.log_softmax(1) if encoding else logits.argmax(1).float()
    for name, values in found.traces.items():
        outputs[SHORT.get(name, name)] = model.raw(name, values, batch.session_row)[:, :, None]
    return {name: values.cpu().numpy() for name, values in outputs.items()}


def _name(behavior: str) -> str:
    return f"input.{SHORT.get(behavior, behavior)}"


def read(file: Path, wanted: list[str]) -> dict[str, Num[Tensor, "K ..."]]:
    """The wanted arrays that the file holds, as float32; nothing else of it is read."""
    try:
        with safe_open(file, "pt") as opened:
            there = [name for name in wanted if name in opened.keys()]
            return {name: opened.get_tensor(name).to(torch.float32, copy=True) for name in there}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file}: not a safetensors file ({error}); give one") from error


def batch_of(checkpoint: Checkpoint, session_id: str, arrays: dict[str, Tensor], file: Path) -> NedsBatch:
    """Arrays as the model reads them; what is not in the file is unknown, and counts are zeros to be hidden."""
    model: Neds = checkpoint.model
    about = next(each for each in checkpoint.manifest["data"] if each["session"] == session_id)
    n_bins = round((about["window"][1] - about["window"][0]) / about["bin_size"])
    units, starts = units_and_bins(checkpoint, session_id, n_bins)
    rows, session_row = model.rows(session_id, units)
    n_trials = len(next(iter(arrays.values())))
    if 4 * n_trials * n_bins * len(units) > LARGEST_FILE:
        raise ValueError(
            f"{file}: {n_trials} trials would give more than {LARGEST_FILE} bytes of log rates; give fewer"
        )
    counts = arrays.get(SPIKES, torch.zeros(n_trials, n_bins, len(units)))
    _check(SPIKES, counts, (n_trials, n_bins, len(units)), file)
    if not bool((counts >= 0).all() and counts.isfinite().all()):
        raise ValueError(f"{file}: {SPIKES} holds counts that are negative or not finite; leave such trials out")
    traces, classes = {}, {}
    for name in model.present(session_row):
        static = BEHAVIORS[name].static
        shape = (n_trials,) if static else (n_trials, n_bins)
        values = arrays.get(_name(name), torch.full(shape, torch.nan))
        values = values.squeeze(-1) if values.shape == (*shape, 1) else values
        _check(_name(name), values, shape, file)
        if static:
            classes[name] = _classes(name, values, file).to(model.device)
        else:
            traces[name] = values.to(model.device)
    bins = torch.as_tensor(np.asarray(starts), dtype=torch.float32, device=model.device)
    return NedsBatch(counts.to(model.device), rows, session_row, bins, traces, classes)


def _check(name: str, values: Tensor, shape: tuple[int, ...], file: Path) -> None:
    if tuple(values.shape) != shape:
        raise ValueError(f"{file}: {name} has shape {tuple(values.shape)}; this session needs {shape}")


def _classes(name: str, values: Tensor, file: Path) -> Tensor:
    known = values.isfinite() & (values != UNKNOWN)
    numbers = torch.where(known, values, 0.0)
    if not bool(((numbers == numbers.round()) & (numbers >= 0) & (numbers < N_CLASSES[name])).all()):
        names = ", ".join(f"{i} {each}" for i, each in enumerate(BEHAVIORS[name].classes))
        raise ValueError(f"{file}: {_name(name)} holds other numbers than those of its classes ({names})")
    return torch.where(known, numbers, float(UNKNOWN)).long()

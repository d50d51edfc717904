"""Spikes to behavior and back: trials and a mask of modalities in, predictions in the units of the recording out.

No state, so any number of threads may share one model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from .checkpoint import Checkpoint
from .device import is_out_of_memory
from .masking_modalities import ModalityMask
from .modality import BEHAVIORS, class_of
from .models.neds import Neds, NedsBatch, Predicted
from .predict import MICRO_BATCH
from .session import Trials


@dataclass(frozen=True, eq=False)
class Translated:
    """rates: expected spikes per bin; traces in raw units; probabilities over `BEHAVIORS[name].classes`."""

    rates: Float[ndarray, "K T N"]
    traces: dict[str, Float[ndarray, "K T"]]
    probabilities: dict[str, Float[ndarray, "K C"]]


def to_batch(model: Neds, trials: Trials) -> NedsBatch:
    """The trials as the model reads them, on its device; raises UnknownSessionError.

    Behaviors are those that the session had in training; one that these trials lack is unknown in all of them.
    """
    device = model.device
    rows, session_row = model.rows(trials.session_id, tuple(trials.unit_ids))
    traces, classes = {}, {}
    for name in model.present(session_row):
        static = BEHAVIORS[name].static
        nothing = np.full(trials.n_trials if static else trials.counts.shape[:2], np.nan)
        values = np.asarray(trials.behaviors.get(name, nothing))
        if static:
            classes[name] = torch.as_tensor(class_of(BEHAVIORS[name], values), dtype=torch.long, device=device)
        else:
            traces[name] = torch.tensor(values, dtype=torch.float32, device=device)  # a copy, as of the counts
    starts = torch.as_tensor(trials.bin_starts, dtype=torch.float32, device=device)
    return NedsBatch(torch.tensor(trials.counts, device=device), rows, session_row, starts, traces, classes)


def translate(model: Neds | Checkpoint, trials: Trials, mask: ModalityMask) -> Translated:
    """Predictions of every token of `trials`, as `mask` lets the model see them.

    mask: of shape (K, M, T). Bins without data (`trials.valid`) are hidden as well. Raises UnknownSessionError for a
    session the model was not trained on, ValueError for a mask of another shape or a model of another kind.
    """
    model = model.model if isinstance(model, Checkpoint) else model
    if not isinstance(model, Neds):
        raise ValueError("only a NEDS model translates between spikes and behavior; train one with --model neds")
    shape = (trials.n_trials, trials.n_bins)
    if (mask.hidden.shape[0], mask.hidden.shape[2]) != shape:
        raise ValueError(f"mask of shape {tuple(mask.hidden.shape)} for {shape[0]} trials of {shape[1]} bins")
    if model.training:
        raise ValueError("the model is in training mode, where dropout makes predictions random; call model.eval()")
    batch = to_batch(model, trials)
    mask = mask.restrict(torch.as_tensor(trials.valid), torch.ones_like(mask.hidden))
    with torch.inference_mode():
        return _in_raw_units(model, batch, in_pieces(model, batch, mask.to(model.device)))


def _in_raw_units(model: Neds, batch: NedsBatch, found: Predicted) -> Translated:
    traces = {name: model.raw(name, values, batch.session_row) for name, values in found.traces.items()}
    return Translated(
        found.log_rates.float().exp().cpu().numpy(),
        {name: values.cpu().numpy() for name, values in traces.items()},
        {name: logits.softmax(1).cpu().numpy() for name, logits in found.logits.items()},
    )


def in_pieces(model: Neds, batch: NedsBatch, mask: ModalityMask, micro_batch: int = 0) -> Predicted:
    """Model output in pieces of a few trials, halved as often as memory demands."""
    size = micro_batch or MICRO_BATCH[batch.counts.device.type]
    chosen = [slice(start, start + size) for start in range(0, len(mask.hidden), size)]
    try:
        parts = [model(batch.pick(rows), mask.rows(rows)) for rows in chosen]
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error) or size == 1:
            raise
    else:
        return Predicted(
            torch.cat([part.log_rates for part in parts]),
            {name: torch.cat([part.traces[name] for part in parts]) for name in batch.traces},
            {name: torch.cat([part.logits[name] for part in parts]) for name in batch.classes},
        )
    return in_pieces(model, batch, mask, size // 2)  # out here the error no longer holds what filled the memory

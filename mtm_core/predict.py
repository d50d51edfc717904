"""Counts and a mask in, expected counts out. No state, so any number of threads may share one model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from .checkpoint import Checkpoint, Model
from .device import is_out_of_memory
from .masking import Mask
from .models.mtm import Batch
from .models.neds import Neds
from .session import Trials

# Trials at a time. Few on a processor, where one block's activations should fit its cache (16 took two thirds of the
# time of 64, width 128); many on a card, which is idle otherwise.
MICRO_BATCH = {"cpu": 16, "cuda": 256}


def to_batch(model: Model, trials: Trials) -> Batch:
    """The trials as the model reads them, on its device.

    Raises UnknownSessionError, and ValueError for a model that does not predict neurons from neurons.
    """
    if isinstance(model, Neds):
        raise ValueError(
            "a NEDS model translates between spikes and behavior and has no answer about single neurons; ask it with "
            "`mtm evaluate` or `mtm predict --inputs`, or train one with --model mtm"
        )
    device = model.device
    rows, session_row = model.rows(trials.session_id, tuple(trials.unit_ids))
    starts = torch.as_tensor(trials.bin_starts, dtype=torch.float32, device=device)
    return Batch(torch.as_tensor(trials.counts, device=device), rows, session_row, starts)


def predict(
    model: Model | Checkpoint, trials: Trials, mask: Mask, neurons: Int[ndarray, " n"] | None = None
) -> Float[ndarray, "K T n"]:
    """Expected counts per bin (float32) of every entry of `trials`, as `mask` lets the model see them.

    mask: of shape (K, T, N); its scheme is the prompt. Bins without data (`trials.valid`) are hidden as well.
    neurons: positions of the neurons to read out, all if None; the model reads the visible ones in any case.
    Raises UnknownSessionError for a session the model was not trained on, ValueError for a mask of another shape.
    """
    model, batch, mask = _prepared(model, trials, mask)
    if neurons is not None:
        batch = replace(batch, read=torch.as_tensor(neurons, device=model.device))
    with torch.inference_mode():
        return in_pieces(model, batch, mask, MICRO_BATCH[batch.counts.device.type]).exp().cpu().numpy()


def latents(model: Model | Checkpoint, trials: Trials, mask: Mask) -> Float[ndarray, "K T D"]:
    """The transformer's last states of the bins (float32), from which the read-out predicts every neuron.

    Arguments and errors as in `predict`: what the mask hides does not reach the latents.
    """
    model, batch, mask = _prepared(model, trials, mask)
    with torch.inference_mode():
        found = in_pieces(_Latents(model), batch, mask, MICRO_BATCH[batch.counts.device.type])
        return found.float().cpu().numpy()


class _Latents:
    """A model without its read-out."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __call__(self, batch: Batch, mask: Mask) -> Tensor:
        states = self.model.states(self.model.tokens(batch, mask.hidden), batch, mask.prompts)
        return states.mean(2)  # over the patches of a bin, if there are several


def _prepared(model: Model | Checkpoint, trials: Trials, mask: Mask) -> tuple[Model, Batch, Mask]:
    """Checked arguments, as the model reads them."""
    if isinstance(model, Checkpoint):
        model = model.model
    if tuple(mask.hidden.shape) != trials.counts.shape:
        raise ValueError(f"mask of shape {tuple(mask.hidden.shape)} for counts of shape {trials.counts.shape}")
    if model.training:
        raise ValueError("the model is in training mode, where dropout makes predictions random; call model.eval()")
    return model, to_batch(model, trials), mask.restrict(torch.as_tensor(trials.valid))


def in_pieces(
    model: Callable[[Batch, Mask], Tensor], batch: Batch, mask: Mask, micro_batch: int
) -> Float[Tensor, "B T n"]:
    """Model output in pieces of `micro_batch` trials, halved as often as memory demands."""
    starts = range(0, len(mask.hidden), micro_batch)
    try:
        return torch.cat([_piece(model, batch, mask, slice(start, start + micro_batch)) for start in starts])
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error) or micro_batch == 1:
            raise
    return in_pieces(model, batch, mask, micro_batch // 2)


def _piece(model: Callable[[Batch, Mask], Tensor], batch: Batch, mask: Mask, chosen: slice) -> Tensor:
    counts = batch.counts[chosen]
    return model(replace(batch, counts=counts), mask.rows(chosen).to(counts.device))

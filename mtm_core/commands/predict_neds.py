"""`mtm predict --inputs --task`: what is recorded of some modalities, as a safetensors file, to all modalities in one.

Only the arrays that the task shows are read, so nothing else in the file can reach the result.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from ..atomic import write_bytes
from ..checkpoint import Checkpoint, Model, load_checkpoint
from ..device import pick_device
from ..models.neds import Neds
from ..models.released_neds import CLASSES, MODALITIES, SPIKE, ReleasedNeds, Task
from ..predict import MICRO_BATCH
from .predictions import LARGEST_FILE, check_file, refuse_nowhere, session_named, who_and_where
from .translate_arrays import translate_own

# modality -> name of its array in the file
ARRAYS = {name: f"input.{'spikes_data' if name == SPIKE else name}" for name in MODALITIES}
NUMBERS = {"F16", "BF16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64"}  # types of safetensors


@dataclass(frozen=True)
class Question:
    """What is asked of a checkpoint."""

    inputs: Path
    task: Task
    session_id: str


def run(options: argparse.Namespace) -> int:
    out, inputs = Path(options.out), Path(options.inputs)
    refuse_nowhere(out)
    if out.resolve() == inputs.resolve():
        raise ValueError(f"{out}: the inputs lie there; give another --out file")
    check_file(inputs, "safetensors")
    device = pick_device(options.device)
    checkpoint = load_checkpoint(options.checkpoint, device)
    if type(checkpoint.model) not in TRANSLATORS:
        raise ValueError(
            f"{checkpoint.path}: a model of spikes alone; ask it with --counts, --hidden, --prompt and --session"
        )
    question = Question(inputs, task_named(options.task), session_named(checkpoint, options.session))
    found = TRANSLATORS[type(checkpoint.model)](checkpoint, question)
    write_bytes(out, save({name: np.ascontiguousarray(array) for name, array in found.items()}))
    shapes = ", ".join(f"{name} {' x '.join(map(str, array.shape))}" for name, array in found.items())
    print(f"{out}: {question.task.value}, session {question.session_id}: {shapes}")
    print(who_and_where(checkpoint, device))
    return 0


def task_named(name: str) -> Task:
    """The task of that name; raises ValueError."""
    try:
        return Task(name)
    except ValueError as error:
        known = ", ".join(task.value for task in Task)
        raise ValueError(f"there is no task {name!r}; give one of {known}") from error


# --- released weights -------------------------------------------------------------------------------------------------


def translate_released(checkpoint: Checkpoint, question: Question) -> dict[str, Float[ndarray, "K ..."]]:
    """Outputs of `ReleasedNeds.forward`, float32, by modality; raises ValueError, with the file and the reason."""
    model = checkpoint.model
    inputs = read_inputs(model, question)
    n_trials, step = len(next(iter(inputs.values()))), MICRO_BATCH[model.device.type]
    _refuse_more_than_fits(model, question, n_trials)
    pieces: list[dict[str, ndarray]] = []
    with torch.inference_mode():
        for first in range(0, n_trials, step):
            some = {name: values[first : first + step].to(model.device) for name, values in inputs.items()}
            found = model(some, question.session_id, question.task)
            pieces.append({name: values.cpu().numpy() for name, values in found.items()})
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in MODALITIES}


def _refuse_more_than_fits(model: ReleasedNeds, question: Question, n_trials: int) -> None:
    """A small file of classes and traces may ask for the spikes of a great many neurons."""
    n_bytes = 4 * n_trials * model.config.n_bins * model.n_neurons[question.session_id]
    if n_bytes > LARGEST_FILE:
        raise ValueError(f"{question.inputs}: {n_trials} trials would give {n_bytes} bytes of log rates; give fewer")


def read_inputs(model: ReleasedNeds, question: Question) -> dict[str, Float[Tensor, "K ..."]]:
    """The modalities that the task shows, in the shapes that the network reads; raises ValueError.

    Types and shapes are read from the file's table of contents, before any array takes memory.
    """
    shown = [name for name in MODALITIES if not question.task.hides(name)]
    try:
        with safe_open(question.inputs, "pt") as file:
            missing = [ARRAYS[name] for name in shown if ARRAYS[name] not in file.keys()]
            if missing:
                needed = ", ".join(ARRAYS[name] for name in shown)
                raise ValueError(f"{question.inputs}: lacks {', '.join(missing)}; {question.task.value} reads {needed}")
            shapes = shapes_of(model, question, {name: file.get_slice(ARRAYS[name]) for name in shown})
            # copied: the file stays mapped otherwise
            found = {name: file.get_tensor(ARRAYS[name]).to(torch.float32, copy=True) for name in shown}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{question.inputs}: not a safetensors file ({error}); give one") from error
    for name, values in found.items():
        if problem := problem_of(name, values):
            raise ValueError(f"{question.inputs}: {ARRAYS[name]} {problem}")
    return {name: values.reshape(shapes[name]) for name, values in found.items()}


def shapes_of(model: ReleasedNeds, question: Question, parts: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes for the network; an axis of one channel may be missing in the file."""
    first = parts[next(iter(parts))].get_shape()
    n_trials, found = first[0] if first else 0, {}
    for name, part in parts.items():
        about = f"{question.inputs}: {ARRAYS[name]} is {part.get_dtype()} of shape {tuple(part.get_shape())}"
        if part.get_dtype() not in NUMBERS:
            raise ValueError(f"{about}; give numbers")
        if n_trials == 0:
            raise ValueError(f"{about}, which is no trial; give some")
        found[name] = model.input_shape(name, question.session_id, n_trials)
        short = found[name] if name == SPIKE else found[name][:-1]
        if tuple(part.get_shape()) not in (found[name], short):
            of = f"{n_trials} trials of session {question.session_id}"
            raise ValueError(f"{about}; {of} have {' x '.join(map(str, short))}")
    return found


def problem_of(name: str, values: Tensor) -> str:
    """What the values of a modality cannot be; "" if they are sound."""
    if not bool(torch.isfinite(values).all()):
        return "holds values that are not finite; leave such trials out"
    if name == SPIKE and bool((values < 0).any()):
        return "holds negative counts; give the session's own neurons, they are padded here"
    if name in CLASSES and not bool(((values >= 0) & (values < CLASSES[name]) & (values == values.round())).all()):
        return f"holds other numbers than those of its classes, 0 to {CLASSES[name] - 1}"
    return ""


# How a checkpoint answers, by the class of its model; a model without a row predicts spikes from spikes alone.
TRANSLATORS: dict[type[Model], Callable[[Checkpoint, Question], dict[str, ndarray]]] = {
    ReleasedNeds: translate_released,
    Neds: lambda checkpoint, question: translate_own(
        checkpoint, question.inputs, question.session_id, question.task is Task.ENCODING
    ),
}

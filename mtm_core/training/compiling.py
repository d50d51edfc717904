"""On a card, the transformer and the loss as compiled kernels: a step of small kernels spends its time on their launch.

Compilation takes long, so short runs go without. On a CPU compiled steps were not faster, at the paper's size slower.
"""

from __future__ import annotations

from importlib.util import find_spec
from shutil import which

import torch

from .config import TrainConfig
from .loss import Loss

STEPS_THAT_PAY, MINUTES_THAT_PAY = 2_000, 10.0


def pays(device: torch.device, config: TrainConfig) -> bool:
    """Whether this machine can compile for the device, and the run is long enough."""
    able = device.type == "cuda" and find_spec("triton") is not None and which("cc") is not None
    long = config.steps >= STEPS_THAT_PAY if config.steps is not None else config.minutes >= MINUTES_THAT_PAY
    return able and long


def compile_parts(loss: Loss, backend: str = "inductor", one_graph: bool = False) -> None:
    """In place; names and weights stay. The tables of neurons stay out: compilers know no sparse gradients.

    one_graph: raise an error where the code cannot be one graph, or has met more shapes than are worth compiling for.
    """
    # A card that cannot be compiled for goes on without, slower, instead of ending the run.
    import torch._dynamo  # takes seconds, so only where it is needed

    torch._dynamo.config.suppress_errors = not one_graph
    loss.model.transformer.compile(backend=backend, fullgraph=one_graph)
    loss.of_targets = torch.compile(loss.of_targets, backend=backend, fullgraph=one_graph)

"""How the trials of a batch are shared among the masking schemes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch

Kind = TypeVar("Kind")


def scheme_shares(schemes: Sequence[Kind], n_trials: int, rng: torch.Generator) -> Iterator[tuple[Kind, int]]:
    """Each scheme with its number of trials, equal ones; the few trials of a small part take turns."""
    if n_trials < len(schemes):
        order = torch.randperm(len(schemes), generator=rng, device=rng.device)[:n_trials]
        schemes = [schemes[i] for i in order.tolist()]
    for scheme, trials in zip(schemes, torch.arange(n_trials).tensor_split(len(schemes)), strict=True):
        if len(trials):
            yield scheme, len(trials)

"""The time from the event as sines and cosines: any number of bins of any length."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

N_PERIODS = 16
N_WAVES = 2 * N_PERIODS
SHORTEST, LONGEST = 0.05, 8.0  # s


def time_waves(bin_starts: Float[Tensor, "T"]) -> Float[Tensor, "T waves"]:
    """Sines and cosines of the time from the event (s), periods from 50 ms to 8 s."""
    steps = torch.linspace(0, 1, N_PERIODS, device=bin_starts.device)
    periods = SHORTEST * (LONGEST / SHORTEST) ** steps
    phases = 2 * math.pi * bin_starts[:, None] / periods
    return torch.cat([phases.sin(), phases.cos()], dim=1).float()

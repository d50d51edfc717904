"""The unit table: one row per neuron, whatever the session, in place of one linear stitcher per session.

A linear stitcher of a session (MtM, arXiv 2407.14668, section 3.3) is a matrix with one column per neuron. Kept as rows
of one table under the neurons' uuids it is the same map, needs no padding, and a new session is new rows. The released
code keys its stitchers by the number of neurons, so two sessions of equal size share one.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

SMALLEST_MEAN = 1e-4  # counts per bin assumed of a neuron that was silent in training
VARIANCE_FLOOR = 0.05  # counts^2; without it one spike of a near-silent neuron would outweigh all other input


class _Rows(torch.autograd.Function):
    """Rows of a table; the gradient holds these rows only, however many animals the table knows."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.shape = table.shape
        return table.index_select(0, rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        # A copy, not contiguous(): one row of a wider tensor counts as contiguous but keeps the wide stride, by which
        # torch 2.13 then reads and writes beyond it.
        values = gradient.clone(memory_format=torch.contiguous_format)
        return torch.sparse_coo_tensor(rows[None], values, ctx.shape, check_invariants=False), None


def rows_of(table: nn.Parameter, rows: Int[Tensor, " n"]) -> Tensor:
    """table[rows], with a sparse gradient."""
    return _Rows.apply(table, rows)


class UnitTable(nn.Module):
    """Input and read-out weights per neuron. All arguments `rows` are (N,) row numbers."""

    def __init__(self, n_units: int, width: int, hides_neurons: bool = True) -> None:
        """hides_neurons: False for a model that hides whole bins, which has no use for a signal of hidden neurons."""
        super().__init__()
        # Scale 1/sqrt(neurons of a session) would depend on the session; 1/sqrt(width) serves all.
        self.input = nn.Parameter(torch.randn(n_units, width) / math.sqrt(width))
        self.hidden_signal = nn.Parameter(torch.zeros(n_units, width)) if hides_neurons else None
        self.readout = nn.Parameter(torch.randn(n_units, width) * 0.1 / math.sqrt(width))
        self.bias = nn.Parameter(torch.zeros(n_units))
        # Statistics of the training trials: counts per bin.
        self.register_buffer("mean", torch.full((n_units,), SMALLEST_MEAN))

    @torch.no_grad()
    def set_means(self, rows: Int[Tensor, "N"], mean_counts: Float[Tensor, "N"]) -> None:
        """Start every neuron at its training mean: a read-out that first has to learn it wastes most of the budget."""
        mean = mean_counts.clamp_min(SMALLEST_MEAN)
        self.mean[rows] = mean
        self.bias[rows] = mean.log()

    def deviation(self, visible: Float[Tensor, "B T n"], rows: Int[Tensor, " n"]) -> Float[Tensor, "B T n"]:
        """Deviations from the training mean in Poisson standard deviations."""
        mean = self.mean[rows]
        return (visible - mean) * (mean + VARIANCE_FLOOR).rsqrt()

    def read_out(self, states: Float[Tensor, "B T D"], rows: Int[Tensor, "N"]) -> Float[Tensor, "B T N"]:
        """Log expected counts per bin."""
        return (states @ rows_of(self.readout, rows).T).float() + rows_of(self.bias, rows)

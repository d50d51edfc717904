"""Optimizers of a run: AdamW for the trunk, the same rule row by row for the tables of neurons and sessions.

A batch holds a few sessions, so all other rows of the tables have no gradient. They must not move: plain AdamW would go
on pushing them with old momentum and shrink them with weight decay, the more the more animals train together.
torch.optim.SparseAdam leaves them alone but counts one number of steps for all, and corrects the bias of moments that
have just begun as if they were old: a row's first updates are up to three times too long.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..models.tables import AnimalTables
from .config import TrainConfig

BETAS, EPS = (0.9, 0.999), 1e-8  # as in MtM and torch


class RowAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101, algorithm 2) with moments and a step count per row.

    Parameters have sparse gradients, as `mtm_core.models.stitcher.rows_of` makes them.
    """

    def __init__(self, tables: list[nn.Parameter], lr: float, weight_decay: float) -> None:
        super().__init__(tables, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    gradient = table.grad.coalesce()
                    self._update(table, gradient.indices()[0], gradient.values(), group)

    def _state(self, table: nn.Parameter) -> dict[str, Tensor]:
        state = self.state[table]
        if not state:
            state["step"] = torch.zeros(len(table), device=table.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(table), torch.zeros_like(table)
        return state

    def _update(self, table: nn.Parameter, rows: Int[Tensor, " n"], gradient: Tensor, group: dict[str, Any]) -> None:
        # index_select and index_copy_ move whole rows; brackets move numbers.
        state = self._state(table)
        kept = state["step"], state["exp_avg"], state["exp_avg_sq"]
        n, mean, square, old = (each.index_select(0, rows) for each in (*kept, table))
        n += 1
        mean.lerp_(gradient, 1 - BETAS[0])
        square.lerp_(gradient.square(), 1 - BETAS[1])
        for each, value in zip(kept, (n, mean, square), strict=True):
            each.index_copy_(0, rows, value)
        n = n.view(-1, *[1] * (table.dim() - 1))
        scale = (square / (1 - BETAS[1] ** n)).sqrt_().add_(EPS)
        old.mul_(1 - group["lr"] * group["weight_decay"])
        table.index_copy_(0, rows, old.sub_((mean / scale).mul_(group["lr"] / (1 - BETAS[0] ** n))))

    def updates(self, table: nn.Parameter) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"]]:
        """The rows that the last step touched, and how often each has been so far."""
        rows = table.grad.coalesce().indices()[0]
        return rows, self.state[table]["step"].index_select(0, rows)


class Optimizers:
    """Both optimizers of a model as one, with a learning rate that follows the schedule."""

    def __init__(self, model: AnimalTables, config: TrainConfig) -> None:
        settings = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
        tables = list(model.row_tables().values())
        self.rows = RowAdamW(tables, **settings)
        trunk = [weight for _, weight in model.trunk()]
        self.trunk = torch.optim.AdamW(trunk, betas=BETAS, eps=EPS, fused=True, **settings)
        self.trunk_share = config.trunk_learning_rate

    def each(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        return self.rows, self.trunk

    def set_rate(self, rate: float) -> None:
        for optimizer, share in ((self.rows, 1.0), (self.trunk, self.trunk_share)):
            for group in optimizer.param_groups:
                group["lr"] = rate * share

    def step(self) -> None:
        for optimizer in self.each():
            optimizer.step()

    def states(self) -> Iterator[tuple[nn.Parameter, dict[str, Tensor]]]:
        for optimizer in self.each():
            yield from optimizer.state.items()

    def restore(self, parameter: nn.Parameter, state: dict[str, Tensor]) -> None:
        """Moments and step counts of a saved run."""
        owner = next(each for each in self.each() if any(parameter is p for p in each.param_groups[0]["params"]))
        owner.state[parameter] = {name: value.to(parameter.device) for name, value in state.items()}


@torch.no_grad()
def clip_gradients(parameters: list[nn.Parameter], most: float) -> Tensor:
    """Scale all gradients so that their common norm is at most `most`; returns the norm before.

    torch.nn.utils.clip_grad_norm_ knows no sparse gradients.
    """
    values = []
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
            values.append(parameter.grad.values())
        elif parameter.grad is not None:
            values.append(parameter.grad)
    norm = torch.nn.utils.get_total_norm(values)
    torch._foreach_mul_(values, (most / (norm + 1e-6)).clamp(max=1.0))
    return norm

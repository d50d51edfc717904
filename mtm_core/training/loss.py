"""The training loss: Poisson negative log likelihood of targets, every scheme with equal weight."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor, nn

from ..masking import Mask, Scheme
from ..models.mtm import Batch, MtM


def trial_weights(masks: Sequence[Mask]) -> list[Float[Tensor, "B"]]:
    """Weight of each target entry, one number per trial: entries of a scheme average, then the schemes average.

    MtM sums over targets, so a scheme with fifty times as many targets has fifty times the learning rate.
    """
    prompts = torch.cat([mask.prompts for mask in masks])
    n_targets = torch.zeros(len(Scheme), device=prompts.device)
    n_targets.index_add_(0, prompts, torch.cat([mask.target.sum((1, 2)) for mask in masks]).float())
    n_schemes = (n_targets > 0).sum().clamp_min(1)
    weights = 1.0 / (n_targets.clamp_min(1.0)[prompts] * n_schemes)
    return list(weights.split([len(mask.hidden) for mask in masks]))


def poisson_loss(
    log_rates: Float[Tensor, "B T N"], counts: Num[Tensor, "B T N"], mask: Mask, weights: Float[Tensor, "B"]
) -> Float[Tensor, ""]:
    """Weighted sum over the mask's targets; see `poisson_sum`."""
    return poisson_sum(log_rates, counts, mask.target, weights)


def poisson_sum(
    log_rates: Float[Tensor, "B T N"], counts: Num[Tensor, "B T N"], target: Bool[Tensor, "B T n"], weights: Tensor
) -> Float[Tensor, ""]:
    """Weighted sum of exp(log rate) - count * log rate over targets (log count! does not depend on the model).

    target: one flag per entry, or per bin (n = 1); weights: (B,).
    """
    # Other entries become constants first: an overflow there must not reach the gradient as 0 * inf.
    log_rates = torch.where(target, log_rates, 0.0)
    entries = torch.where(target, log_rates.exp() - counts.to(log_rates.dtype) * log_rates, 0.0)
    return (entries.sum((1, 2)) * weights).sum()


class Loss(nn.Module):
    """From trials of several sessions to one number: what DistributedDataParallel wraps."""

    def __init__(self, model: MtM) -> None:
        super().__init__()
        self.model, self.of_targets = model, poisson_loss

    def forward(self, batches: Sequence[Batch], masks: Sequence[Mask], weights: Sequence[Tensor]) -> Tensor:
        found = self.model.together(batches, masks)
        losses = [
            self.of_targets(log_rates, batch.counts, mask, weight)
            for log_rates, batch, mask, weight in zip(found, batches, masks, weights, strict=True)
        ]
        return torch.stack(losses).sum()

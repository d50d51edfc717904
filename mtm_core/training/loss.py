"""The training loss: Poisson negative log likelihood of targets, every scheme with equal weight."""

from __future__ import annotations

import torch
from jaxtyping import Float, Num
from torch import Tensor

from ..masking import Mask, Scheme


def trial_weights(mask: Mask) -> Float[Tensor, "B"]:
    """Weight of each target entry, one number per trial: entries of a scheme average, then the schemes average.

    MtM sums over targets, so a scheme with fifty times as many targets has fifty times the learning rate.
    """
    n_targets = torch.zeros(len(Scheme), device=mask.target.device)
    n_targets.index_add_(0, mask.prompts, mask.target.sum((1, 2)).float())
    n_schemes = (n_targets > 0).sum().clamp_min(1)
    return 1.0 / (n_targets.clamp_min(1.0)[mask.prompts] * n_schemes)


def poisson_loss(
    log_rates: Float[Tensor, "B T N"], counts: Num[Tensor, "B T N"], mask: Mask, weights: Float[Tensor, "B"]
) -> Float[Tensor, ""]:
    """Weighted sum of exp(log rate) - count * log rate over targets (log count! does not depend on the model)."""
    # Other entries become constants first: an overflow there must not reach the gradient as 0 * inf.
    log_rates = log_rates.masked_fill(~mask.target, 0.0)
    entries = (log_rates.exp() - counts * log_rates).masked_fill(~mask.target, 0.0)
    return (entries.sum((1, 2)) * weights).sum()

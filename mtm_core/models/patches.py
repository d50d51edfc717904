"""Tokens of groups of neurons: NDT2's patches, and NDT1's whole bins as the case of one patch.

MtM (arXiv 2407.14668, section 3.2) cuts a bin into patches of 128 neighbouring neurons for NDT2; NDT1 has one token per
bin. Tokens are ordered by bin, then by patch, so "causal" is a comparison of bins. The released code orders them so but
builds its causal mask as if they were ordered by patch, and then bins read 42 % of their future.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

N_PREFIX = 2  # session token, prompt token


def n_patches(n_neurons: int, patch_neurons: int) -> int:
    """Tokens per bin; patch_neurons 0 stands for all neurons."""
    return max(1, -(-n_neurons // patch_neurons)) if patch_neurons else 1


def sum_patches(
    values: Float[Tensor, "B T n"], vectors: Float[Tensor, "n D"], patches: Int[Tensor, " n"] | None, n: int
) -> Float[Tensor, "B T S D"]:
    """For each of `n` patches, the sum of its neurons' vectors times their values; patches: that of each neuron."""
    if patches is None:
        return (values @ vectors)[:, :, None]
    inside = [(patches == patch).nonzero()[:, 0] for patch in range(n)]
    return torch.stack([values[:, :, chosen] @ vectors[chosen] for chosen in inside], dim=2)


def token_bins(n_bins: int, n: int, device: torch.device) -> Int[Tensor, "S"]:
    """Bin of every token; the session token stands two bins before the window, the prompt one."""
    bins = torch.arange(n_bins, device=device).repeat_interleave(n)
    return torch.cat([torch.arange(-N_PREFIX, 0, device=device), bins])


def reads_no_future(bins: Int[Tensor, "S"]) -> Bool[Tensor, "S S"]:
    """[i, j]: token i may read token j, in causal mode.

    Bins read the prompt and session tokens. If those read the bins, a bin would see its own future through them.
    """
    order = bins.clamp_min(-1)  # the two prefix tokens read each other
    return order[:, None] >= order[None, :]

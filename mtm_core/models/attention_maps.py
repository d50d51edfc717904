"""What each head of each layer reads: the attention weights of a model for given trials and a given mask.

torch's attention (Vaswani et al. 2017, arXiv 1706.03762, section 3.2.1) gives no weights back, so they are computed
once more from the same projections, with the same turned queries and keys and the same rule of who may read whom:

    weights[i, j] = softmax over j of (q_i . k_j / sqrt(head width)),  0 where token i may not read token j

The states that pass from layer to layer are the model's own, so nothing can drift from what it computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..masking import Mask
from . import released
from .mtm import Batch, MtM, _may_read
from .patches import N_PREFIX, token_bins
from .released import ReleasedMtM
from .transformer import rotary_angles, rotate

MOST_WEIGHTS = 2**26  # numbers, 256 MB: trials x layers x heads x tokens x tokens


@dataclass(frozen=True)
class AttentionMaps:
    """How the tokens of trials read one another. The first two tokens are session and prompt."""

    sequence: Float[Tensor, "B S D"]  # what enters the first layer
    weights: Float[Tensor, "B L H S S"]  # [..., i, j]: share of what token i reads that it reads from token j
    mixed: Float[Tensor, "B L S D"]  # the values mixed by the weights, heads side by side: attention's output
    bins: Int[Tensor, "S"]  # of each token; -2 and -1 for session and prompt


@torch.no_grad()
def attention_maps(model: MtM | ReleasedMtM, batch: Batch, mask: Mask) -> AttentionMaps:
    """The weights with which the model answers this batch; hidden entries may hold anything, NaN included.

    Raises ValueError in training mode, where dropout makes weights random, and for maps that would fill the memory.
    """
    if model.training:
        raise ValueError("the model is in training mode, where dropout changes what is read; call model.eval()")
    tokens = model.tokens(batch, mask.hidden)
    n_trials, n_bins, n_patches = tokens.shape[:3]
    n_tokens, size = N_PREFIX + n_bins * n_patches, _size(model)
    if n_trials * size[0] * size[1] * n_tokens**2 > MOST_WEIGHTS:
        raise ValueError(
            f"attention of {n_trials} trials, {size[0]} layers, {size[1]} heads and {n_tokens} tokens is too large to "
            "be shown; take fewer trials, or a smaller model"
        )
    walk = _walk_released if isinstance(model, ReleasedMtM) else _walk
    sequence, *layers = walk(model, tokens, batch, mask.prompts)
    weights, mixed = zip(*layers, strict=True)
    bins = token_bins(n_bins, n_patches, tokens.device)
    return AttentionMaps(sequence, torch.stack(weights, dim=1), torch.stack(mixed, dim=1), bins)


def _size(model: MtM | ReleasedMtM) -> tuple[int, int]:
    return model.config.n_layers, model.config.n_heads


def by_bins(weights: Float[Tensor, "L H S S"], n_bins: int) -> Float[Tensor, "L H bins bins"]:
    """The same between whole bins, for tokens of patches (NDT2); the two tokens in front stay. Rows still sum to 1.

    What a bin reads is the mean over its tokens; what is read of a bin is the sum over its tokens.
    """
    n_patches = (weights.shape[-1] - N_PREFIX) // n_bins
    return _merged(_merged(weights, n_patches).mT / _members(n_bins, n_patches, weights), n_patches).mT


def _merged(weights: Tensor, n_patches: int) -> Tensor:
    """Sum over the tokens of a bin, along the last axis."""
    inside = weights[..., N_PREFIX:].unflatten(-1, (-1, n_patches)).sum(-1)
    return torch.cat([weights[..., :N_PREFIX], inside], dim=-1)


def _members(n_bins: int, n_patches: int, like: Tensor) -> Tensor:
    """How many tokens share a place with each token: 1 for the two in front."""
    n = torch.full((N_PREFIX + n_bins * n_patches,), float(n_patches), device=like.device, dtype=like.dtype)
    n[:N_PREFIX] = 1
    return n


def _attention(
    q: Float[Tensor, "B H S w"], k: Float[Tensor, "B H S w"], v: Float[Tensor, "B H S w"], may_read: Tensor | None
) -> tuple[Float[Tensor, "B H S S"], Float[Tensor, "B S D"]]:
    """Weights, and the values mixed by them."""
    scores = q @ k.mT * q.shape[-1] ** -0.5
    if may_read is not None:
        scores = scores.masked_fill(~may_read, -torch.inf)
    weights = scores.softmax(dim=-1)
    return weights, (weights @ v).transpose(1, 2).flatten(2)


def _walk(model: MtM, tokens: Float[Tensor, "B T S D"], batch: Batch, prompts: Int[Tensor, "B"]) -> Iterator:
    """The sequence, then weights and mixed values of one layer after another."""
    x = model._sequence(tokens, batch, prompts)
    bins = token_bins(*tokens.shape[1:3], x.device)
    angles, may_read = rotary_angles(bins, model.transformer.head_width), _may_read(prompts, bins)
    yield x
    for block in model.transformer.blocks:
        qkv = block.qkv(block.norm_attention(x)).unflatten(2, (3, block.n_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        yield _attention(rotate(q, angles), rotate(k, angles), v, may_read)
        x = block(x, angles, may_read)


def _walk_released(
    model: ReleasedMtM, tokens: Float[Tensor, "B T 1 D"], batch: Batch, prompts: Int[Tensor, "B"]
) -> Iterator:
    """The same for the released network, which has learned positions and other rules of who reads whom."""
    embedder = model.encoder["embedder"]
    session = embedder.embed_session.weight[batch.session_row].expand(len(prompts), -1)
    prefix = torch.stack([session, embedder.embed_prompt(model._prompt_rows(prompts))], dim=1)
    x = torch.cat([prefix, tokens[:, :, 0]], dim=1)
    may_read: Bool[Tensor, "B 1 S S"] | None = released._may_read(prompts, tokens.shape[1])
    yield x
    for layer in model.encoder["layers"]:
        projections, y = (layer.attn.query, layer.attn.key, layer.attn.value), layer.ln1(x)
        q, k, v = (f(y).unflatten(2, (layer.attn.n_heads, -1)).transpose(1, 2) for f in projections)
        yield _attention(q, k, v, may_read)
        x = layer(x, may_read)

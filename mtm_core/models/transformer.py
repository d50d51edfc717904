"""Pre-norm transformer over time bins with rotary positions (Su et al. 2021, arXiv 2104.09864, section 3.2.2).

MtM learns one vector per bin, which fixes the number of bins; the revised paper reports rotary positions to be better
on all its metrics. They take any number of bins, so windows may differ between recordings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Num
from torch import Tensor, nn

LONGEST_PERIOD = 1e4  # bins; slowest rotation, as in the paper
MOST_LAYERS, WIDEST = 100, 16_384  # a size beyond these is a mistake, or a file that wants to fill the memory


@dataclass(frozen=True)
class TransformerConfig:
    """Size of the transformer; the defaults train in minutes on two CPU cores."""

    width: int = 128
    n_layers: int = 3
    n_heads: int = 4
    dropout: float = 0.3
    token_dropout: float = 0.1
    attention_dropout: float = 0.0  # of single attention weights; MtM: 0.4

    def __post_init__(self) -> None:
        if not (0 < self.n_layers <= MOST_LAYERS and 0 < self.n_heads <= self.width <= WIDEST):
            size = f"{self.n_layers} layers, width {self.width}, {self.n_heads} heads"
            raise ValueError(f"{size}; give 1 to {MOST_LAYERS} layers and a width of at most {WIDEST}")
        if self.width % (2 * self.n_heads):
            raise ValueError(f"width {self.width} with {self.n_heads} heads; a head needs an even number of channels")
        dropouts = (self.dropout, self.token_dropout, self.attention_dropout)
        if not all(0 <= share <= 0.9 for share in dropouts):
            raise ValueError(f"dropout, token dropout, attention dropout {dropouts}; give numbers from 0 to 0.9")


def rotary_angles(positions: Num[Tensor, "S"], head_width: int) -> Float[Tensor, "S half"]:
    """Rotation of each pair of channels at each position, in radians."""
    half = head_width // 2
    speeds = LONGEST_PERIOD ** (-torch.arange(half, device=positions.device) / half)
    return positions[:, None] * speeds


def rotate(x: Float[Tensor, "B heads S width"], angles: Float[Tensor, "S half"]) -> Float[Tensor, "B heads S width"]:
    """Turn queries or keys, so that their product depends on the distance between two bins."""
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def _turned(x: Tensor, cos: Tensor, sin: Tensor, sign: int) -> Tensor:
    """As `rotate`, or back for sign -1, in half its passes over memory and without a gradient."""
    found = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    (first, second), (a, b) = x.chunk(2, dim=-1), found.chunk(2, dim=-1)
    torch.mul(first, cos, out=a).addcmul_(second, sin, value=-sign)
    torch.mul(second, cos, out=b).addcmul_(first, sin, value=sign)
    return found


class _Attention(torch.autograd.Function):
    """Attention in training on a CPU, in few passes over memory there and back.

    torch's kernel is up to four times slower backwards at 100 tokens than the products written out; derived step by
    step, the gradients of queries, keys and values come in three layouts that cost as much again to put together.
    """

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, angles: Tensor, may_read: Tensor | None, keep: Tensor | None) -> Tensor:
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        turns = torch.stack([angles.cos(), angles.sin()])
        turns_k, turns_q = turns.to(q.dtype), (turns * q.shape[-1] ** -0.5).to(q.dtype)
        q, k, v = _turned(q, *turns_q, 1), _turned(k, *turns_k, 1), v.contiguous()
        scores = q @ k.mT
        if may_read is not None:
            # A sum is a tenth of the time of masked_fill.
            scores += torch.zeros_like(may_read, dtype=scores.dtype).masked_fill_(~may_read, -math.inf)
        weights = scores.softmax(dim=-1).to(v.dtype)
        kept = weights if keep is None else weights * keep
        mixed = kept @ v
        ctx.save_for_backward(q, k, v, turns_q, turns_k, weights, kept, mixed)
        return mixed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        q, k, v, turns_q, turns_k, weights, kept, mixed = ctx.saved_tensors
        gradient = gradient.contiguous()
        # The sum over a row of weights times their gradients is that over the outcome times its own, which is shorter
        # (Dao et al. 2022, arXiv 2205.14135, appendix B.2).
        level = (gradient * mixed).sum(dim=-1, keepdim=True)
        slopes = (gradient @ v.mT).mul_(kept).addcmul_(weights, level, value=-1)
        n_batch, n_heads, n_tokens, width = q.shape
        found = q.new_empty(n_batch, n_tokens, 3, n_heads, width)
        of_q, of_k, of_v = found.permute(2, 0, 3, 1, 4)
        of_q.copy_(_turned(slopes @ k, *turns_q, -1))
        of_k.copy_(_turned(slopes.mT @ q, *turns_k, -1))
        of_v.copy_(kept.mT @ gradient)
        return found, None, None, None


def attend(
    qkv: Float[Tensor, "B S 3 heads width"],
    angles: Float[Tensor, "S half"],
    may_read: Bool[Tensor, "..."] | None,
    dropout: Dropout | None = None,
) -> Float[Tensor, "B S channels"]:
    """Scaled dot-product attention with turned queries and keys; dropout is that of single weights.

    may_read[..., i, j] says whether token i may read token j (None: all).
    """
    if qkv.device.type == "cpu" and qkv.requires_grad and not torch.compiler.is_compiling():
        n_batch, n_tokens, _, n_heads, _ = qkv.shape
        keep = None if dropout is None else dropout.kept((n_batch, n_heads, n_tokens, n_tokens), qkv.dtype)
        mixed = _Attention.apply(qkv, angles, may_read, keep)
    else:
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q, k = rotate(q, angles), rotate(k, angles)
        share = dropout.cut / 256 if dropout is not None and dropout.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=may_read, dropout_p=share)
    return mixed.transpose(1, 2).flatten(2)


class Dropout(nn.Module):
    """Dropout in steps of 1/256 from random bytes: torch's own draws one float per element, serially on a CPU."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.cut = round(probability * 256)

    def kept(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor | None:
        """What to multiply with on a CPU: 0 where something is dropped, 1 / (1 - share) elsewhere; None: nothing is."""
        if not self.training or self.cut == 0:
            return None
        size = math.prod(shape)
        words = torch.empty(-(-size // 8), dtype=torch.int64).random_(-(2**63), None)
        # 1 from `cut` on, else 0; comparisons, whose result is bool, are many times slower to make and to convert.
        keep = words.view(torch.uint8)[:size].view(shape).clamp_(self.cut - 1, self.cut).sub_(self.cut - 1)
        return keep.to(dtype).mul_(256 / (256 - self.cut))

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return F.dropout(x, self.cut / 256, self.training)
        keep = self.kept(x.shape, x.dtype)
        return x if keep is None else x * keep


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width, self.n_heads = config.width, config.n_heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout, self.attention_dropout = Dropout(config.dropout), Dropout(config.attention_dropout)
        for layer in (self.out, self.down):
            # Residual branches start small, so that depth does not change the scale (GPT-2).
            nn.init.normal_(layer.weight, std=0.1 / math.sqrt(2 * config.n_layers))

    def forward(
        self, x: Float[Tensor, "B S D"], angles: Float[Tensor, "S half"], may_read: Bool[Tensor, "..."] | None
    ) -> Float[Tensor, "B S D"]:
        n_batch, n_tokens, width = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(n_batch, n_tokens, 3, self.n_heads, width // self.n_heads)
        x = x + self.dropout(self.out(attend(qkv, angles, may_read, self.attention_dropout)))
        return x + self.dropout(self.down(F.gelu(self.up(self.norm_mlp(x)))))


class Transformer(nn.Module):
    """Blocks and a final norm."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.head_width = config.width // config.n_heads
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(
        self, x: Float[Tensor, "B S D"], positions: Num[Tensor, "S"], may_read: Bool[Tensor, "..."] | None
    ) -> Float[Tensor, "B S D"]:
        angles = rotary_angles(positions, self.head_width)
        for block in self.blocks:
            x = block(x, angles, may_read)
        return self.norm(x)

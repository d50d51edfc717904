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


def turn(angles: Float[Tensor, "S half"], like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines, as precise as what they turn."""
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


class _Rotation(torch.autograd.Function):
    """Half the passes over memory of the formula in `rotate`, and the result lies as the product wants it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _turned(gradient, *ctx.saved_tensors, -1), None, None


def _turned(x: Tensor, cos: Tensor, sin: Tensor, sign: int) -> Tensor:
    found = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    (first, second), (a, b) = x.chunk(2, dim=-1), found.chunk(2, dim=-1)
    torch.mul(first, cos, out=a).addcmul_(second, sin, value=-sign)
    torch.mul(second, cos, out=b).addcmul_(first, sin, value=sign)
    return found


def rotate(
    x: Float[Tensor, "B heads S width"], cos: Float[Tensor, "S half"], sin: Float[Tensor, "S half"]
) -> Float[Tensor, "B heads S width"]:
    """Turn queries or keys, so that their product depends on the distance between two bins."""
    if x.device.type == "cpu" and x.requires_grad and not torch.compiler.is_compiling():
        return _Rotation.apply(x, cos, sin)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def attend(
    q: Tensor, k: Tensor, v: Tensor, may_read: Bool[Tensor, "..."] | None, dropout: Dropout | None = None
) -> Tensor:
    """Scaled dot-product attention; may_read[..., i, j] says whether token i may read token j (None: all)."""
    drops = dropout is not None and dropout.training and dropout.cut > 0
    if q.device.type == "cpu" and q.requires_grad:
        # torch's CPU kernel is up to four times slower backwards at 100 tokens than the three steps written out.
        scores = (q * q.shape[-1] ** -0.5).contiguous() @ k.contiguous().transpose(-1, -2)
        if may_read is not None:
            # A sum is a tenth of the time of masked_fill, there and back.
            scores = scores + torch.zeros_like(may_read, dtype=scores.dtype).masked_fill_(~may_read, -math.inf)
        weights = scores.softmax(dim=-1).to(v.dtype)
        return (dropout(weights) if drops else weights) @ v.contiguous()
    return F.scaled_dot_product_attention(q, k, v, attn_mask=may_read, dropout_p=dropout.cut / 256 if drops else 0.0)


class Dropout(nn.Module):
    """Dropout in steps of 1/256 from random bytes: torch's own draws one float per element, serially on a CPU."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.cut = round(probability * 256)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.cut == 0:
            return x
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return F.dropout(x, self.cut / 256)
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        # 1 from `cut` on, else 0; comparisons, whose result is bool, are many times slower to make and to convert.
        keep = words.view(torch.uint8)[: x.numel()].view(x.shape).clamp_(self.cut - 1, self.cut).sub_(self.cut - 1)
        return x * keep.to(x.dtype).mul_(256 / (256 - self.cut))


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
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        cos, sin = turn(angles, q)
        mixed = attend(rotate(q, cos, sin), rotate(k, cos, sin), v, may_read, self.attention_dropout)
        x = x + self.dropout(self.out(mixed.transpose(1, 2).reshape(n_batch, n_tokens, width)))
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

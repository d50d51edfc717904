"""The same model the plain way, to measure against: float32, eager PyTorch, step by step as in the released code.

`models/ndt1.py`, `models/masker.py` and `trainer/base.py` of colehurwitz/IBL_foundation_model, November 2024: two input
layers one after the other (stitcher to 668 channels, embedder to twice as many, softsign, projection), queries, keys
and values by a layer each, attention masks of int64 built in every forward pass, dropout of attention weights, of
embeddings and of both branches, one masking scheme per batch drawn on the CPU, AdamW with one group.

Left out: data loader, logging and the decoder that is never used. All of them would make it slower.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

N_PREFIX = 2  # prompt, session
N_CHANNELS, MULT = 668, 2  # what a session's stitcher maps to; the embedder is so many times as wide
SCHEMES = ("neuron", "causal", "intra-region", "inter-region")
RATIO = 0.3


class PlainLayer(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads, self.share = n_heads, dropout
        self.ln1, self.ln2, self.dropout = nn.LayerNorm(width), nn.LayerNorm(width), nn.Dropout(dropout)
        self.query, self.key, self.value, self.out_proj = (nn.Linear(width, width) for _ in range(4))
        self.up_proj, self.down_proj = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def attention(self, x: Tensor, may_read: Tensor) -> Tensor:
        n_batch, n_tokens, width = x.shape
        shape = (n_batch, n_tokens, self.n_heads, width // self.n_heads)
        q, k, v = (layer(x).view(shape).transpose(1, 2) for layer in (self.query, self.key, self.value))
        share = self.share if self.training else 0.0
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=may_read.unsqueeze(1).bool(), dropout_p=share)
        return self.out_proj(self.dropout(out.transpose(1, 2).flatten(2)))

    def forward(self, x: Tensor, may_read: Tensor) -> Tensor:
        x = x + self.attention(self.ln1(x), may_read)
        return x + self.dropout(self.down_proj(F.gelu(self.up_proj(self.ln2(x)))))


class PlainModel(nn.Module):
    """Stitcher, embedder, prompt and session token, layers, stitcher back."""

    def __init__(self, n_neurons: int, n_bins: int, size: tuple[int, int, int], dropouts: tuple[float, float]) -> None:
        """size: width, layers, heads; dropouts: of embeddings, of the rest."""
        super().__init__()
        width, n_layers, n_heads = size
        self.stitcher, self.embed_spikes = nn.Linear(n_neurons, N_CHANNELS), nn.Linear(N_CHANNELS, N_CHANNELS * MULT)
        self.projection = nn.Linear(N_CHANNELS * MULT, width)
        self.embed_pos, self.embed_prompt = nn.Embedding(n_bins, width), nn.Embedding(len(SCHEMES), width)
        self.embed_session = nn.Embedding(1, width)
        self.embed_dropout = nn.Dropout(dropouts[0])
        self.layers = nn.ModuleList(PlainLayer(width, n_heads, dropouts[1]) for _ in range(n_layers))
        self.out_norm, self.read_out = nn.LayerNorm(width), nn.Linear(width, n_neurons)

    def forward(self, visible: Tensor, scheme: int) -> Tensor:
        n_batch, n_bins, _ = visible.shape
        x = self.projection(F.softsign(self.embed_spikes(self.stitcher(visible))))
        x = x + self.embed_pos(torch.arange(n_bins).expand(n_batch, n_bins))
        prompt = self.embed_prompt(torch.full((n_batch, 1), scheme))
        session = self.embed_session(torch.zeros(n_batch, 1, dtype=torch.int64))
        x = self.embed_dropout(torch.cat([prompt, session, x], dim=1))
        may_read = context_mask(n_batch, n_bins, SCHEMES[scheme] == "causal")
        for layer in self.layers:
            x = layer(x, may_read)
        return self.read_out(self.out_norm(x)[:, N_PREFIX:])


def context_mask(n_batch: int, n_bins: int, causal: bool) -> Tensor:
    """Which token reads which, per trial and as int64, made anew in every forward pass."""
    size = n_bins + N_PREFIX
    mask = torch.ones(size, size, dtype=torch.int64)
    if causal:
        mask = torch.tril(mask)
        mask[:N_PREFIX] = 1
    pairs = mask.expand(n_batch, size, size)
    padding = torch.ones(n_batch, size, dtype=torch.int64).unsqueeze(1).expand(n_batch, size, size)
    own = torch.eye(size, dtype=torch.int64).expand(n_batch, size, size)
    return own | (pairs & padding)


def hide(counts: Tensor, regions: list[str], scheme: int) -> tuple[Tensor, Tensor]:
    """Counts with hidden entries at 0, and int64 flags of the targets; one scheme for the whole batch."""
    name, chance = SCHEMES[scheme], torch.zeros(counts.shape)
    hidden = torch.zeros(counts.shape)
    region = regions[int(torch.randint(len(regions), (1,)))]
    inside = torch.tensor([each == region for each in regions])
    if name == "neuron":
        chance[:] = RATIO
        hidden = torch.bernoulli(chance[:, :1]).expand(counts.shape)
    elif name == "causal":
        chance[:] = RATIO
        hidden = torch.bernoulli(chance[:, :, :1]).expand(counts.shape)
    else:
        chance[:, :, inside] = 1.0 if name == "inter-region" else RATIO
        hidden = torch.bernoulli(chance[:, :1]).expand(counts.shape)
    target = hidden.to(torch.int64)
    unseen = hidden.bool() | ~inside if name == "intra-region" else hidden.bool()
    return counts.clone().masked_fill(unseen, 0.0), target


class PlainTrainer:
    """One step: mask, forward, Poisson loss of the targets, backward, AdamW."""

    def __init__(self, model: PlainModel, counts: Tensor, regions: list[str], learning_rate: float) -> None:
        self.model, self.counts, self.regions = model.train(), counts, regions
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.01, foreach=True)

    def step(self, batch_size: int) -> float:
        chosen = torch.randperm(len(self.counts))[:batch_size]
        counts, scheme = self.counts[chosen].float(), int(torch.randint(len(SCHEMES), (1,)))
        visible, target = hide(counts, self.regions, scheme)
        loss = F.poisson_nll_loss(self.model(visible, scheme), counts, log_input=True, reduction="none") * target
        loss = loss.sum() / target.sum()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.detach())

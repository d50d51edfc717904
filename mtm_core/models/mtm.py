"""MtM: tokens of bins or of patches of neurons, a prompt that names the masking scheme, and a session token.

Zhang, Wang et al., "Towards a universal translator for neural dynamics at single-cell, single-spike resolution",
NeurIPS 2024, arXiv 2407.14668, sections 3.1 to 3.3; the architecture is Neural Data Transformer 1 (Ye & Pandarinath
2021), or NDT2 (Ye, Collinger, Wehbe & Gaunt 2023) with `patch_neurons`.

    counts - mean, hidden -> 0 + learned signal -> [session, prompt, bin 1 ... bin T] -> transformer -> log rates

Deviations, each for one reason:
* The paper writes 0 for hidden entries, which is also what a silent neuron shows. Here inputs are counts minus the
  training mean, so that 0 says "no news", and every hidden neuron adds a learned vector of its own, unless that is
  switched off (`hidden_signal`): with few steps per neuron it costs more than it tells.
* One table row per neuron replaces a matrix per session (stitcher.py).
* Prompt and session tokens read no bins in causal mode. In the released code they read all of them and every bin reads
  the tokens, so from the second layer on a bin can see its own future.
* Positions are rotations, and the time from the event enters as sines, so that any number of bins works
  (transformer.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn

from ..masking import Mask, Scheme
from .patches import N_PREFIX, n_patches, reads_no_future, sum_patches, token_bins
from .stitcher import UnitTable, rows_of
from .tables import AnimalTables
from .time_waves import N_WAVES, time_waves
from .transformer import Dropout, Transformer, TransformerConfig

MOST_PATCHES = 64  # of a session: 8,192 neurons with patches of 128


@dataclass(frozen=True)
class MtMConfig(TransformerConfig):
    """Size and switches of the model."""

    prompted: bool = True  # False: the ablation "MtM not prompted"
    hidden_signal: bool = True  # False: a hidden count says no more than one at the training mean
    patch_neurons: int = 0  # neurons per token: 0 all of a bin (NDT1), 128 as in NDT2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patch_neurons < 0:
            raise ValueError(f"{self.patch_neurons} neurons per token; give a positive number, or 0 for all of a bin")


@dataclass(frozen=True)
class Batch:
    """Trials of one session as the model reads them. Nothing in it is hidden yet: that is the model's task."""

    counts: Num[Tensor, "B T N"]
    unit_rows: Int[Tensor, "N"]
    session_row: int
    bin_starts: Float[Tensor, "T"]  # s from the event
    read: Int[Tensor, " n"] | None = None  # positions in unit_rows of the neurons to predict; None: all


class MtM(AnimalTables):
    """Log expected counts per bin for every entry of a batch, whether hidden or not."""

    causal_is_strict = True
    shares_tokens = True  # a token is a sum over neurons, of which questions may share a part
    STARTS = {"units.hidden_signal": "hidden_signal_start", **AnimalTables.STARTS}

    def __init__(self, config: MtMConfig, unit_ids: tuple[str, ...], session_ids: tuple[str, ...]) -> None:
        super().__init__(config.width, unit_ids, session_ids, UnitTable(len(unit_ids), config.width))
        self.config = config
        self.prompt = nn.Embedding(len(Scheme), config.width)
        self.time = nn.Linear(N_WAVES, config.width)
        self.token_dropout = Dropout(config.token_dropout)
        self.transformer = Transformer(config)
        nn.init.zeros_(self.session.weight)  # a session starts as the average session
        nn.init.normal_(self.prompt.weight, std=0.1)
        self.prompt.requires_grad_(config.prompted)
        self.units.hidden_signal.requires_grad_(config.hidden_signal)  # it starts at 0
        if config.patch_neurons:
            self.patch = nn.Embedding(MOST_PATCHES, config.width)
            nn.init.normal_(self.patch.weight, std=0.1)

    def patches(self, n_neurons: int) -> Int[Tensor, "N"] | None:
        """The patch of each neuron of a session; None: one for all."""
        size = self.config.patch_neurons
        return torch.arange(n_neurons, device=self.device) // size if size else None

    def n_patches(self, n_neurons: int) -> int:
        n = n_patches(n_neurons, self.config.patch_neurons)
        if n > MOST_PATCHES:
            raise ValueError(f"{n_neurons} neurons are {n} patches, more than {MOST_PATCHES}; use larger patches")
        return n

    def tokens(self, batch: Batch, hidden: Bool[Tensor, "B T N"]) -> Float[Tensor, "B T S D"]:
        """What the visible entries say. The first line hides; nothing after it sees the counts again."""
        visible = torch.where(hidden, self.units.mean[batch.unit_rows], batch.counts.float())
        return self.embed(visible, hidden, batch.unit_rows)

    def embed(
        self, visible: Float[Tensor, "B T N"], hidden: Bool[Tensor, "B T N"], rows: Int[Tensor, "N"]
    ) -> Float[Tensor, "B T S D"]:
        """Sum over the neurons of a patch: what the visible ones say, and the signal of the hidden ones."""
        deviation, patches, n = self.units.deviation(visible, rows), self.patches(len(rows)), self.n_patches(len(rows))
        said = sum_patches(deviation, rows_of(self.units.input, rows), patches, n)
        return said + sum_patches(hidden.to(deviation.dtype), rows_of(self.units.hidden_signal, rows), patches, n)

    def _prefix(self, batch: Batch, prompts: Int[Tensor, "B"]) -> Float[Tensor, "B 2 D"]:
        chosen = torch.tensor([batch.session_row], device=prompts.device)
        session = rows_of(self.session.weight, chosen).expand(len(prompts), -1)
        prompt = self.prompt(prompts) if self.config.prompted else torch.zeros_like(session)
        return torch.stack([session, prompt], dim=1)

    def _sequence(self, tokens: Float[Tensor, "B T S D"], batch: Batch, prompts: Int[Tensor, "B"]) -> Tensor:
        """Prefix, then the tokens bin by bin, each told its time and its patch."""
        tokens = tokens + self.time(time_waves(batch.bin_starts))[:, None]
        if self.config.patch_neurons:
            tokens = tokens + self.patch.weight[: tokens.shape[2]]
        return torch.cat([self._prefix(batch, prompts).to(tokens.dtype), tokens.flatten(1, 2)], dim=1)

    def _transformed(self, sequence: Tensor, shape: tuple[int, int], prompts: Int[Tensor, "B"]) -> Tensor:
        """Last states of the tokens, (B, T, S, D) again; shape: (T, S)."""
        bins = token_bins(*shape, sequence.device)
        states = self.transformer(self.token_dropout(sequence), bins, _may_read(prompts, bins))
        return states[:, N_PREFIX:].unflatten(1, shape)

    def states(
        self, tokens: Float[Tensor, "B T S D"], batch: Batch, prompts: Int[Tensor, "B"]
    ) -> Float[Tensor, "B T S D"]:
        """The transformer's last states: the latents that all neurons are read from."""
        return self._transformed(self._sequence(tokens, batch, prompts), tuple(tokens.shape[1:3]), prompts)

    def read_out(self, states: Float[Tensor, "B T S D"], batch: Batch) -> Float[Tensor, "B T n"]:
        """Log expected counts per bin of the neurons to read, each from the token of its patch."""
        read = torch.arange(len(batch.unit_rows), device=states.device) if batch.read is None else batch.read
        if not self.config.patch_neurons:
            return self.units.read_out(states[:, :, 0], batch.unit_rows[read])
        patches = read // self.config.patch_neurons
        order = patches.argsort(stable=True)
        inside = [read[patches == patch] for patch in range(states.shape[2])]
        found = [self.units.read_out(states[:, :, s], batch.unit_rows[chosen]) for s, chosen in enumerate(inside)]
        return torch.cat(found, dim=2)[:, :, order.argsort()]

    def forward(self, batch: Batch, mask: Mask) -> Float[Tensor, "B T n"]:
        """Log expected counts per bin; hidden entries of `batch.counts` may hold anything, NaN included."""
        return self.together([batch], [mask])[0]

    def together(self, batches: Sequence[Batch], masks: Sequence[Mask]) -> list[Float[Tensor, "B T n"]]:
        """As `forward` for trials of several sessions; those with the same bins and patches share the transformer."""
        tokens = [self.tokens(batch, mask.hidden) for batch, mask in zip(batches, masks, strict=True)]
        found: dict[int, Tensor] = {}
        for shape in dict.fromkeys(tuple(each.shape[1:3]) for each in tokens):
            like = [i for i, each in enumerate(tokens) if tuple(each.shape[1:3]) == shape]
            prompts = [masks[i].prompts for i in like]
            sequences = [self._sequence(tokens[i], batches[i], own) for i, own in zip(like, prompts, strict=True)]
            states = self._transformed(torch.cat(sequences), shape, torch.cat(prompts))
            parts = states.split([len(own) for own in prompts])
            found.update((i, self.read_out(part, batches[i])) for i, part in zip(like, parts, strict=True))
        return [found[i] for i in range(len(batches))]


def _may_read(prompts: Int[Tensor, "B"], bins: Int[Tensor, "S"]) -> Bool[Tensor, "B 1 S S"] | None:
    """Which token may read which: in trials with the causal prompt no bin reads a later one, directly or not."""
    causal = prompts == Scheme.CAUSAL
    if not bool(causal.any()):
        return None
    return reads_no_future(bins) | ~causal[:, None, None, None]

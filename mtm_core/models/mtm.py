"""MtM with NDT1 tokens: one token per time bin, a prompt that names the masking scheme, and a session token.

Zhang, Wang et al., "Towards a universal translator for neural dynamics at single-cell, single-spike resolution",
NeurIPS 2024, arXiv 2407.14668, sections 3.1 to 3.3; the architecture is Neural Data Transformer 1 (Ye & Pandarinath
2021).

    counts - mean, hidden -> 0 + learned signal -> [session, prompt, bin 1 ... bin T] -> transformer -> log rates

Deviations, each for one reason:
* The paper writes 0 for hidden entries, which is also what a silent neuron shows. Here inputs are counts minus the
  training mean, so that 0 says "no news", and every hidden neuron adds a learned vector of its own.
* One table row per neuron replaces a matrix per session (stitcher.py).
* Prompt and session tokens read no bins in causal mode. In the released code they read all of them and every bin reads
  the tokens, so from the second layer on a bin can see its own future.
* Positions are rotations, and the time from the event enters as sines, so that any number of bins works
  (transformer.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn

from ..masking import Mask, Scheme
from .stitcher import UnitTable
from .transformer import Dropout, Transformer

N_PREFIX = 2  # session token, prompt token
N_TIME_WAVES = 16  # sines and cosines that tell the time from the event
SHORTEST_WAVE, LONGEST_WAVE = 0.05, 8.0  # s
MOST_LAYERS, WIDEST = 100, 16_384  # a size beyond these is a mistake, or a file that wants to fill the memory


class UnknownSessionError(ValueError):
    """The model has no rows for a session or for some of its neurons."""


@dataclass(frozen=True)
class MtMConfig:
    """Size of the model; the defaults train in minutes on two CPU cores."""

    width: int = 128
    n_layers: int = 3
    n_heads: int = 4
    dropout: float = 0.3
    token_dropout: float = 0.1
    prompted: bool = True  # False: the ablation "MtM not prompted"

    def __post_init__(self) -> None:
        if not (0 < self.n_layers <= MOST_LAYERS and 0 < self.n_heads <= self.width <= WIDEST):
            size = f"{self.n_layers} layers, width {self.width}, {self.n_heads} heads"
            raise ValueError(f"{size}; give 1 to {MOST_LAYERS} layers and a width of at most {WIDEST}")
        if self.width % (2 * self.n_heads):
            raise ValueError(f"width {self.width} with {self.n_heads} heads; a head needs an even number of channels")
        if not (0 <= self.dropout <= 0.9 and 0 <= self.token_dropout <= 0.9):
            raise ValueError(f"dropout {self.dropout}, token dropout {self.token_dropout}; give numbers from 0 to 0.9")


@dataclass(frozen=True)
class Batch:
    """Trials of one session as the model reads them. Nothing in it is hidden yet: that is the model's task."""

    counts: Num[Tensor, "B T N"]
    unit_rows: Int[Tensor, "N"]
    session_row: int
    bin_starts: Float[Tensor, "T"]  # s from the event
    read: Int[Tensor, " n"] | None = None  # positions in unit_rows of the neurons to predict; None: all


class MtM(nn.Module):
    """Log expected counts per bin for every entry of a batch, whether hidden or not."""

    def __init__(self, config: MtMConfig, unit_ids: tuple[str, ...], session_ids: tuple[str, ...]) -> None:
        super().__init__()
        if len(set(unit_ids)) != len(unit_ids):
            raise ValueError("two neurons have the same uuid; the unit table needs one row per neuron")
        self.config, self.unit_ids, self.session_ids = config, unit_ids, session_ids
        self._row = {uuid: row for row, uuid in enumerate(unit_ids)}
        self.units = UnitTable(len(unit_ids), config.width)
        self.session = nn.Embedding(len(session_ids), config.width)
        self.prompt = nn.Embedding(len(Scheme), config.width)
        self.time = nn.Linear(2 * N_TIME_WAVES, config.width)
        self.token_dropout = Dropout(config.token_dropout)
        self.transformer = Transformer(config.width, config.n_heads, config.n_layers, config.dropout)
        nn.init.zeros_(self.session.weight)  # a session starts as the average session
        nn.init.normal_(self.prompt.weight, std=0.1)

    @property
    def device(self) -> torch.device:
        return self.units.mean.device

    def rows(self, session_id: str, unit_ids: tuple[str, ...]) -> tuple[Int[Tensor, "N"], int]:
        """Row numbers of a session's neurons and of the session; raises UnknownSessionError."""
        missing = [uuid for uuid in unit_ids if uuid not in self._row]
        if missing or session_id not in self.session_ids:
            raise UnknownSessionError(
                f"the model was not trained on session {session_id} ({len(missing)} of its {len(unit_ids)} neurons are "
                f"unknown); train it with `mtm train --session {session_id} --out DIR` or choose a model that knows it"
            )
        rows = torch.tensor([self._row[uuid] for uuid in unit_ids], device=self.device)
        return rows, self.session_ids.index(session_id)

    def tokens(self, batch: Batch, hidden: Bool[Tensor, "B T N"]) -> Float[Tensor, "B T D"]:
        """What the visible entries of each bin say. The first line hides; nothing after it sees the counts again."""
        visible = torch.where(hidden, self.units.mean[batch.unit_rows], batch.counts.float())
        return self.units.embed(visible, hidden, batch.unit_rows)

    def _prefix(self, batch: Batch, prompts: Int[Tensor, "B"]) -> Float[Tensor, "B 2 D"]:
        session = self.session.weight[batch.session_row].expand(len(prompts), -1)
        prompt = self.prompt(prompts) if self.config.prompted else torch.zeros_like(session)
        return torch.stack([session, prompt], dim=1)

    def states(self, tokens: Float[Tensor, "B T D"], batch: Batch, prompts: Int[Tensor, "B"]) -> Float[Tensor, "B T D"]:
        """The transformer's last states of the bins: the latents that all neurons are read from."""
        tokens = tokens + self.time(_time_waves(batch.bin_starts))
        tokens = torch.cat([self._prefix(batch, prompts).to(tokens.dtype), tokens], dim=1)
        # The prefix turns with the first bin's angle minus two and minus one, whatever the length of the window.
        positions = torch.arange(tokens.shape[1], device=tokens.device) - N_PREFIX
        may_read = _may_read(prompts, len(batch.bin_starts))
        return self.transformer(self.token_dropout(tokens), positions, may_read)[:, N_PREFIX:]

    def forward(self, batch: Batch, mask: Mask) -> Float[Tensor, "B T n"]:
        """Log expected counts per bin; hidden entries of `batch.counts` may hold anything, NaN included."""
        states = self.states(self.tokens(batch, mask.hidden), batch, mask.prompts)
        return self.units.read_out(states, batch.unit_rows if batch.read is None else batch.unit_rows[batch.read])


def _time_waves(bin_starts: Float[Tensor, "T"]) -> Float[Tensor, "T waves"]:
    """Sines and cosines of the time from the event, periods from 50 ms to 8 s."""
    steps = torch.linspace(0, 1, N_TIME_WAVES, device=bin_starts.device)
    periods = SHORTEST_WAVE * (LONGEST_WAVE / SHORTEST_WAVE) ** steps
    phases = 2 * math.pi * bin_starts[:, None] / periods
    return torch.cat([phases.sin(), phases.cos()], dim=1).float()


def _may_read(prompts: Int[Tensor, "B"], n_bins: int) -> Bool[Tensor, "B 1 S S"] | None:
    """Which token may read which: in trials with the causal prompt no bin reads a later one, directly or not."""
    causal = prompts == Scheme.CAUSAL
    if not bool(causal.any()):
        return None
    size = n_bins + N_PREFIX
    past = torch.ones(size, size, dtype=torch.bool, device=prompts.device).tril()
    past[:N_PREFIX, :N_PREFIX] = True
    # Bins read the prompt and session tokens. If those read the bins, a bin would see its own future through them.
    past[:N_PREFIX, N_PREFIX:] = False
    return past | ~causal[:, None, None, None]

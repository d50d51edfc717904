"""NEDS: spikes and behaviors as tokens of one bidirectional transformer, any of them predicted from the others.

Zhang et al., "Neural Encoding and Decoding at Scale", ICML 2025, arXiv 2504.08201, sections 3.1 to 3.3.

    spikes of a bin, value of a trace, class of a trial -> token, hidden -> mask token
        + modality + session + time -> transformer -> log rates | trace | logits, each from its own token

Deviations, each for one reason:
* A behavior that a session or a trial lacks has no token that others could read: no padding, no made-up value.
* A static behavior is one token per trial, in front of the bins, in place of one copy of it per bin.
* Spikes enter by one row per neuron (stitcher.py); one linear map of a standardised value serves every trace of every
  session, which is what an animal never seen before needs. The released code has matrices per session for both.
* Modality, session and time are told by one vector each; the released code learns them once per modality.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn

from ..masking_modalities import N_MODALITIES, ROWS, SPIKES_ROW, ModalityMask
from ..modality import BEHAVIORS, UNKNOWN
from .stitcher import UnitTable, rows_of
from .tables import AnimalTables
from .time_waves import N_WAVES, time_waves
from .transformer import Dropout, Transformer, TransformerConfig

TRACES = tuple(name for name, modality in BEHAVIORS.items() if not modality.static)
STATICS = tuple(name for name, modality in BEHAVIORS.items() if modality.static)
N_CLASSES = {name: len(BEHAVIORS[name].classes) for name in STATICS}
BEFORE = -1  # place of a static token: before the first bin


@dataclass(frozen=True)
class NedsConfig(TransformerConfig):
    """Size of the model."""


@dataclass(frozen=True)
class NedsBatch:
    """Trials of one session as the model reads them. Nothing in it is hidden yet: that is the model's task.

    traces: name -> values in raw units, NaN where unknown; classes: name -> class number, -1 where unknown.
    """

    counts: Num[Tensor, "B T N"]
    unit_rows: Int[Tensor, "N"]
    session_row: int
    bin_starts: Float[Tensor, "T"]  # s from the event
    traces: Mapping[str, Float[Tensor, "B T"]]
    classes: Mapping[str, Int[Tensor, "B"]]

    @property
    def present(self) -> tuple[str, ...]:
        return (*self.classes, *self.traces)

    def pick(self, chosen: slice | Int[Tensor, " rows"]) -> NedsBatch:
        return replace(
            self,
            counts=self.counts[chosen],
            traces={name: values[chosen] for name, values in self.traces.items()},
            classes={name: values[chosen] for name, values in self.classes.items()},
        )

    def known(self) -> Bool[Tensor, "B M T"]:
        """Which tokens hold a value; spikes always do."""
        n_trials, n_bins = self.counts.shape[:2]
        found = torch.zeros(n_trials, N_MODALITIES, n_bins, dtype=torch.bool, device=self.counts.device)
        found[:, SPIKES_ROW] = True
        for name, values in self.traces.items():
            found[:, ROWS[name]] = values.isfinite()
        for name, values in self.classes.items():
            found[:, ROWS[name]] = (values != UNKNOWN)[:, None]
        return found


@dataclass(frozen=True)
class Predicted:
    """log_rates: expected counts per bin; traces in standard deviations from the training mean; logits per class."""

    log_rates: Float[Tensor, "B T N"]
    traces: dict[str, Float[Tensor, "B T"]]
    logits: dict[str, Float[Tensor, "B C"]]


class Neds(AnimalTables):
    """Predictions for every token of a batch, whether hidden or not."""

    def __init__(self, config: NedsConfig, unit_ids: tuple[str, ...], session_ids: tuple[str, ...]) -> None:
        units = UnitTable(len(unit_ids), config.width, hides_neurons=False)
        super().__init__(config.width, unit_ids, session_ids, units)
        self.config, width = config, config.width
        self.modality = nn.Embedding(N_MODALITIES, width)
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.time = nn.Linear(N_WAVES, width)
        self.trace_in = nn.ParameterDict({name: nn.Parameter(torch.randn(width)) for name in TRACES})
        self.class_in = nn.ModuleDict({name: nn.Embedding(n, width) for name, n in N_CLASSES.items()})
        self.trace_out = nn.ModuleDict({name: nn.Linear(width, 1) for name in TRACES})
        self.class_out = nn.ModuleDict({name: nn.Linear(width, n) for name, n in N_CLASSES.items()})
        self.token_dropout = Dropout(config.token_dropout)
        self.transformer = Transformer(config)
        nn.init.zeros_(self.session.weight)  # a session starts as the average session
        nn.init.normal_(self.modality.weight, std=0.5)
        for layer in (*self.trace_out.values(), *self.class_out.values()):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        # Statistics of the training trials, per session.
        n_sessions = len(session_ids)
        self.register_buffer("trace_mean", torch.zeros(n_sessions, len(TRACES)))
        self.register_buffer("trace_scale", torch.ones(n_sessions, len(TRACES)))
        self.register_buffer("has", torch.zeros(n_sessions, N_MODALITIES, dtype=torch.bool))

    def present(self, session_row: int) -> tuple[str, ...]:
        """The behaviors that a session had in training, in the order of the table."""
        return tuple(name for name in BEHAVIORS if bool(self.has[session_row, ROWS[name]]))

    def seen(self) -> tuple[str, ...]:
        """The behaviors that some training session had. A bare trunk tells by its read-outs, which are zero until their
        first step; one that was only trained to encode does not tell, and may have seen all."""
        if self.session_ids:
            return tuple(name for name in BEHAVIORS if bool(self.has[:, ROWS[name]].any()))
        outs = {**self.class_out, **self.trace_out}
        moved = tuple(name for name in BEHAVIORS if bool(outs[name].weight.detach().any()))
        return moved or tuple(BEHAVIORS)

    @torch.no_grad()
    def set_behaviors(self, session_row: int, scales: Mapping[str, tuple[float, float]], names: Sequence[str]) -> None:
        """names: behaviors of a session; scales: trace -> mean and standard deviation over its training trials."""
        self.has[session_row] = torch.tensor([True, *(name in names for name in BEHAVIORS)])
        for name, (mean, scale) in scales.items():
            place = TRACES.index(name)
            self.trace_mean[session_row, place], self.trace_scale[session_row, place] = mean, scale

    def standardised(self, name: str, values: Tensor, session_row: int) -> Tensor:
        place = TRACES.index(name)
        return (values - self.trace_mean[session_row, place]) / self.trace_scale[session_row, place]

    def raw(self, name: str, values: Tensor, session_row: int) -> Tensor:
        """A predicted trace in the units of the recording."""
        place = TRACES.index(name)
        return values * self.trace_scale[session_row, place] + self.trace_mean[session_row, place]

    # --- tokens -------------------------------------------------------------------------------------------------------

    def _spike_tokens(self, batch: NedsBatch, hidden: Bool[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        visible = torch.where(hidden[:, :, None], self.units.mean[batch.unit_rows], batch.counts.float())
        deviation = self.units.deviation(visible, batch.unit_rows)
        said = deviation @ rows_of(self.units.input, batch.unit_rows)
        return torch.where(hidden[:, :, None], self.mask_token.to(said.dtype), said)

    def _trace_tokens(self, name: str, batch: NedsBatch, shown: Bool[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        values = self.standardised(name, batch.traces[name].float(), batch.session_row)
        values = torch.where(shown, values, 0.0)  # before it meets a weight: 0 * NaN would be NaN
        return torch.where(shown[:, :, None], values[:, :, None] * self.trace_in[name], self.mask_token)

    def _class_token(self, name: str, batch: NedsBatch, shown: Bool[Tensor, "B"]) -> Float[Tensor, "B 1 D"]:
        classes = torch.where(shown, batch.classes[name], 0)
        return torch.where(shown[:, None], self.class_in[name](classes), self.mask_token)[:, None]

    def _tokens(self, batch: NedsBatch, mask: ModalityMask) -> tuple[Float[Tensor, "B S D"], Bool[Tensor, "B S"]]:
        """All tokens in their order, and which of them hold something to read: a value, or a mask.

        What is hidden reads as a mask whether it is known or not: that it is known would say something about it.
        """
        known = batch.known() & ~mask.hidden
        readable = known | mask.hidden
        time = self.time(time_waves(batch.bin_starts))
        spikes = self._spike_tokens(batch, mask.hidden[:, SPIKES_ROW])
        parts = [self._class_token(name, batch, known[:, ROWS[name], 0]) for name in batch.classes]
        parts.append(spikes + time)
        parts += [self._trace_tokens(name, batch, known[:, ROWS[name]]) + time for name in batch.traces]
        order = [*(ROWS[name] for name in batch.classes), SPIKES_ROW, *(ROWS[name] for name in batch.traces)]
        session = rows_of(self.session.weight, torch.tensor([batch.session_row], device=spikes.device))
        tokens = [p + self.modality.weight[row] + session for p, row in zip(parts, order, strict=True)]
        lengths = [part.shape[1] for part in parts]
        reads = [readable[:, row, :n] for row, n in zip(order, lengths, strict=True)]
        return torch.cat([each.to(spikes.dtype) for each in tokens], dim=1), torch.cat(reads, dim=1)

    # --- predictions --------------------------------------------------------------------------------------------------

    def _read_out(self, states: Float[Tensor, "B S D"], batch: NedsBatch) -> Predicted:
        n_bins, n_static = batch.counts.shape[1], len(batch.classes)
        logits = {name: self.class_out[name](states[:, i]).float() for i, name in enumerate(batch.classes)}
        by_bin = states[:, n_static:].unflatten(1, (-1, n_bins))
        log_rates = self.units.read_out(by_bin[:, 0], batch.unit_rows)
        places = enumerate(batch.traces, start=1)
        traces = {name: self.trace_out[name](by_bin[:, i])[:, :, 0].float() for i, name in places}
        return Predicted(log_rates, traces, logits)

    def forward(self, batch: NedsBatch, mask: ModalityMask) -> Predicted:
        """Predictions of all tokens; hidden entries of the batch may hold anything, NaN included."""
        return self.together([batch], [mask])[0]

    def together(self, batches: Sequence[NedsBatch], masks: Sequence[ModalityMask]) -> list[Predicted]:
        """As `forward` for trials of several sessions; those with the same bins and behaviors share the transformer."""
        tokens = [self._tokens(batch, mask) for batch, mask in zip(batches, masks, strict=True)]
        kinds = [(batch.counts.shape[1], tuple(batch.classes), tuple(batch.traces)) for batch in batches]
        found: dict[int, Predicted] = {}
        for kind in dict.fromkeys(kinds):
            like = [i for i, each in enumerate(kinds) if each == kind]
            bins = _token_bins(kind, self.device)
            sequence = self.token_dropout(torch.cat([tokens[i][0] for i in like]))
            readable = torch.cat([tokens[i][1] for i in like])
            states = self.transformer(sequence, bins, None if bool(readable.all()) else readable[:, None, None])
            parts = states.split([len(tokens[i][0]) for i in like])
            found.update((i, self._read_out(part, batches[i])) for i, part in zip(like, parts, strict=True))
        return [found[i] for i in range(len(batches))]


def _token_bins(kind: tuple[int, tuple[str, ...], tuple[str, ...]], device: torch.device) -> Int[Tensor, "S"]:
    """The bin of every token, the same for all modalities."""
    n_bins, statics, traces = kind
    before = torch.full((len(statics),), BEFORE, device=device)
    return torch.cat([before, torch.arange(n_bins, device=device).repeat(1 + len(traces))])

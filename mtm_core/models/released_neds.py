"""NEDS as its authors' code builds it, so that weights of that code give their outputs.

Zhang et al., ICML 2025, arXiv 2504.08201, section 3; `multi_modal/mm.py` of yzhang511/NEDS in March 2026. Modules bear
the names of its state dict.

    spikes, choice, block, wheel, whisker -> each: stitcher -> softsign -> projection, or the mask token where hidden
           -> + modality + bin + session -> 5 x T tokens, of which each reads all, turned by the bin (RoPE)
           -> pre-norm transformer -> each: output stitcher

Kept as released, though our own model (neds.py) does otherwise:
* Every session has stitchers for the largest number of neurons; -1 stands where a session has fewer.
* A choice is a number that one linear map spreads over all bins.
* Neurons have no names, only places; bins have learned positions, which fixes their number.

Not kept: the released code leaves out the session embedding of a trial that is alone in its batch. Dropout is left out,
as these weights are used, not trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .tables import UnknownSessionError
from .transformer import rotate

# What is known of the training code; every bin of the traces is scaled by the extremes of all trials.
LABEL = "released NEDS weights; one mask per batch, copies of choice and block visible, traces scaled with test trials"
SPIKE = "spike"
CLASSES = {"choice": 2, "block": 3}  # behaviors with one class per trial
MODALITIES = (SPIKE, "choice", "block", "wheel", "whisker")  # in the order of the tokens and of `mod_emb`
SLOWEST = 1e4  # bins per radian of the slowest rotation
PADDING = -1.0  # what the stitcher reads in place of neurons that a session lacks
# Sizes beyond these are a mistake, or a file that wants to fill the memory; those of the paper are far smaller.
MOST = {"n_bins": 10_000, "width": 16_384, "n_heads": 1_024, "n_layers": 100, "inter_size": 65_536}
MOST |= {"n_neurons": 65_536, "n_session_embeddings": 100_000}
MOST_SESSIONS = 1_000  # with stitchers
MOST_NEURONS = 1_000_000  # of all sessions together
DICTS = (nn.ModuleDict, nn.ParameterDict)  # keyed by session


class Task(Enum):
    """What is hidden and read from the rest; within either, every bin of a modality is hidden or none."""

    ENCODING = "encoding"  # spikes are hidden
    DECODING = "decoding"  # all behaviors are hidden

    def hides(self, modality: str) -> bool:
        return (modality == SPIKE) == (self is Task.ENCODING)


@dataclass(frozen=True)
class ReleasedNedsConfig:
    """Sizes of the released network, and which sessions its embeddings and stitchers belong to."""

    n_bins: int
    width: int
    n_heads: int
    n_layers: int
    inter_size: int
    n_neurons: int  # of the stitchers: the most that any session had in training
    n_session_embeddings: int
    session_ids: tuple[str, ...]  # in the order of their embedding rows
    sessions: tuple[tuple[str, int], ...]  # (session, number of its neurons) of the sessions with stitchers

    def __post_init__(self) -> None:
        for name, most in MOST.items():
            _check_size(name, getattr(self, name), most)
        if self.width % (2 * self.n_heads):
            raise ValueError(f"width {self.width} with {self.n_heads} heads; a head needs an even number of channels")
        n = len(self.session_ids)
        if len({*self.session_ids}) != n or n > self.n_session_embeddings:
            raise ValueError(f"{n} session ids for {self.n_session_embeddings} embeddings; give each session once")
        self._check_sessions()

    def _check_sessions(self) -> None:
        known = [session for session, _ in self.sessions]
        if not 0 < len({*known}) == len(known) <= MOST_SESSIONS or not {*known} <= {*self.session_ids}:
            raise ValueError(f"sessions with stitchers must be 1 to {MOST_SESSIONS} of the session ids, each once")
        for session, n in self.sessions:
            if not session or "." in session or any(hasattr(kind(), session) for kind in DICTS):
                raise ValueError(f"{session!r} can be no name in a state dict; give the id of the session")
            _check_size(f"neurons of session {session}", n, self.n_neurons)
        _check_size("neurons of all sessions", sum(n for _, n in self.sessions), MOST_NEURONS)


def _check_size(name: str, value: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise ValueError(f"{name} is {value!r}; give a whole number from 1 to {most}")


def _per_session(config: ReleasedNedsConfig, n_in: int, n_out: int) -> nn.ModuleDict:
    return nn.ModuleDict({session: nn.Linear(n_in, n_out) for session, _ in config.sessions})


class Embedder(nn.Module):
    """Tokens of one modality, and what is added to them."""

    def __init__(self, config: ReleasedNedsConfig, modality: str) -> None:
        super().__init__()
        n_in = config.n_neurons if modality == SPIKE else 1
        n_copies = config.n_bins if modality in CLASSES else 1
        stitchers = _per_session(config, n_in, 2 * n_in * n_copies)
        projections = _per_session(config, 2 * n_in, config.width)
        self.n_bins, self.row = config.n_bins, MODALITIES.index(modality)
        self.mod_emb = nn.Embedding(len(MODALITIES), config.width)
        self.pos_embed = nn.Embedding(config.n_bins, config.width)
        self.session_emb = nn.Embedding(config.n_session_embeddings, config.width)
        self.mod_stitch_encoder = nn.ModuleDict({"stitcher_dict": stitchers, "project_dict": projections})

    def forward(self, values: Float[Tensor, "B ..."], session_id: str) -> Float[Tensor, "B T D"]:
        """Tokens of (B, T, channels), or of (B, 1) for one class per trial."""
        stitched = self.mod_stitch_encoder["stitcher_dict"][session_id](values)
        spread = stitched.reshape(len(values), self.n_bins, -1)
        return self.mod_stitch_encoder["project_dict"][session_id](F.softsign(spread))

    def place(self, session_row: int) -> Float[Tensor, "T D"]:
        """What tells tokens of this modality, their bins and the session from others."""
        return self.mod_emb.weight[self.row] + self.pos_embed.weight + self.session_emb.weight[session_row]


class Modality(nn.Module):
    """One modality's way in and out."""

    def __init__(self, config: ReleasedNedsConfig, modality: str) -> None:
        super().__init__()
        n_out = config.n_neurons if modality == SPIKE else CLASSES.get(modality, 1)
        self.embedder = Embedder(config, modality)
        self.mod_stitcher_proj_dict = nn.ModuleDict({"stitch_decoder_dict": _per_session(config, config.width, n_out)})
        if modality in CLASSES:
            weights = {session: nn.Parameter(torch.rand(config.n_bins)) for session, _ in config.sessions}
            self.mod_static_weight_dict = nn.ParameterDict(weights)

    def read_out(self, states: Float[Tensor, "B T D"], session_id: str) -> Float[Tensor, "B ..."]:
        """Log rates (B, T, N) or a trace (B, T, 1); for classes one weighted sum of the bins, as logits (B, C)."""
        if hasattr(self, "mod_static_weight_dict"):
            states = (states * self.mod_static_weight_dict[session_id][:, None]).sum(1)
        return self.mod_stitcher_proj_dict["stitch_decoder_dict"][session_id](states)


class Attention(nn.Module):
    """Every token reads every token; tokens of one bin have one position, whatever their modality."""

    def __init__(self, config: ReleasedNedsConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.query, self.key, self.value, self.out_proj = (nn.Linear(config.width, config.width) for _ in range(4))

    def forward(self, x: Float[Tensor, "B S D"], angles: Float[Tensor, "S half"]) -> Float[Tensor, "B S D"]:
        q, k, v = (f(x).unflatten(2, (self.n_heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(rotate(q, angles), rotate(k, angles), v)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, config: ReleasedNedsConfig) -> None:
        super().__init__()
        self.up_proj = nn.Linear(config.width, config.inter_size)
        self.down_proj = nn.Linear(config.inter_size, config.width)

    def forward(self, x: Float[Tensor, "B S D"]) -> Float[Tensor, "B S D"]:
        return self.down_proj(F.gelu(self.up_proj(x)))


class Layer(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config: ReleasedNedsConfig) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.attn, self.mlp = Attention(config), Mlp(config)

    def forward(self, x: Float[Tensor, "B S D"], angles: Float[Tensor, "S half"]) -> Float[Tensor, "B S D"]:
        x = x + self.attn(self.ln1(x), angles)
        return x + self.mlp(self.ln2(x))


class ReleasedNeds(nn.Module):
    """The released network; always in float32, never in training mode."""

    shares_tokens = False
    causal_is_strict = False

    def __init__(self, config: ReleasedNedsConfig) -> None:
        super().__init__()
        self.config, self.n_neurons = config, dict(config.sessions)
        self.session_ids = tuple(self.n_neurons)
        self.unit_ids = tuple(f"{session}/{place}" for session, n in config.sessions for place in range(n))
        self.encoder_embeddings = nn.ModuleDict({name: Modality(config, name) for name in MODALITIES})
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.encoder = nn.ModuleList(Layer(config) for _ in range(config.n_layers))
        self.encoder_norm = nn.LayerNorm(config.width)
        self.eval()

    @property
    def device(self) -> torch.device:
        return self.mask_token.device

    def rows(self, session_id: str, unit_ids: tuple[str, ...]) -> NoReturn:
        """Raises UnknownSessionError: spikes are not predicted from other spikes, as every other command asks for."""
        raise UnknownSessionError(
            "the released NEDS weights know no recording and translate whole modalities; use `mtm predict --task`"
        )

    def states(
        self, inputs: Mapping[str, Float[Tensor, "B ..."]], session_id: str, task: Task
    ) -> dict[str, Float[Tensor, "B T D"]]:
        """The transformer's last states of every modality's bins, by its name. Arguments and errors as in `forward`."""
        shown = [name for name in MODALITIES if not task.hides(name)]
        if missing := [name for name in shown if name not in inputs]:
            raise ValueError(f"{task.value} reads {', '.join(shown)}; {', '.join(missing)} missing")
        visible = {name: inputs[name].float() for name in shown}
        n_trials, n_bins = len(visible[shown[0]]), self.config.n_bins
        self._check(visible, session_id, n_trials)
        if SPIKE in visible:
            n_lacking = self.config.n_neurons - self.n_neurons[session_id]
            visible[SPIKE] = F.pad(visible[SPIKE], (0, n_lacking), value=PADDING)
        x = torch.cat([*self._tokens(visible, session_id, n_trials)], dim=1)
        angles = self._angles()
        for layer in self.encoder:
            x = layer(x, angles)
        return dict(zip(MODALITIES, self.encoder_norm(x).split(n_bins, dim=1), strict=True))

    def _angles(self) -> Float[Tensor, "S half"]:
        """Rotations of every token, in radians: by its bin, whatever its modality."""
        half = self.config.width // self.config.n_heads // 2
        speeds = SLOWEST ** (-torch.arange(half, device=self.device) / half)
        return (torch.arange(self.config.n_bins, device=self.device)[:, None] * speeds).repeat(len(MODALITIES), 1)

    def _check(self, visible: dict[str, Tensor], session_id: str, n_trials: int) -> None:
        if session_id not in self.n_neurons:
            raise UnknownSessionError(
                f"the released NEDS weights have no stitchers of session {session_id}; "
                f"choose one of {', '.join(self.session_ids[:3])} ..."
            )
        for name, values in visible.items():
            expected = self.input_shape(name, session_id, n_trials)
            if tuple(values.shape) != expected:
                raise ValueError(f"{name} of shape {tuple(values.shape)}; session {session_id} needs {expected}")

    def input_shape(self, modality: str, session_id: str, n_trials: int) -> tuple[int, ...]:
        """Shape of what a modality's stitcher reads, in trials, bins and neurons; the number of bins is fixed."""
        if modality in CLASSES:
            return n_trials, 1
        return n_trials, self.config.n_bins, self.n_neurons[session_id] if modality == SPIKE else 1

    def _tokens(self, visible: dict[str, Tensor], session_id: str, n_trials: int) -> Iterator[Float[Tensor, "B T D"]]:
        row = self.config.session_ids.index(session_id)
        hidden = self.mask_token.expand(n_trials, self.config.n_bins, -1)
        for name in MODALITIES:
            embedder = self.encoder_embeddings[name].embedder
            tokens = embedder(visible[name], session_id) if name in visible else hidden
            yield tokens + embedder.place(row)

    def forward(
        self, inputs: Mapping[str, Float[Tensor, "B ..."]], session_id: str, task: Task
    ) -> dict[str, Float[Tensor, "B ..."]]:
        """Every modality from those that the task shows, by its name.

        inputs: `spike` (B, T, N) counts, `choice` and `block` (B, 1) class numbers, `wheel` and `whisker` (B, T, 1)
        scaled as in training (the paper's code: 0 to 1). What the task hides is not read and may be missing.
        Returns log expected counts per bin (B, T, N), traces (B, T, 1) in the same scale, and of choice and block
        logits (B, C) in encoding, the likeliest class number (B,) in decoding, as the authors' evaluation does.
        Raises UnknownSessionError for a session without stitchers, ValueError for other shapes.
        """
        with torch.autocast(self.device.type, enabled=False):  # parity with the release is a float32 matter
            states = self.states(inputs, session_id, task)
            found = {name: self.encoder_embeddings[name].read_out(x, session_id) for name, x in states.items()}
        found[SPIKE] = found[SPIKE][:, :, : self.n_neurons[session_id]]
        if task is Task.DECODING:
            found |= {name: found[name].argmax(-1).float() for name in CLASSES}
        return found

"""MtM's NDT1-stitch network as its authors released it, so that their weights give their log rates.

Zhang, Wang et al., arXiv 2407.14668, sections 3.1 to 3.3; `models/ndt1.py` of colehurwitz/IBL_foundation_model in
November 2024. Modules bear the names of its state dict.

    counts, hidden -> 0 -> stitcher -> softsign -> projection + position -> [session, prompt, bin 1 ... bin T]
           -> pre-norm transformer -> output stitcher -> log rates

Kept as released, though our own model (mtm.py) does otherwise:
* Session and prompt tokens read every bin and every bin reads them, so with the causal prompt a bin sees its own future
  from the second layer on.
* Stitchers are found by the number of neurons, so sessions of equal size share one.
* Neurons have no names, only places; bins have learned positions, which limits their number.

Dropout is left out: these weights are used, not trained.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..masking import Mask, Scheme
from .mtm import Batch
from .tables import UnknownSessionError

LABEL = "released weights; causal mode sees the future"
N_PREFIX = 2  # session token, prompt token
PROMPTS = {
    Scheme.NEURON: "neuron",
    Scheme.CAUSAL: "causal",
    Scheme.INTER_REGION: "inter-region",
    Scheme.INTRA_REGION: "intra-region",
}
# Sizes beyond these are a mistake, or a file that wants to fill the memory; the released ones are far smaller.
MOST = {"n_bins": 10_000, "width": 16_384, "n_heads": 1_024, "n_layers": 100, "inter_size": 65_536}
MOST |= {"n_channels": 65_536, "mult": 64, "n_session_embeddings": 100_000}
MOST_NEURONS = 1_000_000  # of all sessions together


@dataclass(frozen=True)
class ReleasedConfig:
    """Sizes of the released network and what its file does not say: sessions in the order of their embedding rows."""

    n_bins: int
    width: int
    n_heads: int
    n_layers: int
    inter_size: int
    n_channels: int  # what a stitcher maps to
    mult: int  # the embedding of the channels is so many times as wide
    n_session_embeddings: int
    prompts: tuple[str, ...]  # in the order of their embedding rows
    session_ids: tuple[str, ...]  # in the order of their embedding rows
    n_neurons: tuple[tuple[str, int], ...]  # (session, number of its neurons) of the sessions with a known number

    def __post_init__(self) -> None:
        for name, most in MOST.items():
            _check_size(name, getattr(self, name), most)
        if self.width % self.n_heads:
            raise ValueError(f"width {self.width} with {self.n_heads} heads; it must be a multiple")
        if sorted(self.prompts) != sorted(PROMPTS.values()):
            raise ValueError(f"prompts {list(self.prompts)}; the released ones are {', '.join(PROMPTS.values())}")
        self._check_sessions()

    def _check_sessions(self) -> None:
        known = [session for session, _ in self.n_neurons]
        if len({*self.session_ids}) != len(self.session_ids) or len(self.session_ids) > self.n_session_embeddings:
            n = len(self.session_ids)
            raise ValueError(f"{n} session ids for {self.n_session_embeddings} embeddings; give each session once")
        if not known or len({*known}) != len(known) or not {*known} <= {*self.session_ids}:
            raise ValueError("sessions with a number of neurons must be some of session_ids, each once")
        for session, n in self.n_neurons:
            _check_size(f"neurons of session {session}", n, MOST_NEURONS)
        _check_size("neurons of all sessions", sum(n for _, n in self.n_neurons), MOST_NEURONS)


def _check_size(name: str, value: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise ValueError(f"{name} is {value!r}; give a whole number from 1 to {most}")


class Embedder(nn.Module):
    """Tokens of bins before the transformer, and the two in front of them."""

    def __init__(self, config: ReleasedConfig) -> None:
        super().__init__()
        wide = config.n_channels * config.mult
        self.embed_spikes, self.projection = nn.Linear(config.n_channels, wide), nn.Linear(wide, config.width)
        self.embed_pos = nn.Embedding(config.n_bins, config.width)
        self.embed_prompt = nn.Embedding(len(config.prompts), config.width)
        self.embed_session = nn.Embedding(config.n_session_embeddings, config.width)

    def forward(self, stitched: Float[Tensor, "B T C"]) -> Float[Tensor, "B T D"]:
        return self.projection(F.softsign(self.embed_spikes(stitched))) + self.embed_pos.weight[: stitched.shape[1]]


class Attention(nn.Module):
    """Multi-head attention with separate queries, keys and values."""

    def __init__(self, config: ReleasedConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.query, self.key, self.value, self.out_proj = (nn.Linear(config.width, config.width) for _ in range(4))

    def forward(self, x: Float[Tensor, "B S D"], may_read: Bool[Tensor, "B 1 S S"] | None) -> Float[Tensor, "B S D"]:
        q, k, v = (f(x).unflatten(2, (self.n_heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=may_read)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, config: ReleasedConfig) -> None:
        super().__init__()
        self.up_proj = nn.Linear(config.width, config.inter_size)
        self.down_proj = nn.Linear(config.inter_size, config.width)

    def forward(self, x: Float[Tensor, "B S D"]) -> Float[Tensor, "B S D"]:
        return self.down_proj(F.gelu(self.up_proj(x)))


class Layer(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config: ReleasedConfig) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.attn, self.mlp = Attention(config), Mlp(config)

    def forward(self, x: Float[Tensor, "B S D"], may_read: Bool[Tensor, "B 1 S S"] | None) -> Float[Tensor, "B S D"]:
        x = x + self.attn(self.ln1(x), may_read)
        return x + self.mlp(self.ln2(x))


class ReleasedMtM(nn.Module):
    """The released network behind the interface of `mtm.MtM`; always in float32, never in training mode."""

    shares_tokens = False  # softsign stands between the sum over neurons and the token: questions cannot share the sum
    causal_is_strict = False

    def __init__(self, config: ReleasedConfig) -> None:
        super().__init__()
        self.config, self.n_neurons = config, dict(config.n_neurons)
        self.session_ids = tuple(self.n_neurons)
        self.unit_ids = tuple(unit for session in self.session_ids for unit in self._units(session))
        sizes = sorted({*self.n_neurons.values()})
        stitchers = nn.ModuleDict({str(n): nn.Linear(n, config.n_channels) for n in sizes})
        read_outs = nn.ModuleDict({str(n): nn.Linear(config.width, n) for n in sizes})
        self.encoder = nn.ModuleDict(
            {
                "stitcher": nn.ModuleDict({"stitcher_dict": stitchers}),
                "embedder": Embedder(config),
                "layers": nn.ModuleList(Layer(config) for _ in range(config.n_layers)),
                "out_norm": nn.LayerNorm(config.width),
            }
        )
        self.stitch_decoder = nn.ModuleDict({"stitch_decoder_dict": read_outs})
        self.eval()

    @property
    def device(self) -> torch.device:
        return self.encoder["out_norm"].weight.device

    def _units(self, session_id: str) -> list[str]:
        return [f"{session_id}/{n}" for n in range(self.n_neurons[session_id])]

    def rows(self, session_id: str, unit_ids: tuple[str, ...]) -> tuple[Int[Tensor, "N"], int]:
        """Places of a session's neurons in its stitcher, and the row of the session; raises UnknownSessionError.

        Neurons named "<session>/<place>" are found by name. The weights know no other names, so other units are taken
        to be in the released order, and only their number can be checked.
        """
        if session_id not in self.n_neurons:
            raise UnknownSessionError(
                f"the released weights know no session {session_id}, or not how many neurons it has; "
                f"choose one of {', '.join(self.session_ids[:3])} ..."
            )
        n, own = self.n_neurons[session_id], {unit: place for place, unit in enumerate(self._units(session_id))}
        if len(unit_ids) != n:
            raise UnknownSessionError(
                f"session {session_id} has {n} neurons in the released weights, not {len(unit_ids)}; give all sorted "
                "units of both probes, unfiltered, in the released order"
            )
        named = own.keys() == {*unit_ids}
        places = [own[unit] for unit in unit_ids] if named else list(range(n))
        return torch.tensor(places, device=self.device), self.config.session_ids.index(session_id)

    def tokens(self, batch: Batch, hidden: Bool[Tensor, "B T N"]) -> Float[Tensor, "B T 1 D"]:
        """What the visible entries of each bin say; 0 is written for hidden ones, as for silence."""
        n_bins, n_neurons = batch.counts.shape[1:]
        if n_bins > self.config.n_bins:
            raise ValueError(
                f"{n_bins} bins, but the released weights have learned positions for {self.config.n_bins}; "
                "cut a shorter window"
            )
        visible = batch.counts.float().masked_fill(hidden, 0)
        stitcher = self.encoder["stitcher"]["stitcher_dict"][str(n_neurons)]
        stitched = F.linear(visible, stitcher.weight[:, batch.unit_rows], stitcher.bias)
        return self.encoder["embedder"](stitched)[:, :, None]

    def states(
        self, tokens: Float[Tensor, "B T 1 D"], batch: Batch, prompts: Int[Tensor, "B"]
    ) -> Float[Tensor, "B T 1 D"]:
        """The transformer's last states of the bins."""
        embedder = self.encoder["embedder"]
        session = embedder.embed_session.weight[batch.session_row].expand(len(prompts), -1)
        prefix = torch.stack([session, embedder.embed_prompt(self._prompt_rows(prompts))], dim=1)
        x, may_read = torch.cat([prefix, tokens[:, :, 0]], dim=1), _may_read(prompts, tokens.shape[1])
        for layer in self.encoder["layers"]:
            x = layer(x, may_read)
        return self.encoder["out_norm"](x)[:, N_PREFIX:, None]

    def _prompt_rows(self, prompts: Int[Tensor, "B"]) -> Int[Tensor, "B"]:
        names = [PROMPTS.get(scheme) for scheme in Scheme]
        rows = torch.tensor([self.config.prompts.index(n) if n else -1 for n in names], device=prompts.device)[prompts]
        if bool((rows < 0).any()):
            raise ValueError(f"the released weights know the prompts {', '.join(self.config.prompts)}; choose one")
        return rows

    def read_out(self, states: Float[Tensor, "B T 1 D"], batch: Batch) -> Float[Tensor, "B T n"]:
        rows = batch.unit_rows if batch.read is None else batch.unit_rows[batch.read]
        stitcher = self.stitch_decoder["stitch_decoder_dict"][str(len(batch.unit_rows))]
        return F.linear(states[:, :, 0], stitcher.weight[rows], stitcher.bias[rows])

    def forward(self, batch: Batch, mask: Mask) -> Float[Tensor, "B T n"]:
        """Log expected counts per bin; hidden entries of `batch.counts` may hold anything, NaN included.

        Raises ValueError for more bins than there are positions, and for a prompt that was not trained.
        """
        with torch.autocast(batch.counts.device.type, enabled=False):  # parity with the release is a float32 matter
            return self.read_out(self.states(self.tokens(batch, mask.hidden), batch, mask.prompts), batch)


def _may_read(prompts: Int[Tensor, "B"], n_bins: int) -> Bool[Tensor, "B 1 S S"] | None:
    """Which token may read which, as released: bins read the past, but the two tokens in front read all and are read
    by all, and so carry the future back (`create_context_mask`)."""
    causal = prompts == Scheme.CAUSAL
    if not bool(causal.any()):
        return None
    size = n_bins + N_PREFIX
    past = torch.ones(size, size, dtype=torch.bool, device=prompts.device).tril()
    past[:N_PREFIX, :] = True
    return past | ~causal[:, None, None, None]

"""A pre-trained trunk for animals it has never seen: its transformer, and new rows for their neurons and sessions.

MtM fine-tunes so (arXiv 2407.14668, section 4.3): a new stitcher and session embedding, then all weights together.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..models.mtm import MtM
from ..session import Trials
from .loop import build_model


@torch.no_grad()
def transfer(trunk: MtM, sessions: list[Trials], seed: int = 0) -> MtM:
    """A model of `sessions` with the trunk of another; rows of neurons and sessions that it knows are kept.

    New rows start as they do in a fresh model with the same seed, but for what the trunk expects of every session: the
    signal of a hidden neuron and the session embedding start as the mean of those it knows.
    """
    model = build_model(trunk.config, sessions, seed)
    shared = dict(trunk.trunk())
    for name, weight in model.trunk():
        weight.copy_(shared[name])
    hidden_signal, session = starts(trunk)
    model.units.hidden_signal.copy_(hidden_signal.expand_as(model.units.hidden_signal))
    model.session.weight.copy_(session.expand_as(model.session.weight))
    _keep_known(trunk, model)
    return model


def starts(trunk: MtM) -> tuple[Float[Tensor, "D"], Float[Tensor, "D"]]:
    """Hidden signal of a new neuron, and embedding of a new session."""
    if not trunk.session_ids:
        return trunk.hidden_signal_start, trunk.session_start
    return trunk.units.hidden_signal.mean(0), trunk.session.weight.mean(0)


def _keep_known(trunk: MtM, model: MtM) -> None:
    known = [uuid for uuid in model.unit_ids if trunk.knows(uuid)]
    new, old = model.unit_rows(known), trunk.unit_rows(known)
    for name, table in trunk.units.named_parameters():
        getattr(model.units, name)[new] = table[old]
    # Bins may be of another length now, and means are counts per bin.
    model.units.bias[new] += (model.units.mean[new] / trunk.units.mean[old]).log()
    for session_id in set(model.session_ids) & set(trunk.session_ids):
        weight = trunk.session.weight[trunk.session_ids.index(session_id)]
        model.session.weight[model.session_ids.index(session_id)] = weight


def trunk_only(model: MtM) -> MtM:
    """The same trunk without any neuron or session: what can be handed on, as small as it gets."""
    bare = MtM(model.config, (), ())
    hidden_signal, session = (start.detach() for start in starts(model))
    means = {"hidden_signal_start": hidden_signal, "session_start": session}
    bare.load_state_dict({**bare.state_dict(), **dict(model.trunk()), **means})
    return bare.eval()

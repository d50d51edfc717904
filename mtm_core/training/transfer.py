"""A pre-trained trunk for animals it has never seen: its transformer, and new rows for their neurons and sessions.

MtM fine-tunes so (arXiv 2407.14668, section 4.3): a new stitcher and session embedding, then all weights together.
"""

from __future__ import annotations

import torch

from ..models.tables import AnimalTables
from ..session import Trials
from .build import build_model


@torch.no_grad()
def transfer(trunk: AnimalTables, sessions: list[Trials], seed: int = 0) -> AnimalTables:
    """A model of `sessions` with the trunk of another; rows of neurons and sessions that it knows are kept.

    New rows start as they do in a fresh model with the same seed, but for what the trunk expects of every session: the
    signal of a hidden neuron and the session embedding start as the mean of those it knows.
    """
    model = build_model(trunk.config, sessions, seed)
    shared, tables = dict(trunk.trunk()), model.row_tables()
    for name, weight in model.trunk():
        weight.copy_(shared[name])
    for name, start in trunk.starts().items():
        tables[name].copy_(start.expand_as(tables[name]))
    _keep_known(trunk, model)
    return model


def _keep_known(trunk: AnimalTables, model: AnimalTables) -> None:
    known = [uuid for uuid in model.unit_ids if trunk.knows(uuid)]
    new, old = model.unit_rows(known), trunk.unit_rows(known)
    for name, table in trunk.units.named_parameters():
        getattr(model.units, name)[new] = table[old]
    # Bins may be of another length now, and means are counts per bin.
    model.units.bias[new] += (model.units.mean[new] / trunk.units.mean[old]).log()
    for session_id in set(model.session_ids) & set(trunk.session_ids):
        weight = trunk.session.weight[trunk.session_ids.index(session_id)]
        model.session.weight[model.session_ids.index(session_id)] = weight


def trunk_only(model: AnimalTables) -> AnimalTables:
    """The same trunk without any neuron or session: what can be handed on, as small as it gets."""
    bare = type(model)(model.config, (), ())
    starts = {model.STARTS[table]: start.detach() for table, start in model.starts().items()}
    bare.load_state_dict({**bare.state_dict(), **dict(model.trunk()), **starts})
    return bare.eval()

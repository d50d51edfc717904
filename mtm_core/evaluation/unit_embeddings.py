"""What a model has learned about each neuron: its row of the unit table, and where in the brain it lies.

NEDS (Zhang, Wang, Azabou et al., arXiv 2504.08201, section 5.3) takes the input and the read-out weights of a neuron,
[in; out], as its embedding, and reads the brain region from it. Here both are rows of one table (models/stitcher.py).
In the authors' released code the input weights pass through a hidden layer as wide as the session, so that a neuron
has no row there; ours is the linear map that the paper describes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from ..checkpoint import Checkpoint
from ..regions import map_regions


@dataclass(frozen=True, eq=False)
class UnitEmbeddings:
    """N neurons, one row each; of one session or of several."""

    unit_ids: Shaped[ndarray, " N"]
    sessions: Shaped[ndarray, " N"]  # id of each neuron's session
    neurons: Int[ndarray, " N"]  # its place in the session
    regions: Shaped[ndarray, " N"]  # Allen acronyms at `level`
    level: str
    embedding: Float[ndarray, "N C"]  # C = 2 D: input weights, then read-out weights; float32

    @property
    def table(self) -> pd.DataFrame:
        """uuid, session, neuron and region of each neuron."""
        columns = {"uuid": self.unit_ids, "session": self.sessions, "neuron": self.neurons, "region": self.regions}
        return pd.DataFrame(columns)


def unit_embeddings(checkpoint: Checkpoint, session_id: str, units: pd.DataFrame, level: str) -> UnitEmbeddings:
    """Embeddings of one session's neurons; `units` has the columns uuid and region (Allen acronyms) of `Session.units`.

    Raises ValueError for a model without such a table, UnknownSessionError (a ValueError) for a session or a neuron
    that the model does not know.
    """
    model = checkpoint.model
    if not hasattr(model, "units"):
        raise ValueError(f"{checkpoint.path}: this model keeps no embedding per neuron; take one from `mtm train`")
    unit_ids = tuple(str(unit_id) for unit_id in units["uuid"])
    rows, _ = model.rows(session_id, unit_ids)
    halves = [table.detach()[rows].float().cpu().numpy() for table in (model.units.input, model.units.readout)]
    return UnitEmbeddings(
        unit_ids=np.array(unit_ids, dtype=np.str_),
        sessions=np.full(len(unit_ids), session_id),
        neurons=np.arange(len(unit_ids)),
        regions=map_regions(units["region"], level),
        level=level,
        embedding=np.concatenate(halves, axis=1),
    )


def joined(parts: Sequence[UnitEmbeddings]) -> UnitEmbeddings:
    """The neurons of several sessions, one after another."""
    if len({part.level for part in parts}) != 1:
        raise ValueError("embeddings can be joined only at one level of regions, and at least one session is needed")
    arrays = [field.name for field in fields(UnitEmbeddings) if field.name != "level"]
    return UnitEmbeddings(
        level=parts[0].level, **{name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays}
    )

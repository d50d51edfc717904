"""What belongs to single animals, and what all share: rows of neurons and sessions, beside a trunk.

Rows are found by the uuid of the neuron and the id of the session, never by position or number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .stitcher import UnitTable


class UnknownSessionError(ValueError):
    """The model has no rows for a session or for some of its neurons."""


class AnimalTables(nn.Module):
    """A model with one row per neuron and per session; all its other parameters are the trunk."""

    # Tables whose new rows begin at the mean of those the trunk has had -> the buffer that keeps it in a trunk alone.
    STARTS: ClassVar[dict[str, str]] = {"session.weight": "session_start"}

    def __init__(self, width: int, unit_ids: tuple[str, ...], session_ids: tuple[str, ...], units: UnitTable) -> None:
        super().__init__()
        if len(set(unit_ids)) != len(unit_ids):
            raise ValueError("two neurons have the same uuid; the unit table needs one row per neuron")
        self.unit_ids, self.session_ids = unit_ids, session_ids
        self._row = {uuid: row for row, uuid in enumerate(unit_ids)}
        self.units = units
        self.session = nn.Embedding(len(session_ids), width)
        for name in self.STARTS.values():
            self.register_buffer(name, torch.zeros(width))

    @property
    def device(self) -> torch.device:
        return self.units.mean.device

    def knows(self, uuid: str) -> bool:
        return uuid in self._row

    def unit_rows(self, unit_ids: Sequence[str]) -> Int[Tensor, "N"]:
        """Rows of neurons that the model knows."""
        return torch.tensor([self._row[uuid] for uuid in unit_ids], dtype=torch.long, device=self.device)

    def rows(self, session_id: str, unit_ids: tuple[str, ...]) -> tuple[Int[Tensor, "N"], int]:
        """Row numbers of a session's neurons and of the session; raises UnknownSessionError."""
        missing = sum(not self.knows(uuid) for uuid in unit_ids)
        if missing or session_id not in self.session_ids:
            raise UnknownSessionError(
                f"the model does not know session {session_id} ({missing} of its {len(unit_ids)} neurons are new to "
                f"it); fine-tune it with `mtm finetune CHECKPOINT --session {session_id} --out DIR`"
            )
        return self.unit_rows(unit_ids), self.session_ids.index(session_id)

    def row_tables(self) -> dict[str, nn.Parameter]:
        """The parameters with one row per neuron or session; all others are the trunk, which animals share."""
        tables = {f"units.{name}": table for name, table in self.units.named_parameters()}
        return {**tables, "session.weight": self.session.weight}

    def trunk(self) -> Iterator[tuple[str, nn.Parameter]]:
        tables = self.row_tables()
        return ((name, weight) for name, weight in self.named_parameters() if name not in tables)

    def starts(self) -> dict[str, Float[Tensor, "D"]]:
        """Where rows of new neurons and sessions begin: the means of those known, or what a bare trunk has kept."""
        if not self.session_ids:
            return {table: getattr(self, name) for table, name in self.STARTS.items()}
        tables = self.row_tables()
        return {name: tables[name].detach().mean(0) for name in self.STARTS}

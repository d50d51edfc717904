"""What a reader hands over (`Found`), and what the user decides about it (`Choices`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd
from numpy import ndarray

from ..validation import Findings, RawProbe

# share done (0..1) and what is being done; whoever listens raises to cancel
Tell = Callable[[float, str], None]
MOST_SPIKES = 200_000_000  # 8 GB while they are sorted; two hours of four probes are a quarter of it
MOST_UNITS = 20_000


def silent(share: float, what: str) -> None:
    """Nobody listens."""


class Cancelled(Exception):
    """The user stopped what was going on."""


@dataclass(frozen=True, eq=False)
class Found:
    """A recording as it lies on disk, with what is wrong with it.

    units of a probe: uuid, region, probe, depth (um), quality (0..1, 1: good; NaN unknown).
    region_columns: name -> region of every unit (N,) over all probes; where a file offers several kinds of labels.
    trials: numeric columns only; those the file has under other names carry the IBL's names.
    own_uuids: the file names its neurons; otherwise the id of the recording becomes part of their names.
    sampling_rate: Hz, if spike times are samples; else 0.
    """

    format: str
    name: str
    probes: list[RawProbe]
    trials: pd.DataFrame
    findings: Findings
    subject: str = ""
    date: str = ""
    number: int = 1
    lab: str = ""
    behaviors: dict[str, tuple[ndarray, ndarray]] = field(default_factory=dict)
    region_columns: dict[str, ndarray] = field(default_factory=dict)
    own_uuids: bool = False
    sampling_rate: float = 0.0

    @property
    def n_units(self) -> int:
        return sum(len(probe.units) for probe in self.probes)

    @property
    def n_spikes(self) -> int:
        return sum(len(probe.spike_times) for probe in self.probes)


@dataclass(frozen=True)
class Choices:
    """How a recording is taken over. The defaults take all units and the most likely columns."""

    event: str = ""  # trials column that becomes time 0; "": the most likely one
    regions: str = ""  # of Found.region_columns; "": the first
    good_only: bool = False  # only units that their source calls good
    complete_trials: bool = False  # leave out trials that lack the event, or a choice where choices are known
    drop_bad_spikes: bool = False  # leave out spikes whose time is NaN or infinite
    sampling_rate: float = 0.0  # Hz; above 0: spike times are samples
    subject: str = ""  # "": as found

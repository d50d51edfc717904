"""What the model has learned about each neuron, on a plane, and whether the region can be read from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from mtm_core import open_session
from mtm_core.evaluation.firing_features import firing_features
from mtm_core.evaluation.region_probe import EMBEDDING, FIRING, Neurons, Probed, Protocol, Settings, region_probe
from mtm_core.evaluation.unit_embeddings import UnitEmbeddings, joined, unit_embeddings
from mtm_core.evaluation.unit_map import UnitMap, map_2d
from mtm_core.regions import region_color, sort_regions

from ..recordings import checkpoint
from ..spec import Spec
from ..words import plain
from .kept import Kept

READS = ("model", "level")  # what of a spec the embeddings depend on: all recordings of the model are shown
OPENING, MAPPING = 0.15, 0.1  # shares of the work
POLL = 0.2  # s between looks at whether the map is done; other visitors are served meanwhile
SESSION_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b0a300", "#7f7f7f")
_kept = Kept(8)
# t-SNE cannot be cut into steps. It runs beside the model thread, which would otherwise stand still for all visitors.
_BESIDE = ThreadPoolExecutor(max_workers=1, thread_name_prefix="unit-map")


@dataclass(frozen=True, eq=False)
class ShownUnits:
    """All that is known so far. `table`: uuid, session, neuron (place in its session), region, x, y of N neurons."""

    level: str
    n_numbers: int  # of an embedding
    table: pd.DataFrame
    axes: tuple[str, str] = ("", "")
    regions: dict[str, str] = field(default_factory=dict)  # name -> colour, in Allen order
    sessions: dict[str, str] = field(default_factory=dict)  # id -> colour
    probed: dict[Protocol, Probed] = field(default_factory=dict)
    n_shuffles: int = Settings.n_shuffles
    doing: str = ""
    problems: tuple[str, ...] = ()
    complete: bool = False


def kept(spec: Spec) -> ShownUnits | None:
    """What some visitor has asked for already."""
    return _kept.get(_key(spec))


def steps(spec: Spec) -> Iterator[tuple[float, ShownUnits]]:
    """Share done and what is known so far: first the map, then the probe."""
    if (known := kept(spec)) is not None:
        yield 1.0, known
        return
    collected = _Collected(level_of(spec))
    yield from collected.steps(spec.model)
    units, firing = collected.joined()
    shown = replace(_shown(units), problems=tuple(collected.problems))
    for plane in _beside(lambda: map_2d(units.embedding, 0)):
        if plane is None:
            yield OPENING, shown
    shown = _placed(shown, plane)
    features = {EMBEDDING: units.embedding, FIRING: firing}
    for step in region_probe(features, Neurons(units.regions, units.sessions), Settings()):
        shown = replace(shown, probed=step.found, doing=step.doing)
        yield min(OPENING + MAPPING + (1 - OPENING - MAPPING) * step.share, 0.999), shown
    yield 1.0, _kept.keep(_key(spec), replace(shown, doing="", complete=True))


class _Collected:
    """The neurons of all recordings of a model that can be opened here."""

    def __init__(self, level: str) -> None:
        self.level = level
        self.parts: list[UnitEmbeddings] = []
        self.firing: list[np.ndarray] = []
        self.problems: list[str] = []

    def steps(self, model: str) -> Iterator[tuple[float, ShownUnits]]:
        """Open one recording after another."""
        empty = pd.DataFrame({name: [] for name in ("uuid", "session", "neuron", "region")})
        ids = [about["session"] for about in checkpoint(model).manifest.get("data", ())]
        for i, session_id in enumerate(ids):
            doing = f"opening {plain(session_id)[:12]}"
            yield OPENING * i / len(ids), ShownUnits(self.level, 0, empty, doing=doing)
            try:
                embeddings, firing = _opened(model, session_id, self.level)
            except (ValueError, OSError) as error:
                self.problems.append(f"{plain(session_id)[:12]}: {plain(error)}")
                continue
            self.parts.append(embeddings)
            self.firing.append(firing)

    def joined(self) -> tuple[UnitEmbeddings, np.ndarray]:
        if not self.parts:
            reasons = f" ({'; '.join(self.problems)})" if self.problems else ""
            raise ValueError(f"none of this model's recordings can be opened here, so no region is known{reasons}")
        return joined(self.parts), np.concatenate(self.firing)


def _key(spec: Spec) -> tuple[str, str]:
    return spec.model, level_of(spec)


def level_of(spec: Spec) -> str:
    """The chosen level of regions, or that of the training."""
    known = checkpoint(spec.model).manifest.get("data") or [{"region_level": "beryl"}]
    return spec.level or known[0]["region_level"]


def _opened(model: str, session_id: str, level: str) -> tuple[UnitEmbeddings, np.ndarray]:
    """Embeddings and firing statistics of one recording, which is not kept open."""
    loaded = checkpoint(model)
    session = open_session(session_id)
    about = next(about for about in loaded.manifest["data"] if about["session"] == session_id)
    embeddings = unit_embeddings(loaded, session.id, session.units, level)
    trials = session.align(about["event"], tuple(about["window"]), about["bin_size"], level)
    return embeddings, firing_features(session, trials)


def _shown(units: UnitEmbeddings) -> ShownUnits:
    table = units.table.assign(x=np.nan, y=np.nan)
    for name in ("uuid", "session", "region"):
        table[name] = [plain(text) for text in table[name]]
    regions = {plain(region): region_color(region) for region in sort_regions(units.regions)}
    ids = dict.fromkeys(plain(session) for session in units.sessions)
    sessions = {session: SESSION_COLORS[i % len(SESSION_COLORS)] for i, session in enumerate(ids)}
    return ShownUnits(
        units.level, units.embedding.shape[1], table, regions=regions, sessions=sessions, doing="drawing the map"
    )


def _placed(shown: ShownUnits, plane: UnitMap) -> ShownUnits:
    return replace(shown, table=shown.table.assign(x=plane.places[:, 0], y=plane.places[:, 1]), axes=plane.axes)


def _beside(work: Callable[[], UnitMap]) -> Iterator[UnitMap | None]:
    """None while the work goes on, then its result."""
    future: Future = _BESIDE.submit(work)
    while not future.done():
        yield None
        wait([future], POLL)
    yield future.result()

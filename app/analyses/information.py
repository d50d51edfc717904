"""What regions tell of each other, for the page "Map": all pairs of regions, or one context against all regions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mtm_core import open_session
from mtm_core.evaluation.information.context import ContextLoss, context_loss
from mtm_core.evaluation.information.map import Kind, Settings, information_map
from mtm_core.evaluation.information.table import InformationMap
from mtm_core.regions import region_color
from mtm_core.session import Trials

from ..recordings import checkpoint, recording
from ..spec import Spec
from ..words import plain
from .kept import Kept

_kept = Kept(16)  # complete maps in memory, each of some kilobytes


@dataclass(frozen=True, eq=False)
class ShownMap:
    """A map, with names that are safe to show and the colours of the Allen table."""

    found: InformationMap
    names: tuple[str, ...]
    colours: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ShownLoss:
    """What each region loses with a context, in the order of `loss.regions`."""

    loss: ContextLoss
    names: tuple[str, ...]
    colours: tuple[str, ...]


def lost(spec: Spec) -> Iterator[tuple[float, ShownMap]]:
    """Share done and the map so far: what each region adds to all others."""
    yield from _steps(spec, Kind.LOST)


def alone(spec: Spec) -> Iterator[tuple[float, ShownMap]]:
    """Share done and the map so far: what each region tells with nothing else visible."""
    yield from _steps(spec, Kind.ALONE)


def kept(spec: Spec) -> dict[str, ShownMap]:
    """The complete maps that some visitor has asked for already: kind -> map."""
    found = {kind.value: _kept.get(_key(spec, kind)) for kind in Kind}
    return {kind: shown for kind, shown in found.items() if shown is not None}


def context(spec: Spec) -> Iterator[tuple[float, ShownLoss]]:
    """Share done and what each region loses when the neurons and regions hidden by hand are hidden as well."""
    opened, trials = recording(spec.session, spec.model), _trials(spec)
    flags = np.isin(opened.region_names, spec.hide.regions)
    flags[[n for n in spec.hide.neurons if n < flags.size]] = True
    if not spec.hide.by_hand or not flags.any():
        raise ValueError("no context is chosen; tick a region first")
    for share, loss in context_loss(checkpoint(spec.model), trials, flags):
        yield share, ShownLoss(loss, *_shown(loss.regions["region"]))


def _steps(spec: Spec, kind: Kind) -> Iterator[tuple[float, ShownMap]]:
    if (known := _kept.get(_key(spec, kind))) is not None:
        yield 1.0, known
        return
    shown = None
    for share, found in information_map(checkpoint(spec.model), _trials(spec), Settings(kind=kind)):
        shown = ShownMap(found, *_shown(found.regions))
        yield share, shown
    _kept.keep(_key(spec, kind), shown)


def _key(spec: Spec, kind: Kind) -> tuple[str, ...]:
    return (spec.session, spec.model, spec.level, kind.value)


def _shown(regions: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = tuple(str(name) for name in regions)
    return tuple(plain(name) for name in names), tuple(region_color(name) for name in names)


def _trials(spec: Spec) -> Trials:
    if not recording(spec.session, spec.model).known:
        raise ValueError("this model has not been trained on this recording, so it cannot tell what regions add")
    return _at_level(spec.session, spec.model, spec.level)


@lru_cache(maxsize=2)
def _at_level(session: str, model: str, level: str) -> Trials:
    """The trials with regions of this Allen level; as the model was trained if it is empty."""
    trials = recording(session, model).trials
    if level in ("", trials.region_level):
        return trials
    return open_session(session).align(trials.event, trials.window, trials.bin_size, level)

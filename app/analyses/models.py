"""What models are called in lists, and what must be said wherever one is named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..recordings import TRANSLATES, manifest_of, models, predictors, runs_now, translators
from ..words import plain

RELEASED = ("mtm_released", "neds_released")  # as mtm_core.checkpoint names them
TRUNK = "pre-trained trunk, knows no recording"


@dataclass(frozen=True)
class ModelFacts:
    """What a model says of itself, for its name in lists."""

    label: str  # its name, and what must be known wherever it is named
    sessions: tuple[str, ...]  # that it knows
    warning: str  # a short phrase, or ""
    released: bool  # the authors' weights, which run as they are and cannot be trained here
    translates: bool  # between spikes and behavior


def model_facts(model: str) -> ModelFacts:
    """Read from the checkpoint's manifest, without its weights; harmless for a model that is not there."""
    folder = models().get(model)
    run = next((run for run in runs_now() if run.id == model), None)
    name = plain(run.title) if run is not None else plain(model)
    manifest = {} if folder is None else manifest_of(folder)
    sessions = tuple(str(about.get("session")) for about in manifest.get("data", ()))
    warning = plain(manifest.get("label", ""))
    if manifest and not sessions and not manifest.get("session_ids"):
        warning = TRUNK
    label = " · ".join(filter(None, [name, warning]))
    kind = manifest.get("model")
    return ModelFacts(label, sessions, warning, kind in RELEASED, kind == TRANSLATES)


def model_labels() -> dict[str, str]:
    """label -> name of every model that predicts neurons from neurons, in the order of the list; labels differ."""
    return _labels(predictors())


def translator_labels() -> dict[str, str]:
    """The same of every model that translates between spikes and behavior."""
    return _labels(translators())


def translator_of(session: str, chosen: str) -> str:
    """The model that translates: the chosen one, or else one that knows the recording, or else any; "" for none."""
    there = list(translators())
    if chosen in there:
        return chosen
    return next((name for name in there if session in model_facts(name).sessions), there[0] if there else "")


def _labels(names: Iterable[str]) -> dict[str, str]:
    labels = {name: model_facts(name).label for name in names}
    twice = {label for label in labels.values() if list(labels.values()).count(label) > 1}
    return {f"{label} ({name})" if label in twice else label: name for name, label in labels.items()}

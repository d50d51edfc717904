"""What models are called in lists, and what must be said wherever one is named."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mtm_core.checkpoint import NAME

from ..recordings import models, runs_now
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


def model_facts(model: str) -> ModelFacts:
    """Read from the checkpoint's manifest, without its weights; harmless for a model that is not there."""
    folder = models().get(model)
    run = next((run for run in runs_now() if run.id == model), None)
    name = plain(run.title) if run is not None else plain(model)
    manifest = {} if folder is None else _manifest(folder, _stamp(folder))
    sessions = tuple(str(about.get("session")) for about in manifest.get("data", ()))
    warning = plain(manifest.get("label", ""))
    if manifest and not sessions and not manifest.get("session_ids"):
        warning = TRUNK
    label = " · ".join(filter(None, [name, warning]))
    return ModelFacts(label, sessions, warning, manifest.get("model") in RELEASED)


@lru_cache(maxsize=256)
def _manifest(folder: Path, stamp: int) -> dict[str, Any]:
    """The manifest as it is, unverified: good enough for a label."""
    try:
        found = json.loads((folder / f"{NAME}.json").read_text("utf-8"))
        return {name: found[name] for name in ("model", "data", "label", "session_ids") if name in found}
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def _stamp(folder: Path) -> int:
    try:
        return (folder / f"{NAME}.json").stat().st_mtime_ns
    except OSError:
        return 0


def model_labels() -> dict[str, str]:
    """label -> name of every model, in the order of the list; labels differ."""
    labels = {name: model_facts(name).label for name in models()}
    twice = {label for label in labels.values() if list(labels.values()).count(label) > 1}
    return {f"{label} ({name})" if label in twice else label: name for name, label in labels.items()}

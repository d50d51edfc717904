"""What the parts of the page have in common: the newest results that belong to the present choices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...analyses.masking import Inside, Shown
from ...compute import Picture
from ...state import State
from ...work import Job

PAGE = "masking"
PROMPTS, RATIOS = "masking_prompts", "masking_ratios"  # kinds of jobs
SMALL = {"font-size": "12.5px", "opacity": ".85"}


@dataclass(frozen=True, eq=False)
class Trial:
    """One trial from outside and, if the model knows the recording, from inside."""

    picture: Picture
    inside: Inside | None
    problem: str


def newest(state: State) -> Shown | None:
    return state.views.get(PAGE)


def trial(state: State) -> Trial | None:
    """The trial to be drawn; None while it is computed."""
    picture, shown, spec = state.picture, newest(state), state.spec
    if picture is None or shown is None:
        return None
    opened = picture.recording
    if (opened.entry.id, opened.model, picture.trial) != (spec.session, spec.model, opened.trial(spec.trial)):
        return None
    if shown.inside is not None and not _same(picture, shown.inside):
        return None
    return Trial(picture, shown.inside, shown.problem)


def _same(picture: Picture, inside: Inside) -> bool:
    """Both arrive by themselves: a picture of the last mask must not stand beside tokens of the next."""
    return picture.trial == inside.trial and np.array_equal(picture.hidden, inside.hidden)


def job_of(state: State, kind: str, names: tuple[str, ...]) -> Job | None:
    """The visitor's newest job of a kind, if it is about the present choices of these names."""
    job, spec = state.jobs.get(kind), state.spec
    return job if job is not None and all(_of(job.spec, n) == _of(spec, n) for n in names) else None


def _of(spec: Any, name: str) -> Any:
    """A field of a spec, or of what is hidden: "hide.scheme"."""
    for part in name.split("."):
        spec = getattr(spec, part)
    return spec

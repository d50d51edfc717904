"""What can be computed for a visitor: pictures, the views of pages, and jobs on request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .spec import Spec


@dataclass(frozen=True)
class View:
    """What a page shows for the present spec, computed while that page is open.

    compute gets a spec of which only the fields named in `reads` are set, so that no other choice computes it again.
    It returns the result, or an iterator that gives the result so far after every step: the same object while there is
    nothing new, as what is new is drawn.
    """

    compute: Callable[[Spec], Any]
    reads: tuple[str, ...] = ("session", "model")


@dataclass(frozen=True)
class Work:
    """What can be computed for a spec; steps of generators take well under a second each."""

    picture: Callable[[Spec], Any]
    scores: Callable[[Spec], Iterator[Any]]  # the view of the page "explore"
    jobs: dict[str, Callable[[Spec], Iterator[tuple[float, Any]]]] = field(default_factory=dict)  # share, result so far
    views: dict[str, View] = field(default_factory=dict)  # page -> what it shows


@dataclass(frozen=True)
class Job:
    """A long computation on request: its result so far, and whether that is all."""

    kind: str
    spec: Spec
    result: Any = None
    share: float = 0.0  # done, 0..1
    seconds_left: float | None = None
    state: str = "running"  # running, done, cancelled or failed

"""State: what one visitor chose and the newest results for it.

The present `Spec` changes only through `go`, `undo` and `redo`. Model work runs in one thread for the whole process,
never on the event loop; of a burst of choices only the newest is computed, and a result for an older choice is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import param

from .spec import HAND, Hide, Spec

log = logging.getLogger(__name__)
MAX_UNDO = 200
# One worker is the gate in front of the model: work of all visitors takes turns, one short step each.
_GATE = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
_DRAGGED = ({"trial"}, {"neuron"})  # a drag through these is one step of undo


@dataclass(frozen=True)
class Work:
    """What can be computed for a spec; generators give their result so far after every step."""

    picture: Callable[[Spec], Any]
    scores: Callable[[Spec], Iterator[Any]]
    tasks: Callable[[Spec], Iterator[Any]]
    leak: Callable[[Spec], Iterator[Any]]


@dataclass(frozen=True)
class Job:
    """A long computation on request: its result so far, and whether that is all."""

    kind: str  # "tasks" or "leak"
    spec: Spec
    result: Any = None
    share: float = 0.0  # done, 0..1
    seconds_left: float | None = None
    state: str = "running"  # running, done, cancelled or failed


def picture_key(spec: Spec) -> Spec:
    """The part of a spec that a picture depends on."""
    return replace(spec, neuron=-1, tab="scores")


def scores_key(spec: Spec) -> Spec:
    """The part of a spec that the scores over test trials depend on."""
    return replace(picture_key(spec), trial=-1, sort="region")


class State(param.Parameterized):
    """One visitor's choices and results. Pages watch the parameters; `close` when the visitor leaves."""

    spec = param.ClassSelector(class_=Spec, default=Spec())
    picture = param.Parameter(doc="newest picture, possibly of the spec before")
    scores = param.Parameter(doc="scores over test trials for what is hidden; None while they are computed")
    job = param.ClassSelector(class_=Job, default=None, allow_None=True)
    message = param.String(default="", doc="one sentence about what went wrong or was ignored")
    working = param.Boolean(default=False)
    drag = param.Boolean(default=True, doc="dragging over a raster hides a box; otherwise it scrolls the page")
    dark = param.Boolean(default=False, doc="colours of the plots; a taste of the visitor, not in the address")

    def __init__(self, work: Work, **params: Any) -> None:
        super().__init__(**params)
        self._work = work
        self._past: list[tuple[Spec, frozenset[str]]] = []
        self._future: list[Spec] = []
        self._made: dict[str, Spec] = {}
        self._failed: Spec | None = None  # of the last picture: its scores are not asked for
        self._closed = False
        self._tasks: set[asyncio.Task] = set()

    # --- choices ------------------------------------------------------------------------------------------------------

    def go(self, **changes: Any) -> None:
        """Change the spec; the only way apart from undo and redo."""
        new = replace(self.spec, **changes)
        if new == self.spec:
            return
        if set(changes) != {"tab"}:  # looking at another tab is not an act to undo
            self._remember(frozenset(changes))
        self._set(new)

    def hide(self, **changes: Any) -> None:
        """Change what is hidden."""
        self.go(hide=replace(self.spec.hide, **changes))

    @property
    def hand(self) -> Hide:
        """What is hidden by hand; while a scheme is chosen, nothing yet."""
        return self.spec.hide if self.spec.hide.by_hand else Hide(scheme=HAND, prompt=self.spec.hide.prompt)

    def by_hand(self, **changes: Any) -> None:
        """Change what is hidden by hand; leaving a scheme starts from nothing hidden."""
        self.go(hide=replace(self.hand, **changes))

    def toggle_neuron(self, neuron: int) -> None:
        """Hide a neuron or show it again, and look at it."""
        chosen = set(self.hand.neurons) ^ {neuron}
        self.go(hide=replace(self.hand, neurons=tuple(sorted(chosen))), neuron=neuron)

    def toggle_region(self, region: str) -> None:
        self.by_hand(regions=tuple(sorted(set(self.hand.regions) ^ {region})))

    def undo(self) -> None:
        if self._past:
            self._future.append(self.spec)
            self._set(replace(self._past.pop()[0], tab=self.spec.tab))

    def redo(self) -> None:
        if self._future:
            self._past.append((self.spec, frozenset()))
            self._set(replace(self._future.pop(), tab=self.spec.tab))

    @property
    def can_undo(self) -> bool:
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        return bool(self._future)

    def _remember(self, changed: frozenset[str]) -> None:
        self._future.clear()
        same_drag = changed in _DRAGGED and self._past and self._past[-1][1] == changed
        if not same_drag:
            self._past = [*self._past[-MAX_UNDO:], (self.spec, changed)]

    def _set(self, spec: Spec) -> None:
        self.message = ""  # it was about the choice before
        self.spec = spec
        self.start()

    # --- results follow the spec --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Compute what the present spec asks for, unless that is under way already."""
        if not self.working and not self._closed and not self._up_to_date():
            self.working = True
            self._spawn(self._follow())

    def close(self) -> None:
        """The visitor has left: nothing more is computed."""
        self._closed = True

    def _up_to_date(self) -> bool:
        wanted = {"picture": picture_key(self.spec), "scores": scores_key(self.spec)}
        return self._made == wanted or self._made.get("picture") == self._failed == wanted["picture"]

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)

    async def _follow(self) -> None:
        try:
            while not self._closed and not self._up_to_date():
                await asyncio.sleep(0)  # let a burst of choices end before the newest is read
                spec = self.spec
                await self._make("picture", picture_key(spec), self._follow_picture)
                if self._failed != picture_key(spec) == picture_key(self.spec):
                    await self._make("scores", scores_key(spec), self._follow_scores)
        finally:
            self.working = False

    async def _make(self, name: str, key: Spec, compute: Callable[[Spec], Any]) -> None:
        if self._made.get(name) == key:
            return
        self._made[name] = key  # also when it fails: the same failure would come again
        try:
            await compute(key)
        except Exception as error:  # whatever a model or a file does, the visitor keeps the previous picture
            if name == "picture":
                self._failed = key
            self.fail(error)

    async def _follow_picture(self, key: Spec) -> None:
        picture = await _through_gate(self._work.picture, key)
        if key == picture_key(self.spec) and not self._closed:
            self.picture = picture

    async def _follow_scores(self, key: Spec) -> None:
        self.scores = None
        steps = self._work.scores(key)
        while (scores := await _through_gate(next, steps, None)) is not None:
            if key != scores_key(self.spec) or self._closed:
                self._made.pop("scores", None)  # not finished: wanted again if the visitor comes back to it
                return
            self.scores = scores

    # --- jobs on request ----------------------------------------------------------------------------------------------

    def run(self, kind: str) -> None:
        """Start the long computation `kind` ("tasks" or "leak") for the present spec; one at a time."""
        if self.job is None or self.job.state != "running":
            self.job = Job(kind, self.spec)
            self._spawn(self._run(self.job, getattr(self._work, kind)))

    def cancel(self) -> None:
        """Stop the running job after its present step; what it has so far stays, marked as cancelled."""
        if self.job is not None and self.job.state == "running":
            self.job = replace(self.job, state="cancelled", seconds_left=None)

    async def _run(self, job: Job, work: Callable[[Spec], Iterator[Any]]) -> None:
        started = time.monotonic()
        try:
            steps = work(job.spec)
            while (step := await _through_gate(next, steps, None)) is not None:
                if self._closed or self.job is None or self.job is not job:
                    return
                share, result = step
                left = (time.monotonic() - started) * (1 - share) / share if share else None
                job = self.job = replace(job, result=result, share=share, seconds_left=left)
            self.job = replace(job, state="done", share=1.0, seconds_left=None)
        except Exception as error:  # as in _make: the page stays usable
            self.job = replace(job, state="failed", seconds_left=None)
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Tell the visitor in one sentence; the details go to the log."""
        log.error("%s: %s", type(error).__name__, error, exc_info=error)
        expected = isinstance(error, (ValueError, FileNotFoundError, TimeoutError))
        self.message = ""  # the same sentence twice is still news
        self.message = str(error) if expected else "Something went wrong; the picture is the last good one."


async def _through_gate(work: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(_GATE, work, *arguments)

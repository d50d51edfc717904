"""State: what one visitor chose and the newest results for it.

The present `Spec` changes only through `go`, `undo` and `redo`, once the visitor has arrived. Model work runs in one
thread for the whole process, never on the event loop; of a burst of choices only the newest is computed, and a result
for an older choice is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import param

from .gate import Turns
from .limits import LIMITS
from .pace import Pace
from .spec import HAND, Hide, Spec, part, picture_key
from .work import Job, View, Work

log = logging.getLogger(__name__)
MAX_UNDO = 200
SHOW_EVERY = 0.25  # s between the results of a job that are shown: drawing tables more often would be all one does
_UNDONE = ("session", "model", "trial", "sort", "neuron", "hide")  # looking at another page or tab is no act to undo
_DRAGGED = ({"trial"}, {"neuron"})  # a drag through these is one step of undo
_SCORES = ("session", "model", "hide")


class _BrokenOff(Exception):  # noqa: N818 (no error: the visitor chose something else)
    """What was being computed is not wanted any more."""


class State(param.Parameterized):
    """One visitor's choices and results. Pages watch the parameters; `close` when the visitor leaves."""

    spec = param.ClassSelector(class_=Spec, default=Spec())
    picture = param.Parameter(doc="newest picture, possibly of the spec before")
    views = param.Dict(default={}, doc="page -> newest result of its view; None while it is computed")
    jobs = param.Dict(default={}, doc="kind -> newest job of that kind")
    message = param.String(default="", doc="one sentence about what went wrong or was ignored")
    working = param.Boolean(default=False)
    drag = param.Boolean(default=True, doc="dragging over a raster hides a box; otherwise it scrolls the page")
    dark = param.Boolean(default=False, doc="colours of the plots; a taste of the visitor, not in the address")

    pages = param.ClassSelector(class_=tuple, default=("explore",), doc="the pages that exist")

    def __init__(self, work: Work, **params: Any) -> None:
        super().__init__(**params)
        self._work = work
        self._views = {"explore": View(work.scores, _SCORES), **work.views}
        self._past: list[tuple[Spec, frozenset[str]]] = []
        self._future: list[Spec] = []
        self._made: dict[str, Spec] = {}
        self._failed: Spec | None = None  # of the last picture: its scores are not asked for
        self._closed = False
        self._pace = Pace(LIMITS.pictures_per_second, LIMITS.pictures_at_once)
        self._behind: asyncio.Future | None = None  # what a picture need not wait for
        self._tasks: set[asyncio.Task] = set()

    # --- choices ------------------------------------------------------------------------------------------------------

    def arrive(self, spec: Spec, message: str = "") -> None:
        """Take the choices of the address that was opened; `start` computes."""
        self.message, self.spec = message, spec

    def go(self, **changes: Any) -> None:
        """Change the spec; the only way for a visitor, apart from undo and redo."""
        new = replace(self.spec, **changes)
        if new == self.spec:
            return
        if part(new, _UNDONE) != part(self.spec, _UNDONE):
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

    def look_at(self, neuron: int) -> None:
        """Look at a neuron: on its own page where there is one, otherwise in Explore."""
        page = {"page": "neuron"} if "neuron" in self.pages else {"page": "explore", "tab": "scores"}
        self.go(neuron=neuron, **page)

    def undo(self) -> None:
        if self._past:
            self._future.append(self.spec)
            self._restore(self._past.pop()[0])

    def redo(self) -> None:
        if self._future:
            self._past.append((self.spec, frozenset()))
            self._restore(self._future.pop())

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

    def _restore(self, spec: Spec) -> None:
        self._set(replace(self.spec, **{name: getattr(spec, name) for name in _UNDONE}))

    def _set(self, spec: Spec) -> None:
        self.message = ""  # it was about the choice before
        self.spec = spec
        self.start()

    # --- results follow the spec --------------------------------------------------------------------------------------

    @property
    def scores(self) -> Any:
        """Scores over test trials for what is hidden; None while they are computed."""
        return self.views.get("explore")

    def start(self) -> None:
        """Compute what the present spec asks for, unless that is under way already."""
        if self._closed or not (missing := self._missing()):
            return
        if not self.working:
            self.working = True
            self._spawn(self._follow())
        elif missing == "picture" and self._behind is not None:
            self._behind.cancel()

    def close(self) -> None:
        """The visitor has left: nothing more is computed."""
        self._closed = True

    def _wanted(self) -> dict[str, Spec]:
        """What the open page shows, and the part of the spec that each depends on."""
        spec, wanted = self.spec, {"picture": picture_key(self.spec)}
        no_picture = spec.page == "explore" and self._failed == wanted["picture"]  # the same failure would come again
        if spec.page in self._views and not no_picture:
            wanted[spec.page] = part(spec, self._views[spec.page].reads)
        return wanted

    def _missing(self) -> str | None:
        """The first of what is wanted that is not made."""
        return next((name for name, key in self._wanted().items() if self._made.get(name) != key), None)

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)

    async def _follow(self) -> None:
        try:
            await asyncio.sleep(0)  # let a burst of choices end before the newest is read
            while name := await self._next():
                await self._make(name, self._wanted()[name])
        finally:
            self.working = False

    async def _next(self) -> str | None:
        """What to make next; who clicks without a pause gets pictures of the newest choices only."""
        if self._missing() == "picture":
            await asyncio.sleep(self._pace.wait())
        return None if self._closed else self._missing()

    async def _make(self, name: str, key: Spec) -> None:
        self._made[name] = key  # also when it fails: the same failure would come again
        try:
            await (self._make_picture(key) if name == "picture" else self._make_view(name, key))
        except Exception as error:  # whatever a model or a file does, the visitor keeps the previous picture
            if name == "picture":
                self._failed = key
            self.fail(error)

    async def _make_picture(self, key: Spec) -> None:
        picture = await self._turns(LIMITS.view_seconds, first=True)(self._work.picture, key)
        if key == picture_key(self.spec) and not self._closed:
            self.picture = picture

    async def _make_view(self, page: str, key: Spec) -> None:
        """Results so far are shown as they come; another choice breaks off, even while a turn is waited for."""
        self._show(page, None)
        turn, shown, result = self._turns(LIMITS.view_seconds), 0.0, None
        breakable = partial(self._breakable, self._wanted())
        try:
            await breakable(asyncio.sleep, LIMITS.rest_seconds)
            found = await breakable(turn, self._views[page].compute, key)
            steps = found if isinstance(found, Iterator) else iter([found])
            while (newer := await breakable(turn, next, steps, None)) is not None:
                if newer is not result and time.monotonic() - shown >= LIMITS.show_seconds:
                    shown = time.monotonic()
                    self._show(page, newer)
                result = newer
        except _BrokenOff:
            self._made.pop(page, None)  # not finished: wanted again if the visitor comes back to it
            return
        if result is not self.views.get(page):
            self._show(page, result)

    async def _breakable(self, wanted: dict[str, Spec], work: Callable[..., Awaitable], *arguments: Any) -> Any:
        """The result of `work`; _BrokenOff if the visitor has left, or wants something else by now."""
        if self._closed or self._wanted() != wanted:
            raise _BrokenOff
        self._behind = asyncio.ensure_future(work(*arguments))
        try:
            return await self._behind
        except asyncio.CancelledError:
            if not self._behind.cancelled():
                raise  # not by a choice: the server stops
            raise _BrokenOff from None
        finally:
            self._behind = None

    def _turns(self, seconds: float, first: bool = False) -> Turns:
        return Turns(id(self), seconds, first)

    def _show(self, page: str, result: Any) -> None:
        self.views = {**self.views, page: result}

    # --- jobs on request ----------------------------------------------------------------------------------------------

    @property
    def running(self) -> Job | None:
        return next((job for job in self.jobs.values() if job.state == "running"), None)

    def run(self, kind: str) -> None:
        """Start the long computation `kind` for the present spec; one at a time."""
        if self.running is None:
            job = Job(kind, self.spec)
            self._report(job)
            self._spawn(self._run(job, self._work.jobs[kind]))

    def cancel(self) -> None:
        """Stop the running job after its present step; what it has so far stays, marked as cancelled."""
        if (job := self.running) is not None:
            self._report(replace(job, state="cancelled", seconds_left=None))

    def _report(self, job: Job) -> None:
        self.jobs = {**self.jobs, job.kind: job}

    async def _run(self, job: Job, work: Callable[[Spec], Iterator[tuple[float, Any]]]) -> None:
        started, shown, share, result = time.monotonic(), 0.0, 0.0, None
        turn = self._turns(LIMITS.job_seconds)
        try:
            steps = work(job.spec)
            while (step := await turn(next, steps, None)) is not None:
                if self._closed or self.jobs.get(job.kind) is not job:
                    return
                (share, result), now = step, time.monotonic()
                if now - shown >= SHOW_EVERY:
                    left = (now - started) * (1 - share) / share if 0 < share < 1 else None
                    shown, job = now, replace(job, result=result, share=share, seconds_left=left)
                    self._report(job)
            self._report(replace(job, result=result, state="done", share=1.0, seconds_left=None))
        except Exception as error:  # as in _make: the page stays usable
            if self.jobs.get(job.kind) is job:
                self._report(replace(job, result=result, share=share, state="failed", seconds_left=None))
            self.fail(error)

    def ask(self, work: Callable[[], Any], tell: Callable[[Any], None]) -> None:
        """Do something small in a turn of this visitor, and tell the result; a failure becomes a sentence."""
        self._spawn(self._ask(work, tell))

    async def _ask(self, work: Callable[[], Any], tell: Callable[[Any], None]) -> None:
        try:
            tell(await self._turns(LIMITS.view_seconds)(work))
        except Exception as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Tell the visitor in one sentence; the details go to the log."""
        log.error("%s: %s", type(error).__name__, error, exc_info=error)
        expected = isinstance(error, (ValueError, FileNotFoundError, TimeoutError))
        self.message = ""  # the same sentence twice is still news
        self.message = str(error) if expected else "Something went wrong; the picture is the last good one."

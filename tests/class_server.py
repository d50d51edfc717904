"""The app served to a class for a test, beside a page that does nothing, and what its pictures must look like."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from browsing import ROOT
from visitors import Visitor, arrive, image_hash

from mtm_core.serve import Audience, a_class, allowed_hosts, free_port, serve_command, serve_environment

RECORDED, RECONSTRUCTED = "Recorded spikes", "Reconstructed rate"
START_S = 180
# The floor of the stack: a click that only changes an image of the same size.
EMPTY = """
import numpy as np, panel as pn
from bokeh.events import Tap
from bokeh.plotting import figure
plot = figure(title="Recorded spikes", width=400, height=400, x_range=(0, 1), y_range=(0, 1), tools="")
source = plot.image([np.zeros((260, 100), np.uint8)], x=0, y=0, dw=1, dh=1).data_source
state = [0]
def tap(event):
    state[0] = 255 - state[0]
    source.data = {**source.data, "image": [np.full((260, 100), state[0], np.uint8)]}
plot.on_event(Tap, tap)
pn.panel(plot).servable()
"""


@dataclass(frozen=True)
class Served:
    address: str  # of the server, without a path
    log: Path
    pid: int

    @property
    def app(self) -> str:
        return f"{self.address}/app"

    @property
    def empty(self) -> str:
        return f"{self.address}/empty"

    def health(self, documents: bool = False) -> dict:
        with urllib.request.urlopen(f"{self.address}/health?documents={documents or ''}", timeout=120) as answer:  # noqa: S310
            return json.load(answer)


@contextlib.contextmanager
def served(folder: Path, audience: Audience | None = None, **environment: str) -> Iterator[Served]:
    """Run the app as `mtm app` does, for a class of 32 unless another audience is given."""
    port, audience = free_port(), audience or a_class()
    (folder / "empty.py").write_text(EMPTY, "utf-8")
    command = serve_command(port, show=False, audience=audience)
    command.insert(command.index("--address"), str(folder / "empty.py"))
    surroundings = {**serve_environment(None, allowed_hosts(port), audience), **environment}
    for name in ("MTM_CACHE_DIR", "MTM_CHECKPOINTS"):
        surroundings.pop(name) if name in surroundings and name not in environment else None
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=surroundings, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait_until_up(f"http://127.0.0.1:{port}/live", process, log)
            yield Served(f"http://127.0.0.1:{port}", log, process.pid)
        finally:
            process.terminate()
            process.wait(60)


def _wait_until_up(address: str, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + START_S
    while True:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(address, timeout=30).close()  # noqa: S310 (our own server)
            return
        except OSError:
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)


# --- what a visitor of Explore does and must see ----------------------------------------------------------------------


@dataclass(eq=False)
class Student:
    """A visitor who clicks on rows, and what is hidden by now."""

    visitor: Visitor
    trial: int
    hidden: frozenset[int] = frozenset()

    async def click(self, row: int) -> float:
        """Hide the neuron of a row, or show it again; seconds until the reconstruction was there."""
        self.hidden ^= {int(rows()[row])}
        start = time.monotonic()
        await self.visitor.tap(RECORDED, 0.5, row + 0.5)
        return (await self.visitor.picture(RECONSTRUCTED, start))[0] - start

    async def settle(self, seconds: float = 60.0) -> bool:
        """Whether the right picture comes, once the server has caught up with a burst of clicks."""
        end = time.monotonic() + seconds
        while not self.sees_the_truth() and time.monotonic() < end:
            await asyncio.sleep(0.2)
        return self.sees_the_truth()

    def sees_the_truth(self) -> bool:
        """Whether the last reconstruction is, bit by bit, what a computation without a server draws."""
        shown = self.visitor.pictures[self.visitor.source(RECONSTRUCTED)]
        return image_hash(shown) == image_hash(expected(self.trial, self.hidden))


async def open_student(address: str, trial: int = 0) -> Student:
    """A student whose first picture is there."""
    visitor = await arrive(f"{address}?scheme=hand&trial={trial}")
    await visitor.picture(RECONSTRUCTED, 0.0)
    return Student(visitor, trial)


async def leave(students: list[Student]) -> None:
    await asyncio.gather(*(each.visitor.close() for each in students))


@lru_cache
def rows() -> np.ndarray:
    """The neurons of simulated-1 from the bottom row to the top row."""
    from app.recordings import recording
    from app.spec import Spec

    return recording(Spec().session, Spec().model).order("region")


@lru_cache(maxsize=512)
def expected(trial: int, hidden: frozenset[int]) -> np.ndarray:
    """The image of the reconstruction, computed here one after another."""
    from bokeh.models import Range1d

    from app.compute import picture
    from app.pages.explore.rasters import rows_of
    from app.plots.raster import TOP, draw_raster, make_raster, make_scale
    from app.spec import Hide, Spec

    made = picture(Spec(trial=trial, hide=Hide(scheme="hand", neurons=tuple(sorted(hidden)))))
    window = Range1d(0, made.order.size * (1 + TOP))
    raster = make_raster("", make_scale(False), (Range1d(-1, 1), window), True)
    rates = made.rates / np.float32(made.recording.trials.bin_size)
    draw_raster(raster, rows_of(made), rates.T[made.order], made.recording.high_hz)
    return raster.image.data["image"][0]


# --- measuring --------------------------------------------------------------------------------------------------------


def p95(values: list[float]) -> float:
    return float(np.quantile(values, 0.95))


async def empty_clicks(visitor: Visitor, n: int, pause: float, wait: float = 0.0) -> list[float]:
    """Seconds of n clicks on the page that does nothing."""
    found = []
    await asyncio.sleep(wait)
    for _ in range(n):
        start = time.monotonic()
        await visitor.tap(RECORDED, 0.5, 0.5)
        at, _ = await visitor.picture(RECORDED, start)
        found.append(at - start)
        await asyncio.sleep(max(0.0, pause - (time.monotonic() - start)))
    return found


async def clicks(student: Student, n: int, pause: float, wait: float = 0.0) -> list[float]:
    """Seconds of n clicks of a student, one every `pause` s."""
    rng, found = np.random.default_rng(student.trial), []
    await asyncio.sleep(wait)
    for row in rng.integers(0, rows().size, n):
        start = time.monotonic()
        found.append(await student.click(int(row)))
        await asyncio.sleep(max(0.0, pause - (time.monotonic() - start)))
    return found


def python() -> dict[str, str]:
    """An environment for other programs of a test: no recordings, one thread."""
    return {**{n: v for n, v in os.environ.items() if n != "MTM_CACHE_DIR"}, "OMP_NUM_THREADS": "1"}


PYTHON = sys.executable

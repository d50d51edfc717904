"""What a class asks of one server: `python tests/benchmarks/bench_class.py [part ...]`, about twenty minutes for all.

Visitors are real websockets in this process, the server is another one. Times are compared with a page whose callback
only changes an image, under the same load in the same run: shared machines differ too much for absolute times.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from class_server import PYTHON, Served, clicks, empty_clicks, leave, open_student, p95, python, rows, served  # noqa: E402
from visitors import arrive, fetch, resident_mb  # noqa: E402

from app.serving.admission import GRACE_S  # noqa: E402
from mtm_core.serve import a_class  # noqa: E402

VISITORS, EVERY_S, ROUNDS = 32, 5.0, 8
CYCLES = 200
CALM_ROUNDS = 12
NUISANCE = "nuisance"  # the part that `nuisances` starts
MB_SERVER, MB_VISITOR = 700, 8
PARTS = {"opening", "class", "nuisances", "training", "cycles"}
TABLE: list[tuple[str, str, str, str]] = []


def row(name: str, found: str, limit: str, good: bool) -> None:
    TABLE.append((name, found, limit, "yes" if good else "NO"))
    print(f"{name:52} {found:>24} {limit:>16} {TABLE[-1][3]:>4}", flush=True)


async def floor(site: Served, n: int, rounds: int = ROUNDS) -> list[float]:
    """Seconds of clicks of n visitors on the empty page, at the pace of a class."""
    pages = [await arrive(site.empty) for _ in range(n)]
    waits = np.linspace(0, EVERY_S, n, endpoint=False)
    found = await asyncio.gather(*(empty_clicks(p, rounds, EVERY_S, w) for p, w in zip(pages, waits, strict=True)))
    await asyncio.gather(*(page.close() for page in pages))
    return sum(found, [])


async def work(students: list, rounds: int = ROUNDS) -> list[float]:
    waits = np.linspace(0, EVERY_S, len(students), endpoint=False)
    found = await asyncio.gather(*(clicks(s, rounds, EVERY_S, w) for s, w in zip(students, waits, strict=True)))
    return sum(found, [])


async def opening(site: Served) -> list:
    """b: all open the link within a second, after the server had time to build pages ahead."""
    await leave([await open_student(site.app)])  # the first visitor of a server pays for what is made once
    await ready(site, VISITORS)
    await asyncio.sleep(GRACE_S)
    before, start, usable = site.health(), time.monotonic(), []

    async def one(trial: int):
        await asyncio.sleep(trial / VISITORS)
        student = await open_student(site.app, trial)
        usable.append(time.monotonic() - start)
        return student

    students = await asyncio.gather(*(one(trial) for trial in range(VISITORS)))
    after = site.health()
    cpu = (after["cpu_s"] - before["cpu_s"]) / VISITORS
    row(f"{VISITORS} pages opened within 1 s, all usable", f"{max(usable):.1f} s", "12 s", max(usable) <= 12)
    row("CPU per page opened, with its first picture", f"{1000 * cpu:.0f} ms", "", True)
    await building(site)
    limit = MB_SERVER + VISITORS * MB_VISITOR
    row(
        f"server with {VISITORS} pages built ahead",
        f"{before['memory_mb']:.0f} MB",
        f"{limit} MB",
        before["memory_mb"] <= limit,
    )
    row(f"server with {VISITORS} visitors", f"{after['memory_mb']:.0f} MB", f"{limit} MB", after["memory_mb"] <= limit)
    return students


async def ready(site: Served, pages: int) -> None:
    """Wait until so many pages are built ahead."""
    while site.health()["pages_ahead"] < pages:
        await asyncio.sleep(1)


async def building(site: Served) -> None:
    """CPU and memory of one page, from the pages that a new server builds ahead."""
    with tempfile.TemporaryDirectory() as name, served(Path(name), a_class(VISITORS)) as fresh:
        await ready(fresh, VISITORS // 4)  # what is made once has been made
        before = fresh.health()
        await ready(fresh, VISITORS)
        after = fresh.health()
    pages = after["pages_ahead"] - before["pages_ahead"]
    cpu, each = (after["cpu_s"] - before["cpu_s"]) / pages, (after["memory_mb"] - before["memory_mb"]) / pages
    row("CPU per page built ahead, drawn", f"{1000 * cpu:.0f} ms", "150 ms", cpu <= 0.15)
    row("memory per page", f"{each:.1f} MB", f"{MB_VISITOR} MB", each <= MB_VISITOR)
    bare = before["memory_mb"] - before["pages_ahead"] * each
    row("server with model, without pages", f"{bare:.0f} MB", f"{MB_SERVER} MB", bare <= MB_SERVER)


async def class_of(site: Served, students: list) -> float:
    """a: one action per visitor in EVERY_S; returns the 95th percentile."""
    base, found = await floor(site, VISITORS), await work(students)
    ratio = p95(found) / p95(base)
    row("empty callback, median / p95", f"{1e3 * np.median(base):.0f} / {1e3 * p95(base):.0f} ms", "", True)
    row("click to reconstruction, median / p95", f"{1e3 * np.median(found):.0f} / {1e3 * p95(found):.0f} ms", "", True)
    row("p95 over that of the empty callback", f"{ratio:.1f}", "6", ratio <= 6)
    start = time.monotonic()
    await asyncio.gather(*(clicks(student, 1, 0.0, i / VISITORS) for i, student in enumerate(students)))
    burst = time.monotonic() - start
    row(f"{VISITORS} clicks within 1 s, all shown", f"{burst:.1f} s", "3 s", burst <= 3)
    right = sum(student.sees_the_truth() for student in students)
    row("last pictures that are right", f"{right} of {len(students)}", f"{len(students)}", right == len(students))
    return p95(found)


async def full(site: Served) -> None:
    """R4: one more than the class holds."""
    answer = await fetch(site.app)
    row("one visitor more", f"{answer.code}, again in {answer.headers.get('Retry-After')} s", "503", answer.code == 503)


async def nuisances(site: Served, students: list) -> None:
    """R10: eight calm visitors, alone and beside one who clicks 1,000 times a second and one who reads nothing.

    Those two are in a process of their own: what they take to click must not delay the clocks of the others.
    """
    calm = students[:8]
    alone = await work(calm, CALM_ROUNDS)
    command = [PYTHON, __file__, NUISANCE, site.app]
    wild = await asyncio.create_subprocess_exec(*command, env=python(), stdout=asyncio.subprocess.PIPE)
    await wild.stdout.readline()
    beside = await work(calm, CALM_ROUNDS)
    running = wild.returncode is None
    wild.kill()
    await wild.wait()
    await asyncio.sleep(EVERY_S)  # what they sent is worked off
    again = await work(calm, CALM_ROUNDS)
    ratio = p95(beside) / max(p95(alone), p95(again))
    found = " / ".join(f"{1e3 * p95(each):.0f}" for each in (alone, beside, again))
    row("p95 of calm visitors before, beside and after a flood", f"{found} ms", "", True)
    row("beside a flood and a slow reader, over without", f"{ratio:.2f}", "1.2", ratio <= 1.2 and running)
    right = sum(student.sees_the_truth() for student in calm)
    row("calm visitors' pictures that are right", f"{right} of {len(calm)}", f"{len(calm)}", right == len(calm))


async def nuisance(address: str) -> None:
    """One who clicks 1,000 times a second, and one who goes on clicking and reads nothing any more; for ever."""
    wild, slow = [await open_student(address, trial) for trial in (8, 9)]
    rng = np.random.default_rng(0)
    slow.visitor._reading.cancel()
    print("here", flush=True)

    async def crawl() -> None:
        while True:
            await slow.visitor.tap("Recorded spikes", 0.5, 100.5)
            await asyncio.sleep(0.2)

    async def flood() -> None:
        while True:
            for y in rng.uniform(0, 260, 10):
                await wild.visitor.tap("Recorded spikes", 0.5, float(y))
            await asyncio.sleep(0.01)

    await asyncio.gather(flood(), crawl())


async def beside_training(site: Served, students: list, folder: Path) -> None:
    """R5: ten visitors while a model is trained on the same machine, one thread, nice 10."""
    ten = students[10:20]
    alone = await work(ten, 5)
    command = ["nice", "-n", "10", PYTHON, "-m", "mtm_core", "train", "--session", "simulated-1", "--steps", "100000"]
    training = subprocess.Popen([*command, "--out", str(folder / "run")], env=python(), stdout=subprocess.DEVNULL)
    await asyncio.sleep(15)  # importing and reading
    running = training.poll() is None
    beside = await work(ten, 5)
    training.kill()
    training.wait()
    ratio = p95(beside) / p95(alone)
    row("p95 beside a training run, over without", f"{ratio:.2f}", "1.5", ratio <= 1.5 and running)


async def cycles(site: Served) -> None:
    """c: pages opened and closed."""
    memory = {}
    for cycle in range(1, CYCLES + 1):
        await leave([await open_student(site.app, cycle % 8)])
        if cycle % 50 == 0:
            await asyncio.sleep(60)
            memory[cycle] = site.health(documents=True)
    for cycle, found in memory.items():
        row(f"server after {cycle} pages opened and left", f"{found['memory_mb']:.0f} MB", "", True)
    growth = memory[CYCLES]["memory_mb"] - memory[50]["memory_mb"]
    row(f"memory from cycle 50 to {CYCLES}", f"{growth:+.1f} MB", "5 MB", growth <= 5)
    row("sessions 60 s after the last", f"{memory[CYCLES]['sessions']}", "0", memory[CYCLES]["sessions"] == 0)
    more = memory[CYCLES]["documents"] - memory[50]["documents"]
    row("documents more than after cycle 50", f"{more}", "0", more == 0)


async def lesson(folder: Path, parts: set[str]) -> None:
    """a and d: what follows the opening. Places for the empty pages as well; the load is the same."""
    with served(folder, a_class(2 * VISITORS + 1)) as site:
        students = [await open_student(site.app, trial) for trial in range(VISITORS)]
        if "class" in parts:
            await class_of(site, students)
        if "nuisances" in parts:
            await nuisances(site, students)
        if "training" in parts:
            await beside_training(site, students, folder)
        row("server at the end", f"{resident_mb(site.pid):.0f} MB", "", True)
        await leave(students)


async def main(parts: set[str]) -> None:
    rows()  # now: it takes seconds, in which all visitors of this process would wait
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "opening" in parts:
            with served(folder, a_class(VISITORS)) as site:
                students = await opening(site)
                await full(site)
                await leave(students)
        if parts & {"class", "nuisances", "training"}:
            await lesson(folder, parts)
        if "cycles" in parts:
            with served(folder, a_class(CYCLES)) as site:  # a place stays taken for a while after its visitor left
                await cycles(site)
    print(f"{sum(line[3] == 'NO' for line in TABLE)} of {len(TABLE)} figures missed")


if __name__ == "__main__":
    if sys.argv[1:2] == [NUISANCE]:
        asyncio.run(nuisance(sys.argv[2]))
    else:
        asyncio.run(main(set(sys.argv[1:]) or PARTS))

"""How fast the app answers and what a visitor costs: `python tests/benchmarks/bench_app.py`.

Prints a table. Click to pixels is compared with a page whose callback does nothing but change an image, in the same
run: shared machines differ too much for absolute times to mean anything.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
CLICKS, BUILDS, VISITORS = 20, 10, 20
EMPTY = """
import numpy as np, panel as pn
from bokeh.events import Tap
from bokeh.plotting import figure
plot = figure(width=400, height=400, x_range=(0, 1), y_range=(0, 1), toolbar_location=None, tools="")
source = plot.image([np.zeros((300, 100), np.uint8)], x=0, y=0, dw=1, dh=1).data_source
state = [0]
def tap(event):
    state[0] = 255 - state[0]
    image = np.full((300, 100), state[0], np.uint8)
    image[0, 0] = 255 - state[0]
    source.data = {**source.data, "image": [image]}
plot.on_event(Tap, tap)
pn.panel(plot).servable()
"""
# Resolves with the milliseconds until the canvas of figure `number` looks different.
WATCH = """
async (number) => {
  const figures = []
  const walk = (root) => { for (const e of root.querySelectorAll('*')) {
    if (e.classList && e.classList.contains('bk-Figure')) figures.push(e)
    if (e.shadowRoot) walk(e.shadowRoot) } }
  walk(document)
  const canvases = []
  const collect = (root) => { for (const e of root.querySelectorAll('*')) {
    if (e.tagName == 'CANVAS') canvases.push(e)
    if (e.shadowRoot) collect(e.shadowRoot) } }
  collect(figures[number].shadowRoot ?? figures[number])
  const look = () => canvases.map((c) => c.toDataURL()).join()
  const before = look()
  window.__watched = new Promise((resolve) => {
    let start = null
    document.addEventListener('mouseup', () => { start = performance.now() }, {once: true, capture: true})
    const poll = () => {
      if (start !== null && look() != before) resolve(performance.now() - start)
      else if (start !== null && performance.now() - start > 10000) resolve(NaN)
      else requestAnimationFrame(poll)
    }
    poll()
  })
}
"""


def serve(folder: Path) -> tuple[subprocess.Popen, str]:
    (folder / "empty.py").write_text(EMPTY)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "panel", "serve", "app/", str(folder / "empty.py"), "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(120):
        try:
            urllib.request.urlopen(f"http://localhost:{port}/empty", timeout=60).read()  # noqa: S310 (our own server)
            return process, f"http://localhost:{port}"
        except OSError:
            time.sleep(0.5)
    raise SystemExit("the server did not start")


def clicks(page: Page, figure: int, watched: int) -> list[float]:
    """Milliseconds from releasing the mouse on one figure to new pixels on another."""
    box = page.locator(".bk-Figure").nth(figure).bounding_box()
    found = []
    for i in range(CLICKS + 1):
        page.evaluate(WATCH, watched)
        page.mouse.click(box["x"] + 0.6 * box["width"], box["y"] + 60 + 12 * i)
        found.append(page.evaluate("window.__watched"))
        time.sleep(0.8)  # the scores of the last click are done
    return found[1:]  # the first click starts from another mask


def memory(process: subprocess.Popen) -> float:
    """Resident memory of the server, MB."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def builds(address: str) -> list[float]:
    found = []
    for _ in range(BUILDS + 1):
        start = time.perf_counter()
        urllib.request.urlopen(f"{address}/app", timeout=60).read()  # noqa: S310
        found.append(1000 * (time.perf_counter() - start))
    return found[1:]


def open_app(browser, address: str) -> Page:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(f"{address}/app")
    page.get_by_text("32 held-out trials;").first.wait_for(timeout=60_000)
    return page


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        process, address = serve(Path(folder))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        try:
            empty = browser.new_page()
            empty.goto(f"{address}/empty")
            empty.locator(".bk-Figure").wait_for()
            rows = {"empty callback": clicks(empty, 0, 0)}
            page = open_app(browser, address)
            rows["click to hidden row"] = clicks(page, 1, 1)
            rows["click to reconstruction"] = clicks(page, 1, 2)
            rows["page build"] = builds(address)
            before = memory(process)
            for _ in range(VISITORS):
                open_app(browser, address)
            each = (memory(process) - before) / VISITORS
        finally:
            browser.close()
            process.terminate()
        report(rows, before, each)


def report(rows: dict[str, list[float]], before: float, each: float) -> None:
    base = statistics.median(rows["empty callback"])
    print(f"{'':26}{'median ms':>10}{'p95 ms':>10}{'ratio':>8}")
    for name, values in rows.items():
        median, p95 = statistics.median(values), sorted(values)[int(0.95 * (len(values) - 1))]
        print(f"{name:26}{median:10.0f}{p95:10.0f}{median / base:8.1f}")
    print(f"server {before:.0f} MB with one visitor; {each:.1f} MB more for each of {VISITORS} more")


if __name__ == "__main__":
    main()

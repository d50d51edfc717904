"""A server of the app and a browser: what the tests that drive a page share."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
FLAGS += " --disable-component-update --disable-sync"
PATIENCE = 30_000  # ms; shared machines are slow


def serve(command: list[str], environment: dict[str, str], log: Path) -> Iterator[tuple[str, Path]]:
    """Run a server of the app on a free port; its address and log file."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address, port = f"http://localhost:{free.getsockname()[1]}/app", str(free.getsockname()[1])
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--port", port], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            _wait_until_up(address, log, process)
            yield address, log
        finally:
            process.terminate()
            process.wait(60)


def serve_bundled(folder: Path, *options: str, **environment: str) -> Iterator[tuple[str, Path]]:
    """`panel serve app/` with the bundled models alone, and what the environment adds; its log lies in the folder."""
    left_out = ("MTM_CACHE_DIR", "MTM_CHECKPOINTS")
    own = {name: value for name, value in os.environ.items() if name not in left_out}
    yield from serve([sys.executable, "-m", "panel", "serve", "app/", *options], {**own, **environment}, folder / "log")


PATIENT = ("--unused-session-lifetime", "120000")  # Bokeh drops a page that a loaded machine connects late


@contextmanager
def watched(context, server: tuple[str, Path], patience: int = PATIENCE, console: bool = False):
    """An empty tab; fails afterwards if the server or the browser reported an error, or asked another host.

    console: what the page's own scripts report counts as well.
    """
    tab, errors, outside = context.new_page(), [], []
    ours = (server[0][: -len("/app")], "data:", "blob:")
    tab.on("pageerror", lambda error: errors.append(str(error)))
    if console:
        tab.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    tab.on("request", lambda request: None if request.url.startswith(ours) else outside.append(request.url))
    tab.set_default_timeout(patience)
    yield tab
    tab.close()
    reported = problems(server[1].read_text())
    assert not (errors or outside or reported), (errors, outside, reported)


def _wait_until_up(address: str, log: Path, process: subprocess.Popen) -> None:
    for _ in range(120):
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(address, timeout=30).read()  # noqa: S310 (our own server)
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text())


def problems(log: str) -> list[str]:
    """Lines of a server log that speak of a failure in the app; a visitor who leaves while data is sent is none."""
    ours = re.compile(r'File ".*[\\/](app|mtm_core)[\\/]|Error running application|^ERROR|Error: ')
    return [line for line in log.splitlines() if ours.search(line) and "ClosedError" not in line]

"""Start the app: `panel serve` on its directory, in a process of its own, until Ctrl-C.

A process of its own because mtm_core imports no panel, and because some settings must stand before torch is imported.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from .paths import app_dir

# Bokeh drops a page whose websocket has not connected after 15 s and then builds it again, on the same event loop. When
# a class opens a link at once, pages wait longer than that and the rebuilding makes it worse.
UNUSED_PAGE_MS = 120_000
LOOPBACK = ("127.0.0.1", "localhost", "::1")
WILDCARD = ("0.0.0.0", "::", "")  # noqa: S104 (refused below, never bound)
GRACE_S = 3.0  # from Ctrl-C to a firmer request; the server needs well under a second


def serve_command(port: int = 5006, show: bool = True, address: str = "127.0.0.1") -> list[str]:
    """The command line that serves the app; ValueError for an address that visitors could not type.

    On another address than this machine's own the websocket is allowed from that address only.
    """
    if address in WILDCARD:
        raise ValueError(f"address {address!r} means every network; give the name or address visitors will type")
    command = [sys.executable, "-m", "panel", "serve", str(app_dir()), "--address", address, "--port", str(port)]
    command += ["--unused-session-lifetime", str(UNUSED_PAGE_MS)]
    if address not in LOOPBACK:
        command += ["--allow-websocket-origin", f"{address}:{port}"]
    return [*command, "--show"] if show else command


def serve_environment(cache_dir: Path | str | None = None) -> dict[str, str]:
    """The environment of the server; cache_dir holds the recordings (default: MTM_CACHE_DIR as it stands)."""
    environment = dict(os.environ)
    # Idle OpenMP threads spin by default and steal the cores from whoever works; read when torch is imported.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if cache_dir is not None:
        environment["MTM_CACHE_DIR"] = str(Path(cache_dir).absolute())
    return environment


def serve_app(
    port: int = 5006, show: bool = True, cache_dir: Path | str | None = None, address: str = "127.0.0.1"
) -> int:
    """Serve the app until it is stopped; the server's exit code, 0 after Ctrl-C. For the main thread."""
    server = subprocess.Popen(serve_command(port, show, address), env=serve_environment(cache_dir))
    # A supervisor's SIGTERM reaches this process alone and would leave the server running, holding the port.
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    try:
        return server.wait()
    except KeyboardInterrupt:
        _stop(server)
        return 0


def _stop(server: subprocess.Popen) -> None:
    """A terminal sends Ctrl-C to both processes, so the server is normally stopping by now; insist if it is not."""
    for insist in (server.terminate, server.kill):
        try:
            server.wait(GRACE_S)
            return
        except subprocess.TimeoutExpired:
            insist()
    server.wait()

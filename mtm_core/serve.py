"""Start the app: `panel serve` on its directory, in a process of its own, until Ctrl-C.

A process of its own because mtm_core imports no panel, and because some settings must stand before torch is imported.
What the server refuses travels in its environment (app/limits.py reads it); `panel serve app/` by itself sets none.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from .desktop import show_window
from .paths import app_dir

# Bokeh drops a page whose websocket has not connected after 15 s and then builds it again, on the same event loop. When
# a class opens a link at once, pages wait longer than that and the rebuilding makes it worse.
UNUSED_PAGE_MS = 120_000
TIDY_MS = 2000  # between looks at what visitors have left behind; a class reloads its pages all at once
LOOPBACK = ("127.0.0.1", "localhost", "::1")
WILDCARD = ("0.0.0.0", "::", "")  # noqa: S104 (refused below, never bound)
GRACE_S = 3.0  # from Ctrl-C to a firmer request; the server needs well under a second
START_S = 120.0  # a desktop window waits so long for its server; importing torch takes a while on a cold disk
MESSAGE_BYTES = 64 * 2**20  # the largest message of a browser
CLASS_MESSAGE_BYTES = 4 * 2**20
MOST_VISITORS = 1000


@dataclass(frozen=True)
class Audience:
    """Whom the app is served to."""

    visitors: int = 0  # of a class: so many at once, read-only; 0 = one person or a few who trust each other
    key: str = ""  # of a desktop: the address needs it once; "" = none


def a_class(visitors: int = 32) -> Audience:
    """Read-only for so many visitors at once; ValueError unless 1 to MOST_VISITORS."""
    if not 1 <= visitors <= MOST_VISITORS:
        raise ValueError(f"{visitors} visitors: give 1 to {MOST_VISITORS}")
    return Audience(visitors=visitors)


def desktop() -> Audience:
    """The person who starts it, and nobody else on this machine."""
    return Audience(key=secrets.token_urlsafe(32))


def allowed_hosts(port: int, address: str = "127.0.0.1") -> list[str]:
    """The host and port of the addresses that open the app."""
    names = ("127.0.0.1", "localhost") if address in ("127.0.0.1", "localhost") else (address,)
    hosts = [f"[{name}]" if ":" in name else name for name in names]
    # Browsers leave the usual ports out.
    return [f"{host}:{port}" for host in hosts] + (hosts if port in (80, 443) else [])


def serve_command(
    port: int = 5006, show: bool = True, address: str = "127.0.0.1", audience: Audience | None = None
) -> list[str]:
    """The command line that serves the app; ValueError for an address that visitors could not type.

    On another address than this machine's own the websocket is allowed from that address only.
    """
    if address in WILDCARD:
        raise ValueError(f"address {address!r} means every network; give the name or address visitors will type")
    audience = audience or Audience()
    if audience.key and address not in LOOPBACK:
        raise ValueError(f"a desktop window talks to its own machine only, not to {address!r}; leave --address out")
    command = [sys.executable, "-m", "panel", "serve", str(app_dir()), "--address", address, "--port", str(port)]
    command += ["--unused-session-lifetime", str(UNUSED_PAGE_MS), "--check-unused-sessions", str(TIDY_MS)]
    command += ["--enable-xsrf-cookies"]
    most = CLASS_MESSAGE_BYTES if audience.visitors else MESSAGE_BYTES
    command += ["--websocket-max-message-size", str(most)]
    if address not in LOOPBACK:
        command += ["--allow-websocket-origin", *allowed_hosts(port, address)]
    return [*command, "--show"] if show and not audience.key else command


def serve_environment(
    cache_dir: Path | str | None = None, hosts: list[str] | None = None, audience: Audience | None = None
) -> dict[str, str]:
    """The environment of the server; cache_dir holds the recordings (default: MTM_CACHE_DIR as it stands).

    Sessions are signed with a secret made for this start, unless BOKEH_SECRET_KEY gives one.
    """
    environment, audience = dict(os.environ), audience or Audience()
    # Idle OpenMP threads spin by default and steal the cores from whoever works; read when torch is imported.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment.setdefault("BOKEH_VALIDATE_DOC", "no")  # Bokeh's check of a layout that is the same for every visitor
    environment.setdefault("BOKEH_SECRET_KEY", secrets.token_urlsafe(48))
    environment |= {"BOKEH_SIGN_SESSIONS": "yes", "MTM_HOSTS": ",".join(hosts or []), "MTM_KEY": audience.key}
    if audience.visitors:
        environment |= {"MTM_CLASS": "1", "MTM_VISITORS": str(audience.visitors)}
        # glibc keeps freed memory apart for each thread, a twentieth of what a class takes; other systems ignore this.
        environment.setdefault("MALLOC_ARENA_MAX", "1")
    if cache_dir is not None:
        environment["MTM_CACHE_DIR"] = str(Path(cache_dir).absolute())
    return environment


def serve_app(
    port: int = 5006,
    show: bool = True,
    cache_dir: Path | str | None = None,
    address: str = "127.0.0.1",
    audience: Audience | None = None,
) -> int:
    """Serve the app until it is stopped; the server's exit code, 0 after Ctrl-C. For the main thread.

    Port 0 is any free one. A desktop ends when its window is closed.
    """
    audience, port = audience or Audience(), port or free_port()
    environment = serve_environment(cache_dir, allowed_hosts(port, address), audience)
    server = subprocess.Popen(serve_command(port, show, address, audience), env=environment)
    # A supervisor's SIGTERM reaches this process alone and would leave the server running, holding the port.
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    try:
        if audience.key and _open_desktop(server, port, audience.key, show):
            server.terminate()
            server.wait()
            return 0
        return server.wait()
    except KeyboardInterrupt:
        _stop(server)
        return 0


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _open_desktop(server: subprocess.Popen, port: int, key: str, show: bool) -> bool:
    """Show the app when it answers; whether there was a window, which is closed now."""
    address = f"http://127.0.0.1:{port}"
    if not _answers(server, f"{address}/live"):
        return False
    opens = f"{address}/app?key={key}"
    if not show:
        print(f"Open once: {opens}", flush=True)
        return False
    return show_window(opens)


def _answers(server: subprocess.Popen, url: str) -> bool:
    end = time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 (our own server)
                return True
        except OSError:
            time.sleep(0.1)
    return False


def _stop(server: subprocess.Popen) -> None:
    """A terminal sends Ctrl-C to both processes, so the server is normally stopping by now; insist if it is not."""
    for insist in (server.terminate, server.kill):
        try:
            server.wait(GRACE_S)
            return
        except subprocess.TimeoutExpired:
            insist()
    server.wait()

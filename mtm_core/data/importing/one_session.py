"""An IBL session through ONE: a check of the connection in steps, and the download of one session.

The user's own ONE settings (~/.one) are neither read nor written: ONE runs in a process of its own whose home folder is
a temporary one, with a cache folder of ours. Since ONE-api 3.6 the public server wants an account; BrainWideBench
(`fetch`) holds many of the same sessions without one.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from .found import Tell, silent
from .kept import imports_dir

SERVER = "https://openalyx.internationalbrainlab.org"
HOST = "openalyx.internationalbrainlab.org"
PATIENCE_S = 6.0
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ACCOUNT = (
    "The server wants an account, which is free: register at openalyx.internationalbrainlab.org (e-mail or ORCID). "
    "Without one, fetch a public session of BrainWideBench instead."
)


@dataclass(frozen=True)
class Step:
    """One question of the check, its answer, and what to do."""

    name: str
    ok: bool
    said: str


def one_cache() -> Path:
    return imports_dir() / ".one-cache"


def _installed() -> bool:
    return find_spec("one") is not None and find_spec("one.api") is not None


def _resolves() -> bool:
    try:
        return bool(socket.getaddrinfo(HOST, 443))
    except OSError:
        return False


def _reaches() -> int:
    """HTTP status of the server's front page; 0 if it does not answer."""
    import requests

    try:
        return requests.get(SERVER, timeout=PATIENCE_S, allow_redirects=False).status_code
    except requests.RequestException:
        return 0


def _writable() -> str:
    """Why our cache folder cannot be written; "" if it can."""
    try:
        one_cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=one_cache()) as file:
            file.write(b"x")
        return ""
    except OSError as error:
        return error.strerror or "it cannot be written"


@dataclass(frozen=True)
class Probes:
    """What the check asks of the machine; tests ask others."""

    installed: Callable[[], bool] = field(default=_installed)
    resolves: Callable[[], bool] = field(default=_resolves)
    reaches: Callable[[], int] = field(default=_reaches)
    writable: Callable[[], str] = field(default=_writable)


def check(probes: Probes | None = None) -> Iterator[Step]:
    """Steps one after the other; the first that fails is the last, as the others rest on it."""
    probes = probes or Probes()
    for step in (_check_installed, _check_folder, _check_network, _check_server):
        found = step(probes)
        yield found
        if not found.ok:
            return
    yield Step("Account", True, ACCOUNT)


def _check_installed(probes: Probes) -> Step:
    ok = probes.installed()
    return Step("ONE-api", ok, "It is installed." if ok else "It is not installed; run: pip install ONE-api")


def _check_folder(probes: Probes) -> Step:
    trouble = probes.writable()
    cure = "make room or give another folder with MTM_IMPORTS"
    said = "The folder for downloads can be written; your own ONE settings are not touched."
    return Step("Folder", not trouble, f"The folder for downloads fails ({trouble}); {cure}." if trouble else said)


def _check_network(probes: Probes) -> Step:
    ok = probes.resolves()
    bad = "The name of the server cannot be looked up; check that this machine is online, or ask for the proxy."
    return Step("Network", ok, "This machine is online." if ok else bad)


def _check_server(probes: Probes) -> Step:
    status = probes.reaches()
    if 0 < status < 500:
        return Step("Server", True, "The public server of the IBL answers.")
    reason = f"answers with error {status}" if status else "does not answer; a firewall or proxy may be in between"
    return Step("Server", False, f"The public server of the IBL {reason}; try again later.")


@dataclass(frozen=True)
class Account:
    """Of OpenAlyx; handed to ONE for one download, kept nowhere."""

    username: str
    password: str = field(repr=False)


def fetch_session(session_id: str, account: Account, tell: Tell = silent) -> Path:
    """Download the spikes, trials and behavior of a session; its folder. ValueError in one sentence."""
    session_id = session_id.strip().lower()
    if not ID.fullmatch(session_id):
        raise ValueError("this is not the id of an IBL session; it looks like 0802ced5-33a3-405e-8336-b65ebc5cb07c")
    if not (account.username.strip() and account.password):
        raise ValueError(f"give the user name and the password of your account; {ACCOUNT}")
    one_cache().mkdir(parents=True, exist_ok=True)
    asked = {"server": SERVER, "session": session_id, "cache": str(one_cache())} | vars(account)
    with tempfile.TemporaryDirectory(prefix="mtm-one-") as home:
        return _work(json.dumps(asked), home, tell)


def _work(asked: str, home: str, tell: Tell) -> Path:
    environment = {**os.environ, "HOME": home, "USERPROFILE": home, "APPDATA": home}
    command = [sys.executable, "-m", "mtm_core.data.importing.one_worker"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    path, process = "", subprocess.Popen(command, env=environment, text=True, **pipes)
    try:
        process.stdin.write(asked + "\n")
        process.stdin.close()
        for line in process.stdout:
            path = _hear(line, tell) or path
        said = process.stderr.read()
        status = process.wait()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
    if status or not path:
        raise ValueError(_reason(said))
    return Path(path)


def _hear(line: str, tell: Tell) -> str:
    """Pass a line of progress on; the folder, once it says that. ONE prints lines of its own, which are skipped."""
    try:
        said = json.loads(line)
        tell(float(said["share"]), str(said["said"]) or "Downloaded")
        return str(said["path"])
    except (ValueError, KeyError, TypeError):
        return ""


def _reason(said: str) -> str:
    last = next((line for line in reversed(said.splitlines()) if line.strip()), "")
    if any(word in last.lower() for word in ("401", "403", "credential", "password", "username", "authenticat")):
        return f"the server does not know this user name and password; {ACCOUNT}"
    if "NotFound" in last or "404" in last:
        return "the public server has no session with this id; check it, or try BrainWideBench"
    return f"ONE could not fetch the session ({last[:120] or 'it ended without a word'}); run the connection check"

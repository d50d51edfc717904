"""The command line and the environment of the app's server, and that it stops when told to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from mtm_core import paths, serve

DUMMY = {
    "__init__.py": "",
    "main.py": "import panel as pn\nfrom .pages.one import title\npn.pane.Str(title).servable(title=title)\n",
    "pages/__init__.py": "",
    "pages/one.py": "from ..words import WORD\ntitle = WORD\n",
    "words.py": "WORD = 'relative imports work'\n",
}


def test_the_server_listens_on_this_machine_only_by_default():
    command = serve.serve_command()
    assert command[command.index("--address") + 1] == "127.0.0.1"
    assert "--allow-websocket-origin" not in command
    assert Path(command[4]) == paths.app_dir()


def test_another_address_is_the_only_allowed_origin():
    command = serve.serve_command(port=5010, show=False, address="lab.example")
    assert command[command.index("--allow-websocket-origin") + 1] == "lab.example:5010"
    assert "--show" not in command


@pytest.mark.parametrize("address", ["0.0.0.0", "::", ""])
def test_an_address_nobody_can_type_is_refused(address):
    with pytest.raises(ValueError, match="name or address"):
        serve.serve_command(address=address)


def test_waiting_threads_sleep_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert serve.serve_environment()["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert serve.serve_environment()["OMP_WAIT_POLICY"] == "ACTIVE"


def test_the_cache_is_passed_on_as_an_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert serve.serve_environment("recordings")["MTM_CACHE_DIR"] == str(tmp_path / "recordings")


def test_a_wheel_is_searched_before_the_source_tree(tmp_path, monkeypatch):
    package = tmp_path / "mtm_core"
    (tmp_path / "app").mkdir()
    monkeypatch.setattr(paths, "_PACKAGE", package)
    assert paths.app_dir() == tmp_path / "app"
    (package / "_bundle" / "app").mkdir(parents=True)
    assert paths.app_dir() == package / "_bundle" / "app"
    with pytest.raises(FileNotFoundError, match="reinstall"):
        paths.assets_dir()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def page(url: str, seconds: float = 60) -> str:
    """The page at url as soon as it answers."""
    end = time.monotonic() + seconds
    while True:
        try:
            return urllib.request.urlopen(url).read().decode()  # noqa: S310 (a loopback address)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
@pytest.mark.parametrize("how", ["ctrl-c", "sigterm"])
def test_the_app_is_served_from_inside_the_package_and_stops_with_its_starter(tmp_path, how):
    """A dummy app where a wheel puts the real one; Ctrl-C goes to the process group, as from a terminal."""
    for name, source in DUMMY.items():
        file = tmp_path / "site" / "mtm_core" / "_bundle" / "app" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, "utf-8")
    port = free_port()
    code = (
        "import signal, sys; from pathlib import Path; from mtm_core import paths, serve; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); "  # a shell's background jobs ignore Ctrl-C
        f"paths._PACKAGE = Path({str(tmp_path / 'site' / 'mtm_core')!r}); "
        f"sys.exit(serve.serve_app({port}, show=False))"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        assert "<title>relative imports work</title>" in page(f"http://127.0.0.1:{port}/app")
        if how == "ctrl-c":
            os.killpg(starter.pid, signal.SIGINT)
        else:
            starter.terminate()
        assert starter.wait(60) == 0
        with pytest.raises(OSError):
            page(f"http://127.0.0.1:{port}/app", seconds=0)
    finally:
        if starter.poll() is None:
            os.killpg(starter.pid, signal.SIGKILL)

"""Importing mtm_core does nothing but define names: no files, no network, no random numbers, no drawing library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Runs in a fresh interpreter: imports every module of package argv[1] under an audit hook and prints what it did.
PROBE = """
import importlib, json, os, pkgutil, random, sys
import numpy, sklearn.linear_model, torch  # scikit-learn draws a random number when it is imported; that is not ours

package = importlib.util.find_spec(sys.argv[1])
folder = os.path.dirname(package.origin)
project = os.path.dirname(folder)
seen = []

def watch(event, args):
    if event.startswith(("socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.", "os.system")):
        seen.append(f"{event} {args[-1]!r}")
    elif event in ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree"):
        seen.append(f"{event} {args[0]!r}")
    elif event == "open" and isinstance(args[0], str):
        path, mode, flags = args
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        ours = os.path.abspath(path).startswith(project + os.sep) and "site-packages" not in path
        if writes and path != os.devnull or ours and not path.endswith((".py", ".pyc")):
            seen.append(f"open {path!r} {mode}")

def state():
    return repr((random.getstate(), numpy.random.get_state(), torch.get_rng_state().tolist()))

before = state()
sys.addaudithook(watch)
root = importlib.import_module(sys.argv[1])
names = [m.name for m in pkgutil.walk_packages(root.__path__, root.__name__ + ".") if "_bundle" not in m.name]
for name in names:
    importlib.import_module(name)
if state() != before:
    seen.append("random state changed")
seen += [f"imports {m}" for m in ("panel", "bokeh", "holoviews", "datashader", "param", "app") if m in sys.modules]
print(json.dumps({"names": names, "seen": seen}))
"""


def effects(package: str, folder: Path) -> tuple[list[str], list[str]]:
    """(modules imported, what the imports did)"""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", PROBE, package]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["names"], answer["seen"]


def test_importing_the_library_has_no_effects():
    names, seen = effects("mtm_core", ROOT)
    assert "mtm_core.session" in names
    assert seen == []


def test_effects_of_an_import_are_found(tmp_path):
    package = tmp_path / "noisy"
    package.mkdir()
    (package / "settings.json").write_text("{}", "utf-8")
    (package / "__init__.py").write_text("", "utf-8")
    lines = [
        "import os, random, socket, bokeh",
        "here = os.path.dirname(__file__)",
        "open(os.path.join(here, 'settings.json')).read()",
        "open(os.path.join(here, 'log.txt'), 'w').close()",
        "random.random()",
        "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.close()",
    ]
    (package / "module.py").write_text("\n".join(lines), "utf-8")
    _, seen = effects("noisy", tmp_path)
    text = "\n".join(seen)
    for expected in ("settings.json", "log.txt", "random state changed", "socket.bind", "imports bokeh"):
        assert expected in text, f"{expected} not in {seen}"

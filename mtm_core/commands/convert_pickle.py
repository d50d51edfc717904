"""`mtm convert-pickle`: the tensors of a file written by torch.save, as safetensors, without running anything of it.

A pickle is a program. It is opened in a process of its own (pickle_worker.py) that knows no class but those of tensors,
may start nothing, connect to nothing and open no file, and has limits of time, memory and disk.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ..atomic import write_bytes

WORKER = Path(__file__).with_name("pickle_worker.py")
LARGEST_FILE = 8 * 2**30  # bytes
MOST_SECONDS = 1200  # of waiting; the worker has a limit of processor time as well


def run(options: argparse.Namespace) -> int:
    file, out = Path(options.file), Path(options.out)
    _check(file, out)
    with tempfile.TemporaryDirectory(prefix=".convert-", dir=out.absolute().parent) as scratch:
        made = Path(scratch) / "tensors"
        said = _convert(file, made)
        n_tensors = _verified(file, made)
        write_bytes(out, made.read_bytes())
    print(f"{out}: {n_tensors} tensors of {file.name}, {out.stat().st_size:,} bytes{said}")
    return 0


def _check(file: Path, out: Path) -> None:
    if os.name != "posix":
        raise ValueError("pickles are converted on Linux and macOS only, where a process can be limited")
    if not file.is_file():
        raise ValueError(f"{file}: no such file; give one written by torch.save")
    if file.stat().st_size > LARGEST_FILE:
        raise ValueError(f"{file}: {file.stat().st_size} bytes, more than the {LARGEST_FILE} such a file may have")
    if out.suffix != ".safetensors" or not out.absolute().parent.is_dir():
        raise ValueError(f"{out}: give the name of a .safetensors file in a folder that exists")


def _convert(file: Path, made: Path) -> str:
    """Run the worker; returns what it says of things left out, raises ValueError with its refusal."""
    # -I and -S: no environment variables, no packages, nothing from the present folder.
    command = [sys.executable, "-I", "-S", "-B", str(WORKER), str(file.absolute()), str(made)]
    try:
        done = subprocess.run(
            command, env={}, cwd=made.parent, stdin=subprocess.DEVNULL, capture_output=True, timeout=MOST_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"{file}: not converted within {MOST_SECONDS} s; nothing was written") from error
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise ValueError(f"{file}: the converter was stopped by {name}: too much time or memory, or a hostile file")
    lines = done.stderr.decode("ascii", "replace").strip().splitlines()
    if done.returncode:
        raise ValueError(f"{file}: {lines[-1] if lines else 'the converter failed'}; nothing was run or written")
    return done.stdout.decode("ascii", "replace").strip()


def _verified(file: Path, made: Path) -> int:
    """The number of tensors of what was made, once another reader can read it."""
    try:
        with safe_open(made, "np") as found:
            return len(found.keys())
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file}: the converter made no valid file ({error})") from error

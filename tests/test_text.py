"""Files in the repository name no place on anybody's machine and no private package index."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FOLDERS = "home|root|Users|work|opt|mnt|media|srv|data|scratch|tmp|var"
ABSOLUTE = re.compile(rf"(?<![\w.\-/~])/(?:{FOLDERS})/[\w.]")  # not the middle of a URL or of a relative path
WINDOWS = re.compile(r"\b[A-Za-z]:\\{1,2}(?:Users|Documents)\b")
INDEX = re.compile(
    r"(--(extra-)?index-url|--find-links|--trusted-host|artifactory|devpi)\b|//[\w.\-]*(registry|mirror)\."
)


def problems(text: str, name: str) -> list[str]:
    """Lines of a file that name a place of one machine."""
    rules = [ABSOLUTE, WINDOWS, INDEX]
    return [
        f"{name}:{i}: {line.strip()[:100]}"
        for i, line in enumerate(text.splitlines(), 1)
        for r in rules
        if r.search(line)
    ]


def repository_files() -> list[Path]:
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git clone")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_no_file_names_a_place_of_one_machine():
    files = [f for f in repository_files() if f != Path(__file__)]
    assert len(files) > 10
    # latin-1 reads any bytes: a path inside a checkpoint or an image is found as well
    found = [p for f in files for p in problems(f.read_bytes().decode("latin-1"), f.relative_to(ROOT).as_posix())]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "cache = '/home/ann/one'",
        "see /work/main/x.py",
        "open(/tmp/x)",
        r"C:\Users\ann",
        "pip install --extra-index-url there x",
        "https://registry.example.org/simple",
    ],
)
def test_a_place_of_one_machine_is_found(line):
    assert problems(line, "x")


@pytest.mark.parametrize(
    "line",
    [
        "assets/data/x.png",
        "https://example.org/data/x",
        "#!/usr/bin/env bash",
        "mtm_core/data/ibl.py",
        "/path/to/cache",
    ],
)
def test_ordinary_paths_are_not_reported(line):
    assert problems(line, "x") == []

"""Files of one session in a local ONE cache: which exist, which revision counts, how they are read.

ONE keeps the tables (who, when, which files, which revision is the default). The files themselves are read here:
ONE would unpickle object arrays, write to its tables when a file is missing, and hash whole files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy import ndarray

if TYPE_CHECKING:
    from one.api import One

REVISION = re.compile(r"#(?P<name>[^/]*)#/")


class UnreadableFile(ValueError):
    """A file that exists but cannot be read; the message names it."""


@dataclass(frozen=True)
class Folder:
    """The default files of one session: relative path without revision -> path on disk."""

    files: dict[str, Path]

    def __contains__(self, name: str) -> bool:
        return name in self.files

    def collections(self, ending: str) -> list[str]:
        """Collections that hold a file of this name, sorted."""
        return sorted(path.rsplit("/", 1)[0] for path in self.files if path.endswith("/" + ending))

    def find(self, ending: str) -> str | None:
        """Full name of the file of this name, from the shortest collection that has one; None if there is none."""
        found = [path for path in self.files if path.endswith("/" + ending)]
        return min(found, key=lambda path: (len(path), path), default=None)

    def array(self, name: str) -> ndarray:
        """A .npy file. Raises UnreadableFile if it is broken or holds Python objects, KeyError if it is absent."""
        try:
            return np.load(self.files[name], allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise UnreadableFile(f"{name} cannot be read ({error}); copy or export it again") from error

    def table(self, name: str) -> pd.DataFrame:
        """A .pqt or .csv file. Raises UnreadableFile if it is broken, KeyError if it is absent."""
        try:
            return pd.read_csv(self.files[name]) if name.endswith(".csv") else pd.read_parquet(self.files[name])
        except (ValueError, OSError) as error:
            raise UnreadableFile(f"{name} cannot be read ({error}); copy or export it again") from error


def open_cache(cache_dir: str) -> One:
    """The one handle on a cache folder in this process. Reads the tables; no network, no prompt, no writing.

    Raises FileNotFoundError if the folder holds no ONE tables.
    """
    tables = [Path(cache_dir) / name for name in ("sessions.pqt", "datasets.pqt")]
    if not all(table.is_file() for table in tables):
        raise FileNotFoundError(
            f"{cache_dir} holds no ONE cache (sessions.pqt or datasets.pqt is missing); check the folder"
        )
    return _handle(cache_dir, tuple(table.stat().st_mtime_ns for table in tables))


@lru_cache(maxsize=4)
def _handle(cache_dir: str, written: tuple[int, ...]) -> One:
    """A handle is kept until the tables are written anew."""
    # ONE takes a second to import, which somebody who only simulates need not wait for.
    from one.api import One

    return One(cache_dir=cache_dir, mode="local")


def open_folder(cache_dir: str, session_id: str) -> Folder:
    """Default revisions of the files of a session that are really on disk. Raises KeyError for an unknown session."""
    one = open_cache(cache_dir)
    root = one.eid2path(session_id)
    if root is None:
        raise KeyError(session_id)
    datasets = one.list_datasets(session_id, details=True)
    defaults = datasets["default_revision"] if "default_revision" in datasets else np.zeros(len(datasets), bool)
    chosen = _default_revisions(zip(datasets["rel_path"], defaults, strict=True))
    return Folder({name: path for name, rel in chosen.items() if (path := Path(root) / rel).is_file()})


def _default_revisions(rows: Iterable[tuple[str, bool]]) -> dict[str, str]:
    """Path without revision -> path of the default revision, or of the last one where no default is marked."""
    best: dict[str, tuple[bool, str, str]] = {}
    for path, is_default in rows:
        found = REVISION.search(path)
        candidate = (bool(is_default), found["name"] if found else "", path)
        name = REVISION.sub("", path)
        best[name] = max(best.get(name, candidate), candidate)
    return {name: path for name, (_, _, path) in best.items()}

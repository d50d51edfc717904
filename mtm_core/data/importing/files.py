"""The files below one folder of a user: nothing outside it is read, nothing at all is written."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from numpy import ndarray

from ..alf import Folder, UnreadableFile
from .arrays import NUMBERS, read_npy

MOST_FILES = 20_000
DEEPEST = 10  # folders below the one that was given
LARGEST_TABLE = 256 * 2**20  # bytes
MOST_COLUMNS, MOST_ROWS = 2_000, 5_000_000
NAME = 64  # characters of a column that are kept


@dataclass(frozen=True)
class Files(Folder):
    """Readable files by path relative to `root`, with forward slashes; what was left out is said in `notes`.

    As a `Folder` it serves the readers of ALF; here every array and table is checked before it is read.
    """

    root: Path = Path()
    notes: tuple[str, ...] = ()

    def array(self, name: str, kinds: str = NUMBERS) -> ndarray:
        return read_npy(self.files[name], name, kinds)

    def table(self, name: str) -> pd.DataFrame:
        """A .pqt, .csv or .tsv file; raises UnreadableFile if it is broken or too large."""
        path = self.files[name]
        try:
            if path.stat().st_size > LARGEST_TABLE:
                raise UnreadableFile(f"{name} has more than the {LARGEST_TABLE >> 20} MB that a table may have")
            found = _parquet(path, name) if path.suffix in (".pqt", ".parquet") else _text_table(path, name)
        except UnreadableFile:
            raise
        except Exception as error:  # parsers of tables fail in many ways
            reason = str(error).split("\n")[0][:120]
            raise UnreadableFile(f"{name} is not a table that can be read ({reason}); export it again") from error
        found.columns = [str(column)[:NAME] for column in found.columns]
        return found

    def text(self, name: str, largest: int = 2**20) -> str:
        """A small text file; raises UnreadableFile."""
        path = self.files[name]
        try:
            if path.stat().st_size > largest:
                raise UnreadableFile(f"{name} is larger than a file of this kind is; check the folder")
            return path.read_text("utf-8", errors="replace")
        except OSError as error:
            raise UnreadableFile(f"{name} cannot be read ({error.strerror}); check its permissions") from error

    def named(self, pattern: str) -> list[str]:
        """Files whose own name matches, those nearest to the root first."""
        found = [name for name in self.files if re.fullmatch(pattern, name.rsplit("/", 1)[-1], re.IGNORECASE)]
        return sorted(found, key=lambda name: (name.count("/"), name))


def _parquet(path: Path, name: str) -> pd.DataFrame:
    from pyarrow.parquet import ParquetFile

    about = ParquetFile(path).metadata
    if about.num_columns > MOST_COLUMNS or about.num_rows > MOST_ROWS:
        size = f"{about.num_rows:,} rows and {about.num_columns:,} columns"
        raise UnreadableFile(f"{name} has {size}; at most {MOST_ROWS:,} rows and {MOST_COLUMNS:,} columns")
    return pd.read_parquet(path)


def _text_table(path: Path, name: str) -> pd.DataFrame:
    separator = "\t" if path.suffix == ".tsv" else ","
    with path.open("rb") as file:
        head = file.readline(2**20)
    if head.count(separator.encode()) >= MOST_COLUMNS:
        raise UnreadableFile(f"{name} has more than {MOST_COLUMNS:,} columns; keep those that are needed")
    return pd.read_csv(path, sep=separator, nrows=MOST_ROWS)


def gather(given: str | Path) -> Files:
    """The files below a folder, or one file; ValueError in one sentence for what cannot be looked at.

    Links that lead out of the folder, and linked folders, are not followed and said.
    """
    path = Path(given).expanduser()
    try:
        root = path.resolve(strict=True)
        if root.is_file():
            return Files({root.name: root}, root.parent)
        if not root.is_dir():
            raise ValueError(f"{path.name or path} is neither a folder nor a file; give the folder of one recording")
        found, notes = _walk(root)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        reason = "there is no such folder" if isinstance(error, FileNotFoundError) else "it cannot be opened"
        raise ValueError(f"{path.name or path}: {reason}; check the path and its permissions") from error
    if not found:
        raise ValueError(f"{path.name or path} holds no file; give the folder of one recording")
    return Files(found, root, notes)


def _walk(root: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    found: dict[str, Path] = {}
    skipped: list[str] = []
    todo = [(root, 0)]
    while todo:
        folder, depth = todo.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                path = Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    if depth < DEEPEST:
                        todo.append((path, depth + 1))
                elif _readable(entry, root):
                    found[path.relative_to(root).as_posix()] = path
                elif entry.is_symlink():
                    skipped.append(path.relative_to(root).as_posix())
        if len(found) > MOST_FILES:
            raise ValueError(f"there are more than {MOST_FILES:,} files below it; give the folder of one recording")
    what = ", ".join(skipped[:3]) + (", ..." if len(skipped) > 3 else "")
    notes = (f"{len(skipped)} links were not followed ({what}); put the files themselves into the folder",)
    return found, notes if skipped else ()


def _readable(entry: os.DirEntry, root: Path) -> bool:
    """A file, or a link to a file within the same folder."""
    try:
        return entry.is_file() and (not entry.is_symlink() or Path(entry.path).resolve().is_relative_to(root))
    except (OSError, RuntimeError):
        return False

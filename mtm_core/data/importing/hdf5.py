"""HDF5 files of strangers: sizes, links and filters are looked at before anything is read.

An HDF5 file can name other files to read from (external links, external storage, virtual datasets) and plugins to load
(filters). None of these is followed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from ..alf import UnreadableFile
from .arrays import LARGEST_ARRAY, NUMBERS

if TYPE_CHECKING:
    import h5py

OWN_FILTERS = {1, 2, 3, 4, 5, 6, 32000}  # of HDF5 itself, and lzf, which h5py brings
LARGEST_CHUNK = 512 * 2**20  # bytes; HDF5 unpacks whole chunks
MOST_TEXTS = 5_000_000
MOST_NAMES = 5_000  # in one group
MOST_LINKS = 8  # one after the other
LONGEST_TEXT = 256


@contextmanager
def opened(path: object, name: str) -> Iterator[Tree]:
    """The file for reading, without lock; raises UnreadableFile for what is no HDF5 file or is damaged."""
    import h5py

    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        reason = "is cut off" if "truncated" in str(error) else "is not an HDF5 file or is damaged"
        raise UnreadableFile(f"{name} {reason}; copy or download it again") from error
    with file:
        try:
            yield Tree(file, name)
        except (OSError, RuntimeError, KeyError, TypeError, MemoryError) as error:  # what h5py makes of a broken file
            reason = str(error).split("\n")[0][:100]
            raise UnreadableFile(f"{name} is damaged ({reason}); copy or download it again") from error


class Tree:
    """Groups and datasets by path."""

    def __init__(self, file: h5py.File, name: str) -> None:
        self.file, self.name = file, name

    def names(self, path: str) -> list[str]:
        """Names in a group; empty if there is none."""
        found = self.find(path)
        if found is None or not hasattr(found, "keys"):
            return []
        if len(found) > MOST_NAMES:
            raise UnreadableFile(f"{path} in {self.name} has {len(found):,} entries; at most {MOST_NAMES:,}")
        return [str(name) for name in found]

    def find(self, path: str, links: int = 0) -> h5py.Group | h5py.Dataset | None:
        """What lies at a path, over links within the file only; None if there is nothing."""
        import h5py

        here, done = self.file, ""
        parts = [part for part in path.split("/") if part]
        for place, part in enumerate(parts):
            link = here.get(part, getlink=True) if isinstance(here, h5py.Group) else None
            if link is None:
                return None
            if isinstance(link, h5py.ExternalLink):
                raise UnreadableFile(f"{path} in {self.name} lies in another file; export everything into one file")
            if isinstance(link, h5py.SoftLink):
                if links >= MOST_LINKS:
                    raise UnreadableFile(f"{path} in {self.name} is a chain of links without end; export it again")
                target = link.path if link.path.startswith("/") else f"{done}/{link.path}"
                return self.find("/".join([target, *parts[place + 1 :]]), links + 1)
            here, done = here[part], f"{done}/{part}"
        return here

    def attribute(self, path: str, name: str) -> object:
        """An attribute, None where there is none; text cut short."""
        found = self.find(path)
        value = found.attrs.get(name) if found is not None else None
        value = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        return value[:LONGEST_TEXT] if isinstance(value, str) else value

    def numbers(self, path: str) -> ndarray | None:
        """A dataset of numbers; None if there is none or it holds something else."""
        data = self._dataset(path)
        if data is None or data.dtype.kind not in NUMBERS:
            return None
        return np.asarray(data[()], dtype=data.dtype.newbyteorder("="))

    def texts(self, path: str) -> ndarray | None:
        """A dataset of text (n,) as str, each cut short; None if there is none or it holds something else."""
        import h5py

        data = self._dataset(path)
        is_text = data is not None and (h5py.check_string_dtype(data.dtype) is not None or data.dtype.kind == "S")
        if not is_text or data.size > MOST_TEXTS:
            return None
        found = np.atleast_1d(data.asstr("utf-8", "replace")[()] if data.dtype.kind == "O" else data[()])
        return np.array([_text(value) for value in found.ravel()], dtype=object)

    def _dataset(self, path: str) -> h5py.Dataset | None:
        """A dataset that is safe to read."""
        import h5py

        data = self.find(path)
        if not isinstance(data, h5py.Dataset) or data.shape is None:
            return None
        where, stored = f"{path} in {self.name}", data.id.get_create_plist()
        if data.is_virtual or stored.get_external_count():
            raise UnreadableFile(f"{where} lies in another file; export everything into one file")
        filters = [stored.get_filter(i)[0] for i in range(stored.get_nfilters())]
        if foreign := set(filters) - OWN_FILTERS:
            raise UnreadableFile(f"{where} is packed by a plugin (filter {min(foreign)}); export it with gzip")
        n_bytes = math.prod(data.shape) * max(data.dtype.itemsize, 1)
        chunk = math.prod(data.chunks or (1,)) * max(data.dtype.itemsize, 1)
        if n_bytes > LARGEST_ARRAY or chunk > LARGEST_CHUNK:
            size = f"{max(n_bytes, chunk) / 2**30:.1f} GB"
            raise UnreadableFile(f"{where} would need {size} of memory; at most {LARGEST_ARRAY >> 30} GB can be read")
        return data


def _text(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text[:LONGEST_TEXT]

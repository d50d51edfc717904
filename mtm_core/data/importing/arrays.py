"""Numpy files of strangers: the header is checked against the size of the file before memory is taken.

`numpy.load` believes the header: one that announces 10^12 numbers asks for 8 TB, and an archive of 1 MB may unpack to
1 GB. Python objects, which could run code when read, are refused by their type.
"""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from io import BufferedIOBase, BytesIO
from pathlib import Path

import numpy as np
from numpy import ndarray
from numpy.lib import format as npy

from ..alf import UnreadableFile

NUMBERS = "biuf"  # kinds of dtype: bool, int, unsigned, float
TEXT = "US"
LARGEST_HEADER = 16_384  # bytes
LARGEST_ARRAY = 2 * 2**30  # bytes; the most spikes that are read have 1.6 GB
MOST_MEMBERS = 10_000
LARGEST_ARCHIVE = 8 * 2**30  # bytes, unpacked
WORST_RATIO = 100  # unpacked to packed; deflate reaches 1030 on zeros, which small archives may
SMALL_ARCHIVE = 64 * 2**20  # bytes, unpacked


def read_npy(path: Path, name: str, kinds: str = NUMBERS) -> ndarray:
    """A .npy file of the given kinds of dtype, in this machine's byte order; raises UnreadableFile naming the file."""
    try:
        with path.open("rb") as file:
            return _read(file, os.fstat(file.fileno()).st_size, name, kinds)
    except OSError as error:
        raise UnreadableFile(f"{name} cannot be read ({error.strerror}); check the file and its permissions") from error


def _read(stream: BufferedIOBase, size: int, name: str, kinds: str) -> ndarray:
    shape, fortran, dtype, start = _header(stream, name)
    if dtype.hasobject:
        raise UnreadableFile(f"{name} holds Python objects, which could run code; save it as plain numbers")
    if dtype.kind not in kinds or dtype.itemsize == 0:
        wanted = "numbers or names" if TEXT in kinds else "numbers"
        raise UnreadableFile(f"{name} holds {dtype} instead of {wanted}; save it as a plain array")
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes != size - start:
        raise UnreadableFile(
            f"{name} announces {math.prod(shape):,} values but holds {max(0, size - start) // dtype.itemsize:,}; "
            "it is damaged or incomplete: copy it again"
        )
    if n_bytes > LARGEST_ARRAY:
        raise UnreadableFile(f"{name} has {n_bytes / 2**30:.1f} GB; an array may have {LARGEST_ARRAY >> 30} GB")
    flat = np.frombuffer(stream.read(n_bytes), dtype=dtype)
    if flat.size != math.prod(shape):
        raise UnreadableFile(f"{name} ends before its last value; copy it again")
    found = flat.reshape(shape, order="F" if fortran else "C")
    return found.astype(dtype.newbyteorder("=")) if not dtype.isnative else found


def _header(stream: BufferedIOBase, name: str) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, order, dtype, and where the values begin (bytes)."""
    magic = stream.read(8)
    if len(magic) < 8 or magic[:6] != b"\x93NUMPY":
        raise UnreadableFile(f"{name} is not a numpy array (or was cut off); export or copy it again")
    first, reads = {1: (2, npy.read_array_header_1_0), 2: (4, npy.read_array_header_2_0)}.get(magic[6], (0, None))
    length = stream.read(first)
    n_header = int.from_bytes(length, "little")
    if reads is None or len(length) < first or n_header > LARGEST_HEADER:
        raise UnreadableFile(f"{name} has no header that a plain numpy array has; save it again with numpy.save")
    try:
        shape, fortran, dtype = reads(BytesIO(length + stream.read(n_header)))
        sound = len(shape) <= 8 and all(type(n) is int and n >= 0 for n in shape)
    except Exception as error:  # numpy evaluates the header as a literal, which may fail in many ways
        raise UnreadableFile(f"{name} has a header that cannot be read; save it again with numpy.save") from error
    if not sound:
        raise UnreadableFile(f"{name} announces an impossible shape; save it again with numpy.save")
    return shape, bool(fortran), dtype, 8 + first + n_header


class Archive:
    """The arrays of an .npz file by name; members are read when asked for."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self.members = self._checked()

    def _checked(self) -> dict[str, zipfile.ZipInfo]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                listed = archive.infolist()
        except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
            raise UnreadableFile(f"{self.name} is not an .npz archive or is damaged; save or copy it again") from error
        if len(listed) > MOST_MEMBERS:
            raise UnreadableFile(f"{self.name} holds {len(listed):,} arrays, more than the {MOST_MEMBERS:,} allowed")
        total = sum(member.file_size for member in listed)
        if total > LARGEST_ARCHIVE:
            raise UnreadableFile(f"{self.name} unpacks to {total / 2**30:.1f} GB; at most {LARGEST_ARCHIVE >> 30} GB")
        if total > SMALL_ARCHIVE and total > WORST_RATIO * self.path.stat().st_size:
            raise UnreadableFile(
                f"{self.name} unpacks to {total / 2**20:,.0f} MB, over {WORST_RATIO} times its size, as archives do "
                "that are made to fill a memory; save it with numpy.savez"
            )
        names = [member.filename.removesuffix(".npy") for member in listed]
        if len(set(names)) != len(names):
            raise UnreadableFile(f"{self.name} holds two arrays of one name; save each once")
        return {name: member for name, member in zip(names, listed, strict=True) if member.filename.endswith(".npy")}

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def array(self, name: str, kinds: str = NUMBERS) -> ndarray:
        """One array; raises UnreadableFile."""
        member, shown = self.members[name], f"{name} in {self.name}"
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(member) as stream:
                return _read(stream, member.file_size, shown, kinds)
        except (OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
            raise UnreadableFile(f"{shown} is damaged ({type(error).__name__}); save or copy it again") from error

"""Run by `mtm convert-pickle` in a process of its own: tensors of a torch.save file as safetensors. Plain Python only.

Nothing of the file is run. The unpickler finds no class or function but the few below: those that describe tensors, and
one inert stand-in for everything else, which keeps what it is given so that modules can be walked. Should that fail,
there are two more walls: limits of time, memory, disk and processes, and an audit hook that refuses every file,
process, socket and import from the moment the file is opened.

torch.save writes an uncompressed zip file with a pickle `data.pkl` and one entry `data/<key>` per storage.
"""

from __future__ import annotations

import codecs
import io
import json
import math
import os
import pickle  # noqa: S403  # the one place; see above
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, BinaryIO

MEMORY, MEMORY_PER_BYTE = 512 * 2**20, 2  # bytes of address space: what Python takes, and twice the file
CPU_SECONDS = 300
LARGEST_PICKLE = 64 * 2**20  # bytes of data.pkl, which holds no numbers of tensors
LARGEST_OUTPUT = 8 * 2**30  # bytes
MOST_VALUES, MOST_AXES, DEEPEST, LONGEST_NAME = 1_000_000, 8, 64, 500
# torch's name of a storage -> (name in safetensors, bytes per number)
STORAGES = {
    "DoubleStorage": ("F64", 8),
    "FloatStorage": ("F32", 4),
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "LongStorage": ("I64", 8),
    "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2),
    "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1),
}
# No weights name these by accident. Safety does not depend on the lists: none of it would be run anyway.
HOSTILE_MODULES = set(
    "os posix nt io _io sys subprocess multiprocessing socket shutil ctypes pty runpy importlib".split()
)
HOSTILE_MODULES |= set("code codeop commands webbrowser pickle _pickle marshal pip".split())
HOSTILE_BUILTINS = {"eval", "exec", "execfile", "compile", "__import__", "open", "file", "input", "breakpoint"}


class Refused(Exception):
    """A sentence for the user."""


class StandIn:
    """Anything that is no tensor. It keeps what it was made with and its state, and does nothing."""

    def __new__(cls, *given: Any) -> StandIn:
        made = object.__new__(cls)
        made.given, made.state = given, None
        return made

    def __init__(self, *given: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, name: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        pass


class Sealed:
    """What was checked when it was made cannot be changed by the rest of a pickle."""

    def __setstate__(self, state: Any) -> None:
        raise Refused("changes a tensor's description: damaged or hostile")


class Storage(Sealed):
    """A storage in the zip file: its key there, the kind of its numbers, and how many there are."""

    def __init__(self, key: str, kind: tuple[str, int], n_numbers: int) -> None:
        self.key, (self.dtype, self.width), self.n_numbers = key, kind, n_numbers


class Tensor(Sealed):
    """Where a tensor's numbers lie in a storage."""

    def __init__(self, storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        sound = isinstance(storage, Storage) and isinstance(shape, tuple) and isinstance(strides, tuple)
        if not sound or not len(shape) == len(strides) <= MOST_AXES or not _whole((offset, *shape, *strides)):
            raise Refused("a tensor's description is damaged")
        last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
        if 0 not in shape and last >= storage.n_numbers:
            raise Refused("a tensor reaches beyond the numbers that the file holds")
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides
        self.n_bytes = math.prod(shape) * storage.width


def _whole(numbers: tuple[Any, ...]) -> bool:
    return all(type(n) is int and 0 <= n < 2**48 for n in numbers)


def rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> Tensor:
    """torch._utils._rebuild_tensor_v2; the rest are gradients and hooks."""
    return Tensor(storage, offset, shape, strides)


def rebuild_parameter(tensor: Any, *rest: Any) -> Any:
    """torch._utils._rebuild_parameter"""
    return tensor


KNOWN: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
    ("collections", "OrderedDict"): OrderedDict,
    **{("torch", name): kind for name, kind in STORAGES.items()},
}


class Reader(pickle.Unpickler):  # noqa: S301
    """Knows what tensors need; everything else is a stand-in."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in KNOWN:
            return KNOWN[module, name]
        builtin = module in ("builtins", "__builtin__")
        if module.split(".")[0] in HOSTILE_MODULES or (builtin and name in HOSTILE_BUILTINS):
            raise Refused(f"asks for {ascii(f'{module}.{name}')[:100]}, which no weights need: a hostile file")
        return StandIn

    def persistent_load(self, given: Any) -> Storage:
        if not (isinstance(given, tuple) and len(given) == 5 and given[0] == "storage" and _whole(given[4:])):
            raise Refused("a storage's description is damaged")
        _, kind, key, _, n_numbers = given
        if kind not in STORAGES.values():
            raise Refused("holds tensors of a kind that cannot be converted; save them as plain float32 tensors")
        return Storage(key, kind, n_numbers)


def tensors_in(root: Any) -> tuple[dict[str, Tensor], int]:
    """name -> Tensor of all that a state dict or a module holds, and how many values are neither."""
    found: dict[str, Tensor] = {}
    n_seen = n_other = 0
    waiting = [("", weights_of(root), 0)]
    while waiting:
        name, value, depth = waiting.pop()
        n_seen += 1
        if depth > DEEPEST or n_seen + len(waiting) > MOST_VALUES:
            raise Refused("holds too many values, or values too deep in each other or in themselves")
        if isinstance(value, Tensor):
            if not name or len(name) > LONGEST_NAME or name == "__metadata__" or name in found:
                raise Refused(f"a tensor has an impossible name, {ascii(name)[:60]}")
            found[name] = value
        elif isinstance(value, dict) or is_module(value):
            waiting += [(f"{name}.{key}" if name else key, each, depth + 1) for key, each in reversed(members(value))]
        else:
            n_other += 1
    if not found:
        raise Refused("holds no tensors under names: neither a state dict nor a module")
    return found, n_other


def weights_of(root: Any) -> Any:
    """The model of a training checkpoint, which may hold an optimizer and numbers as well."""
    for name in ("model", "state_dict"):
        if isinstance(root, dict) and (isinstance(root.get(name), dict) or is_module(root.get(name))):
            return root[name]
    return root


def is_module(value: Any) -> bool:
    return isinstance(value, StandIn) and isinstance(value.state, dict) and "_modules" in value.state


def members(value: Any) -> list[tuple[str, Any]]:
    """(name, value) in a dict, or of a module its parameters, saved buffers and modules."""
    if isinstance(value, dict):
        return [(key, each) for key, each in value.items() if isinstance(key, str)]
    unsaved = value.state.get("_non_persistent_buffers_set")
    unsaved = unsaved.given[0] if isinstance(unsaved, StandIn) and unsaved.given else []
    unsaved = unsaved if isinstance(unsaved, list) else []
    parts = [value.state.get(part) for part in ("_parameters", "_buffers", "_modules")]
    items = [item for part in parts if isinstance(part, dict) for item in part.items()]
    return [(key, each) for key, each in items if isinstance(key, str) and each is not None and key not in unsaved]


def numbers(tensor: Tensor, data: bytes) -> Iterator[memoryview | bytes]:
    """The bytes of a tensor in the order of its axes."""
    width, shape, strides = tensor.storage.width, tensor.shape, tensor.strides
    if 0 in shape:
        return
    expected = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    if all(n == 1 or stride == wanted for n, stride, wanted in zip(shape, strides, expected, strict=True)):
        yield memoryview(data)[tensor.offset * width : tensor.offset * width + tensor.n_bytes]
        return
    whole = memoryview(data)[: len(data) // width * width].cast({1: "B", 2: "H", 4: "I", 8: "Q"}[width])
    for row in range(math.prod(shape[:-1])):
        first, rest = tensor.offset, row
        for n, stride in zip(reversed(shape[:-1]), reversed(strides[:-1]), strict=True):
            rest, place = divmod(rest, n)
            first += place * stride
        step = strides[-1]
        yield whole[first : first + (shape[-1] - 1) * step + 1 : step or 1].tobytes() * (1 if step else shape[-1])


def entry(archive: zipfile.ZipFile, name: str, largest: int) -> bytes:
    """An entry of the zip file; compressed ones could be far larger than the file."""
    if name not in archive.NameToInfo:
        raise Refused(f"lacks its part {ascii(name)[:60]}: damaged, or not written by torch.save")
    info = archive.NameToInfo[name]
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > largest:
        raise Refused("has a compressed or too large part, which torch.save never writes")
    return archive.read(info)


def write(out: BinaryIO, archive: zipfile.ZipFile, folder: str, found: dict[str, Tensor]) -> None:
    """The tensors as a safetensors file: length of the header, header, numbers."""
    header, end = {}, 0
    for name, tensor in found.items():
        begin, end = end, end + tensor.n_bytes
        header[name] = {"dtype": tensor.storage.dtype, "shape": tensor.shape, "data_offsets": [begin, end]}
    if end > LARGEST_OUTPUT:
        raise Refused(f"its tensors would take {end} bytes, more than the {LARGEST_OUTPUT} they may")
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    out.write(len(text).to_bytes(8, "little") + text)
    for tensor in found.values():
        data = entry(archive, f"{folder}/data/{tensor.storage.key}", LARGEST_OUTPUT)
        if len(data) < tensor.storage.n_numbers * tensor.storage.width:
            raise Refused("a storage holds fewer numbers than the file says")
        out.writelines(numbers(tensor, data))


def limit(n_bytes: int) -> None:
    """Limits of this process, which it cannot raise again; n_bytes: size of the file."""
    import resource  # absent on Windows, where the command refuses

    limits = {"CPU": CPU_SECONDS, "AS": MEMORY + MEMORY_PER_BYTE * n_bytes, "FSIZE": 2 * LARGEST_OUTPUT}
    for name, most in {**limits, "NPROC": 0, "CORE": 0}.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def refuse(event: str, given: tuple[Any, ...]) -> None:
    """An audit hook: from here on Python itself may open, start, connect and import nothing."""
    raise Refused(f"tried {ascii(event)[:60]}, which no weights need: a hostile file")


def convert(source: str, target: str) -> int:
    """The whole work; returns how many values were left out. Raises Refused."""
    limit(os.path.getsize(source))
    codecs.lookup("cp437")  # of names in zip files, loaded before imports are refused
    with open(source, "rb") as file, open(target, "wb") as out:
        sys.addaudithook(refuse)
        if not zipfile.is_zipfile(file):
            raise Refused("not a zip file as torch.save has written since 2020")
        archive = zipfile.ZipFile(file)
        folder = next((name[: -len("/data.pkl")] for name in archive.namelist() if name.endswith("/data.pkl")), "")
        program = io.BytesIO(entry(archive, f"{folder}/data.pkl", LARGEST_PICKLE))
        if f"{folder}/byteorder" in archive.NameToInfo and entry(archive, f"{folder}/byteorder", 16) != b"little":
            raise Refused("written on a big-endian machine; save it again on another")
        found, n_other = tensors_in(Reader(program).load())
        write(out, archive, folder, found)
    return n_other


def main(source: str, target: str) -> None:
    """Exit status 0 with what was left out on standard output, or 3 with a sentence on standard error."""
    text, status = "", 3
    try:
        n_other = convert(source, target)
        text, status = (f"; {n_other} other values left out" if n_other else ""), 0
    except Refused as error:
        text = str(error)
    except MemoryError:
        text = "needs more memory than weights of its size: damaged or hostile"
    except Exception as error:  # a damaged pickle fails in any way it likes
        text = f"damaged, or not written by torch.save ({ascii(error)[:100]})"
    os.write(2 if status else 1, text.encode("ascii", "replace") + b"\n")
    os._exit(status)  # at once: Python's own cleaning up would meet the audit hook


if __name__ == "__main__":
    main(*sys.argv[1:])

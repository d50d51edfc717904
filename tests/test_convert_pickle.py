"""`mtm convert-pickle`: tensors come out as they went in, and nothing that a file asks for is ever run."""

from __future__ import annotations

import builtins
import os
import pickle
import pickletools
import subprocess
import sys
import zipfile
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_released import config_json, small_config, small_released
from torch import nn

from mtm_core.commands import convert_pickle, pickle_worker
from mtm_core.compat import read_released

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a process can be limited on Linux and macOS only")


class Net(nn.Module):
    """A module with all that a walk may meet."""

    def __init__(self):
        super().__init__()
        self.first, self.more = nn.Linear(3, 4, bias=False), nn.ModuleList([nn.GELU(), nn.Embedding(5, 2)])
        self.names = nn.ModuleDict({"48": nn.Linear(2, 2)})
        self.register_buffer("kept", torch.arange(3))
        self.register_buffer("unsaved", torch.ones(2), persistent=False)
        self.act, self.where, self.kind, self.bound = (
            nn.functional.softsign,
            torch.device("cpu"),
            torch.half,
            self.forward,
        )

    def forward(self, x):
        raise AssertionError("nothing of the file is run")

    def __setstate__(self, state):
        raise AssertionError("nothing of the file is run")


def converted(file):
    out = file.with_suffix(".safetensors")
    assert convert_pickle.run(Namespace(file=str(file), out=str(out))) == 0
    return load_file(out)


def refused(file, said):
    """Refused with these words, and with nothing written."""
    out = file.with_suffix(".safetensors")
    before = {p.name for p in file.parent.iterdir()}
    with pytest.raises(ValueError, match=said) as caught:
        convert_pickle.run(Namespace(file=str(file), out=str(out)))
    assert {p.name for p in file.parent.iterdir()} == before
    assert "Traceback" not in str(caught.value)


def packed(folder, program, *, entries=(), compression=zipfile.ZIP_STORED, root="archive"):
    """A file like those of torch.save, with any program as its pickle."""
    file = folder / "hostile.pt"
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr(f"{root}/data.pkl", program)
        for name, data in dict(entries).items():
            archive.writestr(f"{root}/{name}", data)
    return file


def same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype and torch.equal(found[name], value), name


# --- what it is for ---------------------------------------------------------------------------------------------------


def test_a_state_dict_comes_out_as_it_went_in(tmp_path):
    torch.save(Net().state_dict() | {"epoch": 3}, tmp_path / "a.pt")
    torch.manual_seed(0)
    expected = Net().state_dict()
    torch.save(expected, tmp_path / "b.pt")
    same(converted(tmp_path / "b.pt"), expected)
    assert "epoch" not in converted(tmp_path / "a.pt")


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: {"model": m, "epoch": 3}, lambda m: {"state_dict": m}])
def test_a_whole_module_comes_out_as_its_state_dict(tmp_path, wrap):
    net = Net()
    torch.save(wrap(net), tmp_path / "a.pt")
    same(converted(tmp_path / "a.pt"), net.state_dict())


def test_every_layout_and_type_comes_out_right(tmp_path):
    base = torch.arange(120.0)
    kinds = (
        torch.float64,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
    )
    tensors = {str(kind): torch.arange(6).to(kind).view(2, 3) for kind in kinds}
    tensors |= {
        "bool": torch.tensor([True, False, True]),
        "permuted": base.view(2, 3, 20).permute(2, 0, 1),
        "transposed": base[:12].view(3, 4).T,
        "every other": base[3:40:2],
        "columns": base.view(12, 10)[:, 2:5],
        "expanded": base[:3, None].expand(3, 5),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "half transposed": torch.arange(6).half().view(2, 3).T,
        "views": base[5:7],
    }
    torch.save(tensors, tmp_path / "a.pt")
    same(converted(tmp_path / "a.pt"), tensors)


def test_a_released_pickle_becomes_weights_that_can_be_imported(tmp_path):
    model = small_released()
    torch.save({"model": model, "epoch": 1}, tmp_path / "best.pt")
    (tmp_path / "config.json").write_text(config_json(small_config()), "utf-8")
    converted(tmp_path / "best.pt")
    same(read_released(tmp_path / "best.safetensors", tmp_path / "config.json").state_dict(), model.state_dict())


def test_what_is_left_out_is_counted(tmp_path, capsys):
    torch.save({"a": torch.ones(2), "n": 3, "text": "x"}, tmp_path / "a.pt")
    converted(tmp_path / "a.pt")
    assert "1 tensors of a.pt" in (said := capsys.readouterr().out) and "2 other values left out" in said


# --- hostile programs -------------------------------------------------------------------------------------------------


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *given):
        self.call = (function, given)

    def __reduce__(self):
        return self.call


def mark(canary):
    return f"open({str(canary)!r}, 'w').close()"


CALLS = {
    "os.system": lambda canary: Call(os.system, f"touch {canary}"),
    "eval": lambda canary: Call(eval, mark(canary)),
    "exec": lambda canary: Call(exec, mark(canary)),
    "open": lambda canary: Call(open, str(canary), "w"),
    "__import__": lambda canary: Call(builtins.__import__, "antigravity"),
    "subprocess": lambda canary: Call(subprocess.check_call, ["touch", str(canary)]),
    "os.remove": lambda canary: Call(os.remove, __file__),
    "pickle.loads": lambda canary: Call(pickle.loads, pickle.dumps(Call(os.system, f"touch {canary}"))),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_program_in_a_pickle_is_not_run(tmp_path, name, protocol):
    canary = tmp_path / "canary"
    program = pickle.dumps({"a": CALLS[name](canary)}, protocol)
    refused(packed(tmp_path, program), "hostile.pt: asks for .*a hostile file; nothing was run or written")
    assert not canary.exists()


def test_the_same_program_does_run_where_pickles_are_trusted(tmp_path):
    """Otherwise the tests above could not fail."""
    pickle.loads(pickle.dumps(CALLS["os.system"](tmp_path / "canary")))
    assert (tmp_path / "canary").exists()


def test_a_program_behind_real_weights_is_not_run_either(tmp_path):
    canary = tmp_path / "canary"
    torch.save({"w": torch.ones(3), "x": CALLS["os.system"](canary)}, tmp_path / "a.pt")
    refused(tmp_path / "a.pt", "asks for 'posix.system'")
    assert not canary.exists()


class Unknown:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return (Unknown, (self.canary,), {"canary": self.canary})

    def __setstate__(self, state):
        Path(state["canary"]).touch()


def test_a_class_of_any_name_stays_inert_and_the_weights_beside_it_come_out(tmp_path):
    canary = tmp_path / "canary"
    torch.save({"w": torch.ones(3), "x": Unknown(str(canary)), "y": [Call(getattr, "a", "upper")]}, tmp_path / "a.pt")
    same(converted(tmp_path / "a.pt"), {"w": torch.ones(3)})
    assert not canary.exists()


OPCODES = {
    "a class's attributes": b"cbuiltins\nset\n(N}Vgiven\nVx\nstb.",
    "its state": b"cbuiltins\nset\n}Vgiven\nVx\nsb.",
    "a function's defaults": b"ctorch._utils\n_rebuild_tensor_v2\n(N}V__defaults__\n)sts" + b"b.",
    "a function's code": b"ctorch._utils\n_rebuild_tensor_v2\nN}V__code__\nNs\x86b.",
    "a call of a number": b"K\x01)R.",
    "an extension": b"\x82\x01.",
    "a huge memo": b"Nr\xff\xff\xff\x7f.",
    "a huge text": b"\x8d" + (2**62).to_bytes(8, "little") + b".",
    "a huge number": b"\x8b" + (2**31 - 1).to_bytes(4, "little") + b".",
    "a huge frame": b"\x80\x04\x95" + (2**63 - 1).to_bytes(8, "little") + b".",
    "an unknown persistent id": b"Va\nQ.",
    "nothing": b"",
    "no end": b"N",
    "no stack": b".",
    "just a number": b"K\x01.",
}


@pytest.mark.parametrize("program", OPCODES.values(), ids=OPCODES)
def test_damaged_and_contrived_programs_are_refused(tmp_path, program):
    refused(packed(tmp_path, program), r"hostile\.pt: .*(damaged|memory|no tensors)")


def test_deep_and_endless_values_are_refused(tmp_path):
    endless = {"w": torch.ones(1)}
    endless["again"] = endless
    torch.save(endless, tmp_path / "a.pt")
    refused(tmp_path / "a.pt", "too deep in each other or in themselves")
    doubled = {}
    for _ in range(60):  # 2**60 ways through 60 dicts
        doubled = {"a": doubled, "b": doubled}
    refused(packed(tmp_path, pickle.dumps(doubled)), "too many values")
    refused(packed(tmp_path, b"}" + b"Va\n}" * 200_000 + b"s" * 200_000 + b"."), "too deep")


def test_a_tuple_deep_enough_to_break_python_stops_the_converter_only(tmp_path):
    refused(packed(tmp_path, b"})" + b"\x85" * 3_000_000 + b"Ns."), "stopped by SIGSEGV|damaged|memory")


SIZES = [("shape", 4, "beyond the numbers"), ("shape", 2**40, "beyond the numbers"), ("shape", 2**62, "damaged")]
SIZES += [("numel", 4, "fewer numbers"), ("numel", 2**40, "fewer numbers"), ("numel", 2**62, "damaged")]


@pytest.mark.parametrize(("place", "n", "said"), SIZES)
def test_a_tensor_beyond_its_storage_is_refused(tmp_path, place, n, said):
    refused(packed(tmp_path, program_with(n, place), entries={"data/0": b"\0" * 12}), said)


def program_with(n, place):
    """The pickle of one float32 tensor of three numbers, with another number of them in the storage or in the shape."""
    numel, shape = (n, 3) if place == "numel" else (3, n)
    text = "ctorch._utils\n_rebuild_tensor_v2\n((Vstorage\nctorch\nFloatStorage\nV0\nVcpu\n"
    text += f"L{numel}L\ntQI0\n(L{shape}L\nt(I1\ntI00\ntR"
    program = f"(dVw\n{text}s.".encode()
    pickletools.dis(program, out=open(os.devnull, "w"))  # well-formed
    return program


def test_the_program_of_a_sound_tensor_is_accepted(tmp_path):
    """So the test above refuses sizes, not the way the program is written."""
    data = torch.arange(3.0).numpy().tobytes()
    same(converted(packed(tmp_path, program_with(3, "shape"), entries={"data/0": data})), {"w": torch.arange(3.0)})


def test_files_that_torch_save_does_not_write_are_refused(tmp_path):
    plain = tmp_path / "plain.pt"
    plain.write_bytes(pickle.dumps({"w": 1}))
    refused(plain, "not a zip file as torch.save has written since 2020")
    torch.save({"w": torch.ones(2)}, plain, _use_new_zipfile_serialization=False)
    refused(plain, "not a zip file")
    refused(packed(tmp_path, b"\0" * 10_000_000, compression=zipfile.ZIP_DEFLATED), "compressed or too large part")
    refused(packed(tmp_path, program_with(3, "shape")), "lacks its part 'archive/data/0'")
    refused(packed(tmp_path, program_with(3, "shape"), entries={"data/0": b"1234"}), "fewer numbers")
    refused(packed(tmp_path, program_with(3, "shape"), entries={"byteorder": "big"}), "big-endian")
    with zipfile.ZipFile(plain, "w") as archive:
        archive.writestr("other.txt", "x")
    refused(plain, "lacks its part")


def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path):
    torch.save({"model": Net()}, tmp_path / "a.pt")
    expected = converted(tmp_path / "a.pt")
    sound, rng, n_refused = (tmp_path / "a.pt").read_bytes(), np.random.default_rng(0), 0
    for place in rng.integers(0, len(sound), 40):
        damaged = bytearray(sound)
        damaged[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "b.pt").write_bytes(damaged)
        try:
            same(converted(tmp_path / "b.pt"), expected)
        except ValueError as error:
            assert str(error).startswith(str(tmp_path / "b.pt"))
            n_refused += 1
    assert n_refused


def test_a_tensor_that_would_fill_the_disk_is_refused(tmp_path):
    torch.save({"w": torch.ones(1).expand(2**20, 2**20)}, tmp_path / "a.pt")
    refused(tmp_path / "a.pt", "would take 4398046511104 bytes")


# --- the walls behind the unpickler -----------------------------------------------------------------------------------

ATTEMPTS = {
    "open": "open('canary', 'w')",
    "os.open": "os.open('canary', os.O_CREAT | os.O_WRONLY)",
    "os.system": "os.system('touch canary')",
    "fork": "os.fork()",
    "exec": "os.execv('/bin/true', ['true'])",
    "import": "import socket",
    "eval": "eval('1')",
    "remove": "os.remove(sys.argv[1])",
}


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_after_the_audit_hook_python_itself_refuses(tmp_path, attempt):
    """Even if a program were run: the process can open, start, connect and import nothing any more."""
    (tmp_path / "kept").write_text("x", "utf-8")
    code = (
        f"import os, sys\nsys.path.insert(0, {str(Path(pickle_worker.__file__).parent)!r})\nimport pickle_worker as w\n"
    )
    code += (
        f"sys.addaudithook(w.refuse)\ntry:\n    {attempt}\nexcept w.Refused:\n    os.write(1, b'refused')\nos._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", code, "kept"], cwd=tmp_path, capture_output=True, timeout=60)
    assert done.stdout == b"refused" and [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_a_program_that_got_past_the_unpickler_meets_the_second_wall(tmp_path):
    """The same worker with an unpickler that trusts everything."""
    source, canary = Path(pickle_worker.__file__).read_text("utf-8"), tmp_path / "canary"
    trusting = source.replace("    def find_class", "    def not_find_class")
    assert trusting != source
    (tmp_path / "worker.py").write_text(trusting, "utf-8")
    for call in (CALLS["os.system"], CALLS["exec"], CALLS["open"], CALLS["subprocess"]):
        file = packed(tmp_path, pickle.dumps(call(canary), 2))
        command = [sys.executable, "-I", "-S", tmp_path / "worker.py", file, tmp_path / "out"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 3 and "tried 'pickle.find_class'" in done.stderr and not canary.exists()


def test_the_process_has_limits(tmp_path):
    code = f"import os, resource, sys\nsys.path.insert(0, {str(Path(pickle_worker.__file__).parent)!r})\n"
    code += "import pickle_worker as w\nw.limit(1000)\n"
    code += (
        "print([resource.getrlimit(getattr(resource, 'RLIMIT_' + n))[1] for n in ('AS', 'CPU', 'FSIZE', 'NPROC')])\n"
    )
    code += "try:\n    bytearray(2**30)\nexcept MemoryError:\n    print('refused')\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [str([512 * 2**20 + 2000, 300, 16 * 2**30, 0]), "refused"], done.stderr


def test_the_worker_gets_no_environment_and_no_packages(tmp_path, monkeypatch):
    """What lies in the folder of the file or in PYTHONPATH is not imported."""
    for name in ("json.py", "zipfile.py", "sitecustomize.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'canary')!r}, 'w')", "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    same(converted(tmp_path / "a.pt"), {"w": torch.ones(2)})
    assert not (tmp_path / "canary").exists()


def test_names_of_files_are_checked_first(tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    for file, out, said in (("no.pt", "a.safetensors", "no such file"), ("a.pt", "a.bin", "give the name of")):
        with pytest.raises(ValueError, match=said):
            convert_pickle.run(Namespace(file=str(tmp_path / file), out=str(tmp_path / out)))

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from small import SIZE, small_model, small_trials

import mtm_core.tensorfolder as tensorfolder
from mtm_core.atomic import json_sha256, sha256, write_bytes, write_json
from mtm_core.checkpoint import load_checkpoint, read_manifest, save_checkpoint
from mtm_core.masking import hold_out_neuron
from mtm_core.models.mtm import MtM
from mtm_core.models.tables import UnknownSessionError
from mtm_core.predict import predict
from mtm_core.tensorfolder import CheckpointError, TensorFolder

TRIALS = small_trials(shape=(6, 8, 12))
MODEL = small_model(TRIALS)
OTHER = small_model(TRIALS, seed=5)
FACTS = {"data": [{"session": "a"}], "training": {"steps": 3}}


@pytest.fixture
def folder(tmp_path):
    save_checkpoint(tmp_path, MODEL, FACTS)
    return tmp_path


def files(folder):
    return folder / "checkpoint.json", next(folder.glob("checkpoint-*.safetensors"))


def forge(folder, **changes):
    """A manifest with other content and a hash that is right."""
    file, _ = files(folder)
    manifest = {**json.loads(file.read_text("utf-8")), **changes}
    del manifest["hash"]
    write_json(file, {**manifest, "hash": json_sha256(manifest)})


def forge_tensors(folder, tensors):
    """Other tensors under the right names and hashes."""
    data = save(tensors)
    forge(folder, tensors="checkpoint-0.safetensors", tensors_sha256=sha256(data))
    (folder / "checkpoint-0.safetensors").write_bytes(data)


def weights():
    return {name: value.clone() for name, value in MODEL.state_dict().items()}


def which(folder):
    """The model that a folder holds: 0 MODEL, 1 OTHER."""
    found = load_checkpoint(folder).model.state_dict()
    same = [all(torch.equal(v, found[k]) for k, v in m.state_dict().items()) for m in (MODEL, OTHER)]
    return same.index(True)


# --- what is written can be read --------------------------------------------------------------------------------------


def test_a_loaded_model_predicts_the_same(folder):
    loaded, mask = load_checkpoint(folder), hold_out_neuron(TRIALS.counts.shape, 2)
    np.testing.assert_array_equal(predict(loaded, TRIALS, mask), predict(MODEL, TRIALS, mask))
    assert loaded.unit_ids == MODEL.unit_ids and loaded.session_ids == ("a",) and loaded.model.config == MODEL.config
    assert not loaded.model.training and loaded.manifest["training"] == {"steps": 3}
    assert read_manifest(folder) == loaded.manifest
    assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in files(folder))
    assert all(p.requires_grad for p in loaded.model.parameters())


def test_loading_draws_no_random_number(folder):
    before = torch.get_rng_state()
    load_checkpoint(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_new_state_replaces_the_old_one(folder):
    save_checkpoint(folder, OTHER, FACTS)
    assert which(folder) == 1 and len(list(folder.iterdir())) == 2


def test_facts_cannot_pass_for_what_the_model_says_of_itself(tmp_path):
    manifest = save_checkpoint(tmp_path, MODEL, {**FACTS, "unit_ids": ["x"], "format": 7}).manifest
    assert manifest["format"] == 1 and len(manifest["unit_ids"]) == 12
    load_checkpoint(tmp_path)


def test_facts_that_are_no_json_are_refused_before_anything_is_written(folder):
    for bad in (float("nan"), float("inf"), object()):
        with pytest.raises((ValueError, TypeError)):
            save_checkpoint(folder, OTHER, {"bad": bad})
    assert which(folder) == 0 and len(list(folder.iterdir())) == 2


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which_file", [0, 1], ids=["manifest", "tensors"])
def test_every_flipped_bit_is_noticed(folder, which_file):
    file, rng = files(folder)[which_file], np.random.default_rng(0)
    sound = file.read_bytes()
    for place in [0, 7, 8, len(sound) - 1, *rng.integers(0, len(sound), 300)]:
        damaged = bytearray(sound)
        damaged[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"checkpoint.*(json|safetensors)"):
            load_checkpoint(folder)
    file.write_bytes(sound)
    load_checkpoint(folder)


@pytest.mark.parametrize("which_file", [0, 1], ids=["manifest", "tensors"])
def test_every_cut_and_every_addition_is_noticed(folder, which_file):
    file = files(folder)[which_file]
    sound = file.read_bytes()
    for length in (0, 1, 8, len(sound) // 2, len(sound) - 2):
        file.write_bytes(sound[:length])
        with pytest.raises(CheckpointError, match=file.name):
            load_checkpoint(folder)
    file.write_bytes(sound + b"x")
    with pytest.raises(CheckpointError, match=file.name):
        load_checkpoint(folder)


def test_missing_files_are_named(folder, tmp_path):
    with pytest.raises(CheckpointError, match="checkpoint.json: no such file"):
        load_checkpoint(tmp_path / "nowhere")
    manifest, tensors = files(folder)
    tensors.rename(folder / "checkpoint-renamed.safetensors")
    with pytest.raises(CheckpointError, match=f"{tensors.name}: no such file"):
        load_checkpoint(folder)
    manifest.unlink()
    manifest.mkdir()
    with pytest.raises(CheckpointError, match="no such file"):
        load_checkpoint(folder)


def test_tensors_of_another_checkpoint_are_refused(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    save_checkpoint(other, OTHER, FACTS)
    files(folder)[1].write_bytes(files(other)[1].read_bytes())
    with pytest.raises(CheckpointError, match="not the manifest's"):
        load_checkpoint(folder)


NO_MANIFESTS = [b"", b"null", b"[]", b"7", b'"text"', b"{}", b'{"hash": 1}', b'{"hash": "x", "a": NaN}', b"\xff\xfe"]
NO_MANIFESTS += [b"[" * 200_000, b'{"a":' * 100_000, b'{"hash": "x", "a": ' + b"9" * 10_000 + b"}", b"PK\x03\x04"]


@pytest.mark.parametrize("content", NO_MANIFESTS, ids=lambda content: str(content[:20]))
def test_a_file_that_is_no_manifest_is_refused(folder, content):
    files(folder)[0].write_bytes(content)
    begin = time.perf_counter()
    with pytest.raises(CheckpointError, match="checkpoint.json"):
        load_checkpoint(folder)
    assert time.perf_counter() - begin < 2


def test_huge_files_are_refused_unread(folder):
    manifest, tensors = files(folder)
    for file, size in ((tensors, 8 * 2**30 + 1), (manifest, 64 * 2**20 + 1)):
        os.truncate(file, size)  # a sparse file: no disk is used
        begin = time.perf_counter()
        with pytest.raises(CheckpointError, match=f"{file.name}: {size} bytes, more than"):
            load_checkpoint(folder)
        assert time.perf_counter() - begin < 2


# --- forgery: every hash is right -------------------------------------------------------------------------------------


OTHER_SIZES = [{name: size} for name in ("width", "n_heads", "n_layers") for size in (0, -16, 10**12)]
OTHER_SIZES += [{"more": 1}, {"width": "16"}, {"width": 32}, {"n_layers": 3}, {"dropout": 1.0}]
OTHER_MANIFESTS = [{"format": 2}, {"format": "1"}, {"format": None}, {"model": "ndt2"}]
OTHER_MANIFESTS += [{"model": model} for model in ("mtm_released", None, ["mtm"], {"mtm": 1})]
OTHER_MANIFESTS += [{"config": {}}, {"config": None}, {"config": []}]
OTHER_MANIFESTS += [{"config": {**vars(SIZE), **size}} for size in OTHER_SIZES]
OTHER_MANIFESTS += [{"unit_ids": ids} for ids in ([], ["x"], ["x"] * 12, None, [{}] * 12)]
OTHER_MANIFESTS += [{"session_ids": ids} for ids in ([], ["a", "b"], 3)]


@pytest.mark.parametrize("changes", OTHER_MANIFESTS, ids=str)
def test_a_manifest_of_another_model_is_refused(folder, changes, unchecked):
    forge(folder, **changes)
    begin = time.perf_counter()
    with pytest.raises(CheckpointError, match="checkpoint"):
        load_checkpoint(folder)
    assert time.perf_counter() - begin < 2


STRANGE_NAMES = ["../secret.safetensors", "..", ".", "", "/", "x" * 5000, "a\0b", None, 7, ["x"], "\ud800"]


@pytest.mark.parametrize("name", STRANGE_NAMES, ids=range(len(STRANGE_NAMES)))
def test_tensors_outside_the_folder_are_out_of_reach(folder, name):
    forge(folder, tensors=name)
    (folder.parent / "secret.safetensors").write_bytes(files(folder)[1].read_bytes())
    with pytest.raises(CheckpointError):
        load_checkpoint(folder)


def test_an_absolute_name_of_tensors_is_out_of_reach(folder):
    secret = folder.parent / "secret.safetensors"
    secret.write_bytes(files(folder)[1].read_bytes())
    forge(folder, tensors=str(secret))
    with pytest.raises(CheckpointError, match="no such file"):
        load_checkpoint(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["units.mean", "prompt.weight"])
def test_weights_that_are_no_numbers_are_refused(folder, name, value):
    found = weights()
    found[name].view(-1)[3] = value
    forge_tensors(folder, found)
    with pytest.raises(CheckpointError, match=f"'{name}'.*not finite"):
        load_checkpoint(folder)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool])
def test_weights_of_another_type_are_refused(folder, dtype):
    forge_tensors(folder, {**weights(), "prompt.weight": weights()["prompt.weight"].to(dtype)})
    with pytest.raises(CheckpointError, match=r"other shape or type \['prompt.weight'\]"):
        load_checkpoint(folder)


def test_missing_foreign_and_misshapen_weights_are_named(folder):
    found = weights()
    found["extra"] = found.pop("time.bias")
    found["units.bias"] = found["units.bias"][:-1]
    forge_tensors(folder, found)
    with pytest.raises(CheckpointError, match=r"missing \['time.bias'\], foreign \['extra'\].*\['units.bias'\]"):
        load_checkpoint(folder)
    forge_tensors(folder, {})
    with pytest.raises(CheckpointError, match="missing"):
        load_checkpoint(folder)


HEADERS = (b'{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,4]}}', b"[" * 9999, b"{]", b"")
HOSTILE = [b"", b"\x00" * 7, (2**40).to_bytes(8, "little") + b"{}", b"PK\x03\x04 a pickle"]
HOSTILE += [len(header).to_bytes(8, "little") + header for header in HEADERS]


@pytest.mark.parametrize("data", HOSTILE, ids=lambda data: str(data[:12]))
def test_hostile_tensors_are_refused(folder, data):
    forge(folder, tensors="checkpoint-0.safetensors", tensors_sha256=sha256(data))
    (folder / "checkpoint-0.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_checkpoint(folder)


# --- a disk that refuses, a process that dies -------------------------------------------------------------------------


class Fault:
    """Makes the n-th call of some functions of `os` fail, counted from 1."""

    def __init__(self, monkeypatch, n, error):
        self.n, self.calls, self.error = n, 0, error
        for name in ("fsync", "replace", "chmod", "fdopen", "open"):
            monkeypatch.setattr(os, name, self.failing(getattr(os, name)))

    def failing(self, original):
        def call(*given, **named):
            self.calls += 1
            if self.calls == self.n:
                raise self.error
            return original(*given, **named)

        return call


class Killed(BaseException):
    """Stands for SIGKILL, after which nothing cleans up."""


@pytest.mark.parametrize("n", range(1, 30))
def test_a_disk_that_refuses_leaves_the_old_state_or_the_new_one(folder, monkeypatch, n):
    with monkeypatch.context() as patch:
        fault = Fault(patch, n, OSError(28, "No space left on device"))
        try:
            save_checkpoint(folder, OTHER, FACTS)
            reported = False
        except OSError:
            reported = True
    assert reported == (fault.calls >= n)
    assert which(folder) == 1 or reported
    assert not list(folder.glob(".*"))  # no temporary file stays
    save_checkpoint(folder, MODEL, FACTS)
    assert which(folder) == 0 and len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("n", range(1, 30))
def test_a_process_that_dies_while_writing_leaves_the_old_state_or_the_new_one(folder, monkeypatch, n):
    with monkeypatch.context() as patch:
        fault = Fault(patch, n, Killed())
        patch.setattr(Path, "unlink", lambda *given, **named: None)
        try:
            save_checkpoint(folder, OTHER, FACTS)
        except Killed:
            assert fault.calls == n
    found = which(folder)
    assert found == 1 or fault.calls == n
    save_checkpoint(folder, MODEL, FACTS)
    assert which(folder) == 0 and len(list(folder.iterdir())) == 2  # what the dead process left is gone


def test_a_process_that_dies_between_the_two_files_leaves_the_old_state(folder, monkeypatch):
    def die(*given):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(tensorfolder, "write_json", die)
        with pytest.raises(Killed):
            save_checkpoint(folder, OTHER, FACTS)
    assert which(folder) == 0 and len(list(folder.glob("*.safetensors"))) == 2


def test_states_of_other_names_in_the_folder_are_left_alone(folder):
    other = TensorFolder(folder, "resume")
    other.write({"a": torch.ones(2)}, {})
    save_checkpoint(folder, OTHER, FACTS)
    assert torch.equal(other.read_tensors(other.read_manifest())["a"], torch.ones(2))
    other.delete()
    assert which(folder) == 1 and not other.exists()


def test_a_file_is_replaced_in_one_step_and_readable_by_all(tmp_path):
    file = tmp_path / "x"
    write_bytes(file, b"old")
    write_bytes(file, b"new")
    assert file.read_bytes() == b"new" and file.stat().st_mode & 0o777 == 0o644 and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(FileNotFoundError):
        write_bytes(tmp_path / "nowhere" / "x", b"")


def test_a_model_of_any_size_can_be_saved(tmp_path):
    model = MtM(replace(SIZE, n_layers=1), ("ü-1", "日本"), ("é",))
    save_checkpoint(tmp_path / "new" / "folder", model, {})
    assert load_checkpoint(tmp_path / "new" / "folder").unit_ids == ("ü-1", "日本")


def test_a_trunk_without_any_session_can_be_saved_and_loaded(tmp_path):
    trunk = MtM(SIZE, (), ())
    save_checkpoint(tmp_path, trunk, {"data": []})
    loaded = load_checkpoint(tmp_path)
    assert loaded.session_ids == () and loaded.unit_ids == ()
    found = loaded.model.state_dict()
    assert any(len(value) == 0 for value in found.values()) and any(len(value) for value in found.values())
    assert all(torch.equal(value, found[name]) for name, value in trunk.state_dict().items())
    with pytest.raises(UnknownSessionError, match="session a "):
        predict(loaded, TRIALS, hold_out_neuron(TRIALS.counts.shape, 2))

"""Files of released weights: what fits is read, everything else is refused in a sentence before it takes memory."""

from __future__ import annotations

import json
import tracemalloc
from argparse import Namespace

import pytest
import torch
from safetensors.torch import save_file
from small_released import config_json, small_config, small_released

from mtm_core.checkpoint import load_checkpoint
from mtm_core.commands import import_weights
from mtm_core.compat import FIELDS, FIXED, read_config, read_released
from mtm_core.models.released import LABEL
from mtm_core.tensorfolder import CheckpointError

DEAD = {"decoder.0.weight": torch.ones(5, 16), "decoder.0.bias": torch.ones(5)}


def state():
    return {name: value.clone() for name, value in small_released().state_dict().items()}


@pytest.fixture
def files(tmp_path):
    """(weights, config), sound."""
    weights, config = tmp_path / "weights.safetensors", tmp_path / "config.json"
    save_file({**state(), **DEAD}, weights)
    config.write_text(config_json(small_config()), "utf-8")
    return weights, config


def changed(files, **changes):
    found = json.loads(files[1].read_text("utf-8"))
    files[1].write_text(json.dumps({name: v for name, v in {**found, **changes}.items() if v != "gone"}), "utf-8")


def test_sound_files_are_read_with_every_weight_and_the_unused_read_out_is_left_out(files):
    found = read_released(*files)
    assert found.config == small_config() and not found.training
    assert found.state_dict().keys() == state().keys()
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in state().items())


def test_what_is_read_does_not_follow_the_file(files):
    found = read_released(*files)
    before = {name: value.clone() for name, value in found.state_dict().items()}
    size = files[0].stat().st_size
    with open(files[0], "r+b") as file:
        file.seek(size // 2)
        file.write(b"\x01" * (size // 2))
    assert all(torch.equal(value, before[name]) for name, value in found.state_dict().items())


@pytest.mark.parametrize("name", [*FIELDS, *FIXED])
def test_whatever_the_config_lacks_is_named(files, name):
    changed(files, **{name: "gone"})
    with pytest.raises(CheckpointError, match=rf"config.json: lacks {name}; the file must give model, act, n_bins"):
        read_config(files[1])


WRONG = [{"model": "NDT2"}, {"act": "relu"}, {"prompts": ["neuron"]}, {"prompts": "neuron"}, {"prompts": [1]}]
WRONG += [{"prompts": ["neuron", "neuron", "causal", "inter-region"]}, {"session_ids": ["a", "a"]}, {"session_ids": 3}]
WRONG += [{name: n} for name in ("n_bins", "hidden_size", "n_layers", "n_heads", "mult") for n in (0, -1, 10**12, "8")]
WRONG += [{"n_bins": True}, {"n_bins": 10.0}, {"n_heads": 3}, {"n_session_embeddings": 2}, {"sessions": []}]
WRONG += [{"sessions": rows} for rows in (3, [3], [{}], [{"eid": "aaaa-1"}], [{"eid": "zzzz", "n_neurons": 6}])]
WRONG += [{"sessions": [{"eid": "aaaa-1", "n_neurons": n}]} for n in (0, -3, 10**9, "6", None)]
WRONG += [{"sessions": [{"eid": "aaaa-1", "n_neurons": 6}] * 2}]


@pytest.mark.parametrize("changes", WRONG, ids=str)
def test_a_config_of_no_such_network_is_refused(files, changes, unchecked):
    changed(files, **changes)
    with pytest.raises(CheckpointError, match=r"config\.json: "):
        read_released(*files)


@pytest.mark.parametrize("content", [b"", b"null", b"[1]", b"{", b"\xff\xfe", b"[" * 100_000, b"PK\x03\x04"])
def test_a_config_that_is_no_json_object_is_refused(files, content):
    files[1].write_bytes(content)
    with pytest.raises(CheckpointError, match=r"config\.json: .*JSON.*must give model"):
        read_released(*files)


def rewrite(files, **changes):
    found = {**state(), **changes}
    save_file({name: value for name, value in found.items() if value is not None}, files[0])


FIRST = "encoder.layers.0.attn.query.weight"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({FIRST: None}, rf"missing \['{FIRST}'\], foreign \[\]"),
        ({"encoder.more": torch.ones(2)}, r"missing \[\], foreign \['encoder.more'\]"),
        ({FIRST: torch.ones(16, 15)}, rf"other shape \[.{FIRST} \(16, 15\) instead of \(16, 16\)"),
        ({FIRST: torch.ones(16, 16, dtype=torch.float16)}, f"{FIRST} is F16, not float32"),
        ({FIRST: torch.full((16, 16), float("nan"))}, f"{FIRST}.*not finite"),
        ({"encoder.stitcher.stitcher_dict.9.weight": torch.ones(5, 9)}, "list their sessions"),
    ],
)
def test_weights_that_do_not_fit_the_config_are_named(files, changes, said):
    rewrite(files, **changes)
    with pytest.raises(CheckpointError, match=rf"weights\.safetensors: .*{said}"):
        read_released(*files)


def test_a_config_of_other_sizes_does_not_fit_the_weights(files):
    changed(files, n_bins=9)
    with pytest.raises(CheckpointError, match=r"embed_pos.weight \(10, 16\) instead of \(9, 16\)"):
        read_released(*files)


HEADER = b'{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,4]}}'
NO_WEIGHTS = [b"", b"PK\x03\x04", (2**40).to_bytes(8, "little"), len(HEADER).to_bytes(8, "little") + HEADER]


@pytest.mark.parametrize("content", NO_WEIGHTS, ids=lambda content: str(content[:9]))
def test_a_file_that_is_no_safetensors_is_refused_with_the_way_out(files, content):
    files[0].write_bytes(content)
    with pytest.raises(CheckpointError, match="not a safetensors file.*mtm convert-pickle"):
        read_released(*files)


def test_missing_files_are_named(files, tmp_path):
    for pair in ((tmp_path / "no", files[1]), (files[0], tmp_path / "no")):
        with pytest.raises(CheckpointError, match="no: no such file"):
            read_released(*pair)


def test_a_network_beyond_its_file_takes_no_memory(files):
    """The largest config that is allowed would take tens of gigabytes; the file's few kilobytes say so first."""
    changed(files, hidden_size=16_384, n_layers=100, inter_size=65_536)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="not the weights that the config describes"):
        read_released(*files)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * 2**20


def test_import_weights_makes_a_checkpoint(files, tmp_path, capsys):
    out = tmp_path / "new" / "checkpoint"
    assert import_weights.run(Namespace(file=str(files[0]), config=str(files[1]), out=str(out))) == 0
    said = capsys.readouterr().out
    assert LABEL in said and "bbbb-2: 4 neurons" in said
    found = load_checkpoint(out)
    assert found.manifest["label"] == LABEL and found.manifest["source"]["weights"] == "weights.safetensors"
    assert all(torch.equal(value, found.model.state_dict()[name]) for name, value in state().items())

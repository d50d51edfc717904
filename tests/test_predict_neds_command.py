"""`mtm predict --task`: arrays of visible modalities to arrays of all; files of NEDS weights become a checkpoint."""

from __future__ import annotations

import json
import tracemalloc
from argparse import Namespace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file
from small import small_model, small_trials
from small_released_neds import N_BINS, ROWS, config_json, small_config, small_inputs, small_neds

from mtm_core.checkpoint import load_checkpoint, save_checkpoint
from mtm_core.commands import import_weights
from mtm_core.commands.predict import run
from mtm_core.commands.predict_neds import ARRAYS
from mtm_core.compat import NEDS_FIELDS, NEDS_FIXED, read_config, read_released
from mtm_core.models.released_neds import LABEL, MODALITIES, Task
from mtm_core.session import identity
from mtm_core.tensorfolder import CheckpointError

TRIALS = small_trials("aa-1", (6, 8, 12))


def arrays_of(inputs):
    return {ARRAYS[name]: values.numpy() for name, values in inputs.items()}


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("neds") / "released", small_neds(), {"data": []})


@pytest.fixture
def asked(released, tmp_path):
    """Options for the first session, which hide the behaviors."""
    save_arrays(arrays_of(small_inputs(20)), tmp_path / "in.safetensors")
    files = {"inputs": str(tmp_path / "in.safetensors"), "out": str(tmp_path / "out.safetensors")}
    rest = {"counts": None, "hidden": None, "prompt": None, "session": "cccc", "device": "cpu"}
    return Namespace(checkpoint=str(released.path), task="decoding", **files, **rest)


def rewritten(asked, **changes):
    """The input arrays with others in their place; None: without."""
    found = {name.removeprefix("input."): array for name, array in arrays_of(small_inputs(20)).items()}
    found = {f"input.{name}": array for name, array in {**found, **changes}.items() if array is not None}
    save_file({name: torch.as_tensor(array).clone() for name, array in found.items()}, asked.inputs)


def result(asked):
    assert run(asked) == 0
    return load_file(asked.out)


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize(("session", "n_neurons"), [("cccc-3", 6), ("bbbb-2", 4)])
def test_outputs_are_those_of_the_library_over_several_pieces(released, asked, task, session, n_neurons):
    inputs = small_inputs(20, n_neurons)
    save_arrays(arrays_of(inputs), asked.inputs)
    asked.session, asked.task = session, task.value
    found = result(asked)
    with torch.inference_mode():
        expected = released.model(inputs, session, task)
    assert {*found} == {*MODALITIES}
    for name, values in expected.items():
        assert found[name].dtype == np.float32 and found[name].shape == tuple(values.shape)
        np.testing.assert_allclose(found[name], values.numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize("fill", [np.nan, 1e6, "another shape", "text of bytes", "absent"])
def test_hidden_arrays_leave_the_file_bit_identical(asked, task, fill):
    asked.task = task.value
    expected = result(asked)
    hidden = [ARRAYS[name].removeprefix("input.") for name in MODALITIES if task.hides(name)]
    other = {
        "another shape": np.ones(3, np.float32),
        "text of bytes": np.frombuffer(b"hello", np.uint8).copy(),
        "absent": None,
    }
    whole = {ARRAYS[name].removeprefix("input."): values.numpy() for name, values in small_inputs(20).items()}
    rewritten(asked, **{n: other[fill] if isinstance(fill, str) else np.full_like(whole[n], fill) for n in hidden})
    found = result(asked)
    assert all(np.array_equal(found[name], array) for name, array in expected.items())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8])
def test_numbers_of_any_type_and_arrays_without_an_axis_of_one_give_the_same(asked, dtype):
    expected = result(asked)
    rewritten(asked, spikes_data=small_inputs(20)["spike"].to(dtype))
    found = result(asked)
    assert all(np.array_equal(found[name], array) for name, array in expected.items())
    asked.task, short = "encoding", {name: values.squeeze(-1) for name, values in small_inputs(20).items()}
    expected = result(asked)
    rewritten(asked, choice=short["choice"].to(dtype), block=short["block"].to(dtype), wheel=short["wheel"])
    found = result(asked)
    assert all(np.array_equal(found[name], array) for name, array in expected.items())


def test_the_session_is_needed_only_where_there_are_several(asked, tmp_path):
    expected = result(asked)
    asked.session = None
    with pytest.raises(ValueError, match="knows 2 sessions; give --session, one of cccc-3, bbbb-2"):
        run(asked)
    single = small_neds(sessions=(("cccc-3", 6),))
    missing = single.load_state_dict(small_neds().state_dict(), strict=False).missing_keys
    assert not missing
    asked.checkpoint = str(save_checkpoint(tmp_path / "one", single, {"data": []}).path)
    found = result(asked)
    assert all(np.array_equal(found[name], array) for name, array in expected.items())


def test_the_label_is_said(asked, capsys):
    run(asked)
    said = capsys.readouterr().out
    assert LABEL in said and "decoding, session cccc-3: spike 20 x 5 x 6, choice 20," in said


# --- refusals ---------------------------------------------------------------------------------------------------------

WRONG = [
    ("decoding", {"spikes_data": None}, "lacks input.spikes_data; decoding reads input.spikes_data$"),
    ("encoding", {"choice": None, "wheel": None}, "lacks input.choice, input.wheel; encoding reads input.choice, "),
    (
        "decoding",
        {"spikes_data": np.ones((20, N_BINS))},
        r"spikes_data is F64 of shape \(20, 5\); 20 trials of .* 5 x 6",
    ),
    ("decoding", {"spikes_data": np.ones((20, N_BINS, 4))}, "20 trials of session cccc-3 have 20 x 5 x 6"),
    ("decoding", {"spikes_data": np.ones((20, 6, 6))}, "have 20 x 5 x 6"),
    ("decoding", {"spikes_data": np.ones((0, N_BINS, 6))}, "which is no trial"),
    ("decoding", {"spikes_data": np.array(1.0)}, "which is no trial"),
    ("decoding", {"spikes_data": np.ones((20, N_BINS, 6), bool)}, "is BOOL of shape .*; give numbers"),
    (
        "decoding",
        {"spikes_data": np.full((20, N_BINS, 6), np.nan)},
        "input.spikes_data holds values that are not finite",
    ),
    (
        "decoding",
        {"spikes_data": np.full((20, N_BINS, 6), 1e300)},
        "input.spikes_data holds values that are not finite",
    ),
    ("decoding", {"spikes_data": -np.ones((20, N_BINS, 6))}, "negative counts; give the session's own neurons"),
    ("encoding", {"choice": np.full((20, 1), 2.0)}, "input.choice holds other numbers .* 0 to 1"),
    ("encoding", {"choice": np.full((20, 1), -1.0)}, "input.choice holds other numbers"),
    ("encoding", {"block": np.full((20, 1), 0.2)}, "input.block holds other numbers .* 0 to 2"),
    ("encoding", {"block": np.full((20, 1), 3)}, "input.block holds other numbers"),
    ("encoding", {"choice": np.ones((20, N_BINS))}, "input.choice is .* have 20"),
    ("encoding", {"whisker": np.ones((19, N_BINS))}, "input.whisker is F64 of shape .19, 5.; 20 trials .* 20 x 5"),
    ("encoding", {"wheel": np.full((20, N_BINS), np.inf)}, "input.wheel holds values that are not finite"),
]


@pytest.mark.parametrize(("task", "changes", "said"), WRONG, ids=range(len(WRONG)))
def test_arrays_that_cannot_be_read_are_refused_and_an_earlier_result_stays(asked, task, changes, said):
    expected = result(asked)
    rewritten(asked, **changes)
    asked.task = task
    with pytest.raises(ValueError, match=rf"in.safetensors: .*{said}"):
        run(asked)
    found = load_file(asked.out)
    assert all(np.array_equal(found[name], array) for name, array in expected.items())


HEADER = b'{"input.spikes_data":{"dtype":"F32","shape":[4611686018427387904,5,6],"data_offsets":[0,4]}}'
NO_TENSORS = [
    b"",
    b"PK\x03\x04",
    b"\x80\x04N.",
    (2**40).to_bytes(8, "little"),
    len(HEADER).to_bytes(8, "little") + HEADER,
]


@pytest.mark.parametrize("content", NO_TENSORS, ids=range(len(NO_TENSORS)))
def test_a_file_that_is_no_safetensors_is_refused(asked, content):
    with open(asked.inputs, "wb") as file:
        file.write(content)
    with pytest.raises(ValueError, match="in.safetensors: not a safetensors file"):
        run(asked)


def test_more_trials_than_fit_are_refused_before_they_take_memory(asked, monkeypatch):
    monkeypatch.setattr("mtm_core.commands.predict_neds.LARGEST_FILE", 4 * 19 * N_BINS * 6)
    with pytest.raises(ValueError, match="20 trials would give 2400 bytes of log rates; give fewer"):
        run(asked)


FORMS = [
    ({"counts": "a.npy"}, "options of two forms"),
    ({"prompt": "neuron"}, "options of two forms"),
    ({"task": None}, "--task missing"),
    ({"inputs": None}, "--inputs missing"),
    ({"inputs": None, "task": None}, "--counts, --hidden, --prompt missing; .* or for NEDS --inputs, --task"),
    ({"inputs": None, "task": None, "counts": "a", "hidden": "b", "prompt": "c", "session": None}, "--session missing"),
    ({"task": "self-spike"}, "there is no task 'self-spike'; give one of encoding, decoding"),
    ({"session": "zzzz"}, "0 sessions .* begin with 'zzzz'"),
]


@pytest.mark.parametrize(("changes", "said"), FORMS, ids=range(len(FORMS)))
def test_options_that_do_not_go_together_are_refused(asked, changes, said):
    with pytest.raises(ValueError, match=said):
        run(Namespace(**{**vars(asked), **changes}))


def test_files_that_are_not_there_or_the_inputs_themselves_are_refused(asked, tmp_path):
    for changes, said in (
        ({"inputs": str(tmp_path / "no")}, "no: no such file; give one written by safetensors"),
        ({"out": str(tmp_path / "no" / "out")}, "there is no folder"),
        ({"out": asked.inputs}, "the inputs lie there"),
    ):
        with pytest.raises(ValueError, match=said):
            run(Namespace(**{**vars(asked), **changes}))


def test_a_model_is_asked_in_its_own_form(asked, tmp_path):
    own = save_checkpoint(tmp_path / "own", small_model(TRIALS), {"data": [identity(TRIALS)]})
    with pytest.raises(ValueError, match="own: a model of spikes alone; ask it with --counts"):
        run(Namespace(**{**vars(asked), "checkpoint": str(own.path)}))
    np.save(tmp_path / "c.npy", np.zeros((2, N_BINS, 6), np.uint8))
    np.save(tmp_path / "h.npy", np.zeros((2, N_BINS, 6), bool))
    form = {"inputs": None, "task": None, "prompt": "neuron"}
    files = {"counts": str(tmp_path / "c.npy"), "hidden": str(tmp_path / "h.npy")}
    with pytest.raises(ValueError, match="a model of spikes and behaviors; ask it with --inputs and --task"):
        run(Namespace(**{**vars(asked), **form, **files}))


# --- import -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    """(weights, config), sound."""
    weights, config = tmp_path / "weights.safetensors", tmp_path / "config.json"
    save_file(small_neds().state_dict(), weights)
    config.write_text(config_json(small_config()), "utf-8")
    return weights, config


def changed(files, **changes):
    found = json.loads(files[1].read_text("utf-8"))
    files[1].write_text(json.dumps({name: v for name, v in {**found, **changes}.items() if v != "gone"}), "utf-8")


def test_sound_files_become_a_labelled_checkpoint(files, tmp_path, capsys):
    out = tmp_path / "new" / "checkpoint"
    assert import_weights.run(Namespace(file=str(files[0]), config=str(files[1]), out=str(out))) == 0
    said = capsys.readouterr().out
    assert LABEL in said and "bbbb-2: 4 neurons, session embedding 1" in said
    found, expected = load_checkpoint(out), small_neds().state_dict()
    assert found.model.config == small_config() and found.manifest["tasks"] == ["encoding", "decoding"]
    assert found.model.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, found.model.state_dict()[name]) for name, value in expected.items())


def test_the_config_of_one_session_may_be_shorter(files):
    changed(files, sessions="gone", session_ids="gone", session_id="cccc-3")
    assert read_config(files[1]) == small_config(session_ids=("cccc-3",), sessions=(("cccc-3", 6),))
    changed(files, session_ids=ROWS)
    assert read_config(files[1]) == small_config(sessions=(("cccc-3", 6),))
    changed(files, session_id="gone")
    assert read_config(files[1]) == small_config(sessions=tuple((row, 6) for row in ROWS))


@pytest.mark.parametrize("name", [*NEDS_FIXED, *NEDS_FIELDS])
def test_whatever_the_config_lacks_is_named(files, name):
    changed(files, **{name: "gone"})
    if name == "sessions":
        assert len(read_config(files[1]).sessions) == 3
        return
    with pytest.raises(
        CheckpointError, match=rf"config.json: lacks .*{name}.*; .*the file must give model, modalities"
    ):
        read_config(files[1])


WRONG_CONFIG = [{"model": "NEDS2"}, {"model": ["NEDS"]}, {"modalities": ["spike"]}, {"modalities": 3}, {"n_heads": 3}]
WRONG_CONFIG += [{"hidden_size": 6}, {"n_bins": True}, {"n_bins": 10.0}, {"n_session_embeddings": 2}]
WRONG_CONFIG += [{name: n} for name in ("n_bins", "hidden_size", "n_layers", "n_neurons") for n in (0, -1, 10**12, "8")]
WRONG_CONFIG += [{"session_ids": ids} for ids in (3, ["a", "a"], [1], [])]
WRONG_CONFIG += [{"sessions": rows} for rows in ([], 3, [3], [{}], [{"eid": "bbbb-2"}], [{"eid": "z", "n_neurons": 6}])]
WRONG_CONFIG += [{"sessions": [{"eid": "bbbb-2", "n_neurons": n}]} for n in (0, 7, None, "4")]
WRONG_CONFIG += [
    {"session_ids": [name], "sessions": [{"eid": name, "n_neurons": 4}]} for name in ("", "a.b", "keys", "training")
]


@pytest.mark.parametrize("changes", WRONG_CONFIG, ids=str)
def test_a_config_of_no_such_network_is_refused(files, changes, unchecked):
    changed(files, **changes)
    with pytest.raises(CheckpointError, match=r"config\.json: "):
        read_released(*files)


FIRST = "encoder.0.attn.query.weight"
STITCHER = "encoder_embeddings.spike.embedder.mod_stitch_encoder.stitcher_dict.zzzz.weight"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({FIRST: None}, rf"missing \['{FIRST}'\], foreign \[\]"),
        ({"mask_token": None}, r"missing \['mask_token'\]"),
        ({"encoder.more": torch.ones(2)}, r"missing \[\], foreign \['encoder.more'\]"),
        ({FIRST: torch.ones(16, 15)}, rf"other shape \[.{FIRST} \(16, 15\) instead of \(16, 16\)"),
        ({FIRST: torch.ones(16, 16, dtype=torch.float16)}, f"{FIRST} is F16, not float32"),
        ({FIRST: torch.full((16, 16), float("nan"))}, f"{FIRST}.*not finite"),
        ({STITCHER: torch.ones(12, 6)}, "foreign .*stitchers are named by session ids: list their sessions"),
    ],
)
def test_weights_that_do_not_fit_the_config_are_named(files, changes, said):
    found = {**small_neds().state_dict(), **changes}
    save_file({name: value for name, value in found.items() if value is not None}, files[0])
    with pytest.raises(CheckpointError, match=rf"weights\.safetensors: .*{said}"):
        read_released(*files)


def test_a_network_beyond_its_file_takes_no_memory(files):
    changed(files, hidden_size=16_384, n_layers=100, inter_size=65_536, n_neurons=65_536)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="not the weights that the config describes"):
        read_released(*files)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * 2**20

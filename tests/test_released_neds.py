"""Released weights of NEDS give the outputs of the authors' code, and nothing that a task hides reaches them."""

from __future__ import annotations

import math
from argparse import Namespace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from small import small_trials
from small_released_neds import N_BINS, parity_folder, small_config, small_inputs, small_neds

from mtm_core.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from mtm_core.commands import evaluate, finetune, import_weights, predict_neds
from mtm_core.commands import predict as predict_command
from mtm_core.commands.predict_neds import ARRAYS
from mtm_core.compat import read_released
from mtm_core.evaluation.untrained import untrained
from mtm_core.masking import hold_out_neuron
from mtm_core.models.released_neds import CLASSES, LABEL, MODALITIES, PADDING, Task
from mtm_core.models.tables import UnknownSessionError
from mtm_core.predict import latents, predict

SHAPES = {"spike": (4, N_BINS, 6), "wheel": (4, N_BINS, 1), "whisker": (4, N_BINS, 1)}
SHOWN = {task: [name for name in MODALITIES if not task.hides(name)] for task in Task}
HIDDEN = {task: [name for name in MODALITIES if task.hides(name)] for task in Task}


@torch.inference_mode()
def outputs(model, inputs, task, session="cccc-3"):
    return model(inputs, session, task)


def same(found, expected):
    assert found.keys() == expected.keys()
    assert all(
        torch.equal(found[name], value) and bool(torch.isfinite(value).all()) for name, value in expected.items()
    )


# --- parity -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded():
    return load_file(parity_folder() / "expected.safetensors")


def agrees(found, recorded, task, how):
    """Every modality within 1e-5 of the authors' code."""
    for name in MODALITIES:
        expected = recorded[f"{task.value}.{name}"]
        difference = np.abs(found[name] - expected).max()
        print(f"{how}, {task.value}, {name}: differs by {difference:.1e}")
        assert found[name].shape == expected.shape and found[name].dtype == expected.dtype and difference <= 1e-5


@pytest.mark.parametrize("task", Task)
def test_every_modality_equals_that_of_the_authors_code(recorded, task):
    folder = parity_folder()
    model = read_released(folder / "weights.safetensors", folder / "config.json")
    inputs = {name: torch.as_tensor(recorded[ARRAYS[name]]) for name in MODALITIES}
    inputs |= {name: inputs[name][..., None] for name in ("wheel", "whisker")}
    found = outputs(model, inputs, task, model.session_ids[0])
    agrees({name: value.numpy() for name, value in found.items()}, recorded, task, "library")


@pytest.mark.parametrize("task", Task)
def test_the_commands_give_what_the_authors_code_gives(recorded, tmp_path, capsys, task):
    folder, out = parity_folder(), tmp_path / "released"
    files = {"file": str(folder / "weights.safetensors"), "config": str(folder / "config.json")}
    assert import_weights.run(Namespace(**files, out=str(out))) == 0
    asked = {"inputs": str(folder / "expected.safetensors"), "task": task.value, "out": str(tmp_path / "out")}
    assert predict_command.run(Namespace(checkpoint=str(out), **asked, session=None, device="cpu")) == 0
    assert capsys.readouterr().out.count(LABEL) == 2
    agrees(load_file(asked["out"]), recorded, task, "mtm predict")


# --- the same network written plainly ---------------------------------------------------------------------------------


def plain_linear(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def plain_norm(x, weights, name):
    centered = x - x.mean(-1, keepdims=True)
    scaled = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def plain_turned(x):
    """Channels i and i + half are one complex number, turned by the bin of the token."""
    half = x.shape[1] // 2
    bins = np.arange(len(x)) % N_BINS
    turned = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * np.outer(bins, 1e4 ** (-np.arange(half) / half)))
    return np.concatenate([turned.real, turned.imag], axis=1)


def plain_attention(x, weights, name):
    q, k, v = (plain_linear(x, weights, f"{name}.{each}") for each in ("query", "key", "value"))
    mixed = []
    for head in range(2):
        part = slice(8 * head, 8 * head + 8)
        scores = plain_turned(q[:, part]) @ plain_turned(k[:, part]).T / np.sqrt(8)
        shares = np.exp(scores - scores.max(1, keepdims=True))
        mixed.append(shares / shares.sum(1, keepdims=True) @ v[:, part])
    return plain_linear(np.concatenate(mixed, axis=1), weights, f"{name}.out_proj")


def plain_token(name, value, weights, session):
    """Tokens (T, D) of one trial's modality before anything is added."""
    embedder = f"encoder_embeddings.{name}.embedder.mod_stitch_encoder"
    if name == "spike":
        value = np.concatenate([value, np.full((N_BINS, 6 - value.shape[1]), PADDING)], axis=1)
    x = plain_linear(value, weights, f"{embedder}.stitcher_dict.{session}")
    x = x.reshape(N_BINS, 2) if name in CLASSES else x
    return plain_linear(x / (1 + np.abs(x)), weights, f"{embedder}.project_dict.{session}")


def plain_outputs(weights, trial, task, session, row):
    """All modalities of one trial in float64, step by step; classes as logits."""
    tokens = []
    for number, name in enumerate(MODALITIES):
        embedder = f"encoder_embeddings.{name}.embedder"
        hidden = np.repeat(weights["mask_token"][0], N_BINS, axis=0)
        x = hidden if task.hides(name) else plain_token(name, trial[name], weights, session)
        x = x + weights[f"{embedder}.mod_emb.weight"][number] + weights[f"{embedder}.pos_embed.weight"]
        tokens.append(x + weights[f"{embedder}.session_emb.weight"][row])
    x = np.concatenate(tokens)
    for layer in ("encoder.0", "encoder.1"):
        x = x + plain_attention(plain_norm(x, weights, f"{layer}.ln1"), weights, f"{layer}.attn")
        up = plain_linear(plain_norm(x, weights, f"{layer}.ln2"), weights, f"{layer}.mlp.up_proj")
        gelu = up * 0.5 * (1 + np.vectorize(math.erf)(up / np.sqrt(2)))
        x = x + plain_linear(gelu, weights, f"{layer}.mlp.down_proj")
    x, found = plain_norm(x, weights, "encoder_norm"), {}
    for number, name in enumerate(MODALITIES):
        of = f"encoder_embeddings.{name}"
        states = x[number * N_BINS :][:N_BINS]
        if name in CLASSES:
            states = weights[f"{of}.mod_static_weight_dict.{session}"] @ states
        found[name] = plain_linear(states, weights, f"{of}.mod_stitcher_proj_dict.stitch_decoder_dict.{session}")
    return found


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize(("session", "row", "n_neurons"), [("cccc-3", 2, 6), ("bbbb-2", 1, 4)])
def test_outputs_equal_those_of_the_network_written_plainly(task, session, row, n_neurons):
    model, inputs = small_neds(), small_inputs(3, n_neurons)
    weights = {name: value.numpy().astype(np.float64) for name, value in model.state_dict().items()}
    found = outputs(model, inputs, task, session)
    for k in range(3):
        trial = {name: values[k].numpy().astype(np.float64) for name, values in inputs.items()}
        for name, expected in plain_outputs(weights, trial, task, session, row).items():
            if name == "spike":
                expected = expected[:, :n_neurons]
            if name in CLASSES and task is Task.DECODING:
                expected = np.argmax(expected)
            np.testing.assert_allclose(found[name][k].numpy(), expected, rtol=1e-4, atol=1e-4, err_msg=name)


# --- what is hidden ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize("fill", [float("nan"), 1e6, -1.0, float("inf"), "shuffled", "absent"])
def test_what_a_task_hides_leaves_every_output_bit_identical(task, fill):
    model, inputs = small_neds(), small_inputs()
    other = dict(inputs)
    for name in HIDDEN[task]:
        if fill == "absent":
            del other[name]
        else:
            other[name] = inputs[name].flip(0) if fill == "shuffled" else torch.full_like(inputs[name], fill)
    same(outputs(model, other, task), outputs(model, inputs, task))


@pytest.mark.parametrize("task", Task)
def test_every_visible_modality_reaches_every_output(task):
    model, inputs = small_neds(), small_inputs(8)
    expected = outputs(model, inputs, task)
    for name in SHOWN[task]:
        found = outputs(model, {**inputs, name: inputs[name] + 1}, task)
        changed = {each for each in MODALITIES if not torch.equal(found[each], expected[each])}
        assert changed >= ({*MODALITIES} - {*CLASSES} if task is Task.DECODING else {*MODALITIES})


@pytest.mark.parametrize("task", Task)
def test_a_trial_does_not_depend_on_the_others_of_its_batch(task):
    """Nor is one alone treated otherwise, as in the released code."""
    model, inputs = small_neds(), small_inputs()
    expected = outputs(model, inputs, task)
    for k in range(4):
        alone = outputs(model, {name: values[k : k + 1] for name, values in inputs.items()}, task)
        for name, value in alone.items():
            torch.testing.assert_close(value[0], expected[name][k], rtol=0, atol=1e-5)
    poisoned = {name: values.clone() for name, values in inputs.items()}
    for name in SHOWN[task]:
        poisoned[name][0] = float("nan")
    found = outputs(model, poisoned, task)
    assert all(torch.equal(found[name][1:], value[1:]) for name, value in expected.items())


# --- the network ------------------------------------------------------------------------------------------------------


def test_classes_are_logits_in_encoding_and_the_likeliest_class_in_decoding():
    model, inputs = small_neds(), small_inputs()
    encoded, decoded = (outputs(model, inputs, task) for task in Task)
    for name, shape in SHAPES.items():
        assert encoded[name].shape == decoded[name].shape == shape
    for name, n in CLASSES.items():
        assert encoded[name].shape == (4, n) and decoded[name].shape == (4,) and decoded[name].dtype == torch.float32
        assert {*decoded[name].tolist()} <= {*range(n)}


def test_neurons_that_a_session_lacks_are_read_as_padding_and_not_given_out():
    model, inputs = small_neds(), small_inputs(n_neurons=4)
    model.n_neurons["bbbb-2"] = 6
    padded = {**inputs, "spike": torch.nn.functional.pad(inputs["spike"], (0, 2), value=PADDING)}
    expected = outputs(model, padded, Task.DECODING, "bbbb-2")
    found = outputs(small_neds(), inputs, Task.DECODING, "bbbb-2")
    same(found, {**expected, "spike": expected["spike"][:, :, :4]})


@pytest.mark.parametrize(
    ("changes", "session", "said"),
    [
        ({}, "aaaa-1", "no stitchers of session aaaa-1"),
        ({"spike": torch.ones(4, N_BINS, 6)}, "bbbb-2", r"spike of shape \(4, 5, 6\).*needs \(4, 5, 4\)"),
        ({"spike": torch.ones(4, N_BINS + 1, 6)}, "cccc-3", r"spike of shape \(4, 6, 6\)"),
    ],
)
def test_unknown_sessions_and_other_shapes_are_refused(changes, session, said):
    with pytest.raises(ValueError, match=said):
        outputs(small_neds(), {**small_inputs(), **changes}, Task.DECODING, session)
    with pytest.raises(ValueError, match="encoding reads choice, block, wheel, whisker; block, whisker missing"):
        outputs(small_neds(), {"choice": torch.ones(4, 1), "wheel": torch.ones(4, N_BINS, 1)}, Task.ENCODING)


def test_released_weights_are_computed_in_float32_whatever_is_asked_for():
    model, inputs = small_neds(), small_inputs()
    with torch.autocast("cpu", torch.bfloat16):
        asked = outputs(model, inputs, Task.ENCODING)
    same(asked, outputs(model, inputs, Task.ENCODING))


# --- on disk, and in other commands -----------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(tmp_path):
    return save_checkpoint(tmp_path / "released", small_neds(), {"data": [], "label": "flawless"})


def test_a_saved_network_comes_back_bit_identical_and_labelled(checkpoint):
    loaded = load_checkpoint(checkpoint.path)
    assert loaded.manifest["model"] == "neds_released" and loaded.manifest["label"] == LABEL
    assert loaded.model.config == small_config() and loaded.session_ids == ("cccc-3", "bbbb-2")
    assert len(loaded.unit_ids) == 10 and loaded.unit_ids[6] == "bbbb-2/0" and not loaded.model.training
    for task in Task:
        same(outputs(loaded.model, small_inputs(), task), outputs(checkpoint.model, small_inputs(), task))


def test_names_that_the_config_does_not_give_are_refused(tmp_path):
    model = small_neds()
    model.session_ids = ("bbbb-2", "cccc-3")
    save_checkpoint(tmp_path, model, {"data": []})
    with pytest.raises(CheckpointError, match="session_ids are not those of the config"):
        load_checkpoint(tmp_path)


def test_whatever_predicts_spikes_from_spikes_refuses_the_weights_in_a_sentence(checkpoint, tmp_path):
    trials = small_trials("cccc-3", (3, N_BINS, 6))
    for ask in (predict, latents):
        with pytest.raises(UnknownSessionError, match="NEDS weights .* use `mtm predict --task`"):
            ask(checkpoint, trials, hold_out_neuron((3, N_BINS, 6), 1))
    with pytest.raises(ValueError, match="released weights can be asked, not trained"):
        untrained(checkpoint)
    with pytest.raises(
        ValueError, match="released NEDS weights; .*; they know no recordings: give arrays to `mtm pred"
    ):
        evaluate.open_trials(checkpoint, None, None)
    asked = Namespace(checkpoint=str(checkpoint.path), out=str(tmp_path / "tuned"), session=["cccc-3"])
    with pytest.raises(ValueError, match="released weights run as they are"):
        finetune.run(asked)


def test_the_tasks_of_the_command_line_are_those_of_the_network():
    from mtm_core.__main__ import parser

    for task in Task:
        found = parser().parse_args(["predict", "x", "--inputs", "a", "--task", task.value, "--out", "b"])
        assert predict_neds.task_named(found.task) is task and predict_command.asks_modalities(found)
    with pytest.raises(ValueError, match="there is no task 'self'; give one of encoding, decoding"):
        predict_neds.task_named("self")

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small import small_trials

from mtm_core.__main__ import main
from mtm_core.checkpoint import save_checkpoint
from mtm_core.masking_modalities import hold_out_behaviors, hold_out_spikes
from mtm_core.modality import BEHAVIORS, class_of
from mtm_core.models.neds import NedsConfig
from mtm_core.session import identity
from mtm_core.training.build import build_model
from mtm_core.translate import translate

SIZE = NedsConfig(width=16, n_layers=2, n_heads=2)


def trials_with_behavior():
    rng = np.random.default_rng(5)
    behaviors = {
        "choice": rng.choice([-1.0, 0.0, 1.0], 30),
        "block": rng.choice([0.2, 0.8], 30).astype(np.float32),
        "wheel_speed": rng.gamma(2.0, size=(30, 12)),
    }
    return small_trials(behaviors=behaviors)


TRIALS = trials_with_behavior()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    model = build_model(SIZE, [TRIALS])
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    folder = tmp_path_factory.mktemp("neds") / "model"
    return save_checkpoint(folder, model.eval(), {"data": [identity(TRIALS)]}).path


def inputs(folder: Path, **changes) -> Path:
    classes = {f"input.{n}": torch.tensor(class_of(BEHAVIORS[n], TRIALS.behaviors[n])) for n in ("choice", "block")}
    arrays = {
        "input.spikes_data": torch.tensor(TRIALS.counts),
        "input.wheel": torch.tensor(TRIALS.behaviors["wheel_speed"], dtype=torch.float32),
        **classes,
        **{f"input.{name}": value for name, value in changes.items()},
    }
    save_file({name: value for name, value in arrays.items() if value is not None}, folder / "inputs.safetensors")
    return folder / "inputs.safetensors"


def predicted(checkpoint: Path, file: Path, task: str) -> dict[str, np.ndarray]:
    out = file.with_name(f"{task}.safetensors")
    assert main(["predict", str(checkpoint), "--inputs", str(file), "--task", task, "--out", str(out)]) == 0
    return {name: value.numpy() for name, value in load_file(out).items()}


@pytest.mark.parametrize("task", ["encoding", "decoding"])
def test_arrays_give_what_the_library_gives(checkpoint, tmp_path, task):
    from mtm_core import load_checkpoint

    names, shape = ("choice", "block", "wheel_speed"), TRIALS.counts.shape[:2]
    mask = hold_out_spikes(shape, names, names) if task == "encoding" else hold_out_behaviors(shape, names)
    expected = translate(load_checkpoint(checkpoint), TRIALS, mask)
    found = predicted(checkpoint, inputs(tmp_path), task)
    np.testing.assert_allclose(np.exp(found["spike"]), expected.rates, rtol=1e-5)
    np.testing.assert_allclose(found["wheel"][:, :, 0], expected.traces["wheel_speed"], rtol=1e-4, atol=1e-5)
    for name in ("choice", "block"):
        if task == "encoding":
            np.testing.assert_allclose(np.exp(found[name]), expected.probabilities[name], atol=1e-6)
        else:
            np.testing.assert_array_equal(found[name], expected.probabilities[name].argmax(1))


def test_what_is_hidden_may_be_anything_or_absent(checkpoint, tmp_path):
    nan = torch.full(TRIALS.counts.shape, torch.nan)
    encoding = [predicted(checkpoint, inputs(tmp_path, spikes_data=value), "encoding") for value in (nan, None)]
    usual = predicted(checkpoint, inputs(tmp_path), "encoding")
    assert all(np.array_equal(usual[name], each[name]) for each in encoding for name in usual)
    usual = predicted(checkpoint, inputs(tmp_path), "decoding")
    wheel = predicted(checkpoint, inputs(tmp_path, wheel=torch.full((30, 12), 1e6), choice=None), "decoding")
    assert all(np.array_equal(usual[name], wheel[name]) for name in usual)


@pytest.mark.parametrize(
    "asked",
    [
        ("encoding", {"wheel": torch.zeros(30, 11)}, "shape"),
        ("encoding", {"choice": torch.full((30,), 2)}, "classes"),
        ("decoding", {"spikes_data": -torch.ones(30, 12, 12)}, "negative"),
        ("decoding", {"spikes_data": None}, "holds none"),
        ("decoding", {"spikes_data": torch.ones(30, 12, 11)}, "shape"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_a_sentence(checkpoint, tmp_path, capsys, asked):
    (task, changes, said), out = asked, tmp_path / "out.safetensors"
    given = ["--inputs", str(inputs(tmp_path, **changes)), "--task", task, "--out", str(out)]
    assert main(["predict", str(checkpoint), *given]) != 0
    assert said in capsys.readouterr().err and not out.exists()


def test_a_behavior_that_the_file_lacks_is_unknown(checkpoint, tmp_path):
    absent = predicted(checkpoint, inputs(tmp_path, wheel=None), "encoding")
    unknown = predicted(checkpoint, inputs(tmp_path, wheel=torch.full((30, 12), torch.nan)), "encoding")
    assert all(np.array_equal(absent[name], unknown[name]) for name in absent)
    assert not np.array_equal(absent["spike"], predicted(checkpoint, inputs(tmp_path), "encoding")["spike"])

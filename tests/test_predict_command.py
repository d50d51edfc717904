"""`mtm predict`: arrays in files to log rates in a file, for any checkpoint; all else is refused in a sentence."""

from __future__ import annotations

from argparse import Namespace

import numpy as np
import pytest
import torch
from small import small_model, small_trials
from small_released import small_released

from mtm_core.checkpoint import CheckpointError, save_checkpoint
from mtm_core.commands.predict import run, scheme_named
from mtm_core.masking import Mask, Scheme, draw_mask, region_codes
from mtm_core.models.mtm import MtM
from mtm_core.models.tables import UnknownSessionError
from mtm_core.predict import predict
from mtm_core.session import identity

FIRST, SECOND = small_trials("aa-1", (6, 8, 12)), small_trials("ab-2", (5, 8, 9), seed=1)
MODEL = small_model(FIRST, SECOND)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    return save_checkpoint(folder, MODEL, {"data": [identity(FIRST), identity(SECOND)]})


@pytest.fixture
def asked(checkpoint, tmp_path):
    """Options for the second session, with a mask of random neurons."""
    hidden = hidden_of(SECOND)
    np.save(tmp_path / "counts.npy", SECOND.counts)
    np.save(tmp_path / "hidden.npy", hidden)
    names = {name: str(tmp_path / f"{name}.npy") for name in ("counts", "hidden", "out")}
    return Namespace(checkpoint=str(checkpoint.path), **names, prompt="neuron", session="ab-2", device="cpu")


def hidden_of(trials, prompt=Scheme.NEURON):
    codes = region_codes(trials.regions)
    return draw_mask(prompt, trials.counts.shape, codes, torch.Generator().manual_seed(2)).hidden.numpy()


def read(asked):
    return np.load(asked.out, allow_pickle=False)


@pytest.mark.parametrize("trials", [FIRST, SECOND], ids=["first", "second"])
@pytest.mark.parametrize("prompt", list(Scheme))
def test_log_rates_are_those_of_the_library(checkpoint, asked, trials, prompt):
    hidden = hidden_of(trials, prompt)
    np.save(asked.counts, trials.counts)
    np.save(asked.hidden, hidden)
    asked.prompt, asked.session = prompt.label.replace("_", "-"), trials.session_id
    assert run(asked) == 0
    mask = Mask(torch.as_tensor(hidden), torch.as_tensor(hidden), prompt)
    assert read(asked).dtype == np.float32
    np.testing.assert_allclose(np.exp(read(asked)), predict(checkpoint, trials, mask), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "uint16", "float16", "float32", "float64", ">i4"])
def test_counts_of_any_number_type_give_the_same_log_rates(asked, dtype):
    few = np.minimum(SECOND.counts, 1)
    np.save(asked.counts, few)
    run(asked)
    expected = read(asked)
    np.save(asked.counts, few.astype(dtype))
    if dtype == "bool":
        with pytest.raises(ValueError, match="bool of shape"):
            run(asked)
        return
    run(asked)
    np.testing.assert_array_equal(read(asked), expected)


@pytest.mark.parametrize("fill", [np.nan, 1e6, -1.0, np.inf])
def test_hidden_entries_leave_the_file_bit_identical(asked, fill):
    run(asked)
    expected = read(asked)
    np.save(asked.counts, np.where(np.load(asked.hidden), fill, SECOND.counts))
    run(asked)
    np.testing.assert_array_equal(read(asked), expected)


def test_prompts_are_named_with_hyphens_or_underscores():
    assert scheme_named("inter-region") == scheme_named("inter_region") == Scheme.INTER_REGION
    assert [scheme_named(scheme.label) for scheme in Scheme] == list(Scheme)
    with pytest.raises(ValueError, match="'inter'; give one of neuron, causal, intra-region, inter-region, temporal"):
        scheme_named("inter")


def test_a_session_is_named_by_a_unique_beginning(asked):
    asked.session = "ab"
    assert run(asked) == 0
    for name, said in (("a", "2 sessions .* begin with 'a'; give one of aa-1, ab-2"), ("x", "0 sessions")):
        asked.session = name
        with pytest.raises(UnknownSessionError, match=said):
            run(asked)


def test_another_number_of_neurons_is_refused(asked):
    asked.session = "aa-1"
    with pytest.raises(ValueError, match="counts of 9 neurons, but session aa-1 has 12"):
        run(asked)


def test_a_trunk_without_sessions_is_refused(asked, tmp_path):
    save_checkpoint(tmp_path / "trunk", MtM(MODEL.config, (), ()), {"data": []})
    asked.checkpoint = str(tmp_path / "trunk")
    with pytest.raises(UnknownSessionError, match="knows no session; fine-tune it"):
        run(asked)


def test_a_checkpoint_that_does_not_say_which_neurons_a_session_has_is_refused(asked, tmp_path):
    save_checkpoint(tmp_path / "bare", MODEL, {"data": [identity(FIRST)]})
    asked.checkpoint = str(tmp_path / "bare")
    with pytest.raises(CheckpointError, match="does not say which neurons session ab-2 has"):
        run(asked)


@pytest.mark.parametrize(
    ("prompt", "n_bins", "said"), [("temporal", 8, "know the prompts neuron"), ("neuron", 11, "positions for 10")]
)
def test_what_released_weights_cannot_do_is_refused(asked, tmp_path, prompt, n_bins, said):
    save_checkpoint(tmp_path / "released", small_released(), {"data": []})
    asked.checkpoint, asked.session, asked.prompt = str(tmp_path / "released"), "bbbb", prompt
    for file, kind in ((asked.counts, np.uint8), (asked.hidden, bool)):
        np.save(file, np.zeros((2, n_bins, 4), kind))
    with pytest.raises(ValueError, match=said):
        run(asked)


WRONG_COUNTS = [
    (SECOND.counts[0], "uint8 of shape .8, 9.; give numbers of axes trials, bins, neurons"),
    (SECOND.counts.astype(complex), "complex128"),
    (SECOND.counts.astype(str), "U3"),
    (SECOND.counts[:0], "is empty"),
    (-1.0 - SECOND.counts, "visible counts are negative"),
    (np.full(SECOND.counts.shape, np.nan), "visible counts are negative or not finite"),
    (np.full(SECOND.counts.shape, 1e300), "not finite"),
]


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize(("counts", "said"), WRONG_COUNTS, ids=range(len(WRONG_COUNTS)))
def test_arrays_that_are_no_counts_are_refused(asked, counts, said):
    np.save(asked.counts, counts)
    with pytest.raises(ValueError, match=f"counts.npy: .*{said}"):
        run(asked)


@pytest.mark.parametrize("hidden", [hidden_of(SECOND).astype(np.uint8), hidden_of(SECOND)[:2], hidden_of(FIRST)])
def test_a_mask_that_is_no_bool_of_that_shape_is_refused(asked, hidden):
    np.save(asked.hidden, hidden)
    with pytest.raises(ValueError, match=r"hidden.npy: .* of shape .*; give bool of shape \(5, 8, 9\)"):
        run(asked)


HUGE = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776, 100, 700), }"
HUGE = b"\x93NUMPY\x01\x00" + (128 - 10).to_bytes(2, "little") + HUGE.ljust(117) + b"\n"
NO_ARRAYS = [b"", b"PK\x03\x04", b"\x80\x04N.", b"\x93NUMPY\x01\x00", HUGE, b"\x93NUMPY\x01\x00\x05\x00(((((" + b"("]


@pytest.mark.parametrize("content", NO_ARRAYS, ids=range(len(NO_ARRAYS)))
def test_files_that_are_no_arrays_are_refused(asked, content):
    with open(asked.counts, "wb") as file:
        file.write(content)
    with pytest.raises(ValueError, match="counts.npy: not an array written by numpy.save"):
        run(asked)


def test_files_of_objects_or_of_several_arrays_are_refused(asked):
    np.save(asked.counts, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="counts.npy: not an array"):
        run(asked)
    with open(asked.counts, "wb") as file:
        np.savez(file, a=SECOND.counts)
    with pytest.raises(ValueError, match="holds several arrays"):
        run(asked)


def test_missing_files_and_folders_are_named(asked, tmp_path):
    asked.counts = str(tmp_path / "no.npy")
    with pytest.raises(ValueError, match="no.npy: no such file"):
        run(asked)
    asked.out = str(tmp_path / "no" / "out.npy")
    with pytest.raises(ValueError, match="there is no folder"):
        run(asked)


def test_a_refusal_leaves_the_file_of_an_earlier_run(asked):
    run(asked)
    expected = read(asked)
    asked.session = "aa-1"
    with pytest.raises(ValueError, match="12"):
        run(asked)
    np.testing.assert_array_equal(read(asked), expected)

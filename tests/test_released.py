"""The released weights give the authors' log rates, and what our own model does not do, they do as released."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from small import small_trials
from small_released import SESSIONS, parity_folder, small_config, small_released

from mtm_core.checkpoint import CheckpointError, load_checkpoint, read_manifest, save_checkpoint
from mtm_core.commands import import_weights
from mtm_core.commands import predict as predict_command
from mtm_core.compat import read_released
from mtm_core.evaluation.metrics import SpikeSums, bits_per_spike
from mtm_core.evaluation.questions import TASKS, questions
from mtm_core.evaluation.tasks import score_task
from mtm_core.masking import Mask, Scheme, draw_mask, hold_out_future, hold_out_neuron
from mtm_core.models.mtm import Batch
from mtm_core.models.released import LABEL
from mtm_core.models.tables import UnknownSessionError
from mtm_core.predict import latents, predict

PROMPTS = ("neuron", "causal", "inter-region", "intra-region")
RELEASED = (Scheme.NEURON, Scheme.CAUSAL, Scheme.INTER_REGION, Scheme.INTRA_REGION)
SHAPE = (3, 10, 6)  # of session aaaa-1
CODES = torch.tensor([0, 0, 0, 1, 1, 1])


def scheme(prompt):
    return Scheme[prompt.replace("-", "_").upper()]


def counts_of(shape=SHAPE, seed=0):
    return torch.as_tensor(np.random.default_rng(seed).poisson(1.0, shape).astype(np.uint8))


def batch_of(model, counts, session=SESSIONS[0], read=None):
    rows, row = model.rows(session, tuple(str(n) for n in range(counts.shape[2])))
    return Batch(counts, rows, row, 0.02 * torch.arange(counts.shape[1]), read)


@torch.inference_mode()
def log_rates(model, counts, hidden, prompt, session=SESSIONS[0]):
    return model(batch_of(model, counts, session), Mask(hidden, hidden, prompt))


# --- parity -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded():
    return load_file(parity_folder() / "expected.safetensors")


@pytest.fixture(scope="module")
def released():
    return read_released(parity_folder() / "weights.safetensors", parity_folder() / "config.json")


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    folder, out = parity_folder(), tmp_path_factory.mktemp("imported") / "released"
    config = folder / "config.json"
    assert (
        import_weights.run(Namespace(file=str(folder / "weights.safetensors"), config=str(config), out=str(out))) == 0
    )
    return out


def agrees(found, recorded, name, how):
    """Log rates within 1e-5, bits per spike of the hidden entries within 1e-6 of the authors'."""
    expected, session = recorded[f"{name}.log_rates"], name.split(".")[0]
    counts, hidden = recorded[f"{session}.counts"], recorded[f"{name}.hidden"]
    bits = bits_per_spike(np.exp(found.astype(np.float64)), counts, target=hidden)
    known = recorded[f"{name}.bits_per_spike"]
    np.testing.assert_array_equal(np.isnan(bits), np.isnan(known))
    differences = np.abs(found - expected).max(), np.nanmax(np.abs(bits - known))
    print(f"{how} {name}: log rates differ by {differences[0]:.1e}, bits per spike by {differences[1]:.1e}")
    assert found.shape == expected.shape and differences[0] <= 1e-5 and differences[1] <= 1e-6


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("session", [0, 1])
def test_log_rates_equal_those_of_the_authors_code(released, recorded, session, prompt):
    name = f"session{session}.{prompt}"
    counts, hidden = (torch.as_tensor(recorded[n]) for n in (f"session{session}.counts", f"{name}.hidden"))
    found = log_rates(released, counts, hidden, scheme(prompt), released.session_ids[session])
    agrees(found.numpy(), recorded, name, "library")


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("session", [0, 1])
def test_the_commands_give_the_log_rates_of_the_authors_code(imported, recorded, tmp_path, session, prompt):
    name, files = f"session{session}.{prompt}", {n: str(tmp_path / f"{n}.npy") for n in ("counts", "hidden", "out")}
    np.save(files["counts"], recorded[f"session{session}.counts"])
    np.save(files["hidden"], recorded[f"{name}.hidden"])
    eid = read_manifest(imported)["session_ids"][session]
    asked = Namespace(checkpoint=str(imported), **files, prompt=prompt, session=eid[:8], device="cpu")
    assert predict_command.run(asked) == 0
    found = np.load(files["out"], allow_pickle=False)
    assert found.dtype == np.float32
    agrees(found, recorded, name, "mtm predict")


def test_scores_of_predictions_equal_the_recorded_ones(imported, recorded):
    """The way of the evaluation: trials and a mask to `predict`, its rates to sums."""
    checkpoint = load_checkpoint(imported)
    counts, hidden = recorded["session1.counts"], torch.as_tensor(recorded["session1.neuron.hidden"])
    trials = small_trials(checkpoint.session_ids[1], counts.shape, counts=counts)
    sums = SpikeSums.empty(counts.shape[0], counts.shape[2])
    sums.add(counts, predict(checkpoint, trials, Mask(hidden, hidden, Scheme.NEURON)), hidden.numpy())
    found = sums.total().bits_per_spike()
    np.testing.assert_allclose(found, recorded["session1.neuron.bits_per_spike"], rtol=0, atol=1e-6)


# --- what is hidden ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", RELEASED)
@pytest.mark.parametrize("fill", [float("nan"), 1e6, -3.0, float("inf")])
def test_hidden_entries_leave_the_log_rates_bit_identical(prompt, fill):
    model, counts = small_released(), counts_of().float()
    hidden = draw_mask(prompt, SHAPE, CODES, torch.Generator().manual_seed(1)).hidden
    expected = log_rates(model, counts, hidden, prompt)
    assert hidden.any() and torch.isfinite(expected).all()
    assert torch.equal(log_rates(model, counts.masked_fill(hidden, fill), hidden, prompt), expected)
    shuffled = torch.where(hidden, counts.flatten()[torch.randperm(counts.numel())].view(SHAPE), counts)
    assert torch.equal(log_rates(model, shuffled, hidden, prompt), expected)


@pytest.mark.parametrize("prompt", RELEASED)
def test_a_hidden_entry_is_read_as_silence(prompt):
    """As released: the network cannot tell a hidden neuron from one that fired no spike."""
    model, counts = small_released(), counts_of()
    hidden = draw_mask(prompt, SHAPE, CODES, torch.Generator().manual_seed(1)).hidden
    silent, nothing = counts.masked_fill(hidden, 0), torch.zeros(SHAPE, dtype=torch.bool)
    assert torch.equal(log_rates(model, counts, hidden, prompt), log_rates(model, silent, nothing, prompt))


def changed_bins(n_layers, prompt):
    """The bins whose log rates change when a count in bin 6 does."""
    model, counts, nothing = small_released(n_layers=n_layers), counts_of(), torch.zeros(SHAPE, dtype=torch.bool)
    other = counts.clone()
    other[:, 6] += 3
    change = (log_rates(model, counts, nothing, prompt) - log_rates(model, other, nothing, prompt)).abs()
    return {t for t in range(SHAPE[1]) if change[:, t].max() > 0}


def test_with_the_causal_prompt_the_future_leaks_as_released():
    """Directly a bin reads no later one; through the two tokens in front it does, from the second layer on."""
    assert changed_bins(1, Scheme.CAUSAL) == {6, 7, 8, 9}
    assert changed_bins(2, Scheme.CAUSAL) == set(range(10))
    assert changed_bins(1, Scheme.NEURON) == set(range(10))


def test_the_leak_is_labelled_wherever_the_weights_go(tmp_path):
    model = small_released()
    assert model.causal_is_strict is False and model.shares_tokens is False and "sees the future" in LABEL
    assert save_checkpoint(tmp_path, model, {"label": "strict"}).manifest["label"] == LABEL
    assert load_checkpoint(tmp_path).manifest["label"] == LABEL


def test_a_hidden_future_does_not_leak():
    """Forward prediction hides the future, so its score is sound all the same."""
    model, counts, mask = small_released(), counts_of(), hold_out_future(SHAPE, 3)
    other = counts.clone()
    other[:, 7:] = 200
    found = [log_rates(model, each, mask.hidden, Scheme.CAUSAL) for each in (counts, other)]
    assert torch.equal(*found)


# --- sessions and neurons ---------------------------------------------------------------------------------------------


def test_sessions_with_equal_numbers_of_neurons_share_a_stitcher_as_released():
    model, counts, nothing = small_released(), counts_of(), torch.zeros(SHAPE, dtype=torch.bool)
    first, third = (log_rates(model, counts, nothing, Scheme.NEURON, SESSIONS[i]) for i in (0, 2))
    assert not torch.equal(first, third)  # the session token tells them apart
    with torch.no_grad():
        table = model.encoder["embedder"].embed_session.weight
        table[2] = table[0]
    assert torch.equal(log_rates(model, counts, nothing, Scheme.NEURON, SESSIONS[2]), first)


def test_units_are_found_by_place_or_by_name():
    model = small_released()
    assert model.session_ids == SESSIONS[:3] and len(model.unit_ids) == 16 and model.unit_ids[6] == "bbbb-2/0"
    rows, row = model.rows("cccc-3", ("u", "v", "w", "x", "y", "z"))
    assert rows.tolist() == [0, 1, 2, 3, 4, 5] and row == 2
    names = tuple(f"bbbb-2/{n}" for n in (3, 1, 0, 2))
    assert model.rows("bbbb-2", names)[0].tolist() == [3, 1, 0, 2]


def test_named_units_in_another_order_get_the_same_log_rates_in_that_order():
    model, counts = small_released(), counts_of()
    order = torch.tensor([4, 2, 0, 5, 3, 1])
    rows, row = model.rows(SESSIONS[0], tuple(f"{SESSIONS[0]}/{n}" for n in order))
    batch, hidden = batch_of(model, counts), torch.zeros(SHAPE, dtype=torch.bool)
    hidden[:, :, 2] = True
    turned = replace(batch, counts=counts[:, :, order], unit_rows=rows, session_row=row)
    mask = Mask(hidden, hidden, Scheme.NEURON)
    with torch.inference_mode():
        found = model(turned, Mask(hidden[:, :, order], hidden[:, :, order], Scheme.NEURON))
        torch.testing.assert_close(found, model(batch, mask)[:, :, order], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("session", "n", "said"), [("dddd-4", 6, "dddd-4"), ("zzzz", 6, "zzzz"), ("bbbb-2", 6, "4 neurons.*not 6")]
)
def test_unknown_sessions_and_other_numbers_of_neurons_are_refused(session, n, said):
    with pytest.raises(UnknownSessionError, match=said):
        small_released().rows(session, tuple(map(str, range(n))))


def test_only_the_neurons_to_read_are_read_out():
    model, counts = small_released(), counts_of()
    mask = hold_out_neuron(SHAPE, 4)
    with torch.inference_mode():
        every = model(batch_of(model, counts), mask)
        some = model(batch_of(model, counts, read=torch.tensor([4, 1])), mask)
    torch.testing.assert_close(some, every[:, :, [4, 1]], rtol=0, atol=1e-6)


def test_trials_may_have_different_prompts():
    model, counts = small_released(), counts_of()
    hidden = hold_out_neuron(SHAPE, 1).hidden
    prompts = torch.tensor([int(p) for p in (Scheme.CAUSAL, Scheme.NEURON, Scheme.INTRA_REGION)])
    with torch.inference_mode():
        mixed = model(batch_of(model, counts), Mask(hidden, hidden, prompts))
    for k, prompt in enumerate(prompts):
        alone = log_rates(model, counts, hidden, Scheme(int(prompt)))[k]
        torch.testing.assert_close(mixed[k], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("prompt", [Scheme.TEMPORAL, Scheme.RANDOM_TOKEN])
def test_prompts_that_were_not_trained_are_refused(prompt):
    with pytest.raises(ValueError, match="know the prompts neuron, causal"):
        log_rates(small_released(), counts_of(), torch.zeros(SHAPE, dtype=torch.bool), prompt)


def test_the_position_table_limits_the_number_of_bins():
    model = small_released()
    for n_bins in (1, 10):
        counts = counts_of((2, n_bins, 6))
        found = log_rates(model, counts, torch.zeros(counts.shape, dtype=torch.bool), Scheme.NEURON)
        assert found.shape == (2, n_bins, 6) and torch.isfinite(found).all()
    counts = counts_of((2, 11, 6))
    with pytest.raises(ValueError, match="11 bins.*positions for 10"):
        log_rates(model, counts, torch.zeros(counts.shape, dtype=torch.bool), Scheme.NEURON)


def test_released_weights_are_computed_in_float32_whatever_is_asked_for():
    model, counts, nothing = small_released(), counts_of(), torch.zeros(SHAPE, dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16):
        asked = log_rates(model, counts, nothing, Scheme.NEURON)
    assert asked.dtype == torch.float32 and torch.equal(asked, log_rates(model, counts, nothing, Scheme.NEURON))


# --- use in the library -----------------------------------------------------------------------------------------------


def test_predict_and_latents_take_a_checkpoint_of_released_weights(tmp_path):
    checkpoint = save_checkpoint(tmp_path, small_released(), {"data": []})
    trials = small_trials(SESSIONS[0], SHAPE)
    mask = hold_out_neuron(SHAPE, 2)
    rates = predict(checkpoint, trials, mask)
    expected = log_rates(checkpoint.model, torch.as_tensor(trials.counts), mask.hidden, Scheme.NEURON).exp()
    np.testing.assert_array_equal(rates, expected.numpy())
    np.testing.assert_allclose(predict(checkpoint, trials, mask, np.array([2])), rates[:, :, [2]], rtol=1e-6)
    assert latents(checkpoint, trials, mask).shape == (3, 10, 16)
    with pytest.raises(UnknownSessionError, match="dddd"):
        predict(checkpoint, small_trials("dddd", SHAPE), mask)


def test_bins_without_data_are_hidden(tmp_path):
    checkpoint = save_checkpoint(tmp_path, small_released(), {"data": []})
    trials, mask = small_trials(SESSIONS[0], SHAPE), hold_out_neuron(SHAPE, 2)
    valid = np.ones(SHAPE[:2], dtype=bool)
    valid[:, 8:] = False
    noise = trials.counts.copy()
    noise[:, 8:] = 99
    one, other = (predict(checkpoint, replace(trials, counts=c, valid=valid), mask) for c in (trials.counts, noise))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("task", TASKS)
def test_the_evaluation_scores_the_answers_of_predict_to_one_question_at_a_time(tmp_path, task):
    checkpoint = save_checkpoint(tmp_path, small_released(), {"data": []})
    trials = small_trials(SESSIONS[0], (20, 10, 6))
    *_, last = score_task(checkpoint, trials, task)
    part, expected = trials.select("test"), np.full(6, np.nan)
    for question in questions(task, part):
        rates = predict(checkpoint, part, question.mask, question.neurons)
        scored = np.broadcast_to(np.arange(10)[:, None] >= question.first_hidden_bin % 10, rates.shape)
        expected[question.neurons] = bits_per_spike(rates, part.counts[:, :, question.neurons], target=scored)
    assert np.isfinite(expected).any()
    np.testing.assert_allclose(last.score.bits, expected, rtol=0, atol=1e-12)


# --- on disk ----------------------------------------------------------------------------------------------------------


def test_a_saved_network_comes_back_bit_identical(tmp_path):
    model, counts, nothing = small_released(), counts_of(), torch.zeros(SHAPE, dtype=torch.bool)
    save_checkpoint(tmp_path, model, {"data": []})
    loaded = load_checkpoint(tmp_path)
    assert loaded.model.config == small_config() and loaded.session_ids == SESSIONS[:3]
    assert loaded.manifest["model"] == "mtm_released" and not loaded.model.training
    for prompt in RELEASED:
        expected = log_rates(model, counts, nothing, prompt)
        assert torch.equal(log_rates(loaded.model, counts, nothing, prompt), expected)


def test_names_that_the_config_does_not_give_are_refused(tmp_path):
    model = small_released()
    model.unit_ids = ("x", *model.unit_ids[1:])
    save_checkpoint(tmp_path, model, {"data": []})
    with pytest.raises(CheckpointError, match="unit_ids are not those of the config"):
        load_checkpoint(tmp_path)

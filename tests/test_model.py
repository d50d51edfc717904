from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small import SIZE, small_model, small_trials

from mtm_core.masking import Mask, Scheme, draw_mask, hold_out_neuron
from mtm_core.models import mtm, stitcher
from mtm_core.models.mtm import Batch, MtM, MtMConfig, _may_read
from mtm_core.models.patches import N_PREFIX, token_bins
from mtm_core.models.tables import UnknownSessionError
from mtm_core.models.transformer import Dropout, attend, rotary_angles
from mtm_core.predict import predict, to_batch
from mtm_core.training.batches import draw_mixed, put_on_device
from mtm_core.training.build import build_model
from mtm_core.training.loss import poisson_loss, trial_weights

TRIALS = small_trials(shape=(8, 12, 12))
MODEL = small_model(TRIALS)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def mask_of(shape, seed=0, scheme=Scheme.NEURON, ratio=0.3):
    return draw_mask(scheme, shape, torch.zeros(shape[2], dtype=torch.long), rng(seed), ratio)


def nothing_hidden(shape):
    hidden = torch.zeros(shape, dtype=torch.bool)
    return Mask(hidden, hidden, Scheme.NEURON)


# --- outputs ----------------------------------------------------------------------------------------------------------


def test_neurons_in_another_order_give_the_same_outputs_in_that_order():
    order = np.random.default_rng(0).permutation(12)
    mask = mask_of(TRIALS.counts.shape)
    shuffled = replace(TRIALS, counts=TRIALS.counts[..., order], unit_ids=TRIALS.unit_ids[order])
    moved = Mask(mask.hidden[..., order], mask.target[..., order], mask.scheme)
    expected = np.log(predict(MODEL, TRIALS, mask))[..., order]
    np.testing.assert_allclose(np.log(predict(MODEL, shuffled, moved)), expected, atol=1e-5)


def test_a_trial_does_not_depend_on_the_size_of_its_batch():
    trials = small_trials(shape=(64, 12, 12))
    mask = mask_of(trials.counts.shape)
    batch = to_batch(MODEL, trials)
    with torch.inference_mode():
        whole = MODEL(batch, mask)
        for i in (0, 17, 63):
            one = MODEL(replace(batch, counts=batch.counts[i : i + 1]), mask.rows(slice(i, i + 1)))
            torch.testing.assert_close(one[0], whole[i], rtol=0, atol=1e-6)


def test_the_order_of_trials_does_not_matter():
    mask, order = mask_of(TRIALS.counts.shape), np.arange(8)[::-1].copy()
    moved = Mask(mask.hidden[order], mask.target[order], mask.scheme)
    expected = predict(MODEL, TRIALS, mask)[order]
    np.testing.assert_allclose(predict(MODEL, TRIALS.select(order), moved), expected, atol=1e-6)


def test_a_causal_trial_is_the_same_among_others():
    """With one causal trial in the batch all attention takes a mask; trials of other schemes must not notice."""
    shape = TRIALS.counts.shape
    prompts = torch.tensor([int(Scheme.CAUSAL)] + [int(Scheme.NEURON)] * 7)
    plain = nothing_hidden(shape)
    mixed = predict(MODEL, TRIALS, replace(plain, scheme=prompts))
    np.testing.assert_allclose(mixed[1:], predict(MODEL, TRIALS, plain)[1:], atol=1e-6)
    causal = predict(MODEL, TRIALS, replace(plain, scheme=Scheme.CAUSAL))
    np.testing.assert_allclose(mixed[0], causal[0], atol=1e-6)


def test_hidden_is_not_silent():
    shape = TRIALS.counts.shape
    silent = TRIALS.counts.copy()
    silent[..., 3] = 0
    hidden = predict(MODEL, TRIALS, hold_out_neuron(shape, 3))
    assert np.abs(np.log(predict(MODEL, replace(TRIALS, counts=silent), nothing_hidden(shape)) / hidden)).max() > 1e-3


@pytest.mark.parametrize("n_bins", [1, 2, 7, 50])
def test_any_number_of_bins_works(n_bins):
    trials = small_trials(shape=(3, n_bins, 12))
    rates = predict(MODEL, trials, mask_of(trials.counts.shape))
    assert rates.shape == trials.counts.shape and np.isfinite(rates).all() and rates.dtype == np.float32
    causal = predict(MODEL, trials, mask_of(trials.counts.shape, scheme=Scheme.CAUSAL))
    assert np.isfinite(causal).all()


def test_a_subset_of_the_neurons_can_be_read_out():
    mask = mask_of(TRIALS.counts.shape)
    some = predict(MODEL, TRIALS, mask, np.array([7, 2]))
    np.testing.assert_allclose(some, predict(MODEL, TRIALS, mask)[..., [7, 2]], rtol=1e-6)


def test_prompts_change_the_answer_unless_the_model_takes_none():
    mask = mask_of(TRIALS.counts.shape)
    for prompted in (True, False):
        model = small_model(TRIALS, prompted=prompted)
        answers = [predict(model, TRIALS, replace(mask, scheme=s)) for s in (Scheme.NEURON, Scheme.INTER_REGION)]
        assert np.array_equal(*answers) != prompted


def test_an_unknown_session_or_neuron_is_refused():
    for unknown in (
        small_trials("b"),
        replace(TRIALS, session_id="c"),
        replace(TRIALS, unit_ids=TRIALS.unit_ids + "x"),
    ):
        with pytest.raises(UnknownSessionError, match="does not know session"):
            to_batch(MODEL, unknown)


def test_two_neurons_of_one_name_are_refused():
    with pytest.raises(ValueError, match="same uuid"):
        MtM(SIZE, ("a", "a"), ("s",))


@pytest.mark.parametrize(
    "size",
    [{"width": 30}, {"width": 0}, {"width": -16}, {"n_heads": 0}, {"n_layers": 0}, {"n_layers": 10**9}]
    + [{"width": 2**20}, {"dropout": 1.0}, {"dropout": -0.1}, {"token_dropout": float("nan")}],
)
def test_impossible_sizes_are_refused(size):
    with pytest.raises(ValueError, match="give|even number"):
        replace(MtMConfig(), **size)


def test_means_of_the_training_trials_start_the_read_out():
    silent = TRIALS.counts.copy()
    silent[..., 0] = 0
    model = build_model(SIZE, [replace(TRIALS, counts=silent)])
    train = TRIALS.select("train").counts.mean((0, 1))
    assert float(model.units.mean[0]) == pytest.approx(1e-4)
    torch.testing.assert_close(model.units.bias, model.units.mean.log())
    np.testing.assert_allclose(model.units.mean[1:], train[1:], rtol=1e-6)


# --- parts ------------------------------------------------------------------------------------------------------------


def test_the_unit_table_is_one_linear_stitcher_per_session():
    model, width, generator = MtM(MtMConfig(width=8), tuple(f"u{n}" for n in range(20)), ("s",)), 8, rng(1)
    table = model.units
    with torch.no_grad():
        for parameter in table.parameters():
            parameter.normal_(generator=generator)
        table.mean.uniform_(0.1, 2, generator=generator)
    for rows in (torch.arange(7), torch.tensor([19, 7, 11])):
        mean = table.mean[rows]
        visible, hidden = torch.rand(2, 5, len(rows), generator=generator), torch.rand(2, 5, len(rows)) < 0.5
        scaled = (visible - mean) / (mean + 0.05).sqrt()
        stitcher = torch.cat([table.input[rows], table.hidden_signal[rows]]).T  # (D, 2 N): the matrix of a session
        expected = F.linear(torch.cat([scaled, hidden.float()], dim=2), stitcher)
        torch.testing.assert_close(model.embed(visible, hidden, rows)[:, :, 0], expected, rtol=1e-5, atol=1e-5)
        states = torch.randn(2, 5, width, generator=generator)
        expected = F.linear(states, table.readout[rows], table.bias[rows])
        torch.testing.assert_close(table.read_out(states, rows), expected, rtol=1e-5, atol=1e-5)


def test_causal_trials_read_the_past_the_prefix_and_themselves():
    prompts = torch.tensor([int(Scheme.CAUSAL), int(Scheme.NEURON)])
    may_read = _may_read(prompts, token_bins(4, 1, prompts.device))
    assert may_read.shape == (2, 1, 6, 6) and may_read[1].all()
    for i in range(6):
        for j in range(6):
            expected = j < N_PREFIX if i < N_PREFIX else j <= i
            assert bool(may_read[0, 0, i, j]) == expected, (i, j)
    assert _may_read(prompts[1:], token_bins(4, 1, prompts.device)) is None


def test_both_ways_to_attend_agree():
    qkv, angles = torch.randn(2, 6, 3, 2, 4, generator=rng(0)), rotary_angles(torch.arange(6), 4)
    for may_read in (None, _may_read(torch.tensor([1, 0]), token_bins(4, 1, torch.device("cpu")))):
        by_kernel = attend(qkv, angles, may_read)
        by_hand = attend(qkv.clone().requires_grad_(), angles, may_read)
        torch.testing.assert_close(by_kernel, by_hand, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_the_gradient_of_attention_is_its_derivative(share):
    qkv, angles = torch.randn(2, 6, 3, 2, 4, generator=rng(0)).double(), rotary_angles(torch.arange(6).double(), 4)
    may_read = _may_read(torch.tensor([1, 0]), token_bins(4, 1, torch.device("cpu")))

    def attended(qkv):
        torch.manual_seed(0)  # the same weights are dropped every time
        return attend(qkv, angles, may_read, Dropout(share))

    assert torch.autograd.gradcheck(attended, qkv.requires_grad_())


def test_dropout_keeps_the_mean_and_drops_its_share():
    x = torch.ones(100_003)
    torch.manual_seed(0)
    y = Dropout(0.3)(x)
    assert (y == 0).float().mean() == pytest.approx(77 / 256, abs=0.01)
    assert y.mean() == pytest.approx(1, abs=0.01) and y.unique().numel() == 2
    assert Dropout(0.3).eval()(x) is x and Dropout(0.0)(x) is x


# --- gradients and loss -----------------------------------------------------------------------------------------------


def random_case(seed):
    """A batch and a mask of any kind: empty, full, one neuron, no spikes, as many as fit."""
    generator = np.random.default_rng(seed)
    n_neurons = int(generator.choice([1, 2, 12]))
    shape = (int(generator.integers(1, 5)), int(generator.integers(1, 8)), n_neurons)
    counts = [generator.poisson(0.3, shape), np.zeros(shape), np.full(shape, 255)][seed % 3]
    ratio = float(generator.choice([0.0, 0.3, 1.0]))
    mask = mask_of(shape, seed, Scheme(int(generator.integers(6))), ratio)
    return torch.as_tensor(counts.astype(np.uint8)), mask


def test_gradients_are_finite_whatever_the_batch(unchecked):
    model = small_model(TRIALS).train()
    for seed in range(200):
        counts, mask = random_case(seed)
        model.zero_grad()
        batch = Batch(counts, torch.arange(counts.shape[2]), 0, torch.arange(counts.shape[1]) * 0.02)
        loss = poisson_loss(model(batch, mask), counts, mask, trial_weights([mask])[0])
        loss.backward()
        assert torch.isfinite(loss), seed
        gradients = [p.grad.to_dense() for p in model.parameters() if p.grad is not None]
        assert all(torch.isfinite(gradient).all() for gradient in gradients), seed
        if not mask.target.any():
            assert loss == 0 and not any(gradient.any() for gradient in gradients)


def test_the_gradient_of_the_loss_is_its_derivative(unchecked, monkeypatch):
    model = small_model(TRIALS, width=8, n_heads=2).double()
    mask = mask_of((2, 3, 4), seed=2)
    weights = trial_weights([mask])[0].double()
    for module in (mtm, stitcher):  # gradcheck knows dense gradients only
        monkeypatch.setattr(module, "rows_of", lambda table, rows: table[rows])
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)  # the model's own conversions would round
    batch = Batch(torch.as_tensor(TRIALS.counts[:2, :3, :4]), torch.arange(4), 0, torch.arange(3).double() * 0.02)
    names = ["units.input", "units.hidden_signal", "prompt.weight", "transformer.blocks.0.qkv.weight"]
    start = [dict(model.named_parameters())[name].detach().clone().requires_grad_() for name in names]

    def loss(*values):
        log_rates = torch.func.functional_call(model, dict(zip(names, values, strict=True)), (batch, mask))
        return poisson_loss(log_rates, batch.counts, mask, weights)

    assert loss(*start).dtype == torch.float64
    assert torch.autograd.gradcheck(loss, start, fast_mode=True)


def test_the_loss_is_the_mean_over_targets_of_a_scheme():
    mask = mask_of((4, 5, 6))
    log_rates, counts = torch.randn(4, 5, 6, generator=rng(1)), torch.randint(0, 5, (4, 5, 6), generator=rng(2))
    terms = (log_rates.exp() - counts * log_rates)[mask.target]
    torch.testing.assert_close(poisson_loss(log_rates, counts, mask, trial_weights([mask])[0]), terms.mean())


def test_schemes_weigh_the_same_however_many_targets_they_have():
    part = put_on_device(MODEL, small_trials(shape=(16, 12, 12)))
    mask = draw_mixed(part, (Scheme.NEURON, Scheme.CAUSAL, Scheme.INTRA_REGION, Scheme.INTER_REGION), rng(4))
    log_rates, counts = torch.randn(16, 12, 12, generator=rng(1)), part.batch.counts
    terms = log_rates.exp() - counts * log_rates
    by_scheme = [terms[(mask.prompts == s)[:, None, None] & mask.target].mean() for s in mask.prompts.unique()]
    assert len(by_scheme) == 4
    loss = poisson_loss(log_rates, counts, mask, trial_weights([mask])[0])
    torch.testing.assert_close(loss, torch.stack(by_scheme).mean(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("other", [1e4, np.nan, np.inf, -np.inf])
def test_predictions_that_are_no_target_have_no_gradient(other):
    mask = mask_of((4, 5, 6))
    log_rates = torch.randn(4, 5, 6, generator=rng(1)).masked_fill(~mask.target, other).requires_grad_()
    loss = poisson_loss(log_rates, torch.ones(4, 5, 6), mask, trial_weights([mask])[0])
    loss.backward()
    assert torch.isfinite(loss)
    assert (log_rates.grad[~mask.target] == 0).all() and (log_rates.grad[mask.target] != 0).all()


# --- without the checker ----------------------------------------------------------------------------------------------


def test_the_library_needs_no_type_checker():
    code = (
        "import sys; sys.modules['beartype'] = None\n"
        "import mtm_core.predict, mtm_core.evaluation.baselines, mtm_core.training.loop, mtm_core.data.catalogue"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr

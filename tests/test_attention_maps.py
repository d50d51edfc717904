"""Attention that is shown is the attention that the model uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from small import small_model, small_trials
from small_released import small_released

from mtm_core.masking import Mask, Scheme, draw_mask, region_codes
from mtm_core.models import attention_maps as maps
from mtm_core.models.attention_maps import attention_maps, by_bins
from mtm_core.models.mtm import Batch
from mtm_core.models.patches import N_PREFIX
from mtm_core.predict import to_batch

TRIALS = small_trials(shape=(3, 10, 12))
PATCHED = {"whole bins": 0, "patches": 5}  # 12 neurons in patches of 5: the last one is smaller
PROMPTS = (Scheme.NEURON, Scheme.CAUSAL)
POISONS = (np.nan, 1e6, -7.0)


def mask_of(prompt: Scheme | torch.Tensor, shape=TRIALS.counts.shape) -> Mask:
    codes = region_codes(np.repeat(["CA1", "LP"], shape[2])[: shape[2]])
    drawn = draw_mask(Scheme.NEURON, shape, codes, torch.Generator().manual_seed(1))
    return replace(drawn, scheme=prompt)


def our_case(patch: int, prompt: Scheme | torch.Tensor):
    """Model, batch, mask, and the modules whose input is the output of attention."""
    model = small_model(TRIALS, patch_neurons=patch)
    return model, to_batch(model, TRIALS), mask_of(prompt), [block.out for block in model.transformer.blocks]


def released_case(prompt: Scheme | torch.Tensor):
    model = small_released()
    counts = torch.as_tensor(small_trials(shape=(3, 10, 6)).counts)
    batch = Batch(counts, torch.arange(6), 0, torch.arange(10) * 0.02)
    return model, batch, mask_of(prompt, (3, 10, 6)), [layer.attn.out_proj for layer in model.encoder["layers"]]


CASES = {
    f"{name}, {prompt.label}": (lambda make=make, prompt=prompt: make(prompt))
    for name, make in {
        **{name: (lambda prompt, patch=patch: our_case(patch, prompt)) for name, patch in PATCHED.items()},
        "released": released_case,
    }.items()
    for prompt in PROMPTS
}


def inputs_of(modules: list[torch.nn.Module], run: Callable[[], object]) -> torch.Tensor:
    """What each of the modules is given while `run` runs, side by side."""
    seen: list[torch.Tensor] = []
    hooks = [module.register_forward_hook(lambda _, given, __: seen.append(given[0])) for module in modules]
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    return torch.stack(seen, dim=1)


def test_what_the_weights_mix_is_what_the_model_mixes():
    for name, case in CASES.items():
        model, batch, mask, outputs = case()
        own = inputs_of(outputs, lambda model=model, batch=batch, mask=mask: model(batch, mask))
        found = attention_maps(model, batch, mask)
        assert own.shape == found.mixed.shape and own.std() > 1e-3, name
        assert (own - found.mixed).abs().max() <= 1e-5, name


def test_every_token_shares_out_all_of_its_reading():
    for name, case in CASES.items():
        weights = attention_maps(*case()[:3]).weights
        assert (weights >= 0).all(), name
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("patch", PATCHED.values())
def test_a_causal_trial_gives_the_future_exactly_nothing(patch):
    prompts = torch.tensor([int(Scheme.CAUSAL), int(Scheme.NEURON), int(Scheme.CAUSAL)])
    found = attention_maps(*our_case(patch, prompts)[:3])
    later = found.bins[None, :].clamp_min(-1) > found.bins[:, None].clamp_min(-1)
    causal = prompts == Scheme.CAUSAL
    assert (found.weights[causal][..., later] == 0).all()
    assert (found.weights[causal][..., ~later] > 0).all()
    assert (found.weights[~causal] > 0).all()  # beside causal trials, others read everything


def test_the_released_prefix_reads_the_future_as_released():
    found = attention_maps(*released_case(Scheme.CAUSAL)[:3]).weights
    ahead = torch.ones(12, 12, dtype=torch.bool).triu(1)
    bins = slice(N_PREFIX, None)
    assert (found[..., bins, bins][..., ahead[bins, bins]] == 0).all()
    assert (found[..., :N_PREFIX, bins] > 0).all()


def test_weights_by_hand():
    """One layer, one head: softmax of the turned products, written out number by number."""
    model = small_model(TRIALS, n_layers=1, n_heads=1)
    batch, mask = to_batch(model, TRIALS), mask_of(Scheme.NEURON)
    found, block = attention_maps(model, batch, mask), model.transformer.blocks[0]
    with torch.no_grad():
        q, k, _ = block.qkv(block.norm_attention(found.sequence[0])).double().numpy().reshape(-1, 3, 16).swapaxes(0, 1)

    def turned(x: np.ndarray, place: int) -> np.ndarray:
        angle = place * 1e4 ** (-np.arange(8) / 8)
        a, b = x[:8], x[8:]
        return np.r_[a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)]

    places = found.bins.tolist()
    for i in (0, 5, 11):
        products = [turned(q[i], places[i]) @ turned(k[j], places[j]) / 4 for j in range(12)]
        powers = np.exp(np.array(products) - max(products))
        np.testing.assert_allclose(found.weights[0, 0, 0, i], powers / powers.sum(), atol=1e-5)


@pytest.mark.parametrize("patch", PATCHED.values())
def test_attention_does_not_depend_on_what_is_hidden(patch):
    model, batch, mask, _ = our_case(patch, Scheme.NEURON)
    before = attention_maps(model, batch, mask)
    for poison in POISONS:
        poisoned = replace(batch, counts=torch.where(mask.hidden, poison, batch.counts.float()))
        after = attention_maps(model, poisoned, mask)
        assert torch.equal(before.weights, after.weights) and torch.equal(before.sequence, after.sequence)
    visible = replace(batch, counts=torch.where(mask.hidden, batch.counts.float(), 3.0))
    assert not torch.equal(before.weights, attention_maps(model, visible, mask).weights)  # it does read the others


def test_patches_of_a_bin_are_one_bin():
    """Brute force: what a bin reads is the mean over its tokens, what is read of it the sum."""
    n_bins, n_patches = 3, 2
    weights = torch.rand(1, 2, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights /= weights.sum(-1, keepdim=True)
    places = [[0], [1], *([2 + n_patches * t, 3 + n_patches * t] for t in range(n_bins))]
    expected = np.zeros((1, 2, 5, 5))
    for i, readers in enumerate(places):
        for j, read in enumerate(places):
            expected[..., i, j] = weights[..., readers, :][..., read].sum(-1).mean(-1)
    found = by_bins(weights, n_bins)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-12)
    whole = torch.rand(2, 2, 5, 5)
    assert torch.equal(by_bins(whole, 3), whole)  # one token per bin: nothing to merge


def test_a_model_in_training_and_maps_that_fill_the_memory_are_refused(monkeypatch):
    model, batch, mask, _ = our_case(0, Scheme.NEURON)
    monkeypatch.setattr(maps, "MOST_WEIGHTS", 3 * 2 * 2 * 12**2 - 1)
    with pytest.raises(ValueError, match="3 trials, 2 layers, 2 heads and 12 tokens is too large"):
        attention_maps(model, batch, mask)
    with pytest.raises(ValueError, match="training mode"):
        attention_maps(model.train(), batch, mask)

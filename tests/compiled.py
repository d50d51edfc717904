"""Compiles the parts of a small model without the array checker of the tests, which no compiler can follow."""

from __future__ import annotations

import torch
from small import SIZE, small_model, small_trials

from mtm_core.masking import Mask, Scheme
from mtm_core.predict import to_batch
from mtm_core.training.compiling import compile_parts
from mtm_core.training.loss import Loss, trial_weights


def main() -> None:
    trials = small_trials(shape=(4, 10, 12))
    prompts = torch.tensor([0, 1, 2, 1])  # causal ones among others
    hidden = torch.rand(trials.counts.shape, generator=torch.Generator().manual_seed(1)) < 0.4
    mask = Mask(hidden, hidden, prompts)
    found = []
    for compiled in (False, True):
        model = small_model(trials, dropout=0.0, token_dropout=0.0, patch_neurons=5).train()
        loss = Loss(model)
        if compiled:
            compile_parts(loss, backend="eager", one_graph=True)
        torch.manual_seed(5)
        value = loss([to_batch(model, trials)], [mask], trial_weights([mask]))
        value.backward()
        found.append((value.detach(), dict(model.named_parameters())))
    (one, plain), (two, same) = found
    torch.testing.assert_close(one, two)
    for name, weight in plain.items():
        assert (weight.grad is None) == (same[name].grad is None), name
        if weight.grad is not None:
            torch.testing.assert_close(weight.grad.to_dense(), same[name].grad.to_dense(), msg=name)
    on_a_card()
    print(f"one graph, {Scheme.CAUSAL.label} trials and others")


def on_a_card() -> None:
    """What runs on another device than a CPU, on tensors that have a shape and nothing else."""
    model = small_model(small_trials(), attention_dropout=0.3).train().to("meta")
    model.transformer.compile(backend="eager", fullgraph=True)
    x, positions = torch.zeros(4, 12, SIZE.width, device="meta"), torch.zeros(12, device="meta")
    for may_read in (None, torch.ones(4, 1, 12, 12, dtype=torch.bool, device="meta")):
        model.transformer(x, positions, may_read).sum().backward()


if __name__ == "__main__":
    main()

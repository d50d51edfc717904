"""AdamW row by row: the rule of torch where every row is used, and nothing at all where a row is not."""

from __future__ import annotations

import pytest
import torch
from small import SIZE, small_trials
from torch import nn

from mtm_core.models.stitcher import rows_of
from mtm_core.training.averaging import REACH, follow, start_average
from mtm_core.training.build import build_model
from mtm_core.training.config import TrainConfig
from mtm_core.training.loop import Trainer, new_run
from mtm_core.training.optimizer import BETAS, EPS, Optimizers, RowAdamW, clip_gradients

SETTINGS = {"lr": 0.02, "weight_decay": 0.1}
SHAPES = [(7, 3), (7,)]  # a table of vectors, a table of numbers


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def table_of(shape, seed=0):
    return nn.Parameter(torch.randn(shape, generator=rng(seed)))


def sparse(rows, values, shape):
    return torch.sparse_coo_tensor(torch.tensor(rows)[None], values, shape)


def adamw(table):
    return torch.optim.AdamW([table], betas=BETAS, eps=EPS, **SETTINGS)


# --- the rule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_with_every_row_in_every_step_it_is_torchs_adamw(shape):
    ours, theirs = table_of(shape), table_of(shape)
    one, two = RowAdamW([ours], **SETTINGS), adamw(theirs)
    for step in range(40):
        gradient = torch.randn(shape, generator=rng(step)) * 10.0 ** (step % 5 - 3)
        order = torch.randperm(len(gradient), generator=rng(step))
        ours.grad, theirs.grad = sparse(order.tolist(), gradient[order], shape), gradient
        one.step()
        two.step()
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_moves_as_if_only_its_own_steps_had_been(shape):
    ours, alone = table_of(shape), [nn.Parameter(row.clone()[None]) for row in table_of(shape).data]
    one, each = RowAdamW([ours], **SETTINGS), [adamw(row) for row in alone]
    for step in range(60):
        chosen = torch.randperm(7, generator=rng(step))[: 1 + step % 4].tolist()
        chosen = [row for row in chosen if row != 6]  # one that never comes
        values = torch.randn((len(chosen), *shape[1:]), generator=rng(100 + step))
        ours.grad = sparse(chosen, values, shape) if chosen else None
        one.step()
        for row, value in zip(chosen, values, strict=True):
            alone[row].grad = value[None]
            each[row].step()
    torch.testing.assert_close(ours.data, torch.cat([row.data for row in alone]), rtol=1e-5, atol=1e-6)
    assert torch.equal(ours[6], table_of(shape)[6])


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_out_of_a_step_stay_bit_for_bit(shape):
    table = table_of(shape)
    optimizer = RowAdamW([table], **SETTINGS)
    table.grad = sparse(list(range(7)), torch.ones(shape), shape)
    optimizer.step()
    before = {name: value.clone() for name, value in {**optimizer.state[table], "table": table.data}.items()}
    table.grad = sparse([5, 2, 5], torch.ones(3, *shape[1:]), shape)
    optimizer.step()
    after = {**optimizer.state[table], "table": table.data}
    for name, value in before.items():
        for row in range(7):
            same = torch.equal(value[row], after[name][row])
            assert same == (row not in (2, 5)), (name, row)


def test_a_row_given_twice_counts_once_with_both_gradients():
    one, two = table_of((4, 2)), table_of((4, 2))
    one.grad = sparse([1, 1], torch.tensor([[1.0, -2.0], [3.0, 0.5]]), (4, 2))
    two.grad = sparse([1], torch.tensor([[4.0, -1.5]]), (4, 2))
    first, second = RowAdamW([one], **SETTINGS), RowAdamW([two], **SETTINGS)
    first.step()
    second.step()
    assert torch.equal(one, two) and first.state[one]["step"].tolist() == [0, 1, 0, 0]


# --- in a model -------------------------------------------------------------------------------------------------------

SESSIONS = [small_trials("a", (20, 6, 8)), small_trials("b", (20, 6, 5), seed=1)]
CONFIG = TrainConfig(steps=6, batch_size=4, n_validations=1)


def test_a_session_that_is_not_drawn_stays_bit_for_bit():
    """Weights, moments and averaged weights of its neurons, while the others and the trunk learn."""
    run = new_run(build_model(SIZE, SESSIONS), CONFIG)
    trainer = Trainer(run, SESSIONS, CONFIG)
    trainer.train = trainer.train[:1]
    start = {name: table.detach().clone() for name, table in run.model.row_tables().items()}
    list(trainer.steps())
    rows = {"units": torch.arange(8, 13), "session": torch.tensor([1])}
    averages = dict(run.average.named_parameters())
    for name, table in run.model.row_tables().items():
        unused = rows[name.split(".")[0]]
        used = torch.tensor([row for row in range(len(table)) if row not in unused.tolist()])
        assert torch.equal(table[unused], start[name][unused]) and not torch.equal(table[used], start[name][used])
        assert torch.equal(averages[name][unused], start[name][unused])
        assert all(not value[unused].any() for value in run.optimizers.rows.state[table].values())
        assert (run.optimizers.rows.state[table]["step"][used] == 6).all()


def test_with_all_rows_used_the_average_is_the_plain_one():
    model = build_model(SIZE, SESSIONS)
    optimizers, average = Optimizers(model, CONFIG), start_average(model)
    expected = {name: value.detach().clone() for name, value in model.named_parameters()}
    for step in range(1, 8):
        for name, weight in model.named_parameters():
            gradient = torch.randn(weight.shape, generator=rng(step))
            rows = list(range(len(weight)))
            weight.grad = sparse(rows, gradient, weight.shape) if name in model.row_tables() else gradient
        optimizers.step()
        follow(average, model, optimizers, step)
        share = min(1.0, (1 + REACH) / (step + REACH))
        for name, weight in model.named_parameters():
            expected[name].lerp_(weight.detach(), share)
    for name, weight in average.named_parameters():
        torch.testing.assert_close(weight, expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("most", [0.5, 1e6])
def test_clipping_is_torchs_on_dense_gradients(most):
    parameters = [table_of((6, 3)), table_of((6,)), table_of((4, 4)), table_of((2,))]
    parameters[0].grad = sparse([1, 4, 1], torch.randn(3, 3, generator=rng(1)), (6, 3))
    parameters[1].grad = sparse([5, 5], torch.randn(2, generator=rng(2)), (6,))
    parameters[2].grad = torch.randn(4, 4, generator=rng(3))  # and the last has none
    dense = [nn.Parameter(each.detach().clone()) for each in parameters]
    for one, other in zip(dense, parameters, strict=True):
        one.grad = None if other.grad is None else other.grad.to_dense().clone()
    expected = torch.nn.utils.clip_grad_norm_(dense, most)
    torch.testing.assert_close(clip_gradients(parameters, most), expected)
    for one, other in zip(dense[:3], parameters[:3], strict=True):
        torch.testing.assert_close(other.grad.to_dense(), one.grad)
    assert parameters[3].grad is None


# --- rows of a table --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", [[0, 3, 1], [2, 2, 2, 5], [], [6]], ids=str)
def test_the_gradient_of_rows_is_that_of_plain_indexing(shape, rows):
    one, two, chosen = table_of(shape), table_of(shape), torch.tensor(rows, dtype=torch.long)
    weights = torch.randn((len(rows), *shape[1:]), generator=rng(3))
    for table, taken in ((one, rows_of(one, chosen)), (two, two[chosen])):
        (weights * taken.square()).sum().backward()
        assert taken.shape == weights.shape and table.grad is not None
    assert one.grad.is_sparse and one.grad._nnz() == len(rows)
    torch.testing.assert_close(one.grad.to_dense(), two.grad)


def test_several_uses_of_a_table_add_up():
    one, two, chosen = table_of((7, 3)), table_of((7, 3)), [torch.tensor([0, 3]), torch.tensor([3, 6, 6])]
    wide = torch.randn(2, 5, generator=rng(1))
    for taken in ([rows_of(one, rows) for rows in chosen], [two[rows] for rows in chosen]):
        # the transposed and expanded gradients of a product and of a broadcast
        ((wide.T @ taken[0]).sum() + (taken[1].expand(4, 3, 3) ** 2).sum() + taken[1][:, :1].sum()).backward()
    torch.testing.assert_close(one.grad.to_dense(), two.grad)

from __future__ import annotations

import itertools
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small import SIZE, small_model, small_trials

from mtm_core.commands.running import Job, Saver, train_to_end
from mtm_core.masking import MTM_SCHEMES, Scheme
from mtm_core.models.mtm import MtM
from mtm_core.tensorfolder import CheckpointError
from mtm_core.training import batches, loop
from mtm_core.training import loss as loss_module
from mtm_core.training.batches import draw_step, put_on_device
from mtm_core.training.build import build_model
from mtm_core.training.config import RATIO_RANGE, TrainConfig, one_cycle, steps_that_pay
from mtm_core.training.loop import MOST_SKIPPED, Trainer, TrainingFailed, best_model, new_run
from mtm_core.training.objective import OBJECTIVES
from mtm_core.training.resume import delete_run, load_run, save_run
from mtm_core.training.validation import fixed_masks, validate

TRIALS = [small_trials("a", (40, 10, 12)), small_trials("b", (30, 8, 12), seed=1)]
CONFIG = TrainConfig(steps=12, batch_size=8, n_validations=4)


def start(config=CONFIG, sessions=TRIALS, **size):
    return new_run(build_model(replace(SIZE, **size), sessions, config.seed), config)


def trained(config=CONFIG, sessions=TRIALS, **size):
    run = start(config, sessions, **size)
    steps = list(Trainer(run, sessions, config).steps())
    return run, steps


def assert_same_tensors(one, two):
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.equal(value, two[name]), name


def assert_same_run(one, two):
    """Bit for bit, but for the seconds that passed."""
    assert_same_tensors(one.model.state_dict(), two.model.state_dict())
    assert_same_tensors(one.best, two.best)
    for name in ("step", "n_skipped", "n_validations", "best_step", "best_score"):
        assert getattr(one, name) == getattr(two, name), name
    histories = [[{k: v for k, v in entry.items() if k != "seconds"} for entry in run.history] for run in (one, two)]
    assert histories[0] == histories[1]


def losses(run_and_steps):
    return [step.loss for step in run_and_steps[1]]


def distance(one, two):
    pairs = zip(one.model.parameters(), two.model.parameters(), strict=True)
    return max(float((a - b).abs().max().detach()) for a, b in pairs)


# --- determinism ------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_run_whatever_the_callers_random_state():
    torch.manual_seed(1)
    one, _ = trained()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    two, _ = trained()
    assert torch.equal(torch.get_rng_state(), before)
    assert_same_run(one, two)
    assert distance(one, trained(replace(CONFIG, seed=1))[0]) > 1e-3


def test_the_number_of_threads_changes_rounding_only(monkeypatch):
    """Two threads repeat themselves bit for bit, but not one thread: they add up in another order."""
    monkeypatch.setattr(loop, "has_bf16", lambda device: False)
    sessions, config = [small_trials("a", (40, 40, 120))], TrainConfig(steps=2, n_validations=1)
    runs, before = [], torch.get_num_threads()
    for n_threads in (1, 2, 2):
        torch.set_num_threads(n_threads)
        runs.append(trained(config, sessions, width=32))
    torch.set_num_threads(before)
    assert_same_run(runs[1][0], runs[2][0])
    assert losses(runs[0]) == pytest.approx(losses(runs[1]), rel=1e-4)


def test_a_batch_is_a_function_of_seed_and_step():
    model = start().model
    data = [put_on_device(model, trials.select("train")) for trials in TRIALS]
    (one,), (two,), (other,) = (draw_step(data, CONFIG, step) for step in (5, 5, 6))
    assert torch.equal(one[0].batch.counts, two[0].batch.counts) and torch.equal(one[1].hidden, two[1].hidden)
    assert one[1].hidden.shape != other[1].hidden.shape or not torch.equal(one[1].hidden, other[1].hidden)
    seen = [draw_step(data, CONFIG, step)[0][0].batch.session_row for step in range(100)]
    assert 35 < seen.count(0) < 75  # 24 of 42 training trials


def test_ratios_stay_in_their_ranges_and_schemes_share_a_batch(monkeypatch):
    drawn = []
    original = batches.draw_mask
    monkeypatch.setattr(
        batches, "draw_mask", lambda *given: drawn.append((given[0], given[1][0], given[4])) or original(*given)
    )
    model = start().model
    data, config = (
        [put_on_device(model, TRIALS[0].select("train"))],
        replace(CONFIG, schemes=tuple(Scheme), batch_size=12),
    )
    for step in range(100):
        draw_step(data, config, step)
    for scheme in Scheme:
        ratios = [ratio for s, _, ratio in drawn if s is scheme]
        low, high = RATIO_RANGE[scheme]
        assert len(ratios) == 100 and low <= min(ratios) and max(ratios) <= high
        assert np.std(ratios) > (high - low) / 6 or low == high
    assert {n for _, n, _ in drawn} == {2}


def test_validation_masks_are_always_the_same():
    part = put_on_device(start().model, TRIALS[0].select("validation"))
    torch.manual_seed(3)
    one = fixed_masks(part, MTM_SCHEMES)
    torch.manual_seed(4)
    for a, b in zip(one, fixed_masks(part, MTM_SCHEMES), strict=True):
        assert torch.equal(a.hidden, b.hidden) and torch.equal(a.target, b.target) and a.scheme == b.scheme
    assert {mask.scheme for mask in one} == set(MTM_SCHEMES)


# --- resuming ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_before", [1, 5, 6, 11])
def test_a_run_that_was_saved_goes_on_as_if_it_had_not_stopped(tmp_path, n_before):
    whole, _ = trained()
    run = start()
    list(itertools.islice(Trainer(run, TRIALS, CONFIG).steps(), n_before))
    save_run(tmp_path, run, TRIALS, CONFIG)
    again = start()
    assert load_run(tmp_path, again, TRIALS, CONFIG)
    assert_same_run(run, again)
    list(Trainer(again, TRIALS, CONFIG).steps())
    assert_same_run(whole, again)
    delete_run(tmp_path)
    assert list(tmp_path.iterdir()) == [] and not load_run(tmp_path, start(), TRIALS, CONFIG)


@pytest.mark.parametrize("when", ["step", "validate"])
def test_ctrl_c_waits_for_the_end_of_the_step_and_the_run_goes_on_exactly(tmp_path, monkeypatch, when):
    before, (whole, _) = signal.getsignal(signal.SIGINT), trained()
    run, objective = start(), OBJECTIVES[MtM]
    original = Trainer._step if when == "step" else objective.validate

    def pressed(*given):
        result = original(*given)
        if run.step in (5, 6):  # after the optimizer's step number 6 or in the validation that follows it
            signal.raise_signal(signal.SIGINT)
        return result

    with monkeypatch.context() as patch:
        if when == "step":
            patch.setattr(Trainer, "_step", pressed)
        else:
            patch.setitem(OBJECTIVES, MtM, replace(objective, validate=pressed))
        reason = train_to_end(Trainer(run, TRIALS, CONFIG), Saver(Job(run.model, TRIALS, CONFIG, tmp_path), run))
    assert "interrupted" in reason and run.step in (6, 7)
    assert signal.getsignal(signal.SIGINT) is before
    save_run(tmp_path, run, TRIALS, CONFIG)
    again = start()
    load_run(tmp_path, again, TRIALS, CONFIG)
    list(Trainer(again, TRIALS, CONFIG).steps())
    assert_same_run(whole, again)


def test_a_second_ctrl_c_stops_at_once(tmp_path, monkeypatch):
    def pressed_twice(*given):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    before, run = signal.getsignal(signal.SIGINT), start()
    monkeypatch.setattr(Trainer, "_step", pressed_twice)
    with pytest.raises(KeyboardInterrupt):
        train_to_end(Trainer(run, TRIALS, CONFIG), Saver(Job(run.model, TRIALS, CONFIG, tmp_path), run))
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("config", "size", "sessions", "named"),
    [
        (replace(CONFIG, seed=1), {}, TRIALS, "training seed"),
        (replace(CONFIG, steps=99), {}, TRIALS, "training steps"),
        (replace(CONFIG, schemes=(Scheme.NEURON,)), {}, TRIALS, "training schemes"),
        (CONFIG, {"width": 32, "n_layers": 1}, TRIALS, "model n_layers, model width"),
        (CONFIG, {}, TRIALS[:1], "data"),
        (CONFIG, {}, [TRIALS[0], replace(TRIALS[1], counts=TRIALS[1].counts + 1)], "data"),
        (CONFIG, {}, [TRIALS[0], replace(TRIALS[1], split=TRIALS[1].split[::-1])], "data"),
    ],
)
def test_a_run_with_other_settings_is_refused_by_their_names(tmp_path, config, size, sessions, named):
    save_run(tmp_path, start(), TRIALS, CONFIG)
    with pytest.raises(CheckpointError, match=rf"other settings \({named}\)"):
        load_run(tmp_path, start(config, sessions, **size), sessions, config)


def test_a_damaged_run_is_refused(tmp_path):
    save_run(tmp_path, start(), TRIALS, CONFIG)
    file = next(tmp_path.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=file.name):
        load_run(tmp_path, start(), TRIALS, CONFIG)


def train_command(out):
    size = ["--width", "16", "--layers", "1", "--bin-size", "0.1"]
    return [
        sys.executable,
        "-m",
        "mtm_core",
        "train",
        "--session",
        "simulated-4",
        "--steps",
        "60",
        *size,
        "--out",
        str(out),
    ]


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_same_checkpoint(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    quiet = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(train_command(whole), check=True, timeout=300, **quiet)

    process = subprocess.Popen(train_command(killed), **quiet)
    while process.poll() is None and not (killed / "resume.json").exists():
        time.sleep(0.005)
    time.sleep(np.random.default_rng().uniform(0, 0.5))
    process.kill()
    process.wait()

    process = subprocess.Popen(train_command(killed), **quiet)
    first = (killed / "resume.json").stat().st_mtime_ns if (killed / "resume.json").exists() else 0
    while process.poll() is None and (killed / "resume.json").exists():
        if (killed / "resume.json").stat().st_mtime_ns != first:
            process.send_signal(signal.SIGINT)  # Ctrl-C: keeps the best weights, and the run
            break
        time.sleep(0.005)
    status = process.wait(timeout=300)
    assert status == 0 and (killed / "checkpoint.json").exists() or status == 130  # 130: it came after the last step

    if (killed / "resume.json").exists():
        subprocess.run(train_command(killed), check=True, timeout=300, **quiet)
    assert not list(killed.glob("*resume*")) and not list(killed.glob(".*"))
    files = [next(folder.glob("checkpoint-*.safetensors")) for folder in (whole, killed)]
    assert_same_tensors(*map(load_file, files))


# --- memory -----------------------------------------------------------------------------------------------------------


class OutOfMemory:
    """Raises at the given forward passes, counted from 1."""

    def __init__(self, monkeypatch, at):
        self.n, original = 0, MtM.together

        def together(model, batches, masks):
            self.n += 1
            if self.n in at:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return original(model, batches, masks)

        monkeypatch.setattr(MtM, "together", together)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 7, 10])
def test_out_of_memory_at_any_forward_halves_the_pieces_and_loses_no_step(k, monkeypatch):
    monkeypatch.setattr(loop, "has_bf16", lambda device: False)
    no_dropout = {"dropout": 0.0, "token_dropout": 0.0}  # dropout draws other numbers for pieces of another size
    expected = trained(**no_dropout)
    OutOfMemory(monkeypatch, {k, k + 1})
    run, steps = trained(**no_dropout)
    assert [step.number for step in steps] == list(range(1, 13))
    # Not the weights: the bias of the keys has no gradient but rounding errors, which the optimizer scales up.
    assert losses((run, steps)) == pytest.approx(losses(expected), rel=1e-4)
    assert run.best_score == pytest.approx(expected[0].best_score, abs=1e-4)
    if k <= 3:  # before the first validation
        assert run.micro_batch == 2
        assert "out of memory: now 2 trials at a time" in " ".join(n for step in steps for n in step.notices)


def test_one_trial_that_does_not_fit_the_processor_is_an_error(monkeypatch):
    OutOfMemory(monkeypatch, range(1, 99))
    with pytest.raises(torch.OutOfMemoryError):
        trained()


def test_one_trial_that_does_not_fit_the_card_goes_to_the_processor(monkeypatch):
    expected, _ = trained()
    original = Trainer._accumulate

    def accumulate(self, parts):
        if self.device.type != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self, parts)

    monkeypatch.setattr(Trainer, "_accumulate", accumulate)
    run = start()
    trainer = Trainer(run, TRIALS, CONFIG)
    trainer.device = torch.device("cuda")
    steps = list(trainer.steps())
    notices = " ".join(steps[0].notices)
    assert all(f"now {n} trials at a time" in notices for n in (4, 2, 1))
    assert "going on with the CPU" in notices
    assert_same_run(run, expected)


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch):
    def fail(*given):
        raise RuntimeError("something else")

    monkeypatch.setattr(MtM, "together", fail)
    with pytest.raises(RuntimeError, match="something else"):
        trained()


# --- losses that are no number ----------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_changes_nothing_and_is_counted(monkeypatch):
    original, calls = loss_module.poisson_loss, itertools.count(1)

    def sometimes(*given):
        return original(*given) * (math.nan if next(calls) == 3 else 1.0)

    monkeypatch.setattr(loss_module, "poisson_loss", sometimes)
    run, before = start(), None
    for step in Trainer(run, TRIALS, CONFIG).steps():
        if step.number == 3:
            assert math.isnan(step.loss) and "step skipped (1)" in step.notices[0]
            assert_same_tensors(run.model.state_dict(), before)
        before = {name: value.clone() for name, value in run.model.state_dict().items()}
    assert run.step == 12 and run.n_skipped == 1
    assert all(torch.isfinite(value).all() for value in before.values())


def test_a_gradient_that_is_no_number_changes_nothing(monkeypatch):
    monkeypatch.setattr(loop, "clip_gradients", lambda *given: torch.tensor(math.inf))
    run = start()
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    step = next(Trainer(run, TRIALS, CONFIG).steps())
    assert math.isfinite(step.loss) and run.n_skipped == 1
    assert_same_tensors(run.model.state_dict(), before)


def test_ten_such_losses_stop_the_run_with_the_best_weights(tmp_path, monkeypatch):
    original, calls = loss_module.poisson_loss, itertools.count(1)
    monkeypatch.setattr(loss_module, "poisson_loss", lambda *g: original(*g) * (math.nan if next(calls) > 6 else 1.0))
    config = replace(CONFIG, steps=40, n_validations=20)
    run = start(config)
    numbers = []
    with pytest.raises(TrainingFailed, match="10 steps had a loss that is not finite"):
        for step in Trainer(run, TRIALS, config).steps():
            numbers.append(step.number)
    assert len(numbers) == 6 + MOST_SKIPPED and run.n_skipped == MOST_SKIPPED
    assert run.best and run.best_step <= 6
    assert_same_tensors(best_model(run).state_dict(), run.best)
    save_run(tmp_path, run, TRIALS, config)


def test_weights_that_overflow_are_never_the_best_and_end_nothing():
    run = start()
    trainer = Trainer(run, TRIALS, CONFIG)
    with torch.no_grad():
        run.model.units.bias += 200.0
    scores = validate(run.model.eval(), trainer.validation, MTM_SCHEMES)
    assert math.isfinite(scores["mean"]) and scores["mean"] < -1e6
    with torch.no_grad():
        run.model.units.bias += math.nan
    assert validate(run.model, trainer.validation, MTM_SCHEMES)["mean"] < -1e6


def test_a_scheme_without_spikes_does_not_hide_the_others_scores():
    quiet = TRIALS[0].counts.copy()
    quiet[TRIALS[0].split == "validation", -1] = 0  # the bin that forward prediction scores
    run, steps = trained(CONFIG, [replace(TRIALS[0], counts=quiet)])
    scores = steps[-1].validation
    assert math.isnan(scores["causal"]) and math.isfinite(scores["mean"])
    assert run.best and run.best_step > 0
    assert "causal" not in run.history[-1]


# --- budget and schedule ----------------------------------------------------------------------------------------------


def test_the_learning_rate_rises_once_and_falls_to_almost_nothing():
    rates = [one_cycle(p, 2e-3) for p in np.linspace(0, 1, 2001)]
    top = int(np.argmax(rates))
    assert rates[0] == pytest.approx(2e-4) and max(rates) == pytest.approx(2e-3) and top == 300
    assert (np.diff(rates[: top + 1]) > 0).all() and (np.diff(rates[top:]) < 0).all()
    assert rates[-1] == pytest.approx(2e-8)
    assert np.abs(np.diff(rates)).max() < 2e-5


def test_the_schedule_is_what_the_optimizer_gets():
    run = start()
    for step in Trainer(run, TRIALS, CONFIG).steps():
        assert run.optimizers.trunk.param_groups[0]["lr"] == one_cycle((step.number - 1) / 12, CONFIG.learning_rate)


def test_a_budget_in_minutes_ends_the_run(monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(loop.time, "perf_counter", lambda: float(next(clock)))  # a step takes one second
    config = TrainConfig(minutes=0.5, batch_size=8, n_validations=3)
    run, steps = trained(config)
    assert 30 <= run.elapsed <= 31
    assert run.elapsed == len(steps) + run.n_validations  # a validation takes one second, too
    assert [step.number for step in steps if step.validation] and steps[-1].progress == 1.0
    assert all(a.seconds_left >= b.seconds_left for a, b in itertools.pairwise(steps)) and steps[-1].seconds_left == 0


def test_a_fast_machine_stops_before_it_overfits(monkeypatch):
    monkeypatch.setattr(loop.time, "perf_counter", lambda: 0.0)  # steps take no time
    run, steps = trained(TrainConfig(minutes=0.5, most_steps=7, batch_size=8, n_validations=2))
    assert run.step == len(steps) == 7
    assert steps_that_pay(12_850) == 4_283 and steps_that_pay(10) == 300


def test_validations_are_spread_over_the_run_and_end_it():
    _, steps = trained(replace(CONFIG, steps=20, n_validations=5))
    assert [step.number for step in steps if step.validation] == [4, 8, 12, 16, 20]


@pytest.mark.parametrize(
    "bad",
    [{"steps": 0}, {"steps": -1}, {"minutes": 0.0}, {"minutes": math.nan}, {"minutes": math.inf}, {"schemes": ()}]
    + [{"batch_size": 3}],
)
def test_impossible_settings_are_refused(bad):
    with pytest.raises(ValueError):
        TrainConfig(**bad)


# --- data -------------------------------------------------------------------------------------------------------------


def test_a_session_without_regions_trains():
    nowhere = replace(TRIALS[0], regions=np.full(12, "root"))
    _, steps = trained(CONFIG, [nowhere, TRIALS[1]])
    assert {"neuron", "causal", "mean"} <= steps[-1].validation.keys() and math.isfinite(steps[-1].validation["mean"])
    assert trained(CONFIG, [nowhere])[1][-1].validation.keys() == {"neuron", "causal", "mean"}


def test_fewer_trials_than_a_batch_train():
    few = [small_trials("a", (5, 8, 6))]
    run, steps = trained(TrainConfig(steps=3), few)
    assert run.step == 3 and all(math.isfinite(step.loss) for step in steps)


def test_bins_without_data_never_matter_in_training():
    valid = np.random.default_rng(0).random(TRIALS[0].valid.shape) < 0.7
    one = replace(TRIALS[0], valid=valid)
    two = replace(one, counts=np.where(valid[:, :, None], one.counts, 200).astype(np.uint8))
    assert_same_run(trained(CONFIG, [one])[0], trained(CONFIG, [two])[0])


def test_test_trials_never_matter_in_training():
    test = TRIALS[0].split == "test"
    other = replace(TRIALS[0], counts=np.where(test[:, None, None], 255, TRIALS[0].counts).astype(np.uint8))
    assert_same_run(trained(CONFIG, TRIALS[:1])[0], trained(CONFIG, [other])[0])


def test_sessions_that_cannot_be_trained_on_are_refused():
    with pytest.raises(ValueError, match="no validation trials"):
        trained(CONFIG, [replace(TRIALS[0], split=np.where(TRIALS[0].split == "test", "test", "train"))])
    with pytest.raises(ValueError, match="session a: no training trial holds data"):
        start(CONFIG, [replace(TRIALS[0], valid=np.zeros_like(TRIALS[0].valid))])
    with pytest.raises(ValueError, match="same uuid"):
        start(CONFIG, [TRIALS[0], TRIALS[0]])


def test_training_finds_structure():
    sessions, config = [small_trials("a", (120, 10, 12))], TrainConfig(steps=150, n_validations=5)
    run, steps = trained(config, sessions)
    scores = [step.validation["mean"] for step in steps if step.validation]
    assert max(scores) > 0.1 and run.best_score == max(scores)
    assert_same_tensors(best_model(run).state_dict(), run.best)
    assert not best_model(run).training


def test_a_run_before_its_first_validation_gives_its_present_average():
    run = start()
    assert best_model(run) is run.average and small_model(*TRIALS).config == run.model.config

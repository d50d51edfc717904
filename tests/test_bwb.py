"""Exported predictions: BrainWideBench's own scorer reads them, and they know nothing of what is scored."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from small import small_model, small_trials

from mtm_core.checkpoint import Checkpoint
from mtm_core.commands.export_bwb import run
from mtm_core.evaluation.bwb import BenchTask, Submission, encode_ids, predictions, submit, whole_seconds
from mtm_core.evaluation.held_out_sets import brain_wide_bench
from mtm_core.evaluation.metrics import spike_sums
from mtm_core.masking import Scheme, free_mask
from mtm_core.paths import assets_dir
from mtm_core.predict import predict
from mtm_core.session import identity

TASKS = list(BenchTask)
TRIALS = small_trials(shape=(20, 110, 25))  # 2.2 s: two whole seconds and a rest
MODEL = small_model(TRIALS)
CHECKPOINT = Checkpoint(MODEL, {"hash": "f" * 64, "data": [identity(TRIALS)]}, Path("some/model"))
TEST = np.flatnonzero(TRIALS.split == "test")
HELD_OUT = brain_wide_bench(TRIALS.unit_ids)


def wanted(out, task=BenchTask.CO_SMOOTHING, **changes):
    return replace(Submission(task, "mtm-small", Path(out), (43,)), **changes)


def read(file):
    with safe_open(file, framework="np") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata()  # noqa: SIM118


# --- windows ----------------------------------------------------------------------------------------------------------


def test_windows_are_the_whole_seconds_of_each_test_trial():
    found = predictions(CHECKPOINT, TRIALS, BenchTask.CO_SMOOTHING)
    onsets = TRIALS.table["stimOn_times"].to_numpy()[TEST]
    np.testing.assert_allclose(found.timestamps, [*(onsets - 0.1), *(onsets + 0.9)], rtol=0, atol=1e-9)
    assert found.timestamps.dtype == np.float64
    first, second = TRIALS.counts[TEST][:, :50], TRIALS.counts[TEST][:, 50:100]
    np.testing.assert_array_equal(found.counts, np.concatenate([first, second])[..., HELD_OUT])
    assert len(HELD_OUT) == 2 and found.unit_ids.tolist() == TRIALS.unit_ids[HELD_OUT].tolist()


def test_windows_with_bins_without_data_are_left_out():
    valid = TRIALS.valid.copy()
    valid[TEST[1], 49] = valid[TEST[2], 50] = valid[TEST[3], 105] = False
    pieces = list(whole_seconds(replace(TRIALS, valid=valid).select("test")))
    assert [piece.n_trials for piece, _ in pieces] == [len(TEST) - 1, len(TEST) - 1]
    assert pieces[0][0].window == pytest.approx((-0.1, 0.9)) and pieces[1][0].window == pytest.approx((0.9, 1.9))
    assert TRIALS.table.index[TEST[1]] not in pieces[0][0].table.index


def test_log_rates_are_the_models_for_that_second_alone():
    found = predictions(CHECKPOINT, TRIALS, BenchTask.CO_SMOOTHING)
    part = TRIALS.select("test")
    second = replace(
        part, counts=part.counts[:, 50:100], valid=part.valid[:, 50:100], window=(0.9, 1.9), true_rates=None
    )
    rates = predict(MODEL, second, free_mask(second.counts.shape, neurons=HELD_OUT.tolist()))[..., HELD_OUT]
    np.testing.assert_allclose(found.log_rates[len(TEST) :], np.log(rates), rtol=1e-5, atol=1e-6)
    causal = free_mask(second.counts.shape, bins=range(45, 50), scheme=Scheme.CAUSAL)
    forecast = predictions(CHECKPOINT, TRIALS, BenchTask.FORECASTING)
    expected = np.log(predict(MODEL, second, causal)[:, 45:])
    np.testing.assert_allclose(forecast.log_rates[len(TEST) :], expected, rtol=1e-5, atol=1e-6)
    assert forecast.log_rates.shape == (2 * len(TEST), 5, 25)


# --- leaks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_predictions_do_not_read_what_is_scored(task):
    counts = TRIALS.counts.copy()
    if task is BenchTask.CO_SMOOTHING:
        counts[..., HELD_OUT] = 250
    else:
        counts[:, 45:50] = counts[:, 95:] = 250
    before, after = (predictions(CHECKPOINT, t, task) for t in (TRIALS, replace(TRIALS, counts=counts)))
    np.testing.assert_array_equal(before.log_rates, after.log_rates)
    assert not np.array_equal(before.counts, after.counts)


@pytest.mark.parametrize("task", TASKS)
def test_predictions_of_a_window_read_nothing_outside_it(task):
    counts = TRIALS.counts.copy()
    counts[:, 50:] = 250
    counts[TRIALS.split != "test"] = 250
    before, after = (predictions(CHECKPOINT, t, task) for t in (TRIALS, replace(TRIALS, counts=counts)))
    n = len(TEST)
    np.testing.assert_array_equal(before.log_rates[:n], after.log_rates[:n])
    assert not np.array_equal(before.log_rates[n:], after.log_rates[n:])


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("task", "shape"), [(BenchTask.CO_SMOOTHING, (8, 50, 2)), (BenchTask.FORECASTING, (8, 5, 25))])
def test_files_have_the_scorers_names_shapes_types_and_texts(tmp_path, task, shape):
    found, files = submit(CHECKPOINT, TRIALS, wanted(tmp_path, task, seeds=(43, 44)))
    folder = tmp_path / "mtm-small" / f"ts2-{task.value}" / "a"
    truth = tmp_path / "ground_truth" / f"ts2-{task.value}" / "a" / "ground_truth.safetensors"
    assert files == [folder / "seed_43.safetensors", folder / "seed_44.safetensors", truth]
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted(files)
    tensors, about = read(files[1])
    assert {name: (t.shape, t.dtype.name) for name, t in tensors.items()} == {
        "predictions": (shape, "float32"),
        "window_timestamps": ((8,), "float64"),
        "unit_ids": ((shape[2], 4), "uint8"),
    }
    np.testing.assert_array_equal(tensors["predictions"], found.log_rates)
    np.testing.assert_array_equal(tensors["window_timestamps"], found.timestamps)
    expected = {"label": "mtm-small", "task": f"ts2-{task.value}", "seed": "44", "recording_id": "a"}
    assert expected.items() <= about.items() and about["model"] == "f" * 64
    np.testing.assert_array_equal(read(truth)[0]["targets"], found.counts)


@pytest.mark.parametrize("task", TASKS)
def test_the_scorer_of_brain_wide_bench_gives_our_scores(tmp_path, task):
    scoring = pytest.importorskip("ibl_bwb_eval.scoring.ts2", reason="pip install --no-deps ibl-bwb-eval==0.1.0")
    found, _ = submit(CHECKPOINT, TRIALS, wanted(tmp_path, task, seeds=(43, 44)))
    scores = scoring.score_dir(tmp_path / "mtm-small", tmp_path / "ground_truth")
    assert set(scores) == {("mtm-small", f"ts2-{task.value}", "a", seed) for seed in (43, 44)}
    sums = spike_sums(np.exp(found.log_rates.astype(np.float64)), found.counts)
    for score in scores.values():
        assert score["bps"] == pytest.approx(sums.pooled(neurons=sums.spikes > 0), rel=1e-5, abs=1e-5)
        assert score["poisson_d2"] == pytest.approx(np.nanmean(sums.poisson_d2()), rel=1e-5, abs=1e-5)


def test_unit_ids_are_read_back_by_the_benchmark():
    ids = pytest.importorskip("ibl_bwb_eval.entity_ids", reason="pip install --no-deps ibl-bwb-eval==0.1.0")
    import torch

    names = np.array(["a", "4d5c0a1e-0000-4000-8000-000000000001", "simulated-1-003"])
    assert ids.decode_entity_ids(torch.tensor(encode_ids(names))).tolist() == names.tolist()
    assert torch.equal(ids.encode_entity_ids(names), torch.tensor(encode_ids(names)))


def test_tasks_seeds_and_held_out_share_are_those_of_the_benchmark():
    bench = pytest.importorskip("ibl_bwb_eval", reason="pip install --no-deps ibl-bwb-eval==0.1.0")
    from mtm_core.evaluation.bwb import SEEDS

    assert tuple(bench.EVAL_SEEDS) == SEEDS
    assert [bench.task_id("ts2", task) for task in bench.SUITE_TASKS["ts2"]] == [task.folder for task in TASKS]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    _, (file, _) = submit(CHECKPOINT, TRIALS, wanted(tmp_path))
    old = file.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mtm_core.atomic.os.fsync", full)
    counts = np.random.default_rng(1).poisson(1.0, TRIALS.counts.shape).astype(np.uint8)
    with pytest.raises(OSError, match="No space left"):
        submit(CHECKPOINT, replace(TRIALS, counts=counts), wanted(tmp_path))
    assert file.read_bytes() == old and list(file.parent.iterdir()) == [file]


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["", "..", "a/b", "a\\b", ".hidden", "ground_truth", "x" * 101, "a b", "é"])
def test_labels_that_could_be_paths_are_refused(tmp_path, label):
    with pytest.raises(ValueError, match="can name a folder"):
        wanted(tmp_path, label=label)


@pytest.mark.parametrize("seeds", [(), (-1,), (43, 43)])
def test_seeds_are_different_numbers(tmp_path, seeds):
    with pytest.raises(ValueError, match="different numbers"):
        wanted(tmp_path, seeds=seeds)


def checkpoint_of(trials):
    return replace(CHECKPOINT, manifest={"hash": "0", "data": [identity(trials)]})


def test_windows_and_sessions_that_cannot_be_exported_are_refused(tmp_path):
    short = replace(TRIALS, counts=TRIALS.counts[:, :49], valid=TRIALS.valid[:, :49], true_rates=None)
    coarse = replace(TRIALS, bin_size=0.01)
    for trials in (short, coarse):
        with pytest.raises(ValueError, match="windows of 1 s in bins of 20 ms"):
            submit(checkpoint_of(trials), trials, wanted(tmp_path))
    valid = np.zeros_like(TRIALS.valid)
    valid[:, 30:70] = True
    with pytest.raises(ValueError, match="no test trial has a whole second"):
        submit(CHECKPOINT, replace(TRIALS, valid=valid), wanted(tmp_path))
    with pytest.raises(ValueError, match="cannot name a folder"):
        submit(CHECKPOINT, replace(TRIALS, session_id="../b"), wanted(tmp_path))
    same = TRIALS.table.assign(stimOn_times=5.0)
    with pytest.raises(ValueError, match="two windows start at the same time"):
        submit(CHECKPOINT, replace(TRIALS, table=same), wanted(tmp_path))
    with pytest.raises(ValueError, match="not the one"):
        submit(CHECKPOINT, replace(TRIALS, split=TRIALS.split[::-1]), wanted(tmp_path))
    with pytest.raises(ValueError, match="not ASCII"):
        encode_ids(np.array(["neuron-é"]))
    assert not any(tmp_path.rglob("*.safetensors"))


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_exports_the_bundled_model_and_says_how_to_score_it(tmp_path, capsys):
    options = argparse.Namespace(
        checkpoint=str(assets_dir() / "checkpoints" / "simulated-mtm"),
        session="simulated-1",
        cache_dir=None,
        task="co_smoothing",
        label="mtm",
        seeds=[43, 44],
        out=str(tmp_path / "new"),
        device="cpu",
    )
    assert run(options) == 0
    said = capsys.readouterr().out
    assert "128 windows of 1 s" in said and "26 of 260 neurons scored in 50 bins" in said
    assert "same predictions, of one training run" in said and "--gt_dir" in said
    tensors, _ = read(tmp_path / "new" / "mtm" / "ts2-co_smoothing" / "simulated-1" / "seed_43.safetensors")
    truth, _ = read(tmp_path / "new" / "ground_truth" / "ts2-co_smoothing" / "simulated-1" / "ground_truth.safetensors")
    sums = spike_sums(np.exp(tensors["predictions"]), truth["targets"])
    assert sums.pooled() > 0.3  # the model sees one second and 90 % of the neurons; 0.47 with two seconds and all

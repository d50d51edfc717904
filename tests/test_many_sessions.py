"""Many sessions in one training: batches, and the commands pretrain and finetune."""

from __future__ import annotations

import json
import signal
from argparse import Namespace
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small import SIZE, small_model, small_trials

from mtm_core.__main__ import main
from mtm_core.checkpoint import load_checkpoint
from mtm_core.commands import finetune, recordings
from mtm_core.data.catalogue import open_session
from mtm_core.masking import Mask, Scheme
from mtm_core.models.tables import UnknownSessionError
from mtm_core.predict import predict
from mtm_core.training.batches import draw_step, put_on_device
from mtm_core.training.build import build_model
from mtm_core.training.config import TrainConfig
from mtm_core.training.loop import Trainer, new_run
from mtm_core.training.transfer import transfer, trunk_only

# A short window and a long one: 20 bins of 20 ms in 0 to 0.4 s, 100 in -0.5 to 1.5 s
SHORT = small_trials("short", (50, 20, 7), window=(0.0, 0.4))
LONG = small_trials("long", (25, 100, 12), seed=1, window=(-0.5, 1.5))
THIRD = small_trials("third", (10, 20, 4), seed=2, window=(0.0, 0.4))
CONFIG = TrainConfig(steps=4, batch_size=8, n_validations=1, sessions_per_batch=2)


def on_device(*sessions):
    model = build_model(SIZE, list(sessions))
    return [put_on_device(model, trials.select("train")) for trials in sessions]


# --- batches ----------------------------------------------------------------------------------------------------------


def test_a_batch_mixes_sessions_of_other_sizes_and_windows_without_padding():
    data = on_device(SHORT, LONG, THIRD)
    seen = set()
    for step in range(40):
        parts = draw_step(data, replace(CONFIG, sessions_per_batch=2), step)
        assert [part.n_trials for part, _ in parts] == [4, 4]
        rows = [part.batch.session_row for part, _ in parts]
        assert len(set(rows)) == 2
        seen.add(tuple(rows))
        for part, mask in parts:
            own = (SHORT, LONG, THIRD)[part.batch.session_row]
            assert part.batch.counts.shape == mask.hidden.shape == (4, own.n_bins, own.n_neurons)
            np.testing.assert_allclose(part.batch.bin_starts, own.bin_starts, atol=1e-6)
            of_session = own.select("train").counts
            assert all((of_session == trial.numpy()).all((1, 2)).any() for trial in part.batch.counts)
    assert len(seen) >= 5


def test_few_trials_of_a_session_take_turns_with_the_schemes():
    data = on_device(SHORT, LONG, THIRD)
    config = replace(CONFIG, sessions_per_batch=3)
    drawn = [mask.prompts.tolist() for step in range(30) for part, mask in draw_step(data, config, step)]
    assert {len(each) for each in drawn} == {2, 3}
    counts = np.bincount(np.concatenate(drawn), minlength=len(Scheme))
    assert (counts[:4] > 30).all() and not counts[4:].any()  # 240 trials, four schemes


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_sessions_are_drawn_by_a_power_of_their_trials(alpha):
    data = on_device(SHORT, LONG, THIRD)
    config = replace(CONFIG, sessions_per_batch=1, alpha=alpha)
    drawn = [draw_step(data, config, step)[0][0].batch.session_row for step in range(600)]
    expected = np.array([30, 15, 6.0]) ** alpha
    np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 600, expected / expected.sum(), atol=0.06)


def test_an_epoch_is_as_many_trials_as_all_sessions_train_on():
    sessions = [SHORT, LONG, THIRD]
    run = new_run(build_model(SIZE, sessions), CONFIG)
    epochs = [step.epoch for step in Trainer(run, sessions, CONFIG).steps()]
    np.testing.assert_allclose(epochs, np.arange(1, 5) * 8 / (30 + 15 + 6))


def test_sessions_of_other_windows_learn_together():
    run = new_run(build_model(SIZE, [SHORT, LONG]), CONFIG)
    steps = list(Trainer(run, [SHORT, LONG], CONFIG).steps())
    assert run.n_skipped == 0 and np.isfinite([step.loss for step in steps]).all()
    for trials in (SHORT, LONG):  # every table learned rows of both
        rows, _ = run.model.rows(trials.session_id, tuple(trials.unit_ids))
        assert (run.optimizers.rows.state[run.model.units.readout]["step"][rows] > 0).all()


# --- transfer ---------------------------------------------------------------------------------------------------------


def test_a_transfer_keeps_the_trunk_and_the_rows_it_knows():
    trunk = small_model(SHORT, LONG)
    model = transfer(trunk, [THIRD, LONG], seed=3)
    fresh = build_model(SIZE, [THIRD, LONG], seed=3)
    for name, weight in trunk.trunk():
        assert torch.equal(dict(model.trunk())[name], weight), name
    rows = {each: trained.unit_rows(LONG.unit_ids.tolist()) for each, trained in (("new", model), ("old", trunk))}
    new = model.unit_rows(THIRD.unit_ids.tolist())
    for name, table in model.units.named_parameters():
        assert torch.equal(table[rows["new"]], getattr(trunk.units, name)[rows["old"]]), name
        if name == "hidden_signal":
            assert torch.equal(table[new], trunk.units.hidden_signal.mean(0).expand_as(table[new]))
        else:
            assert torch.equal(table[new], getattr(fresh.units, name)[new]), name
    assert torch.equal(model.session.weight[1], trunk.session.weight[1])
    assert torch.equal(model.session.weight[0], trunk.session.weight.mean(0))


def test_a_bare_trunk_knows_nobody_and_can_be_given_anybody():
    trunk = small_model(SHORT)
    bare = trunk_only(trunk)
    assert bare.unit_ids == bare.session_ids == () and bare.units.input.shape == (0, SIZE.width)
    with pytest.raises(UnknownSessionError, match="mtm finetune"):
        bare.rows("short", tuple(SHORT.unit_ids))
    one, other = transfer(trunk, [THIRD], seed=1).state_dict(), transfer(bare, [THIRD], seed=1).state_dict()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


# --- commands ---------------------------------------------------------------------------------------------------------

DATA = ["--bin-size", "0.1", "--window", "0", "0.4", "--device", "cpu"]
SMALL = ["--width", "16", "--layers", "1", *DATA]


def pretrain(out, *options):
    return main(["pretrain", *SMALL, "--steps", "4", "--out", str(out), *map(str, options)])


def tune(checkpoint, out, *options):
    return main(["finetune", str(checkpoint), *DATA, "--steps", "3", "--out", str(out), *map(str, options)])


def tensors(folder):
    return load_file(next(folder.glob("checkpoint-*.safetensors")))


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    assert pretrain(folder, "--sessions", "simulated-3", "nonsense", "simulated-4", "simulated-3", "--alpha", 0.5) == 0
    return folder


def test_a_checkpoint_names_what_was_used_and_why_the_rest_was_not(pretrained):
    manifest = load_checkpoint(pretrained).manifest
    assert [about["session"] for about in manifest["data"]] == ["simulated-3", "simulated-4"]
    assert manifest["refused"].keys() == {"nonsense", "simulated-3"}
    assert "not the id of a session" in manifest["refused"]["nonsense"]
    assert "already used" in manifest["refused"]["simulated-3"]
    assert manifest["training"]["sessions_per_batch"] == 2 and manifest["training"]["alpha"] == 0.5
    split = open_session("simulated-4").align(window=(0.0, 0.4), bin_size=0.1)
    expected = split.table.index[split.split == "train"].tolist()
    assert manifest["data"][1]["trials"]["train"] == expected and expected


def test_the_journal_is_json_line_by_line(pretrained):
    text = (pretrained / "progress.jsonl").read_text("utf-8")
    lines = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    keys = {"step", "progress", "seconds_left", "elapsed", "epoch", "loss", "validation", "is_best", "notices"}
    assert all(line.keys() == keys for line in lines)
    assert [line["step"] for line in lines] == sorted({line["step"] for line in lines})
    assert lines[-1]["step"] == 4 and lines[-1]["progress"] == 1.0 and lines[-1]["seconds_left"] == 0
    assert {"neuron", "causal", "intra_region", "inter_region", "mean"} == lines[-1]["validation"].keys()


def test_twins_and_sessions_without_enough_trials_are_left_out_with_the_reason(monkeypatch, capsys):
    twins = {"simulated-3": "simulated-4", "simulated-4": "simulated-3"}
    monkeypatch.setattr(recordings, "twins_of", lambda cache_dir: twins)
    given = {
        name: replace(SHORT, session_id=name, split=np.full(50, "train" if name == "few" else "validation"))
        for name in ("few", "simulated-3", "simulated-4")
    }
    for name in ("simulated-3", "simulated-4"):
        given[name] = replace(given[name], split=SHORT.split)
    monkeypatch.setattr(recordings, "open_trials", lambda name, options: given[name])
    options = Namespace(cache_dir=None)
    found, refused = recordings.open_usable(["simulated-4", "few", "simulated-3"], options)
    assert [trials.session_id for trials in found] == ["simulated-4"]
    assert "the same recording as simulated-4" in refused["simulated-3"] and "too few" in refused["few"]
    assert capsys.readouterr().out.count("not used: ") == 2
    with pytest.raises(ValueError, match="none of the sessions can be used"):
        recordings.open_usable(["few"], options)
    with pytest.raises(ValueError, match="are one recording"):
        recordings.refuse_twins(["simulated-3", "simulated-4"], None)


def test_fine_tuning_the_stitcher_alone_leaves_the_trunk_bit_for_bit(pretrained, tmp_path):
    assert tune(pretrained, tmp_path, "--session", "simulated-2", "--only-stitcher") == 0
    trunk, tuned = load_checkpoint(pretrained), load_checkpoint(tmp_path)
    shared = dict(trunk.model.trunk())
    for name, weight in tuned.model.trunk():
        assert torch.equal(weight, shared[name]), name
    trials = open_session("simulated-2").align(window=(0.0, 0.4), bin_size=0.1)
    start = transfer(trunk.model, [trials])
    assert not torch.equal(start.units.input, tuned.model.units.input)
    assert tuned.session_ids == ("simulated-2",) and tuned.manifest["origin"] == {"checkpoint": trunk.manifest["hash"]}


def test_a_bare_trunk_is_written_fine_tuned_and_compared(tmp_path):
    trunk, tuned = tmp_path / "trunk", tmp_path / "tuned"
    options = ("--trunk", "--tokens", "ndt2", "--no-hidden-signal")
    assert pretrain(trunk, "--sessions", "simulated-3", "simulated-4", *options) == 0
    bare = load_checkpoint(trunk)
    assert bare.session_ids == bare.unit_ids == () and bare.manifest["data"] == []
    assert [about["session"] for about in bare.manifest["pretrained_on"]] == ["simulated-3", "simulated-4"]
    assert tune(trunk, tuned, "--session", "simulated-2", "--compare") == 0
    one, scratch = load_checkpoint(tuned), load_checkpoint(tuned / finetune.FROM_SCRATCH)
    assert one.model.config == scratch.model.config == bare.model.config and one.model.config.patch_neurons == 128
    assert not (one.model.config.hidden_signal or one.model.units.hidden_signal.any())
    assert one.manifest["origin"] and not scratch.manifest["origin"]
    assert one.manifest["training"]["steps_done"] == scratch.manifest["training"]["steps_done"] == 3
    trials = open_session("simulated-2").align(window=(0.0, 0.4), bin_size=0.1).select("test")
    hidden = torch.zeros(trials.counts.shape, dtype=torch.bool)
    rates = predict(one.model, trials, Mask(hidden, hidden, Scheme.NEURON))
    assert np.isfinite(rates).all()


def test_a_session_of_the_pretraining_with_other_test_trials_is_refused(pretrained, tmp_path, monkeypatch, capsys):
    opened = finetune.open_trials

    def shifted(session_id, options):
        trials = opened(session_id, options)
        return replace(trials, split=np.roll(trials.split, 1))

    monkeypatch.setattr(finetune, "open_trials", shifted)
    assert tune(pretrained, tmp_path, "--session", "simulated-3") == 1
    assert "other training trials" in capsys.readouterr().err
    monkeypatch.setattr(finetune, "open_trials", opened)
    monkeypatch.setattr(finetune, "twins_of", lambda cache_dir: {"simulated-2": "simulated-3"})
    assert tune(pretrained, tmp_path, "--session", "simulated-2") == 1
    assert "the same recording as simulated-3" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_interrupted_pretraining_goes_on_exactly(pretrained, tmp_path, monkeypatch):
    options = ["--sessions", "simulated-3", "simulated-4", "--alpha", 0.5]
    step = Trainer._step

    def pressed(trainer, progress):
        loss = step(trainer, progress)
        if trainer.run.step == 1:
            signal.raise_signal(signal.SIGINT)
        return loss

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", pressed)
        assert pretrain(tmp_path, *options) == 130
    assert (tmp_path / "resume.json").exists()
    assert load_checkpoint(tmp_path).manifest["training"]["steps_done"] == 2
    assert pretrain(tmp_path, *options) == 0
    assert not list(tmp_path.glob("resume*"))
    assert load_checkpoint(tmp_path).manifest["training"]["steps_done"] == 4
    whole, resumed = tensors(pretrained), tensors(tmp_path)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    steps = [json.loads(line)["step"] for line in (tmp_path / "progress.jsonl").read_text("utf-8").splitlines()]
    assert steps == sorted(steps) and steps[-1] == 4


def test_a_window_that_shows_more_than_the_trained_one_is_refused(pretrained, tmp_path, capsys):
    """The split depends on the window's length only: equally long and later, it may show the next training trial."""
    later = ["--window", "0.1", "0.5"]
    assert tune(pretrained, tmp_path, "--session", "simulated-3", *later) == 1
    assert "--event stimOn_times --window 0 0.4" in capsys.readouterr().err
    assert tune(pretrained, tmp_path, "--session", "simulated-3", "--event", "goCue_times") == 1


def test_the_model_to_fine_tune_is_never_written_over(pretrained, capsys):
    before = load_checkpoint(pretrained).manifest["hash"]
    assert tune(pretrained, pretrained, "--session", "simulated-2") == 1
    assert "give another --out folder" in capsys.readouterr().err
    assert load_checkpoint(pretrained).manifest["hash"] == before


def test_a_model_of_one_scheme_is_tuned_on_that_scheme(tmp_path):
    assert pretrain(tmp_path / "trunk", "--sessions", "simulated-3", "--schemes", "temporal") == 0
    assert tune(tmp_path / "trunk", tmp_path / "tuned", "--session", "simulated-2") == 0
    assert load_checkpoint(tmp_path / "tuned").manifest["schemes"] == ["temporal"]

"""The film of a training: frames are the model's own predictions, hidden entries stay out of them, files are sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small import SIZE, small_trials
from small_neds import NEDS_SIZE, neds_trials

from mtm_core.__main__ import main
from mtm_core.masking import MTM_SCHEMES
from mtm_core.masking_modalities import NEDS_SCHEMES
from mtm_core.predict import predict
from mtm_core.tensorfolder import CheckpointError
from mtm_core.training.build import build_model
from mtm_core.training.config import TrainConfig
from mtm_core.training.film import STEPS, Camera, read_film
from mtm_core.training.loop import Trainer, new_run

CONFIG = TrainConfig(steps=6, batch_size=8, n_validations=2, schemes=MTM_SCHEMES)
TRIALS = small_trials("a", (40, 10, 9))


def trainer_of(trials=TRIALS, config=CONFIG, size=SIZE):
    return Trainer(new_run(build_model(size, [trials], 0), config), [trials], config)


def filmed(folder, trials=TRIALS):
    trainer = trainer_of(trials)
    camera = Camera(folder, trainer)
    for step in trainer.steps():
        camera.after(step.number)
    return trainer, camera


def test_frames_lie_ever_further_apart():
    assert sorted(STEPS)[:8] == [1, 2, 3, 5, 7, 10, 14, 20] and len([s for s in STEPS if s <= 10_000]) < 30


def test_a_frame_is_what_the_model_predicts_of_the_busiest_validation_trial(tmp_path):
    trainer, _ = filmed(tmp_path)
    trainer_then = trainer.run.step
    Camera(tmp_path, trainer).take(trainer_then)
    film = read_film(tmp_path)
    held = TRIALS.select("validation")
    assert film.trial == held.counts.sum((1, 2)).argmax() and np.array_equal(film.counts, held.counts[film.trial])
    assert film.steps.tolist() == [1, 2, 3, 5, 6] and set(film.scenes) == {s.label for s in MTM_SCHEMES}
    masks = trainer.validation[0][1]
    for label, scene in film.scenes.items():
        mask = next(mask for mask in masks if mask.scheme.label == label)
        expected = predict(trainer.run.average, held, mask)[film.trial]
        np.testing.assert_allclose(scene.rates[-1].astype(np.float32), expected, rtol=2e-3, atol=1e-6)
        assert np.array_equal(scene.hidden, mask.hidden.expand(held.counts.shape)[film.trial].numpy())
        assert scene.target.any() and (scene.target <= scene.hidden).all()


def test_filming_leaves_the_training_as_it_is(tmp_path):
    plain = trainer_of()
    list(plain.steps())
    trainer, _ = filmed(tmp_path)
    state, other = trainer.run.model.state_dict(), plain.run.model.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in state.items())


@pytest.mark.parametrize("value", [0, 250])
def test_what_is_hidden_never_reaches_a_frame(tmp_path, value):
    """The weights are those of the untouched trial: only what the model reads is changed."""
    trainer, camera = filmed(tmp_path)
    before = camera.film
    held, masks = trainer.validation[0]
    for label, scene in before.scenes.items():
        counts = held.batch.counts.clone()
        counts[before.trial][torch.from_numpy(scene.hidden)] = value
        trainer.validation[0] = (replace(held, batch=replace(held.batch, counts=counts)), masks)
        again = Camera(tmp_path / label, trainer)
        again.film = before
        again.take(99)
        clean = Camera(tmp_path / f"{label}-clean", trainer)
        trainer.validation[0] = (held, masks)
        clean.film = before
        clean.take(99)
        assert np.array_equal(again.film.scenes[label].rates[-1], clean.film.scenes[label].rates[-1])


def test_test_trials_never_reach_a_film(tmp_path):
    counts = TRIALS.counts.copy()
    counts[TRIALS.split == "test"] = 200
    _, first = filmed(tmp_path / "a")
    _, second = filmed(tmp_path / "b", replace(TRIALS, counts=counts))
    assert all(np.array_equal(second.film.scenes[label].rates, s.rates) for label, s in first.film.scenes.items())


def test_of_many_neurons_the_busiest_are_filmed_in_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr("mtm_core.training.film.MOST_NEURONS", 4)
    trainer, camera = filmed(tmp_path)
    busiest = np.sort(np.argsort(-TRIALS.counts[TRIALS.split == "train"].mean((0, 1)))[:4])
    held = TRIALS.select("validation").counts[camera.film.trial]
    assert np.array_equal(camera.film.counts, held[:, busiest])
    assert camera.film.regions == tuple(TRIALS.regions.astype(str)[busiest])


def test_an_interrupted_run_goes_on_with_its_film_and_a_new_run_begins_another(tmp_path):
    _, camera = filmed(tmp_path)
    trainer = trainer_of()
    trainer.run.step = 3
    resumed = Camera(tmp_path, trainer)
    assert resumed.film.steps.tolist() == [1, 2, 3]
    assert np.array_equal(resumed.film.scenes["neuron"].rates, camera.film.scenes["neuron"].rates[:3])
    assert Camera(tmp_path, trainer_of()).film.steps.size == 0
    other = trainer_of(small_trials("b", (40, 10, 9), seed=5))
    other.run.step = 3
    assert Camera(tmp_path, other).film.steps.size == 0


def test_neds_is_not_filmed(tmp_path):
    trials = neds_trials("a", (40, 8, 6))
    trainer = trainer_of(trials, replace(CONFIG, schemes=NEDS_SCHEMES), NEDS_SIZE)
    Camera(tmp_path, trainer).take(1)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_refuses_costs_a_frame_and_not_the_run(tmp_path, monkeypatch):
    trainer = trainer_of()
    camera = Camera(tmp_path, trainer)

    def refuse(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(camera.folder), "write", refuse)
    camera.take(1)
    assert "No space left" in trainer.notices[0]


def test_damaged_films_are_refused(tmp_path):
    with pytest.raises(CheckpointError):
        read_film(tmp_path)
    _, camera = filmed(tmp_path)
    tensors, facts = camera.film.tensors(), camera.film.facts()
    for name, changed in (
        ("rates.neuron", tensors["rates.neuron"][:, 1:].contiguous()),
        ("rates.causal", tensors["rates.causal"] * float("nan")),
        ("mean", tensors["mean"][1:]),
    ):
        camera.folder.write({**tensors, name: changed}, facts)
        with pytest.raises(CheckpointError, match="do not fit|not a film"):
            read_film(tmp_path)
    camera.folder.write({name: value for name, value in tensors.items() if name != "steps"}, facts)
    with pytest.raises(CheckpointError, match="not a film"):
        read_film(tmp_path)
    (tmp_path / "film.json").write_text("[]", "utf-8")
    with pytest.raises(CheckpointError):
        read_film(tmp_path)


def test_the_command_films_what_it_trains(tmp_path):
    small = ("--width", "16", "--layers", "1", "--bin-size", "0.1", "--window", "0", "0.6", "--device", "cpu")
    assert main(["train", "--session", "simulated-1", *small, "--steps", "4", "--out", str(tmp_path)]) == 0
    film = read_film(tmp_path)
    assert film.session == "simulated-1" and film.steps.tolist() == [1, 2, 3, 4]

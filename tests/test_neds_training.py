"""Training NEDS: it learns, goes on exactly, is kept and handed on whole, and refuses what it cannot train."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from small import SIZE, small_trials
from small_neds import NEDS_SIZE, neds_trials, small_neds

from mtm_core.__main__ import main
from mtm_core.checkpoint import load_checkpoint, save_checkpoint
from mtm_core.commands import finetune, pretrain
from mtm_core.evaluation.metrics import spike_sums
from mtm_core.masking import MTM_SCHEMES
from mtm_core.masking_modalities import NEDS_SCHEMES, ROWS, SPIKES_ROW, NedsScheme, hide, hold_out_behaviors
from mtm_core.modality import BEHAVIORS, UNKNOWN, class_of
from mtm_core.models.neds import TRACES
from mtm_core.training import loop
from mtm_core.training.build import build_model
from mtm_core.training.calibration import calibrated
from mtm_core.training.config import TrainConfig
from mtm_core.training.fit import finished, fit
from mtm_core.training.loop import Trainer, best_model, new_run
from mtm_core.training.resume import load_run, save_run
from mtm_core.training.transfer import transfer, trunk_only
from mtm_core.training.translation import HOPELESS, fixed_masks, put_on_device, validate
from mtm_core.translate import in_pieces, translate

SESSIONS = [
    neds_trials("a", (40, 8, 6)),
    neds_trials("b", (35, 6, 5), seed=1, without=("wheel_speed", "choice")),
]
CONFIG = TrainConfig(steps=8, batch_size=8, n_validations=4, sessions_per_batch=2, schemes=NEDS_SCHEMES)


def start(sessions=SESSIONS, config=CONFIG):
    return new_run(build_model(NEDS_SIZE, sessions, config.seed), config)


def with_gaps(trials):
    """A tenth of everything is not known."""
    rng = np.random.default_rng(0)
    behaviors = {
        name: np.where(rng.random(x.shape) < 0.1, np.nan, x).astype(np.float32) for name, x in trials.behaviors.items()
    }
    return replace(trials, behaviors=behaviors, valid=rng.random(trials.valid.shape) > 0.1)


# --- learning ---------------------------------------------------------------------------------------------------------


def test_training_lowers_the_loss_and_finds_the_behavior_in_the_spikes():
    trials = neds_trials("a", (60, 8, 10))
    both = (NedsScheme.ENCODING, NedsScheme.DECODING)
    config = TrainConfig(steps=120, batch_size=16, learning_rate=1e-2, n_validations=4, schemes=both)
    losses = []
    model = build_model(replace(NEDS_SIZE, dropout=0.0, token_dropout=0.0), [trials])
    trainer = fit(model, [trials], config, lambda step: losses.append(step.loss))
    assert np.mean(losses[-20:]) < np.mean(losses[:20])
    held = trainer.validation
    untrained = validate(build_model(NEDS_SIZE, [trials]).eval(), held, NEDS_SCHEMES)
    trained = validate(best_model(trainer.run), held, NEDS_SCHEMES)
    assert trained["wheel_speed"] > max(untrained["wheel_speed"], 0.0) + 0.1
    assert trained["encoding"] > untrained["encoding"] + 0.02
    assert trained["mean"] == trainer.run.best_score


@pytest.mark.parametrize("scheme", NedsScheme)
def test_every_scheme_alone_can_be_trained(scheme):
    """With behaviors that are not known in some trials, in some bins, and in one session."""
    sessions = [with_gaps(trials) for trials in SESSIONS]
    config = replace(CONFIG, schemes=(scheme,), steps=2, n_validations=1)
    before = build_model(NEDS_SIZE, sessions).state_dict()
    trainer = fit(build_model(NEDS_SIZE, sessions), sessions, config)
    after = trainer.run.model.state_dict()
    assert trainer.run.n_skipped == 0 and math.isfinite(trainer.run.best_score)
    assert all(torch.isfinite(value).all() for value in after.values())
    assert any(not torch.equal(value, before[name]) for name, value in after.items())


def test_a_session_with_a_single_training_trial_takes_part_in_a_batch():
    few = neds_trials("few", (12, 8, 6), seed=2, split=np.array(["train"] * 11 + ["validation"]))
    config = replace(CONFIG, batch_size=8, sessions_per_batch=3, steps=3)
    trainer = fit(build_model(NEDS_SIZE, [*SESSIONS, few]), [*SESSIONS, few], config)
    assert trainer.run.n_skipped == 0
    data = put_on_device(trainer.run.model, few.select("train")).pick(slice(0, 1))
    mask = data.draw(config, torch.Generator().manual_seed(0))
    assert mask.hidden.shape[0] == 1


def test_a_behavior_that_no_session_of_a_batch_has_leaves_its_weights_alone():
    """Neither momentum nor weight decay moves them."""
    run = start([SESSIONS[1]])
    before = {name: value.clone() for name, value in run.model.trunk()}
    list(Trainer(run, [SESSIONS[1]], CONFIG).steps())
    for name, value in run.model.trunk():
        lacks = name.split(".")[0] in ("trace_in", "trace_out", "class_in", "class_out") and (
            "wheel_speed" in name or "choice" in name
        )
        assert torch.equal(value, before[name]) == lacks or name == "modality.weight", name


# --- going on ---------------------------------------------------------------------------------------------------------


def test_a_resumed_run_is_bit_for_bit_the_run_without_a_break(tmp_path):
    whole, broken = start(), start()
    steps = [step.loss for step in Trainer(whole, SESSIONS, CONFIG).steps()]
    first = Trainer(broken, SESSIONS, CONFIG).steps()
    losses = [next(first).loss for _ in range(3)]
    save_run(tmp_path, broken, SESSIONS, CONFIG)
    resumed = start()
    assert load_run(tmp_path, resumed, SESSIONS, CONFIG)
    losses += [step.loss for step in Trainer(resumed, SESSIONS, CONFIG).steps()]
    assert losses == steps
    for one, two in ((whole.model, resumed.model), (whole.average, resumed.average)):
        other = two.state_dict()
        assert all(torch.equal(value, other[name]) for name, value in one.state_dict().items())
    assert all(torch.equal(value, resumed.best[name]) for name, value in whole.best.items())
    assert (whole.best_score, whole.best_step) == (resumed.best_score, resumed.best_step)


def test_a_checkpoint_holds_the_whole_model(tmp_path):
    model = small_neds(*SESSIONS)
    saved = save_checkpoint(tmp_path, model, {"data": []})
    loaded = load_checkpoint(tmp_path)
    assert saved.manifest["model"] == loaded.manifest["model"] == "neds" and loaded.model.config == model.config
    assert loaded.session_ids == ("a", "b") and loaded.model.present(1) == model.present(1)
    state = loaded.model.state_dict()
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    held = [put_on_device(model, trials.select("validation")) for trials in SESSIONS]
    held = [(trials, fixed_masks(trials, NEDS_SCHEMES)) for trials in held]
    assert validate(loaded.model, held, NEDS_SCHEMES) == validate(model, held, NEDS_SCHEMES)
    found, expected = (translate(each, SESSIONS[0], hide((40, 8), (0, 4))) for each in (loaded, model))
    assert np.array_equal(found.rates, expected.rates)


# --- other animals ----------------------------------------------------------------------------------------------------


def trained_on_b():
    """A model of a session in which neither wheel nor choice was recorded."""
    return best_model(fit(build_model(NEDS_SIZE, [SESSIONS[1]]), [SESSIONS[1]], replace(CONFIG, steps=3)).run)


def test_a_trunk_learns_a_behavior_that_none_of_its_sessions_had():
    trunk = trained_on_b()
    model = transfer(trunk, [SESSIONS[0]])
    shared = dict(trunk.trunk())
    assert all(torch.equal(weight, shared[name]) for name, weight in model.trunk())
    assert set(model.present(0)) == set(BEHAVIORS) and "wheel_speed" not in trunk.present(0)
    fresh = build_model(NEDS_SIZE, [SESSIONS[0]])
    for name in ("has", "trace_mean", "trace_scale"):
        assert torch.equal(getattr(model, name), getattr(fresh, name)), name
    before = {name: weight.clone() for name, weight in model.trunk()}
    tuned = fit(model, [SESSIONS[0]], CONFIG).run.model
    assert not torch.equal(dict(tuned.trunk())["trace_out.wheel_speed.weight"], before["trace_out.wheel_speed.weight"])


def test_a_bare_trunk_knows_nobody_and_can_be_given_anybody(tmp_path):
    trunk = trained_on_b()
    bare = trunk_only(trunk)
    assert bare.unit_ids == bare.session_ids == () and bare.has.shape[0] == bare.trace_mean.shape[0] == 0
    save_checkpoint(tmp_path, bare, {"data": []})
    again = load_checkpoint(tmp_path).model
    states = [transfer(each, [SESSIONS[0]], seed=1).state_dict() for each in (trunk, bare, again)]
    assert all(torch.equal(value, other[name]) for other in states[1:] for name, value in states[0].items())


def test_rows_of_known_neurons_are_kept_and_scales_are_those_of_the_new_bins():
    trunk = small_neds(*SESSIONS)
    coarse = replace(SESSIONS[0], counts=SESSIONS[0].counts * 2, bin_size=0.04)
    model = transfer(trunk, [coarse])
    assert torch.equal(model.units.input, trunk.units.input[:6])
    torch.testing.assert_close(model.units.bias, trunk.units.bias[:6] + math.log(2), rtol=1e-4, atol=1e-4)
    assert torch.equal(model.session.weight[0], trunk.session.weight[0])


def test_only_rows_are_learned_with_a_frozen_trunk():
    model = transfer(trained_on_b(), [SESSIONS[0]])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    run = fit(model, [SESSIONS[0]], replace(CONFIG, trunk_learning_rate=0.0)).run
    after, tables = run.model.state_dict(), set(model.row_tables())
    assert {n for n, value in after.items() if not torch.equal(value, before[n])} == tables


def test_what_a_trunk_has_seen_is_told_by_its_sessions_and_without_them_by_its_read_outs():
    lacking = tuple(name for name in BEHAVIORS if name not in ("wheel_speed", "choice"))
    trunk = fit(build_model(NEDS_SIZE, [SESSIONS[1]]), [SESSIONS[1]], CONFIG).run.model
    assert trunk.seen() == trunk_only(trunk).seen() == lacking
    encoder = replace(CONFIG, schemes=(NedsScheme.ENCODING,))
    encoder = fit(build_model(NEDS_SIZE, [SESSIONS[1]]), [SESSIONS[1]], encoder).run.model
    assert encoder.seen() == lacking and trunk_only(encoder).seen() == tuple(BEHAVIORS)


# --- validation -------------------------------------------------------------------------------------------------------


def decoding_by_hand(trials, found, known):
    """AUC by counting pairs, and R2 about the mean of the scored values, in numpy."""
    scores = {}
    for name, p in found.probabilities.items():
        truth = class_of(BEHAVIORS[name], trials.behaviors[name])
        classes = sorted(set(truth.tolist()) - {UNKNOWN})
        aucs = []
        for c in classes if len(classes) > 1 else ():
            inside, outside = p[truth == c, c], p[(truth != c) & (truth != UNKNOWN), c]
            aucs.append(np.mean(np.sign(inside[:, None] - outside) / 2 + 0.5))
        scores |= {name: np.mean(aucs)} if aucs else {}
    for name, predicted in found.traces.items():
        values, ok = trials.behaviors[name].astype(np.float64), known[name]
        scores[name] = 1 - ((predicted - values)[ok] ** 2).sum() / ((values[ok] - values[ok].mean()) ** 2).sum()
    return scores


def test_validation_is_the_mean_of_bits_per_spike_and_of_auc_and_r2_no_worse_than_chance(monkeypatch):
    from mtm_core.training import translation

    monkeypatch.setattr(translation, "has_bf16", lambda device: False)
    sessions = [with_gaps(trials) for trials in SESSIONS]
    model, held, by_hand = small_neds(*sessions), [], []
    for trials in sessions:
        part = trials.select("validation")
        data = put_on_device(model, part)
        held.append((data, fixed_masks(data, ())))
        shape, present = part.valid.shape, data.batch.present
        decoded = translate(model, part, hold_out_behaviors(shape, present))
        known = {name: np.isfinite(part.behaviors[name]) for name in decoded.traces}
        scores = decoding_by_hand(part, decoded, known)
        rates = translate(model, part, hide(shape, (0, shape[1]))).rates
        null = model.units.mean[data.batch.unit_rows].double().numpy()
        target = np.broadcast_to(part.valid[:, :, None], rates.shape)
        scores["encoding"] = spike_sums(rates, part.counts, target).pooled(null)
        by_hand.append(scores)
    names = ["encoding", *(name for name in BEHAVIORS if any(name in scores for scores in by_hand))]
    expected = {name: np.mean([scores[name] for scores in by_hand if name in scores]) for name in names}
    decoding = np.mean([max(expected[name], 0.5 if BEHAVIORS[name].static else 0.0) for name in names[1:]])
    both = (expected["encoding"] + decoding) / 2
    for trained, mean in (
        (NEDS_SCHEMES, both),
        ((NedsScheme.ENCODING,), expected["encoding"]),
        ((NedsScheme.DECODING,), decoding),
        ((NedsScheme.DECODING, NedsScheme.ENCODING_FROM_ONE), both),
        ((NedsScheme.ENCODING_FROM_ONE, NedsScheme.WITHIN_SPIKES), expected["encoding"]),
        ((NedsScheme.WITHIN_SPIKES,), both),
    ):
        assert validate(model, held, trained) == pytest.approx({**expected, "mean": mean}, rel=1e-4, abs=1e-5)


def test_weights_that_predict_no_numbers_are_never_the_best():
    model = small_neds(SESSIONS[0])
    data = put_on_device(model, SESSIONS[0].select("validation"))
    held = [(data, fixed_masks(data, ()))]
    sound = validate(model, held, NEDS_SCHEMES)["mean"]
    with torch.no_grad():
        for name in TRACES:
            model.trace_out[name].bias.fill_(math.inf)
    scores = validate(model, held, NEDS_SCHEMES)
    assert scores["wheel_speed"] < -HOPELESS and scores["mean"] < sound


def test_validation_trials_without_a_known_value_have_no_score_of_it():
    trials = SESSIONS[0]
    unknown = replace(trials, behaviors={**trials.behaviors, "pupil": np.full((40, 8), np.nan, np.float32)})
    unknown.behaviors["choice"] = np.zeros(40, np.float32)
    model = small_neds(trials)
    data = put_on_device(model, unknown.select("validation"))
    scores = validate(model, [(data, fixed_masks(data, ()))], NEDS_SCHEMES)
    assert not {"pupil", "choice"} & scores.keys() and math.isfinite(scores["mean"])
    assert put_on_device(model, unknown).scored()[:, ROWS["pupil"]].any() == torch.tensor(False)
    assert put_on_device(model, unknown).scored()[:, SPIKES_ROW].all()


# --- calibration ------------------------------------------------------------------------------------------------------


def test_calibration_changes_how_far_rates_are_believed_and_no_behavior():
    trials = neds_trials("a", (60, 12, 12))
    model = small_neds(trials)
    with torch.no_grad():
        model.units.readout *= 5.0
        model.units.bias.copy_(model.units.mean.log())
    data = put_on_device(model, trials.select("validation"))
    held = [(data, fixed_masks(data, ()))]
    new, groups = calibrated(model, [trials], held)
    assert groups and all(group.gain < 1 for group in groups)
    assert validate(new, held, NEDS_SCHEMES)["encoding"] > validate(model, held, NEDS_SCHEMES)["encoding"]
    one, two = (in_pieces(each, data.batch, held[0][1][1]) for each in (model, new))
    assert all(torch.equal(one.traces[name], two.traces[name]) for name in one.traces)
    assert all(torch.equal(one.logits[name], two.logits[name]) for name in one.logits)
    assert sum(group.n_spikes for group in groups) == int(trials.select("validation").counts.sum())


def test_a_finished_run_is_calibrated():
    trainer = fit(build_model(NEDS_SIZE, SESSIONS), SESSIONS, replace(CONFIG, steps=2))
    model, groups = finished(trainer)
    assert groups and not torch.equal(model.units.readout, best_model(trainer.run).units.readout)


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_recording_without_behavior_is_refused_in_a_sentence():
    bare = small_trials("bare", (40, 8, 6), behaviors={"response_time": np.arange(40.0)})
    with pytest.raises(ValueError, match="session bare has no behavior that NEDS could translate; train MtM on it"):
        Trainer(start([bare]), [bare], CONFIG)


def test_schemes_of_the_other_model_are_refused():
    """Their numbers would pass for those of this one."""
    assert MTM_SCHEMES[0] == NEDS_SCHEMES[0]
    with pytest.raises(ValueError, match="neuron.* are not this model's; choose from encoding, "):
        Trainer(start(), SESSIONS, replace(CONFIG, schemes=MTM_SCHEMES))
    with pytest.raises(ValueError, match="encoding.* are not this model's; choose from neuron, "):
        Trainer(new_run(build_model(SIZE, SESSIONS), CONFIG), SESSIONS, CONFIG)


def test_losses_that_are_no_numbers_change_nothing(monkeypatch):
    run = start()
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    original = loop.Trainer._piece_loss
    monkeypatch.setattr(loop.Trainer, "_piece_loss", lambda *given: original(*given) * math.nan)
    next(Trainer(run, SESSIONS, CONFIG).steps())
    assert run.n_skipped == 1
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())


# --- commands ---------------------------------------------------------------------------------------------------------

DATA = ["--bin-size", "0.1", "--window", "0", "0.6", "--device", "cpu"]
SMALL = ["--model", "neds", "--width", "16", "--layers", "1", *DATA]


def run(*arguments):
    return main([str(argument) for argument in arguments])


def refusal(capsys, *arguments):
    capsys.readouterr()
    assert run(*arguments) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("mtm: ") and not any("Traceback" in line for line in said)
    return said[-1]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("neds")
    assert run("pretrain", *SMALL, "--sessions", "simulated-3", "simulated-4", "--steps", 4, "--out", folder) == 0
    return folder


def test_pretraining_writes_a_checkpoint_and_a_journal(pretrained):
    saved = load_checkpoint(pretrained)
    assert saved.manifest["model"] == "neds" and saved.session_ids == ("simulated-3", "simulated-4")
    assert saved.manifest["schemes"] == [scheme.label for scheme in NEDS_SCHEMES]
    assert {"choice", "block", "wheel_speed", "whisker_motion_energy", "pupil"} <= set(saved.model.present(0))
    last = json.loads((pretrained / "progress.jsonl").read_text("utf-8").splitlines()[-1], parse_constant=pytest.fail)
    assert last["step"] == 4 and {"encoding", "choice", "wheel_speed", "mean"} <= last["validation"].keys()


def test_pretraining_leaves_recordings_without_behavior_out_with_the_reason(tmp_path, monkeypatch, capsys):
    bare = small_trials("bare", (40, 8, 6), behaviors={})
    monkeypatch.setattr(pretrain, "open_usable", lambda *given: ([*SESSIONS, bare], {"nobody": "unknown"}))
    command = ("pretrain", "--sessions", "a", "b", "bare", *SMALL, "--steps", 1, "--out", tmp_path / "out")
    assert run(*command) == 0 and "not used: bare: no behavior" in capsys.readouterr().out
    saved = load_checkpoint(tmp_path / "out")
    assert saved.session_ids == ("a", "b")
    assert saved.manifest["refused"] == {"nobody": "unknown", "bare": "no behavior to translate"}
    monkeypatch.setattr(pretrain, "open_usable", lambda *given: ([bare], {}))
    assert "no session has a behavior to translate" in refusal(capsys, *command)


def test_a_pretrained_model_is_fine_tuned_on_its_schemes(pretrained, tmp_path):
    tune = ("finetune", pretrained, "--session", "simulated-2", *DATA, "--steps", 3, "--out")
    assert run(*tune, tmp_path / "all") == 0 and run(*tune, tmp_path / "rows", "--only-stitcher") == 0
    trunk, tuned, rows = (load_checkpoint(p) for p in (pretrained, tmp_path / "all", tmp_path / "rows"))
    assert tuned.manifest["schemes"] == trunk.manifest["schemes"] and tuned.manifest["model"] == "neds"
    assert tuned.manifest["origin"] == {"checkpoint": trunk.manifest["hash"]}
    shared = dict(trunk.model.trunk())
    assert all(torch.equal(weight, shared[name]) for name, weight in rows.model.trunk())
    assert not all(torch.equal(weight, shared[name]) for name, weight in tuned.model.trunk())


def test_a_frozen_trunk_is_not_given_behaviors_that_it_has_never_seen(tmp_path, monkeypatch, capsys):
    save_checkpoint(tmp_path / "trunk", trained_on_b(), {"data": [], "schemes": ["encoding", "decoding"]})
    monkeypatch.setattr(finetune, "open_trials", lambda *given: SESSIONS[0])
    tune = ("finetune", tmp_path / "trunk", "--session", "a", *DATA, "--steps", 2, "--only-stitcher", "--out")
    assert run(*tune, tmp_path / "rows") == 0
    told = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("left out"))
    assert "choice" in told and "wheel_speed" in told and "pupil" not in told
    assert load_checkpoint(tmp_path / "rows").model.present(0) == tuple(
        name for name in BEHAVIORS if name not in ("choice", "wheel_speed")
    )


def test_the_simulated_sessions_are_trained_in_one_direction_and_as_a_bare_trunk(tmp_path):
    assert run("train", "--simulated", *SMALL, "--steps", 3, "--schemes", "decoding", "--out", tmp_path / "one") == 0
    one = load_checkpoint(tmp_path / "one")
    assert one.manifest["schemes"] == ["decoding"] and len(one.session_ids) == 4
    trunk = ("pretrain", *SMALL, "--sessions", "simulated-4", "--trunk", "--steps", 2, "--out", tmp_path / "trunk")
    assert run(*trunk) == 0 and load_checkpoint(tmp_path / "trunk").session_ids == ()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((*SMALL, "--schemes", "neuron"), "scheme 'neuron' is none of this model's; choose from encoding, "),
        ((*DATA, "--schemes", "encoding"), "scheme 'encoding' is none of this model's; choose from neuron, "),
        ((*SMALL, "--tokens", "ndt2"), "switches of MtM"),
        ((*SMALL, "--no-prompt"), "switches of MtM"),
        ((*SMALL, "--no-hidden-signal"), "switches of MtM"),
    ],
)
def test_options_of_the_other_model_are_refused(options, sentence, capsys, tmp_path):
    given = ("train", "--session", "simulated-4", *options, "--steps", 1, "--out", tmp_path / "out")
    assert sentence in refusal(capsys, *given)
    assert not (tmp_path / "out").exists()


def test_schemes_of_the_other_model_are_refused_in_fine_tuning(pretrained, capsys, tmp_path):
    given = ("finetune", pretrained, "--session", "simulated-2", *DATA, "--steps", 1, "--schemes", "causal")
    assert "scheme 'causal' is none of this model's" in refusal(capsys, *given, "--out", tmp_path / "out")

"""Reading the region from embeddings: what the probe may know, its scores, its null, its baseline and the command."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score
from small import small_model, small_trials
from small_released import small_released

from mtm_core.__main__ import main
from mtm_core.checkpoint import Checkpoint
from mtm_core.data.catalogue import open_session
from mtm_core.evaluation import firing_features as firing_module
from mtm_core.evaluation.firing_features import FEATURES, firing_features
from mtm_core.evaluation.probe_scores import Answers, balanced_accuracy, difference, macro_f1, recalls, score_answers
from mtm_core.evaluation.region_probe import (
    EMBEDDING,
    FIRING,
    Neurons,
    Null,
    Protocol,
    Settings,
    fit_probe,
    fold_splits,
    region_probe,
    session_splits,
    shuffled,
)
from mtm_core.evaluation.unit_embeddings import joined, unit_embeddings
from mtm_core.evaluation.unit_map import map_2d
from mtm_core.paths import assets_dir
from mtm_core.session import Session

NAMES = ("CA1", "VISp", "LP")
FEW = Settings(n_shuffles=3)


def made_up(n: int = 40, sessions: tuple[str, ...] = ("a", "b", "c"), noise: float = 0.5, seed: int = 0):
    """n neurons of each region in each session, whose place in 8 dimensions tells the region."""
    rng = np.random.default_rng(seed)
    regions = np.tile(np.repeat(NAMES, n), len(sessions))
    centers = dict(zip(NAMES, rng.normal(size=(len(NAMES), 8)), strict=True))
    embedding = np.array([centers[region] for region in regions]) + noise * rng.normal(size=(len(regions), 8))
    return embedding, Neurons(regions, np.repeat(sessions, n * len(NAMES)))


EMBEDDED, NEURONS = made_up(n=15)


def found(features, neurons, settings=FEW):
    *_, last = region_probe(features, neurons, settings)
    return last.found


@pytest.fixture(scope="module")
def both():
    rng = np.random.default_rng(1)
    return found({EMBEDDING: EMBEDDED, FIRING: rng.normal(size=(len(EMBEDDED), 4))}, NEURONS)


# --- what is found ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", Protocol)
def test_a_region_that_lies_apart_is_read_and_noise_and_shuffles_are_at_chance(both, protocol):
    probed = both[protocol]
    assert probed.scores[EMBEDDING].balanced_accuracy > 0.95 and probed.scores[EMBEDDING].macro_f1 > 0.95
    assert probed.scores[FIRING].balanced_accuracy < 0.5
    assert np.mean(probed.null.balanced_accuracy) == pytest.approx(1 / 3, abs=0.1)
    assert probed.null.p(probed.scores[EMBEDDING].balanced_accuracy) == 1 / 4
    assert probed.against[FIRING].balanced_accuracy_ci[0] > 0.2
    assert probed.scores[EMBEDDING].n_neurons == len(EMBEDDED)


def test_an_embedding_that_knows_only_the_session_is_above_chance_in_folds_but_no_better_than_its_null():
    """Sessions with different regions: who recognizes the session guesses the region."""
    sessions = np.repeat(["a", "b"], 60)
    regions = np.r_[np.repeat(["CA1", "VISp"], [50, 10]), np.repeat(["CA1", "VISp"], [10, 50])]
    rng = np.random.default_rng(0)
    embedding = np.where(sessions == "a", 1.0, -1.0)[:, None] + 0.1 * rng.normal(size=(120, 3))
    probed = found({EMBEDDING: embedding}, Neurons(regions, sessions))[Protocol.FOLDS]
    assert probed.scores[EMBEDDING].balanced_accuracy > 0.75
    assert probed.null.p(probed.scores[EMBEDDING].balanced_accuracy) > 0.2


def test_the_same_seed_gives_the_same_results(both):
    again = found({EMBEDDING: EMBEDDED, FIRING: np.random.default_rng(1).normal(size=(len(EMBEDDED), 4))}, NEURONS)
    for protocol in Protocol:
        assert again[protocol].null == both[protocol].null and again[protocol].against == both[protocol].against
        for name, score in both[protocol].scores.items():
            assert again[protocol].scores[name].to_json() == score.to_json()


def test_progress_grows_to_one_and_true_labels_come_before_shuffled_ones():
    steps = list(region_probe({EMBEDDING: EMBEDDED}, NEURONS, Settings(n_shuffles=1)))
    shares = [step.share for step in steps]
    assert shares == sorted(shares) and shares[-1] == 1 and len(steps) == 2 * (5 + 3) + 1
    assert all(steps[7].found[protocol].scores and steps[7].found[protocol].null is None for protocol in Protocol)


# --- who is asked -----------------------------------------------------------------------------------------------------


def test_one_session_cannot_be_left_out_and_the_reason_is_given():
    embedding, neurons = made_up(n=10, sessions=("a",))
    probed = found({EMBEDDING: embedding}, neurons)
    assert "one session" in probed[Protocol.SESSIONS].problem and not probed[Protocol.SESSIONS].scores
    assert probed[Protocol.SESSIONS].null is None and probed[Protocol.FOLDS].scores


def test_root_void_and_small_regions_are_never_a_class():
    regions = NEURONS.regions.astype("<U8")
    regions[:15], regions[15:30], regions[30:39] = "root", "void", "DG"
    for split in (*fold_splits(Neurons(regions, NEURONS.sessions), FEW),):
        assert set(regions[split.train]) | set(regions[split.test]) == set(NAMES)
    with pytest.raises(ValueError, match="fewer than two regions"):
        fold_splits(Neurons(np.repeat("root", 135), NEURONS.sessions), FEW)
    with pytest.raises(ValueError, match="at least 10"):
        Settings(min_neurons=3)


def test_only_regions_that_other_sessions_teach_are_asked():
    regions = NEURONS.regions.copy()
    regions[(NEURONS.sessions != "a") & (regions == "LP")] = "CA1"  # LP is known from session a alone
    splits, not_asked = session_splits(Neurons(regions, NEURONS.sessions), FEW)
    by_session = {split.session: split for split in splits}
    assert set(regions[by_session["a"].test]) == {"CA1", "VISp"} and not_asked == {}
    assert set(regions[by_session["b"].train]) == set(NAMES)  # the probe is not told that b has no LP
    for session, split in by_session.items():
        assert set(NEURONS.sessions[split.test]) == {session} and session not in NEURONS.sessions[split.train]


def test_a_session_without_shared_regions_is_named():
    regions = np.where(NEURONS.sessions == "a", "DG", NEURONS.regions)
    splits, not_asked = session_splits(Neurons(regions, NEURONS.sessions), FEW)
    assert [split.session for split in splits] == ["b", "c"] and "a" in not_asked


def test_folds_ask_every_neuron_once_and_never_one_that_was_learned():
    splits = fold_splits(NEURONS, FEW)
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(len(EMBEDDED)))
    assert all(not set(split.train) & set(split.test) for split in splits)


def test_shuffling_keeps_every_sessions_regions_and_leaves_root_in_place():
    regions = NEURONS.regions.astype("<U8")
    regions[3:6] = "root"
    other = shuffled(Neurons(regions, NEURONS.sessions), np.random.default_rng(0)).regions
    assert (other != regions).any() and (other[3:6] == "root").all()
    for session in "abc":
        inside = NEURONS.sessions == session
        assert sorted(other[inside]) == sorted(regions[inside])


# --- leaks ------------------------------------------------------------------------------------------------------------


def parameters(probe):
    scale, svc = probe[0], probe[-1]
    return [scale.mean_, scale.scale_, svc.coef_, svc.intercept_, svc.C]


@pytest.mark.parametrize("poison", [np.nan, 1e6, -1e6])
@pytest.mark.parametrize("protocol", Protocol)
def test_asked_neurons_do_not_change_the_probe(monkeypatch, protocol, poison):
    """Through the whole of `region_probe`: the probe of the first split, with the embeddings of its test poisoned."""
    splits = fold_splits(NEURONS, FEW) if protocol is Protocol.FOLDS else session_splits(NEURONS, FEW)[0]
    fitted = []
    module = __import__(region_probe.__module__, fromlist=["fit_probe"])

    class Blind:
        """Predicts nothing: NaN could not be predicted."""

        def predict(self, features):
            return np.zeros(len(features), dtype=np.int64)

    def fit(features, labels, seed):
        fitted.append(fit_probe(features, labels, seed))
        return Blind()

    monkeypatch.setattr(module, "fit_probe", fit)
    poisoned = EMBEDDED.copy()
    poisoned[splits[0].test] = poison
    for features in (EMBEDDED, poisoned):
        steps = region_probe({EMBEDDING: features}, NEURONS, Settings(n_shuffles=0))
        first = 0 if protocol is Protocol.FOLDS else 5
        if protocol is Protocol.SESSIONS:  # folds would meet the poison in training
            steps = _sessions_only(module, features)
            first = 0
        fitted.append(None)
        for _ in range(first + 1):
            next(steps)
    clean, dirty = fitted[1], fitted[3]
    for a, b in zip(parameters(clean), parameters(dirty), strict=True):
        np.testing.assert_array_equal(a, b)


def _sessions_only(module, features):
    return module._Run(Protocol.SESSIONS, {EMBEDDING: features}, NEURONS, Settings(n_shuffles=0)).true_steps()


def test_labels_of_asked_neurons_do_not_change_the_probe():
    """Among the regions that are known, the labels of a session that is left out may be anything."""
    split = session_splits(NEURONS, FEW)[0][0]
    other = NEURONS.regions.copy()
    other[split.test] = np.roll(other[split.test], 7)
    again = session_splits(Neurons(other, NEURONS.sessions), FEW)[0][0]
    np.testing.assert_array_equal(split.train, again.train)
    probes = [
        fit_probe(EMBEDDED[split.train], Neurons(r, NEURONS.sessions).labels[split.train], 0)
        for r in (NEURONS.regions, other)
    ]
    for a, b in zip(*map(parameters, probes), strict=True):
        np.testing.assert_array_equal(a, b)


# --- scores -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def answers():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 4, 200)
    said = np.where(rng.random(200) < 0.6, truth, rng.integers(0, 4, 200))
    return Answers(np.arange(200), truth, said)


def test_scores_are_those_of_scikit_learn(answers):
    confusion = answers.confusion(4)
    np.testing.assert_array_equal(confusion, confusion_matrix(answers.truth, answers.said))
    assert balanced_accuracy(confusion) == pytest.approx(balanced_accuracy_score(answers.truth, answers.said))
    assert macro_f1(confusion) == pytest.approx(f1_score(answers.truth, answers.said, average="macro"))
    score = score_answers(answers, ("A", "B", "C", "D"), 0)
    assert score.accuracy == pytest.approx((answers.truth == answers.said).mean())
    assert score.balanced_accuracy_ci[0] < score.balanced_accuracy < score.balanced_accuracy_ci[1]
    assert sum(score.n_per_class.values()) == score.n_neurons == 200


def test_a_resample_is_the_score_of_the_drawn_neurons(answers):
    drawn = answers.resampled(4, np.random.default_rng(5))[0]
    times = np.random.default_rng(5).multinomial(200, np.full(200, 1 / 200), size=1000)[0]
    truth, said = np.repeat(answers.truth, times), np.repeat(answers.said, times)
    np.testing.assert_array_equal(drawn, confusion_matrix(truth, said, labels=range(4)))


def test_a_class_without_neurons_has_no_recall_and_does_not_count():
    confusion = np.array([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
    np.testing.assert_array_equal(recalls(confusion), [0.75, np.nan, 1.0])
    assert balanced_accuracy(confusion) == 0.875 and macro_f1(confusion) == pytest.approx((6 / 7 + 1) / 2)


def test_a_difference_is_paired(answers):
    same = difference(answers, answers, 4, 0)
    assert (same.balanced_accuracy, same.balanced_accuracy_ci) == (0, (0, 0))
    with pytest.raises(ValueError, match="same neurons"):
        difference(answers, replace(answers, neurons=answers.neurons[::-1]), 4, 0)


def test_p_counts_the_score_itself():
    null = Null((0.2, 0.3, 0.4), (0.2, 0.3, 0.4))
    assert (null.p(0.35), null.p(0.5), null.p(0.1)) == (0.5, 0.25, 1.0)


# --- embeddings -------------------------------------------------------------------------------------------------------


def units_of(trials):
    return pd.DataFrame({"uuid": trials.unit_ids, "region": trials.regions})


def test_an_embedding_is_the_neurons_row_of_both_tables():
    a, b = small_trials("a"), small_trials("b", (30, 12, 7), seed=1)
    model = small_model(a, b)
    checkpoint = Checkpoint(model, {}, Path("some"))
    units = joined([unit_embeddings(checkpoint, each.session_id, units_of(each), "cosmos") for each in (b, a)])
    row = model.unit_ids.index("b-3")
    expected = np.r_[model.units.input[row].detach().numpy(), model.units.readout[row].detach().numpy()]
    np.testing.assert_array_equal(units.embedding[3], expected)
    assert units.embedding.dtype == np.float32 and units.embedding.shape == (19, 32)
    assert list(units.table.iloc[3]) == ["b-3", "b", 3, units.regions[3]] and units.table.session[7] == "a"
    assert set(units.regions) == {"HPF", "Isocortex", "TH", "root"}
    with pytest.raises(ValueError, match="does not know session"):
        unit_embeddings(checkpoint, "c", units_of(a), "beryl")


def test_a_model_without_a_unit_table_is_refused():
    with pytest.raises(ValueError, match="no embedding per neuron"):
        unit_embeddings(Checkpoint(small_released(), {}, Path("some")), "a", units_of(small_trials()), "beryl")


def test_a_map_keeps_neighbors_together_and_is_the_same_again():
    embedding, neurons = made_up(n=20, sessions=("a",), noise=0.1)
    plane = map_2d(embedding.astype(np.float32), 0)
    np.testing.assert_array_equal(plane.places, map_2d(embedding.astype(np.float32), 0).places)
    assert plane.axes == ("t-SNE 1", "t-SNE 2") and plane.places.shape == (60, 2)
    away = np.linalg.norm(plane.places[:, None] - plane.places[None], axis=2) + 1e9 * np.eye(60)
    assert (neurons.regions[away.argmin(axis=1)] == neurons.regions).all()


@pytest.mark.parametrize("n", [0, 1, 2, 5, 10])
def test_few_neurons_have_a_map_too(n):
    plane = map_2d(np.random.default_rng(0).normal(size=(n, 6)), 0)
    assert plane.places.shape == (n, 2) and np.isfinite(plane.places).all()
    assert ("t-SNE" in plane.axes[0]) == (n >= 10) and all(plane.axes)


# --- firing statistics ------------------------------------------------------------------------------------------------


def recorded(seed: int = 0, n_trials: int = 20, n_units: int = 6):
    """A session and its trials of 1 s, spikes between trials included."""
    rng = np.random.default_rng(seed)
    onsets = 1.0 + 2.0 * np.arange(n_trials)
    n = 4000
    session = Session(
        id="a",
        subject="s",
        date="2024-01-01",
        number=1,
        source="simulated",
        spike_times=np.sort(rng.uniform(0, 2.0 * n_trials + 2, n)),
        spike_units=rng.choice(n_units, n, p=np.arange(1, n_units + 1) / np.arange(1, n_units + 1).sum()),
        units=pd.DataFrame({"uuid": [f"u{i}" for i in range(n_units)], "region": "CA1"}),
        trials=pd.DataFrame({"stimOn_times": onsets}),
    )
    return session, session.align("stimOn_times", (-0.2, 0.8), 0.02, "beryl")


def test_features_are_finite_named_and_recompute_by_hand():
    session, trials = recorded()
    features = firing_features(session, trials)
    assert features.shape == (6, len(FEATURES)) and np.isfinite(features).all()
    train = trials.select("train")
    column = {name: features[:, i] for i, name in enumerate(FEATURES)}
    np.testing.assert_allclose(column["log rate (Hz)"], np.log(train.counts.mean((0, 1)) / 0.02))
    spikes = train.counts.sum(1)
    np.testing.assert_allclose(
        column["log Fano factor of spikes per trial"], np.log(spikes.var(0, ddof=1) / spikes.mean(0))
    )
    np.testing.assert_allclose(column["share of silent bins"], (train.counts == 0).mean((0, 1)))


def test_intervals_are_those_of_one_neuron_within_one_training_trial():
    session, trials = recorded()
    features = firing_features(session, trials)
    onsets = trials.table["stimOn_times"].to_numpy()[trials.split == "train"]
    for unit in range(6):
        times = session.spike_times[session.spike_units == unit]
        parts = [times[(times >= t - 0.2) & (times < t + 0.8)] for t in onsets]
        intervals = np.concatenate([np.diff(part) for part in parts])
        edges = np.r_[0, firing_module.ISI_EDGES, np.inf]
        expected = np.histogram(intervals, edges)[0] / len(intervals)
        np.testing.assert_allclose(features[unit, -len(expected) - 1 : -1], expected)
        pairs = [np.diff(part) for part in parts if len(part) > 2]
        change = np.concatenate([3 * ((i[:-1] - i[1:]) / (i[:-1] + i[1:])) ** 2 for i in pairs])
        assert features[unit, -1] == pytest.approx(change.mean())


def test_only_training_trials_are_described():
    """Counts of other trials poisoned, and their spikes removed: bit for bit the same features."""
    session, trials = recorded()
    expected = firing_features(session, trials)
    other = trials.split != "train"
    assert other.any() and not other.all()
    poisoned = replace(trials, counts=np.where(other[:, None, None], 255, trials.counts).astype(trials.counts.dtype))
    near = np.zeros(len(session.spike_times), dtype=bool)
    for onset in trials.table["stimOn_times"].to_numpy()[other]:
        near |= (session.spike_times >= onset - 0.2) & (session.spike_times < onset + 0.8)
    silent = replace(session, spike_times=session.spike_times[~near], spike_units=session.spike_units[~near])
    np.testing.assert_array_equal(firing_features(silent, poisoned), expected)
    train = np.flatnonzero(~other)[:1]
    changed = trials.counts.copy()
    changed[train] = 9
    assert (firing_features(session, replace(trials, counts=changed)) != expected).any()


def test_silent_neurons_and_missing_bins_are_described_too():
    session, trials = recorded()
    keep = session.spike_units != 2
    silent = replace(session, spike_times=session.spike_times[keep], spike_units=session.spike_units[keep])
    valid = trials.valid.copy()
    valid[:, :5] = False
    counts = np.where(valid[:, :, None], trials.counts, 99).astype(np.uint8)
    counts[:, :, 2] = 0
    features = firing_features(silent, replace(trials, valid=valid, counts=counts))
    zero = np.where(valid[:, :, None], counts, 0).astype(np.uint8)
    assert np.isfinite(features).all()
    np.testing.assert_array_equal(features, firing_features(silent, replace(trials, valid=valid, counts=zero)))
    with pytest.raises(ValueError, match="no training trials"):
        firing_features(session, replace(trials, split=np.full(trials.n_trials, "test")))


# --- the command ------------------------------------------------------------------------------------------------------

BUNDLED = assets_dir() / "checkpoints" / "simulated-mtm"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embeddings")
    files = [folder / "new" / "units.json", folder / "units.csv"]
    arguments = ["embeddings", BUNDLED, "--session", "simulated-4", "--level", "cosmos", "--shuffles", 1]
    options = [*arguments, "--device", "cpu", "--json", files[0], "--csv", files[1]]
    assert main([str(each) for each in options]) == 0
    return json.loads(files[0].read_text("utf-8")), list(csv.DictReader(files[1].open(encoding="utf-8")))


def test_the_command_writes_every_neuron_with_its_embedding(written):
    told, rows = written
    units = open_session("simulated-4").units
    assert [row["uuid"] for row in rows] == units["uuid"].tolist() == [row["uuid"] for row in told["units"]]
    assert set(rows[0]) >= {"session", "region", "map_1", "map_2", "in_0", "in_127", "out_0", "out_127"}
    assert all(np.isfinite(float(row["out_127"])) for row in rows) and told["map_axes"] == ["t-SNE 1", "t-SNE 2"]


def test_the_command_tells_what_was_measured_and_why_not(written):
    probe = written[0]["probe"]
    assert "one session" in probe["sessions"]["problem"] and probe["sessions"]["scores"] == {}
    assert set(probe["folds"]["scores"]) == {"embedding", "firing"}
    assert probe["folds"]["scores"]["embedding"]["classes"] == ["Isocortex", "HPF", "TH"]
    assert len(probe["folds"]["null"]["macro_f1"]) == 1 and probe["folds"]["null"]["p"] in (0.5, 1.0)


def test_the_command_refuses_in_a_sentence(capsys):
    for options, sentence in (
        (["--session", "nobody"], "'nobody' is not the id of a session"),
        (["--session", "simulated-4", "simulated-4"], "named twice"),
        (["--min-neurons", "2"], "at least 10"),
    ):
        assert main(["embeddings", str(BUNDLED), "--device", "cpu", *options]) == 1
        assert sentence in capsys.readouterr().err.splitlines()[-1]

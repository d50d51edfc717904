"""The page "Guess": nothing of the answer leaves the server before Reveal, and everybody is scored alike after it."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from bokeh.core.json_encoder import serialize_json
from bokeh.document import Document
from hypothesis import given
from hypothesis import strategies as st
from leaks import checkpoint_of
from scipy import stats
from small import small_trials

from app.analyses import guess, guess_region, guess_scores
from app.analyses.guess import Play
from app.analyses.guess_scores import FLOOR_HZ, bits_of, floored, shape_of, total
from app.pages import guess as guess_page
from app.pages.guess import drawing as drawing_part
from app.pages.guess.game import Game
from app.pages.guess.result import verdict
from app.plots.guess import draw_drawing, make_guess
from app.spec import Spec, decode, encode
from app.state import State
from app.teaching import ACTIVITY, MOST_ROUNDS, REGION, Round, parse_round, round_text
from app.work import View, Work
from mtm_core.evaluation.linear import Ridge
from mtm_core.evaluation.metrics import bits_per_spike
from mtm_core.evaluation.single_neuron.trials import predicted_trials
from mtm_core.session import Trials

SHAPE = (60, 20, 24)
TRIALS = small_trials(shape=SHAPE)
MODEL = checkpoint_of(TRIALS)
ROUND = 3


def opened_as(trials: Trials, known: bool = True) -> SimpleNamespace:
    names = trials.regions.astype(str)
    return SimpleNamespace(
        trials=trials,
        known=known,
        region_names=names,
        colours=np.full(names.size, "#336699"),
        times=trials.window[0] + trials.bin_size * np.arange(trials.n_bins + 1),
    )


def use(monkeypatch, trials: Trials, known: bool = True) -> None:
    """The page finds these trials and the small model under any name; nothing is kept from another test."""
    opened = opened_as(trials, known)
    for module in (guess, guess_region, drawing_part):
        monkeypatch.setattr(module, "recording", lambda session, model: opened)
    monkeypatch.setattr(guess, "checkpoint", lambda model: MODEL)
    for kept in (guess._asked, guess._answer, guess._predicted, guess._ridge, guess_region._asked):
        kept.cache_clear()


@pytest.fixture(autouse=True)
def small_recording(monkeypatch):
    use(monkeypatch, TRIALS)


def spec(number: int = ROUND, what: str = ACTIVITY) -> Spec:
    return Spec(session="a", model="small", page="guess", guess=Round(what, number))


def played(number: int = ROUND) -> Play:
    *_, last = guess.play(spec(number))
    return last


# --- rounds -----------------------------------------------------------------------------------------------------------


@given(st.sampled_from((ACTIVITY, REGION)), st.integers(1, MOST_ROUNDS))
def test_every_round_survives_its_address(what, number):
    one = Round(what, number)
    assert parse_round(round_text(one)) == one
    assert decode(encode(Spec(guess=one))) == (Spec(guess=one), True)


@pytest.mark.parametrize(
    "text", ["", "activity", "activity.0", "activity.-1", "colour.3", "region.123456", "region.1.2"]
)
def test_another_text_is_no_round_and_the_page_still_opens(text):
    with pytest.raises(ValueError):
        parse_round(text)
    assert decode(f"page=guess&guess={text}") == (Spec(page="guess"), False)


def test_a_round_is_the_same_for_everybody_and_rounds_differ():
    assert guess.pick(TRIALS, 5) == guess.pick(replace(TRIALS), 5)
    assert len({guess.pick(TRIALS, number) for number in range(1, 30)}) > 15


def test_a_round_asks_about_a_busy_neuron_in_a_test_trial():
    rates = TRIALS.counts[TRIALS.split == "train"].mean((0, 1)) / TRIALS.bin_size
    for number in range(1, 40):
        neuron, trial = guess.pick(TRIALS, number)
        assert TRIALS.split[trial] == "test" and rates[neuron] >= guess.SLOWEST


def test_which_round_it_is_does_not_depend_on_test_trials():
    other = TRIALS.counts.copy()
    other[TRIALS.split == "test"] = 7
    assert [guess.pick(replace(TRIALS, counts=other), n) for n in range(9)] == [guess.pick(TRIALS, n) for n in range(9)]


def test_a_silent_recording_cannot_be_played(monkeypatch):
    use(monkeypatch, replace(TRIALS, counts=np.zeros_like(TRIALS.counts)))
    assert "4 Hz" in played().problem and played().asked is None


def test_a_model_that_does_not_know_the_recording_cannot_play(monkeypatch):
    use(monkeypatch, TRIALS, known=False)
    assert "not been trained" in played().problem


# --- the answer -------------------------------------------------------------------------------------------------------


def test_the_model_predicts_as_in_co_smoothing_and_ridge_as_the_baseline():
    last = played()
    asked, answer = last.asked, last.answer
    one = predicted_trials(MODEL, TRIALS, asked.neuron)
    row = np.flatnonzero(TRIALS.split == "test").tolist().index(asked.trial)
    assert np.array_equal(answer.rates["model"], one.rates[row]) and np.array_equal(answer.rates["psth"], one.psth)
    part = TRIALS.select("test")
    ridge = Ridge(TRIALS).rates("co_smoothing", part)[row, :, asked.neuron]
    np.testing.assert_allclose(answer.rates["ridge"], ridge, rtol=1e-6)
    assert np.array_equal(answer.counts, TRIALS.counts[asked.trial, :, asked.neuron])


def test_everybody_is_scored_on_the_same_entries_above_the_training_mean():
    last = played()
    neuron, answer = last.asked.neuron, last.answer
    mean = TRIALS.counts[TRIALS.split == "train"][:, :, neuron].mean(dtype=np.float64)
    y = answer.counts.astype(float)
    for name, r in answer.rates.items():
        by_hand = ((y * np.log(r) - r).sum() - (y * np.log(mean) - mean).sum()) / (y.sum() * np.log(2))
        assert answer.bits[name] == pytest.approx(by_hand, abs=1e-9)
    assert answer.bits["mean"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("poison", [0, 255, "noise"])
def test_the_hidden_spikes_change_neither_the_question_nor_what_others_predict(monkeypatch, poison):
    clean = played()
    neuron, trial = clean.asked.neuron, clean.asked.trial
    counts = TRIALS.counts.copy()
    noise = np.random.default_rng(1).integers(0, 9, SHAPE[1])
    counts[trial, :, neuron] = noise if poison == "noise" else poison
    use(monkeypatch, replace(TRIALS, counts=counts))
    other = played()
    assert (other.asked.neuron, other.asked.trial) == (neuron, trial)
    for name, rates in clean.answer.rates.items():
        assert np.array_equal(rates, other.answer.rates[name]), name
    assert np.array_equal(clean.asked.companions, other.asked.companions) and clean.asked.names == other.asked.names
    assert (clean.asked.mean_hz, clean.asked.top_hz) == (other.asked.mean_hz, other.asked.top_hz)


def test_companions_come_from_training_trials_and_are_never_the_neuron_itself():
    blocks = np.random.default_rng(0).poisson(3.0, (30, 4, 6)).astype(np.float32)
    blocks[:, :, 4] = blocks[:, :, 1] + 0.1 * blocks[:, :, 0]
    chosen, strength = guess.companions(blocks, 1)
    assert chosen[0] == 4 and 1 not in chosen and (np.diff(strength) <= 0).all()
    assert strength[0] == pytest.approx(np.corrcoef(blocks[:, :, 1].ravel(), blocks[:, :, 4].ravel())[0, 1], abs=1e-5)


# --- scores -----------------------------------------------------------------------------------------------------------


def test_a_drawing_is_floored_and_refused_if_it_is_no_rate():
    assert floored(np.array([0.0, 1.0]), 0.02).tolist() == [FLOOR_HZ * 0.02, 1.0]
    for bad in ([np.nan, 1.0], [-1.0, 1.0], [np.inf, 1.0]):
        with pytest.raises(ValueError):
            floored(np.array(bad), 0.02)


def test_the_shape_alone_has_the_usual_mean():
    drawn = np.array([0.1, 0.3, 0.2])
    assert shape_of(drawn, 0.02, 0.4).mean() == pytest.approx(0.4)
    np.testing.assert_allclose(shape_of(drawn, 0.02, 0.4) / drawn, 2.0)


def test_bits_are_those_of_the_library_on_the_scored_bins_only():
    rng = np.random.default_rng(0)
    counts, rates, scored = rng.poisson(1.0, 30), rng.uniform(0.2, 2, 30), rng.random(30) < 0.7
    expected = bits_per_spike(rates[scored][:, None], counts[scored][:, None], np.array([0.9]))[0]
    assert bits_of(counts, rates, scored, 0.9) == pytest.approx(expected)
    assert np.isnan(bits_of(np.zeros(30), rates, scored, 0.9))


def test_the_total_is_a_mean_with_students_interval():
    values = [0.1, 0.5, 0.3, float("nan")]
    found = total(values)
    low, high = stats.t.interval(0.95, 2, np.mean(values[:3]), stats.sem(values[:3]))
    assert found.n == 3 and found.mean == pytest.approx(0.3) and found.interval == pytest.approx((low, high))
    assert total([0.1, 0.2]).interval is None and total([]).n == 0 and np.isnan(total([]).mean)


@pytest.mark.parametrize(
    ("mine", "said"),
    [(0.9, "luck"), (0.5, "better than MtM"), (0.2, "MtM was better"), (-1.0, "average"), (float("nan"), "not count")],
)
def test_the_verdict_says_who_was_better(mine, said):
    assert said in verdict({"you": mine, "model": 0.4, "psth": 0.1, "true": 0.6})


# --- the game ---------------------------------------------------------------------------------------------------------


def state_for(one: Spec) -> State:
    work = Work(lambda key: None, lambda key: iter(()), {}, {"guess": View(guess.play, guess.READS)})
    return State(work, spec=one, pages=("explore", "guess"))


def game_with(play: Play) -> Game:
    game = Game(state_for(spec()))
    game.show(play)
    return game


def test_a_drawing_begins_flat_and_undo_takes_back_one_stroke():
    game = game_with(played())
    start = game.drawn.copy()
    assert np.unique(start).tolist() == [game.asked.mean_hz]
    game.draw(start + 5)
    game.draw(start + 1e9)  # above the axis: as high as the axis goes
    assert (game.drawn == game.asked.top_hz).all()
    game.undo()
    assert np.array_equal(game.drawn, start + 5)
    game.undo()
    game.undo()
    assert np.array_equal(game.drawn, start)


@pytest.mark.parametrize("junk", [[], [1.0], [float("nan")] * 20, [[1.0] * 20]])
def test_what_is_no_drawing_changes_nothing(junk):
    game = game_with(played())
    before = game.drawn.copy()
    game.draw(np.array(junk, dtype=float))
    assert np.array_equal(game.drawn, before)


def test_reveal_is_one_way_and_counts_a_round_once():
    game = game_with(played())
    game.draw(game.drawn + 3)
    assert game.answer is None and game.scored is None
    game.reveal()
    first = game.scored
    assert game.answer is not None and set(first.bits) >= {"you", "shape", "model", "ridge", "psth"}
    game.draw(game.drawn * 0 + 1)
    game.undo()
    game.reveal()
    assert game.scored is first and len(game.rounds) == 1


def test_a_round_that_one_comes_back_to_is_as_it_was_left():
    one, other = played(3), played(4)
    game = game_with(one)
    game.draw(game.drawn + 3)
    mine = game.drawn.copy()
    game.show(other)
    assert not np.array_equal(game.drawn, mine) and game.scored is None
    game.reveal()
    game.show(one)
    assert np.array_equal(game.drawn, mine) and game.scored is None and len(game.rounds) == 1


def test_nothing_is_revealed_before_the_others_have_guessed():
    game = game_with(Play(played().asked))
    game.reveal()
    assert not game.can_reveal and game.scored is None


@pytest.mark.parametrize("module", [guess, guess_region])
def test_while_the_others_guess_nothing_new_is_shown(monkeypatch, module):
    monkeypatch.setattr(module, "until_done", lambda future: range(4))
    monkeypatch.setattr(module, "FEWEST_NEURONS", 2, raising=False)
    monkeypatch.setattr(guess_region, "_said", lambda *_: {})
    *waiting, answered = guess.play(spec(what=REGION if module is guess_region else ACTIVITY))
    assert len(waiting) == 5 and all(each is waiting[0] for each in waiting)
    assert waiting[0].answer is None is not answered.answer


# --- what reaches the browser -----------------------------------------------------------------------------------------


def test_what_was_drawn_in_the_browser_is_not_sent_back():
    """It would wipe out the next stroke."""
    shown, edges, flat = make_guess(), np.linspace(0, 1, 5), np.full(4, 5.0)
    draw_drawing(shown, edges, flat, True)
    sent = []
    for source in (shown.lock, shown.drawing, shown.seen):
        source.on_change("data", lambda attr, old, new: sent.append(new))
    shown.seen.data = {"hz": [5.0, 5.0, 9.0, 5.0]}  # as the browser does
    sent.clear()
    draw_drawing(shown, edges, np.array([5.0, 5.0, 9.0, 5.0]), True)
    assert not sent
    draw_drawing(shown, edges, flat, False)
    assert sent[0]["open"] == [0] and np.array_equal(sent[1]["hz"], flat)


class Shown:
    """The page with everything computed, as it is sent to a browser."""

    def __init__(self, one: Spec) -> None:
        async def run() -> None:
            self.state = state_for(one)
            self.page = guess_page.page(self.state)
            self.state.start()
            while self.state.working:
                await asyncio.sleep(0.01)

        asyncio.run(run())
        self.document = Document()
        self.document.add_root(self.page.get_root(self.document))

    def press(self, label: str) -> None:
        next(each for each in self.page.select(lambda part: getattr(part, "label", "") == label)).clicks += 1

    def sent(self) -> str:
        """The whole document as JSON, without the names of models, which differ from page to page."""
        plain = json.loads(serialize_json(self.document.to_json(deferred=False)["roots"]))
        text = json.dumps(_nameless(plain), sort_keys=True, ensure_ascii=False)
        return re.sub(r"\bp[0-9]{3,}\b|(?<=[a-z])[0-9]{5}\b", "", text)


def _nameless(part: object) -> object:
    if isinstance(part, dict):
        return {key: _nameless(value) for key, value in part.items() if key not in ("id", "name")}
    if isinstance(part, list):
        return [_nameless(each) for each in part]
    return part


def test_before_reveal_the_browser_gets_the_same_whatever_was_recorded(monkeypatch):
    asked = played().asked
    counts = TRIALS.counts.copy()
    counts[asked.trial, :, asked.neuron] = np.arange(SHAPE[1]) % 7
    clean = Shown(spec())
    before = clean.sent()
    clean.press("Reveal")
    revealed = clean.sent()
    use(monkeypatch, replace(TRIALS, counts=counts))
    other = Shown(spec())
    assert other.sent() == before
    other.press("Reveal")
    assert other.sent() != revealed  # so that the comparison can fail


def test_before_reveal_the_page_does_not_name_the_neuron():
    shown = Shown(spec())
    name = f"It was neuron {played().asked.neuron} in trial {played().asked.trial}"
    assert name not in shown.sent()
    shown.press("Reveal")
    assert name in shown.sent()


def test_another_kind_of_model_gets_a_sentence_instead_of_a_round(monkeypatch):
    use(monkeypatch, TRIALS, known=False)
    assert "not been trained" in Shown(spec()).sent()


# --- regions ----------------------------------------------------------------------------------------------------------


def test_regions_are_asked_about_equally_often_and_shown_from_training_trials_only(monkeypatch):
    monkeypatch.setattr(guess_region, "FEWEST_NEURONS", 2)
    guess_region._rhythms.cache_clear()
    found = [guess_region._asked("a", "small", number) for number in range(1, 61)]
    regions, counts = np.unique([TRIALS.regions[neuron] for neuron, _ in found], return_counts=True)
    assert len(regions) == len(found[0][1].regions) and counts.min() >= 60 / len(regions) / 3
    other = TRIALS.counts.copy()
    other[TRIALS.split != "train"] = 9
    use(monkeypatch, replace(TRIALS, counts=other))
    guess_region._rhythms.cache_clear()
    neuron, asked = guess_region._asked("a", "small", 1)
    assert neuron == found[0][0] and np.array_equal(asked.rhythm, found[0][1].rhythm)
    assert all(np.array_equal(line, found[0][1].responses[name]) for name, line in asked.responses.items())
    guess_region._rhythms.cache_clear()


def test_the_rhythm_of_a_region_leaves_the_asked_neuron_out(monkeypatch):
    monkeypatch.setattr(guess_region, "FEWEST_NEURONS", 2)
    guess_region._rhythms.cache_clear()
    neuron, asked = guess_region._asked("a", "small", 2)
    place = list(asked.regions).index(str(TRIALS.regions[neuron]))
    rhythms = guess_region._rhythms("a", "small")
    siblings = (TRIALS.regions == TRIALS.regions[neuron]) & (np.arange(TRIALS.n_neurons) != neuron)
    np.testing.assert_allclose(asked.usual[place], rhythms[siblings].mean(0))
    guess_region._rhythms.cache_clear()


def test_a_rhythm_is_the_autocorrelation_beyond_the_mean_response(monkeypatch):
    guess_region._rhythms.cache_clear()
    train = TRIALS.counts[TRIALS.split == "train"].astype(float)
    left = train[:, :, 0] - train[:, :, 0].mean(0)
    by_hand = (left[:, 2:] * left[:, :-2]).mean() / (left**2).mean()
    assert guess_region._rhythms("a", "small")[0, 1] == pytest.approx(by_hand, abs=1e-4)
    guess_region._rhythms.cache_clear()


def test_the_floor_is_the_one_the_page_states():
    assert FLOOR_HZ == 0.5 and guess_scores.FEWEST == 3

"""Undo, redo, and whose result is shown. Model work is replaced by functions that count."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace

from app import state as state_module
from app.gate import GATE
from app.limits import Limits
from app.spec import HAND, Hide, Spec, picture_key
from app.state import State
from app.work import View, Work


class Fake:
    """Work that records what was asked for; `gate` holds pictures back, `broken` makes them fail."""

    def __init__(self) -> None:
        self.pictures: list[Spec] = []
        self.panels: list[Spec] = []
        self.gate = threading.Event()
        self.gate.set()
        self.broken = False

    def picture(self, spec):
        self.pictures.append(spec)
        self.gate.wait(5)
        if self.broken:
            raise ValueError("the file is damaged")
        return spec

    def steps(self, spec):
        yield from ((i / 4, f"{i} of 4") for i in range(1, 5))

    def scores(self, spec):
        yield from (("half", spec), ("all", spec))

    def work(self) -> Work:
        return Work(
            self.picture,
            self.scores,
            jobs={"scores": self.steps, "leak": self.steps},
            views={"neuron": View(self.panel, ("session", "neuron")), "map": View(self.growing)},
        )

    def panel(self, spec):
        self.panels.append(spec)
        return f"neuron {spec.neuron}"

    def growing(self, spec):
        yield from ("some", "all")


async def settled(state: State) -> None:
    for _ in range(400):
        await asyncio.sleep(0.005)
        if not state.working and state.running is None:
            return
    raise AssertionError("still working")


def run(scenario) -> None:
    asyncio.run(scenario(Fake()))


def test_a_burst_of_choices_is_one_inference():
    async def scenario(fake):
        state = State(fake.work())
        for trial in range(50):
            state.go(trial=trial)
        await settled(state)
        assert [spec.trial for spec in fake.pictures] == [49]
        assert state.picture.trial == 49

    run(scenario)


def test_in_a_class_who_never_stops_clicking_gets_few_pictures_and_at_last_the_right_one(monkeypatch):
    monkeypatch.setattr(state_module, "LIMITS", Limits(pictures_per_second=5, pictures_at_once=3))

    async def scenario(fake):
        state, begun = State(fake.work()), time.monotonic()
        for trial in range(100):
            state.go(trial=trial)
            await asyncio.sleep(0.005)
        spent = time.monotonic() - begun
        await settled(state)
        assert 3 <= len(fake.pictures) <= 3 + 5 * spent + 2 < 100
        assert state.picture.trial == 99

    run(scenario)


def test_a_result_for_an_older_choice_is_dropped():
    async def scenario(fake):
        state, shown = State(fake.work()), []
        state.param.watch(lambda event: shown.append(event.new.trial), "picture")
        fake.gate.clear()
        state.go(trial=1)
        await asyncio.sleep(0.05)  # trial 1 is being computed
        state.go(trial=2)
        fake.gate.set()
        await settled(state)
        assert [spec.trial for spec in fake.pictures] == [1, 2] and shown == [2]

    run(scenario)


def test_scores_follow_what_is_hidden_but_not_the_trial():
    async def scenario(fake):
        asked = []
        state = State(replace(fake.work(), scores=lambda spec: asked.append(spec) or iter([spec])))
        state.go(trial=3)
        await settled(state)
        state.go(trial=4)
        await settled(state)
        state.toggle_neuron(5)
        await settled(state)
        assert [spec.hide.neurons for spec in asked] == [(), (5,)]

    run(scenario)


def test_undo_and_redo_go_through_everything_but_pages_and_tabs():
    async def scenario(fake):
        state = State(fake.work())
        state.toggle_neuron(3)
        state.toggle_region("CA1")
        state.go(tab="leak")
        state.go(page="scores")
        assert state.spec.hide == Hide(scheme=HAND, neurons=(3,), regions=("CA1",))
        state.undo()
        assert state.spec.hide.regions == () and (state.spec.page, state.spec.tab) == ("scores", "leak")
        state.undo()
        assert state.spec.hide == Hide() and not state.can_undo
        state.redo()
        state.redo()
        assert state.spec.hide.regions == ("CA1",) and not state.can_redo
        state.undo()
        state.toggle_neuron(9)
        assert not state.can_redo, "a new choice ends the future that was undone"
        await settled(state)

    run(scenario)


def test_dragging_through_trials_is_one_step_of_undo():
    async def scenario(fake):
        state = State(fake.work(), spec=Spec(trial=10))
        for trial in (11, 12, 13):
            state.go(trial=trial)
        state.undo()
        assert state.spec.trial == 10
        await settled(state)

    run(scenario)


def test_hiding_by_hand_leaves_the_scheme_and_a_second_click_shows_again():
    async def scenario(fake):
        state = State(fake.work(), spec=Spec(hide=Hide(scheme="causal", seed=4)))
        state.toggle_neuron(7)
        assert state.spec.hide == Hide(scheme=HAND, neurons=(7,)) and state.spec.neuron == 7
        state.toggle_neuron(7)
        assert state.spec.hide.neurons == ()
        await settled(state)

    run(scenario)


def test_a_failed_inference_keeps_the_picture_and_says_why():
    async def scenario(fake):
        state = State(fake.work())
        state.start()
        await settled(state)
        before = state.picture
        fake.broken = True
        state.go(trial=8)
        await settled(state)
        assert state.picture is before and state.message == "the file is damaged"
        assert state.scores is not None, "the scores of the picture that is still shown"
        fake.broken = False
        state.go(trial=9)
        await settled(state)
        assert state.picture.trial == 9

    run(scenario)


def test_a_failed_picture_is_not_scored_but_the_next_one_is():
    async def scenario(fake):
        state = State(fake.work())
        fake.broken = True
        state.hide(neurons=(3,), scheme=HAND)
        await settled(state)
        assert state.picture is None and state.scores is None and state.message
        fake.broken = False
        state.go(trial=2)
        await settled(state)
        assert state.scores is not None and state.scores[1].hide.neurons == (3,) and not state.message

    run(scenario)


def test_a_surprising_error_is_not_shown_in_its_own_words():
    async def scenario(fake):
        state = State(fake.work())
        state.fail(KeyError("/secret/place"))
        assert "secret" not in state.message and state.message

    run(scenario)


def test_cancel_keeps_what_was_done_and_says_so(monkeypatch):
    monkeypatch.setattr(state_module, "SHOW_EVERY", 0)

    async def scenario(fake):
        state, seen = State(fake.work()), []

        def cancel_at_half(event):
            seen.append(event.new["scores"].share)
            if seen[-1] == 0.5:
                state.cancel()

        state.param.watch(cancel_at_half, "jobs")
        state.run("scores")
        await settled(state)
        await asyncio.sleep(0.05)
        job = state.jobs["scores"]
        assert job.state == "cancelled" and job.result == "2 of 4" and max(seen) == 0.5

    run(scenario)


def test_a_job_runs_to_its_end_with_progress_and_keeps_its_result_while_another_runs():
    async def scenario(fake):
        state = State(fake.work())
        state.run("leak")
        state.run("scores")  # one at a time: ignored
        assert state.running.kind == "leak"
        await settled(state)
        assert list(state.jobs) == ["leak"]
        state.run("scores")
        await settled(state)
        for kind in ("leak", "scores"):
            job = state.jobs[kind]
            assert (job.kind, job.state, job.share, job.result) == (kind, "done", 1.0, "4 of 4")

    run(scenario)


def test_a_job_shows_its_first_and_its_last_result_and_few_between():
    async def scenario(fake):
        state, seen = State(fake.work()), []
        state.param.watch(lambda event: seen.append(event.new["scores"].result), "jobs")
        state.run("scores")
        await settled(state)
        assert seen == [None, "1 of 4", "4 of 4"]

    run(scenario)


def test_a_failed_job_keeps_what_it_had_and_says_why():
    async def scenario(fake):
        def breaks(spec):
            yield 0.5, "half"
            raise ValueError("the disk is full")

        state = State(replace(fake.work(), jobs={"scores": breaks}))
        state.run("scores")
        await settled(state)
        assert (state.jobs["scores"].state, state.jobs["scores"].result) == ("failed", "half")
        assert state.message == "the disk is full"

    run(scenario)


def test_the_view_of_a_page_is_computed_only_while_it_is_open_and_from_what_it_reads():
    async def scenario(fake):
        state = State(fake.work())
        state.go(neuron=3)
        await settled(state)
        assert fake.panels == [] and "neuron" not in state.views
        state.go(page="neuron", trial=5)
        await settled(state)
        assert fake.panels == [Spec(neuron=3)] and state.views["neuron"] == "neuron 3"
        state.go(trial=6, page="explore")
        state.go(page="neuron")
        await settled(state)
        assert len(fake.panels) == 1, "neither the trial nor leaving the page changes what the view depends on"
        state.go(page="explore", neuron=4)
        await settled(state)
        assert len(fake.panels) == 1 and state.views["neuron"] == "neuron 3"
        state.go(page="neuron")
        await settled(state)
        assert state.views["neuron"] == "neuron 4"

    run(scenario)


def test_a_view_is_none_while_it_is_computed_and_may_grow():
    async def scenario(fake):
        state, seen = State(fake.work()), []
        state.param.watch(lambda event: seen.append(event.new.get("map")), "views")
        state.go(page="map")
        await settled(state)
        assert seen == [None, "some", "all"]

    run(scenario)


def test_a_view_left_half_done_is_finished_when_the_page_opens_again():
    async def scenario(fake):
        state = State(fake.work())
        state.param.watch(lambda event: event.new.get("map") == "some" and state.go(page="explore"), "views")
        state.go(page="map")
        await settled(state)
        assert state.spec.page == "explore" and state.views["map"] == "some"
        state._views["map"] = View(lambda spec: "whole")
        state.go(page="map")
        await settled(state)
        assert state.views["map"] == "whole"

    run(scenario)


def test_a_picture_does_not_wait_for_the_turn_of_the_scores_before_it():
    async def scenario(fake):
        held, order = threading.Event(), []

        def scores(spec):
            order.append("scores")
            return fake.scores(spec)

        def picture(spec):
            order.append(f"picture {spec.trial}")
            if spec.trial == 1:  # somebody else works next, and the scores of this visitor have to wait
                GATE.turn("somebody else", lambda: held.wait(5))
            return spec

        state = State(replace(fake.work(), picture=picture, scores=scores), spec=Spec(trial=1))
        state.start()
        while state.picture is None:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        state.go(trial=2)
        await asyncio.sleep(0.1)
        held.set()
        await settled(state)
        assert order == ["picture 1", "picture 2", "scores"] and state.scores[0] == "all"

    run(scenario)


def test_a_failed_view_says_why_and_is_tried_again_for_another_choice():
    async def scenario(fake):
        def breaks(spec):
            if spec.neuron == 1:
                raise ValueError("no spike at all")
            return spec.neuron

        state = State(replace(fake.work(), views={"neuron": View(breaks, ("neuron",))}))
        state.go(page="neuron", neuron=1)
        await settled(state)
        assert state.views["neuron"] is None and state.message == "no spike at all"
        state.go(neuron=2)
        await settled(state)
        assert state.views["neuron"] == 2 and not state.message

    run(scenario)


def test_scores_of_what_is_hidden_wait_until_explore_is_open():
    async def scenario(fake):
        state = State(fake.work(), spec=Spec(page="neuron"))
        state.start()
        await settled(state)
        assert state.picture is not None and state.scores is None
        state.go(page="explore")
        await settled(state)
        assert state.scores[0] == "all"

    run(scenario)


def test_nothing_is_computed_for_a_visitor_who_left():
    async def scenario(fake):
        state = State(fake.work())
        state.close()
        state.go(trial=5)
        await asyncio.sleep(0.05)
        assert fake.pictures == [] and not state.working

    run(scenario)


def test_a_picture_depends_on_neither_page_nor_tab_nor_neuron():
    spec = Spec(trial=2, sort="rate")
    assert picture_key(replace(spec, page="map", tab="help", neuron=9)) == picture_key(spec)
    assert picture_key(replace(spec, sort="region")) != picture_key(spec)

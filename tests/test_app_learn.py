"""The page "Learn" and the line that leads through a lesson on the other pages."""

from __future__ import annotations

import asyncio

import panel_material_ui as pmui
import pytest
from hypothesis import given
from hypothesis import strategies as st
from panel.models.esm import DataEvent

from app.lessons import lesson, lessons
from app.pages import learn
from app.pages.learn.links import Links
from app.pages.learn.listing import listing
from app.pages.learn.strip import MOST, after, lesson_strip, strip_text
from app.spec import Hide, Spec, decode, encode
from app.state import State
from app.teaching import LESSONS, MOST_STEPS, Place, parse_place, place_text
from app.work import Work


def state_at(**choices: object) -> State:
    work = Work(lambda key: None, lambda key: iter(()))
    return State(work, spec=Spec(**choices), pages=("explore", "learn"))


def run(act) -> None:
    """What starts computing needs a loop."""

    async def go() -> None:
        act()
        await asyncio.sleep(0)

    asyncio.run(go())


def buttons(part) -> dict[str, pmui.Button]:
    return {each.label: each for each in part.select(pmui.Button) if each.visible}


def press(part, label: str) -> None:
    def click() -> None:
        buttons(part)[label].clicks += 1

    run(click)


def texts(part) -> str:
    """All that is written on a part of the page."""
    written = [getattr(each, name, "") for each in part.select() for name in ("object", "text", "title", "label")]
    return "\n".join(each for each in written if isinstance(each, str))


# --- the address ------------------------------------------------------------------------------------------------------


@given(st.sampled_from(LESSONS), st.integers(1, MOST_STEPS))
def test_every_place_survives_its_address(name, step):
    place = Place(name, step)
    assert parse_place(place_text(place)) == place
    assert decode(encode(Spec(lesson=place))) == (Spec(lesson=place), True)


@pytest.mark.parametrize(
    "text", ["", "neuron", "neuron.0", "neuron.21", "nothing.1", "neuron.1.2", "../x.1", "neuron.-1"]
)
def test_another_text_is_no_place_and_the_page_still_opens(text):
    with pytest.raises(ValueError):
        parse_place(text)
    assert decode(f"page=learn&lesson={text}") == (Spec(page="learn"), False)


# --- the list ---------------------------------------------------------------------------------------------------------


def test_the_list_names_every_lesson_with_its_time_and_leads_to_its_first_step():
    shown = texts(listing())
    for one in lessons():
        assert one.title in shown and f"{one.minutes} minutes" in shown
        assert decode(f"page=learn&lesson={one.name}.1") == (Spec(page="learn", lesson=Place(one.name, 1)), True)
        assert f"?page=learn&amp;lesson={one.name}.1" in shown


def test_the_page_shows_the_list_until_a_lesson_is_open():
    state = state_at(page="learn")
    page = learn.page(state)
    assert lesson("raster").title in texts(page)
    run(lambda: state.go(lesson=Place("neuron", 2)))
    assert "Step 2 of" in texts(page) and lesson("neuron").steps[1].text[:40] in texts(page)
    run(lambda: state.go(lesson=Place()))
    assert "Step 2 of" not in texts(page)


# --- a step -----------------------------------------------------------------------------------------------------------


def hidden_parts(page) -> list:
    return [part for part in page.select(lambda p: hasattr(p, "objects")) if not part.visible]


def test_one_commits_to_an_answer_before_there_is_something_to_look_at():
    page = learn.page(state_at(page="learn", lesson=Place("neuron", 1)))
    step = lesson("neuron").steps[0]
    (place,) = hidden_parts(page)
    assert step.seen[:30] in texts(place) and "?scheme=hand" in texts(place)
    press(page, step.answers[1])
    assert place.visible and f"Your answer before looking: {step.answers[1]}" in texts(place)


def test_an_answer_cannot_be_changed_after_looking():
    page = learn.page(state_at(page="learn", lesson=Place("neuron", 1)))
    answers = lesson("neuron").steps[0].answers
    press(page, answers[0])
    made = buttons(page)
    assert [made[answer].disabled for answer in answers] == [False, True, True]
    assert "Look without answering" not in made


def test_one_can_look_without_answering():
    page = learn.page(state_at(page="learn", lesson=Place("region", 2)))
    (place,) = hidden_parts(page)
    press(page, "Look without answering")
    assert place.visible and "You did not answer" in texts(place)


def test_answers_are_for_the_teacher_on_request():
    page = learn.page(state_at(page="learn", lesson=Place("region", 2)))
    (details,) = [part for part in page.select(pmui.Details) if part.title == "For the teacher"]
    assert details.collapsed and "Answer: LP" in texts(details)


def test_steps_go_forward_and_back_and_keep_what_was_answered():
    state = state_at(page="learn", lesson=Place("neuron", 1))
    page = learn.page(state)
    press(page, lesson("neuron").steps[0].answers[2])
    assert buttons(page)["Back"].disabled
    press(page, "Next")
    assert state.spec.lesson == Place("neuron", 2) and hidden_parts(page)
    press(page, "Back")
    assert state.spec.lesson == Place("neuron", 1) and not hidden_parts(page)


def test_the_last_step_sums_up():
    last = len(lesson("neuron").steps)
    page = learn.page(state_at(page="learn", lesson=Place("neuron", 20)))
    assert f"Step {last} of {last}" in texts(page) and buttons(page)["Next"].disabled
    assert lesson("neuron").takeaway in texts(page) and lesson("neuron").words in texts(page)


def test_the_handouts_are_files_for_the_class_and_for_the_teacher():
    page = learn.page(state_at(page="learn", lesson=Place("neuron", 1)))
    files = {file.label: file for file in page.select(pmui.FileDownload)}
    seen = lesson("neuron").steps[0].seen
    assert seen not in files["Handout"].callback().getvalue()
    assert seen in files["Teacher's handout"].callback().getvalue()
    assert {file.filename for file in files.values()} == {"lesson-neuron.md", "lesson-neuron-teacher.md"}


# --- links ------------------------------------------------------------------------------------------------------------


def strip_of(state: State, known=lambda spec: True):
    made = lesson_strip(state, known)
    (listening,) = made.select(Links)
    return made, lambda address: run(lambda: listening._process_event(DataEvent(None, address)))


def test_a_link_sets_all_that_it_says_and_what_it_does_not_say_is_at_its_default():
    state = state_at(page="learn", lesson=Place("neuron", 1), trial=40, sort="rate")
    _, click = strip_of(state)
    click("?scheme=hand&neurons=32&lesson=neuron.1")
    assert state.spec == Spec(hide=Hide(scheme="hand", neurons=(32,)), lesson=Place("neuron", 1))


@pytest.mark.parametrize("address", ["?scheme=nonsense&lesson=neuron.1", "?page=admin&lesson=neuron.1", "javascript:x"])
def test_a_link_that_is_not_understood_changes_nothing_and_says_so(address):
    state = state_at(page="learn", lesson=Place("neuron", 1))
    before = state.spec
    strip_of(state)[1](address)
    assert state.spec == before and "does not exist here" in state.message


def test_a_link_to_what_does_not_exist_here_changes_nothing():
    state = state_at(page="learn", lesson=Place("neuron", 1))
    strip_of(state, known=lambda spec: False)[1]("?session=nowhere&lesson=neuron.1")
    assert state.spec.page == "learn" and state.message


def test_whatever_the_visitor_hid_by_a_link_can_be_undone():
    state = state_at(page="learn", lesson=Place("neuron", 1))
    strip_of(state)[1]("?scheme=hand&neurons=32&lesson=neuron.1")
    run(state.undo)
    assert state.spec.hide == Hide() and state.spec.lesson == Place("neuron", 1)


# --- the strip --------------------------------------------------------------------------------------------------------


def test_the_strip_is_on_the_other_pages_while_a_lesson_is_open():
    state = state_at()
    strip, _ = strip_of(state)
    box = strip.objects[1]
    assert not box.visible
    run(lambda: state.go(lesson=Place("neuron", 2)))
    assert box.visible and "Hide a neuron" in texts(strip) and "step 2 of" in texts(strip)
    run(lambda: state.go(page="learn"))
    assert not box.visible
    run(lambda: state.go(page="explore"))
    press(strip, "Close the lesson")
    assert not box.visible and state.spec.lesson == Place()


def test_the_strip_leads_back_to_the_lesson_and_on():
    state = state_at(lesson=Place("neuron", 2))
    strip, _ = strip_of(state)
    press(strip, "Back to the lesson")
    assert (state.spec.page, state.spec.lesson) == ("learn", Place("neuron", 2))
    run(lambda: state.go(page="explore"))
    press(strip, "Next step")
    assert (state.spec.page, state.spec.lesson) == ("learn", Place("neuron", 3))


def test_after_the_last_step_there_is_none():
    last = len(lesson("scores").steps)
    assert after(Place("scores", last)) == Place("scores", last) and after(Place("scores", 1)) == Place("scores", 2)


@pytest.mark.parametrize("name", LESSONS)
def test_the_line_is_short_and_has_no_markup(name):
    one = lesson(name)
    for number in range(1, len(one.steps) + 1):
        text = strip_text(one, number)
        assert "*" not in text and "](" not in text and "\n" not in text
        assert len(text) <= MOST + len(one.title) + 40

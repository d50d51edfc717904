"""One line on all other pages while a lesson is open: where one is in it, what was asked, and the way back."""

from __future__ import annotations

import re
from collections.abc import Callable

import panel as pn

from ...lessons import Lesson, lesson
from ...spec import Spec
from ...state import State
from ...teaching import Place
from ..parts import Announce, button, card, follow
from .links import links

MOST = 150  # characters of the question; the whole of it is in the lesson


def lesson_strip(state: State, known: Callable[[Spec], bool]) -> pn.viewable.Viewable:
    about = Announce(label="note", margin=(4, 8), styles={"flex": "1 1 300px", "min-width": "0"})
    back = button(state, "Back to the lesson", lambda: state.go(page="learn"), variant="contained")
    following = button(state, "Next step", lambda: state.go(page="learn", lesson=after(state.spec.lesson)))
    end = button(state, "Close the lesson", lambda: state.go(lesson=Place()))
    line = pn.FlexBox(about, back, following, end, align_items="center", gap="4px", sizing_mode="stretch_width")
    box = card(line, margin=(10, 14, 0, 14), visible=False, css_classes=["lesson"])

    def draw() -> None:
        where = state.spec.lesson
        box.visible = bool(where.lesson) and state.spec.page != "learn"
        if box.visible:
            about.text = strip_text(lesson(where.lesson), where.step)
            following.disabled = after(where) == where

    follow(state, ["spec"], draw)
    return pn.Column(links(state, known), box, sizing_mode="stretch_width", margin=0)


def after(where: Place) -> Place:
    """The next step, or the same one at the end."""
    one = lesson(where.lesson)
    return Place(where.lesson, one.step(one.step(where.step) + 1))


def strip_text(one: Lesson, step: int) -> str:
    number = one.step(step)
    question = re.sub(r"[*_`]|\]\([^)]*\)|\[", "", " ".join(one.steps[number - 1].question.split()))
    if len(question) > MOST:
        question = question[:MOST].rsplit(" ", 1)[0] + " …"
    return f"Lesson “{one.title}”, step {number} of {len(one.steps)}. {question}"

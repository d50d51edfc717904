"""The page "Learn": the list of lessons, or the step of the one that is open."""

from __future__ import annotations

import panel as pn

from ...lessons import Lesson, lesson
from ...state import State
from ..parts import follow
from .listing import listing
from .step import StepView


def page(state: State) -> pn.viewable.Viewable:
    place, shown = pn.Column(sizing_mode="stretch_width", margin=0), []
    views: dict[str, StepView] = {}  # what was answered in a lesson is still there when one comes back to it
    all_of_them = listing()

    def opened(one: Lesson) -> pn.viewable.Viewable:
        if one.name not in views:
            views[one.name] = StepView(state, one)
        return views[one.name].at(state.spec.lesson.step)

    def draw() -> None:
        where = state.spec.lesson
        if shown != [where]:
            shown[:] = [where]
            place.objects = [opened(lesson(where.lesson)) if where.lesson else all_of_them]

    follow(state, ["spec"], draw, page="learn")
    return place

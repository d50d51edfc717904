"""The page "Train": ask for training runs, follow them, compare them, and open what they made."""

from __future__ import annotations

from typing import Any

import panel as pn

from ...analyses import training
from ...analyses.models import model_facts
from ...recordings import runs_now
from ...spec import Hide
from ...state import State
from ...words import plain
from ..film import film_card
from ..parts import Announce, button, card, explained, follow, guarded, heading, repeat
from .curves import Curves
from .form import FormView
from .run_list import RunList

EVERY = 1000  # ms between looks at what the runs have done
FIRST_DRAWN = 3  # runs that are drawn when the page opens
SHOWN = 12  # runs listed at first
LABELS = {
    "explore": "Look at this model",
    "fine-tune": "Fine-tune this model",
    "pause": "Pause",
    "resume": "Resume",
    "stop": "Stop",
    "delete": "Delete",
}


def page(state: State) -> pn.viewable.Viewable:
    board = Board(state)
    form = FormView(state, board.started)
    repeat(state, board.poll, EVERY, page="train")
    follow(state, ["dark"], board.recolour, page="train")
    return pn.Column(
        card(heading("New run"), form.view(), explained("What do these choices mean?", "train")),
        card(heading("Runs"), board.view()),
        card(heading("How they learn"), board.curves.view()),
        film_card(state, "train"),
        sizing_mode="stretch_width",
        margin=0,
    )


class Board:
    """The list of runs and their curves."""

    def __init__(self, state: State) -> None:
        self.state, self.curves = state, Curves(state)
        self.list = RunList(labels=LABELS, sizing_mode="stretch_width", margin=(0, 4))
        self.list.on_msg(guarded(state, self.act))
        self.none = Announce(margin=(2, 4))
        self.deleted = ("", "")  # id and title of the run that was deleted last
        self.gone = Announce(margin=(6, 8))
        self.back = button(state, "Undo", self.restore)
        self.gone_row = pn.FlexBox(self.gone, self.back, align_items="center", visible=False)
        self.limit = SHOWN
        self.more = button(state, "Show all runs", self.show_all, visible=False)
        for run in runs_now()[:FIRST_DRAWN][::-1]:
            self.curves.choose(run.id)
        self.broken = False
        self.redraw = follow(state, ["spec"], self.draw, page="train")
        self.curves.axis.param.watch(self.redraw, "value")

    def view(self) -> pn.viewable.Viewable:
        return pn.Column(self.none, self.gone_row, self.list, self.more, sizing_mode="stretch_width", margin=0)

    def poll(self) -> None:
        if not self.broken:  # the same would go wrong every second: said once, tried again after the next choice
            self.redraw()

    def draw(self) -> None:
        self.broken = True
        found, may = runs_now(), training.allowed()
        rows = [self._row(run, may) for run in found[: self.limit]]
        if rows != self.list.rows:
            self.list.rows = rows
        self.none.text = "Ticked runs are drawn below." if found else "There is no run yet. The form above starts one."
        self.more.visible = len(found) > self.limit
        self.curves.draw()
        self.broken = False

    def _row(self, run: Any, may: bool) -> dict[str, Any]:
        progress = training.progress_of(run)
        share = progress.last.share if progress.last is not None else 0.0
        return {
            "id": run.id,
            "title": plain(run.title),
            "about": training.about(run),
            "said": training.sentence(run, progress),
            "state": run.state.value,
            "share": share if run.alive or run.state.value == "paused" else -1.0,
            "chosen": run.id in self.curves.slots,
            "colour": self.curves.colour(run.id),
            "dash": self.curves.dash(run.id),
            "actions": list(training.actions(run, may)),
        }

    # --- acts ---------------------------------------------------------------------------------------------------------

    def started(self, run_id: str) -> None:
        self.deleted = ("", "")
        self._say_deleted()
        self.curves.choose(run_id)
        self.redraw()

    def act(self, event: Any) -> None:
        """What a browser sent: it may be anything."""
        asked = event.data if isinstance(event.data, dict) else {}
        run = next((run for run in runs_now() if run.id == asked.get("id")), None)
        if run is None:
            raise ValueError("there is no such run any more")
        action = asked.get("act")
        if action == "draw":
            self.curves.toggle(run.id)
        elif action in training.actions(run, training.allowed()):
            {"explore": self.explore, "fine-tune": self.fine_tune}.get(action, self.control)(run, action)
        self.redraw()

    def control(self, run: Any, action: str) -> None:
        training.act(action, run.id)
        if action == "delete":
            self.deleted = (run.id, plain(run.title))
            self._say_deleted()

    def restore(self) -> None:
        run_id, _ = self.deleted
        self.deleted = ("", "")
        self._say_deleted()
        training.act("restore", run_id)
        self.redraw()

    def explore(self, run: Any, _: str) -> None:
        """Open the model on the recording that is looked at, or on the first that it knows."""
        session, facts = self.state.spec.session, model_facts(run.id)
        page, field = ("translate", "translator") if facts.translates else ("explore", "model")
        there = {"page": page, field: run.id}
        if session not in facts.sessions:  # another recording has other neurons, regions and trials
            there |= {"session": facts.sessions[0], "trial": -1, "neuron": -1, "hide": Hide()}
        self.state.go(**there)

    def fine_tune(self, run: Any, _: str) -> None:
        self.state.go(train="finetune", **{"translator" if model_facts(run.id).translates else "model": run.id})

    def show_all(self) -> None:
        self.limit = 10_000
        self.redraw()

    def _say_deleted(self) -> None:
        self.gone_row.visible = bool(self.deleted[0])
        self.gone.text = f"Deleted “{self.deleted[1]}”." if self.deleted[0] else ""

    def recolour(self) -> None:
        self.curves.recolour()
        self.redraw()

"""The page "Masking": from the spikes of one trial to the model's guess, step by step and with its real numbers."""

from __future__ import annotations

import panel as pn

from ...state import State
from ..film import film_card
from ..parts import button, card, explained, prose
from . import bar, gallery, marks, prompts, ratios, story, trial_choice
from .pictures import Pictures


def page(state: State) -> pn.viewable.Viewable:
    told, pictures = story.view(state), pn.Column(marks.view(state), Pictures(state).box, margin=0)
    told.styles = {"flex": "1 1 330px", "min-width": "0"}
    pictures.styles = {"flex": "2 1 420px", "min-width": "0"}
    both = pn.FlexBox(told, pictures, gap="14px", align_items="flex-start", sizing_mode="stretch_width")
    top = card(prose("masking_intro", margin=(0, 4)), trial_choice.view(state), bar.steps(state), both)
    parts = (gallery.view(state), prompts.view(state), ratios.view(state))
    help_text = explained("What do the words and scores mean?", "masking_help")
    return pn.Column(top, *parts, help_text, _film(state), sizing_mode="stretch_width", margin=0)


def _film(state: State) -> pn.Column:
    """Three more figures, for those who want to see them."""
    place = pn.Column(sizing_mode="stretch_width", margin=0)

    def show() -> None:
        place.objects = [film_card(state, "masking")]

    place.append(button(state, "Watch a model learn this", show))
    return place

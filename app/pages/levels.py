"""The list of region levels, where it follows the address at once."""

from __future__ import annotations

import panel_material_ui as pmui

from ..spec import LEVELS


def level_select() -> pmui.Select:
    return pmui.Select(
        label="Regions",
        options={"as trained": "", **{level.capitalize(): level for level in LEVELS}},
        size="small",
        width=130,
        margin=(4, 8),
    )

"""Colours and sizes of the app: plain data, one visual language for light and dark."""

from __future__ import annotations

from dataclasses import dataclass

from bokeh.palettes import magma

LEVELS = 64  # shades per encoding
MAX_COUNT = 4  # spikes per bin at the dark end of the spike scale
RASTER_HEIGHT = 330  # px inside the axes
PANEL_HEIGHT = 250  # px of the small figures
FONT = "Inter, Roboto, 'Helvetica Neue', Arial, sans-serif"


def ramp(*stops: str, n: int = LEVELS) -> tuple[str, ...]:
    """n colours, linear between the given ones."""
    colours = [[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in stops]
    out = []
    for i in range(n):
        place = i * (len(colours) - 1) / (n - 1)
        low = min(int(place), len(colours) - 2)
        mix = [a + (b - a) * (place - low) for a, b in zip(colours[low], colours[low + 1], strict=True)]
        out.append("#" + "".join(f"{round(c):02x}" for c in mix))
    return tuple(out)


@dataclass(frozen=True)
class Look:
    """The colours of one theme. Each encoding is a ramp of LEVELS colours, from nothing to most."""

    ink: str
    faint: str
    surface: str
    grid: str
    hidden: str  # gutter colour: hidden and scored
    unscored: str  # gutter colour: hidden, not scored
    accent: str  # predicted by the model
    recorded: str  # what was recorded
    truth: str  # true rates of simulated sessions
    spikes_seen: tuple[str, ...]
    spikes_unscored: tuple[str, ...]
    spikes_scored: tuple[str, ...]
    rates_seen: tuple[str, ...]
    rates_unscored: tuple[str, ...]
    rates_scored: tuple[str, ...]
    diverging: tuple[str, ...]  # less, as much and more; the middle is the surface
    modalities: dict[str, str]  # what is translated into one another; told apart with every common colour blindness


_MAGMA = tuple(magma(256))
# magma is sequential in lightness and readable with every common colour blindness; its black end is cut off, so that
# "much" never looks like ink.
_DARK_RATES = ramp(*[_MAGMA[i] for i in range(20, 250, 10)])
_LIGHT_RATES = ramp("#fff8ee", *[_MAGMA[i] for i in range(230, 40, -10)])

LIGHT = Look(
    ink="#1f2933",
    faint="#6b7785",
    surface="#ffffff",
    grid="#e4e8ec",
    hidden="#3b4652",
    unscored="#b8c0c9",
    accent="#a3307e",
    recorded="#33404d",
    truth="#0f7f6f",
    spikes_seen=ramp("#ffffff", "#5d6b7a", "#27323d", "#0b1117", "#000000"),
    spikes_unscored=ramp("#eceff2", "#b4bcc6", "#9aa4b0"),
    spikes_scored=ramp("#dde1e6", "#c03a76", "#8c2981", "#51127c", "#2a0a55"),
    rates_seen=ramp("#ffffff", "#c3cad1", "#6b7785", "#27323d"),
    rates_unscored=ramp("#eceff2", "#d4dae0", "#aab3bd", "#87929e"),
    rates_scored=_LIGHT_RATES,
    diverging=ramp("#0b4f8a", "#5fa3d3", "#ffffff", "#e8935b", "#9c3206", n=129),
    modalities={
        "spikes": "#a3307e",
        "choice": "#0072b2",
        "block": "#117733",
        "contrast": "#8a6d00",
        "reward": "#b34a00",
        "wheel_speed": "#00798a",
        "whisker_motion_energy": "#6a3d9a",
        "pupil": "#7a4b32",
        "paw_speed": "#455a64",
    },
)
DARK = Look(
    ink="#e6eaee",
    faint="#98a3af",
    surface="#14181c",
    grid="#2b3138",
    hidden="#d5dbe1",
    unscored="#5d6772",
    accent="#f2739a",
    recorded="#c3ccd5",
    truth="#4fc3b0",
    spikes_seen=ramp("#14181c", "#9aa7b5", "#c9d2db", "#f1f4f7", "#ffffff"),
    spikes_unscored=ramp("#262c33", "#4a535d", "#66717d"),
    spikes_scored=ramp("#363e47", "#f2739a", "#fb9f7a", "#fed395", "#fcfdbf"),
    rates_seen=ramp("#14181c", "#3b444e", "#87929e", "#dde3e9"),
    rates_unscored=ramp("#262c33", "#333b44", "#4a535d", "#66717d"),
    rates_scored=_DARK_RATES,
    diverging=ramp("#8ecbf5", "#2f6ea8", "#14181c", "#b5561f", "#ffc08f", n=129),
    modalities={
        "spikes": "#f2739a",
        "choice": "#6bbcf0",
        "block": "#5fc98a",
        "contrast": "#e8c547",
        "reward": "#ff9d5c",
        "wheel_speed": "#4dd0c8",
        "whisker_motion_energy": "#c3a0f0",
        "pupil": "#d9b3a0",
        "paw_speed": "#b0c4cf",
    },
)


def look(dark: bool) -> Look:
    return DARK if dark else LIGHT


_BAR = {"MuiAppBar": {"styleOverrides": {"colorPrimary": {"backgroundColor": "#33214b", "color": "#ffffff"}}}}
_SHARED = {
    "typography": {"button": {"textTransform": "none", "letterSpacing": 0}, "h3": {"fontSize": "1.25rem"}},
    "components": {
        **_BAR,
        "MuiToolbar": {"styleOverrides": {"root": {"minHeight": "48px !important"}}},
        "MuiToggleButton": {"styleOverrides": {"root": {"padding": "4px 10px", "textTransform": "none"}}},
        "MuiFormControlLabel": {"styleOverrides": {"label": {"fontSize": "13px", "whiteSpace": "nowrap"}}},
        "MuiTab": {"styleOverrides": {"root": {"minHeight": "42px", "fontSize": "0.92rem"}}},
    },
}
MATERIAL = {
    "light": {
        **_SHARED,
        "palette": {
            "primary": {"main": "#4a2a6b"},
            "secondary": {"main": "#a3307e"},
            "background": {"default": "#f6f7f9", "paper": "#ffffff"},
        },
    },
    "dark": {
        **_SHARED,
        "palette": {
            "primary": {"main": "#c9a7ea"},
            "secondary": {"main": "#f2739a"},
            "background": {"default": "#0e1114", "paper": "#14181c"},
        },
    },
}

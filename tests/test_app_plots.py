"""What is drawn is what is there: no neuron is lost on the way to the pixels."""

from __future__ import annotations

import numpy as np
import pytest
from bokeh.models import Range1d

from app.plots.blocks import block_max, block_starts, value_of_max
from app.plots.neuron import draw_neuron, make_neuron_figure
from app.plots.raster import SCORED, Rows, draw_raster, draw_strips, label_bands, make_raster, make_scale, recolour
from app.plots.regions import RegionLine, draw_regions, make_region_figure
from app.plots.session import draw_session, make_session_raster, show_all, spike_table
from app.theme import DARK, LEVELS, LIGHT, RASTER_HEIGHT


def rows_with(hidden: list[int], n_rows: int, n_bins: int = 100) -> Rows:
    layer = np.zeros((n_rows, n_bins), np.uint8)
    layer[hidden] = SCORED
    return Rows(
        labels=[f"{i} · CA1" for i in range(n_rows)],
        colours=["#7ed04b"] * n_rows,
        bands=[(n_rows / 2, "CA1")],
        times=np.linspace(-0.5, 1.5, n_bins + 1),
        layer=layer,
    )


def raster(spikes: bool, n_rows: int):
    return make_raster("Raster", make_scale(spikes), (Range1d(-0.65, 1.5), Range1d(0, n_rows * 1.03)), first=True)


@pytest.mark.parametrize("row", range(0, 700, 23))
def test_every_hidden_row_of_700_is_visible_in_300_pixels(row):
    flags = np.zeros((700, 100), np.uint8)
    flags[row] = 1
    starts = block_starts(0, 700, 300)
    reduced = block_max(flags, starts, np.arange(100), 700)
    assert reduced.shape == (300, 100)
    block = np.searchsorted(starts, row, side="right") - 1
    assert (reduced[block] == 1).all() and reduced.sum() == 100


def test_a_raster_sends_no_more_rows_than_pixels_and_keeps_single_hidden_rows():
    shown, rows = raster(True, 700), rows_with([5, 333, 699], 700)
    counts = np.zeros((700, 100), np.uint8)
    counts[100, 50] = 3
    draw_raster(shown, rows, counts, 4)
    image, value = shown.image.data["image"][0], shown.image.data["value"][0]
    assert image.dtype == np.uint8 and image.shape == (RASTER_HEIGHT, 100)
    assert ((image >= 2 * LEVELS).all(1)).sum() == 3 and value.max() == 3 and (value > 0).sum() == 1
    assert len(shown.rows.data["label"]) == RASTER_HEIGHT


def test_a_merged_row_shows_an_entry_that_exists():
    """A seen spike beside a hidden neuron must not become a spike of the hidden one."""
    hidden = list(range(0, 700, 2))
    shown, rows = raster(True, 700), rows_with(hidden, 700)
    counts = np.full((700, 100), 3, np.uint8)
    counts[hidden] = 0  # as in "What the model saw"
    draw_raster(shown, rows, counts, 4)
    image, value = shown.image.data["image"][0], shown.image.data["value"][0]
    coloured = image >= 2 * LEVELS
    assert coloured.any() and (image[coloured] == 2 * LEVELS).all(), "a hidden neuron got a spike"
    assert (value[coloured] == 0).all() and (value[~coloured] == 3).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_value_of_a_block_is_that_of_the_entry_it_shows(seed):
    rng = np.random.default_rng(seed)
    image, values = rng.integers(0, 6, (23, 17)), rng.random((23, 17))
    rows, columns = block_starts(3, 21, 5), block_starts(0, 17, 4)
    found = value_of_max(values, image, rows, columns, 21)
    for i, (a, b) in enumerate(zip(rows, [*rows[1:], 21], strict=True)):
        for j, (c, d) in enumerate(zip(columns, [*columns[1:], 17], strict=True)):
            block = image[a:b, c:d]
            assert found[i, j] == values[a:b, c:d][block == block.max()].max()


def test_zooming_in_shows_single_neurons():
    shown, rows = raster(True, 700), rows_with([333], 700)
    shown.figure.y_range.update(start=330, end=340)
    draw_raster(shown, rows, np.zeros((700, 100), np.uint8), 4)
    assert shown.image.data["image"][0].shape[0] == 10 and shown.image.data["y"] == [330]
    assert shown.rows.data["label"][3] == "333 · CA1"


def test_rates_keep_their_value_for_the_pointer_and_saturate_in_colour():
    shown, rows = raster(False, 20), rows_with([], 20)
    rates = np.full((20, 100), 7.25, np.float32)
    rates[4] = 400.0
    draw_raster(shown, rows, rates, 50.0)
    assert shown.image.data["value"][0].max() == 400.0
    assert shown.image.data["image"][0].max() == LEVELS - 1


def test_strips_are_stronger_where_more_is_hidden():
    shown, rows = raster(True, 20), rows_with([2], 20)
    rows.layer[7, :10] = SCORED
    draw_strips(shown, rows, LIGHT)
    opacity = shown.strips.data["image"][0][:, 7] >> 24
    assert opacity[2] == 255 and 0 < opacity[7] < 120 and opacity[0] == 0


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=["light", "dark"])
def test_every_encoding_has_its_own_colours(look):
    shown = raster(False, 20)
    recolour(shown.scale, look, 50.0)
    label_bands(shown.figure, [(10.0, "CA1")])
    palette = shown.scale.image.palette
    assert len(palette) == 3 * LEVELS and palette[LEVELS - 1] != palette[3 * LEVELS - 1]
    assert shown.scale.bar.high == 50.0
    empty = {palette[0], palette[LEVELS], palette[2 * LEVELS]}
    assert len(empty) == 3, "hidden and silent must not look the same"


def test_the_session_raster_shows_every_spike_once():
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.05, (30, 40, 50)).astype(np.uint8)
    spikes = spike_table(counts, np.arange(50)[::-1])
    assert spikes["n"].sum() == counts.sum() and spikes["x"].is_monotonic_increasing and spikes["x"].dtype == np.float64
    shown = make_session_raster()
    show_all(shown, 30, 50)
    draw_session(shown, spikes, 30, 50)
    image = shown.image.data["image"][0]
    assert image.max() == 1.0 and np.isfinite(image).all()


def test_a_region_figure_has_a_line_per_region_and_survives_silence():
    shown = make_region_figure("Scores")
    lines = [
        RegionLine("CA1", "#7ed04b", np.array([0.1, 0.3]), np.array([4, 7]), 0, 0, (0.15, 0.25)),
        RegionLine("DG", "#66a83d", np.zeros(0), np.zeros(0, int), 2, 1),
    ]
    draw_regions(shown, lines)
    assert shown.figure.y_range.factors == ["DG", "CA1"] and shown.bars.data["mean"] == [pytest.approx(0.2)]
    assert (shown.bars.data["low"], shown.bars.data["high"]) == ([0.15], [0.25])
    assert shown.dots.data["neuron"] == [4, 7]
    draw_regions(shown, [])
    assert shown.dots.data["region"] == []


def test_a_neuron_figure_takes_missing_predictions():
    shown, times = make_neuron_figure("This trial", bars=True), np.linspace(0, 1, 11)
    draw_neuron(shown, times, {"recorded": np.ones(10), "predicted": None}, np.arange(10) > 5)
    assert [item.visible for item in shown.figure.legend[0].items] == [True, False, False]
    assert not shown.parts["predicted"][0].visible and len(shown.hidden.data["left"]) == 1
    assert shown.figure.y_range.end > 1

"""The page "Translate" in a real browser: what a newcomer clicks first, on a screen, a phone and with the keyboard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from browsing import PATIENCE, PATIENT, serve_bundled, watched

from mtm_core import open_session
from mtm_core.checkpoint import save_checkpoint
from mtm_core.masking_modalities import NEDS_SCHEMES
from mtm_core.models.neds import NedsConfig
from mtm_core.session import identity
from mtm_core.training.build import build_model
from mtm_core.training.config import TrainConfig
from mtm_core.training.fit import finished, fit

sync_api = pytest.importorskip("playwright.sync_api", reason='pip install -e ".[test]" for playwright')
expect = sync_api.expect

TINY = NedsConfig(width=32, n_layers=1, n_heads=2)
STEPS = 10

# Where the fifth of the nine knots is on the screen.
MIDDLE_KNOT = """() => {
  for (const doc of Bokeh.documents) for (const model of doc._all_models.values()) {
    if (model.type !== "PointDrawTool") continue
    const knots = model.renderers[0], source = knots.data_source.data
    const views = Object.values(Bokeh.index).flatMap(function walk(view) {
      return [view, ...(view.child_views ?? []).flatMap(walk)]
    })
    const plot = views.find((view) => view.model.type === "Figure" && view.model.renderers.includes(knots))
    const place = plot.el.getBoundingClientRect(), frame = plot.frame
    const x = frame.x_scale.compute(source.x[4]), y = frame.y_scale.compute(source.y[4])
    return [place.x + x, place.y + y]
  }
}"""

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> Path:
    """A folder with one model between the spikes and the behavior of a simulated recording."""
    trials = open_session("simulated-1").align(window=(-0.5, 1.5), bin_size=0.1)
    config = TrainConfig(steps=STEPS, n_validations=1, schemes=NEDS_SCHEMES)
    model, _ = finished(fit(build_model(TINY, [trials]), [trials], config))
    folder = tmp_path_factory.mktemp("checkpoints")
    save_checkpoint(folder / "tiny-neds", model.eval(), {"data": [identity(trials)]})
    return folder


@pytest.fixture(scope="module")
def server(chromium_path, checkpoints, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """Address and log file of `panel serve app/` with the bundled models and the tiny one."""
    yield from serve_bundled(tmp_path_factory.mktemp("server"), *PATIENT, MTM_CHECKPOINTS=str(checkpoints))


@pytest.fixture
def page(browser, server):
    with (
        closing(browser.new_context(viewport={"width": 1440, "height": 900})) as context,
        watched(context, server, 2 * PATIENCE, console=True) as tab,
    ):
        yield tab


def status(tab):
    return tab.locator(".status p[role=status]:visible")


def says(line, text: str) -> None:
    expect(line).to_contain_text(re.compile(text), timeout=2 * PATIENCE)


def opened(tab, server, more: str = "") -> None:
    tab.goto(f"{server[0]}?page=translate&translator=tiny-neds{more}")
    says(status(tab), "The model sees")


def test_a_newcomer_decodes_flips_the_choice_and_takes_it_back(page, server):
    opened(page, server)
    says(status(page), "hidden: spikes")
    page.get_by_role("button", name="Decode: spikes → behavior").click()
    says(status(page), r"The model sees spikes; hidden: choice, block,.* of 4 right in this trial")
    expect(page.get_by_text(re.compile("✓ right|✗ wrong")).first).to_be_visible()
    page.get_by_role("button", name="Flip the choice").click()
    difference = page.locator(".what-if p[role=status]")
    says(difference, "Choice: (right → left|left → right).* The model reads choice, and no spikes")
    page.wait_for_url(re.compile(r"translation=choice\.block.*~choice\.[01]"))
    says(page.locator(".translation-scores p[role=status]"), r"\d+ test trials, which training has never touched")
    expect(page.locator("td", has_text="balanced accuracy").first).to_be_visible()
    page.get_by_role("button", name="Back to what was recorded").click()
    says(difference, "Nothing is changed yet")
    expect(page.get_by_text("A model's answer, not a cause:")).to_be_visible()


def test_an_address_opens_with_all_that_was_chosen(page, server):
    opened(page, server, "&trial=5&translation=spikes.wheel_speed~5-12~wheel_speed.50" + ".0" * 9)
    says(status(page), "hidden in the chosen stretch of time: spikes and wheel speed")
    says(page.locator(".what-if p[role=status]"), "Wheel speed: 50 %.")
    expect(page.get_by_label("Wheel speed: hidden")).not_to_be_checked()
    expect(page.get_by_label("Paw speed: not recorded")).to_be_disabled()


def test_switches_work_with_the_keyboard(page, server):
    opened(page, server)
    page.get_by_label("Block: shown").focus()
    page.keyboard.press("Space")
    says(status(page), "hidden: spikes and block")
    expect(page.get_by_label("Block: hidden")).not_to_be_checked()


def test_a_point_of_the_wheel_trace_is_dragged(page, server):
    opened(page, server)
    difference = page.locator(".what-if p[role=status]")
    says(difference, "Nothing is changed yet")
    difference.scroll_into_view_if_needed()
    page.get_by_label("Points can be dragged").scroll_into_view_if_needed()
    x, y = page.evaluate(MIDDLE_KNOT)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 20, steps=4)
    page.mouse.move(x, y - 40, steps=4)
    page.mouse.up()
    says(difference, "Wheel speed: dragged. The model reads")
    page.wait_for_url(re.compile(r"~wheel_speed\.100\.0\.0\.0\.0\.[1-9]\d*\.0\.0\.0\.0"))


def test_a_phone_shows_everything_in_its_width(page, server):
    page.set_viewport_size({"width": 390, "height": 844})
    opened(page, server, "&translation=spikes~choice.1")
    says(page.locator(".what-if p[role=status]"), "The model reads")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_recording_without_a_model_says_how_to_get_one(page, server):
    page.goto(f"{server[0]}?page=translate&translator=tiny-neds&session=simulated-2")
    expect(page.get_by_text("mtm train --model neds --session simulated-2")).to_be_visible(timeout=2 * PATIENCE)
    page.get_by_role("button", name="To the page Train").click()
    expect(page.locator("nav a[aria-current=page]")).to_have_text("Train", timeout=2 * PATIENCE)


def test_other_pages_do_not_offer_the_model(page, server):
    page.goto(server[0])
    expect(page.get_by_text("Try it:")).to_be_visible(timeout=2 * PATIENCE)
    page.get_by_role("combobox", name="Model", exact=True).click()
    expect(page.get_by_role("menuitem", name="simulated-mtm", exact=True)).to_be_visible()
    assert page.get_by_role("menuitem", name="tiny-neds").count() == 0

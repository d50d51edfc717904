"""The dialog "Take home" in a real browser: the files that it saves are what they say they are."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from browsing import PATIENCE, serve_bundled, watched
from PIL import Image

from app.analyses.scripts import NONE, SCRIPTS
from app.contents import PAGES

sync_api = pytest.importorskip("playwright.sync_api", reason='pip install -e ".[test]" for playwright')
expect = sync_api.expect
expect.set_options(timeout=PATIENCE)
LONG = 4 * PATIENCE  # one tab goes through everything
SVG = "{http://www.w3.org/2000/svg}"

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(chromium_path, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    yield from serve_bundled(tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="module")
def context(browser, server):
    made = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True, device_scale_factor=2)
    made.grant_permissions(["clipboard-read", "clipboard-write"], origin=server[0][: -len("/app")])
    yield made
    made.close()


@pytest.fixture
def page(context, server):
    with watched(context, server, LONG) as tab:
        yield tab


def opened(tab, address: str, text: str | re.Pattern):
    """The dialog, opened by keyboard on a page that shows `text`."""
    tab.goto(address)
    expect(tab.get_by_text(text).first).to_be_visible(timeout=LONG)
    tab.wait_for_timeout(1500)  # figures are drawn after the texts
    tab.get_by_role("button", name="Take home", exact=True).focus()
    tab.keyboard.press("Enter")
    dialog = tab.get_by_role("dialog", name="Take home")
    expect(dialog).to_be_visible()
    return dialog


def saved(tab, button) -> tuple[str, bytes]:
    with tab.expect_download() as download:
        button.click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def file_buttons(dialog, kind: str) -> dict[str, object]:
    """Title -> button of the figures or tables."""
    found = dialog.get_by_role("button", name=f" as {kind}")
    expect(found.first).to_be_visible()
    return {each.get_attribute("aria-label").removesuffix(f" as {kind}"): each for each in found.all()}


def boxes(tab) -> dict[str, tuple[float, float]]:
    """Title -> width and height of the figures in CSS pixels, as they are on the screen."""
    return tab.evaluate(
        """() => {
          const found = {}, seen = new Set()
          const visit = (view) => {
            if (!view || seen.has(view)) return
            seen.add(view)
            if (view.canvas_view && view.el.getClientRects().length)
              found[view.model.title.text] = [view.el.clientWidth, view.el.clientHeight]
            for (const some of [view.child_views, view._child_views?.values?.()]) [...(some ?? [])].forEach(visit)
          }
          Bokeh.index.roots.forEach(visit)
          return found
        }"""
    )


SCORED = re.compile("32 held-out trials")


def test_every_figure_of_explore_is_saved_as_a_picture_of_its_size(page, server):
    dialog = opened(page, server[0] + "?trial=5", SCORED)
    sizes = boxes(page)
    buttons = file_buttons(dialog, "PNG")
    assert set(buttons) == set(sizes) and len(sizes) >= 6
    for title, button in buttons.items():
        name, content = saved(page, button)
        image = Image.open(io.BytesIO(content))
        width, height = sizes[title]
        assert abs(image.width - 2 * width) <= 2 and abs(image.height - 2 * height) <= 2  # two pixels per CSS pixel
        assert name.endswith(".png") and np.asarray(image.convert("L")).std() > 2  # not empty
        assert image.text["Title"] == title and "simulated-1" in image.text["Description"]
        assert image.text["Source"] == page.url


def test_every_figure_of_explore_is_saved_as_a_drawing_with_its_labels(page, server):
    dialog = opened(page, server[0] + "?trial=5", SCORED)
    labels = {"Recorded spikes": ("time from stimulus (s)", "neurons"), "Bits per spike of what is hidden": ("region",)}
    for title, button in file_buttons(dialog, "SVG").items():
        name, content = saved(page, button)
        root = ElementTree.fromstring(content)  # noqa: S314 (our own file)
        assert root.tag == f"{SVG}svg" and root.find(f"{SVG}title").text == title
        assert page.url in root.find(f"{SVG}desc").text and name.endswith(".svg")
        words = [each.text for each in root.iter(f"{SVG}text")]
        assert len(words) > 3
        assert set(labels.get(title, ())) <= set(words)


@pytest.mark.parametrize(
    ("address", "text", "least"),
    [("?page=neuron", "scored bins", 6), ("?page=translate", "which training has never touched", 3)],
)
def test_every_figure_of_other_pages_is_offered_and_can_be_saved(page, server, address, text, least):
    """The first and the last: after some thirty files a browser that nobody watches saves no more."""
    dialog = opened(page, server[0] + address, re.compile(text))
    for kind in ("PNG", "SVG"):
        buttons = list(file_buttons(dialog, kind).values())
        assert len(buttons) >= least
        assert all(len(saved(page, button)[1]) > 1000 for button in (buttons[0], buttons[-1]))


def test_a_table_is_saved_as_it_is_on_the_screen(page, server):
    dialog = opened(page, server[0], SCORED)
    (title,) = [title for title in file_buttons(dialog, "CSV") if title.startswith("By region")]
    name, content = saved(page, file_buttons(dialog, "CSV")[title])
    table = pd.read_csv(io.BytesIO(content))
    assert name.endswith(".csv") and list(table.columns)[:3] == ["Region", "Mean", "Median"]
    on_screen = page.locator("table").last.locator("tbody tr").first.locator("td").all_inner_texts()
    assert [str(table.iloc[0]["Region"]), f"{table.iloc[0]['Mean']:.2f}"] == on_screen[:2]
    assert table.notna().all().all()


def test_the_script_and_the_link_are_copied_and_the_notebook_is_saved(page, server):
    dialog = opened(page, server[0] + "?neuron=5&scheme=hand&neurons=5", SCORED)
    code = dialog.get_by_role("textbox", name="Python script")
    expect(code).to_have_value(re.compile(r'open_model\("simulated-mtm"\)'))
    dialog.get_by_role("button", name="Copy as Python").click()
    expect(dialog.get_by_role("status")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == code.input_value()
    dialog.get_by_role("button", name="Copy link").click()
    expect(dialog.get_by_role("status")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    name, content = saved(page, dialog.get_by_role("button", name="Download notebook"))
    cells = json.loads(content)["cells"]
    assert name == "mtm-explore-simulated-1.ipynb" and "".join(cells[1]["source"]) == code.input_value().rstrip("\n")
    assert f"<{page.url}>" in "".join(cells[0]["source"])
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_the_dialog_opens_on_other_pages_and_says_where_there_is_no_script(page, server):
    page.goto(server[0])
    expect(page.get_by_text("Try it:")).to_be_visible(timeout=LONG)
    button = page.get_by_role("button", name="Take home", exact=True)
    dialog = page.get_by_role("dialog", name="Take home")
    for each in (*PAGES[1::4], PAGES[-1]):
        link = page.get_by_role("navigation", name="Pages").get_by_role("link", name=each.title, exact=True)
        link.click()
        expect(link).to_have_attribute("aria-current", "page", timeout=LONG)
        button.click()
        expect(dialog).to_contain_text(re.compile(f"{each.title}: recording"))
        if each.name in SCRIPTS:
            expect(dialog.get_by_role("button", name="Copy as Python")).to_be_enabled()
        else:
            expect(dialog.get_by_text(NONE)).to_be_visible()
        dialog.get_by_role("button", name="Close").click()
        expect(dialog).to_be_hidden()


@pytest.mark.parametrize(
    "query", ["?session=../../etc/passwd", "?neurons=9-1-4&scheme=<img src=x>", "?page=admin", "?trial=7&boxes=rate.9"]
)
def test_a_tampered_link_opens_the_rest_of_it_with_a_notice(page, server, query):
    page.goto(server[0] + query)
    expect(page.get_by_role("alert")).to_contain_text("Part of the link could not be read", timeout=LONG)
    expect(page.get_by_text(SCORED).first).to_be_visible(timeout=LONG)
    assert "passwd" not in page.url and "img" not in page.url

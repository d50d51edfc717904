"""Adding a recording of one's own, in a real browser against a real server."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browsing import PATIENCE, problems, serve
from import_folders import N_UNITS, npz, phy

sync_api = pytest.importorskip("playwright.sync_api", reason='pip install -e ".[test]" for playwright')
expect = sync_api.expect

LONG = 120_000  # ms
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(chromium_path, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("server")
    names = ("MTM_CACHE_DIR", "MTM_CHECKPOINTS", "MTM_ALLOW_IMPORT", "BOKEH_ALLOW_WS_ORIGIN", "MTM_CLASS")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= {"MTM_IMPORTS": str(folder / "kept"), "MTM_RUNS": str(folder / "runs")}
    command = [sys.executable, "-m", "panel", "serve", "app/", "--address", "localhost"]
    yield from serve(command, environment, folder / "log")


@pytest.fixture
def page(browser, server):
    """An empty tab; fails afterwards if the server or the browser reported an error, or asked another host."""
    expect.set_options(timeout=LONG)
    context = browser.new_context(viewport={"width": 1440, "height": 1300})
    tab, errors, outside = context.new_page(), [], []
    ours = (server[0][: -len("/app")], "data:", "blob:")
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("request", lambda request: None if request.url.startswith(ours) else outside.append(request.url))
    tab.set_default_timeout(PATIENCE * 2)
    yield tab
    context.close()
    expect.set_options(timeout=5_000)  # as it was
    assert not errors and not outside
    assert problems(server[1].read_text()) == []


def look(tab, folder: Path) -> None:
    field = tab.get_by_label("Folder (or .nwb, .npz, .h5 file) on this computer")
    field.fill(str(folder))
    tab.get_by_role("button", name="Look at it").click()


def opener(tab, animal: str):
    return tab.get_by_role("button", name=re.compile(f"^Open {re.escape(animal)}, .*, in Explore$"))


def test_a_recording_is_looked_at_kept_opened_and_removed(page, server, tmp_path):
    names = np.array(["CA1", "CA1", "DG", "<img src=x onerror=window.__x=1>", "PO", "LP"])
    folder = npz(tmp_path / "my mouse", unit_regions=names)
    page.goto(server[0] + "?page=recordings")
    look(page, folder)
    expect(page.get_by_text("This recording can be kept.")).to_be_visible()
    expect(page.get_by_text(re.compile(f"{N_UNITS}; 4 called good"))).to_be_visible()
    page.get_by_label("Only units called good").check()
    expect(page.get_by_text("4; 4 called good by the source")).to_be_visible()
    page.get_by_label("Name of the animal").fill("Ada & co")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Keep this recording").click()
    expect(page.get_by_text("Kept as ada-co-")).to_be_visible()
    expect(opener(page, "Ada ＆ co")).to_be_visible()
    page.get_by_role("searchbox", name="Search").fill("ada dg")
    expect(page.get_by_text("1 of 5 recordings")).to_be_visible()
    opener(page, "Ada ＆ co").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "page=recordings" not in url and "session=ada-co-" in url)
    expect(page.get_by_text("This model has not been trained on this recording")).to_be_visible()
    assert page.evaluate("window.__x") is None
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Recordings", exact=True).click()
    remove = page.get_by_role("button", name=re.compile("^Remove ada-co-"))
    remove.click()
    remove.click()
    expect(opener(page, "Ada ＆ co")).to_have_count(0)
    page.wait_for_url(lambda url: "session=ada" not in url)
    assert (folder / "session.npz").is_file()


def test_a_truncated_file_is_one_sentence_and_the_app_goes_on(page, server, tmp_path):
    folder = phy(tmp_path / "mine")
    whole = (folder / "spike_times.npy").read_bytes()
    (folder / "spike_times.npy").write_bytes(whole[: len(whole) // 2])
    page.goto(server[0] + "?page=recordings")
    look(page, folder)
    expect(
        page.get_by_text(re.compile("^This recording cannot be kept as it is: spike_times.npy announces"))
    ).to_be_visible()
    expect(page.get_by_role("button", name="Keep this recording")).to_be_disabled()
    assert page.get_by_text("Traceback").count() == 0
    look(page, tmp_path / "nothing")
    expect(page.get_by_text(re.compile("nothing: there is no such folder"))).to_be_visible()
    (folder / "spike_times.npy").write_bytes(whole)
    look(page, folder)
    expect(page.get_by_text("This recording can be kept.")).to_be_visible()
    opener(page, "sim-B").click()
    page.wait_for_url(lambda url: "session=simulated-2" in url)
    expect(page.get_by_text("Try it:")).to_be_visible()


def test_the_page_fits_a_phone_and_sorts_by_keyboard(page, server):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(server[0] + "?page=recordings")
    head = page.get_by_role("button", name="Units", exact=True)
    head.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("columnheader", name="Units")).to_have_attribute("aria-sort", "ascending")
    assert page.get_by_role("rowheader").all_inner_texts()[:4] == ["sim-B", "sim-D", "sim-A", "sim-C"]
    page.wait_for_timeout(1000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for label in ("From a folder", "BrainWideBench", "IBL through ONE"):
        place = page.get_by_role("button", name=label, exact=True).bounding_box()
        assert place["x"] >= 0 and place["x"] + place["width"] <= 390

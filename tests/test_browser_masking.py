"""The page "Masking" in a real browser: the steps with mouse and keyboard, the schemes, the jobs, and a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from browsing import PATIENCE, PATIENT, serve_bundled, watched

sync_api = pytest.importorskip("playwright.sync_api", reason='pip install -e ".[test]" for playwright')
expect = sync_api.expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(chromium_path, untrained_model, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """Address and log file of `panel serve app/` with a small model that has learned nothing."""
    yield from serve_bundled(tmp_path_factory.mktemp("server"), *PATIENT, MTM_CHECKPOINTS=str(untrained_model.parent))


@pytest.fixture
def page(browser, server):
    with (
        closing(browser.new_context(viewport={"width": 1440, "height": 900})) as context,
        watched(context, server, 2 * PATIENCE, console=True) as tab,
    ):
        yield tab


def says(tab, text: str) -> None:
    expect(tab.locator(".masking-facts p[role=status]")).to_contain_text(re.compile(text), timeout=2 * PATIENCE)


def opened(tab, server, more: str = "") -> None:
    tab.goto(f"{server[0]}?page=masking&model=untrained{more}")
    says(tab, r"\d")


def test_a_class_walks_from_the_spikes_to_the_sample_and_asks_another_question(page, server):
    opened(page, server)
    expected = (
        *("spikes in all", "hidden and scored", "the model sees", "102 tokens of 64 numbers"),
        *("Layer 1, head 1", "the model expects", "Drawn "),
    )
    for i, text in enumerate(expected):
        says(page, text)
        current = page.locator("button[aria-current=step]")
        expect(current).to_contain_text(re.compile(f"^{i + 1} "))
        page.get_by_role("button", name="Next" if i < 6 else "Start again", exact=True).click()
    says(page, "spikes in all")
    page.get_by_role("button", name="2 Mask M").click()
    page.get_by_role("button", name="Random time bins").click()
    says(page, r"Hidden: \d+ of 100 bins of all neurons")
    expect(page.get_by_role("button", name="Random time bins")).to_have_attribute("aria-pressed", "true")
    page.wait_for_url(re.compile("scheme=temporal"))


def test_the_keyboard_reaches_steps_schemes_and_heads(page, server):
    opened(page, server)
    page.get_by_role("button", name="5 Attention").focus()
    page.keyboard.press("Enter")
    says(page, "Layer 1, head 1.*later bins")
    page.get_by_role("slider", name="Head").focus()
    page.keyboard.press("ArrowRight")
    says(page, "Layer 1, head 2")
    page.wait_for_url(re.compile(r"chain=5\.1\.2\.0"))
    page.get_by_role("button", name="Time, from the past only (causal)").focus()
    page.keyboard.press("Space")
    says(page, "exactly 0% to later bins")


def test_prompts_and_ratios_are_scored_on_request(page, server):
    opened(page, server, "&scheme=neuron")
    page.get_by_role("button", name="Compare the prompts").click()
    compared = page.locator(".masking-prompts p[role=status]")
    expect(compared).to_contain_text("Compared with the prompt in use (neuron)", timeout=2 * PATIENCE)
    expect(page.locator("td", has_text="no prompt (blank)")).to_be_visible()
    start = page.get_by_role("button", name="Score all ratios")
    expect(start).to_be_enabled(timeout=2 * PATIENCE)
    start.click()
    scored = page.locator(".masking-ratios p[role=status]")
    expect(scored).to_contain_text(re.compile(r"^“Neurons .*At 30 %: .* bits per spike"), timeout=4 * PATIENCE)


def test_a_phone_shows_every_step_in_its_width(page, server):
    page.set_viewport_size({"width": 390, "height": 844})
    for step in (3, 4, 5):
        opened(page, server, f"&chain={step}.1.1.0")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390

"""Hostile names, hostile addresses and the desktop's key, in a real browser against a real server."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import PATIENCE, ROOT, problems, serve
from class_server import served
from hostile_server import PAYLOADS

from mtm_core.paths import assets_dir
from mtm_core.serve import Audience, a_class, desktop

sync_api = pytest.importorskip("playwright.sync_api", reason='pip install -e ".[test]" for playwright')
expect = sync_api.expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]
# What the browser itself reports, and what an attack would leave behind.
WATCH = """
window.__violations = []
document.addEventListener("securitypolicyviolation", (e) => {
  window.__violations.push(e.violatedDirective + " " + e.blockedURI)
})
"""
GO = "(query) => { history.pushState({}, '', location.pathname + query); dispatchEvent(new PopStateEvent('popstate')) }"
FIELDS = ("session", "model", "region", "regions", "page", "neurons", "translator", "bokeh-theme")
# Whether anything on the page, also inside components, is an element that only an attack would make.
MADE = """() => {
  const found = []
  const walk = (root) => { for (const e of root.querySelectorAll("*")) {
    if (e.tagName === "IMG" && e.getAttribute("src") === "x") found.push(e.outerHTML)
    for (const a of e.attributes) if (a.name.startsWith("on") && a.value.includes("__x")) found.push(e.outerHTML)
    if (e.tagName === "A" && /^javascript:/i.test(e.getAttribute("href") || "")) found.push(e.outerHTML)
    if (e.shadowRoot) walk(e.shadowRoot) } }
  walk(document)
  return found
}"""


@pytest.fixture(scope="module")
def hostile(chromium_path, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """A server whose recordings, models and runs have hostile names."""
    folder = tmp_path_factory.mktemp("hostile")
    evil = folder / "models" / "<img src=x onerror=window.__x=1>"
    shutil.copytree(assets_dir() / "checkpoints" / "simulated-mtm", evil)
    for file in evil.glob("*.json"):
        manifest = json.loads(file.read_text())
        file.write_text(json.dumps({**manifest, "label": PAYLOADS[2]}))
    environment = {**os.environ, "MTM_CHECKPOINTS": str(folder / "models"), "BOKEH_VALIDATE_DOC": "no"}
    environment.pop("MTM_CACHE_DIR", None)
    yield from serve(
        [sys.executable, str(ROOT / "tests" / "hostile_server.py"), "serve", "app/"], environment, folder / "log"
    )


@pytest.fixture
def page(browser):
    """An empty tab that reaches nothing but this machine, and reports what its policy stopped."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    outside: list[str] = []

    def gate(route) -> None:
        if urllib.parse.urlsplit(route.request.url).hostname in ("127.0.0.1", "localhost"):
            route.continue_()
        else:
            outside.append(route.request.url)
            route.abort()

    context.route(re.compile("^https?:"), gate)
    tab = context.new_page()
    tab.add_init_script(WATCH)
    tab.set_default_timeout(PATIENCE * 2)
    tab.outside = outside
    yield tab
    context.close()


def unharmed(tab) -> None:
    assert tab.evaluate("window.__x") is None
    assert tab.evaluate(MADE) == []


def names_of_pages(tab) -> list[str]:
    expect(tab.locator("nav a").first).to_be_visible(timeout=PATIENCE * 2)
    return tab.locator("nav a").all_inner_texts()


def test_hostile_names_stay_text_on_every_page(page, hostile):
    page.goto(f"{hostile[0]}?model={urllib.parse.quote('simulated-mtm')}")
    titles = names_of_pages(page)
    expect(page.get_by_text(re.compile("neurons × "))).to_be_visible(timeout=PATIENCE * 2)
    expect(page.get_by_text("‹").first).to_be_visible()  # a hostile name is on the screen, as text
    for title in titles:
        page.get_by_role("navigation", name="Pages").get_by_role("link", name=title, exact=True).click()
        expect(page.locator("nav a[aria-current=page]")).to_have_text(title, timeout=PATIENCE * 2)
        page.wait_for_timeout(2500)
        unharmed(page)
    assert page.evaluate("window.__violations") == [] and page.outside == []
    assert not [line for line in problems(hostile[1].read_text()) if "ValueError" not in line]


def test_hostile_addresses_stay_text(page, hostile):
    first = urllib.parse.urlencode({name: PAYLOADS[2] for name in FIELDS})
    page.goto(f"{hostile[0]}?{first}#{PAYLOADS[0]}")
    names_of_pages(page)
    expect(page.get_by_text("Part of the link could not be read")).to_be_visible(timeout=PATIENCE)
    for i, payload in enumerate(PAYLOADS):
        page.evaluate(GO, "?" + urllib.parse.urlencode({FIELDS[i % len(FIELDS)]: payload, "regions": payload}))
        page.wait_for_timeout(150)
    page.wait_for_timeout(2500)
    unharmed(page)
    assert page.evaluate("window.__violations") == [] and page.outside == []


def test_the_policy_stops_what_would_slip_through(page, hostile):
    """Markup that runs script is put into the page by hand: the browser must not run it."""
    page.goto(hostile[0])
    names_of_pages(page)
    page.evaluate("""() => {
        const box = document.createElement("div")
        box.innerHTML = "<img src=x onerror='window.__x=1'><svg onload='window.__x=1'></svg>"
        document.body.append(box)
        const script = document.createElement("script")
        script.textContent = "window.__x=1"
        document.body.append(script)
        const far = document.createElement("script")
        far.src = "https://evil.test/x.js"
        document.body.append(far)
    }""")
    page.wait_for_timeout(1000)
    assert page.evaluate("window.__x") is None and page.outside == []
    assert any(each.startswith("script-src") for each in page.evaluate("window.__violations"))


# --- a class that is full ---------------------------------------------------------------------------------------------


def test_the_line_opens_by_itself_when_somebody_leaves(browser, page, tmp_path):
    with served(tmp_path, a_class(1)) as site:
        first = browser.new_context().new_page()
        first.goto(f"{site.app}?trial=7")
        names_of_pages(first)
        assert "Train" not in names_of_pages(first)
        page.goto(f"{site.app}?trial=9")
        expect(page.get_by_role("heading")).to_have_text("The class is full")
        expect(page.get_by_text("position 1 in line")).to_be_visible()
        first.context.close()
        names_of_pages(page)
        assert page.url.endswith("?trial=9")


# --- a desktop --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Iterator[tuple[str, Audience]]:
    audience = desktop()
    with served(tmp_path_factory.mktemp("desktop"), audience) as site:
        yield site.address, audience


def test_a_desktop_opens_once_and_then_only_in_that_browser(browser, page, own):
    address, audience = own
    for path in ("/app", "/", "/static/js/bokeh.min.js", "/health", "/app?key=wrong", "/app?key="):
        assert page.request.get(address + path, max_redirects=0).status == 403
    page.goto(f"{address}/app?key={audience.key}")
    assert "Explore" in names_of_pages(page) and "key" not in page.url
    page.reload()
    names_of_pages(page)
    cookie = next(each for each in page.context.cookies() if each["name"].startswith("mtm_"))
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and audience.key not in cookie["value"]
    other = browser.new_context().new_page()
    assert other.goto(f"{address}/app?key={audience.key}").status == 403
    expect(other.get_by_role("heading")).to_have_text("Not opened")
    other.context.close()

"""The window of `mtm app --desktop`: its own where pywebview is installed, and never for another address."""

from __future__ import annotations

import sys
import types

import pytest

from mtm_core import desktop, serve


def test_a_window_of_its_own_is_shown_where_pywebview_is_installed(monkeypatch):
    calls = []
    webview = types.ModuleType("webview")
    webview.create_window = lambda title, url, **size: calls.append((title, url, size))
    webview.start = lambda: calls.append("until it is closed")
    monkeypatch.setitem(sys.modules, "webview", webview)
    assert desktop.show_window("http://127.0.0.1:1/app?key=k")
    assert calls == [
        ("MtM Explorer", "http://127.0.0.1:1/app?key=k", {"width": 1440, "height": 900}),
        "until it is closed",
    ]


def test_without_pywebview_the_browser_shows_it(monkeypatch):
    shown = []
    monkeypatch.setitem(sys.modules, "webview", None)
    monkeypatch.setattr(desktop.webbrowser, "open", shown.append)
    assert not desktop.show_window("http://127.0.0.1:1/app")
    assert shown == ["http://127.0.0.1:1/app"]


@pytest.mark.parametrize("address", ["192.168.0.7", "lab.example", "0.0.0.0"])
def test_a_desktop_is_not_served_to_other_machines(address):
    with pytest.raises(ValueError, match="address"):
        serve.serve_command(address=address, audience=serve.desktop())


def test_the_key_is_new_every_time_and_not_on_the_command_line():
    first, second = serve.desktop(), serve.desktop()
    assert first.key != second.key
    assert not any(first.key in word for word in serve.serve_command(audience=first))
    assert serve.serve_environment(audience=first)["MTM_KEY"] == first.key
    assert "--show" not in serve.serve_command(show=True, audience=first)


def test_only_the_names_of_this_machine_open_a_local_app():
    assert serve.allowed_hosts(5006) == ["127.0.0.1:5006", "localhost:5006"]
    assert serve.allowed_hosts(80, "lab.example") == ["lab.example:80", "lab.example"]
    assert serve.allowed_hosts(5006, "::1") == ["[::1]:5006"]

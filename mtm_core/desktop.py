"""A window of its own for the app where pywebview is installed, otherwise the browser."""

from __future__ import annotations

import importlib
import webbrowser

TITLE = "MtM Explorer"
SIZE = (1440, 900)  # CSS pixels


def show_window(url: str) -> bool:
    """Show url. True if it had a window of its own, which is closed now; False if a browser shows it."""
    try:
        webview = importlib.import_module("webview")  # pip install pywebview; not needed
    except ImportError:
        webbrowser.open(url)
        return False
    webview.create_window(TITLE, url, width=SIZE[0], height=SIZE[1])
    webview.start()  # in the main thread, until the window is closed; keeps cookies for itself and forgets them
    return True

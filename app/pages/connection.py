"""What a page says when it has lost its server: until then every click would go nowhere without a word."""

from __future__ import annotations

from panel.custom import JSComponent


class Connection(JSComponent):
    """Nothing while the page is connected; afterwards a line with a way back to the same choices.

    A page does not connect again by itself: meanwhile the server may have sent what it missed.
    """

    _esm = """
    const TEXT = "The connection to the server is lost. What you chose is kept in the address of this page."
    // Above the cover that the template lays over a page which is still loading.
    const PLACE = `position: fixed; left: 50%; bottom: 24px; transform: translateX(-50%); z-index: 10000;
      display: flex; gap: 16px; align-items: center; width: max-content; max-width: calc(100vw - 64px);
      padding: 12px 16px; border-radius: 8px; background: #7a1f1f; color: #ffffff;
      font: 15px/1.4 Roboto, sans-serif; box-shadow: 0 4px 16px rgba(0, 0, 0, .4)`
    const BUTTON = `flex: none; padding: 8px 14px; border: 1px solid #ffffff; border-radius: 6px; background: none;
      color: inherit; font: inherit; font-weight: 600; cursor: pointer`

    function tell() {
      const line = document.createElement("div")
      line.setAttribute("role", "alert")
      line.style.cssText = PLACE
      const again = document.createElement("button")
      again.textContent = "Open it again"
      again.style.cssText = BUTTON
      again.addEventListener("click", () => window.location.reload())
      line.append(TEXT, again)
      document.body.append(line)
    }

    export function render({ view }) {
      view.model.document.on_event("connection_lost", tell)
      // A browser that goes back can show a page as it was, without its connection.
      window.addEventListener("pageshow", (event) => event.persisted && window.location.reload())
      return document.createElement("span")
    }
    """

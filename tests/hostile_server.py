"""`panel serve app/` where every name that can come from a file is an attack: `python hostile_server.py ARGUMENTS`.

Each payload would set `window.__x` if a page ever took it for markup or script.
"""

from __future__ import annotations

import dataclasses
import sys

PAYLOADS = (
    "<script>window.__x=1</script>",
    "<ScRiPt>window.__x=1</sCrIpT>",
    "<img src=x onerror=window.__x=1>",
    "<img/src=x/onerror=window.__x=1>",
    '"><img src=x onerror=window.__x=1>',
    "'><svg onload=window.__x=1>",
    "<svg/onload=window.__x=1>",
    "<svg><script>window.__x=1</script>",
    "<body onload=window.__x=1>",
    "<iframe srcdoc='<script>parent.__x=1</script>'>",
    "<iframe src=javascript:parent.__x=1>",
    "<details open ontoggle=window.__x=1>",
    "<video><source onerror=window.__x=1>",
    "<input autofocus onfocus=window.__x=1>",
    "<a href=javascript:window.__x=1>x</a>",
    "[x](javascript:window.__x=1)",
    "![x](x' onerror='window.__x=1)",
    "javascript:window.__x=1",
    "</script><script>window.__x=1</script>",
    "</style><script>window.__x=1</script>",
    "<!--><script>window.__x=1</script>",
    "<math><mi xlink:href=javascript:window.__x=1>",
    "{{constructor.constructor('window.__x=1')()}}",
    "${window.__x=1}",
    "<%= window.__x=1 %>",
    "@{window.__x=1}",
    "$$\\href{javascript:window.__x=1}{x}$$",
    "`${window.__x=1}`",
    "';window.__x=1;//",
    '";window.__x=1;//',
    "<template><img src=x onerror=window.__x=1></template>",
    "&lt;img src=x onerror=window.__x=1&gt;",
    "\u202e<img src=x onerror=window.__x=1>",
    "=HYPERLINK(window.__x=1)",
)


def poison() -> None:
    """Names of animals, labs and regions of the simulated recordings become payloads; the spikes stay."""
    from mtm_core.data import catalogue, simulate

    honest, honest_row = simulate.simulated_session, catalogue._simulated_row

    def session(name: str):
        opened = honest(name)
        regions = [PAYLOADS[i % len(PAYLOADS)] for i in range(len(opened.units))]
        return dataclasses.replace(opened, subject=PAYLOADS[2], units=opened.units.assign(region=regions))

    def row(name: str) -> dict:
        which = simulate.SIMULATED_IDS.index(name)
        attack = {"subject": PAYLOADS[which], "lab": PAYLOADS[which + 4], "regions": PAYLOADS}
        return {**honest_row(name), **attack, "problem": "" if which < 2 else PAYLOADS[which + 8]}

    simulate.simulated_session, catalogue._simulated_row = session, row


if __name__ == "__main__":
    poison()
    from panel.command import main

    sys.argv = ["panel", *sys.argv[1:]]
    main()

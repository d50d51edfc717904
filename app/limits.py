"""What the app refuses to do where it serves a class; settings of the server, not of a visitor."""

from __future__ import annotations

import os

CLASS = os.environ.get("MTM_CLASS", "") == "1"  # read-only: nothing is trained, imported or fetched for a visitor

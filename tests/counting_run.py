"""Stands in for `python -m mtm_core.runs`: the same process, but its command counts steps instead of training.

It keeps the promises of the real commands: SIGINT ends it after the present step with checkpoint and resume state, the
same command goes on, and the resume state disappears only after the checkpoint is written.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from mtm_core.atomic import write_json
from mtm_core.runs import __main__ as process

STEP_S = 0.02


def count(arguments: list[str]) -> int:
    out, n_steps = Path(arguments[arguments.index("--out") + 1]), int(arguments[arguments.index("--steps") + 1])
    if n_steps == 13:
        print("mtm: thirteen steps are too many", file=sys.stderr)
        return 1
    if n_steps == 14:
        raise ZeroDivisionError("of a defect")
    pressed = []
    signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    saved = out / "resume.json"
    step = json.loads(saved.read_text())["step"] if saved.exists() else 0
    with (out / "progress.jsonl").open("a") as file:
        while step < n_steps and not pressed:
            time.sleep(STEP_S)
            step += 1
            write_json(saved, {"step": step})
            score = {"neuron": 0.01 * step, "mean": 0.01 * step}
            line = {"step": step, "progress": step / n_steps, "seconds_left": 1.0, "elapsed": STEP_S * step}
            line |= {"loss": 1 / step, "validation": score if step % 5 == 0 else None, "is_best": step % 5 == 0}
            file.write(json.dumps(line) + "\n")
            file.flush()
    write_json(out / "checkpoint.json", {"step": step, "nice": os.nice(0), "pid": os.getpid()})
    if not pressed:
        saved.unlink()
    return 0


if __name__ == "__main__":
    process.mtm = count
    sys.exit(process.main(Path(sys.argv[1])))

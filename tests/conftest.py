"""Fixtures and settings that several test modules share."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from pathlib import Path

import jaxtyping
import numpy as np
import pandas as pd
import pytest
from browsing import FLAGS
from hypothesis import settings
from iblutil.io import parquet
from jaxtyping import install_import_hook

# Before anything imports mtm_core: array annotations are checked in tests, and only there.
install_import_hook("mtm_core", "checking.checked")

# A developer's own training runs and imported recordings are none of the tests' business.
os.environ["MTM_RUNS"] = tempfile.mkdtemp(prefix="mtm-runs-")
os.environ["MTM_IMPORTS"] = tempfile.mkdtemp(prefix="mtm-imports-")

# The same examples in every run of .ci/run, and no time limit per example: its machines are shared.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """A Chromium for Playwright's executable_path; the test is skipped where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("no Chromium on the PATH: apt-get install chromium")


@pytest.fixture(scope="module")
def browser(chromium_path):
    sync_api = pytest.importorskip("playwright.sync_api", reason='pip install -e ".[test]" for playwright')
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path, args=FLAGS.split())
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def recordings_dir() -> Path:
    """A ONE cache with real recordings; the test is skipped where there is none."""
    default = Path(__file__).resolve().parents[1] / "../shared/recordings"
    folder = Path(os.environ.get("MTM_RECORDINGS") or default).resolve()
    if not (folder / "windows.csv").is_file():
        pytest.skip("no real recordings: set MTM_RECORDINGS to a ONE cache with a windows.csv")
    return folder


QC_LEVELS = pd.CategoricalDtype(["NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL"], ordered=True)


class AlfCache:
    """A small ONE cache in a folder: write files of sessions, then its tables with `finish`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sessions: list[dict] = []
        self.datasets: list[dict] = []

    def add_session(self, files: dict, number: int = 1, default: frozenset[str] | None = None) -> str:
        """Write {path: array, table or text}; paths in `default` (None: all) are the default revisions."""
        rng = np.random.default_rng(number)
        eid = str(uuid.UUID(bytes=rng.bytes(16), version=4))
        lab, subject, date = "lab", "mouse", pd.Timestamp("2024-05-01").date()
        root = self.folder / lab / "Subjects" / subject / str(date) / f"{number:03d}"
        for path, content in files.items():
            self._write(root / path, content)
            self.datasets.append(
                {
                    "eid": eid,
                    "id": str(uuid.UUID(bytes=rng.bytes(16), version=4)),
                    "rel_path": path,
                    "file_size": (root / path).stat().st_size,
                    "hash": None,
                    "exists": True,
                    "qc": "NOT_SET",
                    "default_revision": default is None or path in default,
                }
            )
        self.sessions.append(
            {"id": eid, "lab": lab, "subject": subject, "date": date, "number": number}
            | {"task_protocol": "task", "projects": "project"}
        )
        return eid

    def finish(self) -> Path:
        sessions = pd.DataFrame(self.sessions).astype({"number": "uint16"}).set_index("id")
        datasets = pd.DataFrame(self.datasets).astype({"file_size": "UInt64", "qc": QC_LEVELS})
        # ONE takes a table only with its metadata.
        meta = {"date_created": "2024-06-01 00:00", "origin": "test", "min_api_version": "3.0.0"}
        parquet.save(self.folder / "sessions.pqt", sessions, meta)
        parquet.save(self.folder / "datasets.pqt", datasets.set_index(["eid", "id"]), meta)
        return self.folder

    @staticmethod
    def _write(path: Path, content: np.ndarray | pd.DataFrame | str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pd.DataFrame):
            content.to_parquet(path)
        elif isinstance(content, str):
            path.write_text(content)
        else:
            np.save(path, content)

    @staticmethod
    def probe_files(name: str = "probe00", sorter: str = "pykilosort", seed: int = 0, n_units: int = 3) -> dict:
        """A sound probe: 50 spikes in 0..60 s of neurons in CA1, VISp (left hemisphere) and root."""
        rng, at = np.random.default_rng(seed), f"alf/{name}/{sorter}"
        names = "\n".join(str(uuid.UUID(bytes=rng.bytes(16), version=4)) for _ in range(n_units))
        return {
            f"{at}/spikes.times.npy": np.sort(rng.uniform(0, 60, 50)),
            f"{at}/spikes.clusters.npy": rng.integers(0, n_units, 50).astype(np.int32),
            f"{at}/clusters.channels.npy": np.arange(n_units)[::-1].astype(np.int32),
            f"{at}/clusters.depths.npy": np.arange(n_units, dtype=np.float32) * 100,
            f"{at}/clusters.uuids.csv": f"uuids\n{names}\n",
            f"{at}/clusters.metrics.pqt": pd.DataFrame({"cluster_id": np.arange(n_units), "label": 1.0}),
            f"{at}/channels.brainLocationIds_ccf_2017.npy": np.resize([997, -385, 382], n_units),
        }

    @staticmethod
    def trial_files(n_trials: int = 5) -> dict:
        table = pd.DataFrame({"stimOn_times": 5.0 + 10 * np.arange(n_trials), "choice": 1.0})
        return {"alf/_ibl_trials.table.pqt": table}


@pytest.fixture
def alf_cache(tmp_path) -> AlfCache:
    """An empty ONE cache to be filled."""
    return AlfCache(tmp_path)


@pytest.fixture(scope="session")
def untrained_model(tmp_path_factory) -> Path:
    """The folder of a checkpoint named "untrained" that knows simulated-1 and has learned nothing yet."""
    from mtm_core.checkpoint import save_checkpoint
    from mtm_core.data.catalogue import open_session
    from mtm_core.masking import MTM_SCHEMES
    from mtm_core.models.mtm import MtMConfig
    from mtm_core.session import identity
    from mtm_core.training.build import build_model

    trials = open_session("simulated-1").align()
    folder = tmp_path_factory.mktemp("checkpoints") / "untrained"
    facts = {"data": [identity(trials)], "schemes": [scheme.label for scheme in MTM_SCHEMES]}
    save_checkpoint(folder, build_model(MtMConfig(width=64, n_layers=1), [trials]).eval(), facts)
    return folder


@pytest.fixture
def unchecked():
    """Array annotations are not checked, as for a user: the library's own refusals of wrong shapes show."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)

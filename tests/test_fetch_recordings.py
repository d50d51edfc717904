"""Downloads from a server that fails in every way, and sessions through a ONE that is not the real one."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from import_folders import N_SPIKES, bench

from mtm_core.data.importing import Account, Cancelled, bench_url, check, download, fetch_session, inspect, prepare
from mtm_core.data.importing.fetch import CHUNK, FetchError, Limits
from mtm_core.data.importing.one_session import Probes, one_cache
from mtm_core.data.importing.one_worker import wanted

SESSION = "0802ced5-33a3-405e-8336-b65ebc5cb07c"
PATH = f"/brainsets/selected_units/set/eval/{SESSION}.h5"
DATA = np.random.default_rng(0).bytes(900_000)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MTM_IMPORTS", str(tmp_path / "kept"))


class Faulty(BaseHTTPRequestHandler):
    """Serves `server.data` with ranges; the faults of `server.faults` are used up one per request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range", "")
        server.asked.append(asked)
        fault = server.faults.pop(0) if server.faults else ""
        if fault.isdigit():
            self.send_response(int(fault))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int(asked[6:-1]) if asked and self.headers.get("If-Range") == server.tag and fault != "whole" else 0
        body = server.data[start:]
        self.send_response(206 if start else 200)
        if start:
            first = start + (1 if fault == "elsewhere" else 0)
            self.send_header("Content-Range", f"bytes {first}-{len(server.data) - 1}/{len(server.data)}")
        if fault != "no length":
            self.send_header("Content-Length", str(len(body) + (50 if fault == "too short" else 0)))
        self.send_header("ETag", server.tag)
        self.end_headers()
        self._send(body, fault)

    def _send(self, body: bytes, fault: str) -> None:
        cut = fault in ("drop", "stall")
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.wfile.flush()
        if fault == "stall":
            self.server.released.wait(10)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    made.data, made.tag, made.faults, made.asked, made.released = DATA, '"v1"', [], [], threading.Event()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.released.set()
    made.shutdown()
    made.server_close()
    thread.join()


def fetch(server, folder: Path, tell=lambda share, what: None) -> Path:
    root = f"http://127.0.0.1:{server.server_address[1]}"
    limits = Limits(attempts=3, connect_s=2.0, stall_s=0.5, hosts=frozenset({root}))
    return download(root + PATH, tell, folder, limits)


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix == ".h5")


@pytest.mark.parametrize(
    "faults", [[], ["drop"], ["drop", "drop", "drop", "drop"], ["stall"], ["500", "503"], ["too short"]]
)
def test_a_file_arrives_whole_in_spite_of_faults(faults, server, tmp_path):
    server.faults = list(faults)
    path = fetch(server, tmp_path)
    assert path.read_bytes() == DATA and path.name == f"selected_units-{SESSION}.h5"
    assert [left.name for left in tmp_path.iterdir() if ".part" in left.name or ".tag" in left.name] == []


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    server.faults = ["drop", "drop"]
    fetch(server, tmp_path)
    have = [int(asked[6:-1]) if asked else 0 for asked in server.asked]
    sent = [0, len(DATA) // 2, len(DATA) // 2 + (len(DATA) - have[1]) // 2]
    assert len(have) == 3 and all(at - CHUNK < place <= at for at, place in zip(sent[:2], have[:2], strict=True))
    assert have[1] < have[2] < len(DATA)


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        (["404"], "no such session"),
        (["403"], "no such session"),
        (["500"] * 9, "the public server failed"),
        (["302"], "not understood"),
        (["no length"], "how long the file is"),
        (["drop", "elsewhere"], "another part of the file"),
    ],
)
def test_a_failure_is_one_sentence_and_nothing_has_the_final_name(faults, says, server, tmp_path):
    server.faults = list(faults)
    with pytest.raises(FetchError, match=says) as caught:
        fetch(server, tmp_path)
    assert "\n" not in str(caught.value) and visible(tmp_path) == []


def test_a_server_that_keeps_stalling_is_given_up_and_asked_again_later(server, tmp_path):
    server.faults = ["drop", "stall", "500", "500", "500"]
    with pytest.raises(FetchError, match="the public server failed"):
        fetch(server, tmp_path)
    n_asked = len(server.asked)
    assert fetch(server, tmp_path).read_bytes() == DATA
    assert int(server.asked[n_asked][6:-1]) > 0.6 * len(DATA)  # nearly three quarters were there


def test_cancel_keeps_what_was_loaded_for_the_next_time(server, tmp_path):
    def stop(share, what):
        if share > 0.3:
            raise Cancelled

    with pytest.raises(Cancelled):
        fetch(server, tmp_path, stop)
    assert visible(tmp_path) == []
    fetch(server, tmp_path)
    assert 0.3 * len(DATA) < int(server.asked[-1][6:-1]) < len(DATA)


def test_a_server_that_ignores_ranges_or_has_a_new_version_begins_anew(server, tmp_path):
    server.faults = ["drop", "whole"]
    assert fetch(server, tmp_path).read_bytes() == DATA
    other = tmp_path / "other"
    server.faults = ["drop", "500", "500", "500"]
    with pytest.raises(FetchError):
        fetch(server, other)
    server.data, server.tag = DATA[::-1], '"v2"'
    assert fetch(server, other).read_bytes() == DATA[::-1]


def test_a_part_that_is_too_long_is_thrown_away(server, tmp_path):
    part = tmp_path / f"selected_units-{SESSION}.h5.part"
    part.write_bytes(DATA + b"more")
    part.with_suffix(".tag").write_text(server.tag)
    server.faults = ["416"]
    assert fetch(server, tmp_path).read_bytes() == DATA


def test_a_second_download_must_have_the_checksum_of_the_first(server, tmp_path):
    path = fetch(server, tmp_path)
    assert sha256(DATA).hexdigest() in (tmp_path / "checksums.json").read_text()
    n_asked = len(server.asked)
    assert fetch(server, tmp_path) == path and len(server.asked) == n_asked  # there already
    path.unlink()
    server.data, server.tag = b"x" + DATA[1:], '"v2"'
    with pytest.raises(FetchError, match="checksum differs"):
        fetch(server, tmp_path)
    assert visible(tmp_path) == []


def test_progress_rises_to_one(server, tmp_path):
    shares = []
    server.faults = ["drop"]
    fetch(server, tmp_path, lambda share, what: shares.append(share))
    assert shares == sorted(shares) and shares[-1] == 1.0


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/x.h5", "https://brain-wide-bench.s3.amazonaws.com.evil.test/a/b/c.h5", "file:///etc/passwd"],
)
def test_no_other_host_is_ever_asked(url, tmp_path):
    with pytest.raises(FetchError, match="only the public bucket"):
        download(url, folder=tmp_path)


@pytest.mark.parametrize("name", ["", "../../x", "0802ced5", SESSION + "/..", "g" * 36])
def test_only_ids_of_sessions_become_addresses(name):
    with pytest.raises(ValueError, match="not the id"):
        bench_url(name)


def test_a_fetched_session_is_read(server, tmp_path):
    server.data = bench(tmp_path / "source.h5").read_bytes()
    made = prepare(inspect(fetch(server, tmp_path / "downloads")))
    assert (made.format, made.n_spikes, made.fatal, made.session.subject) == ("bwb", N_SPIKES, (), "KS014")
    assert made.session.trials["choice"].iloc[:3].tolist() == [1.0, -1.0, 0.0]


# --- ONE --------------------------------------------------------------------------------------------------------------

FINE = {"installed": lambda: True, "resolves": lambda: True, "reaches": lambda: 200, "writable": lambda: ""}


@pytest.mark.parametrize(
    ("changes", "stops_at", "says"),
    [
        ({"installed": lambda: False}, "ONE-api", "pip install ONE-api"),
        ({"writable": lambda: "No space left on device"}, "Folder", "No space left"),
        ({"resolves": lambda: False}, "Network", "online"),
        ({"reaches": lambda: 0}, "Server", "firewall"),
        ({"reaches": lambda: 502}, "Server", "502"),
    ],
)
def test_the_check_stops_at_the_first_failure_and_says_what_to_do(changes, stops_at, says):
    steps = list(check(Probes(**{**FINE, **changes})))
    assert [step.ok for step in steps] == [True] * (len(steps) - 1) + [False]
    assert steps[-1].name == stops_at and says in steps[-1].said


def test_a_check_without_failure_ends_with_the_account():
    steps = list(check(Probes(**FINE)))
    assert all(step.ok for step in steps) and steps[-1].name == "Account" and "BrainWideBench" in steps[-1].said


def test_the_check_itself_runs_here():
    steps = list(check(Probes(resolves=lambda: False)))
    assert [step.name for step in steps] == ["ONE-api", "Folder", "Network"] and one_cache().is_dir()


FAKE_ONE = """
import json, os
from pathlib import Path

class ONE:
    @staticmethod
    def setup(base_url, username, silent, cache_dir):
        assert silent
        Path.home().joinpath(".one").mkdir()
        Path.home().joinpath(".one", "token").write_text("secret token")

    def __init__(self, base_url, username, password, silent, cache_dir):
        print("a line that ONE prints")
        if password != "right":
            raise ValueError("401 Unauthorized: unable to log in with provided credentials")
        self.root = Path(cache_dir) / "lab/Subjects/mouse/2024-01-01/001"

    def list_datasets(self, session):
        return ["alf/probe00/pykilosort/spikes.times.npy", "alf/_ibl_trials.table.pqt", "raw/video.mp4"]

    def load_dataset(self, session, name, download_only, check_hash):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)

    def eid2path(self, session):
        return self.root
"""


@pytest.fixture
def fake_one(tmp_path, monkeypatch) -> Path:
    """A home folder that must stay as it is, and a ONE that is found before the real one."""
    package, home = tmp_path / "fake/one", tmp_path / "home"
    package.mkdir(parents=True)
    (home / ".one").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "api.py").write_text(FAKE_ONE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "fake"), *filter(None, sys.path)]))
    monkeypatch.setenv("HOME", str(home))
    return home


def test_a_session_comes_through_one_and_the_own_settings_are_not_touched(fake_one):
    said = []
    path = fetch_session(SESSION.upper(), Account("me", "right"), lambda share, what: said.append(what))
    assert path.is_relative_to(one_cache())
    assert (path / "alf/_ibl_trials.table.pqt").is_file() and not (path / "raw").exists()
    assert list((fake_one / ".one").iterdir()) == []
    assert said[0] == "Signing in" and said[-1] == "Downloaded"
    assert not [p for p in one_cache().rglob("*") if p.is_file() and "secret token" in p.read_text()]


def test_a_wrong_password_and_a_wrong_id_are_sentences(fake_one):
    with pytest.raises(ValueError, match="does not know this user name") as caught:
        fetch_session(SESSION, Account("me", "wrong"))
    assert "wrong" not in str(caught.value)
    with pytest.raises(ValueError, match="not the id"):
        fetch_session("x; rm -rf", Account("me", "right"))
    with pytest.raises(ValueError, match="give the user name"):
        fetch_session(SESSION, Account(" ", ""))


def test_cancelling_ends_the_process_of_one(fake_one):
    def stop(share, what):
        raise Cancelled

    with pytest.raises(Cancelled):
        fetch_session(SESSION, Account("me", "right"), stop)


def test_one_sorting_per_probe_and_no_raw_data_is_wanted():
    names = [
        "alf/probe00/spikes.times.npy",
        "alf/probe00/pykilosort/spikes.times.npy",
        "alf/probe00/pykilosort/#2024-05-06#/spikes.times.npy",
        "alf/probe00/pykilosort/spikes.amps.npy",
        "alf/probe00/channels.brainLocationIds_ccf_2017.npy",
        "alf/probe01/iblsorter/spikes.clusters.npy",
        "alf/probe01/iblsorter/spikes.times.npy",
        "alf/probe01/pykilosort/spikes.times.npy",
        "alf/_ibl_wheel.position.npy",
        "raw_video_data/_iblrig_leftCamera.raw.mp4",
    ]
    assert wanted(names) == [names[1], names[2], names[4], names[5], names[6], names[8]]

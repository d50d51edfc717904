"""Public sessions of BrainWideBench over HTTPS, without an account: pooch checks and moves, this file resumes.

pooch downloads into a temporary file that it deletes after a failure. Its way to extend is a `downloader`: ours goes on
from a `.part` file of its own by a range request, so that a broken line costs only what was not yet there. The final
name appears only with a whole file whose hash is right. The bucket publishes no checksums: the one of the first
download is kept beside the file, and later downloads must have it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from ...atomic import write_json
from .found import Tell, silent
from .kept import imports_dir

if TYPE_CHECKING:
    import requests

BUCKET = "https://brain-wide-bench.s3.amazonaws.com"
HOSTS = frozenset({"https://brain-wide-bench.s3.amazonaws.com"})  # nothing else is ever asked
REGIMES = ("eval", "pretrain")
BUILDS = ("selected_units", "all_units")
# Sessions that the benchmark's own guides and tests name; any other id can be typed.
SESSIONS = {
    "0802ced5-33a3-405e-8336-b65ebc5cb07c": "eval",
    "16693458-0801-4d35-a3f1-9115c7e5acfd": "eval",
    "0cbeae00-e229-4b7d-bdcc-1b0569d7e0c3": "eval",
    "004d8fd5-41e7-4f1b-a45b-0d4ad76fe446": "pretrain",
}
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CHUNK = 64 * 1024  # bytes; what a broken line costs at most
LARGEST = 20 * 2**30  # bytes; sessions of all units have a few GB
ATTEMPTS = 4  # in a row that bring nothing
CONNECT_S, STALL_S = 10.0, 30.0  # s without an answer, s without a byte
PINS = "checksums.json"


class FetchError(ValueError):
    """A download that did not succeed, in one sentence."""


@dataclass(frozen=True)
class Limits:
    """How patient a download is; tests are less so."""

    attempts: int = ATTEMPTS
    connect_s: float = CONNECT_S
    stall_s: float = STALL_S
    hosts: frozenset[str] = HOSTS


def bench_url(session_id: str, regime: str = "eval", build: str = "selected_units") -> str:
    """The address of a session; ValueError for what is no id."""
    session_id = session_id.strip().lower()
    if not ID.fullmatch(session_id):
        raise ValueError("this is not the id of an IBL session; it looks like 0802ced5-33a3-405e-8336-b65ebc5cb07c")
    if regime not in REGIMES or build not in BUILDS:
        raise ValueError(f"choose one of {', '.join(REGIMES)} and one of {', '.join(BUILDS)}")
    return f"{BUCKET}/brainsets/{build}/ibl_brain_wide_bench_2026/{regime}/{session_id}.h5"


def downloads_dir() -> Path:
    return imports_dir() / ".downloads"


def download(url: str, tell: Tell = silent, folder: Path | None = None, limits: Limits | None = None) -> Path:
    """The file of an address, downloaded unless it is there; FetchError in one sentence.

    `tell` hears of the progress and may raise to cancel; the next call goes on where this one stopped.
    """
    limits, folder = limits or Limits(), folder or downloads_dir()
    parts = urlsplit(url)
    if f"{parts.scheme}://{parts.netloc}" not in limits.hosts or ".." in parts.path:
        raise FetchError("only the public bucket of BrainWideBench is asked for files; choose a session of it")
    build = parts.path.strip("/").split("/")[1] if parts.path.count("/") > 2 else "file"
    path = folder / f"{build}-{parts.path.rsplit('/', 1)[-1]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(f"{path}.lock", timeout=0):
            return _retrieve(url, path, _Resuming(path, tell, limits))
    except Timeout as error:
        raise FetchError("this session is being downloaded already; wait until that ends") from error


def _retrieve(url: str, path: Path, downloader: _Resuming) -> Path:
    import pooch
    import requests

    pins = _pins(path.parent)
    pooch.get_logger().setLevel("ERROR")
    try:
        found = Path(pooch.retrieve(url, pins.get(url), path.name, path.parent, downloader=downloader))
    except FetchError:
        raise
    except requests.RequestException as error:
        raise FetchError(f"the public server did not answer ({type(error).__name__}); try again later") from error
    except ValueError as error:  # of pooch: the hash
        raise FetchError(
            "the downloaded file is not the one that was downloaded first (its checksum differs) and was thrown away; "
            "try again, and if that repeats, the server has a new version: remove the old download"
        ) from error
    except OSError as error:
        raise FetchError(f"the download cannot be written ({error.strerror}); make room on the disk") from error
    if url not in pins:
        write_json(path.parent / PINS, {**pins, url: f"sha256:{pooch.file_hash(str(found))}"})
    return found


def _pins(folder: Path) -> dict[str, str]:
    """Address -> checksum of its first download."""
    try:
        return {str(url): str(value) for url, value in json.loads((folder / PINS).read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        return {}


class _Resuming:
    """What pooch calls to fill a file."""

    def __init__(self, path: Path, tell: Tell, limits: Limits) -> None:
        self.part, self.tell, self.limits = path.with_name(f"{path.name}.part"), tell, limits
        self.tag = path.with_name(f"{path.name}.tag")  # ETag of the version that the part is of

    def __call__(self, url: str, output: str, _pooch: object) -> None:
        import requests

        vain = 0
        with requests.Session() as session:
            while True:
                before = self._have()
                try:
                    if self._fetch(session, url):
                        break
                    reason = "the line was cut"
                except requests.RequestException as error:
                    reason = "it stopped sending" if "timed out" in str(error).lower() else "the line was cut"
                vain = 0 if self._have() > before else vain + 1
                if vain >= self.limits.attempts:
                    have = self._have() / 2**20
                    raise FetchError(f"the public server failed: {reason}, after {have:.0f} MB; try again to go on")
        self.tag.unlink(missing_ok=True)
        os.replace(self.part, output)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _fetch(self, session: requests.Session, url: str) -> bool:
        """One request; whether the file is whole after it."""
        have, tag = self._have(), self.tag.read_text("utf-8") if self.tag.exists() else ""
        ask = {"Range": f"bytes={have}-", "If-Range": tag} if have and tag else {}
        with _got(session, url, ask, self.limits) as answer:
            if answer.status_code == 416:
                if answer.headers.get("Content-Range") == f"bytes */{have}":
                    return True  # everything was there already
                self.part.unlink(missing_ok=True)  # longer than the file, or of another one
                return False
            total, start = _place(answer, have)
            self._check(total, start)
            self.tag.write_text(answer.headers.get("ETag", ""), "utf-8")
            with self.part.open("r+b" if start else "wb") as file:
                file.seek(start)
                file.truncate()
                for chunk in answer.iter_content(CHUNK):
                    file.write(chunk)
                    self.tell(file.tell() / total, f"Downloaded {file.tell() / 2**20:,.0f} of {total / 2**20:,.0f} MB")
                    if file.tell() > total:
                        raise FetchError("the public server sent more than it announced; try again later")
        return self._have() == total

    def _check(self, total: int, start: int) -> None:
        if total > LARGEST:
            raise FetchError(f"the file has {total / 2**30:.0f} GB; at most {LARGEST >> 30} GB are downloaded")
        free = shutil.disk_usage(self.part.parent).free
        if free < total - start:
            raise FetchError(f"{(total - start) / 2**30:.1f} GB are needed and {free / 2**30:.1f} GB free; make room")


@contextmanager
def _got(session: requests.Session, url: str, ask: dict[str, str], limits: Limits) -> Iterator[requests.Response]:
    """The answer to a request; FetchError for one that asking again will not change, RequestException for others."""
    import requests

    # Without compression, so that lengths and ranges are those of the file; redirects would lead to other hosts.
    headers = {**ask, "Accept-Encoding": "identity"}
    patience = (limits.connect_s, limits.stall_s)
    with session.get(url, headers=headers, stream=True, timeout=patience, allow_redirects=False) as answer:
        if answer.status_code in (403, 404):
            raise FetchError("the public bucket has no such session; check its id and which set it belongs to")
        if answer.status_code >= 500:
            raise requests.HTTPError(f"status {answer.status_code}")
        if answer.status_code not in (200, 206, 416):
            raise FetchError(f"the public server answered in a way not understood ({answer.status_code}); try later")
        yield answer


def _place(answer: requests.Response, have: int) -> tuple[int, int]:
    """Bytes of the whole file, and where this answer begins; FetchError for an answer that does not say."""
    if answer.status_code == 206:
        said = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", ""))
        if said and int(said[1]) == have:
            return int(said[3]), have
        raise FetchError("the public server sent another part of the file than asked for; try again later")
    length = answer.headers.get("Content-Length", "")
    if not length.isdigit() or int(length) == 0:
        raise FetchError("the public server does not say how long the file is; try again later")
    return int(length), 0

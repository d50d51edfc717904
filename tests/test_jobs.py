from __future__ import annotations

import time

import psutil
import pytest
from distributed import LocalCluster
from job_functions import sleep, square, tags

from mtm_core import jobs
from mtm_core.jobs import Failed, spread

N_ITEMS = 6


def workers() -> list[psutil.Process]:
    """Processes that this one has started and that still work."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if "spawn_main" in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def listening(processes: list[psutil.Process]) -> set[str]:
    return {c.laddr.ip for p in processes for c in p.net_connections() if c.status == psutil.CONN_LISTEN}


@pytest.fixture(scope="module")
def done():
    """All that came back from two local processes, and the addresses at which they could be reached meanwhile.

    Whoever starts them has set another number of threads.
    """
    found, addresses = [], set()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OMP_NUM_THREADS", "2")
        for pair in spread(square, range(N_ITEMS), workers=2):
            addresses |= listening([psutil.Process()]) if not found else set()
            found.append(pair)
    return found, addresses


def test_every_item_comes_back_once_with_its_own_result(done):
    results = dict(done[0])
    assert len(done[0]) == len(results) == N_ITEMS
    assert {item: result[0] for item, result in results.items() if item != 3} == {0: 0, 1: 1, 2: 4, 4: 16, 5: 25}


def test_an_error_is_the_result_of_its_item_alone(done):
    failed = {item: result for item, result in done[0] if isinstance(result, Failed)}
    assert list(failed) == [3]
    assert isinstance(failed[3].error, ValueError) and str(failed[3]) == "ValueError: three cannot be squared"


def test_work_is_done_in_other_processes_with_one_thread_each(done):
    others = [result for _, result in done[0] if not isinstance(result, Failed)]
    assert {threads for _, threads, _ in others} == {"1"}
    assert psutil.Process().pid not in {pid for *_, pid in others}


def test_a_local_scheduler_is_reached_from_this_machine_only(done):
    assert done[1] == {"127.0.0.1"}


def test_no_process_is_left_behind(done):
    assert workers() == []


def test_whoever_stops_early_ends_the_work():
    before, steps = time.monotonic(), spread(sleep, [0.0, 300.0, 300.0, 300.0], workers=1)
    assert next(steps) == (0.0, 0.0)
    steps.close()
    assert workers() == [] and time.monotonic() - before < 300.0


def test_a_scheduler_by_address_does_the_work_and_lives_on():
    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        assert dict(spread(sleep, [0.0, 0.01], scheduler=address)) == {0.0: 0.0, 0.01: 0.01}
        assert cluster.scheduler.status.name == "running" and len(cluster.workers) == 1


def test_work_for_a_card_goes_to_a_worker_that_has_one():
    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as without:
        with pytest.raises(RuntimeError, match="--resources GPU=1"):
            list(spread(tags, [1], scheduler=without.scheduler_address, gpu=True))
    with LocalCluster(n_workers=1, processes=False, dashboard_address=None, resources={"GPU": 1}) as with_one:
        assert dict(spread(tags, [1], scheduler=with_one.scheduler_address, gpu=True)) == {1: {"GPU": 1}}


def test_a_scheduler_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(jobs, "TIMEOUT", 1)
    with pytest.raises(OSError):
        list(spread(sleep, [0.0], scheduler="tcp://127.0.0.1:1"))


def test_no_items_start_nothing(monkeypatch):
    monkeypatch.setattr(jobs, "LocalCluster", None)
    assert list(spread(square, [])) == []

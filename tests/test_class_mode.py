"""A class: places and the line in front of them, turns at the model, and what is not offered."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from bokeh.document import Document
from bokeh.protocol import Protocol
from bokeh.server.connection import ServerConnection
from bokeh.server.session import ServerSession
from bokeh.server.views.ws import WSHandler
from panel.io import document as panel_document
from tornado.ioloop import IOLoop

from app import garbage
from app.gate import BUSY, Gate, Turns
from app.limits import IN_CLASS, Limits
from app.pace import Pace
from app.serving import socket
from app.serving.admission import GRACE_S, LONGEST_LINE, MOST_PAGES, PROMISE_S, SEEN_S, Admission
from app.serving.gatekeeper import guarded
from app.serving.pages import memory_mb
from mtm_core import __main__ as command_line
from mtm_core import serve

ROOT = Path(__file__).resolve().parents[1]


class Clock:
    """A clock that stands still unless it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def two(clock) -> Admission:
    """A class of two, into which anna and bert have come."""
    places = Admission(2, clock)
    for name in ("anna", "bert"):
        places.promise(f"session of {name}", name)
        places.connected(f"session of {name}")
    return places


# --- places and the line ----------------------------------------------------------------------------------------------


def test_who_comes_while_there_is_room_is_let_in(clock):
    assert Admission(1, clock).ask("")[0] == 0


def test_the_first_who_does_not_fit_is_number_one_in_line(two):
    position, ticket = two.ask("")
    assert position == 1 and ticket and two.waiting == 0  # has not shown that it comes back
    assert two.ask(ticket) == (1, ticket) and two.waiting == 1
    _, second = two.ask("")
    assert two.ask(second) == (2, second)


def test_a_free_place_is_for_the_first_in_line_even_while_others_ask(two, clock):
    first, second = two.ask("")[1], two.ask("")[1]
    two.ask(first), two.ask(second)
    two.left("session of anna")
    clock.now += GRACE_S
    assert two.ask("")[0] == 3
    assert two.ask(second)[0] == 2
    assert two.ask(first)[0] == 0
    two.promise("session of first", first)
    assert two.ask(second)[0] == 1


def test_who_stops_asking_loses_the_place_in_line(two, clock):
    first, second = two.ask("")[1], two.ask("")[1]
    two.ask(first), two.ask(second)
    clock.now += SEEN_S / 2
    two.ask(second)
    clock.now += SEEN_S / 2
    assert two.ask(second)[0] == 1


def test_a_program_that_never_comes_back_does_not_block_the_line(two):
    for _ in range(100):
        two.ask("")
    assert two.ask("")[0] == 1


def test_the_line_ends_somewhere(two):
    for i in range(LONGEST_LINE + 50):
        two.ask(f"forged {i}")
    assert two.waiting == LONGEST_LINE


def test_a_reload_keeps_the_place(two, clock):
    two.ask("carl"), two.ask("carl")
    assert two.ask("anna")[0] == 0  # the old page is still open when the browser asks for the new one
    two.left("session of anna")
    clock.now += GRACE_S / 2
    assert two.ask("anna")[0] == 0 and two.ask("carl")[0] == 1
    clock.now += GRACE_S
    assert two.ask("carl")[0] == 0


def test_one_browser_with_several_pages_is_one_visitor_but_has_only_so_many(two):
    for i in range(MOST_PAGES - 1):
        assert two.ask("anna")[0] == 0
        two.promise(f"page {i}", "anna")
    assert two.visitors == 2
    assert two.ask("anna")[0] > 0


def test_a_page_that_never_connects_gives_its_place_back(clock):
    places = Admission(1, clock)
    places.promise("session", places.ask("")[1])
    assert places.ask("")[0] == 1
    clock.now += PROMISE_S
    assert places.ask("")[0] == 0


def test_only_a_session_with_a_place_may_connect_while_the_class_is_full(two, clock):
    assert two.may_connect("session of anna") and not two.may_connect("session of eve")
    two.left("session of anna")
    clock.now += GRACE_S
    assert two.may_connect("session of eve")
    two.promise("session of anna", "anna")
    two.ask("carl"), two.ask("carl")
    two.withdraw("session of anna")
    assert not two.may_connect("session of eve")  # carl waits for that place


# --- pace -------------------------------------------------------------------------------------------------------------


def test_a_burst_passes_and_a_flood_is_slowed_to_the_pace(clock):
    pace = Pace(10, 5, clock)
    assert [pace.wait() for _ in range(5)] == [0.0] * 5
    for _ in range(100):
        clock.now += pace.wait()
    assert clock.now == pytest.approx(100 / 10)


def test_without_a_limit_nobody_waits(clock):
    pace = Pace(float("inf"), 1, clock)
    assert {pace.wait() for _ in range(1000)} == {0.0}


# --- turns at the model -----------------------------------------------------------------------------------------------


def blocked(gate: Gate) -> threading.Event:
    """Keep the gate busy until the event is set, so that what is asked meanwhile waits."""
    go, begun = threading.Event(), threading.Event()
    gate.turn("somebody", lambda: (begun.set(), go.wait(30)))
    assert begun.wait(30)
    return go


def test_visitors_take_turns_however_often_one_of_them_asks():
    gate, order = Gate(Limits()), []
    go = blocked(gate)
    turns = [gate.turn("eager", lambda: order.append("eager")) for _ in range(1000)]
    turns += [gate.turn(name, lambda name=name: order.append(name)) for name in ("anna", "bert") for _ in range(2)]
    go.set()
    for turn in turns:
        turn.result(30)
    assert order[:6] == ["eager", "anna", "bert"] * 2 and len(order) == 1004


def test_a_picture_goes_before_the_scores_that_wait():
    gate, order = Gate(Limits()), []
    go = blocked(gate)
    turns = [gate.turn(name, lambda: order.append("scores")) for name in ("anna", "bert", "carl")]
    turns.append(gate.turn("dora", lambda: order.append("picture"), first=True))
    go.set()
    for turn in turns:
        turn.result(30)
    assert order == ["picture", "scores", "scores", "scores"] and gate.waiting == 0


def test_more_turns_than_the_queue_holds_are_refused_in_a_sentence():
    gate = Gate(Limits(queue=3))
    go = blocked(gate)
    for _ in range(3):
        gate.turn("anna", int)
    with pytest.raises(TimeoutError, match="try again"):
        gate.turn("bert", int)
    go.set()
    assert gate.refused == 1


def test_a_turn_that_waited_too_long_is_refused_and_the_next_is_served():
    gate = Gate(Limits(view_seconds=0.05))
    go = blocked(gate)
    late = gate.turn("anna", int)
    time.sleep(0.1)
    go.set()
    with pytest.raises(TimeoutError, match="its turn"):
        late.result(30)
    assert gate.turn("anna", lambda: 7).result(30) == 7 and gate.waiting == 0


def test_a_turn_nobody_waits_for_any_more_is_not_computed():
    gate, done = Gate(Limits()), []
    go = blocked(gate)
    dropped, kept = gate.turn("anna", lambda: done.append("dropped")), gate.turn("bert", lambda: done.append("kept"))
    assert dropped.cancel()
    go.set()
    kept.result(30)
    assert done == ["kept"]


def test_a_failure_reaches_who_asked_and_nobody_else():
    gate = Gate(Limits())
    with pytest.raises(ZeroDivisionError):
        gate.turn("anna", lambda: 1 / 0).result(30)
    assert gate.turn("bert", lambda: 1).result(30) == 1


def test_a_computation_ends_when_its_time_is_used_up():
    async def steps() -> int:
        turn, n = Turns("anna", seconds=0.05), 0
        with pytest.raises(TimeoutError, match="shares one computer"):
            for n in range(1000):  # noqa: B007
                await turn(time.sleep, 0.02)
        return n

    assert asyncio.run(steps()) == 3


# --- what a class is offered ------------------------------------------------------------------------------------------

OFFERED = """
import json
from app.contents import PAGES, job_names
from app.limits import LIMITS, refuse_large
try:
    refuse_large(5000, 100, 10)
    said = ""
except ValueError as error:
    said = str(error)
print(json.dumps([[page.name for page in PAGES], LIMITS.visitors, said]))
"""


def offered(**environment: str) -> list:
    surroundings = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", OFFERED], cwd=ROOT, env=surroundings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_class_is_not_offered_what_writes():
    pages, visitors, said = offered(MTM_CLASS="1", MTM_VISITORS="12")
    assert "train" not in pages and "explore" in pages and visitors == 12
    assert said.startswith("5,000 neurons are more than a class can share (4,096)")


def test_the_limits_of_a_class_are_those_that_were_agreed():
    assert (IN_CLASS.visitors, IN_CLASS.values, IN_CLASS.neurons, IN_CLASS.bins) == (32, 2e7, 4096, 500)
    assert (IN_CLASS.view_seconds, IN_CLASS.job_seconds, IN_CLASS.queue, IN_CLASS.idle_seconds) == (10, 60, 64, 1800)
    assert IN_CLASS.address_chars == 2048 and serve.CLASS_MESSAGE_BYTES == 4 * 2**20
    assert BUSY.endswith(".")


def test_alone_nothing_is_limited():
    limits = Limits()
    own = ("burst", "pages_ahead", "pictures_at_once", "rest_seconds", "show_seconds")
    assert {getattr(limits, name) for name in vars(limits) if name not in own} == {float("inf")}
    assert limits.rest_seconds == limits.show_seconds == 0
    assert limits.pages_ahead == 0 < IN_CLASS.pages_ahead <= IN_CLASS.visitors


# --- memory -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep free memory in other ways")
def test_free_memory_goes_back_to_the_system_even_below_what_is_in_use():
    blocks = [bytearray(50_000) for _ in range(2_000)]  # 100 MB
    last = blocks.pop()  # the heap cannot shrink below it
    blocks.clear()
    garbage.give_back()
    before = memory_mb()
    blocks = [bytearray(50_000) for _ in range(2_000)]
    full, last = memory_mb(), blocks.pop()
    blocks.clear()
    garbage.give_back()
    assert full - before > 80 and memory_mb() - before < 20 and len(last) == 50_000


# --- a socket that closes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["the socket", "Bokeh's keep-alive"])
def test_a_socket_that_closes_gives_its_place_back_and_its_session_goes(monkeypatch, first):
    monkeypatch.setattr(socket, "HOSTS", ("lab.example",))

    async def close() -> None:
        session, left = ServerSession("anna", Document(), IOLoop.current()), []
        closing = object.__new__(guarded(WSHandler))
        closing.session_id, closing.close_code, closing.close_reason = session.id, 1001, None
        closing.application_context = SimpleNamespace(get_session={session.id: session}.__getitem__)
        closing.connection = ServerConnection(Protocol(), closing, closing.application_context, session)
        closing.application = SimpleNamespace(socket_closed=left.append, client_lost=ServerConnection.detach_session)
        if first == "Bokeh's keep-alive":  # it pings, and finds the socket closed before tornado has said so
            closing.application.client_lost(closing.connection)
        closing.on_close()
        assert left == [closing] and session.connection_count == 0 and session.expiration_requested

    asyncio.run(close())


def test_what_visitors_left_is_looked_for_in_a_lull_or_when_it_is_much(monkeypatch):
    looks = []
    monkeypatch.setattr(garbage.gc, "collect", lambda: looks.append(1))
    monkeypatch.setattr(garbage, "_left", 0)
    assert not garbage.sweep() and not looks
    garbage.page_left()
    assert not looks and garbage.sweep() and len(looks) == 1 and not garbage.sweep()
    for _ in range(2 * garbage.MOST_LEFT):
        garbage.page_left()
    assert len(looks) == 3


def of_bokeh() -> None:
    ServerSession("anna", Document()).destroy()


def of_panel() -> None:
    panel_document._panel_last_cleanup = float("-inf")
    panel_document._garbage_collect()  # Panel plans it for some seconds after a visitor has left


@pytest.mark.parametrize("leave", [of_bokeh, of_panel])
def test_nobody_looks_whenever_somebody_leaves(monkeypatch, leave):
    looks = []
    monkeypatch.setattr(gc, "collect", lambda: looks.append(1))
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(gc, "set_threshold", lambda *_: None)
    monkeypatch.setattr(panel_document, "_panel_last_cleanup", 0)
    for module in (garbage.bokeh_document, panel_document):  # put back afterwards
        monkeypatch.setattr(module, "gc", gc)
    leave()
    assert looks == [1]  # otherwise there is nothing left to replace
    garbage.look_seldom()
    looks.clear()
    leave()
    assert not looks


# --- the command ------------------------------------------------------------------------------------------------------


def started(monkeypatch, *arguments: str) -> tuple:
    """What `mtm app` with these arguments would start."""
    calls = []
    monkeypatch.setattr(serve, "serve_app", lambda *given: calls.append(given) or 0)
    assert command_line.main(["app", *arguments]) == 0
    return calls[0]


def test_mtm_app_serves_one_person_a_class_or_a_desktop(monkeypatch):
    assert started(monkeypatch)[0] == 5006 and started(monkeypatch)[4] is None
    assert started(monkeypatch, "--class", "--visitors", "5")[4] == serve.Audience(visitors=5)
    port, *_, audience = started(monkeypatch, "--desktop")
    assert port == 0 and len(audience.key) >= 40 and not audience.visitors


@pytest.mark.parametrize("visitors", ["0", "-1", "1001"])
def test_an_impossible_class_is_refused(visitors, capsys):
    assert command_line.main(["app", "--class", "--visitors", visitors]) == 1
    assert "give 1 to 1000" in capsys.readouterr().err


def test_the_environment_of_a_class_says_so_and_signs_sessions(monkeypatch):
    monkeypatch.delenv("BOKEH_SECRET_KEY", raising=False)
    first, second = (serve.serve_environment(None, ["lab.example:80"], serve.a_class(7)) for _ in range(2))
    assert first["MTM_CLASS"] == "1" and first["MTM_VISITORS"] == "7" and first["MTM_HOSTS"] == "lab.example:80"
    assert first["BOKEH_SIGN_SESSIONS"] == "yes" and len(first["BOKEH_SECRET_KEY"]) >= 48
    assert first["BOKEH_SECRET_KEY"] != second["BOKEH_SECRET_KEY"]


def test_a_class_may_send_messages_of_4_mb_and_no_more():
    command = serve.serve_command(audience=serve.a_class())
    assert command[command.index("--websocket-max-message-size") + 1] == str(4 * 2**20)

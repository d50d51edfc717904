"""What a stranger on the network may not do: other sites, forged sessions, broken messages, somebody else's values."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from bokeh.util.token import generate_jwt_token, generate_session_id, get_token_payload
from class_server import RECONSTRUCTED, RECORDED, Served, open_student, rows, served
from hypothesis import given
from hypothesis import strategies as st
from tornado.httpclient import HTTPClientError
from visitors import Visitor, arrive, connect, cookie_of, fetch, token_of

from app import spec as specs
from mtm_core.serve import Audience

pytestmark = pytest.mark.slow

MUTATIONS, ACTIONS = 1000, 1000
CATCH_UP_S = 900.0  # for all clicks of a test, which come faster than pictures can be drawn
OTHER = b"k" * 32  # the secret of another server


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Served]:
    """The app as `mtm app` serves it: no limit of pace, so that a test need not wait."""
    with served(tmp_path_factory.mktemp("server"), Audience()) as running:
        yield running


def ask(address: str, **options) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer."""
    request = urllib.request.Request(address, **options)  # noqa: S310 (our own server)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            return answer.status, dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers)


# --- S1: other sites --------------------------------------------------------------------------------------------------


def origins(address: str) -> list[str]:
    host, _, port = address.removeprefix("http://").partition(":")
    return [
        "null",
        "http://evil.test",
        f"http://evil.test:{port}",
        f"http://{host}.evil.test:{port}",
        f"http://evil{host}:{port}",
        f"http://{host}:{int(port) + 1}",
        f"http://{host}",
        f"http://localhost.evil.test:{port}",
        f"http://user@{host}:{port}",
        f"http://{host}:{port}/",
        f"ftp://{host}:{port}",
        f"http://[::1]:{port}",
        "file://",
    ]


def handshake(site: Served, token: str, **headers: str) -> int:
    """Status of the answer to a websocket's first request with exactly these headers."""
    connection = http.client.HTTPConnection(site.address.removeprefix("http://"), timeout=60)
    ours = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    ours |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": f"bokeh, {token}"}
    connection.request("GET", "/app/ws", headers={**ours, **headers})
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_socket_of_another_origin_is_refused(site):
    token = token_of(asyncio.run(fetch(site.app)).body.decode())
    answers = {origin: handshake(site, token, Origin=origin) for origin in origins(site.address)}
    assert set(answers.values()) == {403}, answers
    assert handshake(site, token, Origin=site.address) == 101  # the token itself is good


def test_a_socket_that_names_no_origin_is_refused(site):
    """Every browser names it; who leaves it out is no page of ours."""
    token = token_of(asyncio.run(fetch(site.app)).body.decode())
    assert handshake(site, token) == 403
    assert handshake(site, token, Origin=site.address) == 101


@pytest.mark.parametrize("host", ["evil.test", "evil.test:5006", "127.0.0.1", "localhost:1", "169.254.169.254", ""])
def test_a_name_that_only_leads_here_opens_nothing(site, host):
    for path in ("/app", "/static/js/bokeh.min.js", "/live", "/health", "/"):
        assert ask(site.address + path, headers={"Host": host})[0] in (400, 403)


# --- S2: sessions -----------------------------------------------------------------------------------------------------


def forged(token: str) -> dict[str, str]:
    """Tokens that this server did not sign."""
    payload, signature = token.rsplit(".", 1)
    session = generate_session_id(signed=False)
    return {
        "unsigned": generate_jwt_token(session, signed=False),
        "signed by another": generate_jwt_token(session, secret_key=OTHER, signed=True),
        "another signature": f"{payload}.{signature[::-1]}",
        "another payload": f"{generate_jwt_token(session, signed=False).split('.')[0]}.{signature}",
        "cut": payload,
        "no token": "x",
        "empty": "",
        "long": "A" * 4000,
    }


def test_a_forged_session_is_refused_by_the_socket_and_by_the_page(site):
    async def attempts() -> None:
        page = await fetch(site.app)
        before = site.health()["sessions"]
        for name, token in forged(token_of(page.body.decode())).items():
            with pytest.raises(HTTPClientError, match="403"):
                await connect(site.app, token or "-", cookie_of(page))
            assert (await fetch(f"{site.app}?bokeh-token={token}")).code in (200, 400, 403, 500) or name == "empty"
        for session in ("x" * 44, generate_session_id(signed=False), generate_session_id(OTHER, signed=True)):
            assert (await fetch(f"{site.app}?bokeh-session-id={session}")).code == 403
            assert (await fetch(site.app, headers={"Bokeh-Session-Id": session})).code == 403
        assert site.health()["sessions"] <= before + 1

    asyncio.run(attempts())


def test_a_token_lives_five_minutes_at_most_and_no_address_holds_it(site):
    async def look() -> None:
        page = await fetch(site.app)
        token = token_of(page.body.decode())
        payload = get_token_payload(token)
        assert 0 < payload["session_expiry"] - _now() <= 300
        assert not page.headers.get("Location") and token not in str(dict(page.headers))

    asyncio.run(look())
    log = site.log.read_text()
    assert "bokeh-session-id" not in log.replace("?bokeh-session-id", "")


def _now() -> float:
    return time.time()


# --- S4, S5: headers and methods --------------------------------------------------------------------------------------

PATHS = ("/app", "/live", "/health", "/static/js/bokeh.min.js", "/app/static/none", "/none", "/app/metadata")


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_forbids_what_is_not_needed(site, path):
    _, headers = ask(site.address + path)
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "same-origin"
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] in ("'self'", "'none'") and policy["frame-ancestors"] in ("'self'", "'none'")
    assert "Server" not in headers and "http" not in headers["Content-Security-Policy"]
    assert "unsafe-inline" not in policy.get("script-src", "") and "*" not in headers["Content-Security-Policy"]


def test_the_nonce_of_a_page_is_never_used_twice(site):
    policies = {ask(site.app)[1]["Content-Security-Policy"] for _ in range(3)}
    assert len(policies) == 3


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/app", "/live", "/health", "/app/ws", "/none"])
def test_nothing_can_be_sent_but_through_the_socket(site, method, path):
    assert ask(site.address + path, method=method, data=b"x=1")[0] in (403, 404, 405)


TRAVERSALS = [
    f"{prefix}/{step * n}{file}"
    for prefix in ("/static", "/app/static", "/static/extensions/panel")
    for step in ("../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "%252e%252e%252f", "....//")
    for n in (1, 4, 8)
    for file in ("etc/passwd", "main.py", "limits.py")
]


def test_no_path_leads_out_of_the_static_files(site):
    host = site.address.removeprefix("http://")
    for path in TRAVERSALS:
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status in (400, 403, 404) and b"root:" not in body and b"import" not in body, path


# --- S6: addresses ----------------------------------------------------------------------------------------------------

KEYS = [*specs._VIEW, *specs._HIDE, *specs._SCORING, "bokeh-theme", "", "\x00"]
VALUES = st.one_of(
    st.text(max_size=80),
    st.integers().map(str),
    st.sampled_from(["-0", "1e999", "0x10", "１２", "9" * 400, "1-", "-1", "0-99999999", "NaN", "../..", "%00", "<b>"]),
    st.text("0123456789-._,%", max_size=60),
)


@given(st.lists(st.tuples(st.sampled_from(KEYS), VALUES), max_size=12))
def test_any_address_gives_choices_within_their_lists(pairs):
    found, _ = specs.decode(urlencode(pairs))
    assert found.page in specs.PAGES and found.tab in specs.TABS and found.level in ("", *specs.LEVELS)
    assert found.hide.scheme in ("hand", *specs.SCHEMES) and -1 <= found.hide.ratio <= 100
    numbers = (found.trial, found.neuron, found.hide.seed, *found.hide.neurons, *found.hide.window)
    assert all(-1 <= number <= 999_999 for number in numbers) and len(found.hide.neurons) <= specs.MAX_INDEX + 1
    assert all(len(name) <= specs.MAX_NAME and name.isprintable() for name in found.hide.regions)
    assert specs.decode(specs.encode(found)) == (found, True)


# --- S7: broken messages ----------------------------------------------------------------------------------------------

JUNK = (None, True, -1, 1e308, "", "x" * 5000, "<b>", [], {}, [[[[]]]], {"id": "p1"}, {"type": "object", "name": "X"})
JUNK += ({"type": "map", "entries": [[1, 2]]}, {"type": "ndarray", "array": {"type": "bytes", "data": "////"}})
JUNK += ({"type": "number", "value": "nan"}, {"type": "slice"}, {"type": "symbol", "name": "x"}, "\ud83d\udc80")
EVENTS = ("tap", "selectiongeometry", "button_click", "dom_event", "data_event")


def mutation(rng: random.Random, visitor: Visitor) -> dict:
    """An event of a browser in which something is not as it should be."""
    model = rng.choice([*visitor.models.values()])
    names = list(model["attributes"]) or ["children"]
    junk = rng.choice([*JUNK, rng.choice([*visitor.models]), {"id": rng.choice([*visitor.models])}])
    if rng.random() < 0.02:
        junk = list(range(1_000_000))
    kind = rng.choice(["ModelChanged", "MessageSent", "MessageSent", "ColumnDataChanged", "RootAdded", "TitleChanged"])
    if kind == "MessageSent":
        event = rng.choice([*EVENTS, "document_ready", "x"])
        entries = [["model", {"id": model["id"]}], ["x", junk], ["y", rng.choice(JUNK)], ["data", junk]]
        data = {"type": "event", "name": event, "values": {"type": "map", "entries": entries}}
        return {"kind": kind, "msg_type": rng.choice(["bokeh_event", "bokeh_event", "y"]), "msg_data": data}
    field = {"ModelChanged": "new", "TitleChanged": "title", "RootAdded": "model"}.get(kind, "data")
    return {"kind": kind, "model": {"id": model["id"]}, "attr": rng.choice(names), field: junk}


def test_broken_messages_harm_neither_the_server_nor_another_visitor(site):
    async def attack() -> None:
        neighbour = await open_student(site.app, 3)
        rng, sent = random.Random(7), 0  # noqa: S311
        while sent < MUTATIONS:
            visitor = await arrive(site.app)
            for _ in range(MUTATIONS // 4):
                if visitor.closed:
                    break
                await visitor.send("PATCH-DOC", {"events": [mutation(rng, visitor)]})
                await asyncio.sleep(0)
                sent += 1
            for frames in (["{", "{}", "{}"], ['{"msgid":"1","msgtype":"X"}', "{}", "{}"], ["[]", "1", "null"]):
                for frame in frames if not visitor.closed else ():
                    await visitor.socket.write_message(frame)
            await asyncio.sleep(0.2)
            await visitor.close()
        assert (await fetch(f"{site.address}/live")).body == b"ok\n"
        for row in (5, 50, 150):
            await neighbour.click(row)
        assert neighbour.sees_the_truth()
        await neighbour.visitor.close()
        late = await open_student(site.app, 4)
        await late.click(9)
        assert late.sees_the_truth()
        await late.visitor.close()

    asyncio.run(attack())


# --- S13: somebody else's values --------------------------------------------------------------------------------------


def test_of_what_one_visitor_chooses_nothing_reaches_the_other(site):
    async def both() -> None:
        anna, bert = [await open_student(site.app, trial) for trial in (111, 222)]
        rng = random.Random(1)  # noqa: S311
        for _ in range(ACTIONS):
            who, low = rng.choice([(anna, 0), (bert, 130)])
            row = low + rng.randrange(100)
            who.hidden ^= {int(rows()[row])}
            await who.visitor.tap(RECORDED, 0.5, row + 0.5)
            await asyncio.sleep(0.005)
        assert await anna.settle(CATCH_UP_S) and await bert.settle(CATCH_UP_S)
        for who, mine, other in ((anna, 111, 222), (bert, 222, 111)):
            said = "".join(who.visitor.text)
            assert f"trial={mine}" in said and f"trial={other}" not in said
        both = anna.visitor.models.keys() & bert.visitor.models.keys()
        # The defaults of Panel's own classes have a name of their own and nothing else.
        assert not [name for name in both if set(anna.visitor.models[name]["attributes"]) - {"name"}]
        await anna.visitor.close(), await bert.visitor.close()

    asyncio.run(both())


def test_a_session_of_another_cannot_be_reached_with_a_token_of_ones_own(site):
    async def look() -> None:
        anna = await open_student(site.app, 1)
        bert = await open_student(site.app, 2)
        stolen = anna.visitor.source(RECONSTRUCTED)
        await bert.visitor.set(stolen, data={"type": "map", "entries": []})
        await asyncio.sleep(1)
        await anna.click(4)
        assert anna.sees_the_truth()
        await anna.visitor.close()
        await bert.visitor.close()

    asyncio.run(look())


def test_the_log_holds_no_secret(site):
    text = site.log.read_text()
    environment = Path(f"/proc/{site.pid}/environ").read_bytes().decode().split("\0")
    secret = next(line.split("=", 1)[1] for line in environment if line.startswith("BOKEH_SECRET_KEY="))
    assert secret and secret not in text
    assert secret not in json.dumps(site.health())

"""Visitors without a browser: they open the page, connect their socket, click, and read what comes back.

The protocol is Bokeh's own (header, metadata, content and buffers as frames of a websocket); no model classes are made,
so that many of them cost little beside the server they measure.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import os
import re
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.websocket import WebSocketClientConnection, websocket_connect

PATIENCE_S = 120.0
AsyncHTTPClient.configure(None, max_clients=400)


async def fetch(url: str, cookie: str = "", **options: Any) -> HTTPResponse:
    """The answer to a request, whatever its status."""
    headers = {**options.pop("headers", {}), **({"Cookie": cookie} if cookie else {})}
    request = HTTPRequest(url, headers=headers, request_timeout=PATIENCE_S, connect_timeout=PATIENCE_S, **options)
    return await AsyncHTTPClient().fetch(request, raise_error=False)


def cookie_of(response: HTTPResponse) -> str:
    return "; ".join(each.split(";")[0] for each in response.headers.get_list("Set-Cookie"))


def token_of(page: str) -> str:
    """The session token that a page carries."""
    return re.search(r'"token":"([^"]+)"', page).group(1)


@dataclass(eq=False)
class Visitor:
    """One open page. `models` is what the server sent at first; `pictures` what it sent since, by data source."""

    socket: WebSocketClientConnection
    cookie: str = ""
    models: dict[str, dict] = field(default_factory=dict)
    pictures: dict[str, np.ndarray] = field(default_factory=dict)
    arrived: dict[str, float] = field(default_factory=dict)  # when, by data source
    text: list[str] = field(default_factory=list)  # of every message
    greeted: bool = False  # the server is ready to listen
    closed: bool = False
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _ids: Any = field(default_factory=itertools.count)
    _reading: asyncio.Task | None = None
    _replies: dict[str, Any] = field(default_factory=dict)

    # --- sending ------------------------------------------------------------------------------------------------------

    async def send(self, kind: str, content: Any = None, message_id: str = "") -> str:
        """Send a message; its id."""
        name = message_id or f"v{next(self._ids)}"
        for frame in ({"msgid": name, "msgtype": kind}, {}, content or {}):
            await self.socket.write_message(json.dumps(frame))
        return name

    async def event(self, name: str, **values: Any) -> None:
        """Send an event of the document or, with `model`, of a model, as a browser does."""
        entries = [[key, value] for key, value in values.items()]
        data = {"type": "event", "name": name, "values": {"type": "map", "entries": entries}}
        await self.send("PATCH-DOC", {"events": [{"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": data}]})

    async def tap(self, title: str, x: float, y: float) -> None:
        """Click into the figure of this title, at x and y of its axes."""
        place = {"sx": 10, "sy": 10, "x": x, "y": y, "modifiers": {"type": "map", "entries": []}}
        await self.event("tap", model={"id": self.figure(title)["id"]}, **place)

    async def set(self, model: str, **attributes: Any) -> None:
        """Change attributes of a model, as a widget in the browser does."""
        changes = [
            {"kind": "ModelChanged", "model": {"id": model}, "attr": name, "new": new}
            for name, new in attributes.items()
        ]
        await self.send("PATCH-DOC", {"events": changes})

    # --- reading ------------------------------------------------------------------------------------------------------

    def find(self, kind: str) -> list[dict]:
        """Models of this kind ("Figure") in what the server sent at first."""
        return [model for model in self.models.values() if model.get("name", "").split(".")[-1] == kind]

    def figure(self, title: str) -> dict:
        for each in self.find("Figure"):
            if self._look(each["attributes"]["title"])["attributes"].get("text") == title:
                return each
        raise KeyError(title)

    def source(self, title: str) -> str:
        """The id of the data source of the first thing drawn in a figure."""
        renderer = self._look(self.figure(title)["attributes"]["renderers"][0])
        return self._look(renderer["attributes"]["data_source"])["id"]

    def _look(self, model: dict) -> dict:
        return self.models[model["id"]]

    async def picture(self, title: str, since: float) -> tuple[float, np.ndarray]:
        """When the figure of this title got an image after `since` (monotonic, s), and the image."""
        source = self.source(title)
        await self.until(lambda: self.arrived.get(source, 0.0) > since)
        return self.arrived[source], self.pictures[source]

    async def until(self, true: Any, seconds: float = PATIENCE_S) -> None:
        async with self._news:
            await asyncio.wait_for(self._news.wait_for(lambda: self.closed or true()), seconds)
        assert not self.closed, "the server closed the socket"

    async def ask(self, kind: str, content: Any = None) -> Any:
        """Send a request and wait for its reply."""
        name = await self.send(kind, content)
        await self.until(lambda: name in self._replies)
        return self._replies.pop(name)

    async def _read(self) -> None:
        while (first := await self.socket.read_message()) is not None:  # asked again after the end, it never answers
            frames = [first, *[await self.socket.read_message() for _ in range(2)]]
            if None in frames:
                break
            header, content = json.loads(frames[0]), json.loads(frames[2])
            self.text.append(frames[2])
            buffers = {}
            for _ in range(header.get("num_buffers", 0)):
                name = json.loads(await self.socket.read_message())["id"]
                buffers[name] = await self.socket.read_message()
            async with self._news:
                self.greeted |= header["msgtype"] == "ACK"
                self._replies[header.get("reqid", "")] = content
                for change in content.get("events", []) if header["msgtype"] == "PATCH-DOC" else []:
                    self._apply(change, buffers)
                self._news.notify_all()
        async with self._news:
            self.closed = True
            self._news.notify_all()

    def _apply(self, change: dict, buffers: dict[str, bytes]) -> None:
        new = change.get("new", change.get("data"))
        if not isinstance(new, dict) or "model" not in change:
            return
        for model in models_in(new):
            self.models.setdefault(model["id"], model)
        data = dict(new.get("entries", [])) if new.get("type") == "map" else {}
        images = data.get("image")
        if isinstance(images, list) and images and images[0].get("type") == "ndarray":
            name = change["model"]["id"]
            self.pictures[name], self.arrived[name] = array_of(images[0], buffers), time.monotonic()

    async def close(self) -> None:
        self.socket.close()
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=10)
            self._reading.cancel()


def array_of(sent: dict, buffers: dict[str, bytes]) -> np.ndarray:
    """An array as Bokeh sends it."""
    data = sent["array"]["data"]
    content = buffers[data["id"]] if isinstance(data, dict) else base64.b64decode(data)
    return np.frombuffer(content, sent["dtype"]).reshape(sent["shape"])


def models_in(value: Any) -> list[dict]:
    """Every model that is spelled out somewhere in a JSON value."""
    found: list[dict] = []
    if isinstance(value, dict):
        if value.get("type") == "object" and "id" in value:
            found.append({"attributes": {}, **value})
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            found += models_in(each)
    return found


def image_hash(image: np.ndarray) -> str:
    return hashlib.sha256(repr((image.shape, str(image.dtype))).encode() + image.tobytes()).hexdigest()


async def connect(url: str, token: str, cookie: str = "", origin: str = "") -> WebSocketClientConnection:
    """The websocket of the app at url, asked for by a page of `origin`; "" is the app's own."""
    headers = {"Origin": origin or "/".join(url.split("/")[:3]), **({"Cookie": cookie} if cookie else {})}
    patience = {"connect_timeout": PATIENCE_S, "request_timeout": PATIENCE_S}
    request = HTTPRequest(f"ws{url.split('?')[0][4:]}/ws", headers=headers, **patience)
    return await websocket_connect(request, subprotocols=["bokeh", token], max_message_size=2**28)


async def arrive(url: str, cookie: str = "") -> Visitor:
    """Open the page at url as a browser would, up to where it can be used."""
    page = await fetch(url, cookie)
    assert page.code == 200, (page.code, page.body[:200])
    cookie = "; ".join(filter(None, [cookie, cookie_of(page)]))
    visitor = Visitor(await connect(url, token_of(page.body.decode()), cookie), cookie)
    visitor._reading = asyncio.get_running_loop().create_task(visitor._read())
    await visitor.until(lambda: visitor.greeted)
    document = (await visitor.ask("PULL-DOC-REQ"))["doc"]
    visitor.models = {model["id"]: model for model in models_in(document)}
    await visitor.event("document_ready")
    return visitor


def resident_mb(pid: int) -> float:
    """Resident memory of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

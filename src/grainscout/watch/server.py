"""Who may see the page, and what may be asked.

Every request, the websocket's included, must bring the token: first in the address, then in a cookie
that scripts cannot read and that no other site's page can send.  There is no form and no POST: what a
person asks comes over the websocket, whose origin is checked.  Only named files are served.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from grainscout.records import ConfigError
from grainscout.watch.broadcaster import Hub
from grainscout.watch.page_renderer import style_sheet

_MOST_VIEWERS = 20
_MOST_BYTES = 2048
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class _Guarded(RequestHandler):
    """Nothing without the token, not even which addresses exist."""

    hub: Hub
    token: str

    def initialize(self, hub: Hub, token: str) -> None:
        self.hub, self.token = hub, token

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        for name, value in _HEADERS.items():
            self.set_header(name, value)

    def compute_etag(self) -> None:
        return None

    @property
    def _cookie(self) -> str:
        """Cookies are shared by all ports of a host; the name tells watchers apart."""
        return f"grainscout-{hashlib.sha256(self.token.encode()).hexdigest()[:12]}"

    def prepare(self) -> None:
        given = self.get_query_argument("token", "") or self.get_cookie(self._cookie, "") or ""
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            raise HTTPError(403)

    def write_error(self, status_code: int, **_: Any) -> None:
        self.finish()  # no body: neither a page nor a traceback

    def get(self, *_: str) -> None:
        raise HTTPError(404)


class _Front(_Guarded):
    def get(self, *_: str) -> None:
        self.set_cookie(self._cookie, self.token, httponly=True, samesite="Strict", path="/")
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(self.hub.document())


class _Asset(_Guarded):
    def initialize(self, hub: Hub, token: str, text: str = "", kind: str = "") -> None:
        super().initialize(hub, token)
        self.text, self.kind = text, kind

    def get(self, *_: str) -> None:
        self.set_header("Content-Type", f"{self.kind}; charset=utf-8")
        self.finish(self.text)


class _Picture(_Guarded):
    def get(self, *names: str) -> None:
        png = self.hub.page.pictures.get(names[0])
        if png is None:
            raise HTTPError(404)
        self.set_header("Content-Type", "image/png")
        self.finish(png)


class _Live(_Guarded, WebSocketHandler):
    """One viewer: told what changed since it was last told, never more than it can take."""

    _sending: asyncio.Task[None] | None = None

    async def get(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        if len(self.hub.viewers) >= _MOST_VIEWERS:
            raise HTTPError(503)
        await WebSocketHandler.get(self, *args, **kwargs)

    def check_origin(self, origin: str) -> bool:
        return urlsplit(origin).netloc.lower() == self.request.host.lower()

    def open(self, *_: str, **__: str) -> None:
        self.fresh = asyncio.Event()
        self.fresh.set()
        self.hub.viewers.add(self.fresh)
        self._sending = asyncio.get_running_loop().create_task(self._follow())

    async def _follow(self) -> None:
        told: dict[str, str] = {}
        try:
            while True:
                await self.fresh.wait()
                self.fresh.clear()
                page = self.hub.page
                parts = {k: v for k, v in page.parts.items() if told.get(k) != v}
                await self._send({"facts": page.facts, "now": time.time(), "parts": parts})
                told |= parts
        except (WebSocketClosedError, StreamClosedError):
            return

    async def _send(self, message: Mapping[str, Any]) -> None:
        await self.write_message(json.dumps(message))  # waits until it has left: nothing piles up

    async def on_message(self, message: str | bytes) -> None:
        answer = await self.hub.answer(_wish(message))
        if answer:
            try:
                await self._send(answer)
            except (WebSocketClosedError, StreamClosedError):
                return

    def on_close(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self.hub.viewers.discard(self.fresh)


def _wish(message: str | bytes) -> dict[str, Any]:
    """What a viewer sent, if it is an object; else an empty one, which is answered so."""
    try:
        found = json.loads(message)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def application(hub: Hub, token: str) -> Application:
    """The addresses: the page, its three files, its pictures and the websocket."""
    common = {"hub": hub, "token": token}
    assets = files("grainscout.watch") / "assets"
    return Application(
        [
            (r"/", _Front, common),
            (r"/page\.css", _Asset, {**common, "text": style_sheet(), "kind": "text/css"}),
            (
                r"/page\.js",
                _Asset,
                {
                    **common,
                    "text": (assets / "page.js").read_text("utf-8"),
                    "kind": "text/javascript",
                },
            ),
            (
                r"/icon\.svg",
                _Asset,
                {
                    **common,
                    "text": (assets / "icon.svg").read_text("utf-8"),
                    "kind": "image/svg+xml",
                },
            ),
            (r"/picture/([^/]+)", _Picture, common),
            (r"/live", _Live, common),
        ],
        default_handler_class=_Guarded,
        default_handler_args=common,
        log_function=lambda _: None,
        websocket_ping_interval=20,
        websocket_max_message_size=_MOST_BYTES,
    )


def _door(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        door = socket.create_server(address[:2], family=family)
    except OSError as error:
        raise ConfigError(
            f"host and port must be free to listen on; got {host}, {port} ({error.strerror}). Choose "
            "another --port, or 0 for any"
        ) from error
    door.setblocking(False)
    return door


async def serve_until(
    done: asyncio.Event,
    hub: Hub,
    *,
    host: str,
    port: int,
    token: str,
    ready: Callable[[int], None],
) -> None:
    """Serve until `done` is set; `ready` is told the port.  ConfigError if it cannot be had."""
    server = HTTPServer(application(hub, token), max_header_size=16384, max_body_size=1024)
    door = _door(host, port)
    taken = int(door.getsockname()[1])
    server.add_socket(door)
    following = asyncio.create_task(hub.follow())
    ready(taken)
    try:
        waiting = asyncio.create_task(done.wait())
        await asyncio.wait({waiting, following}, return_when=asyncio.FIRST_COMPLETED)
        if following.done():
            following.result()  # what it raised
    finally:
        following.cancel()
        server.stop()
        with suppress(TimeoutError):  # a viewer that is gone without a word is not waited for
            await asyncio.wait_for(server.close_all_connections(), 2.0)

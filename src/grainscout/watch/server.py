"""Web server of the page, guarded by a token.

The token comes first in the address, then in a cookie that scripts cannot read and that no other
site's page can send. There is no form and no POST. Viewers send their requests over the websocket,
whose origin is checked. Only named files are served.
"""

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
from grainscout.watch.broadcaster import Broadcaster
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
    """Handler that answers nothing without the token."""

    broadcaster: Broadcaster
    token: str

    def initialize(self, broadcaster: Broadcaster, token: str) -> None:
        self.broadcaster, self.token = broadcaster, token

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        for name, value in _HEADERS.items():
            self.set_header(name, value)

    def compute_etag(self) -> None:
        return None

    @property
    def _cookie(self) -> str:
        """Name of the cookie, one for each token."""
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
        self.finish(self.broadcaster.document())


class _Asset(_Guarded):
    def initialize(
        self, broadcaster: Broadcaster, token: str, text: str = "", kind: str = ""
    ) -> None:
        super().initialize(broadcaster, token)
        self.text, self.kind = text, kind

    def get(self, *_: str) -> None:
        self.set_header("Content-Type", f"{self.kind}; charset=utf-8")
        self.finish(self.text)


class _Picture(_Guarded):
    def get(self, *names: str) -> None:
        png = self.broadcaster.page.pictures.get(names[0])
        if png is None:
            raise HTTPError(404)
        self.set_header("Content-Type", "image/png")
        self.finish(png)


class _Live(_Guarded, WebSocketHandler):
    """One viewer, which gets the changed parts."""

    _sending: asyncio.Task[None] | None = None

    async def get(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        if len(self.broadcaster.viewers) >= _MOST_VIEWERS:
            raise HTTPError(503)
        await WebSocketHandler.get(self, *args, **kwargs)

    def check_origin(self, origin: str) -> bool:
        return urlsplit(origin).netloc.lower() == self.request.host.lower()

    def open(self, *_: str, **__: str) -> None:
        self.fresh = asyncio.Event()
        self.fresh.set()
        self.broadcaster.viewers.add(self.fresh)
        self._sending = asyncio.get_running_loop().create_task(self._follow())

    async def _follow(self) -> None:
        sent: dict[str, str] = {}
        try:
            while True:
                await self.fresh.wait()
                self.fresh.clear()
                page = self.broadcaster.page
                parts = {k: v for k, v in page.parts.items() if sent.get(k) != v}
                await self._send({"status": page.status, "now": time.time(), "parts": parts})
                sent |= parts
        except (WebSocketClosedError, StreamClosedError):
            return

    async def _send(self, message: Mapping[str, Any]) -> None:
        await self.write_message(json.dumps(message))  # waits for a slow viewer

    async def on_message(self, message: str | bytes) -> None:
        answer = await self.broadcaster.answer(_parsed(message))
        if answer:
            try:
                await self._send(answer)
            except (WebSocketClosedError, StreamClosedError):
                return

    def on_close(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self.broadcaster.viewers.discard(self.fresh)


def _parsed(message: str | bytes) -> dict[str, Any]:
    """A viewer's message, empty if it is malformed."""
    try:
        content = json.loads(message)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def application(broadcaster: Broadcaster, token: str) -> Application:
    """Application with page, files, pictures and websocket."""
    common = {"broadcaster": broadcaster, "token": token}

    def asset(text: str, kind: str) -> dict[str, Any]:
        return {**common, "text": text, "kind": kind}

    folder = files("grainscout.watch") / "assets"
    script, icon = (folder / "page.js").read_text("utf-8"), (folder / "icon.svg").read_text("utf-8")
    return Application(
        [
            (r"/", _Front, common),
            (r"/page\.css", _Asset, asset(style_sheet(), "text/css")),
            (r"/page\.js", _Asset, asset(script, "text/javascript")),
            (r"/icon\.svg", _Asset, asset(icon, "image/svg+xml")),
            (r"/picture/([^/]+)", _Picture, common),
            (r"/live", _Live, common),
        ],
        default_handler_class=_Guarded,
        default_handler_args=common,
        log_function=lambda _: None,
        websocket_ping_interval=20,
        websocket_max_message_size=_MOST_BYTES,
    )


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family)
    except OSError as error:
        raise ConfigError(
            f"host and port must be free to listen on; got {host}, {port} ({error.strerror}). Choose "
            "another --port, or 0 for any"
        ) from error
    listener.setblocking(False)
    return listener


async def serve_until(
    done: asyncio.Event,
    broadcaster: Broadcaster,
    *,
    host: str,
    port: int,
    token: str,
    ready: Callable[[int], None],
) -> None:
    """Serve until `done`, and call `ready` with the port."""
    server = HTTPServer(application(broadcaster, token), max_header_size=16384, max_body_size=1024)
    listener = _listen(host, port)
    server.add_socket(listener)
    following = asyncio.create_task(broadcaster.follow())
    ready(int(listener.getsockname()[1]))
    try:
        waiting = asyncio.create_task(done.wait())
        await asyncio.wait({waiting, following}, return_when=asyncio.FIRST_COMPLETED)
        if following.done():
            following.result()  # raises its error
    finally:
        following.cancel()
        server.stop()
        with suppress(TimeoutError):  # do not wait for a viewer that vanished
            await asyncio.wait_for(server.close_all_connections(), 2.0)

"""A page on this machine that asks a person for one point after the other."""

import hmac
import html
import queue
import re
import secrets
import shutil
import sys
import tempfile
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from grainscout.hardware.adapters.shared import merged_signature
from grainscout.hardware.by_hand.microscope import (
    ByHandMicroscope,
    ByHandOptions,
    Point,
    save_picture,
)
from grainscout.records import MicroscopeError, Scan

_LARGEST = 64_000_000  # bytes of a curve's file
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{head}</title>
<meta name="viewport" content="width=device-width">
<body style="color-scheme:light dark;font:17px system-ui;max-width:46em;margin:1em auto;padding:0 1em">
<h1 style="font-size:1.4em">{title}</h1><p>{note}</p>{body}
<p id="said" role="status"></p><script src="page.js"></script></body></html>"""
_ASK = """<img src="next.png" alt="the point on the image" style="max-width:100%">
<p><label>File of its curve: <input type="file" id="file"></label></p>
<p><button id="fail">It cannot be measured</button></p>"""
_REST = "Set the bias to 0 V and withdraw the tip."
_SCRIPT = """const said = document.getElementById("said"), number = document.title.match(/\\d+/)?.[0] ?? "";
const send = (what, body) => fetch(what, {method: "POST", body}).then(async answer => said.textContent = await answer.text());
const file = document.getElementById("file"), fail = document.getElementById("fail");
if (file) file.onchange = () => send(`curve?number=${number}&name=${encodeURIComponent(file.files[0].name)}`, file.files[0]);
if (fail) fail.onclick = () => send(`failed?number=${number}`, "");
const look = setInterval(() => fetch("number").then(async answer => {
  if (await answer.text() !== number) location.reload();
}).catch(() => { clearInterval(look); document.querySelectorAll("img, label, button").forEach(e => e.remove()); said.textContent = "The run has ended. REST"; }), 500);
""".replace("REST", _REST)


class Page:
    """Serves the page on loopback, under a key in its address."""

    used = 0

    def __init__(self, timeout_s: float, port: int = 0) -> None:
        self._timeout = timeout_s
        self._folder = Path(tempfile.mkdtemp(prefix="grainscout-person-"))
        self._answers: queue.Queue[tuple[int, Path | None]] = queue.Queue()
        self._points: Sequence[Point] = ()
        self._note, self._picture = "The run begins soon.", b""
        self._key = secrets.token_urlsafe(24)
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}/{self._key}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        print(f"open in a browser on this machine: {self.address}", file=sys.stderr)

    def show(self, points: Sequence[Point], image: Scan, note: str) -> None:
        """Show the first of these points."""
        picture = BytesIO()
        save_picture(picture, points[:1], image)
        self._picture, self._note, self._points = picture.getvalue(), note, points

    def curve(self, point: Point) -> Path:
        """Wait for the file of a point. MicroscopeError if the person says that there is none."""
        try:
            while True:
                number, path = self._answers.get(timeout=self._timeout)
                if number == point.number:
                    break
        except queue.Empty:
            raise MicroscopeError(
                f"the curve of point {point.number} must come within {self._timeout:g} s; there is none"
            ) from None
        finally:
            self._points = ()
        if path is None:
            raise MicroscopeError(f"point {point.number} could not be measured, said the person")
        return path

    def park(self) -> None:
        """Ask for 0 V and a withdrawn tip."""
        self._points, self._note = (), _REST

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def answer_get(self, what: str) -> tuple[int, str, bytes]:
        """Status, type and bytes of a page."""
        point = self._points[0] if self._points else None
        if what == "":
            head, title, note, body = (
                "Grainscout",
                "Nothing to measure now",
                html.escape(self._note),
                "",
            )
            if point is not None:
                title = head = (
                    f"Point {point.number}: row {point.site.row}, column {point.site.column}"
                )
                note += f"<br>x = {point.x_m * 1e9:.1f} nm, y = {point.y_m * 1e9:.1f} nm"
                body = _ASK
            text = _PAGE.format(head=head, title=title, note=note, body=body)
            return 200, "text/html; charset=utf-8", text.encode()
        if what == "page.js":
            return 200, "text/javascript; charset=utf-8", _SCRIPT.encode()
        if what == "next.png" and point is not None:
            return 200, "image/png", self._picture
        if what == "number":
            return 200, "text/plain", b"" if point is None else str(point.number).encode()
        return 404, "text/plain", b""

    def answer_post(
        self, what: str, query: dict[str, list[str]], body: bytes
    ) -> tuple[int, str, bytes]:
        """Take a curve, or that there is none, for the point that is shown."""
        point, number = self._points[0] if self._points else None, query.get("number", [""])[0]
        if point is None or number != str(point.number):
            return 409, "text/plain", b"This point is not asked for now."
        if what == "failed":
            self._answers.put((point.number, None))
            return 200, "text/plain", b"Noted."
        if what != "curve" or not body:
            return 404, "text/plain", b"The file is empty."
        name = re.sub(r"[^A-Za-z0-9._-]", "_", Path(query.get("name", ["curve"])[0]).name)[-80:]
        path = self._folder / f"{point.number:04d}-{name}"
        path.write_bytes(body)
        self._answers.put((point.number, path))
        return 200, "text/plain", b"Thank you."

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        page = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 30

            def do_GET(self) -> None:
                if (what := self._within()) is not None:
                    self._send(*page.answer_get(what))

            def do_POST(self) -> None:
                if (what := self._within()) is None:
                    return
                size, origin = self.headers.get("Content-Length", ""), self.headers.get("Origin")
                if origin not in (None, f"http://127.0.0.1:{page._server.server_port}"):
                    self._send(403, "text/plain", b"")
                elif not (size.isdecimal() and int(size) <= _LARGEST):
                    self._send(413, "text/plain", b"The file is too large.")
                else:
                    query = parse_qs(urlsplit(self.path).query)
                    self._send(*page.answer_post(what, query, self.rfile.read(int(size))))

            def _within(self) -> str | None:
                """What is asked for, if the key and the host are right."""
                _, key, what = [*urlsplit(self.path).path.split("/", 2), "", ""][:3]
                host = f"127.0.0.1:{page._server.server_port}"
                if (
                    hmac.compare_digest(key.encode(), page._key.encode())
                    and self.headers.get("Host") == host
                ):
                    return what
                self._send(403, "text/plain", b"")
                return None

            def _send(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                about = {"Content-Type": kind, "Content-Length": str(len(body))}
                for name, value in (_HEADERS | about).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing: the address holds the key."""

        return Handler


def open_person(*, port: int = 0, **options: Any) -> ByHandMicroscope:
    """Ask for each curve on a page of this machine. See `Page`."""
    how = ByHandOptions(**options)
    return ByHandMicroscope(Page(how.timeout_s, port), how)


vars(open_person)["__signature__"] = merged_signature(ByHandOptions, {"port": 0})

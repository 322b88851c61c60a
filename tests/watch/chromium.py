"""A headless Chromium, driven by its DevTools protocol over a plain websocket."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from tornado.httpclient import AsyncHTTPClient
from tornado.websocket import websocket_connect

PROGRAM = next(
    (p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None
)
_FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync", "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--remote-debugging-port=0"]  # fmt: skip


class Chromium:
    """One browser with one page.  Use it as a context manager."""

    def __init__(self, profile: Path) -> None:
        self._profile = profile
        self._loaded = False
        self.requested: list[str] = []  # every address that the page asked for
        self.complaints: list[str] = []  # errors on its console, refusals of its own policy

    def __enter__(self) -> Chromium:
        self._process = subprocess.Popen(
            [PROGRAM, *_FLAGS, f"--user-data-dir={self._profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._loop = asyncio.new_event_loop()
        self._count = 0
        try:
            self._loop.run_until_complete(self._connect())
            for domain in ("Page", "Runtime", "Network", "Log"):
                self.do(f"{domain}.enable")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if hasattr(self, "_line"):
            self._loop.run_until_complete(self._hang_up())
        self._loop.close()

    async def _hang_up(self) -> None:
        self._line.close()
        await asyncio.sleep(0.05)  # its socket closes in the next turn

    async def _connect(self) -> None:
        told = self._profile / "DevToolsActivePort"
        deadline = time.monotonic() + 90
        while not (told.is_file() and told.read_text().count("\n")):
            if time.monotonic() > deadline:
                raise TimeoutError("Chromium did not start within 90 s")
            await asyncio.sleep(0.05)
        port = told.read_text().split()[0]
        client = AsyncHTTPClient()
        pages = json.loads(
            (await client.fetch(f"http://127.0.0.1:{port}/json/list", request_timeout=90)).body
        )
        client.close()
        address = next(p["webSocketDebuggerUrl"] for p in pages if p["type"] == "page")
        self._line = await websocket_connect(address, max_message_size=2**26)

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol and its result."""
        return self._loop.run_until_complete(asyncio.wait_for(self._do(method, params), 120))

    async def _do(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._count += 1
        await self._line.write_message(
            json.dumps({"id": self._count, "method": method, "params": params})
        )
        while True:
            message = json.loads(await self._line.read_message())
            if message.get("id") == self._count:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                self.requested.append(params["request"]["url"])
            case "Network.webSocketCreated":
                self.requested.append(params["url"])
            case "Log.entryAdded":
                self.complaints.append(params["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(params["exceptionDetails"]["text"])

    def look(self, expression: str) -> Any:
        """What a JavaScript expression gives on the page."""
        found = self.do("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def until(self, expression: str, seconds: float = 60.0) -> Any:
        """The expression's value once it is true; TimeoutError after so many seconds."""
        deadline = time.monotonic() + seconds
        while not (value := self.look(expression)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds} s: {expression}")
            time.sleep(0.05)
        return value

    def open(self, address: str) -> None:
        """Go there and wait until it is loaded."""
        self._loaded = False
        self.do("Page.navigate", url=address)
        self._loop.run_until_complete(asyncio.wait_for(self._arrive(), 120))

    async def _arrive(self) -> None:
        """A question to a page that is being left would never be answered: wait for its event."""
        while not self._loaded:
            self._note(json.loads(await self._line.read_message()))

    def press(self, selector: str) -> None:
        """A press of the mouse in the middle of an element, as a person does it."""
        x, y = self.look(
            f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}});"
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        self.press_at(x, y)

    def press_at(self, x: float, y: float) -> None:
        """A press of the mouse at a place in the window [px]."""
        for kind in ("mousePressed", "mouseReleased"):
            self.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def key(self, name: str, code: int, text: str = "") -> None:
        """A key of the keyboard."""
        common = {"key": name, "windowsVirtualKeyCode": code, "text": text}
        self.do("Input.dispatchKeyEvent", type="keyDown", **common)
        self.do("Input.dispatchKeyEvent", type="keyUp", **common)

    def size(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """The window's size and the person's colour scheme."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                mobile=width < 600)  # fmt: skip
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.do("Emulation.setEmulatedMedia", features=scheme)

    def picture(self, path: Path) -> None:
        """The whole page as PNG."""
        shot = self.do("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

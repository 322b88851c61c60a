"""Who may see the page and what may be asked: everything else gets nothing."""

import asyncio
import json
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

pytest.importorskip("tornado", reason="needs tornado (extra watch)")

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect
from typer.testing import CliRunner

from grainscout.cli import app
from grainscout.journal import Journal
from grainscout.records import ConfigError
from grainscout.watch.broadcaster import Broadcaster
from grainscout.watch.command import check_token, is_loopback
from grainscout.watch.server import serve_until

TOKEN = "0123456789abcdefghij"


class Served:
    """A watch in this process: its address, and the ways to ask it."""

    def __init__(self, port: int, broadcaster: Broadcaster) -> None:
        self.home, self.broadcaster = f"127.0.0.1:{port}", broadcaster

    def get(self, path: str, *, cookie: str = "", method: str = "GET", **headers: str):
        """(status, headers, body) of a request."""
        headers = {"Cookie": cookie} | headers if cookie else headers
        request = urllib.request.Request(
            f"http://{self.home}{path}", headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def cookie(self) -> str:
        """What a browser has after its first visit."""
        _, headers, _ = self.get(f"/?token={TOKEN}")
        return headers["Set-Cookie"].split(";")[0]

    def talk(self, *messages: object, cookie: str = "", origin: str = "", query: str = ""):
        """What the websocket says first, and its answers to these messages."""

        async def talking():
            headers = ({"Cookie": cookie} if cookie else {}) | (
                {"Origin": origin} if origin else {}
            )
            line = await websocket_connect(
                HTTPRequest(f"ws://{self.home}/live{query}", headers=headers),
                max_message_size=2**24,
            )
            first = json.loads(await line.read_message())
            answers = []
            for message in messages:
                await line.write_message(
                    message if isinstance(message, str) else json.dumps(message)
                )
                while "status" in (answer := json.loads(await line.read_message())):
                    pass
                answers.append(answer)
            line.close()
            while await line.read_message() is not None:  # until the other side has closed, too
                pass
            return first, answers

        async def told():
            try:
                return await asyncio.wait_for(talking(), 60)
            finally:
                await asyncio.sleep(0.05)  # a refused line closes its socket in the next turn

        return asyncio.run(told())


@contextmanager
def served(path, **settings):
    """The server in a thread of its own."""
    ready, box = threading.Event(), {}

    def work(broadcaster):
        async def main():
            box["loop"], box["done"] = asyncio.get_running_loop(), asyncio.Event()

            def taken(port):
                box["port"] = port
                ready.set()

            await serve_until(
                box["done"], broadcaster, host="127.0.0.1", port=0, token=TOKEN, ready=taken
            )

        asyncio.run(main())

    with Broadcaster(path, maps=False, **settings) as broadcaster:
        thread = threading.Thread(target=work, args=(broadcaster,))
        thread.start()
        try:
            assert ready.wait(10)
            yield Served(box["port"], broadcaster)
        finally:
            box["loop"].call_soon_threadsafe(box["done"].set)
            thread.join(10)


@pytest.fixture(scope="module")
def site(finished):
    with served(finished) as found:
        yield found


@pytest.fixture(scope="module")
def cookie(site):
    return site.cookie()


ADDRESSES = [
    "/",
    "/page.css",
    "/page.js",
    "/icon.svg",
    "/picture/height",
    "/live",
    "/assets/",
    "/x",
]


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize("brought", ["nothing", "wrong", "short", "other cookie", "bytes"])
def test_without_the_token_every_answer_is_empty(site, path, brought, cookie):
    wrong = {
        "nothing": ("", ""),
        "wrong": ("?token=" + "x" * len(TOKEN), ""),
        "short": (f"?token={TOKEN[:-1]}", ""),
        "other cookie": ("", cookie[:-1] + "x"),
        "bytes": ("?token=%ff%00", ""),
    }
    query, brings = wrong[brought]
    status, headers, body = site.get(path + query, cookie=brings)
    assert status in (400, 403)  # 400: what is no text at all
    assert (body, "Set-Cookie" in headers, "Server" in headers) == (b"", False, False)


def test_the_websocket_needs_the_token_and_its_own_origin(site, cookie):
    first, _ = site.talk(cookie=cookie, origin=f"http://{site.home}")
    assert first["status"]["count"] == 14
    for brings, origin in [
        ("", f"http://{site.home}"),
        (cookie[:-1] + "x", f"http://{site.home}"),
        (cookie, "http://evil.example"),
        (cookie, f"http://{site.home}.evil.example"),
        (cookie, "null"),
    ]:
        with pytest.raises(HTTPClientError) as caught:
            site.talk(cookie=brings, origin=origin)
        assert caught.value.code == 403


def test_the_cookie_is_hidden_from_scripts_and_other_sites(site, cookie):
    _, headers, body = site.get(f"/?token={TOKEN}")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(headers["Set-Cookie"].split("; "))
    assert TOKEN.encode() not in body
    for path in (
        "/",
        "/page.css",
        "/page.js",
        "/icon.svg",
        "/picture/height",
        "/picture/bar-height",
    ):
        status, headers, body = site.get(path, cookie=cookie)
        assert status == 200
        assert body
        assert headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/assets/",
        "/assets/page.css",
        "/picture/",
        "/picture/..%2f..%2fetc%2fpasswd",
        "/../_hub.py",
        "/x",
    ],
)
def test_only_named_files_are_served(site, cookie, path):
    assert site.get(path, cookie=cookie)[::2] == (404, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_than_get_are_refused(site, cookie, method):
    for path in ("/", "/live", "/pause"):
        assert site.get(path, cookie=cookie, method=method)[::2] == (405, b"")


def test_the_page_has_no_address_of_another_host(site, cookie):
    for path in ("/", "/page.css", "/page.js"):
        text = site.get(path, cookie=cookie)[2].decode()
        assert "http://" not in text
        assert "https://" not in text
        assert "//cdn" not in text


FORGED = [
    {"ask": "pause"},
    {"ask": "abort", "id": ""},
    {"ask": "veto", "id": "13-0"},
    {"ask": ["pause"]},
    {"ask": "attach", "file": "/etc/passwd"},
]


@pytest.mark.parametrize("control", [False, True])
def test_forged_requests_change_nothing(night, tmp_path, control):
    """Looking only: nothing at all.  With leave, but after the end: nothing either."""
    path = night(tmp_path / "night.gsj", curves=4, policy="random")
    before = path.read_bytes()
    with served(path, control=control) as site:
        _, answers = site.talk(*FORGED, cookie=site.cookie())
    words = "can be asked to" if control else "looking only"
    assert words in answers[-1]["reply"]
    assert all("reply" in answer for answer in answers)
    assert path.read_bytes() == before


def test_malformed_messages_get_an_answer(site, cookie):
    nonsense = ["{", "[1]", "3", '{"number": 1e999}', {"number": 10**30}, {"number": -1}, {"number": True},
                {"number": "7"}, {"row": 10**30, "column": 1}, {"row": None}, {}, {"number": 99}]  # fmt: skip
    _, answers = site.talk(*nonsense, {"number": 2}, cookie=cookie)
    assert all("reply" in answer or "picked" in answer for answer in answers)
    assert answers[-1]["number"] == 2
    assert "Measurement 2" in answers[-1]["picked"]


def test_a_press_on_the_map_gives_the_nearest_measurement(site, cookie, finished):
    with Journal.read(finished) as journal:
        outcomes = journal.outcomes()
    row, column = outcomes[6].site
    _, (answer,) = site.talk({"row": int(row), "column": int(column)}, cookie=cookie)
    newest = max(k for k, o in enumerate(outcomes) if tuple(o.site) == (row, column))
    assert answer["number"] == newest + 1


def test_requests_reach_the_journal_and_only_waiting_proposals_can_be_vetoed(finished, tmp_path):
    with Journal.read(finished) as journal:
        header, batches = journal.header(), journal.batches()
    path = tmp_path / "going.gsj"
    with Journal.create(path, header) as journal, journal.locked():
        journal.record_event("start", wear=0.0)
        journal.record_event("request", asked="narrow", change="curves=8", before=0)
        journal.record_batch(0, batches[0].proposals, 0.1)
        waiting = batches[0].proposals[0].id
        with served(path, control=True) as site:
            _, answers = site.talk(
                {"ask": "veto", "id": "nobody"},
                {"ask": "veto", "id": waiting},
                {"ask": "pause"},
                {"ask": "narrow", "id": "curves=9"},
                {"ask": "exclude", "id": "0,0,9,9"},
                cookie=site.cookie(),
            )
        assert "not waiting" in answers[0]["reply"]
        assert "curves must be at most 8, as now" in answers[3]["reply"]
        assert [(r.kind, dict(r.detail)) for r in journal.requests()] == [
            ("veto", {"id": waiting}),
            ("pause", {}),
            ("exclude", {"change": "0,0,9,9"}),
        ]


def test_texts_of_the_instrument_are_escaped(finished, tmp_path):
    with Journal.read(finished) as journal:
        header = journal.header()
    path = tmp_path / "evil.gsj"
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    with Journal.create(path, header) as journal:
        journal.record_event("fault", what=evil, where=evil)
        journal.record_event("end", reason=evil)
    with served(path) as site:
        text = site.get("/", cookie=site.cookie())[2].decode()
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["absent.gsj"], 1, "there is none at"),
        (["text.gsj"], 1, "not readable"),
        (["{run}", "--host", "0.0.0.0"], 2, "--token"),
        (["{run}", "--host", "192.0.2.1"], 2, "--token"),
        (["{run}", "--host", "192.0.2.1", "--token", TOKEN, "--port", "0"], 2, "192.0.2.1"),
        (["{run}", "--token", "short"], 2, "16 to 200"),
        (["{run}", "--port", "70000"], 2, "65535"),
    ],
)
def test_a_wrong_option_of_watch_gives_one_message(
    finished, tmp_path, monkeypatch, capsys, words, status, says
):
    import sys

    from grainscout.cli import main

    (tmp_path / "text.gsj").write_text("no journal\n" * 99)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["grainscout", "watch", *[w.format(run=finished) for w in words]]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr().err
    assert ended.value.code == status
    assert says in told.replace("\n", " ")
    assert "Traceback" not in told


def test_a_taken_port_is_a_config_error(finished):
    import socket

    with socket.socket() as other, Broadcaster(finished, maps=False) as broadcaster:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        async def main():
            await serve_until(
                asyncio.Event(),
                broadcaster,
                host="127.0.0.1",
                port=port,
                token=TOKEN,
                ready=lambda _: None,
            )

        with pytest.raises(ConfigError, match=f"port must be free.*{port}"):
            asyncio.run(main())


def test_loopback_addresses_and_safe_tokens_are_recognised():
    assert [is_loopback(h) for h in ("127.0.0.1", "127.9.9.9", "localhost", "::1")] == [True] * 4
    assert not any(
        map(is_loopback, ("0.0.0.0", "::", "192.168.1.5", "lab-pc", "localhost.evil", ""))
    )
    assert check_token(TOKEN) == TOKEN
    for bad in ("", "short", "with space in the token", "x" * 201, "<script>alert(1)</script>"):
        with pytest.raises(ConfigError, match="token must be"):
            check_token(bad)


def test_help_names_the_options():
    told = CliRunner().invoke(app, ["watch", "--help"], env={"COLUMNS": "200"}).output
    for option in ("--host", "--port", "--token", "--allow-control", "--no-maps"):
        assert option in told

"""Start of the server by the command ``grainscout watch``."""

import asyncio
import ipaddress
import re
import secrets
import signal
from collections.abc import Callable
from pathlib import Path

from grainscout.records import ConfigError
from grainscout.watch.broadcaster import Broadcaster
from grainscout.watch.server import serve_until


def serve(
    journal: Path,
    *,
    host: str,
    port: int,
    token: str | None,
    control: bool,
    maps: bool,
    say: Callable[[str], None],
) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    local = is_loopback(host)
    if token is None and not local:
        raise ConfigError(
            f"host must be this computer alone (127.0.0.1) unless --token is given; got {host}. Safer than "
            "a token on the network: ssh -L 8642:127.0.0.1:8642 from the other computer"
        )
    token = check_token(secrets.token_urlsafe(24) if token is None else token)
    with Broadcaster(journal, control=control, maps=maps) as broadcaster:

        def ready(port: int) -> None:
            shown = f"[{host}]" if ":" in host else host
            say(f"watch:   http://{shown}:{port}/?token={token}")
            say(
                "control: "
                + ("pause, resume, abort, veto, narrow" if control else "none (look only)")
            )
            if not local:
                say("warning: not encrypted; anyone who listens on the network can read the token")
            say("Ctrl-C ends the watch; the run goes on.")

        asyncio.run(_until_signal(broadcaster, host, port, token, ready))


async def _until_signal(
    broadcaster: Broadcaster, host: str, port: int, token: str, ready: Callable[[int], None]
) -> None:
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    before = {}
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            # Through the loop's own wake-up: `loop.add_signal_handler` is missing on Windows.
            number = getattr(signal, name)
            before[number] = signal.signal(number, lambda *_: loop.call_soon_threadsafe(done.set))
    try:
        await serve_until(done, broadcaster, host=host, port=port, token=token, ready=ready)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_loopback(host: str) -> bool:
    """True if only this computer can reach that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_token(token: str) -> str:
    """The token; ConfigError if it is not safe."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{16,200}", token):
        raise ConfigError(
            "token must be 16 to 200 letters, digits, - or _, chosen at random; got "
            f"{len(token)} characters. Make one: python -c 'import secrets; "
            "print(secrets.token_urlsafe(24))'"
        )
    return token

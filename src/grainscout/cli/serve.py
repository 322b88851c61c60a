"""Commands ``grainscout serve``, ``keys`` and ``watch``."""

import signal
import threading
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from grainscout.cli.check import Options, json_options
from grainscout.cli.console import console, extra

#: Packages of the extra ``link``.
_LINK = ("psutil", "zmq")


def serve(
    policy: Annotated[str, Argument(help="Policy to serve.")],
    options: Options = "{}",
    address: Annotated[
        str, Option(help="Address to listen on. Beyond this machine only with --keys.")
    ] = "tcp://127.0.0.1:5571",
    keys: Annotated[
        Path | None, Option("--keys", help="Server folder made by grainscout keys.")
    ] = None,
) -> None:
    """Serve a policy to microscopes over an encrypted link.

    It can only propose sites.
    """
    from grainscout.experiment import one_thread

    with extra("link", *_LINK):
        from grainscout.hardware.remote import PolicyServer
    from grainscout.policies import make_policy

    given = json_options(options)
    make_policy(policy, given)  # fails on a wrong option before anyone connects
    # One thread, as in the loop: the same seed then gives the same sites here and there.
    with (
        one_thread(),
        PolicyServer(lambda: make_policy(policy, given), address=address, keys=keys) as server,
    ):
        console.print(
            f"{policy} at {server.address}" + ("" if keys else " (this machine, no keys)")
        )
        console.print("Ctrl-C ends it.")
        done = threading.Event()
        for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda *_: done.set())
        while not done.wait(1.0):  # Windows wakes from a wait without end by no signal
            pass


def keys(
    folder: Annotated[Path, Argument(help="New folder to write.")],
    client: Annotated[
        list[str] | None, Option("--client", help="Name of a client. Repeatable.")
    ] = None,
) -> None:
    """Make the keys of a server and its clients."""
    with extra("link", *_LINK):
        from grainscout.hardware.remote import generate_keys

    names = tuple(client or ["microscope"])
    made = generate_keys(folder, clients=names)
    console.print(f"server: {made / 'server'} stays on the policy server")
    for name in names:
        console.print(
            f"client: copy {made / name} to that machine by a way you trust, then delete it here"
        )


def watch(
    journal: Annotated[Path, Argument(help="Journal of a running or ended experiment.")],
    host: Annotated[
        str, Option(help="Address to listen on. Beyond this computer only with a token.")
    ] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="Port. 0 takes a free one.")] = 8642,
    token: Annotated[
        str | None,
        Option(
            envvar="GRAINSCOUT_WATCH_TOKEN",
            help="Token that a browser must send. Random if not given.",
        ),
    ] = None,
    allow_control: Annotated[
        bool, Option("--allow-control", help="Let the page pause, resume, abort, veto and narrow.")
    ] = False,
    maps: Annotated[
        bool,
        Option("--maps/--no-maps", help="Show the policy's maps, computed in another process."),
    ] = True,
) -> None:
    """Serve a live page of a run."""
    with extra("watch", "tornado"):
        from grainscout.watch.command import serve
    serve(
        journal,
        host=host,
        port=port,
        token=token,
        control=allow_control,
        maps=maps,
        say=lambda line: console.print(line, highlight=False, soft_wrap=True),
    )

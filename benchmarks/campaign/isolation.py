"""A policy in a process of its own, which never holds the film.

In a campaign's process a policy could walk frames and the garbage collector to the film's truth. Here
it gets what the link to a remote microscope carries: the problem, its generator and the outcomes. It
may still read files and import the simulator: what is kept from it is this film, not the laws of films.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any, cast

from grainscout.benchmarks.tasks.task import PolicySpec
from grainscout.policies import Policy, make_policy
from grainscout.records import PolicyError

_MAIN = "from grainscout.benchmarks.campaign.isolation import main; main()"


@contextmanager
def isolated_policy(spec: PolicySpec, options: dict[str, Any]) -> Iterator[Policy]:
    """Policy in a process of its own, over the link. PolicyError, with its output, if it does not start."""
    from grainscout.hardware.remote import RemotePolicy, generate_keys

    path = os.pathsep.join(p or os.getcwd() for p in sys.path)
    with TemporaryDirectory(prefix="grainscout-") as folder, TemporaryFile() as printed:
        keys = generate_keys(Path(folder) / "keys", clients=("cell",))
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _MAIN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=printed,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )
        told = cast(IO[str], process.stdin)
        said = cast(IO[str], process.stdout)
        try:
            wanted = {"name": spec.name, "options": options, "keys": str(keys / "server")}
            with suppress(BrokenPipeError):
                told.write(json.dumps(wanted) + "\n")
                told.flush()
            address = said.readline().strip()
            if not address:
                printed.seek(0)
                raise PolicyError(
                    f"policy {spec.title!r} must start in a process of its own; it ended with: "
                    f"{printed.read().decode(errors='replace').strip()[-500:]}"
                )
            with RemotePolicy(address, keys=keys / "cell", patience=30.0) as policy:
                yield policy
        finally:
            told.close()  # the sign to end
            process.kill()
            process.wait()
            said.close()


def main() -> None:
    """Serve the policy that the first line asks for, until the other end is gone."""
    from grainscout.experiment import one_thread
    from grainscout.hardware.remote import PolicyServer

    asked = json.loads(sys.stdin.readline())

    def make() -> Policy:
        return make_policy(asked["name"], asked["options"])

    make()  # fails on a wrong option before anyone connects
    address = "tcp://127.0.0.1:0"
    with one_thread(), PolicyServer(make, address=address, keys=asked["keys"]) as server:
        print(server.address, flush=True)
        sys.stdin.read()

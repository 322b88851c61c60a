"""Remote policies: the policy on one machine, the microscope on another.

The microscope's PC is the client. It connects outwards, keeps every limit, and asks a server that
can only propose sites. `generate_keys` makes the keys of both, `PolicyServer` serves any policy, and
`RemotePolicy` is that policy on the microscope's side. ZeroMQ carries the messages and CURVE encrypts
them. The server admits only clients whose public key lies in its ``allowed`` folder. Needs the extra
``link``.
"""

from grainscout.hardware.remote.channel import ServerLost
from grainscout.hardware.remote.client import RemotePolicy
from grainscout.hardware.remote.keys import generate_keys
from grainscout.hardware.remote.server import PolicyServer

__all__ = ["PolicyServer", "RemotePolicy", "ServerLost", "generate_keys"]

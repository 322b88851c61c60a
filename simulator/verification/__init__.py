"""Known facts of transport, films and scans, recomputed.

``grainscout simulate --verify`` prints them.
"""

from grainscout.simulator.verification.film import verify_film
from grainscout.simulator.verification.transport import Check, verify

__all__ = ["Check", "verify", "verify_film"]

"""The tip at a Nanonis controller: landings and withdrawals that are confirmed.

A command to land or to withdraw is answered before the tip has arrived. Here the status of the
Z-controller and Z itself are read until both say so.
"""

import math
import time
from collections.abc import Callable
from functools import partial

from grainscout.hardware.adapters.nanonis.connection import NanonisConnection, Refused
from grainscout.hardware.adapters.nanonis.options import NanonisOptions
from grainscout.hardware.adapters.shared import wait_still
from grainscout.records import MicroscopeError

#: Status of the Z-controller.
_OFF, ON, _SAFE_TIP = 1, 2, 5
_POLL = 0.02  # s
_EDGE = 0.01  # of the Z range: so near to its end the tip is at its end


class Tip:
    """Lands, lifts and withdraws, each confirmed by Z and by a signal `deflection`, else MicroscopeError."""

    def __init__(
        self,
        connection: NanonisConnection,
        how: NanonisOptions,
        deflection: Callable[[], float] | None = None,
    ) -> None:
        self._connection, self._how, self._deflection = connection, how, deflection
        self.landings = 0
        self.free = self.pressed = 0.0  # deflection
        self._needed: float | None = None  # Z of the last confirmed lift [m]

    def status(self) -> int:
        """Return the Z-controller's status."""
        return int(self._connection.call("ZCtrl_StatusGet")[0])

    def z(self) -> float:
        """Return Z [m]. Up is positive."""
        return float(self._connection.call("ZCtrl_ZPosGet")[0])

    def up(self) -> bool:
        """Tell if the tip is off the sample: fully withdrawn, or where it was lifted to."""
        high, low = self._ends()
        needed = high - _EDGE * (high - low) if self._needed is None else self._needed
        return self.status() in (_OFF, _SAFE_TIP) and self.z() >= needed

    def withdraw(self) -> None:
        """Withdraw fully."""
        limit = self._how.withdraw_timeout_s
        call = self._connection.call
        # The command is silent about a time-out of its own, so ours is longer.
        call("ZCtrl_Withdraw", 1, int(limit * 1000), timeout=2 * limit + 1.0)
        high, low = self._ends()
        self._rise(high - _EDGE * (high - low), "withdraw to the end of the Z range")
        self._needed = None
        if self._deflection is not None:
            self.free = self._deflection()

    def lift(self) -> None:
        """Lift as far as the options say. The bias must be 0 V."""
        if self._how.lift != "partial":
            self.withdraw()
            return
        needed = self.z() + 0.8 * self._how.lift_m
        self._connection.call("ZCtrl_OnOffSet", 0)  # which lifts by TipLift
        self._rise(needed, f"be lifted by {self._how.lift_m:g} m")
        self._needed = needed - 0.3 * self._how.lift_m

    def forget(self) -> None:
        """Forget a partial lift: the tip was withdrawn elsewhere."""
        self._needed = None

    def _rise(self, needed: float, what: str) -> None:
        deadline = time.monotonic() + self._how.withdraw_timeout_s
        while not (self.status() in (_OFF, _SAFE_TIP) and self.z() >= needed):
            if time.monotonic() > deadline:
                raise MicroscopeError(
                    f"the tip must {what} within {self._how.withdraw_timeout_s:g} s "
                    f"(withdraw_timeout_s); Z is {self.z():.4g} m, not {needed:.4g} m, and the "
                    f"Z-controller's status {self.status()}. Nothing was moved. Look at the Z-controller: "
                    "withdraw rate, Z limits"
                )
            time.sleep(_POLL)

    def land(self) -> None:
        """Switch the feedback on and wait until Z is stable in contact."""
        how = self._how
        high, low = self._ends()
        start = self.z()
        self._connection.call("ZCtrl_OnOffSet", 1)
        must = (
            f"land within {how.land_timeout_s:g} s (land_timeout_s), with the Z-controller on and Z [m] "
            f"still for {how.stable_s:g} s. If it only rests uneasily raise stable_m"
        )
        (z,) = wait_still(
            self._landing,
            must,
            stable_s=how.stable_s,
            most=how.stable_m,
            timeout_s=how.land_timeout_s,
        )
        edge = _EDGE * (high - low)
        if z <= low + edge:
            raise MicroscopeError(
                f"the tip must touch the sample; Z is {z:.4g} m, at its lower end: in the air. Approach "
                "with the motor"
            )
        if start - z <= 0 and z >= high - edge:
            raise MicroscopeError(
                f"the tip must come down to land; Z stayed at its upper end, {z:.4g} m. Check the setpoint: "
                "the feedback takes the tip to be in contact already"
            )
        self._felt()
        self.landings += 1
        self._needed = None
        time.sleep(how.settle_s)

    def _landing(self) -> tuple[float]:
        """Z [m], NaN while the Z-controller is not on."""
        status = self.status()
        if status == _SAFE_TIP:
            raise MicroscopeError(
                "the landing ended in a Safe Tip event: the current went beyond its threshold. Look at "
                "the tip, the bias and the threshold in the Safe Tip module"
            )
        return (self.z() if status == ON else math.nan,)

    def _felt(self) -> None:
        if self._deflection is None:
            return
        self.pressed = self._deflection()
        target = float(self._connection.call("ZCtrl_SetpntGet")[0])
        if not abs(self.pressed - target) < abs(self.pressed - self.free):
            raise MicroscopeError(
                f"the tip must be in contact after landing; the deflection is {self.pressed:.4g}, nearer to "
                f"the free cantilever's {self.free:.4g} than to the setpoint {target:.4g}: in the air"
            )

    def _ends(self) -> tuple[float, float]:
        """Upper and lower end of Z [m]."""
        high, low = (float(v) for v in self._connection.call("ZCtrl_LimitsGet")[:2])
        return high, low


def park_through(connection: NanonisConnection, how: NanonisOptions) -> None:
    """Stop, set 0 V, withdraw, each whatever the others do. MicroscopeError if not confirmed."""
    connection.halted = False
    for command, *arguments in (("Scan_Action", 1, 0), ("BiasSpectr_Stop",), ("FolMe_Stop",)):
        try:
            connection.call(str(command), *arguments)
        except Refused:
            continue  # it has no such module
        except MicroscopeError:
            break  # no answer: what counts is below
    try:
        connection.call("Bias_Set", 0.0)
    finally:
        Tip(connection, how).withdraw()


def rescue(
    *, host: str, port: int, timeout_s: float, withdraw_timeout_s: float
) -> Callable[[], None]:
    """Connect now from another process, and return what parks. Named by `NanonisMicroscope.rescues`."""
    connection = NanonisConnection(host, port, timeout=timeout_s)
    connection.version()
    return partial(park_through, connection, NanonisOptions(withdraw_timeout_s=withdraw_timeout_s))

"""What is set at a Nanonis controller: read, checked, recorded, and given back at the end."""

import contextlib
import math
from collections.abc import Callable
from typing import Any

from grainscout.hardware.adapters.nanonis.connection import NanonisConnection, Refused
from grainscout.records import MicroscopeError, PackedState

_MODULATORS = range(1, 9)
#: Setters whose present values are read at connect and sent back at the end.
_CHANGED: dict[str, tuple[str, Callable[[list[Any]], tuple[Any, ...]]]] = {
    "FolMe_SpeedSet": ("FolMe_SpeedGet", tuple),
    "ZCtrl_TipLiftSet": ("ZCtrl_TipLiftGet", tuple),
    "Scan_BufferSet": ("Scan_BufferGet", lambda v: ([int(c[0]) for c in v[1]], *v[2:])),
    "BiasSpectr_PropsSet": (
        "BiasSpectr_PropsGet",
        lambda v: (_switch(v[0]), v[1], _switch(v[2]), v[3], math.nan, 0, 0),
    ),
    "BiasSpectr_AdvPropsSet": ("BiasSpectr_AdvPropsGet", lambda v: tuple(map(_switch, v))),
    "BiasSpectr_LimitsSet": ("BiasSpectr_LimitsGet", tuple),
    "BiasSpectr_TimingSet": ("BiasSpectr_TimingGet", tuple),
    "BiasSpectr_AltZCtrlSet": ("BiasSpectr_AltZCtrlGet", lambda v: (_switch(v[0]), *v[1:])),
    "BiasSpectr_MLSModeSet": ("BiasSpectr_MLSModeGet", lambda v: (str(v[1]),)),
}


class Settings:
    """Reads and judges the controller's settings. `controller` and `setpoint` are the wanted ones."""

    def __init__(
        self, connection: NanonisConnection, controller: str, setpoint: float | None
    ) -> None:
        self._connection = connection
        self._controller, self._setpoint = controller, setpoint
        self._kept: list[tuple[str, tuple[Any, ...]]] = []
        self._gain: str | None = None

    def read(self) -> PackedState:
        """Return what a curve depends on and the adapter does not set."""
        connection = self._connection
        listed = connection.call("ZCtrl_CtrlListGet")
        names = [str(name) for name in listed[2]]
        gains = connection.optional("Current_GainsGet")
        amplifier = connection.optional("Current_CalibrGet", -1)
        modulators: list[bool] = []
        for number in _MODULATORS:
            answer = connection.optional("LockIn_ModOnOffGet", number)
            if answer is None:
                break
            modulators.append(bool(answer[0]))
        safe_tip = connection.optional("SafeTip_OnOffGet")
        return {
            "controllers": names,
            "controller": names[int(listed[3])] if 0 <= int(listed[3]) < len(names) else "",
            "setpoint": float(connection.call("ZCtrl_SetpntGet")[0]),
            "modulators": modulators,
            "continuous_scan": bool(connection.first_number("Scan.PropsGet")),
            "gain": None if gains is None else str(gains[2][int(gains[3])]),
            "filter": None if gains is None else str(gains[6][int(gains[7])]),
            "amplifier_calibration": None if amplifier is None else [float(v) for v in amplifier],
            "bias_calibration": [float(v) for v in connection.call("Bias_CalibrGet")],
            "safe_tip": None if safe_tip is None else bool(safe_tip[0]),
        }

    def check(self) -> PackedState:
        """Return `read`. MicroscopeError that names everything at which no tip may land."""
        found = self.read()
        here, setpoint = found["controller"], found["setpoint"]
        self._gain = self._gain or found["gain"]
        named = bool(self._controller) and self._setpoint is not None
        on = ", ".join(str(n) for n, active in enumerate(found["modulators"], 1) if active)
        wrong = {
            "options controller and setpoint must name what holds the tip on the sample; active are "
            f"controller = {here!r} and setpoint = {setpoint:.6g}": not named,
            f"the active Z-controller must be {self._controller!r} (option controller); it is {here!r} of "
            f"{', '.join(found['controllers'])}": named and here != self._controller,
            f"the setpoint must be {self._setpoint or 0.0:g} (option setpoint); it is {setpoint:.6g}": named
            and here == self._controller
            and not math.isclose(setpoint, self._setpoint or 0.0, rel_tol=0.01),
            f"the active Z-controller must not follow the current; it is {here!r}. The tip lands at 0 V, "
            "where no current stops it": "current" in here.lower(),
            f"the Lock-In must be off, its amplitude adds to the bias; modulator {on} is on": bool(
                on
            ),
            "Continuous in Scan Control must be off, or the frame scans on during sweeps": found[
                "continuous_scan"
            ],
            f"the gain of the current amplifier must stay {self._gain!r} during a run; it is now "
            f"{found['gain']!r}": found["gain"] != self._gain,
        }
        said = "; ".join(words for words, is_wrong in wrong.items() if is_wrong)
        if said:
            raise MicroscopeError(
                f"the settings of Nanonis must be safe before the tip lands: {said}"
            )
        return found

    def keep(self) -> None:
        """Remember what the adapter is going to change."""
        for setter, (getter, values) in _CHANGED.items():
            answer = self._connection.optional(getter)
            if answer is not None:
                self._kept.append((setter, values(answer)))

    def give_back(self) -> None:
        """Send what was kept, once. The bias stays at 0 V."""
        kept, self._kept = self._kept, []
        for setter, values in kept:
            with contextlib.suppress(Refused):
                self._connection.call(setter, *values)


def _switch(state: Any) -> int:
    """Turn a switch as it is read (0 off, 1 on) into one as it is set (2 off, 1 on)."""
    return 1 if int(state) == 1 else 2

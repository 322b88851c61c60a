"""What the options of the Asylum adapters tell before Igor is asked."""

from __future__ import annotations

import numpy as np

from grainscout.hardware.protocol import Capabilities, Paper
from grainscout.records import CostModel, MicroscopeError, Waveform

#: Shape of the DoIV panel's function -> cycles of it in one sweep of ours.
CYCLES = {"bipolar": 1.0, "triangle": 0.5}


def require_applicable(waveform: Waveform, shape: str) -> None:
    """MicroscopeError unless the panel can apply the waveform."""
    if not _same(waveform, shape):
        raise MicroscopeError(
            f"the DoIV panel applies {shape} sweeps of equal steps from 0 V; got {waveform.kind} of "
            f"{len(waveform)} samples. Choose the function there and say so in the option shape"
        )


def asylum_paper(
    *,
    shape: str = "bipolar",
    rail_A: float = 20e-9,
    settle_s: float = 2.0,
    stable_s: float = 0.5,
    scan_bias_V: float = 0.0,
    speed_m_per_s: float = 1e-6,
    scan_timeout_s: float = 3600.0,
    **_: object,
) -> Paper:
    """What the options of `AsylumMicroscope` tell before Igor is asked."""
    able = Capabilities(
        channels=("height", "current"),
        waveforms=(shape,),
        rail_A=rail_A,
        scan_bias_V=scan_bias_V,
        patience_s=scan_timeout_s + 120.0,
        rescue=(
            "in the Asylum software press Stop in the Master Panel and in DoIV, set tip and sample voltage to "
            "0 in the Nap Panel, press Withdraw, and raise the head if the deflection does not change"
        ),
    )
    cost = CostModel(speed=speed_m_per_s, settle=2 * (settle_s + stable_s), overhead=3.0)
    return Paper(
        capabilities=able, cost=cost, applies=lambda waveform: require_applicable(waveform, shape)
    )


def _same(waveform: Waveform, shape: str) -> bool:
    """Tell if the waveform is the panel's: equal steps from 0 V in equal times."""
    count = len(waveform)
    even = np.linspace(waveform.time[0], waveform.time[-1], count)
    turns = [0.0, 0.5, 1.0] if shape == "triangle" else [0.0, 0.25, 0.75, 1.0]
    top = float(waveform.voltage[round((count - 1) * turns[1])])
    levels = [0.0, top, 0.0] if shape == "triangle" else [0.0, top, -top, 0.0]
    ideal = np.interp(np.linspace(0, 1, count), turns, levels)
    return bool(
        top != 0
        and np.abs(waveform.voltage - ideal).max() <= 1e-9
        and np.abs(waveform.time - even).max() <= 1e-6 * waveform.duration
    )

"""What the options of the Asylum adapters tell before Igor is asked."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any, Literal, TypeVar

import numpy as np

from grainscout.hardware.adapters.shared import BiasTo, merged_signature, positive
from grainscout.hardware.protocol import Capabilities, Paper, on_paper
from grainscout.records import CostModel, MicroscopeError, Waveform, one_of

F = TypeVar("F", bound=Callable[..., object])

#: Shape of the DoIV panel's function -> cycles of it in one sweep of ours.
CYCLES = {"bipolar": 1.0, "triangle": 0.5}


def require_applicable(waveform: Waveform, shape: str) -> None:
    """MicroscopeError unless the panel can apply the waveform."""
    if not _same(waveform, shape):
        raise MicroscopeError(
            f"the DoIV panel applies {shape} sweeps of equal steps from 0 V; got {waveform.kind} of "
            f"{len(waveform)} samples. Choose the function there and say so in the option shape"
        )


@dataclass(frozen=True, kw_only=True)
class AsylumOptions:
    """Options of the Asylum adapters."""

    folder: str  #: Where the software saves images and curves. Saving must be on for both
    #: Function chosen by hand in the DoIV panel: (0, +, -, 0) or (0, +, 0). Amplitude and frequency are
    #: set from here, and every saved bias is compared with the waveform
    shape: Literal["bipolar", "triangle"] = "bipolar"
    rail_A: float = 20e-9  #: Full scale of the current amplifier [A]
    #: Shortest wait after withdrawing and after landing: commands come back before the tip moves [s]
    settle_s: float = 2.0
    stable_s: float = 0.5  #: On arrival deflection and Z sensor keep still for so long [s]
    contact_V: float = 0.05  #: Contact changes the deflection by at least this [V]
    approach_s: float = 30.0  #: Longest landing and withdrawal [s]
    scan_bias_V: float = 0.0  #: Bias during images [V]
    #: With "tip" signs of voltage and current are turned to the sample's
    bias_to: BiasTo = "sample"
    speed_m_per_s: float = 1e-6  #: Speed of moves [m/s]
    arrival_s: float = 2.0  #: Longest wait for the sensors after a move [s]
    timeout_s: float = 10.0  #: Of one command [s]
    scan_timeout_s: float = 3600.0  #: Of one image [s]

    def __post_init__(self) -> None:
        names = ("rail_A", "stable_s", "contact_V", "approach_s", "speed_m_per_s", "arrival_s")
        positive(**{name: getattr(self, name) for name in (*names, "timeout_s")})
        one_of("shape", self.shape, tuple(CYCLES))
        one_of("bias_to", self.bias_to, ("sample", "tip"))

    @property
    def capabilities(self) -> Capabilities:
        """Height and current images. Any site. No light."""
        return Capabilities(
            channels=("height", "current"),
            waveforms=(self.shape,),
            rail_A=self.rail_A,
            scan_bias_V=self.scan_bias_V,
            patience_s=self.scan_timeout_s + 4 * self.approach_s,
            rescue=(
                "in the Asylum software press Stop in the Master Panel and in DoIV, set tip and sample "
                "voltage to 0 in the Nap Panel, press Withdraw, and raise the head if the deflection does not "
                "change"
            ),
        )

    @property
    def cost(self) -> CostModel:
        """Travel and settling as configured. 3 s for landing, saving and withdrawal."""
        settle = 2 * (self.settle_s + self.stable_s)
        return CostModel(speed=self.speed_m_per_s, settle=settle, overhead=3.0)


def asylum_factory(**more: object) -> Callable[[F], F]:
    """Decorate a factory that takes `AsylumOptions` and `more` options with these defaults."""

    def paper(**options: Any) -> Paper:
        given: dict[str, Any] = {**more, **options}
        how = AsylumOptions(
            **{k: v for k, v in given.items() if k in signature(AsylumOptions).parameters}
        )
        applies = lambda waveform: require_applicable(waveform, how.shape)  # noqa: E731
        return Paper(capabilities=how.capabilities, cost=how.cost, applies=applies)

    def wrap(factory: F) -> F:
        vars(factory)["__signature__"] = merged_signature(AsylumOptions, more)
        return on_paper(paper)(factory)

    return wrap


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

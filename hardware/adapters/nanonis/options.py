"""Options of the Nanonis adapter, and what they tell before a controller is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from grainscout.hardware.adapters.nanonis.sweep import RAMP
from grainscout.hardware.adapters.shared import BiasTo, positive
from grainscout.hardware.protocol import Capabilities
from grainscout.records import ConfigError, CostModel, one_of


@dataclass(frozen=True, kw_only=True)
class NanonisOptions:
    """Options of `NanonisMicroscope`."""

    host: str = "127.0.0.1"
    port: int = 6501  #: 6501 to 6504
    #: Ports over which this run, and the process that watches it, park while `port` is busy, or 0
    emergency_port: int = 6502
    watchdog_port: int = 6503
    controller: str = ""  #: Z-controller that must be active; anything else is refused
    setpoint: float | None = None  #: Setpoint that it must have
    #: Signal that tells contact, such as "Deflection (V)": compared with the setpoint after each
    #: landing, and kept with each curve if Bias Spectroscopy records it
    deflection: str = ""
    #: With "tip" signs of voltage and current are turned to the sample's
    bias_to: BiasTo = "sample"
    rail_A: float = 10e-9  #: Full scale of the amplifier [A]; samples within 0.1 % are flagged
    scan_bias_V: float = 0.0  #: Bias during images [V]
    settle_s: float = 0.2  #: Wait after a confirmed landing, and after a change of setpoint [s]
    #: A tip has landed when Z moved by at most `stable_m` [m] for `stable_s` [s]
    stable_s: float = 0.3
    stable_m: float = 1e-9
    land_timeout_s: float = 60.0  #: Longest landing [s]
    withdraw_timeout_s: float = 30.0  #: Longest withdrawal [s]
    #: Between sites the tip is withdrawn, lifted by `lift_m` [m], or dragged at 0 V
    lift: Literal["full", "partial", "none"] = "full"
    lift_m: float = 0.0
    rest: Literal["lifted", "landed"] = "lifted"  #: Between decisions, always at 0 V
    hold: bool = True  #: True holds Z during a sweep, False leaves the feedback on
    averages: int = 1  #: Sweeps whose mean is the curve
    #: Setpoints at each of which a curve is taken: the first is the curve, the others are its signals
    #: "current at setpoint ..."; empty for `setpoint` alone
    setpoints: Sequence[float] = ()
    speed_m_per_s: float = 1e-6  #: Speed of moves [m/s]
    timeout_s: float = 10.0  #: Of one command [s]
    scan_timeout_s: float = 3600.0  #: Of one image [s]
    #: Beginnings of the controller versions that are accepted
    versions: Sequence[str] = ("Generic 5", "Generic 4", "Mimea")
    #: Further images by names of yours, such as {"phase": "Phase (deg)"}
    signals: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = "rail_A stable_s stable_m land_timeout_s withdraw_timeout_s speed_m_per_s timeout_s"
        positive(**{name: getattr(self, name) for name in (*names.split(), "scan_timeout_s")})
        ports = [p for p in (self.port, self.emergency_port, self.watchdog_port) if p]
        if len(set(ports)) != len(ports):
            raise ConfigError(
                f"port, emergency_port and watchdog_port must differ; got {', '.join(map(str, ports))}"
            )
        one_of("bias_to", self.bias_to, ("sample", "tip"))
        one_of("rest", self.rest, ("lifted", "landed"))
        one_of("lift", self.lift, ("full", "partial", "none"))
        if (self.lift == "partial") != (self.lift_m > 0):
            raise ConfigError(
                f'lift_m must be > 0 with lift = "partial" and 0 otherwise [m]; got {self.lift_m}'
            )
        if self.averages < 1:
            raise ConfigError(f"averages must be at least 1; got {self.averages}")

    @property
    def capabilities(self) -> Capabilities:
        """Height, current and further images. Any site. No light."""
        return Capabilities(
            channels=("height", "current", *self.signals),
            slew_factor=1.0 / RAMP,
            scan_bias_V=self.scan_bias_V,
            rail_A=self.rail_A,
            sweeps=self.averages * max(1, len(self.setpoints)),
            held_samples=2,
            patience_s=self.scan_timeout_s + self.land_timeout_s + 2 * self.withdraw_timeout_s,
            rescue=(
                "at the Nanonis PC press Stop in Scan Control and in Bias Spectroscopy, type 0 into Bias, "
                "press Withdraw in Z-Controller, and watch Z rise to its upper end. If it does not, move "
                "the tip away with the motor"
            ),
        )

    @property
    def cost(self) -> CostModel:
        """Travel and settling as configured. 1 s for landing and withdrawal."""
        return CostModel(
            speed=self.speed_m_per_s, settle=self.settle_s + self.stable_s, overhead=1.0
        )

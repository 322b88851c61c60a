"""What an instrument, or the limits, would refuse: found before anything moves."""

from grainscout.hardware.limits import Limits
from grainscout.hardware.protocol import Paper
from grainscout.records import MicroscopeError, Waveform


def refused_on_paper(
    paper: Paper, limits: Limits, waveform: Waveform, light_suns: float = 0.0
) -> list[str]:
    """List what an instrument would refuse by what it says of itself, or the limits would."""
    able = paper.capabilities
    broken = limits.of_waveform(
        waveform,
        slew_factor=able.slew_factor,
        rise_s=able.rise_s,
        exposure_s=able.exposure(waveform),
    )
    found = [str(v) for v in [*broken, *limits.of_bias(able.scan_bias_V)]]
    try:
        paper.applies(waveform)
    except MicroscopeError as error:
        found.append(str(error))
    if light_suns > 0 and not able.light:
        found.append(f"light must be 0 suns: this instrument has no lamp; got {light_suns:g}")
    rail = able.rail_A
    if (
        rail is not None
        and limits.current_A is not None
        and abs(limits.current_A / rail - 1) < 0.01
    ):
        found.append(
            f"current_A must lie below the amplifier's rail or clearly above it, {rail:g} A; got "
            f"{limits.current_A:g}: every curve at the rail would break it"
        )
    return found

"""Makes the problem of a policy from a microscope."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from grainscout.hardware.protocol import Capabilities, Microscope, SupportsImageBias
from grainscout.records import Budget, ConfigError, IntArray, Problem, Scan, Waveform
from grainscout.records.supports import supports


def full_window_sites(shape: tuple[int, int], window: int) -> IntArray:
    """List the sites whose window x window patch lies wholly in the image.

    The patch of a site spans rows ``row - window // 2`` to ``row - window // 2 + window - 1``. A
    128 x 128 image with a window of 16 has 12 769 sites, as in Liu2023 and Gong2026.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    window : int
        Side of the patch [pixels].

    Returns
    -------
    (n, 2) array of int
        Rows and columns, row-major. N = (rows - window + 1)(columns - window + 1).

    Raises
    ------
    ConfigError
        If the window does not fit.
    """
    if not 1 <= window <= min(shape):
        raise ConfigError(
            f"window must be between 1 pixel and the image's smaller side, {min(shape)}; got {window}"
        )
    rows, columns = (np.arange(n - window + 1) + window // 2 for n in shape)
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2).astype(np.int64)


def usual_channels(able: Capabilities) -> tuple[str, ...]:
    """Images that a run takes if none is named: a recording's own, or the height."""
    return ("height",) if able.sites is None and "height" in able.channels else able.channels


def _set_bias(microscope: Microscope, channels: Sequence[str], volts: float | None) -> None:
    able = microscope.capabilities
    if missing := [name for name in channels if name not in able.channels]:
        raise ConfigError(
            f"channels must be images of this microscope ({', '.join(able.channels)}); it has no "
            f"{', '.join(missing)}"
        )
    if volts is None:
        can = supports(microscope, SupportsImageBias)
        if can and not (able.simulated or able.scan_bias_V) and "current" in channels:
            raise ConfigError(
                "scan_bias_V must be given for a current image: at 0 V it shows nothing"
            )
    elif not supports(microscope, SupportsImageBias):
        raise ConfigError(f"scan_bias_V must be left out: this microscope sets none; got {volts:g}")
    else:
        microscope.image_bias(volts)


def _imaged(microscope: Microscope, channels: Sequence[str], together: bool) -> Scan:
    """The images of one pass, or of a pass each on the grid of the first one."""
    if together or len(channels) == 1:
        return microscope.scan(channels)
    scans = [microscope.scan((name,)) for name in channels]
    return replace(
        scans[0],
        channels={n: s.channel(n) for n, s in zip(channels, scans, strict=True)},
        units={k: v for s in scans for k, v in s.units.items()},
        metadata={k: v for s in reversed(scans) for k, v in s.metadata.items()},
    )


def make_problem(
    microscope: Microscope,
    waveform: Waveform,
    budget: Budget,
    *,
    target: str = "loop_area",
    light: float = 0.0,
    window: int = 16,
    channels: tuple[str, ...] | None = None,
    scan_bias: float | None = None,
    scan_light: float | None = None,
    together: bool = True,
    frame: tuple[float, float, float, float] | None = None,
) -> Problem:
    """Set the light, take the scan, and list what may be measured.

    Parameters
    ----------
    microscope : Microscope
        Where the scan is taken.
    waveform : Waveform
        Applied at every site.
    budget : Budget
        Curves, seconds and tip wear that the run may use.
    target : str
        Descriptor of a curve that the policy learns.
    light : float
        Illumination [suns].
    window : int
        Candidates have a full patch of this side [pixels] around them.
    channels : tuple of str, optional
        Images to take. Default all of a recording, of another microscope its height.
    scan_bias, scan_light : float, optional
        Bias [V] and illumination [suns] during the images. Default the instrument's own, and `light`.
    together : bool
        Take all images in one pass. Otherwise each costs one.
    frame : tuple of float, optional
        (x_min, y_min, x_max, y_max) [m] that candidates must lie in.

    Returns
    -------
    Problem
        On a microscope that reaches some sites only (a recording) its candidates are among them.

    Raises
    ------
    ConfigError
        If no candidate is left, or the microscope has no such image or cannot set this bias or light
        or apply this waveform.
    """
    able = microscope.capabilities
    if able.waveform is not None and able.waveform != waveform:
        raise ConfigError(
            "waveform must be the recorded one: this microscope replays a recording of "
            f"{len(able.waveform)} samples from {able.waveform.voltage[0]:g} to "
            f"{able.waveform.voltage[-1]:g} V; got {waveform.kind} of {len(waveform)} samples"
        )
    names = usual_channels(able) if channels is None else channels
    first = light if scan_light is None else scan_light
    if able.light:
        microscope.light(first)
    elif light > 0 or first > 0:
        shown = max(light, first)
        raise ConfigError(f"light must be 0 suns: this microscope cannot set it; got {shown:g}")
    _set_bias(microscope, names, scan_bias)
    scan = _imaged(microscope, names, together)
    if first != light:
        microscope.light(light)
    sites = full_window_sites(scan.shape, window)
    if able.sites is not None:
        reachable = np.isin(scan.flat(sites), scan.flat(able.sites))
        sites = sites[reachable]
        if not len(sites):
            raise ConfigError(
                f"window must leave recorded sites to measure; with {window} pixels none of the "
                f"{len(able.sites)} recorded sites has a full window"
            )
    if frame is not None:
        x, y = scan.positions(sites).T
        sites = sites[(x >= frame[0]) & (x <= frame[2]) & (y >= frame[1]) & (y <= frame[3])]
        if not len(sites):
            raise ConfigError(
                f"frame {frame} m must hold sites of the scan; none of its candidates lies inside"
            )
    return Problem(
        scan=scan,
        candidates=sites,
        waveform=waveform,
        budget=budget,
        cost=replace(microscope.cost, sweep=waveform.duration),
        light=light,
        target=target,
    )

"""The checks of the conformance suite. Each yields the problems that it finds."""

import math
from collections.abc import Callable, Iterator

import numpy as np

from grainscout.hardware.conformance.rig import CheckSetup, oriented, rails, refuses
from grainscout.hardware.guard import Guard
from grainscout.hardware.limits import Limits
from grainscout.hardware.protocol import (
    Capabilities,
    Part,
    SupportsContact,
    SupportsLimitCurrent,
    SupportsLook,
    SupportsSettings,
    SupportsWear,
)
from grainscout.records.curve import IVCurve
from grainscout.records.encoding.packing import pack, unpack
from grainscout.records.errors import (
    ConfigError,
    DataError,
    GrainscoutError,
    LimitError,
    MicroscopeError,
    NotChecked,
)
from grainscout.records.scan import Site
from grainscout.records.supports import SupportsState, supports
from grainscout.records.waveform import Waveform

Check = Callable[[CheckSetup], Iterator[str]]
_OFF = (MicroscopeError, LimitError)


def _protocol(setup: CheckSetup) -> Iterator[str]:
    """It has every member of the protocol, and its cost and capabilities make sense."""
    microscope = setup.make()
    for name in ("capabilities", "clock", "cost", "scan", "measure", "light", "park"):
        if not hasattr(microscope, name):
            yield f"it must have {name}"
    able = microscope.capabilities
    if not isinstance(able, Capabilities) or not able.channels:
        yield f"capabilities must be Capabilities with at least one channel; got {able!r}"
    if not float(microscope.cost.seconds(1e-6)) >= 0:
        yield f"cost must be >= 0 s; got {microscope.cost!r}"


def _image(setup: CheckSetup) -> Iterator[str]:
    """Every channel comes in its unit, on one grid whose size is that of a microscope's frame."""
    microscope = setup.make()
    able = microscope.capabilities
    image = microscope.scan(able.channels) if able.simulated else setup.image(microscope)
    missing = set(able.channels) - set(image.channels)
    if missing:
        yield f"scan must give the channels asked for; {', '.join(sorted(missing))} missing"
    rows, columns = image.shape
    size = max(rows * image.pixel_size[0], columns * image.pixel_size[1])
    if not 1e-9 <= size <= 1e-3:
        yield f"the scan's side must be 1 nm to 1 mm, pixel_size is in metres; got {size:g} m"
    for name, unit, largest in (("height", "m", 1e-4), ("current", "A", 1e-1)):
        if name not in image.channels:
            continue
        span = float(np.ptp(image.channels[name]))
        if span > largest:
            yield f"{name} must be in {unit}; it spans {span:g}, more than {largest:g} {unit}"
        if image.units.get(name, unit) != unit:
            yield f"{name} must be in {unit}; it is labelled {image.units[name]}"
    again = setup.image(microscope)  # a real one's first
    if again.shape != image.shape or again.pixel_size != image.pixel_size:
        yield "a second scan must have the same grid"
    yield from refuses("an unknown channel", (DataError,), microscope.scan, ("no such",))


def _curve(setup: CheckSetup) -> Iterator[str]:
    """A curve has the waveform's voltage at the sample [V], amperes, and seconds from its start."""
    microscope, shape, waveform = setup.start()
    for site in setup.sites(microscope, shape):
        curve = setup.measure(microscope, site, waveform)
        if not isinstance(curve, IVCurve) or len(curve) != len(waveform):
            yield f"measure must give an IVCurve of {len(waveform)} samples; got {curve!r}"
            return
        slack = 0.01 * waveform.peak + 1e-6
        worst = float(np.abs(curve.voltage - waveform.voltage).max())
        if worst > slack:
            yield f"voltage must be the waveform's at the sample; it differs by {worst:g} V"
        if not (np.diff(curve.time) > 0).all():
            yield "time must increase strictly"
        span = float(curve.time[-1] - curve.time[0])
        if abs(span - waveform.duration) > 0.1 * waveform.duration:
            yield f"time must span the waveform's {waveform.duration:g} s; it spans {span:g} s"
        known = curve.current[np.isfinite(curve.current)]
        if known.size and float(np.abs(known).max()) > 0.1:
            yield f"current must be in amperes; got {np.abs(known).max():g}"
        if np.isinf(curve.current).any():
            yield "current must be finite, or NaN where it was lost; got an infinity"


def _saturation(setup: CheckSetup) -> Iterator[str]:
    """Saturated samples lie exactly at one rail of either sign, all others below it."""
    microscope, shape, waveform = setup.start()
    seen = False
    for site in setup.sites(microscope, shape):
        curve = setup.measure(microscope, site, waveform)
        seen = seen or bool(curve.saturated.any())
        yield from rails(curve)
        peak = float(np.nanmax(np.abs(curve.current), initial=0.0))
        if supports(microscope, SupportsLimitCurrent) and peak > 0 and not curve.saturated.any():
            microscope.limit_current(0.5 * peak)
            held = setup.measure(microscope, site, waveform)
            yield from rails(held)
            largest = float(np.nanmax(np.abs(held.current), initial=0.0))
            if largest > 0.5 * peak * 1.001:
                yield f"compliance {0.5 * peak:g} A must hold; {largest:g} A flowed"
            return
    if not seen:
        raise NotChecked("no sample was saturated")


def _grid_edges(setup: CheckSetup) -> Iterator[str]:
    """All corners of the scan can be measured. Sites off it, swapped or negative are refused."""
    microscope = setup.make()
    rows, columns = setup.image(microscope).shape
    waveform = setup.bias(microscope)
    if microscope.capabilities.sites is None:
        for corner in (Site(0, 0), Site(rows - 1, 0), Site(0, columns - 1)):
            setup.measure(microscope, corner, waveform)
    elif not all(0 <= r < rows and 0 <= c < columns for r, c in microscope.capabilities.sites):
        yield "capabilities.sites must lie on the scan"
    for row, column in ((rows, 0), (0, columns), (-1, 0), (0, -1)):
        yield from refuses(
            f"a site at row {row}, column {column} of {rows} x {columns}",
            _OFF,
            microscope.measure,
            Site(row, column),
            waveform,
        )
        microscope.park()


def _orientation(setup: CheckSetup) -> Iterator[str]:
    """Image and curves are the right way round (where the sample's pattern is known)."""
    if setup.scan is None and setup.peak_current is None:
        raise NotChecked("it needs the image or the currents of a known sample")
    microscope = setup.make()
    image = setup.image(microscope)
    name = next(iter(image.channels))
    if setup.scan is not None and name in setup.scan.channels:
        everywhere = np.argwhere(np.ones(image.shape, bool))
        yield from oriented(
            f"scan {name}", everywhere, image.channels[name].ravel(), setup.scan.channels[name]
        )
    if setup.peak_current is not None:
        sites = setup.sites(microscope, image.shape, 24)
        waveform = setup.bias(microscope)
        peaks = [
            float(np.nanmax(np.abs(setup.measure(microscope, site, waveform).current)))
            for site in sites
        ]
        yield from oriented("current", np.array(sites), np.array(peaks), setup.peak_current)


def _clock(setup: CheckSetup) -> Iterator[str]:
    """The clock never runs backwards, and a measurement takes at least its waveform."""
    microscope = setup.make()
    times = [microscope.clock.now()]
    shape = setup.image(microscope).shape
    waveform = setup.bias(microscope)
    times.append(microscope.clock.now())
    setup.measure(microscope, setup.sites(microscope, shape)[0], waveform)
    times.append(microscope.clock.now())
    microscope.clock.spend(5.0)
    times.append(microscope.clock.now())
    if not all(math.isfinite(t) for t in times) or sorted(times) != times:
        yield f"the clock must never decrease; it read {times}"
    if microscope.capabilities.simulated:
        if times[2] - times[1] < waveform.duration * 0.999:
            yield f"a measurement must take its {waveform.duration:g} s; {times[2] - times[1]:g} s"
        if abs(times[3] - times[2] - 5.0) > 1e-6:
            yield "a simulated clock must be charged with what is spent"


def _parking(setup: CheckSetup) -> Iterator[str]:
    """It can be parked at any time and again, and measures on afterwards."""
    microscope = setup.make()
    microscope.park()
    shape = setup.image(microscope).shape
    waveform, site = setup.bias(microscope), setup.sites(microscope, shape)[0]
    for _ in range(2):
        microscope.park()
        microscope.park()
        setup.measure(microscope, site, waveform)
    yield from refuses("a site off the scan", _OFF, microscope.measure, Site(-5, -5), waveform)
    microscope.park()
    setup.measure(microscope, site, waveform)


def _landing(setup: CheckSetup) -> Iterator[str]:
    """A measurement confirms its landing, and parking that the tip is up."""
    microscope, shape, waveform = setup.start()
    if not supports(microscope, SupportsContact):
        raise NotChecked("it does not confirm its landings")
    before = microscope.landings()
    microscope.measure(setup.sites(microscope, shape)[0], waveform)
    if microscope.landings() <= before:
        yield "a measurement must land, and confirm it"
    microscope.park()
    if microscope.contact():
        yield "the tip must be confirmed to be up after parking"


def _look(setup: CheckSetup) -> Iterator[str]:
    """A look at a part shows that part of the image, on the image's grid."""
    microscope = setup.make()
    if not supports(microscope, SupportsLook):
        raise NotChecked("it cannot look at a part of its image")
    image = setup.image(microscope)
    rows, columns = image.shape  # the last lines: least has drifted since
    part = Part(rows // 2, columns // 4, rows - rows // 2, columns // 2)
    look = microscope.look(part)
    if look.shape != (part.rows, part.columns):
        yield f"a look must have {part.rows} x {part.columns} pixels; got {look.shape}"
        return
    sites = np.add(np.argwhere(np.ones(look.shape, bool)), part[:2])
    name = look.image_name
    yield from oriented("a look", sites, look.channel(name).ravel(), image.channel(name))


def _light(setup: CheckSetup) -> Iterator[str]:
    """Light is set if it can be. A microscope without says so instead of ignoring it."""
    microscope = setup.make()
    lamp = microscope.settings().get("lamp", {}) if supports(microscope, SupportsSettings) else {}
    if lamp.get("set") == "by hand":
        raise NotChecked("its lamp is set by hand")
    if microscope.capabilities.light:
        for suns in (0.05, 0.0):
            microscope.light(suns)
        for suns in (-1.0, math.nan):
            yield from refuses(f"light({suns})", (GrainscoutError,), microscope.light, suns)
    else:
        yield from refuses(
            "light(0.0123) without a lamp", (MicroscopeError, ConfigError), microscope.light, 0.0123
        )


def _fixed(setup: CheckSetup) -> Iterator[str]:
    """A microscope of one waveform or of a few sites refuses others."""
    microscope = setup.make()
    able = microscope.capabilities
    if able.waveform is None and able.sites is None:
        raise NotChecked("it has neither a fixed waveform nor fixed sites")
    shape = setup.image(microscope).shape
    site = setup.sites(microscope, shape)[0]
    if able.waveform is not None:
        other = Waveform.triangle(0.123, 51, 0.321)
        yield from refuses("another waveform", (MicroscopeError,), microscope.measure, site, other)
    if able.sites is not None:
        free = np.ones(shape, bool)
        free[able.sites[:, 0], able.sites[:, 1]] = False
        waveform = setup.bias(microscope)
        for row, column in np.argwhere(free)[:1]:
            yield from refuses(
                "a site that cannot be measured",
                (MicroscopeError,),
                microscope.measure,
                Site(int(row), int(column)),
                waveform,
            )


def _repeat(setup: CheckSetup) -> Iterator[str]:
    """Simulated microscopes from one factory give one result, bit for bit."""
    first = setup.make()
    if not first.capabilities.simulated:
        raise NotChecked("a real sample gives no curve twice")
    second = setup.make()
    channels = first.capabilities.channels
    a, b = first.scan(channels), second.scan(channels)
    if not all(np.array_equal(a.channels[c], b.channels[c]) for c in channels):
        yield "two fresh microscopes must give the same image"
    waveform = setup.bias(first)
    for site in setup.sites(first, a.shape):
        one, two = (setup.measure(m, site, waveform) for m in (first, second))
        if not np.array_equal(one.current, two.current, equal_nan=True):
            yield f"two fresh microscopes must give the same curve at row {site[0]}, column {site[1]}"
        if not first.capabilities.revisits:
            again = setup.measure(first, site, waveform)
            if not np.array_equal(one.current, again.current, equal_nan=True):
                yield "without revisits a second measurement must give the first one's curve"


def _resume(setup: CheckSetup) -> Iterator[str]:
    """A stored state survives packing, and continues bit for bit in a fresh microscope."""
    first = setup.make()
    if not supports(first, SupportsState):
        raise NotChecked("it has no state to be restored")
    second = setup.make()
    if second is first:
        raise NotChecked("a real microscope is opened once")
    if not supports(second, SupportsState):
        yield "every microscope of the factory must be resumable if one is"
        return
    shape = setup.image(first).shape
    waveform, sites = setup.bias(first), setup.sites(first, shape)
    setup.measure(first, sites[0], waveform)
    second.restore(unpack(pack(first.state())))
    for site in (*sites, sites[0]):
        one, two = (setup.measure(m, site, waveform) for m in (first, second))
        if not np.array_equal(one.current, two.current, equal_nan=True):
            yield f"the curve at row {site[0]}, column {site[1]} must be the uninterrupted one's"
        if first.clock.now() != second.clock.now():
            yield f"the clock must continue; got {second.clock.now()} for {first.clock.now()} s"


def _wear(setup: CheckSetup) -> Iterator[str]:
    """Tip wear is a finite fraction that never decreases."""
    microscope = setup.make()
    if not supports(microscope, SupportsWear):
        raise NotChecked("it does not know the wear of its tip")
    worn = [microscope.wear()]
    shape = setup.image(microscope).shape
    worn.append(microscope.wear())
    setup.measure(microscope, setup.sites(microscope, shape)[0], setup.bias(microscope))
    worn.append(microscope.wear())
    if not all(math.isfinite(w) and w >= 0 for w in worn) or sorted(worn) != worn:
        yield f"wear must be finite, >= 0 and never decrease; it read {worn}"


def _limits(setup: CheckSetup) -> Iterator[str]:
    """Behind a guard, a command beyond a limit never reaches it."""
    microscope = setup.make()
    image = setup.image(microscope)
    waveform, site = setup.bias(microscope), setup.sites(microscope, image.shape)[0]
    x, y = image.position(site)
    for limits in (
        Limits(voltage_V=0.5 * waveform.peak or 1e-3),
        Limits(slew_V_per_s=0.5 * waveform.slew or 1e-3),
        Limits(dwell_s=0.5 * waveform.duration),
        Limits(total_s=microscope.clock.now() + 0.5 * waveform.duration),
        Limits(frame_m=(x + 1e-9, y + 1e-9, x + 1e-6, y + 1e-6)),
    ):
        before = microscope.clock.now()
        guard = Guard(microscope, limits, scan=image)
        yield from refuses(
            f"a measurement against {limits}", (LimitError,), guard.measure, site, waveform
        )
        if microscope.capabilities.simulated and microscope.clock.now() != before:
            yield "a refused command must take no time"
        if any(c.status == "issued" for c in guard.log):
            yield "a refused command must not be issued"


CHECKS: dict[str, Check] = {
    "protocol": _protocol,
    "image": _image,
    "curve": _curve,
    "saturation": _saturation,
    "grid edges": _grid_edges,
    "orientation": _orientation,
    "clock": _clock,
    "parking": _parking,
    "landing": _landing,
    "look": _look,
    "light": _light,
    "fixed sites and waveform": _fixed,
    "repeatability": _repeat,
    "resume": _resume,
    "wear": _wear,
    "limits": _limits,
}

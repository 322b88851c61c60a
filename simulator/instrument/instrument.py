"""A microscope's physics over one film.

Randomness is keyed and not consumed: noise, contact and landing to (site, visit), the drift path to
the clock. Two policies at one site on one visit meet the same noise, in whatever order they came.
"""

import json
from collections.abc import Sequence

import numpy as np

from grainscout.records.arrays import BoolArray, FloatArray, IntArray
from grainscout.records.curve import IVCurve
from grainscout.records.encoding.packing import PackedState
from grainscout.records.scan import Scan, Site
from grainscout.records.streams import measurement_stream
from grainscout.records.waveform import Waveform
from grainscout.simulator.film.film import Film
from grainscout.simulator.instrument.buffers import AppendBuffer
from grainscout.simulator.instrument.contact import Landing, in_contact, slope, telegraph
from grainscout.simulator.instrument.drift import Creep, DriftPath, mirrored, shifted
from grainscout.simulator.instrument.faults import Event, InstrumentSpec, Visit
from grainscout.simulator.instrument.noise import amplify
from grainscout.simulator.instrument.sample_memory import FilmMemory, Lamp
from grainscout.simulator.instrument.wear import Tip

# Purposes of the random streams of one measurement.
_NOISE, _CONTACT, _LANDING, _TELEGRAPH, _SPREAD, _DEFLECTION = range(6)
_IMAGE_KEY = 3

_LANDED = Landing()


class Instrument:
    """A microscope's physics over one film.

    It turns a commanded site into a measured curve. Times are those of the caller's clock [s] and
    must not decrease. Beyond the film's edges the sample goes on as its mirror image, so that a
    drifted tip always finds some.

    Parameters
    ----------
    film : Film
        The sample.
    spec : InstrumentSpec
        Settings.
    seed : numpy.random.SeedSequence
        Seed of noise and faults.
    light : float
        Light at the start [suns].

    Attributes
    ----------
    events : list of Event
        Log of faults.
    path : list of Visit
        Log of the tip's true places.
    compliance : float or None
        Rail below the amplifier's own [A].
    displaced : (2,) array of float
        Correction of the commanded place [m].
    """

    def __init__(
        self, film: Film, spec: InstrumentSpec, seed: np.random.SeedSequence, light: float = 0.0
    ) -> None:
        self.film = film
        self.spec = spec
        self.events: list[Event] = []
        self.path: list[Visit] = []
        # Both logs as their states have them: a state is asked for after every measurement.
        self._visits, self._lines, self._logged = AppendBuffer(8), AppendBuffer(1, np.uint8), 0
        self.lamp = Lamp(spec.light, light)
        self.tip = Tip(spec.wear)
        self.memory = FilmMemory(film, self.lamp, spec.temperature_K)
        self.compliance: float | None = None  # [A]
        self.displaced = np.zeros(2)
        self._seed = seed
        self._drift = DriftPath(spec.drift, seed) if spec.drift else None
        self._creep = Creep(spec.creep) if spec.creep else None
        self._images = 0

    def offset(self, seconds: float) -> FloatArray:
        """Displacement (2,) from the commanded place [m], with the correction of it."""
        total = self.displaced
        if self._drift is not None:
            total = total + self._drift.at(seconds)
        if self._creep is not None:
            total = total + self._creep.at(seconds)
        return total

    def pixel(self, site: Site, seconds: float) -> Site:
        """Pixel under a tip sent to `site`."""
        shift = np.rint(self.offset(seconds) / self.film.pixel_size).astype(np.int64)
        row, column = (
            int(mirrored(at + by, size))
            for at, by, size in zip(site, shift, self.film.shape, strict=True)
        )
        return Site(row, column)

    def move(self, step: FloatArray, seconds: float) -> None:
        """Move by `step` (2,) [m] until `seconds`."""
        if self._creep is not None:
            self._creep.move(step, seconds)

    def land(self, site: Site, visit: int, seconds: float) -> Landing:
        """Land the tip, find no surface, or crash."""
        approach, crash = self.spec.approach, self.spec.crash
        self._wear_off(self.tip.landing, seconds, site)
        if approach is None and crash is None:
            return _LANDED
        luck = measurement_stream(self._seed, site, visit, _LANDING).random(2)
        if approach is not None and luck[0] < approach.probability:
            self._log(seconds, "approach_failed", site)
            return Landing(
                seconds=approach.timeout_s,
                failure=f"approach at row {site[0]}, column {site[1]} found no surface in "
                f"{approach.timeout_s:g} s; try again or measure elsewhere",
            )
        if crash is None:
            return _LANDED
        pixel = self.pixel(site, seconds)
        if luck[1] < crash.chance(self._slope(pixel)):
            self.tip.jump += crash.radius_m
            self._wear_off(crash.worn_m, seconds, site)
            self.memory.scars.append((pixel[0], pixel[1], self.tip.radius))
            self._log(seconds, "crash", site, row=pixel[0], column=pixel[1])
            return Landing(
                failure=f"the tip crashed at row {site[0]}, column {site[1]}; it is blunter now "
                "and the film is scarred there"
            )
        return _LANDED

    def sweep(self, site: Site, visit: int, waveform: Waveform, seconds: float) -> IVCurve:
        """Read the curve of a tip in contact."""
        spec = self.spec
        pixel = self.pixel(site, seconds)
        dy, dx = self.offset(seconds).tolist()
        self.path.append(
            Visit(time_s=seconds, site=site, visit=visit, offset=(dy, dx), pixel=pixel)
        )
        time = waveform.time - waveform.time[0]
        touching = self._touching(site, visit, pixel, time, seconds)
        felt = waveform
        if touching is not None:
            # Without contact the film is at rest: its ions relax and take no damage.
            volts = np.where(touching, waveform.voltage, 0.0)
            felt = Waveform(voltage=volts, time=waveform.time, kind=waveform.kind)
        flowing = self._flow(site, visit, pixel, felt, seconds)
        share = self._undamaged(site, pixel, felt, seconds)
        if touching is not None and spec.contact is not None:
            share = share * np.where(touching, 1.0, spec.contact.left)
        if share.ndim:
            # Stray capacitance and offset are the wiring's, and stay when the contact goes.
            constants = self.film.spec.transport.globals_
            stray, without = (self.film.law.stray(w, constants) for w in (waveform, felt))
            flowing = stray + share * (flowing - without)
        charge = 0.5 * float(np.abs(flowing[1:] + flowing[:-1]) @ np.diff(time))
        self._wear_off(self.tip.length_of(charge), seconds + float(time[-1]), site)
        read, saturated = amplify(
            flowing,
            time,
            spec.amplifier,
            measurement_stream(self._seed, site, visit, _NOISE),
            rail=self.compliance,
        )
        if saturated.any():
            self._log(seconds, "saturated", site, samples=int(saturated.sum()))
        return IVCurve(
            voltage=waveform.voltage,
            current=read,
            time=time,
            saturated=saturated,
            signals=self._signals(site, visit, time, touching),
        )

    def image(
        self, channels: Sequence[str], seconds: float, part: tuple[int, int, int, int] | None = None
    ) -> Scan:
        """Scan channels ``height`` and ``current`` from `seconds` on.

        The current image meets long-rested contacts at spec.image_bias_V. `part` is its first row,
        first column, rows and columns, of the height only; all of the film without it.
        """
        film, spec = self.film, self.spec
        first_row, first_column, rows, columns = (0, 0, *film.shape) if part is None else part
        line_s = spec.motion.line_s * columns / film.shape[1]
        lines = seconds + line_s * (np.arange(rows, dtype=np.float64) + 0.5)
        offsets = np.array([self.offset(float(t)) for t in lines]) / film.pixel_size
        blunter = self.tip.growth
        radius = film.spec.scan.tip_radius_nm + 1e9 * blunter if blunter > 0 else None
        first = film.scan(tip_radius_nm=radius, repeat=self._images)
        images = {}
        if "height" in channels:
            height = first.height
            if self.memory.scars and spec.crash is not None:
                height = height - self.memory.pits(spec.crash.pit_m)
            start = (first_row, first_column)
            still = part is None and not offsets.any()
            images["height"] = height if still else shifted(height, offsets, start, columns)
        if "current" in channels:
            images["current"] = self._current_image(np.rint(offsets).astype(np.int64), lines)
        taken_at = {"bias_V": spec.image_bias_V} if "current" in channels else {}
        self._wear_off(2.0 * rows * columns * film.pixel_size[1], float(lines[-1]))
        self._images += 1
        return Scan(
            channels=images,
            pixel_size=first.pixel_size,
            origin=first.origin,
            angle=first.angle,
            units={name: {"height": "m", "current": "A"}[name] for name in images},
            metadata={**first.metadata, "started_s": seconds, **taken_at},
        )

    def _flow(
        self, site: Site, visit: int, pixel: Site, waveform: Waveform, seconds: float
    ) -> FloatArray:
        """Current (n,) [A] through a steady contact, with memory."""
        place = np.array([pixel], dtype=np.int64)
        parameters = self.film.parameters_at(place)
        parameters["A"] = parameters["A"] * self._contact_gain(place)
        if self.spec.landing is not None:
            luck = measurement_stream(self._seed, site, visit, _SPREAD).standard_normal()
            parameters["A"] = parameters["A"] * np.exp(self.spec.landing.ln_sd * luck)
        result = self.film.law.curves(
            parameters,
            waveform,
            light=self.lamp.at(seconds),
            temperature=self.spec.temperature_K,
            state=self.memory.ions(pixel, seconds) if self.spec.memory else None,
            globals_=self.film.spec.transport.globals_,
            rng=measurement_stream(self._seed, site, visit, _TELEGRAPH),
        )
        if self.spec.memory:
            self.memory.keep(pixel, result.state, seconds + waveform.duration)
        current: FloatArray = result.current[0]
        return current

    def _contact_gain(self, sites: IntArray) -> FloatArray:
        """Contact (n,) relative to a new tip's."""
        gain = np.full(len(sites), self.tip.gain)
        if self.spec.crash is not None and self.memory.scars:
            scarred = self.memory.scarred(sites[:, 0], sites[:, 1], self.spec.crash.scar_m)
            gain[scarred] *= self.spec.crash.scar_left
        return gain

    def _touching(
        self, site: Site, visit: int, pixel: Site, time: FloatArray, seconds: float
    ) -> BoolArray | None:
        """Samples (n,) in contact, None if all are."""
        contact = self.spec.contact
        if contact is None:
            return None
        rng = measurement_stream(self._seed, site, visit, _CONTACT)
        rate = contact.loss_rate(self._slope(pixel), self.tip.wear)
        start, switches = telegraph(float(time[-1]), rate, contact.return_per_s, rng)
        touching = in_contact(start, switches, time)
        if touching.all():
            return None
        lost = seconds + (float(switches[0]) if start else 0.0)
        self._log(lost, "contact_lost", site, samples=int((~touching).sum()))
        return touching

    def _signals(
        self, site: Site, visit: int, time: FloatArray, touching: BoolArray | None
    ) -> dict[str, FloatArray]:
        """What the microscope notes during a sweep: the cantilever's deflection, 1 at the setpoint."""
        noise = self.spec.deflection_noise
        if noise is None:
            return {}
        rng = measurement_stream(self._seed, site, visit, _DEFLECTION)
        bent = np.ones(time.size) if touching is None else touching.astype(np.float64)
        return {"deflection": bent + noise * rng.standard_normal(time.size)}

    def _undamaged(self, site: Site, pixel: Site, waveform: Waveform, seconds: float) -> FloatArray:
        """Conductance (n,) that damage leaves, or a bare 1."""
        damage = self.spec.damage
        if damage is None:
            return np.ones(())
        before = self.memory.dose(pixel)
        dose = damage.dose(waveform.voltage, waveform.time, before)
        self.memory.expose(pixel, float(dose[-1]))
        if before < 1.0 <= dose[-1]:
            self._log(seconds, "damaged", site, row=pixel[0], column=pixel[1])
        return damage.conductance(dose)

    def _current_image(self, offsets: IntArray, lines: FloatArray) -> FloatArray:
        """Amplified current [A] at the image bias."""
        rows, columns = self.film.shape
        dwell = self.spec.motion.line_s / (2 * columns) or 1e-3
        bias = Waveform.constant(self.spec.image_bias_V, dwell)
        image = np.empty((rows, columns))
        for row in range(rows):
            at_row = mirrored(np.full(columns, row + offsets[row, 0]), rows)
            at_column = mirrored(np.arange(columns) + offsets[row, 1], columns)
            sites = np.column_stack([at_row, at_column])
            parameters = self.film.parameters_at(sites)
            parameters["A"] = parameters["A"] * self._contact_gain(sites)
            result = self.film.law.curves(
                parameters,
                bias,
                light=self.lamp.at(float(lines[row])),
                temperature=self.spec.temperature_K,
                globals_=self.film.spec.transport.globals_,
            )
            image[row] = result.current[:, -1]
        key = (*self._seed.spawn_key, _IMAGE_KEY, self._images)
        stream = np.random.SeedSequence(self._seed.entropy, spawn_key=key)
        read, _ = amplify(
            image.ravel(),
            dwell * np.arange(image.size, dtype=np.float64),
            self.spec.amplifier,
            np.random.Generator(np.random.PCG64(stream)),
            rail=self.compliance,
        )
        return read.reshape(rows, columns)

    def _slope(self, pixel: Site) -> float:
        return slope(self.film.height, pixel[0], pixel[1], self.film.pixel_size)

    def _wear_off(self, length: float, seconds: float, site: Site | None = None) -> None:
        before = self.tip.wear
        self.tip.wear_off(length)
        if before < 1.0 <= self.tip.wear:
            self._log(seconds, "coating_lost", site)

    def _log(self, seconds: float, kind: str, site: Site | None, **detail: float) -> None:
        where = {} if site is None else {"site": [int(site[0]), int(site[1])]}
        self.events.append(Event(time_s=seconds, kind=kind, detail=where | detail))

    def state(self) -> PackedState:
        """Everything that later measurements depend on, and the logs."""
        path = [
            [v.time_s, *v.site, v.visit, *v.offset, *v.pixel]
            for v in self.path[len(self._visits.rows) :]
        ]
        self._visits.add(np.array(path, dtype=np.float64).reshape(-1, 8))
        lines = "".join(json.dumps(e.packed()) + "\n" for e in self.events[self._logged :])
        self._lines.add(np.frombuffer(lines.encode(), np.uint8)[:, np.newaxis])
        self._logged = len(self.events)
        creep = self._creep
        return {
            "displaced": self.displaced.tolist(),
            "worn": self.tip.worn,
            "jump": self.tip.jump,
            "compliance": self.compliance,
            "images": self._images,
            "light": np.array(self.lamp.history),
            "memory": self.memory.state(),
            "creep": creep and {"missing": creep.missing, "updated": creep.updated},
            "path": self._visits.rows,
            "events": self._lines.rows,
        }

    def restore(self, state: PackedState) -> None:
        """Continue from `state` of the same film and settings."""
        self.tip.worn, self.tip.jump = state["worn"], state["jump"]
        self.compliance = state["compliance"]
        self.displaced = np.array(state.get("displaced", (0.0, 0.0)))
        self._images = state["images"]
        self.lamp.history = [(t, s, e) for t, s, e in state["light"].tolist()]
        self.memory.restore(state["memory"])
        if self._creep is not None:
            self._creep.missing = state["creep"]["missing"]
            self._creep.updated = state["creep"]["updated"]
        self.path = [
            Visit(
                time_s=t,
                site=Site(int(r), int(c)),
                visit=int(visit),
                offset=(dy, dx),
                pixel=Site(int(pr), int(pc)),
            )
            for t, r, c, visit, dy, dx, pr, pc in state["path"].tolist()
        ]
        lines = state["events"].tobytes().decode().splitlines()
        self.events = [Event(**json.loads(line)) for line in lines]
        self._visits, self._lines, self._logged = AppendBuffer(8), AppendBuffer(1, np.uint8), 0

"""Named films.

The papers disagree about boundaries (hysteresis grows towards them in Gong2026, shrinks in
Liu2023), so a policy that learnt one sign by heart must meet the other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from grainscout.records import one_of
from grainscout.simulator import fitted
from grainscout.simulator.film.spec import FilmSpec, GrainSpec, ScanSpec
from grainscout.simulator.transport.parameters import TransportGlobals

_REFERENCE = FilmSpec()
_CLEAN = ScanSpec(
    noise_nm=0.0, line_nm=0.0, line_walk_nm=0.0, line_jumps=0.0, scars=0.0, tip_radius_nm=0.0
)


def _with(base: FilmSpec = _REFERENCE, scan: ScanSpec | None = None, **transport: Any) -> FilmSpec:
    return replace(base, transport=replace(base.transport, **transport), scan=scan or base.scan)


#: Severity level -> share of the loop area's variance that structure explains, and artefacts of the
#: image (a factor on noise and lines, drift [nm]).
_LEVELS = {
    "easy-2": (0.95, 0.0, 0.0),
    "easy-1": (0.80, 0.5, 0.0),
    "hard-1": (0.60, 1.5, 10.0),
    "hard-2": (0.45, 3.0, 20.0),
    "hard-3": (0.30, 6.0, 40.0),
}


def _level(share: float, noise: float, drift: float) -> FilmSpec:
    scan = replace(
        _REFERENCE.scan,
        noise_nm=noise * _REFERENCE.scan.noise_nm,
        line_nm=noise * _REFERENCE.scan.line_nm,
        line_walk_nm=noise * _REFERENCE.scan.line_walk_nm,
        line_jumps=noise * _REFERENCE.scan.line_jumps,
        scars=2.0 * noise * _REFERENCE.scan.scars,
        drift_nm=drift,
        drift_walk_nm=0.5 * drift,
    )
    return _with(scan=scan, structure_share=share)


_GONG = _with(boundary_contrast=0.9, film_spread=1.0)
_PLACES = ("swapped", "cycled", "junctions", "grain", "composition", "nowhere")


def _grains(**grains: Any) -> FilmSpec:
    return replace(_GONG, grains=replace(_GONG.grains, **grains))


#: In the likeness of thirteen measured curves (archetypes and spread) and patches (spectrum, maxima).
_FITTED = _with(
    replace(
        _REFERENCE,
        topography=replace(
            _REFERENCE.topography,
            flank_power=1.6,
            undulation_nm=36.0,
            groove_depth_nm=3.0,
            roughness_nm=0.1,
        ),
    ),
    scan=replace(
        _REFERENCE.scan, tip_radius_nm=12.0, noise_nm=0.7, noise_length_nm=35.0, line_nm=0.8
    ),
    archetypes=fitted.ARCHETYPES,
    modes=fitted.MODES,
    film_spread=0.3,
    composition=0.5,
    boundary_spread=0.5,
    hidden=0.5,
    ripple=0.01,
    globals_=TransportGlobals(Ioff=fitted.OFFSET),
)


def _foreign() -> dict[str, FilmSpec]:
    """Gong2026 with one law or size changed, so that what was learnt on it may not hold."""
    hidden = replace(_GONG.topography, asymmetry_shown=0.0)
    films = {
        **{name: _with(_GONG, placement=name) for name in _PLACES},
        "contrast": _with(_GONG, boundary_contrast=-0.9),
        "symmetric": _grains(asymmetric_share=0.08),
        "asymmetric": _grains(asymmetric_share=0.6),
        "unseen-asymmetry": replace(_GONG, topography=hidden),
        "fine-grains": _grains(mean_nm=250.0, warp_nm=15.0),
        "coarse-grains": _grains(mean_nm=800.0),
        "fine-pixels": replace(_GONG, row_nm=12.0, column_nm=12.0),
        "coarse-pixels": replace(_GONG, row_nm=32.0, column_nm=32.0),
    }
    return {f"foreign-{name}": film for name, film in films.items()}


#: Names of before -> names of the materials' papers.
_FORMER = {"s23": "Liu2023", "s26": "Gong2026"}


class Presets(Mapping[str, FilmSpec]):
    """Named film specifications. ``"tiny+piezoresponse"`` is `tiny` with another transport family."""

    def __init__(self, films: Mapping[str, FilmSpec]) -> None:
        self._films = dict(films)

    def __getitem__(self, name: str) -> FilmSpec:
        film, _, family = name.partition("+")
        spec = self._films[_FORMER.get(film, film)]
        return _with(spec, family=family) if family else spec

    def __iter__(self) -> Iterator[str]:
        return iter(self._films)

    def __len__(self) -> int:
        return len(self._films)


#: Name -> what the film is for.
ABOUT: Mapping[str, str] = {
    "reference": "in the likeness of Gong2026, with the same archetypes for every seed",
    "Gong2026": "Cs0.05MA0.05FA0.90PbI3: larger loops at boundaries, own archetypes for each seed",
    "gong2026-fitted": "curves and patches in the likeness of thirteen real ones",
    "Liu2023": "Cs0.17FA0.83PbI3: smaller loops at boundaries, junctions insulate in the dark",
    "boundary-larger": "larger loops at boundaries than in grains",
    "boundary-same": "boundaries like grains: structure says less",
    "boundary-smaller": "smaller loops at boundaries than in grains",
    "fast-boundaries": "ions move faster at boundaries",
    "slow-boundaries": "ions are trapped at boundaries",
    "conducting-junctions": "junctions without a barrier in the dark",
    "composition": "composition drifts from left to right: position matters beside structure",
    "easy-2": "structure explains 95 % of the loop area, no artefacts",
    "easy-1": "structure explains 80 % of the loop area, half the artefacts",
    "hard-1": "structure explains 60 % of the loop area, more artefacts",
    "hard-2": "structure explains 45 % of the loop area, three times the artefacts",
    "hard-3": "structure explains 30 % of the loop area, six times the artefacts",
    "clean": "an ideal tip and no artefacts",
    "voronoi": "grains of equal weights with straight boundaries",
    "tiny": "48 x 48 pixels of the reference, for tests",
    "large": "512 x 512 pixels of the reference",
    "foreign-swapped": "hearts where Gong2026 has diamonds, and the reverse",
    "foreign-cycled": "each archetype at the place of another one",
    "foreign-junctions": "archetypes by the distance to junctions",
    "foreign-grain": "one archetype for each grain: geometry says nothing",
    "foreign-composition": "archetypes by composition: geometry says nothing",
    "foreign-nowhere": "archetypes at random places",
    "foreign-contrast": "loops at boundaries smaller instead of larger",
    "foreign-symmetric": "hardly any asymmetric boundaries",
    "foreign-asymmetric": "most boundaries asymmetric",
    "foreign-unseen-asymmetry": "asymmetric boundaries that the surface does not show",
    "foreign-fine-grains": "grains of 250 nm",
    "foreign-coarse-grains": "grains of 800 nm",
    "foreign-fine-pixels": "pixels of 12 nm",
    "foreign-coarse-pixels": "pixels of 32 nm",
}

#: Name -> specification, see `ABOUT`. The names of before, "s23" and "s26", are understood too.
PRESETS = Presets(
    {
        "reference": _REFERENCE,
        "Gong2026": _GONG,
        "gong2026-fitted": _FITTED,
        "Liu2023": _with(
            replace(_REFERENCE, grains=GrainSpec(mean_nm=380.0, ln_sd=0.3, asymmetric_share=0.05)),
            boundary_contrast=-0.6,
            boundary_spread=2.0,
            film_spread=1.0,
        ),
        "boundary-larger": _with(boundary_contrast=1.0),
        "boundary-same": _with(boundary_contrast=0.0),
        "boundary-smaller": _with(boundary_contrast=-1.0),
        "fast-boundaries": _with(boundary_rates=1.5),
        "slow-boundaries": _with(boundary_rates=-1.5),
        "conducting-junctions": _with(junction_barrier=0.0),
        "composition": _with(gradient=4.0),
        **{name: _level(*level) for name, level in _LEVELS.items()},
        "clean": _with(scan=_CLEAN),
        "voronoi": replace(_REFERENCE, grains=GrainSpec(diagram="voronoi", warp_nm=0.0)),
        "tiny": replace(_REFERENCE, rows=48, columns=48),
        "large": replace(_REFERENCE, rows=512, columns=512),
        **_foreign(),
    }
)


def preset(name: str) -> FilmSpec:
    """Find a named specification.

    Raises
    ------
    ConfigError
        There is no such film. The message lists the names.
    """
    one_of("film preset", name, PRESETS, also=_FORMER)
    return PRESETS[name]

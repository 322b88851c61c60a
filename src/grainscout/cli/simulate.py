"""Command ``grainscout simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.table import Table
from rich.text import Text
from typer import Argument, Option

from grainscout.cli.console import console
from grainscout.cli.files import Channel, CropPx, Force, HeightUnit, PixelNm, given, refuse_existing
from grainscout.cli.listing import show
from grainscout.records import ConfigError, GrainscoutError, spawn_streams

if TYPE_CHECKING:
    from grainscout.simulator import Film


Seed = Annotated[int, Option(help="Seed of the film.", min=0)]
List = Annotated[bool, Option("--list", help="List the named films.")]
Topography = Annotated[
    Path | None, Option("--topography", help="Your own image. Its grains get the film's transport.")
]


def simulate(
    film: Annotated[str, Argument(help="Name of a film (see --list).")] = "reference",
    seed: Seed = 0,
    out: Annotated[
        Path | None, Option("--out", "-o", help="Folder for film.h5 and film.png.")
    ] = None,
    listing: List = False,
    verify: Annotated[
        bool, Option("--verify", help="Recompute the physics checks beside their targets.")
    ] = False,
    curves: Annotated[
        Path | None, Option("--curves", help="With --verify: measured curves (.npz) to fit too.")
    ] = None,
    topography: Topography = None,
    channel: Channel = None,
    pixel_nm: PixelNm = None,
    height_unit: HeightUnit = None,
    crop_px: CropPx = None,
    grains: Annotated[
        Path | None,
        Option("--grains", help="With --topography: your own mask or label image of the grains."),
    ] = None,
    grain_contrast: Annotated[
        float | None,
        Option("--grain-contrast", help="With --topography: a larger value finds fewer grains."),
    ] = None,
    force: Force = False,
) -> None:
    """Make a film with its truth and a picture."""
    from grainscout.simulator.pictures import film_overview

    if listing:
        show("films")
        return
    if verify:
        _verify(curves)
        return
    source = film if topography is None else f"{film}-on-{topography.stem}"
    folder = out or Path("out") / f"film-{source}-{seed}"
    data, picture = folder / "film.h5", folder / "film.png"
    for path in (data, picture):
        refuse_existing(path, force, ConfigError)
    image = given(
        channel=channel,
        pixel_nm=pixel_nm,
        height_unit=height_unit,
        crop_px=crop_px,
        grains=grains,
        grain_contrast=grain_contrast,
    )
    made = _film(film, seed, topography, image)
    folder.mkdir(parents=True, exist_ok=True)
    data.unlink(missing_ok=True)
    made.save(data)
    film_overview(made).savefig(picture, dpi=130)
    console.print(f"film:    {data}\npicture: {picture}")


def _film(name: str, seed: int, image: Path | None, options: dict[str, Any]) -> Film:
    """The film that an experiment with this seed measures."""
    from grainscout.benchmarks.tasks.microscopes import Topography, film_on_image
    from grainscout.simulator import Film, preset

    made = preset(name)
    if image is None:
        if options:
            names = ", ".join(f"--{key.replace('_', '-')}" for key in options)
            raise ConfigError(f"{names} needs --topography: other films know their grains")
        return Film.generate(made, spawn_streams(seed).film)
    spec = Topography(film=name, file=image, **options)
    for sentence in spec.notes():
        console.print(f"note:    {sentence}")
    film = film_on_image(spec, seed)
    console.print(f"grains:  {len(film.structure.grains)} found; look at the picture")
    return film


def _verify(curves: Path | None) -> None:
    """Print the physics checks beside their targets."""
    from grainscout.simulator.verification import verify, verify_film

    table = Table("check", "value", "target", "")
    checks = [*verify(curves), *verify_film(curves)]
    for check in checks:
        mark = "ok" if check.passed else Text("missed", "red")
        table.add_row(check.name, f"{check.value:.4g} {check.unit}", check.target, mark)
    console.print(table)
    missed = sum(not c.passed for c in checks)
    if missed:
        raise GrainscoutError(f"{missed} of {len(checks)} checks missed their target")

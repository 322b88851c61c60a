"""grainscout simulate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from grainscout.cli.console import console
from grainscout.records import ConfigError, GrainscoutError, spawn_streams


def simulate(
    film: Annotated[str, typer.Argument(help="Name of a film (see --list).")] = "reference",
    seed: Annotated[int, typer.Option(help="The film's seed.", min=0)] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for film.h5 and film.png.")
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the named films.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Recompute the physics checks beside their targets.")
    ] = False,
    curves: Annotated[
        Path | None,
        typer.Option("--curves", help="With --verify: measured curves (.npz) to fit too."),
    ] = None,
    topography: Annotated[
        Path | None,
        typer.Option("--topography", help="Your own image: its grains, the film's transport."),
    ] = None,
    grain_contrast: Annotated[
        float | None,
        typer.Option("--grain-contrast", help="With --topography: larger finds fewer grains."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing film.")] = False,
) -> None:
    """Make a film and its truth, with a picture that explains it."""
    from grainscout.simulator import PRESETS, Film

    if listing:
        from grainscout.cli.listing import What, show

        show(What.films)
        return
    if verify:
        _verify(curves)
        return
    if film not in PRESETS:
        raise ConfigError(f"film must be one of {', '.join(PRESETS)}; got {film!r}")
    if grain_contrast is not None and topography is None:
        raise ConfigError("--grain-contrast needs --topography: other films know their grains")
    of = film if topography is None else f"{film}-on-{topography.stem}"
    folder = out or Path("out") / f"film-{of}-{seed}"
    data, picture = folder / "film.h5", folder / "film.png"
    for path in (data, picture):
        if path.exists() and not force:
            raise ConfigError(
                f"{path} exists and is not overwritten. Choose another --out, or --force"
            )
    from grainscout.simulator.pictures import film_overview

    # The same stream as an experiment with this seed uses, so that its film can be looked at.
    if topography is None:
        made = Film.generate(PRESETS[film], spawn_streams(seed).film)
    else:
        from grainscout.benchmarks.tasks.environment import film_on_image

        made = film_on_image(film, topography, None, None, None, grain_contrast, seed)
        console.print(f"grains:  {len(made.structure.grains)} found; look at the picture")
    folder.mkdir(parents=True, exist_ok=True)
    data.unlink(missing_ok=True)
    made.save(data)
    film_overview(made).savefig(picture, dpi=130)
    console.print(f"film:    {data}\npicture: {picture}")


def _verify(curves: Path | None) -> None:
    from grainscout.simulator.verification.film import verify_film
    from grainscout.simulator.verification.transport import verify

    table = Table("check", "value", "target", "")
    checks = [*verify(curves), *verify_film(curves)]
    for check in checks:
        mark = "ok" if check.passed else "[red]missed[/]"
        table.add_row(check.name, f"{check.value:.4g} {check.unit}", check.target, mark)
    console.print(table)
    missed = sum(not c.passed for c in checks)
    if missed:
        raise GrainscoutError(f"{missed} of {len(checks)} checks missed their target")

"""The 13 real curves and patches of Gong2026 through descriptors, archetypes and a latent map of a simulated film.

    python benchmarks/studies/latent_real.py OUT           writes OUT/index.html and its pictures
    python benchmarks/studies/latent_real.py OUT --smoke   with a map that has hardly learnt

The data are looked for in ../shared/data (or GRAINSCOUT_DATA) and are never copied into the page's
tables beyond what descriptors say.  There is no truth for them: a card gives the classifier's own
confidence, and the map says for each curve and patch whether anything simulated lies near it.  For the
map, simulated currents are clipped and patches scaled as those of the published figure are.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from grainscout.analysis.curves.archetypes import ARCHETYPE_NAMES, UNKNOWN, classification
from grainscout.analysis.curves.descriptors import describe_all
from grainscout.analysis.figures import curve_cards, latent_scatter, style
from grainscout.analysis.latent import DualOptions, DualVAE, Training, retrieval, save_model
from grainscout.analysis.latent.maps import support
from grainscout.records import DataError
from grainscout.records.arrays import BoolArray, FloatArray

LOWER_A, UPPER_A = -0.1e-9, 0.5e-9  # where the published figure ends
NAMES = ("turn_on", "loop_area", "hysteresis", "max_current")


def real_curves() -> tuple[FloatArray, FloatArray, BoolArray, FloatArray]:
    """Voltage (251,) [V], current (13, 251) [A], clipped (13, 251), patches (13, 16, 16) of 0 to 1.

    DataError where the data are absent.
    """
    root = Path(os.environ.get("GRAINSCOUT_DATA", Path(__file__).parents[3] / "shared" / "data"))
    file = root / "real_iv" / "real_iv_13.npz"
    if not file.is_file():
        raise DataError(f"real data must be at {file}; set GRAINSCOUT_DATA to their folder")
    with np.load(file, allow_pickle=False) as data:
        status = data["status"]
        current = np.where(
            status > 0, UPPER_A, np.where(status < 0, LOWER_A, 1e-9 * data["current_nA"])
        )
        return data["voltage"], current, status != 0, data["patches"]


def of_its_range(patches: FloatArray) -> FloatArray:
    """Each patch (n, ..., w, w) from 0 to 1, as the published ones are."""
    low, high = (f(patches, axis=(-2, -1), keepdims=True) for f in (np.min, np.max))
    return np.asarray((patches - low) / (high - low))


def simulated(smoke: bool) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
    """Patches, currents and true archetypes of runs on simulated films, put as the real ones are."""
    study = _study()
    runs = [("tiny", "random", 60)] if smoke else [("s26", "dual-novelty", 210)]
    pairs = [study.pairs_of(preset, study.FIRST_SEED, policy, n) for preset, policy, n in runs]
    return (
        of_its_range(np.concatenate([p.patches for p in pairs])),
        np.clip(np.concatenate([p.current for p in pairs]), LOWER_A, UPPER_A),
        np.concatenate([p.archetype for p in pairs]),
    )


def _study() -> ModuleType:
    """The study beside this one, which makes the pairs."""
    name = "grainscout_latent_study"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("latent.py"))
        if spec is None or spec.loader is None:
            raise DataError("latent.py must lie beside latent_real.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def card_table(voltage: FloatArray, current: FloatArray, clipped: BoolArray) -> pd.DataFrame:
    """A row a curve: archetype, confidence, and descriptors with their sigma; bounds by < and >."""
    kinds = classification(voltage, current, clipped)
    found = describe_all(NAMES, voltage, current, clipped)
    table = pd.DataFrame(
        {
            "archetype": [
                "unknown" if k == UNKNOWN else ARCHETYPE_NAMES[k] for k in kinds.archetype
            ],
            "confidence": kinds.confidence.round(2),
        },
        index=pd.RangeIndex(1, len(current) + 1, name="curve"),
    )
    for name, d in found.items():
        table[f"{name} ({d.unit})"] = [
            "none" if not ok else f"{'bound ' if bound else ''}{value:.3g} ± {sigma:.1g}"
            for value, sigma, ok, bound in zip(d.value, d.sigma, d.valid, d.censored, strict=True)
        ]
    return table


def make_page(out: Path, *, smoke: bool = False) -> dict[str, float]:
    """Write the page; what the map says of the real pairs, as numbers."""
    voltage, current, clipped, patches = real_curves()
    out.mkdir(parents=True, exist_ok=True)
    labels = [str(k) for k in range(1, len(current) + 1)]
    cards = curve_cards(
        voltage, current, saturated=clipped, patches=patches, labels=labels, columns=3
    )
    cards.savefig(out / "cards.png", dpi=80)
    images, curves, truth = simulated(smoke)
    model = DualVAE.fit(
        images,
        curves,
        DualOptions(own_size=True),
        training=Training(epochs=2) if smoke else None,
    )
    save_model(model, out / "simulated.latent")
    real = patches[:, None]
    by_image = model.encode_image(images).content, model.encode_image(real).content
    by_curve = model.encode_spectrum(curves)[0], model.encode_spectrum(current)[0]
    known = {"image": support(by_image[1], by_image[0]), "spectrum": support(by_curve[1], by_curve[0])}  # fmt: skip
    for name, (ours, theirs) in (("image", by_image), ("spectrum", by_curve)):
        _among(name, ours, truth, theirs, known[name]).savefig(out / f"{name}.png", dpi=80)
    met = retrieval(model.expect(real), by_curve[1])
    rebuilt = model.reconstruct_image(real)[:, 0]
    bare = patches - patches.mean(axis=(1, 2), keepdims=True)
    table = card_table(voltage, current, clipped)
    for name, near in known.items():
        table[f"{name} in the map"] = np.where(near, "near simulated ones", "extrapolated")
    numbers = {
        "images extrapolated": float((~known["image"]).sum()),
        "spectra extrapolated": float((~known["spectrum"]).sum()),
        "image variance rebuilt": float(1 - np.sum((rebuilt - bare) ** 2) / np.sum(bare**2)),
        "spectrum rank from its image": met.rank,
        "p of that rank": met.p_value,
    }
    words = "".join(f"<li>{name}: {value:.3g}</li>" for name, value in numbers.items())
    (out / "index.html").write_text(
        "<!doctype html><meta charset=utf-8><title>13 real curves</title>"
        "<style>body{font:14px sans-serif;margin:2em}td,th{padding:2px 8px;text-align:left}"
        "img{max-width:100%}</style><h1>13 real curves of Cs0.05MA0.05FA0.90PbI3 (Gong2026)</h1>"
        "<p>Dotted: beyond the published figure's range. No truth is known: confidence is the "
        f"classifier's own.</p><img src=cards.png>{table.to_html(border=0)}"
        f"<h2>In a map of a simulated film</h2><ul>{words}</ul><img src=spectrum.png><img src=image.png>",
        encoding="utf-8",
    )
    return numbers


def _among(
    name: str, ours: FloatArray, truth: NDArray[np.uint8], theirs: FloatArray, near: BoolArray
) -> Figure:
    """The simulated points by true archetype, and the real ones by number: red where extrapolated."""
    drawn = latent_scatter(
        ours, truth.astype(int), title=f"{name}s: 13 real ones among simulated ones"
    )
    ax = drawn.axes[0]
    with style():
        for k, (x, y) in enumerate(theirs[:, :2]):
            ax.annotate(
                str(k + 1), (x, y), fontsize=8, fontweight="bold", ha="center", va="center",
                color="black" if near[k] else "#B00020", clip_on=False,
                bbox={"boxstyle": "circle,pad=0.15", "fc": "white", "ec": "#555555", "lw": 0.5},
            )  # fmt: skip
        low, high = (f(np.vstack([ours, theirs])[:, :2], axis=0) for f in (np.min, np.max))
        gap = 0.06 * (high - low)
        ax.set_xlim(low[0] - gap[0], high[0] + gap[0])
        ax.set_ylim(low[1] - gap[1], high[1] + gap[1])
    return drawn


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the page and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--smoke", action="store_true", help="a map that has hardly learnt")
    args = parser.parse_args(arguments)
    try:
        found = make_page(args.out, smoke=args.smoke)
    except DataError as error:
        raise SystemExit(str(error)) from error
    for name, value in found.items():
        print(f"{name}: {value:.3g}")
    print(args.out / "index.html")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()

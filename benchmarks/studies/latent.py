"""Do latent maps show what they claim?  Ours and the published procedure, on films that nothing was tuned on.

    python benchmarks/studies/latent.py --out rows.jsonl            resumable: what the file has is kept
    python benchmarks/studies/latent.py --out rows.jsonl --models published --films 4
    python benchmarks/studies/latent.py --out rows.jsonl --models   only the table of what is there
    python benchmarks/studies/latent.py --out rows.jsonl --keep FOLDER   fitted models are saved there
    python benchmarks/studies/latent.py --picture FOLDER            both maps of the first film, drawn; models
                                                                    that --keep left in FOLDER are used
    python benchmarks/studies/latent.py --smoke                     seconds, to see that it runs

210 curves of an actual run of dual-novelty (reference instrument, 0.1 sun, triangle to 1.5 V) on films of
the presets s26 and s23, seeds 9600 and up; 9000 to 9002 served to choose the regression.  Settings are
frozen: `DualVAE` by its defaults with spectra over their own size, `PublishedDualVAE` by its defaults.
A fifth of the pairs is never seen by either (the published procedure trains on all the rest), and both
are scored by the same functions; p of a film is that of its own permutations, intervals are over films.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from threadpoolctl import threadpool_limits

from grainscout.analysis.latent import (
    DualOptions,
    DualVAE,
    PublishedDualVAE,
    Training,
    decoded_map,
    latent_archetypes,
    latent_comparison,
    load_model,
    patches_at,
    retrieval,
    save_model,
    separation,
)
from grainscout.analysis.latent.cross_modal import CrossModalRegression, site_invariants
from grainscout.analysis.latent.patches import split
from grainscout.analysis.latent.scores import canonical_correlations, explained
from grainscout.experiment import Experiment, make_problem
from grainscout.hardware import SimulatedMicroscope
from grainscout.policies import make_policy
from grainscout.records import Budget, Waveform, spawn_streams
from grainscout.records.arrays import FloatArray, IntArray
from grainscout.simulator import PRESETS, Film

FIRST_SEED, LIGHT, WINDOW = 9600, 0.1, 16
OPTIONS = DualOptions(own_size=True)
MODELS = ("ours", "components", "regressors", "published")
_MARK = {"regressors": "forest on patches"}  # the row that tells that they were made
_COMPONENTS = 4  # of the spectra, in which every map's predictions are compared


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """What a run measured, and what is true of it.

    patches (n, 1, w, w) [m]; current (n, s) [A]; archetype (n,); structure (n, k) true maps' values at
    the sites: distance to boundary and junction, asymmetry.
    """

    patches: FloatArray
    current: FloatArray
    archetype: NDArray[np.uint8]
    structure: FloatArray


def pairs_of(preset: str, seed: int, policy: str, curves: int = 210) -> Pairs:
    """The pairs of one run."""
    streams = spawn_streams(seed)
    film = Film.generate(PRESETS[preset], streams.film)
    microscope = SimulatedMicroscope(film, "reference", seed=streams.instrument)
    problem = make_problem(
        microscope, Waveform.triangle(), Budget(curves=curves), light=LIGHT, window=WINDOW
    )
    run = Experiment(microscope, make_policy(policy, {}), problem=problem, seed=seed).run()
    good = [o for o in run.outcomes if o.curve is not None]
    sites = np.array([tuple(o.site) for o in good])
    at, s = tuple(sites.T), film.structure
    return Pairs(
        patches=patches_at(problem.scan.channel("height"), sites, WINDOW),
        current=np.array([o.curve.current for o in good if o.curve is not None]),
        archetype=film.archetype[at],
        structure=1e9 * np.column_stack(
            [s.boundary_distance[at], s.junction_distance[at], 1e-9 * np.abs(s.asymmetry[at])]
        ),
    )  # fmt: skip


def shapes(current: FloatArray) -> FloatArray:
    """Curves over their own size, as the models are shown them."""
    size = np.sqrt(np.mean(current**2, axis=1, keepdims=True))
    return np.asarray(current / np.maximum(size, 0.1 * np.median(size)))


def scores(
    image: FloatArray,
    spectrum: FloatArray,
    pairs: Pairs,
    known: IntArray,
    test: IntArray,
) -> dict[str, float]:
    """Held-out numbers of any map with image and spectrum points (n, d)."""
    met = retrieval(image[test], spectrum[test])
    link = CrossModalRegression.fit(image[known], spectrum[known])
    found: dict[str, float] = {
        "rank": met.rank,
        "rank p": met.p_value,
        "R2": explained(
            spectrum[test],
            link.predict(image[test]),
            np.zeros_like(spectrum[test]) + spectrum[known].mean(0),
        ),
    }
    correlations = canonical_correlations(
        image[test], spectrum[test], (image[known], spectrum[known])
    )
    found["canonical 1"], found["canonical 2"] = (float(c) for c in correlations[:2])
    for name, points in (
        ("image", image),
        ("spectrum", spectrum),
        ("joint", np.column_stack([image, spectrum])),
    ):
        apart = separation(points, pairs.archetype, train=known, test=test)
        found[f"{name} archetypes"] = apart.balanced_accuracy
        found[f"{name} archetypes p"] = apart.p_value
    found["chance"] = apart.chance
    found["least image spread"] = float(image.std(axis=0).min())
    found["least spectrum spread"] = float(spectrum.std(axis=0).min())
    return found


def parts_of(pairs: Pairs) -> tuple[IntArray, IntArray]:
    """Known and held-out pairs: those of `DualVAE`'s own split at seed 0."""
    parts = split(
        len(pairs.current), stop=OPTIONS.stop, test=OPTIONS.test, rng=np.random.default_rng(0)
    )
    return np.sort(np.concatenate([parts.train, parts.stop])), parts.test


def fit_ours(pairs: Pairs, *, smoke: bool) -> DualVAE:
    """Our map; the held-out pairs are those of `parts_of`."""
    training = Training(epochs=2) if smoke else None
    model = DualVAE.fit(pairs.patches, pairs.current, OPTIONS, training=training, seed=0)
    if not np.array_equal(parts_of(pairs)[1], model.split.test):
        raise RuntimeError("the held-out pairs must be the model's own")
    return model


def fit_published(pairs: Pairs, *, smoke: bool) -> PublishedDualVAE:
    """The published procedure, trained on all pairs but the test's."""
    known, _ = parts_of(pairs)
    steps = 5 if smoke else 1000
    return PublishedDualVAE.fit(pairs.patches[known], pairs.current[known], steps=steps, seed=0)


def judge_ours(model: DualVAE, pairs: Pairs) -> dict[str, float]:
    """Scores of our map."""
    known, test = parts_of(pairs)
    image, spectrum = model.encode_image(pairs.patches).content, model.encode_spectrum(pairs.current)[0]  # fmt: skip
    linked = retrieval(model.expect(pairs.patches[test]), spectrum[test])
    found = scores(image, spectrum, pairs, known, test)
    found["turned"] = turned(lambda some: model.encode_image(some).content, pairs.patches)
    return found | {"linked rank": linked.rank, "linked rank p": linked.p_value}


def judge_published(model: PublishedDualVAE, pairs: Pairs) -> dict[str, float]:
    """Scores of the published map."""
    known, test = parts_of(pairs)
    image, spectrum = model.encode_image(pairs.patches), model.encode_spectrum(pairs.current)
    found = scores(image, spectrum, pairs, known, test)
    return found | {"turned": turned(model.encode_image, pairs.patches)}


def turned(encode: Callable[[FloatArray], FloatArray], patches: FloatArray) -> float:
    """How far a quarter turn of the patches moves their points, in standard deviations of the points."""
    here, there = encode(patches), encode(np.rot90(patches, 1, axes=(2, 3)))
    return float((np.abs(there - here).mean(axis=0) / here.std(axis=0)).mean())


def judge_components(pairs: Pairs) -> dict[str, float]:
    """Scores of two principal components of the patches and two of the curves' shapes: no network at all."""
    known, test = parts_of(pairs)
    flat = pairs.patches.reshape(len(pairs.patches), -1)
    bare = flat - flat.mean(axis=1, keepdims=True)
    image, spectrum = (PCA(2).fit(x[known]).transform(x) for x in (bare, shapes(pairs.current)))
    return scores(image / image.std(0), spectrum / spectrum.std(0), pairs, known, test)


def judge_regressors(pairs: Pairs) -> dict[str, dict[str, float]]:
    """What regressors find of the curves' shapes: from the truth, from the patch, with curves exchanged."""
    known, test = parts_of(pairs)
    curves = shapes(pairs.current)
    axes = PCA(_COMPONENTS).fit(curves[known])
    points = axes.transform(curves)
    about = site_invariants(pairs.patches)
    other = np.random.default_rng(0).permutation(len(known))
    guesses = {}
    for name, features, order in (
        ("forest on true maps", pairs.structure, None),
        ("forest on patches", about / about.std(0), None),
        ("forest, exchanged", about / about.std(0), other),
    ):
        target = points[known] if order is None else points[known][order]
        forest = RandomForestRegressor(200, min_samples_leaf=3, max_features=0.4, random_state=0)
        guesses[name] = forest.fit(features[known], target).predict(features[test])
    ridge = CrossModalRegression.fit(about[known], points[known])
    guesses["kernel ridge on patches"] = ridge.predict(about[test])
    found = {}
    for name, guess in guesses.items():
        met = retrieval(guess, points[test])
        mean = np.zeros_like(guess) + points[known].mean(axis=0)
        found[name] = {
            "rank": met.rank,
            "rank p": met.p_value,
            "R2": explained(points[test], guess, mean),
        }
    return found


def kept(folder: Path, film: tuple[str, int, str], model: str) -> Path:
    """The file of a fitted model."""
    return folder / f"{'-'.join(map(str, film))}.{model}.latent"


def film_rows(
    film: tuple[str, int, str],
    models: Collection[str],
    keep: Path | None = None,
    *,
    smoke: bool = False,
) -> Iterable[dict[str, Any]]:
    """Rows of one run, for some of MODELS; fitted ones are saved in `keep`."""
    preset, seed, policy = film
    pairs = pairs_of(preset, seed, policy, 60 if smoke else 210)
    found: dict[str, dict[str, float]] = {}
    kinds: tuple[tuple[str, Any, Any], ...] = (
        ("ours", fit_ours, judge_ours),
        ("published", fit_published, judge_published),
    )
    for name, fit, judge in kinds:
        if name in models:
            start = time.process_time()
            model = fit(pairs, smoke=smoke)
            found[name] = {"CPU s": time.process_time() - start, **judge(model, pairs)}
            if keep:
                save_model(model, kept(keep, film, name))
    if "components" in models:
        found["components"] = judge_components(pairs)
    if "regressors" in models:
        found |= judge_regressors(pairs)
    about = {"preset": preset, "seed": seed, "policy": policy, "pairs": len(pairs.current)}
    return [{**about, "model": name, **row} for name, row in found.items()]


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """A Markdown table: mean over films with its 95 % Student interval, and films with p < 0.05."""
    names = [n for n in _SCORES if any(n in row for row in rows)]
    lines = ["| model | films | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        for preset in (row["preset"], "all"):
            groups.setdefault((row["policy"], preset, row["model"]), []).append(row)
    for (policy, preset, model), some in sorted(groups.items()):
        cells = []
        for name in names:
            values = np.array([r[name] for r in some if name in r])
            low = [r[f"{name} p"] < 0.05 for r in some if f"{name} p" in r]
            cells.append(_cell(values) + (f", {sum(low)} of {len(low)}" if low else ""))
        lines.append(f"| {preset}, {policy}: {model} | {len(some)} | {' | '.join(cells)} |")
    return "\n".join(lines)


_SCORES = (
    "rank", "linked rank", "R2", "canonical 1", "canonical 2", "image archetypes", "spectrum archetypes",
    "joint archetypes", "chance", "turned", "least image spread", "least spectrum spread", "CPU s",
)  # fmt: skip


def _cell(values: FloatArray) -> str:
    if not values.size:
        return ""
    if values.size < 2:
        return f"{values.mean():.2f}"
    half = stats.t.ppf(0.975, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size)
    return f"{values.mean():.2f} ± {half:.2f}"


def run(
    films: Iterable[tuple[str, int, str]],
    models: Collection[str],
    out: Path | None,
    keep: Path | None = None,
    *,
    smoke: bool,
) -> list[dict[str, Any]]:
    """Rows of all films; what `out` has already is not made again."""
    rows = [json.loads(line) for line in out.read_text().splitlines()] if out and out.is_file() else []  # fmt: skip
    done = {(r["preset"], r["seed"], r["policy"], r["model"]) for r in rows}
    for film in films:
        missing = [m for m in models if (*film, _MARK.get(m, m)) not in done]
        new = list(film_rows(film, missing, keep, smoke=smoke)) if missing else []
        rows += new
        if out and new:
            with out.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in new)
        print("done:", *film, flush=True)
    return rows


def fitted(
    folder: Path, film: tuple[str, int, str], pairs: Pairs, *, smoke: bool
) -> tuple[PublishedDualVAE, DualVAE]:
    """Both models of a film, from `folder` or fitted and saved there."""
    models: list[Any] = []
    for name, fit in (("published", fit_published), ("ours", fit_ours)):
        path = kept(folder, film, name)
        if not path.is_file():
            save_model(fit(pairs, smoke=smoke), path)
        models.append(load_model(path))
    return models[0], models[1]


def picture(folder: Path, *, smoke: bool) -> None:
    """Both models of one film's pairs: curves by archetype, and maps at 10 x 10 and, twice as near, 30 x 30."""
    preset, curves, policy = ("tiny", 60, "random") if smoke else ("s26", 210, "dual-novelty")
    pairs = pairs_of(preset, FIRST_SEED, policy, curves)
    known, test = parts_of(pairs)
    folder.mkdir(parents=True, exist_ok=True)
    published, ours = fitted(folder, (preset, FIRST_SEED, policy), pairs, smoke=smoke)
    latents = {
        "published procedure: images": published.encode_image(pairs.patches),
        "published procedure: curves": published.encode_spectrum(pairs.current),
        "Grainscout: images": ours.encode_image(pairs.patches).content,
        "Grainscout: curves": ours.encode_spectrum(pairs.current)[0],
    }
    notes = {}
    for name, z in latents.items():
        found = separation(z, pairs.archetype, train=known, test=test)
        notes[name] = (
            f"balanced accuracy {found.balanced_accuracy:.2f} held out, "
            f"chance {found.chance:.2f}, p = {found.p_value:.2g}"
        )
    drawn = latent_archetypes(latents, pairs.archetype, notes=notes, held_out=test)
    drawn.savefig(folder / "latent-archetypes.png", dpi=100)
    # The published map is drawn over image latents; ours over those of pairs.
    points = {
        "published procedure": latents["published procedure: images"],
        "Grainscout": ours.encode(pairs.patches, pairs.current),
    }
    models = {"published procedure": published, "Grainscout": ours}
    for size, zoom in ((10, 1.0), (30, 2.0)):
        maps = {
            name: decoded_map(models[name], points[name], size=size, zoom=zoom) for name in models
        }
        drawn = latent_comparison(maps, voltage=Waveform.triangle().voltage, known=points)
        drawn.savefig(folder / f"latent-{size}.png", dpi=100)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a tiny film, few curves")
    parser.add_argument("--films", type=int, default=8, help="films of each preset")
    parser.add_argument("--models", nargs="*", choices=MODELS, default=MODELS)
    parser.add_argument("--policies", nargs="+", default=["dual-novelty"])
    parser.add_argument("--out", type=Path, help="JSON lines, one a model and film")
    parser.add_argument("--keep", type=Path, help="folder for the fitted models")
    parser.add_argument("--picture", type=Path, help="folder for the maps of the first film")
    args = parser.parse_args(arguments)
    if args.picture:
        picture(args.picture, smoke=args.smoke)
        return
    seeds = range(FIRST_SEED, FIRST_SEED + args.films)
    films = [
        (p, seed, policy) for policy in args.policies for seed in seeds for p in ("s26", "s23")
    ]
    if args.smoke:
        films = [("tiny", FIRST_SEED, "random")]
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    rows = run(films, args.models, args.out, args.keep, smoke=args.smoke)
    print(f"\nMean over films ± half of its 95 % interval, films with p < 0.05\n\n{summary(rows)}")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()

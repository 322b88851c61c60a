"""Baselines: a model's scores film by film, in a small JSON file with all that makes them comparable."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grainscout.benchmarks.regression.films import FILM_NAMES, fingerprint
from grainscout.journal import package_versions
from grainscout.records import DataError, FloatArray, regular

FORMAT = 1
#: Relative difference up to which numbers count as the same: rounding on another machine, no more.
TOLERANCE = 1e-6

Scores = Mapping[str, FloatArray]


class BaselineError(DataError):
    """A baseline is missing, damaged, or of another definition. The message says how to update it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Baseline:
    """Scores (one a film, in the order of FILM_NAMES) of a version of a model."""

    model: str
    version: str
    scores: Scores


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write the file. An older one is replaced at once or not at all."""
    content = {
        "format": FORMAT,
        "model": baseline.model,
        "version": baseline.version,
        "films": {name: fingerprint(name) for name in FILM_NAMES},
        "scores": {
            name: [float(f"{v:.9g}") for v in values] for name, values in baseline.scores.items()
        },
        "made_with": package_versions(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def read_baseline(path: Path, *, model: str, version: str, update: str) -> Baseline:
    """The model's baseline. BaselineError, with the words `update`, if it is missing or not comparable."""
    if not path.is_file():
        raise BaselineError(
            f"model {model!r} must have a baseline; there is none at {path}. {update}"
        )
    try:
        content: dict[str, Any] = json.loads(regular(path).read_text(encoding="utf-8"))
        found, films = content["format"], content["films"]
        scores = {str(k): np.array(v, dtype=np.float64) for k, v in content["scores"].items()}
        stored = str(content["version"])
        prints = {str(name): np.array(v, dtype=np.float64) for name, v in films.items()}
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise BaselineError(
            f"{path} must be a baseline; it is damaged: {error!r}. {update}"
        ) from error
    if found != FORMAT:
        raise BaselineError(f"baseline {path} must be of format {FORMAT}; got {found}. {update}")
    if stored != version:
        raise BaselineError(
            f"baseline of {model!r} must be of its version {version!r}; {path} is of {stored!r}, whose "
            f"scores mean something else. If the new definition is meant: {update}"
        )
    if tuple(prints) != FILM_NAMES:
        raise BaselineError(
            f"baseline of {model!r} must be of the films {', '.join(FILM_NAMES)}; {path} is of "
            f"{', '.join(prints)}. If that is meant: {update}"
        )
    for name, numbers in prints.items():
        now = np.array(fingerprint(name))
        if numbers.shape != now.shape or not np.allclose(now, numbers, rtol=TOLERANCE, atol=0):
            raise BaselineError(
                f"baseline of {model!r} must be of the present films; film {name} now has an image, "
                f"noiseless and measured currents of rms {now.tolist()} instead of "
                f"{numbers.tolist()}: the simulator changed, not the model. If that is meant: {update}"
            )
    bad = [
        k for k, v in scores.items() if v.shape != (len(FILM_NAMES),) or not np.isfinite(v).all()
    ]
    if bad or not scores:
        raise BaselineError(
            f"baseline {path} must have {len(FILM_NAMES)} finite numbers for each score; "
            f"{', '.join(bad) or 'it has no scores'}. {update}"
        )
    return Baseline(model=model, version=stored, scores=scores)

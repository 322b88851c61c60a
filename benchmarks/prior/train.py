"""Train the pretrained surrogate: python -m grainscout.benchmarks.prior.train FOLDER.

Every episode takes a film and one of its targets, fits the surrogate to a few curves as a run would,
and moves the network so that it predicts the other sites better. FOLDER keeps the films and the
training's state, so that the command goes on where it was stopped.
"""

import argparse
import hashlib
import itertools
import json
import time
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn import functional

from grainscout.benchmarks.checkpoint import keep, kept
from grainscout.benchmarks.prior.films import LIGHTS, cached_film
from grainscout.microstructure.reader import read_structure
from grainscout.policies.models.gp import GaussianProcess
from grainscout.policies.models.likelihood import winsorise
from grainscout.policies.models.pretrained.inputs import make_inputs
from grainscout.policies.models.pretrained.kernel import (
    BENT,
    GROUPS,
    LEARNT,
    LINEAR,
    PARAMETERS,
    WIDTHS,
    HierarchicalKernel,
)
from grainscout.policies.models.pretrained.kinds import KIND
from grainscout.policies.models.pretrained.network import HIDDEN, VERSION, Network
from grainscout.records import ConfigError, FloatArray, Scan

SEED, FILMS, HELD_OUT, FIRST_HELD_OUT = 18, 420, 20, 421
CONTEXT = (12, 200)  # curves of an episode
TEST = 120  # sites that are predicted
EPISODES, BATCH, RATE, DECAY = 16_000, 2, 2.5e-3, 3e-3
_DENSITY = 0.25  # weight of the log density beside the squared error
_DEVIATION = 0.7  # of the log-parameters, whose prior means are learnt with the network
_FLOOR = 1e-4
_UNTOLD = 0.2  # share of the episodes whose target is not named
_USUAL = 0.5  # share of them whose sweep is the papers'
_WIDTHS = torch.tensor(WIDTHS)


class Learner(nn.Module):
    """The network of :class:`Network`, to be trained."""

    mean: Tensor
    spread: Tensor

    def __init__(self, mean: Tensor, spread: Tensor) -> None:
        super().__init__()
        width = len(mean)
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)
        self.one, self.two = nn.Linear(width + KIND, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.out = nn.Linear(HIDDEN + width + KIND, LEARNT)
        with torch.no_grad():
            self.out.weight *= 0.5
            self.out.bias[LINEAR + BENT :] = -1.0
        start = torch.full((PARAMETERS + 1,), -1.0, dtype=torch.float64)
        start[:GROUPS], start[PARAMETERS - 1], start[-1] = -1.5, 0.4, -2.5
        self.middle = nn.Parameter(start)
        self.by_kind = nn.Parameter(torch.zeros(KIND, PARAMETERS + 1, dtype=torch.float64))

    def prior(self, kind: Tensor) -> Tensor:
        """(PARAMETERS + 1,) means of the log-parameters."""
        return self.middle + kind.double() @ self.by_kind

    def forward(self, x: Tensor, kind: Tensor) -> Tensor:
        """(n, LEARNT) learnt columns of the table."""
        x = ((x - self.mean) / self.spread).clamp(-6.0, 6.0)
        x = torch.cat([x, kind.expand(len(x), KIND)], 1)
        h = functional.silu(self.two(functional.silu(self.one(x))))
        out = self.out(torch.cat([h, x], 1))
        tail = functional.softplus(out[:, LINEAR + BENT :])
        return torch.cat([out[:, : LINEAR + BENT], tail], 1)

    def network(self) -> Network:
        """Its arrays as a run uses them."""
        middle = torch.stack([self.middle, torch.full_like(self.middle, _DEVIATION)], 1)
        arrays: dict[str, Any] = {"mean": self.mean, "spread": self.spread, "prior": middle}
        arrays["prior_kind"] = self.by_kind
        for k, layer in enumerate((self.one, self.two, self.out), 1):
            arrays |= {f"w{k}": layer.weight.T, f"b{k}": layer.bias}
        for k in (1, 3):  # the last rows are those of the kind
            whole = arrays[f"w{k}"]
            arrays |= {f"w{k}": whole[:-KIND], f"kind{k}": whole[-KIND:]}
        made = {k: v.detach().numpy().astype(np.float32) for k, v in arrays.items()}
        return Network({**made, "version": np.array(VERSION, np.float32)})


def covariance(a: Tensor, b: Tensor, ties: Tensor, t: Tensor) -> Tensor:
    """(n, m) covariance of learnt columns; `ties` (4, n, m): share grain, boundary, pixel, and distance²."""
    variance = t[:PARAMETERS].exp()
    root = variance[:GROUPS].sqrt().repeat_interleave(_WIDTHS)
    k = (a[:, :LINEAR] * root) @ (b[:, :LINEAR] * root).T
    bent = slice(LINEAR, LINEAR + BENT)
    square = (a[:, None, bent] - b[None, :, bent]).square().sum(-1)
    k = k + variance[GROUPS] * torch.exp(-0.5 * square) + variance[GROUPS + 4]
    left, right = a[:, LINEAR + BENT :], b[:, LINEAR + BENT :]
    for level, column in enumerate((0, 1, 3)):
        both = left[:, column, None] * right[None, :, column]
        k = k + variance[GROUPS + 1 + level] * ties[level] * both
    near = torch.exp(-0.5 * ties[3] / variance[-1] ** 2)
    return k + variance[-2] * near * left[:, 2, None] * right[None, :, 2]


def ties_of(a: FloatArray, b: FloatArray) -> Tensor:
    """See `covariance`; a, b : (n, 5) grain, boundary, pixel and place."""
    same = [a[:, None, k] == b[None, :, k] for k in range(3)]
    square = np.square(a[:, None, 3:] - b[None, :, 3:]).sum(-1)
    return torch.as_tensor(np.stack([*same, square]).astype(np.float64))


class Film:
    """Inputs and targets of one film's sites, ready for episodes."""

    def __init__(self, stored: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
        rows, columns = stored["sites"].T
        self.x = torch.as_tensor(inputs["x"])
        numbers = [inputs[name] for name in ("grain", "boundary", "flat", "place")]
        self.ties = np.column_stack(numbers).astype(np.float64)
        conducts = stored["archetype"][rows, columns] < 3
        self.seen = stored["seen"].astype(np.float64)
        self.truth = np.where(conducts, stored["truth"], np.nan).astype(np.float64)
        enough = np.isfinite(self.truth).sum(1) > 2 * TEST
        known = np.where(enough[:, None], self.truth, 0.0)
        varies = np.nanstd(known, axis=1) > 1e-6 * np.abs(np.nanmean(known, axis=1))
        self.targets = np.flatnonzero(enough & varies)
        self.names = stored["names"]
        self.kinds = torch.as_tensor(stored["kinds"])
        usual = (self.kinds[:, -3:] == torch.tensor([1.0, 0.0, 0.0])).all(1).numpy()
        self.usual = self.targets[usual[self.targets]]


def episode(
    learner: Learner, film: Film, target: int, n: int, rng: np.random.Generator, told: bool = True
) -> tuple[Tensor, Tensor] | None:
    """Squared error over the spread (tests,), and the log densities. `told` names the target."""
    seen, truth = film.seen[target], film.truth[target]
    chosen = rng.permutation(len(seen))[:n]
    chosen = chosen[np.isfinite(seen[chosen])]
    tests = rng.permutation(np.flatnonzero(np.isfinite(truth)))[:TEST]
    if len(chosen) < 6:
        return None
    kind = film.kinds[target] * float(told)
    columns = learner(film.x[np.concatenate([chosen, tests])], kind).double()
    a, b = columns[: len(chosen)], columns[len(chosen) :]
    place = film.ties[chosen]
    table = np.hstack([a.detach().numpy(), place]).astype(np.float32)
    middle = learner.prior(kind)
    prior = np.column_stack([middle.detach().numpy(), np.full(len(middle), _DEVIATION)])
    rows = np.arange(len(chosen))
    gp = GaussianProcess(
        table,
        rows[:1],
        HierarchicalKernel(prior[:-1]),
        robust=False,  # no curve is spoilt here, and it halves the time
        noise_prior=(prior[-1, 0], prior[-1, 1]),
    )
    y = winsorise(seen[chosen])
    gp.fit(rows, y)
    state = gp.state()
    # The fit's distance from the prior mean is taken as it is: the mean itself is learnt.
    t = middle + torch.as_tensor(gp.parameters[:-1] - prior[:, 0])
    noise = (t[-1].exp() + _FLOOR).expand(len(y))
    offset, scale = float(state["offset"]), float(state["scale"])
    z = torch.as_tensor((y - offset) / scale)
    k = covariance(a, a, ties_of(place, place), t) + torch.diag(noise)
    factor = torch.linalg.cholesky(k)
    cross = covariance(a, b, ties_of(place, film.ties[tests]), t)
    half = torch.linalg.solve_triangular(factor, cross, upper=False)
    white = torch.linalg.solve_triangular(factor, z[:, None], upper=False)
    variance = (_diagonal(b, t) - half.square().sum(0)).clamp(min=1e-4)
    away = torch.as_tensor((truth[tests] - offset) / scale) - (half.T @ white)[:, 0]
    spread = np.nanstd(truth) / scale
    density = 0.5 * (away.square() / variance).clamp(max=50.0) + 0.5 * variance.log()
    return (away.square() / spread**2).clamp(max=9.0), density


def _diagonal(b: Tensor, t: Tensor) -> Tensor:
    variance = t.exp()
    linear = b[:, :LINEAR].square() @ variance[:GROUPS].repeat_interleave(_WIDTHS)
    order = [GROUPS + 1, GROUPS + 2, PARAMETERS - 2, GROUPS + 3]
    levels = b[:, LINEAR + BENT :].square() @ variance[order]
    return linear + levels + variance[GROUPS] + variance[GROUPS + 4]


def train(
    films: list[Film], learner: Learner, *, episodes: int, seed: int, state: Path
) -> list[tuple[int, float, float]]:
    """Train in place, and return the course of error and log density. `state` allows to go on."""
    apart = ("middle", "by_kind")
    weights = [w for name, w in learner.named_parameters() if name not in apart]
    groups = [
        {"params": weights, "weight_decay": DECAY},
        {"params": [learner.middle, learner.by_kind], "lr": 4 * RATE},
    ]
    optimiser = torch.optim.AdamW(groups, RATE, weight_decay=0.0)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, [RATE, 4 * RATE], episodes // BATCH)
    course: list[tuple[int, float, float]] = []
    mean, begun, first = np.zeros(2), time.time(), 0
    parts: dict[str, Any] = {"learner": learner, "optimiser": optimiser, "plan": plan}
    if state.exists():
        reached = kept(state)
        for part, module in parts.items():
            module.load_state_dict(reached[part])
        course, first = [tuple(c) for c in reached["course"]], reached["step"]
        mean = np.array(course[-1][1:])
    for step in range(first, episodes // BATCH):
        rng = np.random.default_rng([seed, step])
        optimiser.zero_grad()
        for _ in range(BATCH):
            film = films[int(rng.integers(len(films)))]
            n = int(np.exp(rng.uniform(*np.log(CONTEXT))))
            usual = len(film.usual) and rng.random() < _USUAL
            target = int(rng.choice(film.usual if usual else film.targets))
            found = episode(learner, film, target, n, rng, told=rng.random() > _UNTOLD)
            if found is None:
                continue
            error, density = found
            loss = (error.mean() + _DENSITY * density.mean()) / BATCH
            loss.backward()
            now = np.array([float(error.mean().sqrt().detach()), float(density.mean().detach())])
            mean = 0.99 * mean + 0.01 * now if step else now
        nn.utils.clip_grad_norm_(learner.parameters(), 2.0)
        optimiser.step()
        plan.step()
        if step % 100 == 0:
            course.append((step, round(float(mean[0]), 4), round(float(mean[1]), 4)))
            print(*course[-1], f"{time.time() - begun:.0f} s", flush=True)
            now_ = {part: module.state_dict() for part, module in parts.items()}
            keep(state, {**now_, "course": course, "step": step + 1})
    return course


def claim(folder: Path) -> None:
    """Make the folder, or ConfigError if other code made what it keeps."""
    digest = hashlib.sha256()
    for room in ("simulator", "microstructure", "policies.models.pretrained", "benchmarks.prior"):
        for path in sorted(Path(str(files(f"grainscout.{room}"))).rglob("*.py")):
            digest.update(path.read_bytes())
    digest.update((files("grainscout.microstructure") / "weights" / "reader.npz").read_bytes())
    folder.mkdir(parents=True, exist_ok=True)
    mark, made_by = folder / "made_by.txt", digest.hexdigest()
    if not mark.exists() and not any(folder.iterdir()):
        mark.write_text(made_by, "utf-8")
    if not mark.exists() or mark.read_text("utf-8") != made_by:
        raise ConfigError(f"{folder} keeps films or inputs that other code made; give a new folder")


def prepared(seed: int, folder: Path, *, current: bool) -> Film:
    """The film of a seed with its inputs, which are kept in the folder."""
    stored = cached_film(seed, folder)
    kind = np.random.default_rng([seed, 20]).integers(2) if current else None
    path = folder / f"inputs_{'height' if kind is None else kind}_{seed}.npz"
    if not path.exists():
        channels = {"height": stored["height"]}
        if kind is not None:
            channels["current"] = stored["current"][kind]
        scan = Scan(
            channels=channels,
            pixel_size=(float(stored["pixel_size"][0]), float(stored["pixel_size"][1])),
        )
        reading = read_structure(scan)
        inputs = make_inputs(scan, reading.maps, reading.sd, current=current)
        rows, columns = stored["sites"].T
        flat = rows * scan.shape[1] + columns
        np.savez(path, **{k: v[flat] for k, v in vars(inputs).items()}, flat=flat)
    with np.load(path) as kept:
        film = Film(stored, dict(kept))
    if kind is not None:  # an image tells of curves in the light that it was taken in
        light = f" {LIGHTS[int(kind)]:g} "
        for kind_of_target in ("targets", "usual"):
            every = getattr(film, kind_of_target)
            setattr(
                film, kind_of_target, np.array([t for t in every if light in str(film.names[t])])
            )
    return film


def evaluate(learner: Learner, films: list[Film], seed: int) -> dict[str, float]:
    """Median error over the spread of the truth on films that were not trained on."""
    found = {}
    with torch.no_grad():
        for told, n in itertools.product((True, False), (20, 60, 200)):
            rng = np.random.default_rng(seed)
            tried = [
                episode(learner, film, int(target), n, rng, told=told)
                for film in films
                for target in rng.choice(film.usual if len(film.usual) else film.targets, 6)
            ]
            errors = [float(t[0].mean().sqrt()) for t in tried if t is not None]
            label = f"nrmse at {n} curves" + ("" if told else ", target not named")
            found[label] = round(float(np.median(errors)), 3)
    return found


def main(argv: list[str] | None = None) -> None:
    """Train, store, evaluate."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="keeps films and state, made if missing")
    parser.add_argument("--out", type=Path, help="folder of the weights, by default the first one")
    parser.add_argument("--films", type=int, default=FILMS)
    parser.add_argument("--held-out", type=int, default=HELD_OUT)
    parser.add_argument("--episodes", type=int, default=EPISODES)
    parser.add_argument("--current", action="store_true", help="of height and current images")
    args = parser.parse_args(argv)
    claim(args.folder)
    films = [prepared(k, args.folder, current=args.current) for k in range(1, args.films + 1)]
    torch.manual_seed(SEED)
    x = torch.cat([film.x for film in films])
    learner = Learner(x.mean(0), x.std(0) + 1e-3)
    name = "current" if args.current else "height"
    state = args.folder / f"{name}.state"
    course = train(films, learner, episodes=args.episodes, seed=SEED, state=state)
    network = learner.network()
    first = FIRST_HELD_OUT
    held = [prepared(first + k, args.folder, current=args.current) for k in range(args.held_out)]
    report = {
        "command": "python -m grainscout.benchmarks.prior.train FOLDER"
        + (" --current" if args.current else ""),
        "films": f"1 .. {args.films}",
        "episodes": args.episodes,
        "seed": SEED,
        "course": course,
        "held out": {"films": f"{first} .. {first + args.held_out - 1}"}
        | evaluate(learner, held, SEED),
    }
    out = args.out or args.folder
    np.savez_compressed(out / f"{name}.npz", **network.arrays)  # type: ignore[arg-type]
    (out / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    torch.set_num_threads(1)
    with threadpool_limits(1):
        main()

"""Tasks by name: the built-in families, and the entry points of third parties.

An id names the task, such as ``film/s26/light/loop_area``, and its tags name its families. A task under
an id never changes its settings, so that scores under one id can be compared. For the same reason ids
keep the short names of the papers' materials: s26 is Gong2026 and s23 is Liu2023. Both are understood.
"""

import difflib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from itertools import product
from typing import Any

from grainscout.benchmarks.tasks.microscopes import YOUR_FILE, Ising, Replay, Simulated, Topography
from grainscout.benchmarks.tasks.task import Goal, Task
from grainscout.benchmarks.tasks.waveforms import (
    Bipolar,
    Forc,
    Pulses,
    Recorded,
    Switching,
    WaveformSpec,
)
from grainscout.records import ConfigError, closest

GROUP = "grainscout.tasks"
#: Name of a paper's material -> its name in ids and tags.
_IN_IDS = {"Gong2026": "s26", "Liu2023": "s23"}

_LIGHT = {"dark": 0.0, "light": 0.1}
_CURVES = 60

#: Films of one hidden setting each, and the levels of difficulty (see ``simulator.presets``).
_HIDDEN = (
    "boundary-larger",
    "boundary-same",
    "boundary-smaller",
    "fast-boundaries",
    "slow-boundaries",
    "conducting-junctions",
)
_LEVELS = ("clean", "easy-2", "easy-1", "hard-1", "hard-2", "hard-3")

_WAVEFORMS: dict[str, WaveformSpec] = {
    "bipolar": Bipolar(peak_V=1.5, samples=501, duration_s=2.0),
    "forc": Forc(peak_V=1.5, branches=5, rate_V_per_s=3.0),
    "pulses": Pulses(levels_V=(0.5, 1.0, 1.5, -0.5, -1.0)),
}

_SWEPT = (
    ("bipolar", "loop_area"),
    ("bipolar", "turn_on"),
    ("forc", "loop_area"),
    ("pulses", "max_current"),
)

#: The middle ones are about what 60 curves of random sampling use up; the image takes the first 128 s.
_BUDGETS: dict[str, dict[str, Any]] = {
    "curves-30": {"curves": 30},
    "curves-120": {"curves": 120},
    "curves-210": {"curves": 210},
    "seconds-210": {"curves": None, "seconds": 210.0},
    "seconds-300": {"curves": None, "seconds": 300.0},
    "seconds-600": {"curves": None, "seconds": 600.0},
    "wear-reference": {"curves": None, "wear": 0.02},
    "wear-severe": {"curves": None, "wear": 0.1},
}


def tasks() -> dict[str, Task]:
    """List every task by its id: built in, then third parties'.

    Raises
    ------
    ConfigError
        For an id that two claim, and for an entry point that cannot be loaded or does not give tasks.
    """
    found = dict(builtin_tasks())
    origin = dict.fromkeys(found, "a built-in task")
    for point in entry_points(group=GROUP):
        for task in _theirs(point):
            rival = origin.setdefault(task.id, point.value)
            if rival != point.value or task.id in found:
                raise ConfigError(
                    f"task id {task.id!r} must be unique; the entry point {point.value} and {rival} "
                    "both claim it. Uninstall or rename one of them"
                )
            found[task.id] = task
    return found


def find_task(id_: str) -> Task:
    """Find the task of that id. ConfigError names the closest ones if there is none."""
    id_ = "/".join(_IN_IDS.get(part, part) for part in id_.split("/"))
    known = builtin_tasks()
    if id_ not in known:  # a third party's, which are loaded only when one is wanted
        known = tasks()
    if id_ not in known:
        near = difflib.get_close_matches(id_, known, 3)
        hint = f"the closest are {', '.join(near)}" if near else "see grainscout list tasks"
        raise ConfigError(f"task must be the id of a registered one; got {id_!r}, {hint}")
    return known[id_]


def tasks_with(tags: Sequence[str]) -> list[Task]:
    """Find the tasks that can be run as they are and have one of `tags`.

    ``"fault+severe"`` asks for both. `unmappable` ones are left out. ConfigError for a tag that no task has.
    """
    no_map = unmappable()
    usable = [t for t in tasks().values() if not t.microscope.needs_file and t.id not in no_map]
    found: dict[str, Task] = {}
    for wanted in tags:
        every = {_IN_IDS.get(tag, tag) for tag in wanted.split("+")}
        some = [t for t in usable if every <= set(t.tags)]
        if not some:
            known = sorted({tag for t in usable for tag in t.tags})
            raise ConfigError(
                f"task tag must be one of {', '.join(known)}, joined by + to ask for all of several; "
                f"got {wanted!r}{closest(wanted, known)}"
            )
        found.update((t.id, t) for t in some)
    return list(found.values())


@lru_cache(maxsize=1)
def builtin_tasks() -> dict[str, Task]:
    """Return the tasks that come with Grainscout, by id."""
    return {task.id: task for task in _builtin()}


@lru_cache(maxsize=1)
def difficulties() -> dict[str, dict[str, float]]:
    """Read the difficulty of each built-in task: what random sampling leaves undone.

    It is measured by ``benchmarks/studies/difficulty.py``.

    Returns
    -------
    table : mapping
        Task id -> mapping with some of

        - discovery: share of the wanted examples not found at the end of the budget,
        - mapping: error of the map then, over the spread of the truth,
        - optimisation: regret then, over the range of the truth,
        - until_all: expected random measurements until one of every archetype has been met.
    """
    text = (files("grainscout.benchmarks.tasks") / "difficulty.json").read_text(encoding="utf-8")
    table: dict[str, dict[str, float]] = json.loads(text)["tasks"]
    return table


def unmappable() -> frozenset[str]:
    """Ids of tasks whose map cannot be made: random sites leave an error of 1 or more at the budget."""
    return frozenset(k for k, left in difficulties().items() if left.get("mapping", 0.0) >= 1.0)


def _theirs(point: EntryPoint) -> Iterable[Task]:
    where = f"entry point {point.name!r} ({point.value}) in the group {GROUP!r}"
    try:
        give = point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{where} cannot be loaded: {error}") from error
    given = list(give()) if callable(give) else [give]
    for task in given:
        if not isinstance(task, Task):
            raise ConfigError(f"{where} must be a function that gives tasks; it gives {task!r}")
    return given


def _task(id_: str, *tags: str, light: str = "", film: str = "s26", **settings: Any) -> Task:
    """Make a task and complete its tags by its light, target, goals and film."""
    settings = {"target": "loop_area", "curves": _CURVES, **settings}
    settings.setdefault("microscope", Simulated(film=film))
    task = Task(id=id_, light_suns=_LIGHT.get(light, 0.0), **settings)
    preset = film if isinstance(task.microscope, Simulated) else ""
    more = (*tags, light, task.target, *task.goals, preset)
    return replace(task, tags=tuple(dict.fromkeys(tag for tag in more if tag)))


def _builtin() -> Iterator[Task]:
    papers = list(product(("s26", "s23"), _LIGHT))
    for film, light in papers:
        for target in ("loop_area", "turn_on", "max_current"):
            id_ = f"film/{film}/{light}/{target}"
            yield _task(id_, "film", film=film, light=light, target=target)
    for film, light in papers:
        for target in ("loop_area", "max_current"):
            id_ = f"optimum/{film}/{light}/{target}"
            at: dict[str, Any] = {"film": film, "light": light, "target": target}
            yield _task(id_, "optimum", **at, goals=("optimisation",))
    for film in ("s26", "s23"):
        id_ = f"level/{film}/light/loop_area"
        yield _task(id_, "level", film=film, light="light", goals=("level-set",))
    for film, light in papers:
        at = {"film": film, "light": light, "target": "max_current"}
        id_ = f"boundaries/{film}/{light}/max_current"
        yield _task(id_, "boundary-only", **at, sites="boundaries")
    for name, target in _SWEPT:
        at = {"light": "light", "target": target, "waveform": _WAVEFORMS[name]}
        yield _task(f"waveform/{name}/{target}", "waveform", name, **at)
    for film in _LEVELS:
        yield _task(f"ladder/{film}", "ladder", film=film, light="light")
    for film in _HIDDEN:
        yield _task(f"hidden/{film}", "hidden", film=film, light="light")
    for target in ("loop_area", "turn_on"):
        at = {"film": "composition", "light": "light", "target": target}
        yield _task(f"composition/{target}", "composition", **at)
    at = {"film": "reference+piezoresponse", "waveform": Switching(), "goals": ("mapping",)}
    target = "grainscout.analysis.curves.switching:coercive_voltage [V]"
    yield _task("piezoresponse/coercive_voltage", "piezoresponse", **at, target=target)
    yield from _foreign()
    yield from _faults()
    yield from _budgets()
    yield from _without_film()


def _foreign() -> Iterator[Task]:
    """The ladder of films on which what was learnt on native ones may not hold, dark and light."""
    from grainscout.simulator import PRESETS

    films = ["gong2026-fitted", *(name for name in PRESETS if name.startswith("foreign-"))]
    for film, light, target in product(films, _LIGHT, ("loop_area", "turn_on")):
        id_ = f"foreign/{film.removeprefix('foreign-')}/{light}/{target}"
        yield _task(id_, "foreign", film=film, light=light, target=target)


def _faults() -> Iterator[Task]:
    """One for each fault level of the instrument: none, each fault alone, all; mild and severe."""
    from grainscout.simulator.instrument import FAULT_LADDERS

    for level in FAULT_LADDERS:
        spec = Simulated(film="s26", instrument=level)
        tags = [tag for tag in level.partition("-")[::2] if tag]
        yield _task(f"fault/{level}", "fault", *tags, light="light", microscope=spec)


def _budgets() -> Iterator[Task]:
    for name, budget in _BUDGETS.items():
        instrument = "quiet+wear-severe" if name == "wear-severe" else "reference"
        spec = Simulated(film="s26", instrument=instrument)
        tags = ("budget", f"equal-{name.partition('-')[0]}")
        yield _task(f"budget/{name}", *tags, light="light", microscope=spec, **budget)


def _without_film() -> Iterator[Task]:
    """Tasks on recorded or computed points. Files are the user's own."""
    recorded: dict[str, Any] = {"waveform": Recorded(), "window_px": 1}
    ising: dict[str, tuple[Goal, ...]] = {
        "magnetisation": ("discovery", "mapping"),
        "heat_capacity": ("mapping", "optimisation"),
    }
    for name, goals in ising.items():
        spec = Ising(options={"property": name})
        at: dict[str, Any] = {"target": "max_current", "goals": goals, "curves": 40}
        yield _task(f"ising/{name}", "ising", microscope=spec, **at, **recorded)
    for target in ("max_current", "loop_area"):
        grid = Replay(file=YOUR_FILE)
        yield _task(f"replay/{target}", "replay", microscope=grid, target=target, **recorded)
    image = Topography(film="s26", file=YOUR_FILE)
    yield _task("topography/loop_area", "topography", light="light", microscope=image)

"""A Snapshot as the parts of the page; only the parts that changed are sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from grainscout.analysis.curves.archetypes import ARCHETYPE_NAMES, classify
from grainscout.analysis.curves.descriptors import describe_curve
from grainscout.analysis.figures.style import engineering, labelled
from grainscout.journal import Event
from grainscout.records import Outcome, Proposal
from grainscout.watch import figures as figures
from grainscout.watch.explanations import Thoughts
from grainscout.watch.images import Coloured, coloured
from grainscout.watch.journal_reader import Snapshot
from grainscout.watch.status import Alert, State, alerts_of, duration, left_of, state_of

_EVENTS = 60
_SHORT = {"mean": "mean", "uncertainty": "1 sd"}
_COURSE = "Dots: each curve. Line: the largest so far."
_DIVERSITY = (
    "Mean pairwise distance of the curves so far. It may fall when curves resemble old ones."
)
_KINDS = "Read off the loops of the measured curves."
_MARKS = {"good": "▶", "rest": "‖", "warn": "⚠", "bad": "⚠"}
_END_MARKS = {"finished": "✓", "aborted": "■"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Page:
    """What a viewer gets: parts by the id of their place, facts for the script, pictures by name."""

    facts: Mapping[str, Any]
    parts: Mapping[str, str]
    pictures: Mapping[str, bytes]


class Painter:
    """Makes the page of one run, again and again."""

    def __init__(self, run: Snapshot, *, control: bool) -> None:
        self.control = control
        self.ground = figures.Ground(run.header.problem.scan)
        self._templates = Environment(
            loader=PackageLoader("grainscout.watch", "assets"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["duration"] = duration
        self._pictures: dict[str, bytes] = {}
        self._maps: dict[str, tuple[Coloured, str, str]] = {}
        self._thoughts: Thoughts | None = None
        if self.ground.shown is not None:
            self._keep("height", self.ground.shown)

    def page(self, run: Snapshot, now: float, trouble: str = "", name: str = "") -> Page:
        """The parts for this moment; `now` in seconds since 1970; `trouble`: the journal's, if any."""
        state = state_of(run)
        alerts = alerts_of(run, state, now)
        if trouble:
            alerts.insert(0, Alert(text=trouble, mood="bad"))
        worst = alerts[0].mood if alerts else "good"
        mark = _END_MARKS.get(state.name) or _MARKS[state.mood]
        common = {"run": run, "state": state, "name": name, "control": self.control}
        parts = {
            "state": self._render("state", **common, alerts=alerts, mark=mark),
            "left": self._render("left", **common, left=left_of(run), tiles=_tiles(run)),
            "curves": self._render("curves", **common, **self._last(run)),
            "sites": self._render("sites", **common, figure=figures.sites(run, self.ground)),
            "next": self._render("next", **common, waiting=self._waiting(run, state)),
            "maps": self._render("maps", **common, **self._mapped(run)),
            "course": self._render("figure", figure=figures.course(run), caption=_COURSE),
            "diversity": self._render("figure", figure=figures.diversity(run), caption=_DIVERSITY),
            "kinds": self._render("figure", figure=figures.kinds(run), caption=_KINDS),
            "events": self._render("events", **_events(run)),
        }
        facts = {
            "state": state.name,
            "going": state.going,
            "count": len(run.sites),
            "seen": run.seen,
            "mood": worst,
            "title": f"{'⚠' if worst == 'bad' else mark} {len(run.sites)} · {name}",
            "map": [*self.ground.axes.box, *self.ground.scan.shape],
        }
        return Page(facts=facts, parts=parts, pictures=dict(self._pictures))

    def whole(self, page: Page, run: Snapshot, name: str) -> str:
        """The page as one document, before the script takes over."""
        return self._render(
            "page",
            parts={key: Markup(part) for key, part in page.parts.items()},
            facts=json.dumps(page.facts),
            run=run,
            name=name,
            control=self.control,
            policy=policy_name(run),
        )

    def think(self, thoughts: Thoughts, run: Snapshot) -> None:
        """New maps of the policy; the old ones stay if there are none."""
        if thoughts.trouble and self._maps and self._thoughts is not None:
            return
        self._thoughts = thoughts
        self._maps = {}
        target = run.header.problem.target
        words = {"mean": f"predicted {target}", "uncertainty": f"uncertainty of {target} (1 sd)"}
        for name in sorted(thoughts.maps, key=_rank):
            image = thoughts.maps[name]
            of_target = name in ("mean", "uncertainty")
            factor, unit = engineering(image, run.unit if of_target else "")
            shown = coloured(image * factor, name=name)
            if shown is None:
                continue
            self._keep(name, shown)
            self._maps[name] = (shown, words.get(name, name).replace("_", " "), unit)

    def measurement(self, outcome: Outcome, number: int, run: Snapshot) -> str:
        """One measurement that a viewer picked."""
        return self._render(
            "picked",
            number=number,
            told=self._told(outcome, run),
            figure=figures.curves([outcome], number + 1, "plot-picked"),
        )

    def proposal(self, proposal: Proposal, run: Snapshot) -> str:
        """A site that waits for its measurement, with the button to veto it."""
        (row,) = [w for w in self._waiting(run, state_of(run)) if w["id"] == proposal.id]
        return self._render("proposal", p=row, control=self.control)

    def _keep(self, name: str, image: Coloured) -> None:
        self._pictures[name] = image.png
        self._pictures[f"bar-{name}"] = image.bar

    def _render(self, part: str, **values: Any) -> str:
        return self._templates.get_template(f"{part}.html.j2").render(**values)

    def _last(self, run: Snapshot) -> dict[str, Any]:
        first = len(run.sites) - len(run.newest) + 1
        return {
            "figure": figures.curves(run.newest, first),
            "number": len(run.sites),
            "told": self._told(run.newest[-1], run) if run.newest else [],
        }

    def _told(self, outcome: Outcome, run: Snapshot) -> list[tuple[str, str]]:
        """What is to be said about one measurement."""
        x, y = self.ground.places([tuple(outcome.site)])
        told = [
            ("site", f"row {outcome.site[0]}, column {outcome.site[1]}"),
            ("place", f"x {x[0]:.3g}, y {y[0]:.3g} {self.ground.length}"),
            ("clock", f"{outcome.finished:.1f} s"),
            ("status", outcome.status + (f": {outcome.message}" if outcome.message else "")),
        ]
        if outcome.visit:
            told.append(("visit", f"{outcome.visit + 1}"))
        if outcome.curve is not None:
            curve, problem = outcome.curve, run.header.problem
            found = describe_curve(problem.target, curve)
            factor, unit = engineering(found.value, found.unit)
            value = f"{found.value[0] * factor:.3g} {unit}" if found.valid[0] else "not told"
            kind = int(classify(curve.voltage, curve.current, curve.saturated[None])[0])
            told.append((problem.target.replace("_", " "), value))
            if kind < len(ARCHETYPE_NAMES):
                told.append(("kind", ARCHETYPE_NAMES[kind]))
        return told

    def _waiting(self, run: Snapshot, state: State) -> list[dict[str, Any]]:
        if not state.going:
            return []
        vetoed = {str(r.detail.get("id")) for r in run.asked if r.kind == "veto"} | {
            str(e.detail.get("id")) for e in run.events if e.detail.get("asked") == "veto"
        }
        rows = []
        for p in run.waiting:
            x, y = self.ground.places([tuple(p.site)])
            expected = ""
            if p.prediction is not None:
                factor, unit = engineering([p.prediction], run.unit)
                expected = f"{p.prediction * factor:.3g}"
                if p.uncertainty is not None:
                    expected += f" ± {p.uncertainty * factor:.2g}"
                expected = f"expected {expected} {unit}"
            rows.append(
                {
                    "id": p.id,
                    "site": tuple(p.site),
                    "where": f"x {x[0]:.3g}, y {y[0]:.3g} {self.ground.length}",
                    "expected": expected,
                    "vetoed": p.id in vetoed,
                }
            )
        return rows

    def _mapped(self, run: Snapshot) -> dict[str, Any]:
        thoughts = self._thoughts
        upto = 0 if thoughts is None else thoughts.after
        return {
            "thoughts": thoughts,
            "figures": [
                {
                    "name": label,
                    "figure": figures.policy_map(
                        name, image, self.ground, run, labelled(_SHORT.get(name, label), unit), upto
                    ),
                }
                for name, (image, label, unit) in self._maps.items()
            ],
        }


def style_sheet() -> str:
    """The style sheet, with the colours of the order of measurements."""
    text = (files("grainscout.watch") / "assets" / "page.css").read_text(encoding="utf-8")
    rules = [f".order{k} {{ stroke: {c}; }}" for k, c in enumerate(figures.order_bar())]
    return text + "\n".join(rules) + "\n"


def policy_name(run: Snapshot) -> str:
    """The policy's label or name."""
    spec = run.header.config.get("policy", {})
    return str(spec.get("label") or spec.get("name", "policy"))


def _rank(name: str) -> tuple[int, str]:
    """The order of the maps: belief, its uncertainty, novelties, what is chosen by."""
    first = {"mean": 0, "uncertainty": 1}.get(name)
    return (3 - ("novelty" in name) if first is None else first), name


def _tiles(run: Snapshot) -> list[tuple[str, str]]:
    clock = float(run.finished[-1]) if len(run.finished) else 0.0
    failed = int((run.status == "failed").sum())
    railed = int((run.status == "saturated").sum())
    faults = sum(e.kind == "fault" for e in run.events)
    tiles = [("last curve", _last_curve(run))] if len(run.curve_of) else []
    return [
        *tiles,
        ("curves", str(len(run.curve_of))),
        ("failed", str(failed)),
        ("at the rail", str(railed)),
        ("faults noted", str(faults)),
        ("microscope's clock", duration(clock)),
        ("time for each", "–" if run.pace is None else duration(run.pace)),
    ]


def _last_curve(run: Snapshot) -> str:
    factor, unit = engineering(run.value[-1:], run.unit)
    value = f"{run.value[-1] * factor:.3g} {unit}".replace(" ", "\u00a0")
    told = [] if np.isnan(run.value[-1]) else [value]
    if run.kind[-1] < len(ARCHETYPE_NAMES):
        told.insert(0, ARCHETYPE_NAMES[run.kind[-1]])
    return ", ".join(told) or "tells nothing"


def _events(run: Snapshot) -> dict[str, Any]:
    """The newest events and failures first, and how many older ones there are."""
    rows: list[dict[str, Any]] = [
        {"clock_s": e.clock_s, "wall": e.wall, "kind": e.kind, "words": _words(e)}
        for e in run.events
    ]
    rows += [
        {
            "clock_s": f.finished,
            "wall": "",
            "kind": "failed",
            "words": f"row {f.site[0]}, column {f.site[1]}: {f.message}",
        }
        for f in run.failures
    ]
    rows.sort(key=lambda row: row["clock_s"])  # stable: events of one moment keep their order
    lines = [{**row, "clock": f"{row['clock_s']:.1f} s"} for row in rows[: -_EVENTS - 1 : -1]]
    return {"events": lines, "more": len(rows) - len(lines)}


def _words(event: Event) -> str:
    detail = dict(event.detail)
    if event.kind == "fault":
        head = str(detail.pop("what", "fault")).replace("_", " ")
        detail.pop("at_s", None)
    elif event.kind == "request":
        head = str(detail.pop("asked", ""))
        if refused := detail.pop("refused", ""):
            head += f", refused: {refused}"
    elif event.kind == "end":
        head = str(detail.pop("reason", ""))
    else:
        head = ""
    rest = ", ".join(f"{k} {_plain(v)}" for k, v in detail.items() if v not in ([], "", None))
    return "; ".join(part for part in (head, rest) if part)


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) and np.isfinite(value) else str(value)

"""Rendering of a Snapshot as parts of the page."""

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
from grainscout.analysis.curves.quality import WINDOW
from grainscout.analysis.figures.style import engineering, labelled
from grainscout.journal import Event
from grainscout.records import Outcome, Proposal, Quality
from grainscout.watch import figures
from grainscout.watch.explanations import Explanation
from grainscout.watch.journal_reader import Snapshot
from grainscout.watch.status import (
    Alert,
    State,
    alerts_of,
    duration,
    recent_quality,
    remaining_budget,
    state_of,
)
from grainscout.watch.svg_axes import Coloured, coloured

_EVENTS = 60
_SHORT = {"mean": "mean", "uncertainty": "1 sd"}
_VALUES = "Dots: each curve. Line: the largest of usable curves so far."
_DIVERSITY = (
    "Mean pairwise distance of the curves so far. It may fall when curves resemble old ones."
)
_ARCHETYPES = "By the shapes of the measured loops."
_MARKS = {"good": "▶", "rest": "‖", "warn": "⚠", "bad": "⚠"}
_END_MARKS = {"finished": "✓", "aborted": "■"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Page:
    """Content for the viewers."""

    status: Mapping[str, Any]  #: Values for the script
    parts: Mapping[str, str]  #: HTML by the id of its place
    pictures: Mapping[str, bytes]  #: PNG files by name


class PageRenderer:
    """Renderer of the page of one run."""

    def __init__(self, run: Snapshot, *, control: bool) -> None:
        self.control = control
        self.base = figures.MapAxes(run.header.problem.scan)
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
        self._explanation: Explanation | None = None
        if self.base.shown is not None:
            self._keep("height", self.base.shown)
        scan = run.header.problem.scan
        self._images: dict[str, tuple[Coloured, str, str]] = {}
        for name in list(scan.channels)[1:]:
            factor, unit = engineering(scan.channel(name), scan.units.get(name, ""))
            shown = coloured(scan.channel(name) * factor, name=name)
            if shown is not None:
                self._keep(f"image {name}", shown)
                self._images[f"image {name}"] = (shown, f"{name} image", unit)

    def page(self, run: Snapshot, now: float, trouble: str = "", name: str = "") -> Page:
        """Render the page at `now` [s since 1970]."""
        state = state_of(run)
        alerts = alerts_of(run, state, now)
        if trouble:
            alerts.insert(0, Alert(text=trouble, severity="bad"))
        worst = alerts[0].severity if alerts else "good"
        mark = _END_MARKS.get(state.name) or _MARKS[state.severity]
        common = {"run": run, "state": state, "name": name, "control": self.control}
        parts = {
            "state": self._render("state", **common, alerts=alerts, mark=mark),
            "budget": self._render(
                "budget", **common, budget=remaining_budget(run), tiles=_tiles(run)
            ),
            "curves": self._render("curves", **common, **self._last(run)),
            "sites": self._render("sites", **common, figure=figures.sites(run, self.base)),
            "next": self._render("next", **common, waiting=self._waiting(run, state)),
            "maps": self._render("maps", **common, **self._mapped(run)),
            "values": self._render("figure", figure=figures.values(run), caption=_VALUES),
            "diversity": self._render("figure", figure=figures.diversity(run), caption=_DIVERSITY),
            "archetypes": self._render(
                "figure", figure=figures.archetypes(run), caption=_ARCHETYPES
            ),
            "events": self._render("events", **_events(run)),
        }
        status = {
            "state": state.name,
            "going": state.going,
            "count": len(run.sites),
            "seen": run.seen,
            "title": f"{'⚠' if worst == 'bad' else mark} {len(run.sites)} · {name}",
            "map": [*self.base.axes.box, *self.base.scan.shape],
        }
        return Page(status=status, parts=parts, pictures=dict(self._pictures))

    def whole(self, page: Page, run: Snapshot, name: str) -> str:
        """Render the page as one document."""
        return self._render(
            "page",
            parts={key: Markup(part) for key, part in page.parts.items()},
            status=json.dumps(page.status),
            run=run,
            name=name,
            control=self.control,
            policy=policy_name(run),
        )

    def show_maps(self, explanation: Explanation, run: Snapshot) -> None:
        """Take new maps, or keep the old ones."""
        if explanation.trouble and self._maps and self._explanation is not None:
            return
        self._explanation = explanation
        self._maps = {}
        target = run.header.problem.target
        labels = {"mean": f"predicted {target}", "uncertainty": f"uncertainty of {target} (1 sd)"}
        for name in sorted(explanation.maps, key=_rank):
            image = explanation.maps[name]
            factor, unit = engineering(image, run.unit if name in labels else "")
            shown = coloured(image * factor, name=name)
            if shown is not None:
                self._keep(name, shown)
                self._maps[name] = (shown, labels.get(name, name).replace("_", " "), unit)

    def measurement(self, outcome: Outcome, number: int, run: Snapshot) -> str:
        """Render a measurement that a viewer picked."""
        return self._render(
            "picked",
            number=number,
            details=self._details(outcome, run),
            figure=figures.curves([outcome], number + 1, "plot-picked"),
        )

    def proposal(self, proposal: Proposal, run: Snapshot) -> str:
        """Render a waiting site with its veto button."""
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
            "details": self._details(run.newest[-1], run) if run.newest else [],
        }

    def _details(self, outcome: Outcome, run: Snapshot) -> list[tuple[str, str]]:
        """Rows about one measurement."""
        details = [
            ("site", f"row {outcome.site[0]}, column {outcome.site[1]}"),
            ("place", self.base.place(outcome.site)),
            ("clock", f"{outcome.finished:.1f} s"),
            ("status", outcome.status + (f": {outcome.message}" if outcome.message else "")),
        ]
        if outcome.quality is not None:
            details.append(("quality", _verdict(outcome.quality)))
        if outcome.visit:
            details.append(("visit", f"{outcome.visit + 1}"))
        if outcome.curve is not None:
            curve, problem = outcome.curve, run.header.problem
            described = describe_curve(problem.target, curve)
            value = described.value[0] if described.valid[0] else np.nan
            archetype = int(classify(curve.voltage, curve.current, curve.saturated[None])[0])
            details.append((problem.target.replace("_", " "), _value(value, described.unit)))
            if archetype < len(ARCHETYPE_NAMES):
                details.append(("archetype", ARCHETYPE_NAMES[archetype]))
        return details

    def _waiting(self, run: Snapshot, state: State) -> list[dict[str, Any]]:
        if not state.going:
            return []
        vetoed = {str(r.detail.get("id")) for r in run.asked if r.kind == "veto"} | {
            str(e.detail.get("id")) for e in run.events if e.detail.get("asked") == "veto"
        }
        rows = []
        for p in run.waiting:
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
                    "place": self.base.place(p.site),
                    "expected": expected,
                    "vetoed": p.id in vetoed,
                }
            )
        return rows

    def _mapped(self, run: Snapshot) -> dict[str, Any]:
        known = 0 if self._explanation is None else self._explanation.after

        def drawn(maps: Mapping[str, tuple[Coloured, str, str]]) -> list[dict[str, Any]]:
            return [
                {
                    "name": label,
                    "figure": figures.policy_map(
                        name, image, self.base, run, labelled(_SHORT.get(name, label), unit), known
                    ),
                }
                for name, (image, label, unit) in maps.items()
            ]

        return {
            "explanation": self._explanation,
            "images": drawn(self._images),
            "figures": drawn(self._maps),
        }


def style_sheet() -> str:
    """Style sheet with the colours of the order."""
    text = (files("grainscout.watch") / "assets" / "page.css").read_text(encoding="utf-8")
    rules = [f".order{k} {{ stroke: {c}; }}" for k, c in enumerate(figures.order_bar())]
    return text + "\n".join(rules) + "\n"


def policy_name(run: Snapshot) -> str:
    """Label or name of the policy."""
    spec = run.header.config.get("policy", {})
    return str(spec.get("label") or spec.get("name", "policy"))


def _rank(name: str) -> tuple[int, str]:
    """Order of the maps: mean, uncertainty, novelties, others."""
    first = {"mean": 0, "uncertainty": 1}.get(name)
    return (3 - ("novelty" in name) if first is None else first), name


def _tiles(run: Snapshot) -> list[tuple[str, str]]:
    clock = float(run.finished[-1]) if len(run.finished) else 0.0
    failed = int((run.status == "failed").sum())
    at_rail = int((run.status == "saturated").sum())
    faults = sum(e.kind == "fault" for e in run.events)
    recent = recent_quality(run)
    share = f"{recent.unusable} of {recent.judged}" + (f": {recent.reasons}" * bool(recent.reasons))
    quality = [(f"unusable, latest {WINDOW}", share)] if recent.judged else []
    tiles = [("last curve", _last_curve(run))] if len(run.curve_of) else []
    return [
        *tiles,
        ("curves", str(len(run.curve_of))),
        ("failed", str(failed)),
        ("at the rail", str(at_rail)),
        *quality,
        ("faults noted", str(faults)),
        ("microscope's clock", duration(clock)),
        ("time for each", "–" if run.pace is None else duration(run.pace)),
    ]


def _last_curve(run: Snapshot) -> str:
    last = run.quality[-1]
    if last is not None and not last.usable:
        return "not usable"
    words = list(ARCHETYPE_NAMES[run.archetype[-1] :][:1])  # none if it is unclear
    if not np.isnan(run.value[-1]):
        words.append(_value(run.value[-1], run.unit).replace(" ", "\u00a0"))
    return ", ".join(words) or "unclear"


def _verdict(quality: Quality) -> str:
    """The verdict on a curve in words."""
    reasons = ", ".join(quality.reasons)
    if not quality.usable:
        return f"not usable: {reasons}"
    return f"usable ({reasons})" if reasons else "usable"


def _value(value: float, unit: str) -> str:
    factor, shown = engineering([value], unit)
    return "unknown" if np.isnan(value) else f"{value * factor:.3g} {shown}"


def _events(run: Snapshot) -> dict[str, Any]:
    """Newest events and failures, and the number of others."""
    rows = [(e.clock_s, e.wall, e.kind, _words(e)) for e in run.events] + [
        (f.finished, "", "failed", f"row {f.site[0]}, column {f.site[1]}: {f.message}")
        for f in run.failures
    ]
    rows.sort(key=lambda row: row[0])  # stable: events of one moment keep their order
    newest = rows[: -_EVENTS - 1 : -1]
    return {"events": newest, "more": len(rows) - len(newest)}


def _words(event: Event) -> str:
    detail = dict(event.detail)
    if event.kind == "warning" and "share" in detail:
        share = detail.pop("share")
        head = f"{detail.pop('what')}: {share:.0%} of the latest {WINDOW} are unusable"
    elif event.kind == "fault":
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

"""A run as a recorded grid of curves, for export and for replay."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from grainscout.analysis.curves.quality_of_run import with_quality
from grainscout.analysis.formats import Recording
from grainscout.journal.journal import Journal
from grainscout.journal.models import Header
from grainscout.journal.salvaging import Salvaged
from grainscout.records import DataError, IVCurve, Outcome, Scan, Waveform


def recording_of(journal: Journal) -> Recording:
    """The curves of a run: the first usable one of each site, or else the first.

    Parameters
    ----------
    journal : Journal
        An open journal.

    Returns
    -------
    Recording
        Its metadata count other visits and failures. For each curve they hold "usable",
        "quality_reasons" in words and "quality_score".

    Raises
    ------
    DataError
        If there is no curve.
    """
    header = journal.header()
    outcomes = with_quality(journal.outcomes(), header.problem)
    visits = _by_visit(outcomes)
    if not visits:
        raise DataError(f"journal {journal.path} holds no measured curve to export")
    measured = sum(map(len, visits))
    kept = {o.site: (o, c) for o, c in visits[0]}
    for outcome, curve in (seen for group in visits[1:] for seen in group):
        if outcome.usable and not kept[outcome.site][0].usable:
            kept[outcome.site] = outcome, curve
    return _recording(
        list(kept.values()),
        header.problem.scan,
        header.problem.waveform,
        _about(header)
        | {"later_visits_left_out": measured - len(kept), "failures": len(outcomes) - measured},
    )


def salvaged_recordings(found: Salvaged) -> list[Recording]:
    """All sound curves of a journal, one recording for each number of visits.

    Parameters
    ----------
    found : Salvaged
        Sound rows of a damaged journal.

    Returns
    -------
    list of Recording
        First visits, second visits, and so on. Without a sound header the waveform is that of the
        first curve, and the scan is an image of the measured sites with pixels of 1 nm. The
        metadata say so.

    Raises
    ------
    DataError
        If there is no sound curve.
    """
    visits = _by_visit(found.outcomes.values())
    if not visits:
        raise DataError("a damaged journal must hold a sound curve to be exported; it has none")
    if found.header is not None:
        sound = with_quality(list(found.outcomes.values()), found.header.problem)
        visits = _by_visit(sound)
    failed = [o for o in found.outcomes.values() if o.curve is None]
    about: dict[str, Any] = {
        "salvaged": "from a damaged journal",
        "lost_numbers": list(found.lost),
        "unanswered_proposals": [p.id for p in found.unanswered],
        "failed_sites": [list(map(int, o.site)) for o in failed],
        "failed_because": [o.message or o.status for o in failed],
    }
    if found.header is not None:
        problem = found.header.problem
        scan, waveform = problem.scan, problem.waveform
        about |= _about(found.header)
    else:
        sites = np.array([o.site for group in visits for o, _ in group])
        image = np.zeros((int(sites[:, 0].max()) + 1, int(sites[:, 1].max()) + 1))
        image[sites[:, 0], sites[:, 1]] = 1.0
        scan = Scan(channels={"measured": image}, pixel_size=(1e-9, 1e-9))
        first = visits[0][0][1]
        waveform = Waveform(voltage=first.voltage, time=first.time, kind="recorded")
        about |= {"source": "Grainscout journal", "scan": "damaged; 1 nm a pixel is assumed"}
    return [
        _recording(group, scan, waveform, about | {"visit": k}) for k, group in enumerate(visits)
    ]


_Measured = tuple[Outcome, IVCurve]


def _by_visit(outcomes: Iterable[Outcome]) -> list[list[_Measured]]:
    """Measured outcomes: the first at each site, the second of those that have one, ..."""
    seen: dict[tuple[int, int], int] = {}
    groups: list[list[_Measured]] = []
    for outcome in outcomes:
        if outcome.curve is None:
            continue
        site = (outcome.site[0], outcome.site[1])
        visit = seen.get(site, 0)
        seen[site] = visit + 1
        if visit == len(groups):
            groups.append([])
        groups[visit].append((outcome, outcome.curve))
    return groups


def _about(header: Header) -> dict[str, Any]:
    return {
        "source": f"Grainscout journal, begun {header.created}",
        "target": header.problem.target,
        "light_suns": header.problem.light,
        "seed": header.seed,
    }


def _recording(
    measured: Sequence[_Measured], scan: Scan, waveform: Waveform, about: dict[str, Any]
) -> Recording:
    return Recording(
        scan=scan,
        sites=np.array([o.site for o, _ in measured], np.int64),
        waveform=waveform,
        current=np.array([c.current for _, c in measured]),
        saturated=np.array([c.saturated for _, c in measured]),
        metadata=about | {"started_s": [o.started for o, _ in measured]} | _verdicts(measured),
    )


def _verdicts(measured: Sequence[_Measured]) -> dict[str, Any]:
    """Verdicts on the curves for the metadata. None where the curves were not judged."""
    verdicts = [o.quality for o, _ in measured if o.quality is not None]
    if len(verdicts) < len(measured):
        return {}
    return {
        "usable": [q.usable for q in verdicts],
        "quality_reasons": [", ".join(q.reasons) for q in verdicts],
        "quality_score": [q.score for q in verdicts],
    }

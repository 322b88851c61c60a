"""A run as a recorded grid of curves, for export and for replay."""

from __future__ import annotations

import numpy as np

from grainscout.analysis.formats import Recording
from grainscout.journal._journal import Journal
from grainscout.records import DataError, Outcome


def recording_of(journal: Journal) -> Recording:
    """The curves of a run, the first visit of each site; DataError if there is none.

    Later visits and failures are counted in the metadata; the journal keeps them all.
    """
    header = journal.header()
    problem = header.problem
    first: dict[tuple[int, int], Outcome] = {}
    measured = [o for o in journal.outcomes() if o.curve is not None]
    for outcome in measured:
        first.setdefault((outcome.site[0], outcome.site[1]), outcome)
    if not first:
        raise DataError(f"journal {journal.path} holds no measured curve to export")
    curves = [o.curve for o in first.values() if o.curve is not None]
    return Recording(
        scan=problem.scan,
        sites=np.array(list(first), np.int64),
        waveform=problem.waveform,
        current=np.array([c.current for c in curves]),
        saturated=np.array([c.saturated for c in curves]),
        metadata={
            "source": f"Grainscout journal, begun {header.created}",
            "target": problem.target,
            "light_suns": problem.light,
            "seed": header.seed,
            "later_visits_left_out": len(measured) - len(first),
            "failures": len(journal.outcomes()) - len(measured),
            "started_s": [o.started for o in first.values()],
        },
    )

"""All published statements that a campaign can judge."""

from collections.abc import Sequence

from grainscout.benchmarks.campaign.tables import Tables
from grainscout.benchmarks.statements.films import film_findings
from grainscout.benchmarks.statements.runs import Runs, run_findings
from grainscout.benchmarks.statements.statement import TAG, Finding, one_family
from grainscout.benchmarks.tasks.task import Task

_MOST_FILMS = 6  # of which a film's own statements are asked; runs are asked on all of theirs


def published(tasks: Sequence[Task], films: int, seed: int, tables: Tables) -> list[Finding]:
    """The findings on the tasks that are tagged for it. None if no task is.  Takes a minute or two."""
    tagged = [t for t in tasks if TAG in t.tags]
    if not tagged or not len(tables.steps):
        return []
    return one_family(
        [
            *film_findings(tagged, min(films, _MOST_FILMS), seed),
            *run_findings(Runs(steps=tables.steps, tasks=tagged, seed=seed)),
        ]
    )

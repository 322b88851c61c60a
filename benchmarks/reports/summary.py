"""Results of a campaign as one JSON object."""

import math
from typing import Any

import grainscout
from grainscout.analysis.statistics import Verdict
from grainscout.benchmarks.campaign.campaign import Campaign
from grainscout.benchmarks.campaign.leaderboard import GoalRanking
from grainscout.benchmarks.campaign.store import CampaignStore
from grainscout.benchmarks.reports.results import Results

#: Changes when a key is renamed, removed or changes its meaning. New keys may come at any time.
FORMAT = "grainscout-bench-1"


def summary(
    campaign: Campaign, store: CampaignStore, results: Results, *, run: int, seconds: float
) -> dict[str, Any]:
    """Results as plain JSON values, with the keys of docs/manual/cluster.md.

    `run` and `seconds` are the cells and the time of this call.
    """
    failures = store.failures()
    asked = set(results.progress.asked)
    return {
        "format": FORMAT,
        "grainscout": grainscout.__version__,
        "campaign": campaign.name,
        "seed": campaign.seed,
        "seconds": round(seconds, 3),
        "cells": {
            "planned": results.progress.planned,
            "finished": len(store.finished() & asked),
            "failed": len(failures),
            "missing": results.missing,
            "saved": results.progress.saved,
            "run": run,
        },
        "winner": results.winner,
        "boards": [_board(board) for board in results.rankings],
        "failures": [
            {
                "task": key.task,
                "film": key.film,
                "policy": key.policy,
                "reason": why.strip().splitlines()[-1],
            }
            for key, why in failures.items()
        ],
        "files": {label: str(path.resolve()) for label, path in results.files.items()},
    }


def _board(board: GoalRanking) -> dict[str, Any]:
    return {
        "goal": board.goal,
        "after_curves": board.at,
        "films": board.films,
        "best": board.best,
        "not_decided_against": board.undecided_against,
        "verdict": board.verdict(),
        "ranking": [
            {
                "policy": r.name,
                "told_the_truth": r.name in board.oracles,
                "score": _number(r.score.estimate),
                "low": _number(r.score.low),
                "high": _number(r.score.high),
                "mean_rank": _number(r.mean_rank.estimate),
            }
            for r in board.ranked
        ],
        "comparisons": [_comparison(v) for v in board.pairs],
    }


def _comparison(v: Verdict) -> dict[str, Any]:
    d = v.difference
    return {
        "policy": v.policy,
        "against": v.baseline,
        "outcome": v.outcome,
        "difference": _number(d.estimate),
        "low": _number(d.low),
        "high": _number(d.high),
        "level": d.level,
        "p": _number(v.p_adjusted),
        "films": d.films,
        "more_films": v.more_films,
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

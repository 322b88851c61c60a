"""Tasks, campaigns, leaderboards and reports.

A :class:`Task` says what is measured on which microscope towards which goal. :func:`make_environment`
sets it up, with its truth. A :class:`Campaign` is tasks x policies x films, its tasks written out or
taken from the registry (:func:`tasks`). :func:`run_campaign` runs its cells into a
:class:`CampaignStore`; each cell is one run of one policy on one film, scored against the truth.
:func:`write_results` makes the tables, the ranking, the report and ``winner.toml`` of it.

:func:`load` gives any journal, campaign or microscope's file as tables.
:mod:`grainscout.benchmarks.regression` watches that models do not get worse.

The truth stays on this side: a policy is given the ``Problem`` only.
"""

from grainscout.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)

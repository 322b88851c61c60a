"""Configuration files: TOML with units in the key names, validated into typed objects.

An error names the file, the key, what was expected and what was found::

    experiment.toml: task.microscope.flim is not a key here; did you mean film?
    experiment.toml: task.light_suns must be a valid number; got 'bright'
"""

from grainscout.config.campaign import builtin_campaigns, load_campaign
from grainscout.config.run import RunConfig, load_run, run_document
from grainscout.config.toml import parse, read_toml

__all__ = [
    "RunConfig",
    "builtin_campaigns",
    "load_campaign",
    "load_run",
    "parse",
    "read_toml",
    "run_document",
]

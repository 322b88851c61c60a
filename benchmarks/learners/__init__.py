"""Tasks as Gymnasium environments, and runs as episodes of other people's learners.

``gymnasium.make("grainscout.benchmarks.learners:grainscout/Task-v0", task="film/s26/dark/loop_area")`` makes an
environment; `episodes` gives runs and campaigns in the form of Minari; `search_weights` trains the
policy ``"policy-search"``. All need the extra ``learners``.
"""

from grainscout.benchmarks.learners.environment import TaskEnv, register
from grainscout.benchmarks.learners.episodes import (
    journal_episode,
    save_dataset,
    store_episodes,
)
from grainscout.benchmarks.learners.search import play, search_weights

__all__ = ["TaskEnv", "journal_episode", "play", "register", "save_dataset", "search_weights", "store_episodes"]  # fmt: skip

register()

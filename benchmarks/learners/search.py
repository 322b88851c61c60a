"""Direct policy search: the weights of ``"policy-search"`` from whole runs on films to learn on."""

from dataclasses import replace

import numpy as np

from grainscout.benchmarks.learners.environment import TaskEnv
from grainscout.policies import Policy
from grainscout.policies.strategies.policy_search import WEIGHTS, PolicySearch
from grainscout.records import ConfigError


def play(env: TaskEnv, policy: Policy, film: int) -> float:
    """Mean worth over one episode of a policy on a film to learn on."""
    env.reset(seed=film)
    policy.reset(env.problem, rng=np.random.default_rng(film))
    worth, done = [0.0], False
    while not done:
        (proposal,) = policy.ask(1)
        before = len(env.outcomes)
        action = env.problem.index_of(np.array([proposal.site]))[0]
        _, reward, done, _, _ = env.step(action)
        worth.append(worth[-1] + reward)
        first, *again = env.outcomes[before:]
        policy.tell([replace(first, proposal_id=proposal.id), *again])
    return float(np.mean(worth[1:]))


def search_weights(
    env: TaskEnv, *, generations: int = 30, films: int = 4, seed: int = 0
) -> tuple[float, ...]:
    """Weights of the largest mean worth, by CMA-ES (Hansen and Ostermeier 2001).

    Each generation is judged on films of its own, the same for all its members.

    Parameters
    ----------
    env : TaskEnv
        Task to learn.
    generations, films : int
        Generations, and films of each.
    seed : int
        Seed of the search and, with the generation, of the films.
    """
    try:
        import cma
    except ImportError as error:
        raise ConfigError(
            "policy search needs the package cma, which is not installed: pip install 'grainscout[learners]'"
        ) from error
    settings = {"seed": seed + 1, "verbose": -9, "maxiter": generations}
    search = cma.CMAEvolutionStrategy(np.zeros(WEIGHTS), 0.5, settings)
    for generation in range(generations):
        members = search.ask()
        meet = [(seed * generations + generation) * films + k for k in range(films)]
        search.tell(
            members,
            [
                -np.mean([play(env, PolicySearch(weights=tuple(w)), k) for k in meet])
                for w in members
            ],
        )
    return tuple(map(float, search.result.xfavorite))

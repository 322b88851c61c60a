"""The scout: it keeps the protocol, tells archetypes apart, learns where they are, then maps."""

from dataclasses import replace
from functools import cache

import numpy as np
from samples import curve_of, fresh, problem_on

from grainscout.microstructure.reader import read_structure
from grainscout.policies import ModelPolicy
from grainscout.policies.strategies.scout import scout
from grainscout.records import Outcome, Problem, Site, Waveform
from grainscout.simulator import PRESETS, Film

WAVE = Waveform.triangle()


@cache
def film() -> Film:
    return Film.generate(PRESETS["tiny"], 31)


@cache
def problem() -> Problem:
    grid = np.mgrid[8:41, 8:41].reshape(2, -1).T
    return problem_on(film().scan(), grid, waveform=WAVE, curves=40, light=0.1, target="loop_area")


def outcome(site: Site, name: str | None = None, of: Film | None = None) -> Outcome:
    current, _ = (of or film()).curves(np.array([tuple(site)]), WAVE, light=0.1)
    noise = np.random.default_rng([site.row, site.column]).normal(0.0, 2e-12, len(WAVE))
    curve = curve_of(WAVE, current[0] + noise)
    return Outcome(site=site, status="ok", curve=curve, proposal_id=name)


def ready(known: int, **options: object) -> ModelPolicy:
    """A scout with `known` curves at evenly spread candidates."""
    policy = scout(**options)  # type: ignore[arg-type]
    policy.reset(problem(), rng=np.random.default_rng(0))
    at = problem().candidates[np.linspace(0, len(problem().candidates) - 1, known).astype(int)]
    policy.tell([outcome(Site(*map(int, s))) for s in at])
    return policy


def test_archetypes_of_curves_are_those_of_the_film() -> None:
    policy = ready(60)
    true = film().archetype[tuple(policy.observations.sites.T)]
    found = policy.acquisition.archetypes(policy.run)
    conducts = (true < 3) & (found.sum(1) > 0.5)
    assert (found.argmax(1) == true)[conducts].mean() > 0.75
    assert found[true == 3].max() < 0.5


def test_chances_predict_archetypes_at_sites_never_measured() -> None:
    """Curves teach something beyond the prior: more of the unseen kinds are called right."""
    true = film().archetype[tuple(problem().candidates.T)]
    right = {}
    for known in (1, 100):
        policy = ready(known, prior="none")
        unseen = (true < 3) & (policy.history.visits == 0)
        chance, spread = policy.acquisition.chances(policy.run)
        right[known] = chance[unseen, true[unseen]].mean()
        assert (spread >= 0).all()
    assert right[1] < 0.45
    assert right[100] > right[1] + 0.05


def test_hearts_at_asymmetric_boundaries_promise_diamonds_at_junctions() -> None:
    """A film may have them there (record 0207): the chance elsewhere rises as the usual place fails."""
    spec = PRESETS["tiny"]
    strange = Film.generate(
        replace(spec, transport=replace(spec.transport, placement="junctions")), 31
    )
    sites, maps = problem().candidates, read_structure(problem().scan).maps
    told = np.argsort(-maps["diamond"][tuple(sites.T)])[:6]
    junction = np.setdiff1d(np.argsort(-maps["junction"][tuple(sites.T)])[:20], told)
    chances = {}
    for name, kind in (("published", film()), ("strange", strange)):
        policy = scout()
        policy.reset(problem(), rng=np.random.default_rng(0))
        before, _ = policy.acquisition.chances(policy.run)
        policy.tell([outcome(Site(*map(int, s)), of=kind) for s in sites[told]])
        after, _ = policy.acquisition.chances(policy.run)
        rest = np.setdiff1d(np.argsort(-maps["diamond"][tuple(sites.T)])[:26], told)
        chances[name] = after[rest, 2].mean(), after[junction, 2].mean()
        assert before[rest, 2].mean() > before[junction, 2].mean()
    assert chances["published"][0] > chances["published"][1]
    assert chances["strange"][0] < chances["strange"][1]


def test_new_sites_keep_their_distance_while_it_discovers() -> None:
    policy = ready(20, aim="discovery", apart=3.0)
    proposals = policy.ask(4)
    busy = [tuple(s) for s in policy.observations.sites]
    for p in proposals:
        assert np.hypot(*(np.array(busy) - tuple(p.site)).T).min() >= 3.0
        busy.append(tuple(p.site))


def test_it_maps_once_every_archetype_was_seen() -> None:
    """One example of each is enough here: its choice is then that of dkl's integrated variance."""
    policy = ready(120, examples=1)
    assert not policy.acquisition.missing(policy.run).any()
    mapper = ready(120, aim="mapping")
    assert policy.ask()[0].site == mapper.ask()[0].site
    searching = ready(120, examples=200)
    assert searching.acquisition.missing(searching.run).any()


def test_a_sweep_without_loops_has_the_ends_of_the_target_as_classes() -> None:
    wave = Waveform.triangle(0.5, 61)
    scan = problem().scan
    other = problem_on(scan, problem().candidates, waveform=wave, curves=40, target="max_current")
    policy = fresh(scout(), other)
    told = []
    for k in range(30):
        current = 1e-9 * (1 + k) * wave.voltage
        curve = curve_of(wave, current)
        told.append(Outcome(site=Site(8 + k, 20), status="ok", curve=curve))
    policy.tell(told)
    assert policy.acquisition.archetypes(policy.run).sum(0).tolist() == [3.0, 24.0, 3.0]
    assert policy.ask()

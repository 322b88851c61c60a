"""Structured policies and competing hypotheses on a film whose cause is known."""

import numpy as np
import pytest
from samples import curve_of, problem_on

from grainscout.microstructure import structure_features
from grainscout.policies import make_policy
from grainscout.policies.models.kernels import Stationary
from grainscout.policies.models.structure_means import film_model
from grainscout.policies.models.structured_gp import StructuredGP
from grainscout.policies.strategies.hypothesis import Competition
from grainscout.records import Outcome, PolicyError, Site, Waveform

WAVE = Waveform.triangle(1.5, 41)
RNG = np.random.default_rng(4)
CENTRES = RNG.uniform(0, 72, (26, 2))
PIXELS = np.column_stack([np.repeat(np.arange(72), 72), np.tile(np.arange(72), 72)])
NEAR = np.sort(np.linalg.norm(PIXELS[:, None] - CENTRES, axis=2), axis=1)
EDGE = ((NEAR[:, 1] - NEAR[:, 0]) / 2).reshape(72, 72)  # about the distance to the boundary
HEIGHT = -2e-8 * np.exp(-(EDGE**2) / 5.0) + 1e-9 * RNG.normal(size=(72, 72))
SITES = np.column_stack([np.repeat(np.arange(8, 64, 2), 28), np.tile(np.arange(8, 64, 2), 28)])
PROBLEM = problem_on(
    HEIGHT, SITES, waveform=WAVE, curves=60, step=(2e-8, 2e-8), target="max_current"
)
FOUND = structure_features(PROBLEM.scan, scale=1.0)
AT = (SITES[:, 0], SITES[:, 1])
BOUNDARY = 1e-9 * (1.0 + 3.0 * np.exp(-FOUND.boundary / 2.5))[AT]  # [A] at 1.5 V


def curves(values, index, *, drift: float = 0.0) -> list[Outcome]:
    """Outcomes of ohmic curves with these largest currents [A] and 3 pA of noise, 1 s apart."""
    out = []
    for k, i in enumerate(index):
        top = values[i] + drift * k / len(index)
        noise = np.random.default_rng([7, int(i)]).normal(0.0, 3e-12, len(WAVE))
        curve = curve_of(WAVE, top * WAVE.voltage / 1.5 + noise)
        site = Site(*map(int, SITES[i]))
        out.append(Outcome(site=site, status="ok", curve=curve, started=k * 1.15))
    return out


def told(name: str, outcomes, **options):
    policy = make_policy(name, options)
    policy.reset(PROBLEM, rng=np.random.default_rng(0))
    policy.tell(outcomes)
    return policy


def error(policy, truth) -> float:
    return float(np.sqrt(np.mean((policy.predict()[0] - truth) ** 2)) / truth.std())


INDEX = np.random.default_rng(1).permutation(len(SITES))


def test_a_mean_of_the_right_cause_needs_fewer_curves():
    few = curves(BOUNDARY, INDEX[:25])
    right = error(told("structured-gp", few, causes="boundary"), BOUNDARY)
    assert right < 0.2
    assert error(told("structured-gp", few, causes="constant"), BOUNDARY) > 2 * right
    assert error(told("kriging", few), BOUNDARY) > 2 * right
    assert error(told("dkl", few), BOUNDARY) > right


def test_the_cause_is_found_with_its_sign_and_size():
    causes = told("structured-gp", curves(BOUNDARY, INDEX[:60]), causes="all").learned().by_name()
    assert sum(causes[f"boundary, {d} px"][0] for d in ("1.5", "4")) == pytest.approx(
        BOUNDARY.std(), rel=0.3
    )
    for other in ("junction, 4 px", "asymmetry", "curvature", "grain height", "grain size"):
        mean, std = causes[other]
        assert abs(mean) < max(3 * std, 0.2 * BOUNDARY.std()), other


def test_a_drift_is_not_taken_for_structure():
    drifting = curves(BOUNDARY, INDEX[:40], drift=2e-9)
    with_, without = (
        told("structured-gp", drifting, causes="boundary", nuisance=n) for n in ("drift", "none")
    )
    assert error(with_, BOUNDARY) < 0.5 * error(without, BOUNDARY)


def test_without_causes_it_is_the_gp_that_dkl_is():
    few = curves(BOUNDARY, INDEX[:40])
    plain = told("dkl", few).predict()[0]
    same = told(
        "structured-gp", few, causes="constant", residual="features", engine="nngp", nuisance="none"
    ).predict()[0]
    assert np.corrcoef(plain, same)[0, 1] > 0.98


def test_the_true_hypothesis_wins_by_evidence_and_by_prediction():
    names = "constant; boundary; grain; topography"
    for reward in ("evidence", "prequential"):
        policy = make_policy("hypothesis", {"hypotheses": names, "reward": reward})
        policy.reset(PROBLEM, rng=np.random.default_rng(0))
        for _ in range(14):
            proposals = policy.ask(2)
            policy.tell(curves_of(proposals, BOUNDARY))
        beliefs = policy.learned().by_name()
        assert next(iter(beliefs)) == "boundary"
        assert beliefs["boundary"] > 0.95
        assert sum(beliefs.values()) == pytest.approx(1.0)


def test_where_nothing_explains_the_target_no_cause_wins():
    nothing = 1e-9 * (3.0 + np.random.default_rng(5).normal(size=len(SITES)))
    four = "constant; boundary; grain; junction"
    policy = told("hypothesis", curves(nothing, INDEX[:50]), hypotheses=four)
    beliefs = policy.learned().by_name()
    assert max(beliefs[n] for n in ("boundary", "grain", "junction")) < 0.75
    assert beliefs["constant"] > 0.15


def curves_of(proposals, values) -> list[Outcome]:
    index = {tuple(s): i for i, s in enumerate(SITES.tolist())}
    made = []
    for p in proposals:
        (outcome,) = curves(values, [index[tuple(p.site)]])
        made.append(Outcome(site=p.site, status="ok", curve=outcome.curve, proposal_id=p.id))
    return made


@pytest.mark.parametrize("seed", [2, 3])
def test_the_published_reward_is_sure_of_a_cause_though_there_is_none(seed):
    # Pure noise: no model can predict it, yet the median variance mostly falls, and the models that
    # happened to be chosen then are rewarded.  The evidence is not deceived.
    noise = 1e-9 * (3.0 + np.random.default_rng(6 + seed).normal(size=len(SITES)))
    sure = {}
    for reward in ("published", "evidence"):
        policy = make_policy("hypothesis", {"reward": reward})
        policy.reset(PROBLEM, rng=np.random.default_rng(seed))
        for _ in range(60):
            policy.tell(curves_of(policy.ask(1), noise))
        sure[reward] = max(policy.learned().by_name().values())
        if reward == "published":
            made = policy.surrogate
            # The warm-up of five steps gives +1 once and -1 to the five other models each time.
            net, trials = made._score.sum() + 5 * 4, made._trials.sum() - 5 * 6
            assert (trials + net) / (2 * trials) > 0.6
    assert sure["published"] > 0.9
    assert sure["evidence"] < 0.6


def competition(reward: str) -> tuple[Competition, np.ndarray, np.ndarray]:
    pool = np.ravel_multi_index(AT, (72, 72))
    models = {}
    for name in ("constant", "boundary", "topography"):
        model, columns = film_model((name,), FOUND)
        at = (PIXELS / 9.0).astype(np.float32)
        models[name] = StructuredGP(at, columns, pool, Stationary(), model)
    made = Competition(models, reward=reward, epsilon=0.4, warm_up=2, seed=0)
    return made, pool[INDEX[:12]], BOUNDARY[INDEX[:12]] * 1e9


def test_a_mixture_of_hypotheses_keeps_the_law_of_total_variance():
    for reward in ("evidence", "published"):
        made, rows, y = competition(reward)
        made.fit(rows[:6], y[:6])
        made.fit(rows, y)
        mean, std = made.predict()
        chosen = np.arange(0, len(mean), 37)
        covariance = made.covariance(made.candidate_rows[chosen])
        variance = covariance[chosen, np.arange(len(chosen))]
        np.testing.assert_allclose(variance, std[chosen] ** 2, rtol=1e-6)
        joint_mean, joint = made.joint(made.candidate_rows[chosen])
        np.testing.assert_allclose(joint_mean, mean[chosen], rtol=1e-9)
        np.testing.assert_allclose(joint, covariance[chosen], rtol=1e-6, atol=1e-9)


def test_each_proposal_has_the_probabilities_of_the_hypotheses():
    policy = told("hypothesis", curves(BOUNDARY, INDEX[:12]), hypotheses="constant; boundary")
    (proposal,) = policy.ask(1)
    total = sum(v for k, v in proposal.scores.items() if k.startswith("P("))
    assert total == pytest.approx(1.0)
    fresh = make_policy("hypothesis")
    fresh.reset(PROBLEM, rng=np.random.default_rng(0))
    with pytest.raises(PolicyError, match="usable value"):
        fresh.learned()

"""DKL on a recorded grid of real curves: the map beats its mean, in all engines that are fast."""

from pathlib import Path

import numpy as np
import pytest
from samples import curve_of, fresh, problem_on

from grainscout.analysis.curves.descriptors import describe
from grainscout.analysis.formats import Recording, read
from grainscout.policies import make_policy
from grainscout.records import Outcome

TARGET = "conductance"


@pytest.fixture(scope="module")
def recording(shared_data: Path) -> Recording:
    found = read(shared_data / "mit_scifidatasets" / "NanonisReader_STS_grid_lockin.3ds")
    assert isinstance(found, Recording)
    return found


@pytest.mark.parametrize("name", ["dkl", "dual-novelty"])
def test_a_tenth_of_the_grid_predicts_the_rest(recording: Recording, name: str) -> None:
    truth = describe(TARGET, recording.waveform.voltage, recording.current).value
    problem = problem_on(
        recording.scan, recording.sites, waveform=recording.waveform, curves=90, target=TARGET
    )
    index = {tuple(s): k for k, s in enumerate(recording.sites.tolist())}
    policy = fresh(make_policy(name, {}), problem)
    for _ in range(90):
        (proposal,) = policy.ask()
        k = index[tuple(proposal.site)]
        curve = curve_of(recording.waveform, recording.current[k])
        seen = Outcome(site=proposal.site, status="ok", curve=curve, proposal_id=proposal.id)
        policy.tell([seen])
    mean, _ = policy.predict()  # type: ignore[attr-defined]
    rest = np.ones(len(truth), bool)
    rest[policy.observations.index] = False  # type: ignore[attr-defined]
    error = np.sqrt(np.mean((mean - truth)[rest] ** 2)) / truth[rest].std()
    assert error < 0.9

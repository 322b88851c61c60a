"""A toy sample for :func:`check_policy`, not a film to compare policies on."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from grainscout.policies.protocol import Policy
from grainscout.records.arrays import FloatArray, IntArray
from grainscout.records.curve import IVCurve
from grainscout.records.problem import Budget, Outcome, Problem, Proposal
from grainscout.records.scan import Scan, Site
from grainscout.records.streams import measurement_stream
from grainscout.records.waveform import Waveform

#: An ask's proposals, as far as two trajectories are compared.
Step = list[tuple[str, Site, float | None, float | None, dict[str, float]]]


@dataclass(frozen=True, kw_only=True, eq=False)
class ToySample:
    """Seven grains on 36 x 36 pixels: boundaries leak and show a loop, grains conduct little.

    The current at a site is G V (V / 1.5 V)^2 on the way up and that times 1 + h (1 - V / 1.5 V)
    on the way back, with 2 pA of noise: the form of a hysteretic I-V curve, in amperes.
    """

    seed: int = 0
    shape: tuple[int, int] = (36, 36)
    waveform: Waveform = field(default_factory=lambda: Waveform.triangle(1.5, 41))

    def maps(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Height [m], conductance G [S] and loop strength h of every pixel."""
        rng = np.random.default_rng(self.seed)
        centres = rng.uniform(0, min(self.shape), (7, 2))
        distance = np.linalg.norm(_pixels(*self.shape)[:, None] - centres, axis=2)
        near = np.sort(distance, axis=1)
        edge = np.exp(-((near[:, 1] - near[:, 0]) ** 2) / 8.0).reshape(self.shape)
        level = rng.normal(0.0, 1.0, 7)[distance.argmin(1)].reshape(self.shape)
        height = 1e-9 * (20.0 + 5.0 * level - 15.0 * edge + rng.normal(0.0, 0.3, self.shape))
        return height, 1e-9 * (1.0 + 4.0 * edge + 0.3 * level), 0.2 + 2.0 * edge

    def problem(self, candidates: int = 60, *, target: str = "loop_area") -> Problem:
        """A problem with that many candidates (at most 400), row-major, 8 pixels from every edge."""
        height = self.maps()[0]
        inner = _pixels(20, 20) + 8
        chosen = np.sort(np.random.default_rng(self.seed + 1).permutation(len(inner))[:candidates])
        return Problem(
            scan=Scan(channels={"height": height}, pixel_size=(2e-8, 2e-8)),
            candidates=inner[chosen],
            waveform=self.waveform,
            budget=Budget(curves=20),
            target=target,
        )

    def current(self, sites: IntArray) -> FloatArray:
        """(n, samples) noiseless currents [A] at (n, 2) sites."""
        _, conductance, loop = self.maps()
        at = (sites[:, 0], sites[:, 1])
        voltage = self.waveform.voltage
        up = conductance[at][:, None] * voltage * (voltage / 1.5) ** 2
        back = np.arange(voltage.size) > voltage.size // 2
        return up * (1.0 + back * loop[at][:, None] * (1.0 - voltage / 1.5))

    def measure(self, proposal: Proposal | Site, *, visit: int = 0) -> Outcome:
        """The outcome at a proposal's site, or at a site measured by hand."""
        by_hand = isinstance(proposal, Site)
        site = proposal if isinstance(proposal, Site) else proposal.site
        noise = measurement_stream(np.random.SeedSequence(self.seed), site, visit)
        clean = self.current(np.array([site]))[0]
        current = clean + noise.normal(0.0, 2e-12, clean.size)
        curve = IVCurve(voltage=self.waveform.voltage, current=current, time=self.waveform.time)
        name = None if by_hand else proposal.id  # type: ignore[union-attr]
        return Outcome(site=site, status="ok", curve=curve, proposal_id=name, visit=visit)

    def insulating(self, proposal: Proposal) -> Outcome:
        """An outcome without any current."""
        curve = IVCurve(
            voltage=self.waveform.voltage,
            current=np.zeros(len(self.waveform)),
            time=self.waveform.time,
        )
        return Outcome(site=proposal.site, status="ok", curve=curve, proposal_id=proposal.id)

    def saturated(self, proposal: Proposal) -> Outcome:
        """An outcome whose amplifier was at a rail of 1 nA."""
        clean = self.current(np.array([proposal.site]))[0]
        curve = IVCurve(
            voltage=self.waveform.voltage,
            current=np.minimum(clean, 1e-9),
            time=self.waveform.time,
            saturated=clean >= 1e-9,
        )
        return Outcome(site=proposal.site, status="saturated", curve=curve, proposal_id=proposal.id)

    @staticmethod
    def failed(proposal: Proposal) -> Outcome:
        """An outcome of a measurement that did not work."""
        return Outcome(
            site=proposal.site, status="failed", proposal_id=proposal.id, message="no contact"
        )


def _pixels(rows: int, columns: int) -> IntArray:
    return np.column_stack([np.repeat(np.arange(rows), columns), np.tile(np.arange(columns), rows)])


def note(proposals: Sequence[Proposal]) -> Step:
    """The proposals of an ask, as two trajectories are compared by."""
    return [(p.id, p.site, p.prediction, p.uncertainty, dict(p.scores)) for p in proposals]


def play(
    policy: Policy,
    answer: Callable[[Proposal], Outcome],
    sizes: Sequence[int],
    *,
    arrange: Callable[[list[Outcome]], list[list[Outcome]]] = lambda outcomes: [outcomes],
) -> list[Step]:
    """Run a policy on a sample.

    Parameters
    ----------
    policy : Policy
        Reset beforehand.
    answer : callable
        Outcome of a proposal, such as ``ToySample().measure``.
    sizes : sequence of int
        Number of sites of each ask.
    arrange : callable
        Portions in which the outcomes of an ask are told.

    Returns
    -------
    list
        A step an ask: id, site, prediction, uncertainty and scores of its proposals.
    """
    steps = []
    for n in sizes:
        proposals = policy.ask(n)
        steps.append(note(proposals))
        for portion in arrange([answer(p) for p in proposals]):
            policy.tell(portion)
    return steps


def digest(problem: Problem) -> str:
    """Digest of everything in a problem that an array could change."""
    parts = [problem.candidates, problem.waveform.voltage, problem.waveform.time]
    parts += [problem.scan.channels[k] for k in sorted(problem.scan.channels)]
    hasher = hashlib.sha256(repr((problem.budget, problem.cost, problem.target)).encode())
    for part in parts:
        hasher.update(np.ascontiguousarray(part).tobytes())
    return hasher.hexdigest()

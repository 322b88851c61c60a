"""End a run when more curves would change its map too little."""

from dataclasses import dataclass
from typing import Self

from grainscout.policies.protocol import Policy, SupportsExpectedGain
from grainscout.records import ConfigError
from grainscout.records.supports import supports

#: First word of the reason for the end of such a run.
SETTLED = "settled"


@dataclass(frozen=True, kw_only=True)
class StopRule:
    """Ends a run when the next curves are expected to bring too little.

    What they bring is the fall of the policy's own integrated standard deviation, if the best of
    sites were measured and the model is right. The error itself falls about a third as much, so the
    share is a setting and no promise (the page "Images, budget and advice" has the numbers).

    Raises
    ------
    ConfigError
        For a share outside (0, 1), or a number below 1.
    """

    share: float = 0.04  #: The run ends when the fall is below this share of the deviation
    curves: int = 10  #: Number of next curves that are counted together
    at_least: int = 20  #: Curves before the run may end

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 1.0:
            raise ConfigError(f"stop share must be in (0, 1); got {self.share}")
        for name in ("curves", "at_least"):
            if getattr(self, name) < 1:
                raise ConfigError(f"stop {name} must be at least 1; got {getattr(self, name)}")

    def checked(self, policy: Policy) -> Self:
        """Return itself. ConfigError for a policy that cannot say what more curves would bring."""
        if not supports(policy, SupportsExpectedGain):
            raise ConfigError(
                "stop needs a policy that has a model and says what more curves would bring; "
                f"{type(policy).__name__} does not. Leave stop out, or use a policy such as dkl here"
            )
        return self

    def reason(self, policy: Policy, measured: int) -> str | None:
        """Why the run is to end after so many curves, or None."""
        if measured < self.at_least or not supports(policy, SupportsExpectedGain):
            return None
        gain = policy.expected_gain(self.curves)
        if gain >= self.share:
            return None
        return (
            f"{SETTLED}: by the policy's own model the next {self.curves} curves would change the map "
            f"less than the share {self.share:g}"
        )

"""Parts that a model policy is put together from.

Five roles make a :class:`~grainscout.policies.ModelPolicy`: :class:`Features` of a site, a
:class:`Model` of them, the :class:`Target` that it learns, an :class:`Acquisition` and the set of
:class:`Candidates`. Every field of a part is an option of the policy.
"""

from grainscout.policies.parts.roles import (
    Acquisition,
    Candidates,
    Features,
    Model,
    RunContext,
    Target,
    TrainingData,
)
from grainscout.policies.parts.standard import (
    DescriptorTarget,
    ImageFeatures,
    KernelModel,
    PlaneFeatures,
    PlaneModel,
    StandardAcquisition,
)

__all__ = [
    "Acquisition",
    "Candidates",
    "DescriptorTarget",
    "Features",
    "ImageFeatures",
    "KernelModel",
    "Model",
    "PlaneFeatures",
    "PlaneModel",
    "RunContext",
    "StandardAcquisition",
    "Target",
    "TrainingData",
]

"""Policies: they propose sites to measure and learn from the outcomes.

A :class:`Policy` is any object with three methods. ``reset(problem, rng=...)`` begins an
experiment, ``ask(n)`` proposes sites and ``tell(outcomes)`` reports what was measured there::

    policy = make_policy("dkl", {"seed_points": 10})
    policy.reset(problem, rng=np.random.default_rng(0))
    while proposals := policy.ask():
        policy.tell([measure(proposal) for proposal in proposals])

A policy knows the :class:`~grainscout.records.Problem` (images, candidate sites, waveform, budget,
costs) and the outcomes, never the truth. It may also follow the optional protocols
:class:`SupportsPredict`, :class:`SupportsState` and :class:`SupportsExplain`.

The built-in ones are dataclasses whose fields are their options, found by name:

================================  ===============================================================
``random``, ``grid``              chance, and a force-volume map in serpentine or raster order
``sobol``, ``farthest-point``     filling the plane
``kriging``                       a Gaussian process on positions, blind to the image
``dkl``                           deep-kernel learning of a descriptor from image features (Liu2023)
``dual-novelty``                  new curves where the image is new (Gong2026)
``map``                           our own: a pretrained model of image and curves, and its best sites
``scout``                         our own: every archetype first, then the map
``boundary-dkl``                  DKL at grain boundaries only, found by the structure reader (Liu2023)
``transfer-dkl``                  DKL, starting from an earlier run's curves: :func:`transfer`
``co-navigation``                 DKL in structure and composition together
``beacon``                        novelty in the space of several descriptors
``curiosity``                     where a structure-to-curve model errs
``structured-gp``                 physical causes as the mean of a Gaussian process
``hypothesis``                    structured GPs that compete as hypotheses
``shuffled-dkl``                  control: DKL that learns from shuffled targets
``structure-only``                control: farthest point among image features, blind to curves
``stratified-random``             control: random, a share of it in the image's grooves
``oracle``                        control: knows the truth (``uses_truth``)
``peer-...``                      AtomAI, Ax, BayBE, BoTorch, where they are installed
================================  ===============================================================

They share the records of :class:`CandidatePolicy` (or :class:`SeededPolicy`, with seed points), and
those that learn are a :class:`ModelPolicy`, put together from :mod:`~grainscout.policies.parts`. A
policy of your own may use them but need not. To add one, name its class under the entry point group
``grainscout.policies``. To see whether it keeps the protocol, run :func:`check_policy`.
"""

from grainscout.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)

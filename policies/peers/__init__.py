"""Models and optimisers of other packages behind the same ask and tell.

Each adapter imports its package when it is first used, and is known by name only where the package
is installed. All learn the problem's target from the same curves as every other policy. AtomAI and
BoTorch bring a model, which takes the place of that of ``"dkl"``. Ax, BayBE and gpCAM bring the choice
as well: the first two look for large values, gpCAM for what is unsure. ``mlp_published`` is the published loop without AtomAI.
"""

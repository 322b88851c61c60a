"""Archetypes and spread of real curves, in the coordinates of a common fit.

Thirteen published curves of Gong2026 (0.1 sun, sweep time unknown, so rates are those of a 1 s sweep), fitted by
``benchmarks/studies/fit_population.py`` in the history (record 0127). Three curves that hardly respond or open late
alone are not clubs or hearts.
"""

#: Parameter -> values of club, heart, diamond, and loadings of the spread within clubs and hearts.
_TABLE: dict[str, tuple[tuple[float, float, float], tuple[float, ...]]] = {
    "g1": ((0.37, 0.471, 0.00896), (0.126, -0.017, 0.060, 0.080, -0.014)),
    "g2": ((0.323, 0.351, 8.69), (0.214, 0.462, -0.023, -0.168, -0.017)),
    "V1": ((0.509, 0.606, 0.679), (-0.006, 0.036, -0.050, -0.013, -0.028)),
    "V2": ((-0.00683, 0.191, 1.22), (0.206, 0.006, -0.095, -0.014, 0.009)),
    "w": ((0.0443, 0.0516, 0.0073), (0.126, 0.076, -0.092, 0.059, 0.028)),
    "kappa": ((-0.341, -0.0379, 0.926), (0.224, -0.301, 0.040, -0.007, 0.002)),
    "Vx": ((0.833, 0.81, 1.56), (0.002, 0.022, 0.039, -0.028, 0.006)),
    "wx": ((0.0626, 0.0699, 0.17), (0.028, 0.019, -0.030, 0.036, -0.011)),
    "nu": ((0.415, 1.07, 16.1), (0.194, -0.630, 0.183, -0.323, -0.057)),
    "tau": ((0.394, 0.365, 0.283), (0.018, 0.097, 0.118, -0.057, 0.078)),
    "IL": ((0.0648, 0.0941, 0.092), (0.281, 0.128, 0.186, 0.035, -0.026)),
    "Vc": ((0.328, 0.231, 0.0356), (-0.002, 0.011, 0.020, -0.002, 0.033)),
    "wc": ((0.0515, 0.0515, 0.0485), (0.000, -0.001, -0.001, -0.001, -0.000)),
    "kc": ((0.623, 0.621, 0.884), (0.000, 0.001, 0.002, -0.000, 0.001)),
}
#: For ``TransportSpec(archetypes=..., modes=...)``.
ARCHETYPES = {name: archetypes for name, (archetypes, _) in _TABLE.items()}
MODES = {name: loadings for name, (_, loadings) in _TABLE.items()}
#: Offset of the amplifier [nA].
OFFSET = -0.0015

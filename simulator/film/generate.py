"""Generate a `Structure` from a `FilmSpec`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

from grainscout.microstructure.distance import Lines, nearest_line, nearest_point
from grainscout.microstructure.structure import (
    BOUNDARY_DTYPE,
    GRAIN_DTYPE,
    Structure,
    touches_another,
)
from grainscout.records import FloatArray, IntArray
from grainscout.simulator.film.mullins_groove import groove
from grainscout.simulator.film.spec import FilmSpec
from grainscout.simulator.film.tessellation import Tessellation, edge_lines, rasterise, tessellate


def filtered_noise(
    shape: tuple[int, int],
    pixel: tuple[float, float],
    power: str,
    length: float,
    rng: np.random.Generator,
    hurst: float = 1.0,
) -> FloatArray:
    """Gaussian random field (rows, columns).

    power "self-affine": spectral density flat up to wave number 1/length and falling as
    k^(-2 - 2 hurst) beyond (Persson et al. 2005), of unit variance over the frame.
    power "gaussian": correlation exp(-r^2 / 2 length^2), of unit variance over many lengths, less
    over a frame that is shorter than `length`, as its mean is not part of the field.
    """
    # Padding, so that opposite rims of the film are not neighbours.
    pad = [
        next_fast_len(n + min(int(4 * length / p) + 1, n), real=True)
        for n, p in zip(shape, pixel, strict=True)
    ]
    ky = np.fft.fftfreq(pad[0], pixel[0])[:, None]
    kx = np.fft.rfftfreq(pad[1], pixel[1])[None]
    k2 = ky**2 + kx**2
    if power == "self-affine":
        density = (np.maximum(k2, length**-2)) ** (-1.0 - hurst)
    else:
        density = np.exp(-2 * (np.pi * length) ** 2 * k2)
    density[0, 0] = 0.0
    if power == "self-affine":
        # Columns of the half spectrum count twice, but the first and the last of an even length.
        twice = np.full(density.shape[1], 2.0)
        twice[0] = 1.0
        if pad[1] % 2 == 0:
            twice[-1] = 1.0
        total = float((density * twice).sum())
    else:
        total = pad[0] * pixel[0] * pad[1] * pixel[1] / (2 * np.pi * length**2)
    gain = np.sqrt(density * (pad[0] * pad[1]) / total)
    noise = rfft2(rng.standard_normal(pad))
    field = irfft2(noise * gain, s=pad)
    return np.ascontiguousarray(field[: shape[0], : shape[1]])


NM = 1e-9

#: Random streams that `generate_structure` needs.
SURFACE_STREAMS = ("grains", "warp", "boundaries", "tops", "undulation", "roughness")
#: Curvature of a boundary: correlation length of the warp in mean grain diameters.
WARP_LENGTH = 0.4


@dataclass(frozen=True, kw_only=True, eq=False)
class _Maps:
    """Cell, edge and vertex of every pixel, distances [nm]."""

    cell: IntArray
    edge: IntArray
    side: IntArray  # 0 or 1: which of its edge's two cells the pixel is in
    distance: FloatArray
    corner: IntArray
    corner_distance: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class _Edges:
    """Random properties of the k edges [nm]."""

    strength: FloatArray
    smooth: IntArray  # 0 or 1: which of the two cells has the smooth flank
    depth: FloatArray
    groove: FloatArray  # (k, 2) root to hump
    flank: FloatArray  # (k, 2)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tops:
    """Plateau height [nm] and tilt of every cell."""

    height: FloatArray
    tilt: FloatArray


def generate_structure(spec: FilmSpec, streams: Mapping[str, np.random.Generator]) -> Structure:
    """Generate a film's structure from generators named as `SURFACE_STREAMS`."""
    pixel = (spec.row_nm, spec.column_nm)
    tess = tessellate(
        np.array([spec.rows * pixel[0], spec.columns * pixel[1]]),
        mean_diameter=spec.grains.mean_nm,
        ln_sd=spec.grains.ln_sd,
        equal_weights=spec.grains.diagram == "voronoi",
        warp=spec.grains.warp_nm,
        warp_length=WARP_LENGTH * spec.grains.mean_nm,
        rng=streams["grains"],
        warp_rng=streams["warp"],
    )
    t, n, rng = spec.topography, len(tess.sites), streams["tops"]
    edges = _draw_edges(spec, tess, streams["boundaries"])
    tops = _Tops(
        height=t.dome_nm + t.dome_sd_nm * rng.standard_normal(n),
        tilt=t.tilt / np.sqrt(2) * rng.standard_normal((n, 2)),
    )
    lines = _frame_lines(spec, tess)
    maps, height = _rasterised(spec, tess, edges, tops, lines)
    height += _grooves(spec, tess, edges, maps)
    if t.undulation_nm > 0:
        length, rng = 0.5 * spec.grains.mean_nm, streams["undulation"]
        height += t.undulation_nm * filtered_noise(spec.shape, pixel, "gaussian", length, rng)
    if t.roughness_nm > 0:
        height += t.roughness_nm * filtered_noise(
            spec.shape, pixel, "self-affine", t.rolloff_nm, streams["roughness"], t.hurst
        )
    return _assemble(spec, tess, edges, tops, maps, lines, height)


def _rasterised(
    spec: FilmSpec, tess: Tessellation, edges: _Edges, tops: _Tops, lines: Lines
) -> tuple[_Maps, FloatArray]:
    """The diagram's maps, and the grains' height [nm]."""
    pixel, t = (spec.row_nm, spec.column_nm), spec.topography
    cell, edge = np.empty((2, *spec.shape), np.int64)
    straight, height = np.empty((2, *spec.shape))
    x = np.arange(spec.columns) * pixel[1]
    for strip in rasterise(tess, spec.shape, pixel, edges.flank, t.flank_power):
        part, own = strip.rows, strip.cell
        y = (np.arange(part.start, part.stop) * pixel[0])[:, None]
        cell[part], edge[part], straight[part] = own, strip.edge, strip.distance
        tilt, site = tops.tilt[own], tess.sites[own]
        lean = tilt[..., 0] * (y - site[..., 0]) + tilt[..., 1] * (x - site[..., 1])
        height[part] = strip.flank * (tops.height[own] + lean)

    distance, nearest = nearest_line(lines, spec.shape, pixel)
    # A chord of the curved line can lie on the wrong side of a pixel next to it.
    first, second = tess.edges[:, 0][nearest], tess.edges[:, 1][nearest]
    own_edge = (first == cell) | (second == cell)
    edge = np.where(own_edge, nearest, edge)
    corner_distance, corner = nearest_point(tess.vertices, spec.shape, pixel)
    maps = _Maps(
        cell=cell,
        edge=edge,
        side=(tess.edges[edge, 1] == cell).astype(np.int64),
        distance=np.where(own_edge, distance, straight),
        corner=corner,
        corner_distance=corner_distance,
    )
    return maps, height


def _frame_lines(spec: FilmSpec, tess: Tessellation) -> Lines:
    """Boundary lines of the frame and its surroundings."""
    size = np.array([spec.rows * spec.row_nm, spec.columns * spec.column_nm])
    reach = 2.0 * spec.grains.mean_nm
    ends = tess.corners[tess.ends]
    near = np.any(np.all((ends > -reach) & (ends < size + reach), axis=2), axis=1)
    near &= tess.ends[:, 1] >= 0
    return edge_lines(tess, np.flatnonzero(near), 0.5 * min(spec.row_nm, spec.column_nm))


def _draw_edges(spec: FilmSpec, tess: Tessellation, rng: np.random.Generator) -> _Edges:
    k, t = len(tess.edges), spec.topography
    share, amount = rng.random((2, k))
    strength = np.where(share < spec.grains.asymmetric_share, 0.6 + 0.4 * amount, 0.0)
    smooth = rng.integers(0, 2, k)
    spread = np.exp(0.2 * rng.standard_normal((2, k)))
    shown = t.asymmetry_shown * strength
    factor = np.where(
        np.arange(2) == smooth[:, None], t.smooth ** shown[:, None], t.sharp ** shown[:, None]
    )
    # Small grains have short flanks, or they would drown between their boundaries.
    size = np.clip(2 * tess.radii[tess.edges] / spec.grains.mean_nm, 0.3, 1.5)
    return _Edges(
        strength=strength,
        smooth=smooth,
        depth=t.groove_depth_nm * spread[0] * t.deeper**shown,
        groove=t.groove_width_nm * spread[1][:, None] * factor,
        flank=t.flank_nm * factor * size,
    )


def _grooves(spec: FilmSpec, tess: Tessellation, edges: _Edges, maps: _Maps) -> FloatArray:
    """Mullins grooves [nm]. Boundaries at a vertex share its mean depth and width, which makes pits."""
    if spec.topography.groove_depth_nm == 0:
        return np.zeros(spec.shape)
    triangle = tess.triangles
    pairs = np.stack([triangle[:, [0, 1]], triangle[:, [0, 2]], triangle[:, [1, 2]]], 1)
    n = len(tess.sites)
    ids = np.searchsorted(tess.edges @ [n, 1], pairs @ [n, 1])
    depth = spec.topography.pit * edges.depth[ids].mean(1)
    width = np.exp(np.log(edges.groove[ids]).mean((1, 2)))
    corner, edge = maps.corner, maps.edge
    near = np.exp(-0.5 * (maps.corner_distance / width[corner]) ** 2)
    return groove(
        maps.distance,
        (1 - near) * edges.depth[edge] + near * depth[corner],
        edges.groove[edge, maps.side] ** (1 - near) * width[corner] ** near,
    )


def _assemble(
    spec: FilmSpec,
    tess: Tessellation,
    edges: _Edges,
    tops: _Tops,
    maps: _Maps,
    lines: Lines,
    height: FloatArray,
) -> Structure:
    """Number the visible grains and boundaries, and make tables; grains beyond the rim have area 0."""
    seen, shown = np.unique(maps.cell), np.unique(maps.edge)
    beyond = np.setdiff1d(tess.edges[shown], seen)
    order = np.concatenate([seen, beyond])
    number = np.full(len(tess.sites), -1)
    number[order] = np.arange(order.size)
    labels = number[maps.cell].astype(np.int32)
    rank = np.full(len(tess.edges), -1)
    rank[shown] = np.arange(shown.size)
    sign = np.where(maps.side == edges.smooth[maps.edge], 1.0, -1.0)
    return Structure(
        labels=labels,
        boundary_id=rank[maps.edge].astype(np.int32),
        boundary=touches_another(labels),
        boundary_distance=maps.distance * NM,
        junction_distance=maps.corner_distance * NM,
        asymmetry=edges.strength[maps.edge] * sign,
        height=height * NM,
        pixel_size=spec.pixel_size,
        grains=_grain_table(spec, tess, tops, labels, order),
        boundaries=_boundary_table(spec, edges, lines, shown, number[tess.edges[shown]]),
        vertices=_vertices(spec, tess),
    )


def _grain_table(
    spec: FilmSpec, tess: Tessellation, tops: _Tops, labels: NDArray[np.int32], order: IntArray
) -> NDArray[Any]:
    """The table of the cells `order`, numbered by `labels`."""
    pixel = np.array([spec.row_nm, spec.column_nm])
    grains = np.zeros(order.size, GRAIN_DTYPE)
    count = np.bincount(labels.ravel(), minlength=order.size)
    grains["area"] = count * np.prod(pixel) * NM**2
    visible = np.maximum(count, 1)
    rows, columns = np.indices(spec.shape, sparse=True)
    for name, axis, index in (("row", 0, rows), ("column", 1, columns)):
        weight = np.broadcast_to(index, spec.shape).ravel()
        mean = np.bincount(labels.ravel(), weight, order.size) / visible
        grains[name] = np.where(count > 0, mean, tess.sites[order, axis] / pixel[axis])
    at_rim = np.zeros(order.size, bool)
    at_rim[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    grains["interior"] = (count > 0) & ~at_rim
    grains["plateau"] = tops.height[order] * NM
    grains["tilt_row"], grains["tilt_column"] = tops.tilt[order].T
    return grains


def _boundary_table(
    spec: FilmSpec, edges: _Edges, lines: Lines, shown: IntArray, pair: IntArray
) -> NDArray[Any]:
    """The table of the edges `shown` between grains `pair`."""
    table = np.zeros(shown.size, BOUNDARY_DTYPE)
    swap = (pair[:, 0] > pair[:, 1])[:, None]
    table["first"], table["second"] = np.where(swap, pair[:, ::-1], pair).T
    table["strength"] = edges.strength[shown]
    table["asymmetric"] = table["strength"] > 0
    smooth = np.take_along_axis(pair, edges.smooth[shown][:, None], 1)[:, 0]
    table["smooth_side"] = np.where(table["asymmetric"], smooth, -1)
    table["depth"] = edges.depth[shown] * NM
    width = np.where(swap, edges.groove[shown, ::-1], edges.groove[shown])
    table["width_first"], table["width_second"] = (width * NM).T
    table["length"] = _lengths(spec, lines, len(edges.depth))[shown] * NM
    return table


def _vertices(spec: FilmSpec, tess: Tessellation) -> FloatArray:
    """Vertices (row, column, degree) in and near the frame."""
    pixel, reach = np.array([spec.row_nm, spec.column_nm]), spec.grains.mean_nm
    near = ((tess.vertices > -reach) & (tess.vertices < pixel * spec.shape + reach)).all(1)
    return np.column_stack([tess.vertices[near] / pixel, np.full(int(near.sum()), 3.0)])


def _lengths(spec: FilmSpec, lines: Lines, edges: int) -> FloatArray:
    """Length of every edge inside the frame [nm]."""
    pixel = np.array([spec.row_nm, spec.column_nm])
    a, b = lines.points[:-1], lines.points[1:]
    middle = 0.5 * (a + b)
    far = pixel * spec.shape - 0.5 * pixel
    inside = ((middle >= -0.5 * pixel) & (middle <= far)).all(1) & ~lines.last[:-1]
    length = np.hypot(*(b - a).T) * inside
    return np.bincount(lines.line[:-1], length, edges).astype(np.float64)

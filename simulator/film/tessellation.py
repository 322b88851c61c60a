"""Grains as a warped power diagram of packed circles.

The cell of circle i is where |q - s_i|^2 - r_i^2 is smallest (Laguerre, or Voronoi with equal
radii). Lifting the sites to z = |s|^2 - r^2 makes the lower convex hull the dual
triangulation, so every vertex is the exact power centre of three sites (Aurenhammer 1987).
A film point p belongs to the cell at q = p + w(p), with w smooth: real boundaries are curved.
Lengths are in nm and coordinates are (row, column). The diagram continues beyond the frame, so
cells at the rim are as good as any.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import gaussian_filter
from scipy.spatial import ConvexHull, cKDTree

from grainscout.microstructure.distance import Lines, chunks
from grainscout.records import FloatArray, IntArray

_GAP = 1.0  # circles are pushed apart until they hardly overlap: cells then follow their circles
_ROUNDS = 60


@dataclass(frozen=True, kw_only=True, eq=False)
class Warp:
    """A smooth displacement w(p) [nm] by two splines."""

    rows: RectBivariateSpline
    columns: RectBivariateSpline

    def at(self, points: FloatArray) -> FloatArray:
        """w at (n, 2) points."""
        return np.column_stack(
            [f.ev(points[:, 0], points[:, 1]) for f in (self.rows, self.columns)]
        )

    def undo(self, warped: FloatArray) -> FloatArray:
        """Points p with p + w(p) = warped [nm]."""
        points = warped - self.at(warped)
        moving = np.arange(len(points))
        for _ in range(200):
            new = warped[moving] - self.at(points[moving])
            step = np.abs(new - points[moving]).max(axis=1)
            points[moving] = new
            moving = moving[step >= 1e-4]
            if moving.size == 0:
                break
        return points


@dataclass(frozen=True, kw_only=True, eq=False)
class Tessellation:
    """Power diagram of n sites, m vertices, k edges."""

    sites: FloatArray  # (n, 2) centres of the circles [nm]
    radii: FloatArray  # (n,) [nm]
    edges: IntArray  # (k, 2) the two cells of each edge
    ends: IntArray  # (k, 2) its two vertices, -1 where open
    corners: FloatArray  # (m, 2) vertices before the warp [nm]
    vertices: FloatArray  # (m, 2) after it [nm]
    triangles: IntArray  # (m, 3) the cells of each vertex
    neighbours: IntArray  # (n, most) of each cell, padded with -1
    neighbour_edges: IntArray  # (n, most) the edges to them
    degree: IntArray  # (n,) number of neighbours
    warp: Warp


def pack_circles(radii: FloatArray, extent: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Centres (n, 2) of hardly overlapping circles, periodic."""
    centres = rng.random((radii.size, 2)) * extent
    reach = 2.0 * _GAP * float(radii.max())
    for _ in range(_ROUNDS):
        centres %= extent
        pairs = cKDTree(centres, boxsize=extent).query_pairs(
            min(reach, 0.49 * float(extent.min())), output_type="ndarray"
        )
        i, j = pairs.T
        step = centres[j] - centres[i]
        step -= extent * np.round(step / extent)
        distance = np.hypot(step[:, 0], step[:, 1])
        overlap = _GAP * (radii[i] + radii[j]) - distance
        touching = overlap > 0
        if not touching.any():
            break
        i, j, step, overlap = i[touching], j[touching], step[touching], overlap[touching]
        push = step * (overlap / np.maximum(distance[touching], 1e-9))[:, None]
        share = radii[j] / (radii[i] + radii[j])  # the larger circle gives way less
        for axis in (0, 1):
            centres[:, axis] -= np.bincount(i, 0.5 * push[:, axis] * share, radii.size)
            centres[:, axis] += np.bincount(j, 0.5 * push[:, axis] * (1 - share), radii.size)
    return centres % extent


def make_warp(
    low: FloatArray, high: FloatArray, amplitude: float, length: float, rng: np.random.Generator
) -> Warp:
    """Random displacement of rms `amplitude` and correlation `length` [nm]."""
    step = 0.5 * length
    rows, columns = (np.arange(low[k] - 4 * step, high[k] + 5 * step, step) for k in (0, 1))
    splines = []
    for _ in range(2):
        field = gaussian_filter(rng.standard_normal((rows.size, columns.size)), 2 / np.sqrt(2))
        # The filter's own gain is known, so the amplitude does not depend on this one sample.
        field *= amplitude * 2 * np.sqrt(np.pi) * 2 / np.sqrt(2)
        splines.append(RectBivariateSpline(rows, columns, field))
    return Warp(rows=splines[0], columns=splines[1])


def tessellate(
    size: FloatArray,
    *,
    mean_diameter: float,
    ln_sd: float,
    equal_weights: bool,
    warp: float,
    warp_length: float,
    rng: np.random.Generator,
    warp_rng: np.random.Generator,
) -> Tessellation:
    """Tessellate a frame of `size` (2,) [nm], with a margin of three grains around it."""
    margin = 3.0 * mean_diameter + 3.0 * warp
    extent = size + 2 * margin
    # Cells fill the plane and follow their circles, so E[pi r^2] is the mean area.
    mean_radius = 0.5 * mean_diameter
    mean_square = mean_radius**2 * np.exp(ln_sd**2)
    count = max(round(float(np.prod(extent)) / (np.pi * mean_square)), 12)
    radii = mean_radius * np.exp(ln_sd * rng.standard_normal(count) - 0.5 * ln_sd**2)
    sites = pack_circles(radii, extent, rng) - margin
    weights = np.full(count, mean_radius) if equal_weights else radii

    triangles, corners = _dual(sites, weights)
    used, flat = np.unique(triangles, return_inverse=True)  # hidden circles have no cell
    triangles = np.reshape(flat, triangles.shape)
    sites, weights = sites[used], weights[used]
    edges, ends = _edges(triangles)
    neighbours, neighbour_edges, degree = _neighbours(edges, len(sites))

    reach = np.full(2, margin)
    field = make_warp(-reach, size + reach, warp, warp_length, warp_rng)
    near = ((corners > -reach) & (corners < size + reach)).all(1)
    vertices = corners.copy()
    vertices[near] = field.undo(corners[near])
    return Tessellation(
        sites=sites,
        radii=weights,
        edges=edges,
        ends=ends,
        corners=corners,
        vertices=vertices,
        triangles=triangles,
        neighbours=neighbours,
        neighbour_edges=neighbour_edges,
        degree=degree,
        warp=field,
    )


def _dual(sites: FloatArray, weights: FloatArray) -> tuple[IntArray, FloatArray]:
    """Dual triangulation (m, 3), and power centres (m, 2)."""
    origin = sites.mean(0)
    local = sites - origin
    hull = ConvexHull(np.column_stack([local, (local**2).sum(1) - weights**2]))
    lower = hull.equations[:, 2] < -1e-12
    triangles = np.sort(hull.simplices[lower].astype(np.int64), axis=1)
    normal = hull.equations[lower]
    return triangles, -0.5 * normal[:, :2] / normal[:, 2:3] + origin


def _edges(triangles: IntArray) -> tuple[IntArray, IntArray]:
    """Edges (k, 2), and their triangles (k, 2)."""
    sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [0, 2]], triangles[:, [1, 2]]])
    edges, index = np.unique(sides, axis=0, return_inverse=True)
    owner = np.tile(np.arange(len(triangles)), 3)
    ends = np.full((len(edges), 2), -1)
    order = np.argsort(index, kind="stable")
    first = np.searchsorted(index[order], np.arange(len(edges)))
    ends[:, 0] = owner[order[first]]
    double = np.bincount(index, minlength=len(edges)) == 2
    ends[double, 1] = owner[order[first[double] + 1]]
    return edges, ends


def _neighbours(edges: IntArray, cells: int) -> tuple[IntArray, IntArray, IntArray]:
    """Neighbours of each cell, edges to them, and number."""
    both = np.concatenate([edges, edges[:, ::-1]])
    edge_of = np.tile(np.arange(len(edges)), 2)
    order = np.argsort(both[:, 0], kind="stable")
    degree = np.bincount(both[:, 0], minlength=cells)
    slot = np.arange(len(both)) - np.repeat(np.cumsum(degree) - degree, degree)
    neighbours = np.full((cells, int(degree.max())), -1)
    neighbour_edges = neighbours.copy()
    neighbours[both[order, 0], slot] = both[order, 1]
    neighbour_edges[both[order, 0], slot] = edge_of[order]
    return neighbours, neighbour_edges, degree


@dataclass(frozen=True, kw_only=True, eq=False)
class Strip:
    """Some whole rows of the frame."""

    rows: slice
    cell: IntArray  # cell of each pixel
    edge: IntArray  # nearest edge of that cell
    distance: FloatArray  # to that edge [nm]
    flank: FloatArray  # product over all edges of the cell of tanh((distance / width)^power)


def rasterise(
    tess: Tessellation,
    shape: tuple[int, int],
    pixel: tuple[float, float],
    widths: FloatArray,
    power: float = 1.0,
) -> Iterator[Strip]:
    """Strips of the frame from top to bottom. Distances are those before the warp, 0 on the boundary."""
    columns = shape[1]
    # |q - s|^2 - r^2 is a plain squared distance in three dimensions, up to a constant.
    squares = tess.radii**2  # the largest of these very numbers, so that no difference is below 0
    lift = np.sqrt(squares.max() - squares)
    tree = cKDTree(np.column_stack([tess.sites, lift]))
    level = (tess.sites**2).sum(1) - tess.radii**2
    x = np.arange(columns) * pixel[1]
    for part in chunks(shape):
        y = np.arange(part.start, part.stop) * pixel[0]
        q = np.zeros((y.size * columns, 3))
        q[:, 0] = (y[:, None] + tess.warp.rows(y, x)).ravel()
        q[:, 1] = (x + tess.warp.columns(y, x)).ravel()
        cell = np.asarray(tree.query(q)[1], dtype=np.int64)
        distance = np.full(cell.size, np.inf)
        edge = np.full(cell.size, -1)
        flank = np.ones(cell.size)
        degree = tess.degree[cell]
        for slot in range(int(degree.max())):
            at = np.flatnonzero(degree > slot)
            own = cell[at]
            other = tess.neighbours[own, slot]
            this = tess.neighbour_edges[own, slot]
            towards = tess.sites[other] - tess.sites[own]
            length = np.hypot(towards[:, 0], towards[:, 1])
            gap = level[other] - level[own]
            d = 0.5 * (gap - 2 * (q[at, :2] * towards).sum(1)) / length
            side = (tess.edges[this, 0] != own).astype(np.int64)
            flank[at] *= np.tanh((np.maximum(d, 0.0) / widths[this, side]) ** power)
            closer = d < distance[at]
            distance[at[closer]] = d[closer]
            edge[at[closer]] = this[closer]
        form = (y.size, columns)
        yield Strip(
            rows=part,
            cell=cell.reshape(form),
            edge=edge.reshape(form),
            distance=distance.reshape(form),
            flank=np.maximum(flank, 0.0).reshape(form),
        )


def edge_lines(tess: Tessellation, chosen: IntArray, spacing: float) -> Lines:
    """Curved lines of the chosen edges inside the margin, points at most `spacing` nm apart."""
    ends = tess.ends[chosen]
    chosen, ends = chosen[(ends[:, 1] >= 0)], ends[(ends[:, 1] >= 0)]
    a, b = tess.corners[ends[:, 0]], tess.corners[ends[:, 1]]
    pieces = np.maximum(np.ceil(np.hypot(*(b - a).T) / spacing), 1).astype(np.int64)
    count = pieces + 1
    first = np.cumsum(count) - count
    step = np.arange(int(count.sum())) - np.repeat(first, count)
    line = np.repeat(np.arange(len(chosen)), count)
    straight = a[line] + (b - a)[line] * (step / pieces[line])[:, None]
    return Lines(points=tess.warp.undo(straight), line=chosen[line], last=step == pieces[line])


def cell_areas(tess: Tessellation) -> FloatArray:
    """Areas (n,) of the unwarped cells [nm^2]."""
    closed = tess.ends[:, 1] >= 0
    a, b = (tess.corners[tess.ends[closed, k]] for k in (0, 1))
    length = np.hypot(*(a - b).T)
    area = np.zeros(len(tess.sites))
    power = (tess.sites**2).sum(1) - tess.radii**2
    for own, other in (tess.edges[closed].T, tess.edges[closed, ::-1].T):
        towards = tess.sites[other] - tess.sites[own]
        size = np.hypot(towards[:, 0], towards[:, 1])
        height = 0.5 * (power[other] - power[own]) / size
        height -= (tess.sites[own] * towards).sum(1) / size
        np.add.at(area, own, 0.5 * height * length)
    return area

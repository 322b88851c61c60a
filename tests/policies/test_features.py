"""Dense features: equal to those of explicit patches, unchanged by rotation, linear in memory."""

import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from grainscout.policies.models.features import (
    TableCache,
    feature_table,
    jets,
    patch_basis,
    patches,
    project_patches,
)
from grainscout.records import Scan


def surface(shape: tuple[int, int] = (40, 52), seed: int = 0) -> np.ndarray:
    return gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2.0)


def scan_of(image: np.ndarray, pixel: tuple[float, float] = (2e-8, 2e-8)) -> Scan:
    return Scan(channels={"height": image}, pixel_size=pixel)


@pytest.mark.parametrize("window", [1, 7, 16])
def test_convolution_equals_the_product_with_the_patch_matrix(window: int) -> None:
    image = surface() + 50.0  # an offset far above the relief
    basis = patch_basis(image, window, 12)
    dense = project_patches(image, basis)
    sites = np.argwhere(np.ones(image.shape, bool))
    matrix = patches(image, window, sites).reshape(len(sites), -1)
    product = (matrix - basis.mean) @ basis.vectors.T
    scale = np.abs(product).max()
    np.testing.assert_allclose(dense.reshape(len(sites), -1), product, atol=1e-5 * scale)


def test_basis_is_the_principal_components_of_the_full_patches() -> None:
    image = surface()
    window = 5
    view = np.lib.stride_tricks.sliding_window_view(image, (window, window)).reshape(-1, 25)
    singular = np.linalg.svd(view - view.mean(0), compute_uv=False)
    basis = patch_basis(image, window, 6)
    np.testing.assert_allclose(basis.variance, singular[:6] ** 2 / len(view), rtol=1e-8)
    np.testing.assert_allclose(basis.vectors @ basis.vectors.T, np.eye(6), atol=1e-12)
    np.testing.assert_allclose(basis.total, view.var(0).sum(), rtol=1e-8)


def test_the_site_is_pixel_8_8_of_its_16_pixel_patch() -> None:
    image = np.zeros((40, 40))
    image[20, 23] = 1.0
    patch = patches(image, 16, np.array([[20, 23]]))[0]
    assert np.argwhere(patch == 1.0).tolist() == [[8, 8]]
    assert patches(image, 16, np.array([[0, 0]])).shape == (1, 16, 16)


def test_jets_do_not_know_which_way_the_image_lies() -> None:
    image = surface((48, 48))
    original = jets(image, (1.0, 2.0))
    for turned, back in (
        (np.rot90(image), lambda a: np.rot90(a, -1)),
        (image.T, lambda a: np.swapaxes(a, 0, 1)),
        (image[::-1], lambda a: a[::-1]),
    ):
        again = back(jets(np.ascontiguousarray(turned), (1.0, 2.0)))
        np.testing.assert_allclose(again, original, atol=2e-5 * np.abs(original).max())


def test_jets_of_known_surfaces() -> None:
    y, x = np.mgrid[:61, :61] - 30.0
    middle = (30, 30)
    plane = jets(0.3 * x + 0.4 * y, (2.0,))[middle]
    np.testing.assert_allclose(plane, [0, 2.0 * 0.5, 0, 0, 0], atol=1e-3)
    bowl = jets(0.5 * (x**2 + y**2), (2.0,))[middle]
    # band-pass of r²/2 is σ² − (2σ)² = −12; the Laplacian is 2
    np.testing.assert_allclose(bowl, [-12.0, 0, 4.0 * 2.0, 0, 0], atol=0.04)
    valley = jets(0.5 * x**2, (2.0,))[30, 40]
    np.testing.assert_allclose(valley[2:], [4.0, 4.0, 4.0], atol=0.06)


def test_pixels_that_are_not_square_measure_the_same_film() -> None:
    y, x = np.mgrid[:80, :80]

    def film(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.cos(0.25 * u) * np.sin(0.2 * v)

    # The same film at a row step half of the column step; equal areas keep the scales equal.
    square = jets(film(y * 1.0, x * 1.0), (2.0,))
    r = 2.0**0.5
    oblong = jets(film(y / r, x * r), (2.0,), aspect=(1 / r, r))
    for row, column in ((30, 28), (40, 35), (24, 42)):
        found = oblong[round(row * r), round(column / r)]
        np.testing.assert_allclose(found, square[row, column], atol=0.12)


@pytest.mark.parametrize("kind", ["jets", "pca", "both"])
def test_table_has_unit_mean_square_whatever_the_units(kind: str) -> None:
    image = surface()
    table = feature_table(scan_of(image), kind=kind)
    np.testing.assert_allclose((table.astype(float) ** 2).sum(1).mean(), 1.0, atol=1e-4)
    np.testing.assert_allclose(feature_table(scan_of(image * 1e-9), kind=kind), table, atol=1e-4)


def test_a_flat_image_has_equal_features_everywhere() -> None:
    table = feature_table(scan_of(np.full((20, 20), 3.0)), kind="both")
    assert np.isfinite(table).all()
    assert np.ptp(table, axis=0).max() == 0.0


def test_memory_is_that_of_the_features_not_of_the_patches() -> None:
    image = surface((300, 300))
    basis = patch_basis(image, 16, 8)
    tracemalloc.start()
    dense = project_patches(image, basis)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    patch_matrix = image.size * 256 * 4
    assert dense.nbytes < peak < 0.35 * patch_matrix


def test_a_shared_table_is_that_of_its_own_images():
    """Policies on one scan share a table; another channel, height, window or pixel is another."""
    rng = np.random.default_rng(5)
    height, current = rng.normal(size=(2, 32, 40))
    channels = {"height": height, "current": current}
    scan = Scan(channels=channels, pixel_size=(1e-8, 1e-8))
    table = feature_table(scan, kind="structure")
    again = Scan(channels={n: c.copy() for n, c in channels.items()}, pixel_size=(1e-8, 1e-8))
    assert feature_table(again, kind="structure") is table
    assert not table.flags.writeable
    others = [
        feature_table(
            Scan(channels={**channels, "height": current}, pixel_size=(1e-8, 1e-8)),
            kind="structure",
        ),
        feature_table(Scan(channels=channels, pixel_size=(1e-8, 2e-8)), kind="structure"),
        feature_table(scan, kind="structure", window=8),
        feature_table(scan, kind="structure", channels=("current",)),
        feature_table(scan, kind="jets"),
    ]
    # The microstructure is that of the height, whichever channel the jets are of.
    upside_down = Scan(channels={**channels, "height": -height}, pixel_size=(1e-8, 1e-8))
    others.append(feature_table(upside_down, kind="structure", channels=("current",)))
    shapes = {(o.shape, o.tobytes()) for o in (table, *others)}
    assert len(shapes) == 7


def test_threads_share_the_tables():
    """Clients of a server reset their policies at the same time, and the tables hardly fit."""
    cache = TableCache(limit=40 * 80)  # ten tables of ten numbers
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            keys = list(range(25)) * 400
            made = lambda k: cache.get(k, lambda: np.full((10, 8), k, np.float32))  # noqa: E731
            tables = threads.map(made, keys)
            assert all((t == k).all() for k, t in zip(keys, tables, strict=True))
    finally:
        sys.setswitchinterval(before)

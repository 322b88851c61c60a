"""Labelled arrays for notebooks (optional extra ``xarray``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from grainscout.analysis.formats.metadata import from_json, to_json
from grainscout.records import ConfigError, DataError, Recording, Scan, Waveform

if TYPE_CHECKING:
    import xarray


def to_xarray(data: Scan | Recording) -> xarray.Dataset:
    """A Dataset with dims (row, column) for images and (site, sample) for curves.

    Coordinates x and y [m] of each pixel, voltage [V] and time [s] of each sample; attributes carry
    units, axes and metadata (as JSON, so that netCDF can store them).  ConfigError without xarray.
    """
    try:
        import xarray as xr
    except ImportError as error:
        raise ConfigError(
            "to_xarray needs the package xarray: pip install -e '.[xarray]' in the checkout"
        ) from error
    scan = data.scan if isinstance(data, Recording) else data
    rows, columns = scan.shape
    pixels = np.argwhere(np.ones(scan.shape, bool))
    place = scan.positions(pixels).reshape(rows, columns, 2)
    variables: dict[str, Any] = {
        name: (("row", "column"), image, {"units": scan.units.get(name, "")})
        for name, image in scan.channels.items()
    }
    coordinates: dict[str, Any] = {
        "x": (("row", "column"), place[..., 0], {"units": "m"}),
        "y": (("row", "column"), place[..., 1], {"units": "m"}),
    }
    attributes: dict[str, Any] = {
        "kind": "scan",
        "pixel_size": list(scan.pixel_size),
        "origin": list(scan.origin),
        "angle": scan.angle,
        "scan_metadata": to_json(scan.metadata),
        "channels": list(scan.channels),
    }
    if isinstance(data, Recording):
        curve = ("site", "sample")
        variables["curve"] = (curve, data.current, {"units": data.unit})
        variables["saturated"] = (curve, data.saturated)
        coordinates |= {
            "site_row": ("site", data.sites[:, 0]),
            "site_column": ("site", data.sites[:, 1]),
            "voltage": ("sample", data.waveform.voltage, {"units": "V"}),
            "time": ("sample", data.waveform.time, {"units": "s"}),
        }
        attributes |= {
            "kind": "recording",
            "waveform": data.waveform.kind,
            "metadata": to_json(data.metadata),
        }
    return xr.Dataset(variables, coords=coordinates, attrs=attributes)


def from_xarray(dataset: xarray.Dataset) -> Scan | Recording:
    """The scan or recording that `to_xarray` made; DataError for another Dataset."""
    try:
        head = dataset.attrs
        names = list(np.atleast_1d(head["channels"]))
        scan = Scan(
            channels={str(n): dataset[n].to_numpy() for n in names},
            units={str(n): u for n in names if (u := dataset[n].attrs.get("units", ""))},
            pixel_size=(float(head["pixel_size"][0]), float(head["pixel_size"][1])),
            origin=(float(head["origin"][0]), float(head["origin"][1])),
            angle=float(head["angle"]),
            metadata=from_json(head["scan_metadata"]),
        )
        if head["kind"] == "scan":
            return scan
        return Recording(
            scan=scan,
            sites=np.column_stack([dataset["site_row"], dataset["site_column"]]),
            waveform=Waveform(
                voltage=dataset["voltage"].to_numpy(),
                time=dataset["time"].to_numpy(),
                kind=head["waveform"],
            ),
            current=dataset["curve"].to_numpy(),
            saturated=dataset["saturated"].to_numpy(),
            unit=dataset["curve"].attrs["units"],
            metadata=from_json(head["metadata"]),
        )
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise DataError(f"Dataset must be one that to_xarray made; got {error}") from error

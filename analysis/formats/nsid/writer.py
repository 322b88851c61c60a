"""HDF5 export in the NSID layout with NeXus attributes, and back.

Images are NSID main datasets [x, y] in ``Measurement_000/Channel_00k/<name>``, so that sidpy and
pyNSID find them; each group is also an NXdata for NeXus viewers.  Curves are an NSID spectral image
[x, y, Voltage] if every pixel has one, else (n, samples) beside their ``sites``.  What is known of the
scan and the sweep is in the fields of NXspm and NXsts; neither definition is claimed, as they ask for a
vendor and a user whom no record names.  The HDF5 1.8 layout and Fletcher checksums are used because the older layout has
none: there, one changed byte can send the HDF5 library into an endless loop.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from grainscout.analysis.formats.files import fault, fresh_file
from grainscout.analysis.formats.metadata import from_json, to_json
from grainscout.records import FloatArray, Recording, Scan, Waveform
from grainscout.records.encoding.hdf5 import refuse_foreign_values, stored

FORMAT = "grainscout_format"
_VERSION = 1
_ROOT = "Measurement_000"
_NSID = "0.0.7"  # whose layout this is


def write_nsid(data: Scan | Recording, path: Path | str, *, overwrite: bool = False) -> None:
    """Write a scan or a recording so that `read_nsid` gives back every value, unit and metadata.

    DataError if the file exists and `overwrite` is not given, or metadata cannot be stored.
    """
    scan = data.scan if isinstance(data, Recording) else data
    with (
        fresh_file(path, overwrite=overwrite) as partial,
        h5py.File(partial, "w", libver=("v108", "v108")) as file,
    ):
        file.attrs.update({FORMAT: _VERSION, "NX_class": "NXroot", "default": _ROOT})
        entry = file.create_group(_ROOT)
        entry.attrs.update({"NX_class": "NXentry", "default": "Channel_000"})
        entry.attrs["kind"] = "scan" if scan is data else "recording"
        entry.attrs["pixel_size"] = scan.pixel_size
        entry.attrs["origin"] = scan.origin
        entry.attrs["angle"] = scan.angle
        for k, (name, image) in enumerate(scan.channels.items()):
            _write_main(
                entry.create_group(f"Channel_{k:03d}"),
                name.replace("/", "_"),
                image.T,
                _scales(scan),
                {"data_type": "IMAGE", "quantity": name, "units": scan.units.get(name, "")},
            )
        _write_tree(entry, "scan_metadata", scan.metadata)
        _write_instrument(entry, scan, data.waveform if isinstance(data, Recording) else None)
        if isinstance(data, Recording):
            _write_curves(entry, data)


def _scales(scan: Scan) -> dict[str, tuple[FloatArray, str, str]]:
    rows, columns = scan.shape
    return {
        "x": (
            scan.origin[0] + np.arange(columns, dtype=np.float64) * scan.pixel_size[1],
            "m",
            "SPATIAL",
        ),
        "y": (
            scan.origin[1] + np.arange(rows, dtype=np.float64) * scan.pixel_size[0],
            "m",
            "SPATIAL",
        ),
    }


def _write_main(
    parent: h5py.Group,
    name: str,
    values: NDArray[Any],
    scales: dict[str, tuple[FloatArray, str, str]],
    attributes: dict[str, str],
) -> None:
    group = parent.create_group(name)
    parent.attrs.update({"NX_class": "NXcollection", "default": name})
    signal = name if name not in scales else f"{name}_values"
    group.attrs.update({"NX_class": "NXdata", "signal": signal, "axes": list(scales)})
    main = group.create_dataset(
        signal, data=values, compression="gzip", shuffle=True, fletcher32=True
    )
    main.attrs.update(
        {"main_data_name": signal, "modality": "conductive AFM", "source": "grainscout"}
    )
    main.attrs["pyNSID_version"] = _NSID  # pyNSID finds no dataset without it
    main.attrs.update(attributes)
    main.attrs["DIMENSION_LABELS"] = list(scales)
    for i, (label, (axis, unit, kind)) in enumerate(scales.items()):
        scale = group.create_dataset(label, data=axis)
        scale.make_scale(label)
        scale.attrs.update({"name": label, "quantity": label, "units": unit})
        scale.attrs["dimension_type"] = kind
        main.dims[i].label = label
        main.dims[i].attach_scale(scale)


def _write_instrument(entry: h5py.Group, scan: Scan, waveform: Waveform | None) -> None:
    """What is known of the scan and the sweep, where NXspm has a field for it."""

    def group(path: str, kinds: str) -> h5py.Group:
        """The group at a path below the entry, each level of its NeXus class."""
        item = entry
        for name, kind in zip(path.split("/"), kinds.split(), strict=True):
            item = item.require_group(name)
            item.attrs["NX_class"] = kind
        return item

    def fill(item: h5py.Group, units: str, **fields: float) -> None:
        for name, value in fields.items():
            item.create_dataset(name, data=value).attrs["units"] = units

    rows, columns = scan.shape
    x, y = scan.positions(np.array([[0, 0], [rows - 1, columns - 1]])).mean(axis=0)
    control = "instrument/scan_environment/scan_control"
    kinds = "NXinstrument NXenvironment NXspm_scan_control"
    region = group(f"{control}/scan_region", f"{kinds} NXspm_scan_region")
    step = scan.pixel_size
    fill(region, "m", scan_range_x=columns * step[1], scan_range_y=rows * step[0])
    fill(region, "m", scan_offset_value_x=float(x), scan_offset_value_y=float(y))
    fill(region, "deg", scan_angle_x=float(np.degrees(scan.angle)))
    mesh = group(f"{control}/mesh_scan", f"{kinds} NXspm_scan_pattern")
    mesh.update({"scan_points_x": columns, "scan_points_y": rows})
    if waveform is None:
        return
    path = "instrument/bias_spectroscopy_environment/bias_spectroscopy/bias_sweep"
    kinds = "NXinstrument NXenvironment NXspm_bias_spectroscopy NXspm_scan_control"
    sweep = group(f"{path}/scan_region", f"{kinds} NXspm_scan_region")
    volts = waveform.voltage
    fill(sweep, "V", scan_start_bias=float(volts[0]), scan_end_bias=float(volts[-1]))
    fill(sweep, "V", scan_range_bias=float(np.ptp(volts)))
    total = group(path, kinds)
    fill(total, "s", total_spectroscopy_time=float(np.ptp(waveform.time)))


def _write_curves(entry: h5py.Group, data: Recording) -> None:
    group = entry.create_group("Curves")
    group.attrs.update({"complete": data.complete, "unit": data.unit})
    group.attrs["waveform_kind"] = data.waveform.kind
    group.create_dataset("sites", data=data.sites).attrs["columns"] = "row, column"
    group.create_dataset("voltage", data=data.waveform.voltage).attrs["units"] = "V"
    group.create_dataset("time", data=data.waveform.time).attrs["units"] = "s"
    group.create_dataset("saturated", data=data.saturated, compression="gzip")
    if data.complete:
        rows, columns = data.scan.shape
        cube = np.empty((columns, rows, len(data.waveform)))
        cube[data.sites[:, 1], data.sites[:, 0]] = data.current
        sweep = {"Voltage": (data.waveform.voltage, "V", "SPECTRAL")}
        attributes = {"data_type": "SPECTRAL_IMAGE", "quantity": "current", "units": data.unit}
        _write_main(group, "current", cube, {**_scales(data.scan), **sweep}, attributes)
    else:
        group.create_dataset(
            "current", data=data.current, compression="gzip", shuffle=True, fletcher32=True
        )
        group["current"].attrs["units"] = data.unit
        group.attrs.update({"NX_class": "NXdata", "signal": "current", "axes": [".", "time"]})
    _write_tree(entry, "metadata", data.metadata)


def _write_tree(entry: h5py.Group, name: str, tree: Any) -> None:
    arrays: list[NDArray[Any]] = []
    group = entry.create_group(name)
    group.create_dataset("json", data=to_json(tree, arrays))
    for i, array in enumerate(arrays):
        group.create_dataset(f"array_{i}", data=array, compression="gzip" if array.ndim else None)


def _read_tree(path: Path | str, entry: h5py.Group, name: str) -> dict[str, Any]:
    group = entry[name]
    arrays = [stored(path, group[f"array_{i}"]) for i in range(len(group) - 1)]
    text = group["json"]
    refuse_foreign_values(path, text)
    return from_json(text.asstr()[()], arrays)


def read_own(path: Path | str, file: h5py.File) -> Scan | Recording:
    """What `write_nsid` wrote."""
    version = int(file.attrs[FORMAT])
    if version != _VERSION:
        raise fault(path, f"be of export format {_VERSION}", f"{version}", "Update Grainscout")
    entry = file[_ROOT]
    channels, units = {}, {}
    for k in range(sum(1 for name in entry if name.startswith("Channel_"))):
        group = next(iter(entry[f"Channel_{k:03d}"].values()))
        main = group[group.attrs["signal"]]
        channels[main.attrs["quantity"]] = stored(path, main).T
        if main.attrs["units"]:
            units[main.attrs["quantity"]] = main.attrs["units"]
    row, column = (float(v) for v in entry.attrs["pixel_size"])
    x, y = (float(v) for v in entry.attrs["origin"])
    scan = Scan(
        channels=channels,
        units=units,
        pixel_size=(row, column),
        origin=(x, y),
        angle=float(entry.attrs["angle"]),
        metadata=_read_tree(path, entry, "scan_metadata"),
    )
    if entry.attrs["kind"] == "scan":
        return scan
    curves = entry["Curves"]
    sites = stored(path, curves["sites"])
    if curves.attrs["complete"]:
        current = stored(path, curves["current/current"])[sites[:, 1], sites[:, 0]]
    else:
        current = stored(path, curves["current"])
    return Recording(
        scan=scan,
        sites=sites,
        waveform=Waveform(
            voltage=stored(path, curves["voltage"]),
            time=stored(path, curves["time"]),
            kind=str(curves.attrs["waveform_kind"]),
        ),
        current=current,
        saturated=stored(path, curves["saturated"]),
        unit=str(curves.attrs["unit"]),
        metadata=_read_tree(path, entry, "metadata"),
    )

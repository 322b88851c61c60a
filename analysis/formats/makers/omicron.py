"""Files of Scienta Omicron Matrix, through access2theMatrix (extra ``omicron``).

A result file (``..--1_1.Z_mtrx``) holds one channel; its parameters lie beside it in ``.._0001.mtrx``.
Lines run up the picture.
"""

from pathlib import Path
from typing import Any

import numpy as np

from grainscout.analysis.formats.grids import Grid, arranged
from grainscout.analysis.formats.options import Asked, library
from grainscout.analysis.formats.pictures import Picture
from grainscout.analysis.formats.units import si
from grainscout.records import Recording, Scan

FRAME = "x = X, y = -Y of the instrument (its Y points up, rows run down the picture)"


def load_matrix(asked: Asked) -> Scan | Recording:
    """An image (each direction is a channel), a spectrum over the bias, or a grid of spectra."""
    module, path = library("access2thematrix", "omicron", asked.path), Path(asked.path)
    if path.suffix.lower() == ".mtrx":
        raise asked.fault("be a result file (_mtrx)", "the parameters", "Read the file beside it")
    matrix = module.MtrxData()
    traces, message = matrix.open(str(path))
    names = list(traces.values())
    if not names:
        raise asked.fault(
            "be a whole result with its parameters (.mtrx) beside it under the name it was saved with",
            message,
        )
    name, word = matrix.channel_name_and_unit
    factor, unit = si(word)
    metadata = {"source": "Omicron Matrix", "frame": FRAME, "sample": matrix.sample_name}
    if matrix.object_type == "image":
        pictures = [_image(matrix, trace, factor, unit, name) for trace in names]
        return arranged(asked, pictures, [], metadata)
    volts, voltage_unit = (
        si(matrix.x_data_name_and_unit[1])
        if hasattr(matrix, "x_data_name_and_unit")
        else si(matrix.z_data_name_and_unit[1])
    )
    if voltage_unit != "V":
        raise asked.fault("be spectra over the bias in V", f"over {voltage_unit}")
    if matrix.object_type == "curve":
        grids = []
        for trace in names:
            axis, values = matrix.select_curve(trace)[0].data
            back = trace == "retrace"
            grids.append(
                Grid(
                    name=f"{name} backward" if back else name,
                    values=values.reshape(1, 1, -1)[..., :: -1 if back else 1] * factor,
                    voltage=axis[:: -1 if back else 1] * volts,
                    unit=unit,
                )
            )
        return arranged(asked, [], grids, metadata)
    return arranged(asked, [], list(_volume(matrix, factor, unit, volts, name)), metadata)


def _frame(matrix: Any, rows: int, columns: int) -> dict[str, Any]:
    """Pixel size, origin and angle of a frame of that many pixels."""

    def of(key: str) -> float:
        return float(matrix.param.get(f"EEPA::XYScanner.{key}", [0.0])[0])

    step = (of("Height") / rows, of("Width") / columns)
    angle = -np.radians(of("Angle"))
    u, v = (columns - 1) / 2 * step[1], (rows - 1) / 2 * step[0]
    cos, sin = np.cos(angle), np.sin(angle)
    return {
        "pixel_size": step,
        "origin": (of("X_Offset") - cos * u + sin * v, -of("Y_Offset") - sin * u - cos * v),
        "angle": float(angle),
    }


def _image(matrix: Any, trace: str, factor: float, unit: str, name: str) -> Picture:
    across, _, along = trace.partition("/")
    values = np.asarray(matrix.select_image(trace)[0].data, np.float64)
    rows, columns = (int(matrix.param[f"EEPA::XYScanner.{k}"][0]) for k in ("Lines", "Points"))
    # A scan that was stopped lacks its last lines, which are the upper ones of a scan up.
    whole = np.full((rows, columns), np.nan)
    place = slice(0, len(values)) if along == "up" else slice(rows - len(values), rows)
    whole[place] = values
    label = (
        name + (" down" if along == "down" else "") + (" backward" if across == "backward" else "")
    )
    return Picture(
        name=label, values=whole[::-1] * factor, unit=unit, **_frame(matrix, rows, columns)
    )


def _volume(matrix: Any, factor: float, unit: str, volts: float, name: str) -> list[Grid]:
    """Trace and retrace of the spectra of the first direction."""
    first = next(iter(matrix.volume_scan))
    grids = []
    for k, (trace, values) in enumerate(matrix.volume_scan[first].items()):
        axis = matrix.scan[0][:: 1 if k == 0 else -1] * volts
        # The library stores the retrace in the order of the trace.
        curves = np.asarray(values, np.float64)[::-1, :, :: 1 if k == 0 else -1] * factor
        grids.append(
            Grid(
                name=name if trace == "trace" else f"{name} backward",
                values=curves,
                voltage=axis,
                unit=unit,
                **_frame(matrix, *curves.shape[:2]),
            )
        )
    return grids

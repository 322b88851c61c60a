"""Single spectra of Nanonis (``.dat``): a header, ``[DATA]``, and a table of columns."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from grainscout.analysis.formats.files import fault, load_bytes, number, refuse_namesakes
from grainscout.analysis.formats.nanonis.grid import FRAME
from grainscout.analysis.formats.nanonis.segments import ASSUMED_STEP, Segments, time_of
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.recordings import (
    current_channels,
    is_backward,
    recording_of,
    stand_in,
)
from grainscout.analysis.formats.units import si, split_name
from grainscout.records import FloatArray, Recording, Scan, Traces, Waveform


def read_dat_traces(path: Path | str) -> Traces:
    """All columns of a Nanonis ``.dat`` file, with the header as it was."""
    text = load_bytes(path).decode("latin-1")
    head, marker, table = text.partition("[DATA]")
    lines = [line for line in table.splitlines() if line.strip()]
    if not marker or not head.startswith("Experiment") or len(lines) < 3:
        raise fault(
            path, "be a Nanonis spectrum: 'Experiment', '[DATA]', names and values", repr(text[:40])
        )
    if not table.endswith("\n"):
        raise fault(path, "end with a complete line", f"{lines[-1][-20:]!r}", "It is truncated")
    header = {}
    for line in head.splitlines():
        key, _, value = line.partition("\t")
        if key.strip():
            header[key.strip()] = value.strip()
    labels = [label for label in lines[0].split("\t") if label.strip()]
    refuse_namesakes(path, [split_name(label)[0] for label in labels])
    rows = []
    for line in lines[1:]:
        cells = [cell for cell in line.split("\t") if cell.strip()]
        if len(cells) != len(labels):
            raise fault(path, f"have {len(labels)} columns in each line", f"{len(cells)}")
        rows.append([number(path, label, c) for label, c in zip(labels, cells, strict=True)])
    columns = np.array(rows).T
    units, channels = {}, {}
    for label, column in zip(labels, columns, strict=True):
        name, unit = split_name(label)
        factor, units[name] = si(unit)
        channels[name] = column * factor
    step = _seconds(path, header)
    return Traces(
        channels=channels,
        units=units,
        time=np.arange(columns.shape[1], dtype=np.float64) * (step or ASSUMED_STEP),
        metadata={
            "source": "Nanonis dat",
            "header": header,
            **({} if step else {"time": "not recorded; 1 ms a sample is assumed"}),
        },
    )


def _seconds(path: Path | str, header: Mapping[str, str]) -> float:
    """Seconds a sample; 0 where the header does not say."""
    return sum(
        number(path, k, header[k])
        for k in ("Settling time (s)", "Integration time (s)")
        if k in header
    )


def load_dat(asked: Asked) -> Recording:
    """A Nanonis bias spectrum as a recording of one site; its pixel size of 1 nm means nothing."""
    path = asked.path
    traces = read_dat_traces(path)
    header = traces.metadata["header"]
    bias = next(
        (n for n in ("Bias calc", "Bias") if traces.units.get(n) == "V"),
        next((n for n, u in traces.units.items() if u == "V" and "bias" in n.lower()), None),
    )
    if bias is None:
        raise asked.fault(
            "be a bias spectrum, with a column 'Bias calc (V)' or 'Bias (V)'",
            f"the experiment {header.get('Experiment', '')!r} with the columns "
            f"{', '.join(f'{n} [{u}]' for n, u in traces.units.items())}",
            "Read its columns with read_traces",
        )
    units = {n: u for n, u in traces.units.items() if n != bias}
    cycles = current_channels(asked, units, what="a current in A over the bias")
    return _single(asked, traces, bias, cycles)


def _single(
    asked: Asked, traces: Traces, bias: str, cycles: list[tuple[str, str | None]]
) -> Recording:
    path, header = asked.path, traces.metadata["header"]
    forward = traces.channel(bias)
    back_bias = next(
        (n for n, u in traces.units.items() if u == "V" and is_backward(n) and "bias" in n.lower()),
        None,
    )
    returning = forward if back_bias is None else traces.channel(back_bias)
    voltage: list[FloatArray] = []
    current: list[FloatArray] = []
    backward: list[bool] = []
    for name, back in cycles:
        voltage.append(forward)
        current.append(traces.channel(name))
        backward.append(False)
        if back is not None:
            # Stored in the order of the forward sweep, unless its own bias says that of time.
            turn = -1 if np.dot(np.diff(forward), np.diff(returning)) > 0 else 1
            voltage.append(returning[::turn])
            current.append(traces.channel(back)[::turn])
            backward.append(True)
    values = np.concatenate(current)[None]
    unit = traces.units[cycles[0][0]] or "a.u."
    x, y, z = (
        asked.number(k, header[k]) if k in header else None for k in ("X (m)", "Y (m)", "Z (m)")
    )
    if x is None or y is None:
        asked.note("X and Y are not recorded: the site is put at (0, 0)")
    image, name, image_unit = np.array([[z or 0.0]]), "height", "m"
    if z is None:
        image, name = stand_in(asked, values[None], unit)
        image_unit = unit
    segments = Segments.of(asked, header)
    time = time_of(asked, segments, forward.size, _seconds(path, header), backward)
    base = {"source": "Nanonis dat", "frame": FRAME}
    return recording_of(
        asked,
        Scan(
            channels={name: image},
            units={name: image_unit},
            pixel_size=(1e-9, 1e-9),
            origin=(x or 0.0, -(y or 0.0)),
            metadata=base,
        ),
        np.zeros((1, 2), np.int64),
        Waveform(voltage=np.concatenate(voltage), time=time, kind="Bias sweep"),
        values,
        unit=unit,
        metadata={**traces.metadata, "frame": FRAME, "channels": dict(traces.channels)},
    )

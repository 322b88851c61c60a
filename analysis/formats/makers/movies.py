"""Frames of high-speed AFM movies (``.asd`` of RIBM), through AFMReader (extra ``movies``)."""

import numpy as np

from grainscout.analysis.formats.options import Asked, library
from grainscout.analysis.formats.pictures import Picture, scan_of
from grainscout.records import Scan


def load_asd(asked: Asked) -> Scan:
    """One frame of the topography [m]: the first, or the one that `cycle` names."""
    reader = library("AFMReader.asd", "movies", asked.path)
    reader.logger.disable("AFMReader")  # it prints the header
    try:
        frames, nm, header = reader.load_asd(asked.path, "TP")
    except (OSError, UnicodeError, ValueError) as error:
        raise asked.fault("be a whole .asd movie with a topography", str(error)) from error
    if (
        bits := header["analogue_digital_data_bits_size"]
    ) != 12:  # which the package takes for given
        raise asked.fault("hold levels of 12 bits", f"{bits} bits")
    cycle = asked.take("cycle") or 0
    if not 0 <= cycle < len(frames):
        raise asked.fault(f"have a frame {cycle}", f"{len(frames)} frames, from 0 on")
    asked.note(f"frame {cycle} of {len(frames)}: another with cycle")
    step = (header["y_nm"] / header["y_pixels"] * 1e-9, nm * 1e-9)
    values = np.asarray(frames[cycle], np.float64) * 1e-9
    picture = Picture(name="height", values=values, unit="m", pixel_size=step)
    return scan_of(asked, [picture], {"source": "high-speed AFM movie", "frame_number": cycle})

"""Sites of the lines of a table: rows and columns, positions, or numbered curves."""

import numpy as np

from grainscout.analysis.formats.files import MOST_PIXELS
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.places import placed
from grainscout.analysis.formats.tables.roles import Roles
from grainscout.records.arrays import IntArray


def sites_of(
    asked: Asked, roles: Roles, lines: int
) -> tuple[IntArray, tuple[float, float], tuple[float, float], str]:
    """Row and column of each line, pixel size [m], origin [m], and the frame in words."""
    pixel_nm = asked.take("pixel_nm")
    size = (1e-9, 1e-9) if pixel_nm is None else (pixel_nm * 1e-9, pixel_nm * 1e-9)
    row, column = roles.values("row"), roles.values("column")
    x, y = roles.values("x"), roles.values("y")
    zero = np.zeros(lines)
    if row is not None or column is not None:
        raw = np.column_stack([zero if row is None else row, zero if column is None else column])
        if not (np.isfinite(raw).all() and (raw >= 0).all() and (raw == np.round(raw)).all()):
            raise asked.fault("have whole numbers >= 0 as row and column", "others")
        if (raw > MOST_PIXELS).any():
            raise asked.fault(
                f"have rows and columns of a picture of at most {MOST_PIXELS} pixels",
                f"{raw.max():g}",
            )
        if x is not None or y is not None:
            asked.note("row and column decide; x and y are not used")
        elif pixel_nm is None:
            asked.note("no pixel size is recorded: 1 nm is assumed")
        return raw.astype(np.int64), size, (0.0, 0.0), "rows and columns as the table says"
    if x is not None or y is not None:
        asked.take("pixel_nm")
        return placed(asked, zero if x is None else x, zero if y is None else y)
    if "curve" in roles.found:
        labels = roles.found["curve"][0].text
        names = list(dict.fromkeys(labels))
        index = {name: i for i, name in enumerate(names)}
        number = np.array([index[label] for label in labels], dtype=np.int64)
        if len(names) > 1 and len(names) == lines:
            asked.note(f"column {roles.found['curve'][0].label!r} counts the lines: not used")
            number[:] = 0
        else:
            asked.note(
                f"{len(names)} curves without positions: put side by side in one row of pixels"
            )
        return np.column_stack([np.zeros_like(number), number]), size, (0.0, 0.0), "no positions"
    return np.zeros((lines, 2), np.int64), size, (0.0, 0.0), "one site"

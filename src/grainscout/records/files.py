"""Files that a user names: opened only if reading them comes to an end."""

import stat
from pathlib import Path

from grainscout.records.errors import DataError, GrainscoutError

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def regular(path: Path | str, error: type[GrainscoutError] = DataError) -> Path:
    """The path, unless it is a pipe, a device or a socket, on which reading waits for ever."""
    place = Path(path)
    try:
        kind = _KINDS.get(stat.S_IFMT(place.stat().st_mode))
    except (OSError, ValueError):  # missing or unreadable: opening it says so
        return place
    if kind is not None:
        raise error(
            f"{path}: must be a regular file; got {kind}. Copy what it gives to a file first"
        )
    return place

"""Lamps without electronics."""

import math

from grainscout.records import ConfigError, MicroscopeError, PackedState


class HandLamp:
    """A lamp that a person sets and the file states [suns], so that curves are filed under it."""

    def __init__(self, *, suns: float, note: str = "") -> None:
        if not (math.isfinite(suns) and suns >= 0):
            raise ConfigError(f"suns must be finite and >= 0; got {suns}")
        self._suns, self._note = suns, note

    def set(self, suns: float) -> None:
        """Agree to what was stated. MicroscopeError for anything else."""
        if suns != self._suns:
            raise MicroscopeError(
                f"the lamp was set by hand to {self._suns:g} suns (option suns); got {suns:g}. Set the lamp and "
                "the option, then start anew"
            )

    def settings(self) -> PackedState:
        """What was stated."""
        return {"suns": self._suns, "set": "by hand", "note": self._note}

    def close(self) -> None:
        """Leave the lamp as it is."""

"""The verdict on a measured curve."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Verdict on one curve, from what the curve and the microscope's signals show.

    Parameters
    ----------
    usable : bool
        False if the curve must not be learned from or scored.
    reasons : tuple of str
        Names of what was seen, such as ``"contact lost"``; some leave a curve usable (``"at rail"``).
    score : float
        1 where nothing was seen, 0.5 at the threshold of a test, towards 0 beyond it.
    version : int
        Version of the tests; 0 if the curve was not judged.
    """

    usable: bool = True
    reasons: tuple[str, ...] = ()
    score: float = 1.0
    version: int = 0
